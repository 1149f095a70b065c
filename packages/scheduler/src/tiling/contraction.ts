/** @file Tilings of a contraction: row tile, column tile, split of k, loop order, residency and dataflow, searched exhaustively over a short list. */
import { bytesOf } from "@systole/base";
import type { Machine } from "@systole/isa";
import type { Kernel } from "../kernel.ts";
import type { Level, Operand, TiledKernel } from "../schedule.ts";
import { blockCycles, blockLatency, chainCycles, predict, storeTraffic, type ArrayBlock } from "./cost.ts";
import { align, bufferOf, externalOrder, kernelOrder, makeOperand, ringOf } from "./operand.ts";
import { suffixTiles } from "./choices.ts";

interface Roles {
  readonly batch: readonly number[];
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  readonly contracted: readonly number[];
}

function rolesOf(kernel: Kernel): Roles {
  const classes = kernel.engine.kind === "contraction" ? kernel.engine.classes : [];
  const of = (name: string) => classes.flatMap((c, i) => (c === name ? [i] : []));
  return { batch: of("batch"), rows: of("row"), columns: of("column"), contracted: of("contracted") };
}

/** Every legal tiling of the list, best first decided by the caller. */
export function* contractionTilings(kernel: Kernel, machine: Machine): Generator<TiledKernel> {
  const roles = rolesOf(kernel);
  const C = machine.array.columns;
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const columnDim = roles.columns[roles.columns.length - 1];
  const columns = columnDim === undefined ? 1 : extent(columnDim);
  const rowTiles = suffixTiles(roles.rows.map(extent), rowTargets(machine));
  const columnTiles = unique([C, 2 * C, 4 * C, 8 * C, 16 * C, Math.ceil(columns / C) * C].filter((t) => t <= Math.ceil(columns / C) * C));
  const kTiles = suffixTiles(roles.contracted.map(extent), [machine.array.rows, 2 * machine.array.rows, 4 * machine.array.rows, 8 * machine.array.rows, 16 * machine.array.rows, 32 * machine.array.rows]);
  for (const rows of rowTiles) {
    for (const columnTile of columnTiles) {
      for (const k of kTiles) {
        for (const panels of [1, 2]) {
          if (panels * C > columnTile) continue;
          for (const order of ["rows-outer", "columns-outer"] as const) {
            for (const keep of [0, 1, 2, 3]) {
              for (const dataflow of ["weight-stationary", "output-stationary"] as const) {
                const tiled = build(kernel, machine, roles, { rows, columnTile, k, panels, order, keepX: (keep & 1) !== 0, keepW: (keep & 2) !== 0, dataflow });
                if (tiled !== undefined) yield tiled;
              }
            }
          }
        }
      }
    }
  }
}

function rowTargets(machine: Machine): number[] {
  const R = machine.array.rows;
  return unique([1, R, 2 * R, 4 * R, 8 * R, 16 * R, 32 * R, 64 * R, 128 * R]);
}

interface Choice {
  readonly rows: readonly number[];
  readonly columnTile: number;
  readonly k: readonly number[];
  readonly panels: number;
  readonly order: "rows-outer" | "columns-outer";
  readonly keepX: boolean;
  readonly keepW: boolean;
  readonly dataflow: "weight-stationary" | "output-stationary";
}

