/** @file Parameters as inputs: a program binds them to pieces of one vector. */
import type { Graph } from "../graph.ts";

/** The graph with the named parameters as inputs, in the order of the names, behind the inputs it has. Names that the graph does not have are left out. */
export function parametersAsInputs(graph: Graph, names: readonly string[]): Graph {
  const moved = names.flatMap((name) => graph.parameters.filter((parameter) => parameter.name === name));
  return {
    ...graph,
    inputs: [...graph.inputs, ...moved.map(({ name, value }) => ({ name, value }))],
    parameters: graph.parameters.filter((parameter) => !moved.includes(parameter)),
  };
}
