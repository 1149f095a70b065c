/** @file The passes over graphs, in order. The command line's options follow from this list. */
import { pass, runPasses, type Pass, type PassObserver } from "@systole/base";
import { mapBodies, type Graph } from "../graph.ts";
import { bindParameters, dropGradientMarkers } from "./bindParameters.ts";
import { canonicalizeLayout } from "./canonicalizeLayout.ts";
import { commonSubexpressions } from "./commonSubexpressions.ts";
import { deadCode } from "./deadCode.ts";
import { foldConstants } from "./foldConstants.ts";
import { hoistFromScans } from "./hoistFromScans.ts";
import { lowerRandomBits } from "./lowerRandomBits.ts";
import { matrixChain } from "./matrixChain.ts";
import { simplify } from "./simplify.ts";
import { unrollControl } from "./unrollControl.ts";

/** The pass on the graph and on every body in it. */
function everywhere({ name, doc, run }: Pass<Graph>): Pass<Graph> {
  const runOn = (graph: Graph): Graph => run(mapBodies(graph, runOn));
  return pass(name, doc, runOn);
}

/** Only for inference: afterwards the graph has no parameters and cannot be differentiated. */
export const inferencePasses: readonly Pass<Graph>[] = [bindParameters, everywhere(dropGradientMarkers)];

/** Keep every bit of every output; run until nothing changes. */
export const cleanupPasses: readonly Pass<Graph>[] = [foldConstants, simplify, commonSubexpressions, canonicalizeLayout, deadCode].map(everywhere);

/** For the device, whose kernels have no branch in them and no random numbers. Scans that are left become loops of a program (`lowerScans`). */
export const devicePasses: readonly Pass<Graph>[] = [everywhere(hoistFromScans), unrollControl, everywhere(lowerRandomBits)];

export const graphPasses: readonly Pass<Graph>[] = [...inferencePasses, ...devicePasses, ...cleanupPasses];

/** Change roundings; in no other list: whoever wants them runs them before the others. `reorderChains` also says what they did. */
export const reassociationPasses: readonly Pass<Graph>[] = [matrixChain];

/** A bound against rules that undo each other; real graphs need two or three rounds. */
const maximalRounds = 16;

/** All passes once, then the clean-up passes until they return the same graph. */
export function optimize(graph: Graph, observer: PassObserver<Graph> = {}): Graph {
  return cleanUp(runPasses(graphPasses, graph, observer), observer);
}

/** For derived programs: parameters stay parameters, so that nothing that depends on one is folded. */
export function optimizeTrainable(graph: Graph, observer: PassObserver<Graph> = {}): Graph {
  return cleanUp(runPasses([everywhere(dropGradientMarkers), ...devicePasses, ...cleanupPasses], graph, observer), observer);
}

function cleanUp(graph: Graph, observer: PassObserver<Graph>): Graph {
  let current = graph;
  for (let round = 1; round < maximalRounds; round++) {
    const next = runPasses(cleanupPasses, current, observer);
    if (next === current) break;
    current = next;
  }
  return current;
}
