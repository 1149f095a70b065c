/** @file bind-parameters and drop-gradient-markers: what turns a trainable graph into one for inference. */
import { pass } from "@systole/base";
import type { Graph, Node } from "../graph.ts";
import { rewriteGraph } from "./rewrite.ts";

export const bindParameters = pass<Graph>("bind-parameters", "Turns parameters into constants.", (graph) => {
  if (graph.parameters.length === 0) return graph;
  const constants = graph.parameters.map(({ name, value, tensor }): Node<"constant"> => {
    return { op: "constant", inputs: [], params: { value: tensor }, outputs: [value], origin: { node: name, operator: "" } };
  });
  return { ...graph, parameters: [], nodes: [...constants, ...graph.nodes] };
});

export const dropGradientMarkers = pass<Graph>("drop-gradient-markers", "Removes stop_gradient: nothing is differentiated behind this point.", (graph) =>
  rewriteGraph(graph, (node) => (node.op === "stop_gradient" ? node.inputs : undefined)),
);
