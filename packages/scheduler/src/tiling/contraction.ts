/** @file Tilings of a contraction: row tile, column tile, split of k, loop order, residency and dataflow, searched exhaustively over a short list. */
import { bytesOf, internal } from "@systole/base";
import { limits, type Machine } from "@systole/isa";
import type { Access, Kernel } from "../kernel.ts";
import type { Box, Level, Operand, TiledKernel, TilingChoice } from "../schedule.ts";
import { allLoadCycles, blockCycles, blockLatency, predict, storeTraffic } from "./cost.ts";
import { align, boxOf, bufferOf, externalOrder, kernelOrder, noBuffer, operandOf, residency, ringOf, scopeOf, type Residence } from "./operand.ts";
import { laneCycles } from "./vectorCost.ts";
import { suffixTiles, type TilingContext } from "./choices.ts";

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

/**
 * Every legal tiling of the list. `worthwhile` is asked with the cycles of the array alone, then with those of the loads alone, before the rest of
 * a candidate is worked out; so that it knows early, those that keep the array busiest are worked out first.
 */
export function* contractionTilings(kernel: Kernel, machine: Machine, context: TilingContext): Generator<TiledKernel> {
  const problem = problemOf(kernel, machine, context);
  const { roles } = problem;
  const all = [...blockings(kernel, machine, roles)].filter((blocking) => blockSizes(roles, blocking).sumBytes <= machine.accumulators.bytes)
    .map((blocking) => ({ ...blocking, arrayCycles: totalArrayCycles(kernel, roles, blocking, machine) }));
  if (context.promise !== undefined) {
    const busiest = [...all].sort((a, b) => a.arrayCycles - b.arrayCycles).slice(0, promisingBlockings);
    for (const blocking of busiest) for (const tiled of variants(problem, blocking)) context.promise(tiled.predicted.cycles);
  }
  for (const blocking of all) {
    if (context.worthwhile(blocking.arrayCycles)) yield* variants(problem, blocking);
  }
}

/** Enough to find a tiling that is nearly the best. */
const promisingBlockings = 24;

/** Loop orders and what stays over them. */
function* variants(problem: Problem, blocking: Blocking): Generator<TiledKernel> {
  const boxes = problem.accesses.map(({ access, order }) => boxOf(access, blocking.tile, order));
  for (const order of ["rows-outer", "columns-outer"] as const) {
    const nest = nestOf(problem, blocking, order, boxes);
    if (nest === undefined) continue;
    for (const keepX of [false, true]) {
      for (const keepW of [false, true]) {
        const tiled = build(problem, nest, { ...blocking, order, keepX, keepW });
        if (tiled !== undefined) yield tiled;
      }
    }
  }
}

/** The tiling that follows from decisions made for a kernel of the same structure; undefined where it does not fit. */
export function realiseContraction(kernel: Kernel, machine: Machine, choice: TilingChoice, context: TilingContext): TiledKernel | undefined {
  const problem = problemOf(kernel, machine, context);
  const blocking = { ...choice, arrayCycles: totalArrayCycles(kernel, problem.roles, choice, machine) };
  const nest = nestOf(problem, blocking, choice.order, problem.accesses.map(({ access, order }) => boxOf(access, choice.tile, order)));
  return nest === undefined ? undefined : build(problem, nest, { ...choice, arrayCycles: blocking.arrayCycles });
}

/** A kernel on a machine, with what all its tilings share. */
interface Problem {
  readonly kernel: Kernel;
  readonly machine: Machine;
  readonly context: TilingContext;
  readonly roles: Roles;
  /** x, w, then the streams of the epilogue; `order` is that of their coordinates in the data cache. */
  readonly accesses: readonly { readonly role: Operand["role"]; readonly access: Access; readonly order: readonly number[] }[];
}

