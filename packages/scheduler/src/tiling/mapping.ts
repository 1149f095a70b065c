/** @file Tilings of everything that runs on the vector unit or the DMA alone: maps, reductions, scans, gathers, scatters. */
import { bytesOf } from "@systole/base";
import { limits, type Machine } from "@systole/isa";
import { foldStreams, initialOf, isFetch, isPlain, isScan, outputsOf, resultStreams, waitingResults, type Access, type Kernel } from "../kernel.ts";
import type { Level, Operand, TiledKernel } from "../schedule.ts";
import { extentChoices, suffixTiles, type TilingContext } from "./choices.ts";
import { boxTraffic, initialCycles, predict, storeTraffic } from "./cost.ts";
import { align, boxOf, bufferOf, externalOrder, kernelOrder, makeOperand, noBuffer, streamOperand } from "./operand.ts";
import { denseStrides, directStrides, operandStrides, passCycles } from "./vectorCost.ts";

export function* mappingTilings(kernel: Kernel, machine: Machine, context: TilingContext): Generator<TiledKernel> {
  if (isFetch(kernel)) {
    yield fetchOf(kernel, machine);
    return;
  }
  const parallel = kernel.dims.slice(0, kernel.parallel).map((d) => d.extent);
  const reduced = kernel.dims.slice(kernel.parallel).map((d) => d.extent);
  const seen = new Set<string>();
  for (const p of parallelTiles(parallel, kernel)) {
    for (const r of splitsReduction(kernel) ? suffixTiles(reduced, [1, 4, 16, 64, 256, 1024, 4096]) : [reduced]) {
      const tile = [...p, ...r];
      const key = tile.join(",");
      if (seen.has(key)) continue;
      seen.add(key);
      const tiled = realiseMapping(kernel, machine, tile, context);
      if (tiled !== undefined) yield tiled;
    }
  }
}

/** All at once, and on no way through a tile. */
function fetchOf(kernel: Kernel, machine: Machine): TiledKernel {
  const [from] = kernel.results[0]!.chain.streams;
  const tile = kernel.dims.map(({ extent }) => extent);
  const readBytes = boxTraffic(from!, boxOf(from!, tile, externalOrder(from!)), machine);
  const loadCycles = Math.ceil(readBytes / machine.external.readBytesPerCycle);
  const predicted = { cycles: loadCycles + machine.external.latencyCycles, arrayCycles: 0, loadCycles, storeCycles: 0, vectorCycles: 0, readBytes, writeBytes: 0, boundBy: "load" } as const;
  const choice = { tile, panelColumns: 0, dataflow: "weight-stationary", order: "rows-outer", keepX: false, keepW: false } as const;
  return { kernel, choice, levels: [], tile, dataflow: "weight-stationary", panelColumns: 0, operands: [], sums: [], staging: [noBuffer([])], predicted };
}

/** A sum in ascending order continues from tile to tile; blocked sums, scans and arg reductions take a whole row at once. */
function splitsReduction(kernel: Kernel): boolean {
  const engine = kernel.engine;
  return engine.kind === "reduction" && engine.folds.every(({ order, reduction }) => order === "sequential" && ["sum", "prod", "max", "min"].includes(reduction));
}

/** Row-major tiles of many sizes, and boxes of independent extents where the dimensions are few (for transposing accesses). */
function parallelTiles(extents: readonly number[], kernel: Kernel): number[][] {
  const targets = Array.from({ length: 21 }, (_, i) => 2 ** i);
  const tiles = suffixTiles(extents, targets);
  const rowsOnly = kernel.engine.kind === "gather" || kernel.engine.kind === "scatter";
  // Combining reads what the row before may have written: one row at a time.
  if (kernel.engine.kind === "scatter" && kernel.engine.combine !== undefined) return suffixTiles(extents.slice(1), targets).map((tile) => [1, ...tile]);
  if (rowsOnly || extents.length > 4 || extents.length < 2) return tiles;
  const most = extents.length === 2 ? 14 : extents.length === 3 ? 7 : 4;
  let boxes: number[][] = [[]];
  for (const extent of extents) boxes = boxes.flatMap((box) => extentChoices(extent, most).map((choice) => [...box, choice]));
  return [...tiles, ...boxes];
}

