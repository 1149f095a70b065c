/**
 * @file The derivatives of `scan`. The JVP is two scans: one of the point, which also gives the residuals of every step as sequences, and one of
 * the tangents, linear, which reads them. Turned round, the second runs the other way and adds the cotangents of its constants up.
 */
import type { TensorType } from "@systole/base";
import type { GraphBuilder } from "../../builder.ts";
import type { Graph, GraphInput, GraphOutput, Node, Value } from "../../graph.ts";
import { add, zeros } from "../../primitives/emit.ts";
import { joint, type Tangent } from "../../primitives/primitive.ts";
import { byRole, type ByRole } from "../../primitives/scan.ts";
import { inline } from "../inline.ts";
import { tangentName, turnedName } from "../names.ts";
import type { Linearized } from "../splitTangents.ts";
import { buildScanBody, emitInto, emitScan, scanCall, withRoleNames, type ScanCall } from "./call.ts";
import { hoist } from "./hoist.ts";
import type { BodyDerivatives, ControlRules, LinearBodies, LinearControl, ResultsAndTangents } from "./rules.ts";

export const scanRules: ControlRules<"scan"> = {
  jvp,
  linearity(node, operands, { verify }) {
    const { body, consts, carries } = node.params;
    const carried = Array.from({ length: carries }, (_, i) => consts + i);
    const linear = [...new Set([...operands, ...carried])].sort((a, b) => a - b);
    verify(body, linear.map((i) => body.inputs[i]!.name));
    return joint(...linear);
  },
  transpose,
};

function jvp(b: GraphBuilder, node: Node<"scan">, inputs: readonly Value[], tangents: readonly Tangent[], bodies: BodyDerivatives): ResultsAndTangents {
  const { params, origin } = node;
  const emit = emitInto(b);
  const call: ScanCall = { ...scanCall({ inputs, params }), body: withRoleNames(node.params.body, params) };
  const given = byRole(tangents, params);
  const names = byRole(call.body.inputs.map(({ name }) => name), params);
  const { active, wrt, moved } = settle(call.body, names, given, bodies);
  if (moved.length === 0) return { outputs: emitScan(emit, call, origin), tangents: [] };
  const linearized = bodies.linearize(call.body, { wrt, of: moved });
  const { outputs, carried, kept } = emitPoint(b, call, linearized, node);
  const read = sourcesOf(call, names, given, carried, kept);
  b.setOrigin(origin);
  const initial = active.map((i) => given.carries[i] ?? zeros(b, call.carries[i]!.type));
  const linear = linearCall(call, linearized.linear, names, active, initial, read);
  const results = emitScan(emit, hoist(emit, linear), origin);
  const places = moved.map((name) => call.body.outputs.findIndex((output) => output.name === name));
  const tangentOf = (i: number): Tangent => (places.includes(i) ? results[places.indexOf(i)] : undefined);
  return { outputs, tangents: outputs.map((_, i) => tangentOf(i)) };
}

/** Which carries have tangents: those that start with one, and those that get one in a step, until no more do. `moved`: outputs with a tangent, carries first. */
function settle(body: Graph, names: ByRole<string>, given: ByRole<Tangent>, bodies: BodyDerivatives): { readonly active: readonly number[]; readonly wrt: readonly string[]; readonly moved: readonly string[] } {
  const outputs = body.outputs.map(({ name }) => name);
  const count = names.carries.length;
  const having = (list: readonly string[], tangents: readonly Tangent[]): string[] => list.filter((_, i) => tangents[i] !== undefined);
  let active = names.carries.map((_, i) => i).filter((i) => given.carries[i] !== undefined);
  for (;;) {
    const wrt = [...having(names.consts, given.consts), ...active.map((i) => names.carries[i]!), ...having(names.sequences, given.sequences)];
    const moved = bodies.moved(body, wrt);
    const next = names.carries.map((_, i) => i).filter((i) => active.includes(i) || moved.has(outputs[i]!));
    if (next.length === active.length) return { active, wrt, moved: [...active.map((i) => outputs[i]!), ...outputs.slice(count).filter((name) => moved.has(name))] };
    active = next;
  }
}

