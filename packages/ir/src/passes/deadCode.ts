/** @file dead-code: nodes whose results nothing uses. Inputs and parameters stay: they are the graph's signature. */
import { pass } from "@systole/base";
import type { Graph, Node, Value } from "../graph.ts";

export const deadCode = pass<Graph>("dead-code", "Removes nodes whose results nothing uses.", removeDeadCode);

export function removeDeadCode(graph: Graph): Graph {
  const live = new Set<Value>(graph.outputs.map((output) => output.value));
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => live.has(value))) continue;
    kept.push(node);
    for (const value of node.inputs) live.add(value);
  }
  return kept.length === graph.nodes.length ? graph : { ...graph, nodes: kept.reverse() };
}