/** Of one dimension in one instruction. Without buffers nothing else would bound a tile. */
const mostPoints = 2 ** 24 - 1;

/** The tiling with this tile; undefined where it does not fit. */
export function realiseMapping(kernel: Kernel, machine: Machine, tile: readonly number[], context: TilingContext): TiledKernel | undefined {
  if (isFetch(kernel)) return fetchOf(kernel, machine);
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const engine = kernel.engine;
  const levels: Level[] = kernel.dims.flatMap((_, dim) =>
    tile[dim]! < extent(dim) || dim === context.batchDim ? [{ dim, step: tile[dim]!, count: Math.ceil(extent(dim) / tile[dim]!), kind: dim < kernel.parallel ? "parallel" as const : "reduced" as const }] : []);
  if (levels.length > limits.levels || tile.filter((points) => points > 1).length >= limits.dimensions || tile.some((points) => points > mostPoints)) return undefined;
  const engineStreams = engine.kind === "reduction" ? foldStreams(engine) : engine.kind === "scatter" ? [engine.updates] : [];
  const wholeIndex = wholeIndexOf(kernel, machine, tile, levels, context);
  const place = (slots: number): Operand[] => [
    ...(engine.kind === "gather" || engine.kind === "scatter" ? [wholeIndex ?? makeOperand("index", engine.index, tile, levels, false, externalOrder(engine.index), slots)] : []),
    // Streams of a reduction keep the order of the external memory: what is innermost there fills the lanes.
    ...engineStreams.map((access) => makeOperand("stream", access, tile, levels, false, engine.kind === "reduction" ? externalOrder(access) : kernelOrder(access), slots)),
    ...resultStreams(kernel).map((access) => makeOperand("result", access, tile, levels, false, kernelOrder(access), slots)),
  ];
  const scan = isScan(engine);
  const parallelLevels = levels.map((_, i) => i).filter((i) => levels[i]!.kind === "parallel");
  const points = tile.slice(0, scan ? tile.length : kernel.parallel).reduce((a, b) => a * b, 1);
  const staging = kernel.results.map(({ chain, output }) => (output?.direct === true ? noBuffer(levels) : bufferOf(align(points * bytesOf(chain.dtype)), levels, parallelLevels, [], 2, "cache")));
  const hasReducedLevel = levels.some((l) => l.kind === "reduced");
  const combines = engine.kind === "scatter" && engine.combine !== undefined;
  const [initial] = initialOf(engine);
  const needsSums = combines || (engine.kind === "reduction" && !scan && (hasReducedLevel || !isPlain(kernel) || initial !== undefined));
  const summed = !needsSums ? [] : engine.kind === "reduction" ? engine.folds.map(({ dtype }) => dtype) : [kernel.results[0]!.chain.dtype];
  const sums = summed.map((dtype) => bufferOf(align(points * bytesOf(dtype)), levels, parallelLevels, [], 2, "cache"));
  const results = [...staging, ...sums];
  const cacheBytes = (all: readonly Operand[]) => [...results, ...all.map((o) => o.buffer)].reduce((sum, buffer) => sum + buffer.slots * buffer.slotBytes, 0);
  const operands = [4, 3, 2].map(place).find((all) => cacheBytes(all) <= machine.dataCache.bytes);
  if (operands === undefined) return undefined;

  const tiles = levels.reduce((n, l) => n * l.count, 1);
  const sumsFrom = initial === undefined ? {} : { initial: { access: initial, cycles: initialCycles(initial, tile, points, machine), times: parallelLevels.reduce((n, i) => n * levels[i]!.count, 1), slots: sums[0]!.slots } };
  const lookups = engine.kind === "gather" ? { lookup: { rows: engine.rows, cycles: lookupCycles(engine.rows, tile, machine), slots: Math.max(2, staging[0]!.slots) } } : {};
  const stores = parallelLevels.reduce((n, i) => n * levels[i]!.count, 1);
  const vectorCycles = tiles * engineCycles(kernel, tile, operands, machine) + (isPlain(kernel) && initial === undefined && engine.kind !== "none" ? 0 : stores * (resultCycles(kernel, tile, operands, machine) + waitingResults(kernel) * machine.vector.latencyCycles)) + tiles;
  const predicted = predict({
    kernel, levels, operands, machine, arrayCycles: 0, vectorCycles, stores, storePoints: points, blocksPerIteration: 1,
    storeBytes: outputsOf(kernel).map((output) => storeTraffic(output, tile, machine)), ...sumsFrom, ...lookups, tailCycles: Math.ceil(vectorCycles / tiles) + 2 * machine.vector.latencyCycles,
  });
  const choice = { tile, panelColumns: 0, dataflow: "weight-stationary", order: "rows-outer", keepX: false, keepW: false } as const;
  return { kernel, choice, levels, tile, dataflow: "weight-stationary", panelColumns: 0, operands, sums, staging, predicted };
}