/** Something outside that a body of the linear scan reads under a name. */
interface Source {
  readonly role: "const" | "sequence";
  readonly value: Value;
}

interface Point {
  readonly outputs: readonly Value[];
  /** The carries as they come into every step, by their names; where the linear map reads them. */
  readonly carried: ReadonlyMap<string, Source>;
  /** Residuals by name. */
  readonly kept: ReadonlyMap<string, Source>;
}

/** The scan itself, with the residuals as further sequences; a residual that is the same in every step, or comes from outside, is taken there. */
function emitPoint(b: GraphBuilder, call: ScanCall, { point, linear, residuals }: Linearized, node: Node<"scan">): Point {
  const emit = emitInto(b);
  const read = new Set(linear.inputs.map(({ name }) => name));
  const carriesIn = byRole(point.inputs, { consts: call.consts.length, carries: call.carries.length }).carries.filter(({ name }) => read.has(name));
  const own = point.outputs.slice(0, call.body.outputs.length);
  const kept = point.outputs.slice(call.body.outputs.length);
  const extra: GraphOutput[] = [...kept, ...carriesIn.map(({ name, value }) => ({ name: `into.${name}`, value }))];
  const hoisted = hoist(emit, { ...call, body: { ...point, outputs: [...own, ...extra] } });
  const outside = new Map<Value, Source>();
  const { consts, sequences } = byRole(hoisted.body.inputs, { consts: hoisted.consts.length, carries: hoisted.carries.length });
  consts.forEach(({ value }, i) => outside.set(value, { role: "const", value: hoisted.consts[i]! }));
  sequences.forEach(({ value }, i) => outside.set(value, { role: "sequence", value: hoisted.sequences[i]! }));
  const stacked = extra.filter(({ value }) => !outside.has(value));
  const results = emitScan(emit, { ...hoisted, body: { ...hoisted.body, outputs: [...own, ...stacked] } }, node.origin);
  const sourceOf = (output: GraphOutput): Source => outside.get(output.value) ?? { role: "sequence", value: results[own.length + stacked.indexOf(output)]! };
  const sources = extra.map(sourceOf);
  return {
    outputs: results.slice(0, own.length),
    kept: new Map(residuals.map(({ name }, i) => [name, sources[i]!])),
    carried: new Map(carriesIn.map(({ name }, i) => [name, sources[residuals.length + i]!])),
  };
}

/** Everything that the linear map may read from outside, by its names there. */
function sourcesOf(call: ScanCall, names: ByRole<string>, given: ByRole<Tangent>, carried: ReadonlyMap<string, Source>, kept: ReadonlyMap<string, Source>): ReadonlyMap<string, Source> {
  const entries = (list: readonly string[], values: readonly Tangent[], role: Source["role"]): [string, Source][] => list.flatMap((name, i) => (values[i] === undefined ? [] : [[name, { role, value: values[i] }]]));
  return new Map([
    ...entries(names.consts, call.consts, "const"), ...entries(names.sequences, call.sequences, "sequence"), ...carried, ...kept,
    ...entries(names.consts.map(tangentName), given.consts, "const"), ...entries(names.sequences.map(tangentName), given.sequences, "sequence"),
  ]);
}

function linearCall(call: ScanCall, linear: Graph, names: ByRole<string>, active: readonly number[], initial: readonly Value[], read: ReadonlyMap<string, Source>): ScanCall {
  const carries = active.map((i) => linear.inputs.find(({ name }) => name === tangentName(names.carries[i]!))!);
  const others = linear.inputs.filter((input) => !carries.includes(input));
  const inRole = (role: Source["role"]): GraphInput[] => others.filter(({ name }) => read.get(name)!.role === role);
  const [consts, sequences] = [inRole("const"), inRole("sequence")];
  const values = (inputs: readonly GraphInput[]): Value[] => inputs.map(({ name }) => read.get(name)!.value);
  return { ...call, body: { ...linear, inputs: [...consts, ...carries, ...sequences] }, consts: values(consts), carries: initial, sequences: values(sequences) };
}