function build(kernel: Kernel, machine: Machine, roles: Roles, choice: Choice): TiledKernel | undefined {
  const engine = kernel.engine;
  if (engine.kind !== "contraction") return undefined;
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const tile = kernel.dims.map(() => 1);
  roles.rows.forEach((dim, i) => { tile[dim] = choice.rows[i]!; });
  roles.contracted.forEach((dim, i) => { tile[dim] = choice.k[i]!; });
  const columnDim = roles.columns[roles.columns.length - 1];
  const outerColumns = roles.columns.slice(0, -1);
  const columns = columnDim === undefined ? 1 : extent(columnDim);
  const columnTile = Math.min(choice.columnTile, columns);
  if (columnDim !== undefined) tile[columnDim] = columnTile;
  const panelColumns = Math.min(choice.panels * machine.array.columns, columnTile);
  const loop = (dims: readonly number[], kind: Level["kind"]): Level[] =>
    dims.filter((dim) => tile[dim]! < extent(dim)).map((dim) => ({ dim, step: tile[dim]!, count: Math.ceil(extent(dim) / tile[dim]!), kind }));
  const rowLevels = loop(roles.rows, "parallel");
  const columnLevels = loop(columnDim === undefined ? [] : [columnDim], "parallel");
  if (choice.order === "columns-outer" && (rowLevels.length === 0 || columnLevels.length === 0)) return undefined;
  const panelCount = Math.ceil(columnTile / panelColumns);
  const levels: Level[] = [
    ...loop([...roles.batch, ...outerColumns], "parallel"),
    ...(choice.order === "rows-outer" ? [...rowLevels, ...columnLevels] : [...columnLevels, ...rowLevels]),
    ...loop(roles.contracted, "reduced"),
    ...(panelCount > 1 ? [{ dim: columnDim!, step: panelColumns, count: panelCount, kind: "panel" as const }] : []),
  ];
  if (levels.length > 8) return undefined;
  const reduced = levels.some((l) => l.kind === "reduced");
  const kExtent = roles.contracted.reduce((n, dim) => n * tile[dim]!, 1);
  const M = roles.rows.reduce((n, dim) => n * tile[dim]!, 1);
  if (choice.dataflow === "output-stationary" && (reduced || choice.panels > 1)) return undefined;

  const place = (slots: number): Operand[] => [
    makeOperand("x", engine.x, tile, levels, choice.keepX, kernelOrder(engine.x), slots),
    makeOperand("w", engine.w, tile, levels, choice.keepW, externalOrder(engine.w), slots),
    ...kernel.epilogue.streams.map((access) => makeOperand("epilogue", access, tile, levels, false, kernelOrder(access), 2)),
  ];
  const [x, w] = place(2) as [Operand, Operand];
  if (choice.keepX && !keepMatters(x, levels)) return undefined;
  if (choice.keepW && !keepMatters(w, levels)) return undefined;

  const panelRing = levels.map((_, i) => i).filter((i) => levels[i]!.kind !== "reduced");
  const panelBytes = align(M * panelColumns * 4);
  const sequence = panelRing.reduce((n, i) => n * levels[i]!.count, 1);
  const sumSlots = Math.min(sequence, Math.max(reduced ? panelCount : 2, Math.min(8, Math.floor(machine.accumulators.bytes / panelBytes))));
  if (sumSlots * panelBytes > machine.accumulators.bytes || (reduced && sumSlots < panelCount)) return undefined;
  const sums = { memory: "accumulator" as const, slots: sumSlots, slotBytes: panelBytes, address: 0, ring: ringOf(levels, panelRing, sumSlots) };
  const outBytes = align(M * panelColumns * bytesOf(kernel.epilogue.dtype));
  // As many slots as there is room for, up to four: the loads then run further ahead.
  const bytesOfAll = (all: readonly Operand[]) => all.reduce((sum, o) => sum + o.buffer.slots * o.buffer.slotBytes, 0);
  const stagingSlots = Math.min(2, sequence);
  const operands = [4, 3, 2].map(place).find((all) => bytesOfAll(all) + stagingSlots * outBytes <= machine.dataCache.bytes);
  if (operands === undefined) return undefined;
  const room = Math.floor((machine.dataCache.bytes - bytesOfAll(operands)) / outBytes);
  // All panels of a tile finish their sums together: with a slot each, none holds up the accumulators.
  const staging = bufferOf(outBytes, levels, panelRing, [], Math.min(room, Math.max(2, Math.min(8, panelCount))), "cache");

  const block: ArrayBlock = { rows: M, contracted: kExtent, columns: panelColumns, dataflow: choice.dataflow };
  const outerCount = [...roles.batch, ...outerColumns].reduce((n, dim) => n * extent(dim), 1);
  const arrayCycles = outerCount * totalArrayCycles(kernel, roles, tile, columns, panelColumns, block, machine);
  const lanes = machine.vector.lanes;
  const outputs = kernel.dims.slice(0, kernel.parallel).reduce((n, d) => n * d.extent, 1);
  const laneFill = columns >= lanes ? 1 : lanes / Math.max(1, Math.min(lanes, panelColumns * 1));
  const vectorCycles = Math.ceil((outputs / lanes) * Math.max(1, panelColumns < lanes && M > 1 ? 1 : laneFill)) * chainCycles(kernel.epilogue);
  const stores = panelRing.reduce((n, i) => n * levels[i]!.count, 1);
  const predicted = predict({
    kernel, levels, operands, machine, arrayCycles, vectorCycles, stores, blocksPerIteration: panelCount, storeBytes: storeTraffic(kernel.output, tile.map((t, dim) => (dim === columnDim ? panelColumns : t)), machine),
    tailCycles: Math.ceil(machine.array.rows / machine.array.weightRowsPerCycle) + blockLatency(block, machine) + Math.ceil((M * panelColumns) / lanes) + machine.vector.latencyCycles,
  });
  return { kernel, levels, tile, dataflow: choice.dataflow, panelColumns, operands, sums, staging, predicted };
}

/** Keeping only differs from reloading where some level is optional. */
function keepMatters(operand: Operand, levels: readonly Level[]): boolean {
  const outerDependent = (level: number) => operand.buffer.ring.some((_, d) => d > level && dependsOnLevel(operand, levels, d) && levels[d]!.count > 1);
  return operand.resident.some((level) => outerDependent(level));
}

function dependsOnLevel(operand: Operand, levels: readonly Level[], level: number): boolean {
  return levels[level]!.kind !== "panel" && operand.access.coordinates.some((c) => c.terms.some((t) => t.dim === levels[level]!.dim));
}

/** Full tiles and the tails of the one split row dimension, the column dimension and the split of k. */
function totalArrayCycles(kernel: Kernel, roles: Roles, tile: readonly number[], columns: number, panelColumns: number, block: ArrayBlock, machine: Machine): number {
  const parts = (dims: readonly number[]): { size: number; times: number }[] => {
    let result = [{ size: 1, times: 1 }];
    for (const dim of dims) {
      const extent = kernel.dims[dim]!.extent;
      const full = Math.floor(extent / tile[dim]!);
      const rest = extent - full * tile[dim]!;
      const own = [...(full > 0 ? [{ size: tile[dim]!, times: full }] : []), ...(rest > 0 ? [{ size: rest, times: 1 }] : [])];
      result = result.flatMap((r) => own.map((o) => ({ size: r.size * o.size, times: r.times * o.times })));
    }
    return result;
  };
  const fullPanels = Math.floor(columns / panelColumns);
  const restColumns = columns - fullPanels * panelColumns;
  const columnParts = [...(fullPanels > 0 ? [{ size: panelColumns, times: fullPanels }] : []), ...(restColumns > 0 ? [{ size: restColumns, times: 1 }] : [])];
  let cycles = 0;
  for (const rows of parts(roles.rows)) for (const k of parts(roles.contracted)) for (const c of columnParts) {
    cycles += rows.times * k.times * c.times * blockCycles({ ...block, rows: rows.size, contracted: k.size, columns: c.size }, machine);
  }
  return cycles;
}

function unique(values: readonly number[]): number[] {
  return [...new Set(values)];
}
