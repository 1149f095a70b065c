/**
 * @file The analytic cost model. Units overlap, so a kernel takes what its busiest unit takes, plus the first load before the array or the
 * vector unit can start and the last tile's way out. Formulas of the array: docs/timing-model.md.
 */
import { bytesOf } from "@systole/base";
import type { Machine } from "@systole/isa";
import { outputsOf, type Access, type Kernel } from "../kernel.ts";
import type { Box, Level, Operand, Prediction } from "../schedule.ts";
import { inPlaceSlots, overwrittenReads } from "../inPlace.ts";
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

/** Cycles of the load unit for all loads of an operand. */
export function allLoadCycles(operand: Operand, levels: readonly Level[], machine: Machine): number {
  if (operand.access.direct === true) return 0;
  return loadCyclesOf(operand.access, operand.box, machine) * loadCount(operand, levels);
}

const knownLoadCycles = new WeakMap<Box, { readonly access: Access; readonly machine: Machine; readonly cycles: number }>();

/** Cycles of the load unit for one box. Inside the data cache a lane moves one element a cycle. */
export function loadCyclesOf(access: Access, box: Box, machine: Machine): number {
  const known = knownLoadCycles.get(box);
  if (known !== undefined && known.access === access && known.machine === machine) return known.cycles;
  const cycles = access.tensor.memory !== "cache" ? boxTraffic(access, box, machine) / machine.external.readBytesPerCycle : Math.ceil(box.extents.reduce((points, extent) => points * extent, 1) / machine.vector.lanes);
  knownLoadCycles.set(box, { access, machine, cycles });
  return cycles;
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
  /** Sums go on from what stands in the accumulators. */
  readonly continues?: boolean;
  /** Other panels whose blocks lie between two blocks of the same sums; undefined where a block holds the whole sum. */
  readonly panelsBetween?: number;
}

/** Cycles between the starts of two blocks of this size, array busy all the time. */
export function blockCycles(b: ArrayBlock, machine: Machine): number {
  const { rows: R, columns: C, weightRowsPerCycle } = machine.array;
  const panels = Math.ceil(b.columns / C);
  if (b.dataflow === "output-stationary") {
    return Math.ceil(b.rows / R) * panels * Math.max(b.contracted + preloadCycles(b, machine), 2 * R - 1);
  }
  const kTiles = Math.ceil(b.contracted / R);
  const reload = Math.ceil(R / weightRowsPerCycle);
  // Passes from one k tile of a panel to the next: inside a block its panels take turns, between blocks all panels of the tile.
  const turn = kTiles > 1 ? panels : b.panelsBetween === undefined ? Infinity : panels * (b.panelsBetween + 1);
  const strict = Math.ceil((R + 1 + machine.accumulators.writeToReadCycles) / turn);
  return panels * kTiles * Math.max(b.rows, reload, strict);
}

/** Sums that stay in the array enter through its rows. */
function preloadCycles({ continues }: ArrayBlock, machine: Machine): number {
  return continues === true ? machine.array.rows : 0;
}

/** From the start of the last pass to the sums standing in the accumulators. */
export function blockLatency(b: ArrayBlock, machine: Machine): number {
  const { rows: R, columns: C } = machine.array;
  return b.dataflow === "output-stationary" ? b.contracted + preloadCycles(b, machine) + 2 * R + C - 2 : Math.min(b.rows, 1 << 30) + R + C - 2;
}

/** Cycles of the load unit for what the sums of one tile go on from. */
export function initialCycles(access: Access, tile: readonly number[], points: number, machine: Machine): number {
  return access.tensor.memory === "cache" ? Math.ceil(points / machine.vector.lanes) : storeTraffic(access, tile, machine) / machine.external.readBytesPerCycle;
}

