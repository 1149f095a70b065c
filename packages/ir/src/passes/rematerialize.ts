/**
 * @file rematerialize: values that one phase of a derived program makes and a later one reads again are computed again where they are read, if that takes cheap
 * elementwise operations on values that are at hand there anyway. Fewer bytes are kept from the forward pass to the backward part and the
 * product, for more elementwise work. The operations are the same on the same operands: no bit changes.
 *
 * Not in the lists of `index.ts`: whoever wants it runs it behind them (common subexpressions would take it back).
 */
import { byteCount, elementwiseOps, pass, type Phase } from "@systole/base";
import { definitions, type Graph, type Node, type Value } from "../graph.ts";
import { removeDeadCode } from "./deadCode.ts";

/** Movement of elements that costs nothing, and constants. */
const free: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape", "transpose", "stop_gradient"]);

/** One operation a lane and cycle; no function that takes a series. */
function isCheap({ op }: Node): boolean {
  if (free.has(op) || op === "select" || op === "convert") return true;
  const row = (elementwiseOps as Readonly<Record<string, { readonly laneCycles: number }>>)[op];
  return row !== undefined && row.laneCycles === 1;
}

/** More operations than the vector unit chains would be a pass of their own. */
const mostOperations = 8;

/** The nodes that make `value` again from what `isAtHand` says, operands first; undefined where that is not cheap. */
export function rederivation(value: Value, defined: ReadonlyMap<Value, Node>, isAtHand: (value: Value) => boolean): readonly Node[] | undefined {
  const nodes = new Set<Node>();
  const visit = (v: Value, isGoal: boolean): boolean => {
    if (!isGoal && isAtHand(v)) return true;
    const node = defined.get(v);
    if (node === undefined) return true;
    if (nodes.has(node)) return true;
    if (!isCheap(node) || node.outputs.length !== 1 || !node.inputs.every((input) => visit(input, false))) return false;
    nodes.add(node);
    return [...nodes].filter(({ op }) => !free.has(op)).length <= mostOperations;
  };
  return visit(value, true) ? [...nodes] : undefined;
}

export const rematerialize = pass<Graph>("rematerialize", "Computes cheap values of an earlier phase again where a later one reads them.", (graph) => {
  const phaseOf = new Map<Value, Phase>();
  for (const { outputs, origin } of graph.nodes) for (const value of outputs) if (origin.phase !== undefined) phaseOf.set(value, origin.phase);
  const defined = definitions(graph);
  const phases = new Set(phaseOf.values());
  let current = graph;
  for (const phase of phases) current = inPhase(current, phase, phaseOf, defined);
  return current === graph ? graph : removeDeadCode(current);
});

/** Values of other phases that nodes of this one read. */
function inPhase(graph: Graph, phase: Phase, phaseOf: ReadonlyMap<Value, Phase>, defined: ReadonlyMap<Value, Node>): Graph {
  const own = graph.nodes.filter(({ origin }) => origin.phase === phase);
  const foreign = new Set(own.flatMap(({ inputs }) => inputs).filter((value) => phaseOf.has(value) && phaseOf.get(value) !== phase));
  const dropped = new Map<Value, readonly Node[]>();
  // The latest first: what they are made of is still kept then.
  for (const value of [...foreign].toReversed()) {
    const nodes = rederivation(value, defined, (v) => foreign.has(v) && !dropped.has(v));
    if (nodes !== undefined && nodes.some(({ op }) => !free.has(op))) dropped.set(value, nodes);
  }
  if (dropped.size === 0) return graph;
  return withCopies(graph, phase, dropped);
}

/** Each dropped value is made again in front of its first reader in the phase. */
function withCopies(graph: Graph, phase: Phase, dropped: ReadonlyMap<Value, readonly Node[]>): Graph {
  let id = graph.nodes.reduce((most, { outputs }) => Math.max(most, ...outputs.map((value) => value.id)), Math.max(0, ...[...graph.inputs, ...graph.parameters].map(({ value }) => value.id))) + 1;
  const copies = new Map<Value, Value>();
  const nodes: Node[] = [];
  const again = (value: Value): Value => {
    const known = copies.get(value);
    if (known !== undefined) return known;
    for (const node of dropped.get(value)!) {
      const [made] = node.outputs;
      if (copies.has(made!)) continue;
      const copy: Value = { id: id++, type: made!.type };
      nodes.push({ ...node, inputs: node.inputs.map((input) => copies.get(input) ?? (dropped.has(input) ? again(input) : input)), outputs: [copy], origin: { ...node.origin, phase } });
      copies.set(made!, copy);
    }
    return copies.get(value)!;
  };
  for (const node of graph.nodes) {
    if (node.origin.phase !== phase || !node.inputs.some((input) => dropped.has(input))) nodes.push(node);
    else {
      const inputs = node.inputs.map((input) => (dropped.has(input) ? again(input) : input));
      nodes.push({ ...node, inputs });
    }
  }
  return { ...graph, nodes };
}

/** Bytes of values that one phase makes and another reads: what lies in memory between them. */
export function keptBytes(graph: Graph): number {
  const made = new Map<Value, Phase | undefined>();
  for (const { outputs, origin } of graph.nodes) for (const value of outputs) made.set(value, origin.phase);
  const kept = new Set(graph.nodes.flatMap(({ inputs, origin }) => inputs.filter((value) => made.has(value) && made.get(value) !== origin.phase)));
  return [...kept].reduce((sum, { type }) => sum + byteCount(type), 0);
}