function problemOf(kernel: Kernel, machine: Machine, context: TilingContext): Problem {
  const { engine } = kernel;
  if (engine.kind !== "contraction") return internal(`kernel ${kernel.name} is no contraction`);
  const accesses = [
    { role: "x" as const, access: engine.x, order: kernelOrder(engine.x) }, { role: "w" as const, access: engine.w, order: externalOrder(engine.w) },
    ...kernel.epilogue.streams.map((access) => ({ role: "epilogue" as const, access, order: kernelOrder(access) })),
  ];
  return { kernel, machine, context, roles: rolesOf(kernel), accesses };
}

/** What the array sees: the tile of each dimension, the columns of one gemm, the dataflow. */
type Shape = Pick<TilingChoice, "tile" | "panelColumns" | "dataflow">;

interface Blocking extends Shape {
  readonly arrayCycles: number;
}

function* blockings(kernel: Kernel, machine: Machine, roles: Roles): Generator<Shape> {
  const { rows: R, columns: C } = machine.array;
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const column = columnOf(roles);
  const columns = column === undefined ? 1 : extent(column);
  const whole = Math.ceil(columns / C) * C;
  const columnTiles = unique([C, 2 * C, 4 * C, 8 * C, 16 * C, whole].filter((t) => t <= whole));
  const rowTiles = suffixTiles(roles.rows.map(extent), unique([1, R, 2 * R, 4 * R, 8 * R, 16 * R, 32 * R, 64 * R, 128 * R]));
  const kTiles = suffixTiles(roles.contracted.map(extent), [R, 2 * R, 4 * R, 8 * R, 16 * R, 32 * R]);
  for (const rows of rowTiles) for (const wanted of columnTiles) for (const k of kTiles) {
    const columnTile = Math.min(wanted, columns);
    const tile = kernel.dims.map(() => 1);
    roles.rows.forEach((dim, i) => { tile[dim] = rows[i]!; });
    roles.contracted.forEach((dim, i) => { tile[dim] = k[i]!; });
    if (column !== undefined) tile[column] = columnTile;
    const splitsSum = roles.contracted.some((dim) => tile[dim]! < extent(dim));
    for (const panels of [1, 2]) {
      if (panels * C > wanted) continue;
      const panelColumns = Math.min(panels * C, columnTile);
      yield { tile, panelColumns, dataflow: "weight-stationary" };
      if (!splitsSum && panels === 1) yield { tile, panelColumns, dataflow: "output-stationary" };
    }
  }
}

function columnOf(roles: Roles): number | undefined {
  return roles.columns[roles.columns.length - 1];
}

/** Rows, contracted points and bytes of sums of one gemm. */
function blockSizes(roles: Roles, b: Shape): { M: number; K: number; sumBytes: number } {
  const M = roles.rows.reduce((n, dim) => n * b.tile[dim]!, 1);
  return { M, K: roles.contracted.reduce((n, dim) => n * b.tile[dim]!, 1), sumBytes: align(M * b.panelColumns * 4) };
}

/** Tile loops, outermost first; undefined where the order makes no difference or there are too many. */
function levelsOf({ kernel, roles, context }: Problem, choice: Shape, order: TilingChoice["order"]): readonly Level[] | undefined {
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const column = columnOf(roles);
  const { tile } = choice;
  const loop = (dims: readonly number[], kind: Level["kind"]): Level[] =>
    dims.filter((dim) => tile[dim]! < extent(dim) || dim === context.batchDim).map((dim) => ({ dim, step: tile[dim]!, count: Math.ceil(extent(dim) / tile[dim]!), kind }));
  const rowLevels = loop(roles.rows, "parallel");
  const columnLevels = loop(column === undefined ? [] : [column], "parallel");
  if (order === "columns-outer" && (rowLevels.length === 0 || columnLevels.length === 0)) return undefined;
  const panels = column === undefined ? 1 : Math.ceil(tile[column]! / choice.panelColumns);
  const levels: Level[] = [
    ...loop([...roles.batch, ...roles.columns.slice(0, -1)], "parallel"),
    ...(order === "rows-outer" ? [...rowLevels, ...columnLevels] : [...columnLevels, ...rowLevels]),
    ...loop(roles.contracted, "reduced"),
    ...(panels > 1 ? [{ dim: column!, step: choice.panelColumns, count: panels, kind: "panel" as const }] : []),
  ];
  // Each of rows, contracted and columns takes at least one dimension of the space.
  const dimensions = [roles.rows, roles.contracted, roles.columns].reduce((n, dims) => n + Math.max(1, dims.filter((dim) => tile[dim]! > 1).length), 0);
  return levels.length > limits.levels || dimensions > limits.dimensions ? undefined : levels;
}

