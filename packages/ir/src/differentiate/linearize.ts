/** @file Linearization: the JVP, split into the part that depends on the point only and the linear map of the tangents. */
import type { Graph } from "../graph.ts";
import { jvp } from "./jvp.ts";
import { splitTangents, type Linearized, type LinearizeOptions } from "./splitTangents.ts";

export { residualBytes, type Linearized, type LinearizeOptions, type Residual } from "./splitTangents.ts";

export function linearize(graph: Graph, options: LinearizeOptions): Linearized {
  return splitTangents(graph, jvp(graph, options), options);
}