export interface CostInput {
  readonly kernel: Kernel;
  readonly levels: readonly Level[];
  readonly operands: readonly Operand[];
  readonly machine: Machine;
  readonly arrayCycles: number;
  readonly vectorCycles: number;
  /** For each output: bytes of one store. */
  readonly storeBytes: readonly number[];
  /** Elements of one store, and how many there are of each output. */
  readonly storePoints: number;
  readonly stores: number;
  /** Blocks that the engine executes in one iteration of the tile loops. */
  readonly blocksPerIteration: number;
  /** From the last load to the first result in staging, beyond the busy time: latencies of array and vector unit. */
  readonly tailCycles: number;
  /** What the sums go on from: the load unit's cycles for one iteration of the parallel loops, how many there are, and slots of the sums. */
  readonly initial?: { readonly access: Access; readonly cycles: number; readonly times: number; readonly slots: number };
  /** Rows that are looked up for each tile, the load unit's cycles for them, and slots for what was found. */
  readonly lookup?: { readonly rows: Access; readonly cycles: number; readonly slots: number };
}

/** What `predict` adds for latencies in any case: of the first load and of the last store. */
export function leastLatency(reads: readonly Access[], kernel: Kernel, machine: Machine): number {
  const loaded = reads.filter((access) => access.direct !== true);
  const of = (external: boolean) => (external ? machine.external.latencyCycles : machine.vector.latencyCycles);
  return (loaded.length === 0 ? 0 : of(loaded.some(({ tensor }) => tensor.memory !== "cache"))) + of(outputsOf(kernel).some(({ tensor }) => tensor.memory !== "cache"));
}

/** Tiles of results whose load waits for the store of the tile before: 0 where nothing is overwritten, or neighbours have slots of their own. */
function tilesInTurn(kernel: Kernel, levels: readonly Level[]): number {
  const parallel = levels.flatMap(({ kind, count }, level) => (kind === "parallel" && count > 1 ? [level] : []));
  const tiles = parallel.reduce((n, level) => n * levels[level]!.count, 1);
  const inTurn = tiles > 1 && outputsOf(kernel).some((output) => {
    const read = overwrittenReads(kernel, output);
    return read.length > 0 && inPlaceSlots(kernel, output, levels, read)?.level !== parallel.at(-1);
  });
  return inTurn ? tiles : 0;
}

/** Transfers hold their channel until they are complete: cycles for those that find none free at once. */
function channelCycles(transfers: readonly { readonly cycles: number; readonly times: number }[], { dma, external }: Machine): number {
  const count = transfers.reduce((sum, { times }) => sum + times, 0);
  const held = transfers.reduce((sum, { cycles, times }) => sum + (Math.max(1, cycles) + external.latencyCycles) * times, 0);
  return count <= dma.channels ? 0 : (held / dma.channels) * (1 - dma.channels / count);
}

/**
 * One iteration of the tile loops takes the longest of: its computation; its loads; a turn of the ring (a slot is loaded, waits the latency, is
 * read); and its computation plus what of the loads is not hidden by the blocks that the queue lets the controller run ahead.
 */
