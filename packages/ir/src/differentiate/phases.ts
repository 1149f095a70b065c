/** @file Says of every node of a derived graph which phase it belongs to; passes keep it, as they keep the ONNX node. */
import type { Phase } from "@systole/base";
import type { Graph, Node, Origin, Value } from "../graph.ts";

/** All nodes in one phase. */
export function inPhase(graph: Graph, phase: Phase): Graph {
  return withPhases(graph, () => phase);
}

/**
 * What the named outputs need is forward; everything else is backward: the transposed map, the gradient of the loss at the scores, and
 * values that only derivatives read.
 */
export function forwardAndBackward(graph: Graph, isForward: (output: string) => boolean): Graph {
  const forward = ancestors(graph, graph.outputs.filter(({ name }) => isForward(name)).map(({ value }) => value));
  return withPhases(graph, (node) => (forward.has(node) ? "forward" : "backward"));
}

/** The nodes that the values need. */
export function ancestors(graph: Graph, values: readonly Value[]): ReadonlySet<Node> {
  const needed = new Set(values);
  const result = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => needed.has(value))) continue;
    result.add(node);
    for (const value of node.inputs) needed.add(value);
  }
  return result;
}

function withPhases(graph: Graph, phaseOf: (node: Node) => Phase): Graph {
  const known = new Map<Origin, Map<Phase, Origin>>();
  const marked = (origin: Origin, phase: Phase): Origin => {
    const phases = known.get(origin) ?? new Map<Phase, Origin>();
    const result = phases.get(phase) ?? { ...origin, phase };
    known.set(origin, phases.set(phase, result));
    return result;
  };
  return { ...graph, nodes: graph.nodes.map((node) => ({ ...node, origin: marked(node.origin, phaseOf(node)) })) };
}
