/**
 * @file The derivative of `while`: a second loop that carries values and tangents side by side. The number of steps depends on the point, so there
 * is no linear map apart from it, and nothing to turn round.
 */
import { fail } from "@systole/base";
import { GraphBuilder } from "../../builder.ts";
import type { Graph, Node, Value } from "../../graph.ts";
import { zeros } from "../../primitives/emit.ts";
import type { Tangent } from "../../primitives/primitive.ts";
import { inline } from "../inline.ts";
import { tangentName } from "../names.ts";
import { emitInto, inlineBody } from "./call.ts";
import type { BodyDerivatives, ControlRules, ResultsAndTangents } from "./rules.ts";

export const whileRules: ControlRules<"while"> = {
  jvp,
  linearity: refuse,
  transpose: refuse,
};

function refuse(): never {
  return fail("E0208", "a loop whose number of steps depends on data has a tangent, but cannot be turned round", {}, ["Gradients need a known number of steps (scan)."]);
}

function jvp(b: GraphBuilder, node: Node<"while">, inputs: readonly Value[], tangents: readonly Tangent[], bodies: BodyDerivatives): ResultsAndTangents {
  const emit = emitInto(b);
  const { consts } = node.params;
  const outputs = emit("while", inputs, node.params, node.origin);
  const body = positional(node.params.body);
  const names = body.inputs.map(({ name }) => name);
  const { active, wrt, moved } = settle(body, consts, tangents, bodies);
  if (active.length === 0) return { outputs, tangents: [] };
  b.setOrigin(node.origin);
  const directions = wrt.map((name) => tangents[names.indexOf(name)] ?? zeros(b, inputs[names.indexOf(name)]!.type));
  // Constants, their tangents, carries, their tangents.
  const fixed = wrt.filter((name) => names.indexOf(name) < consts).length;
  const operands = [...inputs.slice(0, consts), ...directions.slice(0, fixed), ...inputs.slice(consts), ...directions.slice(fixed)];
  const withTangents = (make: (c: GraphBuilder, values: readonly Value[], tangentsOf: readonly Value[]) => readonly Value[]): Graph => {
    const c = new GraphBuilder();
    const values = operands.map(({ type }, i) => c.input(`i${i}`, type));
    const carried = values.slice(consts + fixed);
    const own = [...values.slice(0, consts), ...carried.slice(0, inputs.length - consts)];
    make(c, own, [...values.slice(consts, consts + fixed), ...carried.slice(inputs.length - consts)]).forEach((value, i) => c.output(`o${i}`, value));
    return c.build(node.params.body.name);
  };
  const whole = bodies.jvp(body, { wrt, of: moved });
  const results = emit("while", operands, {
    condition: withTangents((c, own) => inlineBody(c, node.params.condition, own)),
    body: withTangents((c, own, along) => {
      const made = inline(c, whole, new Map([...names.map((name, i) => [name, own[i]!] as const), ...wrt.map((name, i) => [tangentName(name), along[i]!] as const)]));
      return [...body.outputs.map(({ name }) => made.get(name)!), ...moved.map((name) => made.get(tangentName(name))!)];
    }),
    consts: consts + fixed,
  }, node.origin);
  const along = results.slice(outputs.length);
  return { outputs, tangents: outputs.map((_, i) => (active.includes(i) ? along[active.indexOf(i)] : undefined)) };
}

/** Inputs i0, i1, ..., outputs o0, o1, ... */
function positional(body: Graph): Graph {
  const b = new GraphBuilder();
  inlineBody(b, body, body.inputs.map(({ value }, i) => b.input(`i${i}`, value.type))).forEach((value, i) => b.output(`o${i}`, value));
  return b.build(body.name);
}

/** Which carries have tangents, at the start or after some step. `wrt` names constants before carries. */
function settle(body: Graph, consts: number, tangents: readonly Tangent[], bodies: BodyDerivatives): { readonly active: readonly number[]; readonly wrt: readonly string[]; readonly moved: readonly string[] } {
  let active = body.outputs.map((_, i) => i).filter((i) => tangents[consts + i] !== undefined);
  for (;;) {
    const wrt = body.inputs.map(({ name }) => name).filter((_, i) => (i < consts ? tangents[i] !== undefined : active.includes(i - consts)));
    const found = bodies.moved(body, wrt);
    const next = body.outputs.map((_, i) => i).filter((i) => active.includes(i) || found.has(body.outputs[i]!.name));
    if (next.length === active.length) return { active, wrt, moved: active.map((i) => body.outputs[i]!.name) };
    active = next;
  }
}
