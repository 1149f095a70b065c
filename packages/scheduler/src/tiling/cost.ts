/**
 * @file The analytic cost model. Units overlap, so a kernel takes what its busiest unit takes, plus the first load before the array or the
 * vector unit can start and the last tile's way out. Formulas of the array: docs/timing-model.md.
 */
import { bytesOf, elementwiseOps } from "@systole/base";
import type { Machine } from "@systole/isa";
import type { Access, Chain, Kernel } from "../kernel.ts";
import type { Box, Level, Operand, Prediction } from "../schedule.ts";
import { externalOrder, loadCount } from "./operand.ts";

/** Bytes of whole bursts that one box moves: contiguous runs are counted one by one. */
export function boxTraffic(access: Access, box: Box, machine: Machine): number {
  const width = bytesOf(access.tensor.type.dtype);
  const burst = machine.external.burstBytes;
  let run = width;
  let runs = 1;
  let contiguous = true;
  for (const i of externalOrder(access).reverse()) {
    const c = access.coordinates[i]!;
    const extent = Math.min(box.extents[i]!, c.size);
    if (contiguous && c.stride * width === run) run *= extent;
    else { contiguous = false; runs *= extent; }
    if (extent < c.size) contiguous = false;
  }
  return runs * burstsOf(run, burst) * burst;
}

/** Cycles in which the engine waits because the loads of an iteration take longer than the work queued before it. */
function loadStalls(traffic: readonly { readonly once: number; readonly times: number; readonly slots: number }[], iterations: number, input: CostInput): number {
  const { readBytesPerCycle, latencyCycles } = input.machine.external;
  const each = traffic.filter((t) => t.times === iterations);
  const every = each.reduce((sum, t) => sum + t.once, 0) / readBytesPerCycle;
  const exposed = (cycles: number, slots: number) => Math.max(0, cycles + latencyCycles - input.lookaheadCycles(slots));
  const rare = traffic.filter((t) => t.times < iterations && t.times > 1)
    .reduce((sum, t) => sum + t.times * Math.min(t.once / readBytesPerCycle, exposed(every + t.once / readBytesPerCycle, t.slots)), 0);
  return Math.ceil((every > 0 ? iterations * exposed(every, Math.min(...each.map((t) => t.slots))) : 0) + rare);
}

/** Bytes of whole bursts that storing one tile moves. */
export function storeTraffic(access: Access, tile: readonly number[], machine: Machine): number {
  const width = bytesOf(access.tensor.type.dtype);
  const burst = machine.external.burstBytes;
  let run = width;
  let runs = 1;
  let contiguous = true;
  for (const c of [...access.coordinates].sort((a, b) => Math.abs(a.stride) - Math.abs(b.stride))) {
    const n = c.terms.reduce((p, t) => p * tile[t.dim]!, 1);
    const dense = c.terms.length === 1 && c.terms[0]!.factor === 1;
    if (contiguous && dense && c.stride * width === run) run *= n;
    else { contiguous = false; runs *= n; }
    if (n < c.size) contiguous = false;
  }
  return runs * Math.ceil(run / burst) * burst;
}

function burstsOf(run: number, burst: number): number {
  // A run that is no multiple of a burst starts anywhere: on average it touches one more.
  return run % burst === 0 ? run / burst : Math.ceil((run - 1) / burst + 0.5);
}

export interface ArrayBlock {
  readonly rows: number;
  readonly contracted: number;
  readonly columns: number;
  readonly dataflow: "weight-stationary" | "output-stationary";
}

/** Cycles between the starts of two blocks of this size, array busy all the time. */
export function blockCycles(b: ArrayBlock, machine: Machine): number {
  const { rows: R, columns: C, weightRowsPerCycle } = machine.array;
  const panels = Math.ceil(b.columns / C);
  if (b.dataflow === "output-stationary") {
    return Math.ceil(b.rows / R) * panels * Math.max(b.contracted, 2 * R - 1);
  }
  const kTiles = Math.ceil(b.contracted / R);
  const reload = Math.ceil(R / weightRowsPerCycle);
  const strict = kTiles > 1 ? Math.ceil((R + 1 + machine.accumulators.writeToReadCycles) / panels) : 0;
  return panels * kTiles * Math.max(b.rows, reload, strict);
}

/** From the start of the last pass to the sums standing in the accumulators. */
export function blockLatency(b: ArrayBlock, machine: Machine): number {
  const { rows: R, columns: C } = machine.array;
  return b.dataflow === "output-stationary" ? b.contracted + 2 * R + C - 2 : Math.min(b.rows, 1 << 30) + R + C - 2;
}

export function chainCycles(chain: Chain): number {
  return chain.stages.reduce((most, stage) => Math.max(most, elementwiseOps[stage.operation].laneCycles), 1);
}

export interface CostInput {
  readonly kernel: Kernel;
  readonly levels: readonly Level[];
  readonly operands: readonly Operand[];
  readonly machine: Machine;
  readonly arrayCycles: number;
  readonly vectorCycles: number;
  /** Bytes of one store and how many there are. */
  readonly storeBytes: number;
  readonly stores: number;
  /** Work that is queued behind a load into a buffer of so many slots: what hides the load. */
  readonly lookaheadCycles: (slots: number) => number;
  /** From the last load to the first result in staging, beyond the busy time: latencies of array and vector unit. */
  readonly tailCycles: number;
}

export function predict(input: CostInput): Prediction {
  const { machine, operands, levels } = input;
  const traffic = operands.map((o) => ({ once: boxTraffic(o.access, o.box, machine), times: loadCount(o, levels), slots: o.buffer.slots }));
  const readBytes = traffic.reduce((sum, t) => sum + t.once * t.times, 0);
  const writeBytes = input.storeBytes * input.stores;
  const loadCycles = Math.ceil(readBytes / machine.external.readBytesPerCycle);
  const storeCycles = Math.ceil(writeBytes / machine.external.writeBytesPerCycle);
  const { arrayCycles, vectorCycles } = input;
  const busiest = Math.max(arrayCycles, loadCycles, storeCycles, vectorCycles);
  const boundBy = busiest === arrayCycles && arrayCycles > 0 ? "array" : busiest === loadCycles ? "load" : busiest === vectorCycles ? "vector" : "store";
  const firstLoad = Math.ceil(traffic.reduce((sum, t) => sum + t.once, 0) / machine.external.readBytesPerCycle) + (operands.length > 0 ? machine.external.latencyCycles : 0);
  const lastStore = Math.ceil(input.storeBytes / machine.external.writeBytesPerCycle) + machine.external.latencyCycles;
  const tiles = Math.max(1, levels.filter((l) => l.kind !== "panel").reduce((n, l) => n * l.count, 1));
  const stall = boundBy === "load" ? 0 : loadStalls(traffic, tiles, input);
  const lead = boundBy === "load" ? Math.ceil((arrayCycles + vectorCycles) / tiles) + machine.external.latencyCycles : firstLoad;
  const cycles = busiest + stall + lead + input.tailCycles + (boundBy === "store" ? machine.external.latencyCycles : lastStore) + 2 * tiles;
  return { cycles, arrayCycles, loadCycles, storeCycles, vectorCycles, readBytes, writeBytes, boundBy };
}
