/**
 * @file canonicalize-layout: transposes sink through the nodes that do not mind and meet those that undo them, so that
 * a convolutional network stays channels-last between its convolutions. Kept only if less data is moved at the end.
 */
import { elementCount, pass } from "@systole/base";
import { isNode, uses, type Graph, type Node, type Value } from "../graph.ts";
import { removeDeadCode } from "./deadCode.ts";
import { mayPass, sink } from "./layout/sink.ts";
import { compose, isIdentity, movesOnlyUnitAxes } from "./permutation.ts";
import { rewriteGraph, type Rewriter } from "./rewrite.ts";

export const canonicalizeLayout = pass<Graph>("canonicalize-layout", "Moves transposes down to where they cancel.", (graph) => {
  const users = uses(graph);
  const outputs = new Set(graph.outputs.map((output) => output.value));
  /** The value of the given graph that a new value stands for. */
  const originals = new Map<Value, Value>();
  // Passing one of several users leaves the transpose to the others: all must be passable.
  const free = (value: Value): boolean => {
    const original = originals.get(value) ?? value;
    return !outputs.has(original) && (users.get(original) ?? []).every((user) => user.op === "transpose" || mayPass(user.op));
  };
  const moved = rewriteGraph(graph, (node, r) => {
    const result = cancelled(node, r) ?? (mayPass(node.op) && transposedOperands(node, r).every(free) ? sink(node, r) : undefined);
    if (result === undefined) return undefined;
    originals.set(result, node.outputs[0]!);
    return [result];
  });
  if (moved === graph) return graph;
  const cleaned = removeDeadCode(moved);
  return movedElements(cleaned) < movedElements(removeDeadCode(graph)) ? cleaned : graph;
});

function transposedOperands(node: Node, r: Rewriter): readonly Value[] {
  return node.inputs.filter((value) => r.definition(value)?.op === "transpose");
}

/** A transpose of a transpose is one, and often none. */
function cancelled(node: Node, r: Rewriter): Value | undefined {
  if (!isNode(node, "transpose")) return undefined;
  const inner = r.definition(node.inputs[0]!);
  if (!isNode(inner, "transpose")) return undefined;
  const permutation = compose(inner.params.permutation, node.params.permutation);
  if (isIdentity(permutation)) return inner.inputs[0];
  return r.emit("transpose", [inner.inputs[0]!], { permutation }, node.origin, node.outputs[0]!.name)[0];
}

/** Elements that transposes move; those of constants are moved at compile time. */
export function movedElements(graph: Graph): number {
  const constants = new Set<Value>(graph.nodes.filter((node) => node.op === "constant").flatMap((node) => node.outputs));
  return graph.nodes.reduce((sum, node) => {
    if (!isNode(node, "transpose") || constants.has(node.inputs[0]!)) return sum;
    const { shape } = node.inputs[0]!.type;
    return movesOnlyUnitAxes(shape, node.params.permutation) ? sum : sum + elementCount(shape);
  }, 0);
}
