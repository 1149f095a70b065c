/**
 * @file The derivatives of `cond`. The JVP is two conditionals: one of the point, whose branches also give the residuals of both (those of the
 * other branch are 0), and a linear one of the tangents.
 */
import type { TensorType } from "@systole/base";
import { GraphBuilder } from "../../builder.ts";
import type { Graph, Node, Value } from "../../graph.ts";
import { zeros } from "../../primitives/emit.ts";
import { joint, type Tangent } from "../../primitives/primitive.ts";
import { inline } from "../inline.ts";
import { tangentName, turnedName } from "../names.ts";
import { emitInto } from "./call.ts";
import type { BodyDerivatives, ControlRules, LinearBodies, LinearControl, ResultsAndTangents } from "./rules.ts";

export const condRules: ControlRules<"cond"> = {
  jvp,
  linearity(node, operands, { verify }) {
    for (const branch of branchesOf(node)) verify(branch, operands.filter((i) => i > 0).map((i) => branch.inputs[i - 1]!.name));
    return joint(...operands.filter((i) => i > 0));
  },
  transpose,
};

type Named = readonly (readonly [name: string, type: TensorType])[];

/** Both branches with inputs i0, i1, ... and outputs o0, o1, ... */
function branchesOf({ params }: Node<"cond">): readonly [Graph, Graph] {
  const renamed = (branch: Graph): Graph => build(branch.name, branch.inputs.map(({ value }, i) => [`i${i}`, value.type]), (b, inputs) => {
    const results = inline(b, branch, new Map(branch.inputs.map(({ name }, i) => [name, inputs.get(`i${i}`)!])));
    return branch.outputs.map(({ name }, i) => [`o${i}`, results.get(name)!]);
  });
  return [renamed(params.onTrue), renamed(params.onFalse)];
}

function build(name: string, inputs: Named, make: (b: GraphBuilder, inputs: ReadonlyMap<string, Value>) => readonly (readonly [string, Value])[]): Graph {
  const b = new GraphBuilder();
  const values = new Map(inputs.map(([input, type]) => [input, b.input(input, type)]));
  for (const [output, value] of make(b, values)) b.output(output, value);
  return b.build(name);
}

function jvp(b: GraphBuilder, node: Node<"cond">, inputs: readonly Value[], tangents: readonly Tangent[], bodies: BodyDerivatives): ResultsAndTangents {
  const emit = emitInto(b);
  const branches = branchesOf(node);
  const operands = new Map(inputs.slice(1).map((value, i) => [`i${i}`, value]));
  const directions = new Map(tangents.slice(1).flatMap((tangent, i) => (tangent === undefined ? [] : [[`i${i}`, tangent] as const])));
  const wrt = [...directions.keys()];
  const found = branches.map((branch) => bodies.moved(branch, wrt));
  const moved = branches[0].outputs.map(({ name }) => name).filter((name) => found.some((one) => one.has(name)));
  if (moved.length === 0) return { outputs: emit("cond", inputs, node.params, node.origin), tangents: [] };
  const [first, second] = branches.map((branch, i) => bodies.linearize(branch, { wrt, of: moved, residualPrefix: i === 0 ? "t." : "e." })) as [ReturnType<typeof bodies.linearize>, ReturnType<typeof bodies.linearize>];
  const residuals = [...first.residuals, ...second.residuals];
  const given: Named = [...operands].map(([name, { type }]) => [name, type]);
  const point = (branch: Graph): Graph => build(branch.name, given, (c, values) => {
    const results = inline(c, branch, values);
    return [...branches[0].outputs.map(({ name }) => name), ...residuals.map(({ name }) => name)].map((name) => [name, results.get(name) ?? zeros(c, residuals.find((one) => one.name === name)!.type)]);
  });
  const results = emit("cond", inputs, { onTrue: point(first.point), onFalse: point(second.point) }, node.origin);
  const outputs = results.slice(0, node.outputs.length);
  const available = new Map<string, Value>([...operands, ...residuals.map(({ name }, i) => [name, results[outputs.length + i]!] as const), ...[...directions].map(([name, value]) => [tangentName(name), value] as const)]);
  const read = [...available].filter(([name]) => [first, second].some(({ linear }) => linear.inputs.some((input) => input.name === name)));
  const linear = (branch: Graph): Graph => build(branch.name, read.map(([name, { type }]) => [name, type]), (c, values) => [...inline(c, branch, values)]);
  const lines = emit("cond", [inputs[0]!, ...read.map(([, value]) => value)], { onTrue: linear(first.linear), onFalse: linear(second.linear) }, node.origin);
  return { outputs, tangents: branches[0].outputs.map(({ name }) => (moved.includes(name) ? lines[moved.indexOf(name)] : undefined)) };
}

function transpose(b: GraphBuilder, { node, fixed, types, cotangents }: LinearControl<"cond">, { transpose: turn }: Pick<LinearBodies, "transpose">): readonly Tangent[] {
  const branches = branchesOf(node).map((branch) => ({ ...branch, outputs: branch.outputs.filter((_, i) => cotangents[i] !== undefined) }));
  const names = branches[0]!.inputs.map(({ name }) => name);
  const linear = names.filter((_, i) => fixed[i + 1] === undefined);
  const turned = branches.map((branch) => turn(branch, linear));
  const available = new Map<string, Value>([
    ...names.flatMap((name, i) => (fixed[i + 1] === undefined ? [] : [[name, fixed[i + 1]!] as const])),
    ...branches[0]!.outputs.map(({ name }, i) => [turnedName(name), cotangents.filter((one) => one !== undefined)[i]!] as const),
  ]);
  const read = [...available].filter(([name]) => turned.some(({ inputs }) => inputs.some((input) => input.name === name)));
  const [onTrue, onFalse] = turned.map((branch) => build(branch.name, read.map(([name, { type }]) => [name, type]), (c, values) => [...inline(c, branch, values)])) as [Graph, Graph];
  const results = emitInto(b)("cond", [fixed[0]!, ...read.map(([, value]) => value)], { onTrue, onFalse }, node.origin);
  return types.map((_, i) => (i === 0 || fixed[i] !== undefined ? undefined : results[linear.indexOf(names[i - 1]!)]));
}
