/**
 * @file What a kernel takes before it has tiles: its busiest unit, of units that are never short of anything. Enough to tell whether two kernels are better off as one.
 */
import type { Machine } from "@systole/isa";
import { touchedBytes } from "../bounds.ts";
import { accessesOf, macsOf, outputsOf, readsOf, waitingResults, type Access, type Chain, type Kernel } from "../kernel.ts";
import { laneCycles } from "../tiling/vectorCost.ts";

export function roughCycles(kernel: Kernel, machine: Machine): number {
  const { array, external, vector, dataCache } = machine;
  const all = kernel.dims.reduce((n, { extent }) => n * extent, 1);
  const points = kernel.dims.slice(0, kernel.parallel).reduce((n, { extent }) => n * extent, 1);
  const pass = (chain: Chain, count: number) => Math.ceil(count / vector.lanes) * laneCycles(chain) * Math.max(1, Math.ceil(chain.stages.length / vector.chainedOperations));
  const { engine } = kernel;
  const vectorCycles = (engine.kind === "reduction" ? engine.folds.reduce((sum, { chain }) => sum + pass(chain, all), 0) : 0) + kernel.results.reduce((sum, { chain }) => sum + pass(chain, points), 0);
  const bytes = (accesses: readonly Access[]) => [...new Map(accesses.map((access) => [access.tensor, access])).values()].reduce((sum, access) => sum + touchedBytes(kernel, access), 0);
  const total = bytes(accessesOf(kernel));
  // What is small lies in the data cache, as a rule. Of what is not, each tile waits for the results it reads; in kernels of their own others would come in between.
  const small = total * smallPart <= dataCache.bytes;
  const tiles = 1 + Math.ceil((total * smallPart) / dataCache.bytes);
  const transferCycles = small ? 0 : Math.max(bytes(readsOf(kernel)) / external.readBytesPerCycle, bytes(outputsOf(kernel)) / external.writeBytesPerCycle);
  return Math.max(macsOf(kernel) / (array.rows * array.columns), vectorCycles + waitingResults(kernel) * tiles * vector.latencyCycles, transferCycles);
}

const smallPart = 4;
