/**
 * @file unroll-control: what kernels do of structured control. A scan of one step becomes that step; a conditional both branches and
 * a choice between their results, or the one branch where the condition is known. Longer scans stay: programs loop over them. Every bit stays.
 */
import { allocate, fail, pass } from "@systole/base";
import { isNode, mapBodies, type Graph, type Node, type Origin, type Value } from "../graph.ts";
import { byRole } from "../primitives/scan.ts";
import { rewriteGraph, type Rewriter } from "./rewrite.ts";
import { splatOf } from "./splat.ts";

/** Scans of more steps are loops of a program. */
const mostUnrolledSteps = 1;

export const unrollControl = pass<Graph>("unroll-control", "Writes out scans of one step, and both branches of conditionals with a choice between them.", (graph) => unrolled(graph, mostUnrolledSteps));

/** Without conditionals, and without scans of up to so many steps. */
export function unrolled(graph: Graph, mostSteps: number): Graph {
  return rewriteGraph(mapBodies(graph, (body) => unrolled(body, mostSteps)), (node, r) => {
    if (isNode(node, "scan")) return node.params.length <= mostSteps ? unrollScan(node, r) : undefined;
    if (isNode(node, "while")) return fail("E0303", "a loop whose number of steps depends on data", { node: node.origin.node, operator: node.origin.operator }, ["The device runs recurrences; their number of steps must be known."]);
    return isNode(node, "cond") ? chooseBranch(node, r) : undefined;
  });
}

function unrollScan(node: Node<"scan">, r: Rewriter): readonly Value[] {
  const { body, length, reverse, carries } = node.params;
  const { consts, carries: initial, sequences } = byRole(node.inputs, node.params);
  const results: (readonly Value[])[] = [];
  let state: readonly Value[] = initial;
  for (let step = 0; step < length; step++) {
    const t = reverse ? length - 1 - step : step;
    const outputs = inlineWith(body, [...consts, ...state, ...sequences.map((sequence) => sliceAt(sequence, t, node.origin, r))], node.origin, r);
    state = outputs.slice(0, carries);
    results[t] = outputs.slice(carries);
  }
  return [...state, ...node.outputs.slice(carries).map((value, i) => stack(results.map((one) => one[i]!), value, node.origin, r))];
}

function sliceAt(sequence: Value, t: number, origin: Origin, r: Rewriter): Value {
  const { shape } = sequence.type;
  const one = r.emit("slice", [sequence], { starts: shape.map((_, axis) => (axis === 0 ? t : 0)), limits: shape.with(0, t + 1), strides: shape.map(() => 1) }, origin)[0]!;
  return r.emit("reshape", [one], { shape: shape.slice(1) }, origin)[0]!;
}

/** The slices along a new first axis; of none, an empty tensor. */
function stack(slices: readonly Value[], { type, name }: Value, origin: Origin, r: Rewriter): Value {
  if (slices.length === 0) return r.emit("constant", [], { value: { ...type, data: allocate(type.dtype, 0) } }, origin, name)[0]!;
  const rows = slices.map((slice) => r.emit("reshape", [slice], { shape: [1, ...slice.type.shape] }, origin)[0]!);
  return r.emit("concat", rows, { axis: 0 }, origin, name)[0]!;
}

function chooseBranch(node: Node<"cond">, r: Rewriter): readonly Value[] {
  const [condition, ...operands] = node.inputs as [Value, ...Value[]];
  const known = splatOf(condition, r);
  if (known !== undefined) return inlineWith(Number(known) === 0 ? node.params.onFalse : node.params.onTrue, operands, node.origin, r);
  const [then, otherwise] = [node.params.onTrue, node.params.onFalse].map((branch) => inlineWith(branch, operands, node.origin, r)) as [readonly Value[], readonly Value[]];
  return then.map((value, i) => {
    const spread = r.emit("broadcast", [condition], { shape: value.type.shape, axes: [] }, node.origin)[0]!;
    return r.emit("select", [spread, value, otherwise[i]!], {}, node.origin)[0]!;
  });
}

/** The body's outputs; its nodes get the phase of the node that they were in. */
function inlineWith(body: Graph, operands: readonly Value[], { phase }: Origin, r: Rewriter): readonly Value[] {
  const values = new Map(body.inputs.map(({ value }, i) => [value, operands[i]!]));
  for (const node of body.nodes) {
    const origin = phase === undefined ? node.origin : { ...node.origin, phase };
    const outputs = r.emit(node.op, node.inputs.map((value) => values.get(value)!), node.params, origin);
    node.outputs.forEach((value, i) => values.set(value, outputs[i]!));
  }
  return body.outputs.map(({ value }) => values.get(value)!);
}