/** An operand of the body that is turned round. */
interface Operand {
  readonly name: string;
  readonly type: TensorType;
  /** The value outside, of one that is no linear value. */
  readonly fixed: Value | undefined;
  readonly linear: boolean;
}

/**
 * The body, turned round, gets the cotangents of its results and gives those of its linear operands. Those of carries are carried the other way;
 * those of constants are carried too, and every step adds its own, in the order of the turned steps.
 */
function transpose(b: GraphBuilder, { node, fixed, types, cotangents }: LinearControl<"scan">, { transpose: turn }: Pick<LinearBodies, "transpose">): readonly Tangent[] {
  const { params, origin } = node;
  const { length, reverse, consts, carries } = params;
  const whole = withRoleNames(params.body, params);
  const body = { ...whole, outputs: whole.outputs.filter((_, i) => i < carries || cotangents[i] !== undefined) };
  const isCarry = (i: number): boolean => i >= consts && i < consts + carries;
  const operands = body.inputs.map(({ name, value }, i): Operand => ({ name, type: value.type, fixed: fixed[i], linear: fixed[i] === undefined || isCarry(i) }));
  const turned = turn(body, operands.filter(({ linear }) => linear).map(({ name }) => name));
  const read = new Set(turned.inputs.map(({ name }) => name));
  const roles = byRole(operands, params);
  const given = (list: readonly Operand[]): Operand[] => list.filter(({ name, linear }) => !linear && read.has(name));
  const [fixedConsts, fixedSequences] = [given(roles.consts), given(roles.sequences)];
  const [summed, sliced] = [roles.consts, roles.sequences].map((list) => list.filter(({ linear }) => linear)) as [Operand[], Operand[]];
  const results = body.outputs.map(({ name, value }) => ({ name: turnedName(name), type: value.type }));
  const [states, slices] = [results.slice(0, carries), results.slice(carries)];
  const ofTypes = (...lists: readonly (readonly { readonly type: TensorType }[])[]): TensorType[] => lists.flat().map(({ type }) => type);
  const step = buildScanBody(`${body.name}.transposed`, { consts: ofTypes(fixedConsts), carries: ofTypes(states, summed), sequences: ofTypes(fixedSequences, slices) }, (c, inputs) => {
    const bind = (list: readonly { readonly name: string }[], values: readonly Value[]): [string, Value][] => list.map(({ name }, i) => [name, values[i]!]);
    const back = inline(c, turned, new Map([...bind(fixedConsts, inputs.consts), ...bind(states, inputs.carries), ...bind([...fixedSequences, ...slices], inputs.sequences)]));
    const cotangentOf = ({ name }: Operand): Value => back.get(turnedName(name))!;
    c.setOrigin(origin);
    return {
      carries: [...roles.carries.map(cotangentOf), ...summed.map((operand, i) => add(c, inputs.carries[carries + i]!, cotangentOf(operand)))],
      results: sliced.map(cotangentOf),
    };
  });
  const emit = emitInto(b);
  const outer = emitScan(emit, hoist(emit, {
    body: step, length, reverse: !reverse,
    consts: fixedConsts.map((operand) => operand.fixed!),
    carries: [...states.map(({ type }, i) => cotangents[i] ?? zeros(b, type)), ...summed.map(({ type }) => zeros(b, type))],
    sequences: [...fixedSequences.map((operand) => operand.fixed!), ...cotangents.slice(carries).filter((one) => one !== undefined)],
  }), origin);
  const found = new Map([...roles.carries, ...summed, ...sliced].map((operand, i) => [operand.name, outer[i]!]));
  return types.map((_, i) => found.get(operands[i]!.name));
}