/** The loops of a blocking in one order, and each operand with two slots: x and w also where they are kept, if that makes a difference. */
interface Nest {
  readonly levels: readonly Level[];
  readonly residences: readonly Residence[];
  readonly plain: readonly Operand[];
  readonly keptX: Operand | undefined;
  readonly keptW: Operand | undefined;
}

function nestOf(problem: Problem, blocking: Blocking, order: TilingChoice["order"], boxes: readonly Box[]): Nest | undefined {
  const levels = levelsOf(problem, blocking, order);
  if (levels === undefined) return undefined;
  const residences = problem.accesses.map(({ role, access }) => residency(access, levels, scopeOf(role, levels)));
  const operand = (i: number, keep: boolean) => operandOf(problem.accesses[i]!.role, problem.accesses[i]!.access, boxes[i]!, levels, residences[i]!, keep, 2);
  const kept = (i: number) => { if (problem.accesses[i]!.access.direct === true) return undefined; const made = operand(i, true); return mayKeep(made, levels, problem.context) ? made : undefined; };
  return { levels, residences, plain: problem.accesses.map((_, i) => operand(i, false)), keptX: kept(0), keptW: kept(1) };
}

function build({ kernel, machine, context, roles, accesses }: Problem, { levels, residences, plain, keptX, keptW }: Nest, b: TilingChoice & Blocking): TiledKernel | undefined {
  if ((b.keepX && keptX === undefined) || (b.keepW && keptW === undefined)) return undefined;
  const { arrayCycles, ...choice } = b;
  const fewest = [b.keepX ? keptX! : plain[0]!, b.keepW ? keptW! : plain[1]!, ...plain.slice(2)];
  const slots = (count: number): Operand[] => fewest.map((o, i) => (i < 2 ? operandOf(o.role, accesses[i]!.access, o.box, levels, residences[i]!, i === 0 ? b.keepX : b.keepW, count) : o));

  const { M, K, sumBytes } = blockSizes(roles, b);
  const column = columnOf(roles);
  const panelCount = levels.find((l) => l.kind === "panel")?.count ?? 1;
  const panelRing = levels.map((_, i) => i).filter((i) => levels[i]!.kind !== "reduced");
  const sequence = panelRing.reduce((n, i) => n * levels[i]!.count, 1);
  const splitsSum = levels.some((l) => l.kind === "reduced");
  const sumSlots = Math.min(sequence, Math.max(splitsSum ? panelCount : 2, Math.min(8, Math.floor(machine.accumulators.bytes / sumBytes))));
  if (sumSlots * sumBytes > machine.accumulators.bytes) return undefined;
  const sums = { memory: "accumulator" as const, slots: sumSlots, slotBytes: sumBytes, address: 0, ring: ringOf(levels, panelRing, sumSlots), dependent: panelRing };

  // As many slots as there is room for, up to four: the loads then run further ahead.
  const direct = kernel.output.direct === true;
  const outBytes = direct ? 0 : align(M * b.panelColumns * bytesOf(kernel.epilogue.dtype));
  const bytesOfAll = (all: readonly Operand[]) => all.reduce((sum, o) => sum + o.buffer.slots * o.buffer.slotBytes, 0);
  const capacity = machine.dataCache.bytes - Math.min(2, sequence) * outBytes;
  if (bytesOfAll(fewest) > capacity) return undefined;
  if (!context.worthwhile(Math.floor(fewest.reduce((sum, o) => sum + allLoadCycles(o, levels, machine), 0)))) return undefined;
  const operands = [4, 3].map(slots).find((all) => bytesOfAll(all) <= capacity) ?? fewest;
  // All panels of a tile finish their sums together: with a slot each, none holds up the accumulators.
  const room = Math.floor((machine.dataCache.bytes - bytesOfAll(operands)) / outBytes);
  const staging = direct ? noBuffer(levels) : bufferOf(outBytes, levels, panelRing, [], Math.min(room, Math.max(2, Math.min(8, panelCount))), "cache");

  const lanes = machine.vector.lanes;
  const outputs = kernel.dims.slice(0, kernel.parallel).reduce((n, d) => n * d.extent, 1);
  const predicted = predict({
    kernel, levels, operands, machine, arrayCycles, vectorCycles: Math.ceil(outputs / lanes) * laneCycles(kernel.epilogue), stores: sequence, storePoints: M * b.panelColumns, blocksPerIteration: panelCount,
    storeBytes: storeTraffic(kernel.output, b.tile.map((t, dim) => (dim === column ? b.panelColumns : t)), machine),
    tailCycles: Math.ceil(machine.array.rows / machine.array.weightRowsPerCycle) + blockLatency({ rows: M, contracted: K, columns: b.panelColumns, dataflow: b.dataflow }, machine)
      + Math.ceil((M * b.panelColumns) / lanes) + machine.vector.latencyCycles,
  });
  return { kernel, choice, levels, tile: b.tile, dataflow: b.dataflow, panelColumns: b.panelColumns, operands, sums, staging, predicted };
}