export function predict(input: CostInput): Prediction {
  const { machine, levels, arrayCycles, vectorCycles } = input;
  const operands = input.operands.filter((o) => o.access.direct !== true);
  const { readBytesPerCycle, writeBytesPerCycle } = machine.external;
  const isExternal = (access: Access) => access.tensor.memory !== "cache";
  const loadsExternal = operands.filter((o) => isExternal(o.access));
  const outputs = outputsOf(input.kernel);
  const storesExternal = outputs.some(isExternal);
  const lookedUpExternal = input.lookup !== undefined && isExternal(input.lookup.rows);
  const initialExternal = input.initial !== undefined && isExternal(input.initial.access);
  const latencyCycles = loadsExternal.length > 0 || lookedUpExternal || initialExternal ? machine.external.latencyCycles : machine.vector.latencyCycles;
  const iterations = Math.max(1, levels.filter((l) => l.kind !== "panel").reduce((n, l) => n * l.count, 1));
  const transfers = [
    ...operands.map((o) => ({ cycles: loadCyclesOf(o.access, o.box, machine), times: loadCount(o, levels), slots: o.buffer.slots, external: isExternal(o.access) })),
    ...(input.initial === undefined ? [] : [{ ...input.initial, external: initialExternal }]),
    ...(input.lookup === undefined ? [] : [{ cycles: input.lookup.cycles, times: iterations, slots: input.lookup.slots, external: false }]),
  ];
  const loadCycles = Math.ceil(Math.max(transfers.reduce((sum, t) => sum + t.cycles * t.times, 0), channelCycles(transfers.filter((t) => t.external), machine)));
  const stored = outputs.map((output, i) => ({ external: isExternal(output), cycles: isExternal(output) ? input.storeBytes[i]! / writeBytesPerCycle : output.direct === true ? 0 : Math.ceil(input.storePoints / machine.vector.lanes) }));
  const oneStore = stored.reduce((sum, { cycles }) => sum + cycles, 0);
  const held = channelCycles(stored.filter(({ external }) => external).map(({ cycles }) => ({ cycles, times: input.stores })), machine);
  const storeCycles = Math.ceil(Math.max(input.stores * oneStore, held));
  const engine = Math.max(arrayCycles, vectorCycles);
  const each = transfers.filter((t) => t.times === iterations);
  const rare = transfers.filter((t) => t.times < iterations && t.times > 1);
  const compute = engine / iterations;
  const perIteration = each.reduce((sum, t) => sum + t.cycles, 0);
  const period = (load: number, slots: number) => {
    const blockCycles = compute / input.blocksPerIteration;
    const hidden = Math.min(input.blocksPerIteration * Math.max(1, slots - 1), machine.queueDepth) * blockCycles;
    return Math.max(compute, load, (load + latencyCycles + compute) / Math.max(2, slots), compute + Math.max(0, load + latencyCycles - hidden));
  };
  const steady = each.length === 0 || iterations === 1 ? compute : period(perIteration, Math.min(...each.map((t) => t.slots)));
  const extra = rare.reduce((sum, t) => sum + t.times * Math.max(0, Math.min(t.cycles, period(perIteration + t.cycles, t.slots) - steady)), 0);
  // Tiles that share a slot of a tensor that is overwritten follow each other: load, compute, store.
  const alone = tilesInTurn(input.kernel, levels);
  const inTurn = alone === 0 ? 0 : iterations * (perIteration + compute) + alone * (oneStore + 2 * latencyCycles + machine.vector.latencyCycles);
  const busy = Math.max(iterations * steady + extra, loadCycles, storeCycles, engine, inTurn);
  const busiest = Math.max(arrayCycles, loadCycles, storeCycles, vectorCycles);
  const boundBy = busiest === arrayCycles && arrayCycles > 0 ? "array" : busiest === loadCycles ? "load" : busiest === vectorCycles ? "vector" : "store";
  const firstLoad = transfers.reduce((sum, t) => sum + t.cycles, 0) + (transfers.length > 0 ? latencyCycles : 0);
  const lead = boundBy === "load" ? compute + latencyCycles : firstLoad;
  const lastStore = (boundBy === "store" ? 0 : oneStore) + (storesExternal ? machine.external.latencyCycles : machine.vector.latencyCycles);
  const externalLoadCycles = Math.ceil(loadsExternal.reduce((sum, o) => sum + allLoadCycles(o, levels, machine), (lookedUpExternal ? input.lookup!.cycles * iterations : 0) + (initialExternal ? input.initial!.cycles * input.initial!.times : 0)));
  return {
    cycles: Math.ceil(busy + lead + input.tailCycles + lastStore), arrayCycles, loadCycles, storeCycles, vectorCycles,
    readBytes: externalLoadCycles * readBytesPerCycle, writeBytes: outputs.reduce((sum, output, i) => sum + (isExternal(output) ? input.storeBytes[i]! * input.stores : 0), 0), boundBy,
  };
}