/** All row numbers at once, so that no look-up waits for those of its tile; not where they are as many as the samples of a batch, or too many. */
function wholeIndexOf({ engine, dims }: Kernel, machine: Machine, tile: readonly number[], levels: readonly Level[], context: TilingContext): Operand | undefined {
  if ((engine.kind !== "gather" && engine.kind !== "scatter") || context.batchDim === 0) return undefined;
  const access = engine.index;
  const box = boxOf(access, tile.map((points, dim) => (dim === 0 ? dims[0]!.extent : points)), externalOrder(access));
  if (box.bytes > machine.dataCache.bytes / mostIndexPart) return undefined;
  return { role: "index", access, box, buffer: { memory: "cache", slots: 1, slotBytes: box.bytes, address: 0, ring: levels.map(() => 0), dependent: [] }, resident: levels.map((_, level) => level) };
}

const mostIndexPart = 8;

/** Cycles of the load unit for the rows of one tile. */
function lookupCycles(rows: Access, tile: readonly number[], machine: Machine): number {
  if (rows.tensor.memory === "cache") return Math.ceil(tile.reduce((n, points) => n * points, 1) / machine.vector.lanes);
  const row = boxOf(rows, tile.map((points, dim) => (dim === 0 ? 1 : points)), externalOrder(rows));
  return (tile[0]! * boxTraffic(rows, row, machine)) / machine.external.readBytesPerCycle;
}

/** Cycles of the folds over one tile. */
function engineCycles(kernel: Kernel, tile: readonly number[], operands: readonly Operand[], machine: Machine): number {
  const engine = kernel.engine;
  if (engine.kind !== "reduction") return 0;
  return engine.folds.reduce((sum, { chain, reduction, order, dtype }) => {
    const target = denseStrides(tile, isScan(engine) ? tile.length : kernel.parallel, bytesOf(dtype));
    const strides = [...chain.streams.map((access) => operandStrides(streamOperand(operands, "stream", access))), target];
    return sum + passCycles({ operands: strides, tile, kept: kernel.parallel, to: tile.length, chain, reduction, blocked: order === "blocked" }, machine);
  }, 0);
}

/** Cycles of the elementwise passes over one tile of results. */
function resultCycles({ results, parallel }: Kernel, tile: readonly number[], operands: readonly Operand[], machine: Machine): number {
  return results.reduce((sum, { chain, output }) => {
    const target = output?.direct === true ? directStrides(output) : denseStrides(tile, parallel, bytesOf(chain.dtype));
    const strides = [...chain.streams.map((access) => operandStrides(streamOperand(operands, "result", access))), target];
    return sum + passCycles({ operands: strides, tile, kept: parallel, to: parallel, chain }, machine);
  }, 0);
}