/** Keeping only differs from reloading where dependent levels lie inside; it may not take slots for every sample of the batch. */
function mayKeep(operand: Operand, levels: readonly Level[], context: TilingContext): boolean {
  const inside = (level: number) => levels.flatMap((l, d) => (d > level && dependsOnLevel(operand, levels, d) ? [l] : []));
  const kept = operand.resident.filter((level) => inside(level).some((l) => l.count > 1));
  return kept.length > 0 && !kept.some((level) => inside(level).some((l) => l.dim === context.batchDim));
}

function dependsOnLevel(operand: Operand, levels: readonly Level[], level: number): boolean {
  return levels[level]!.kind !== "panel" && operand.access.coordinates.some((c) => c.terms.some((t) => t.dim === levels[level]!.dim));
}

/** Cycles of all blocks: full tiles and the tails of rows, columns and contracted dimensions. */
function totalArrayCycles(kernel: Kernel, roles: Roles, b: Shape, machine: Machine): number {
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const parts = (dims: readonly number[]) => dims.reduce<readonly Part[]>((all, dim) => all.flatMap((r) => partsOf(extent(dim), b.tile[dim]!).map((o) => ({ size: r.size * o.size, times: r.times * o.times }))), [{ size: 1, times: 1 }]);
  const column = columnOf(roles);
  const columns = partsOf(column === undefined ? 1 : extent(column), b.panelColumns);
  const outer = [...roles.batch, ...roles.columns.slice(0, -1)].reduce((n, dim) => n * extent(dim), 1);
  const splitsSum = roles.contracted.some((dim) => b.tile[dim]! < extent(dim));
  const panelsBetween = splitsSum ? { panelsBetween: Math.ceil((column === undefined ? 1 : b.tile[column]!) / b.panelColumns) - 1 } : {};
  let cycles = 0;
  for (const rows of parts(roles.rows)) for (const k of parts(roles.contracted)) for (const c of columns) {
    cycles += rows.times * k.times * c.times * blockCycles({ rows: rows.size, contracted: k.size, columns: c.size, dataflow: b.dataflow, ...panelsBetween }, machine);
  }
  return outer * cycles;
}

interface Part {
  readonly size: number;
  readonly times: number;
}

function partsOf(extent: number, tile: number): readonly Part[] {
  const full = Math.floor(extent / tile);
  const rest = extent - full * tile;
  return [...(full > 0 ? [{ size: tile, times: full }] : []), ...(rest > 0 ? [{ size: rest, times: 1 }] : [])];
}

function unique(values: readonly number[]): number[] {
  return [...new Set(values)];
}
