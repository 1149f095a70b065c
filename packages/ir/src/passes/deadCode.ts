/** @file dead-code: nodes whose results nothing uses, and what nothing uses of structured control. Inputs and parameters stay: they are the graph's signature. */
import { pass } from "@systole/base";
import type { Graph, Node, Value } from "../graph.ts";
import { pruneControl } from "./pruneControl.ts";

export const deadCode = pass<Graph>("dead-code", "Removes nodes whose results nothing uses, and what nothing uses of scans and conditionals.", removeDeadCode);

export function removeDeadCode(graph: Graph): Graph {
  const live = new Set<Value>(graph.outputs.map((output) => output.value));
  const kept: Node[] = [];
  let changed = false;
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => live.has(value))) {
      changed = true;
      continue;
    }
    const pruned = pruneControl(node, (value) => live.has(value), removeDeadCode);
    changed ||= pruned !== node;
    kept.push(pruned);
    for (const value of pruned.inputs) live.add(value);
  }
  return changed ? { ...graph, nodes: kept.reverse() } : graph;
}
