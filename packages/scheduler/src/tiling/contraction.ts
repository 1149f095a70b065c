/** @file Tilings of a contraction: row tile, column tile, split of k, loop order, residency and dataflow, searched exhaustively over a short list. */
import { bytesOf, internal } from "@systole/base";
import { limits, type Machine } from "@systole/isa";
import { initialOf, outputsOf, resultStreams, strideAlong, waitingResults, type Access, type Kernel } from "../kernel.ts";
import type { Box, Level, Operand, TiledKernel, TilingChoice } from "../schedule.ts";
import { allLoadCycles, blockCycles, blockLatency, initialCycles, leastLatency, loadCyclesOf, predict, storeTraffic } from "./cost.ts";
import { align, boxOf, bufferOf, dependsOn, externalOrder, kernelOrder, noBuffer, operandOf, residency, ringOf, scopeOf, type Residence } from "./operand.ts";
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
  if (context.promise === undefined) {
    for (const blocking of blockings(problem)) yield* variants(problem, blocking);
    return;
  }
  const all = [...blockings(problem)];
  const busiest = [...all].sort((a, b) => a.leastCycles - b.leastCycles).slice(0, promisingBlockings);
  const early = new Map<Blocking, readonly TiledKernel[]>();
  for (const blocking of busiest) {
    const found = [...variants(problem, blocking)];
    for (const { predicted } of found) context.promise(predicted.cycles);
    early.set(blocking, found);
  }
  for (const blocking of all) {
    if (context.worthwhile(blocking.leastCycles)) yield* early.get(blocking) ?? variants(problem, blocking);
  }
}

/** Enough to find a tiling that is nearly the best. */
const promisingBlockings = 24;

/** Loop orders and what stays over them. */
function* variants(problem: Problem, blocking: Blocking): Generator<TiledKernel> {
  if (isHopeless(problem, blocking)) return;
  const { tile, panelColumns, dataflow } = blocking;
  for (const order of ["rows-outer", "columns-outer"] as const) {
    const nest = nestOf(problem, blocking, order, blocking.boxes);
    if (nest === undefined) continue;
    for (const keepX of mayKeepRole(problem, nest, "x") ? [false, true] : [false]) {
      for (const keepW of mayKeepRole(problem, nest, "w") ? [false, true] : [false]) {
        if (slotsBytes(fewestSlots(problem, nest, keepX, keepW)) > problem.machine.dataCache.bytes) continue;
        const tiled = build(problem, nest, { tile, panelColumns, dataflow, order, keepX, keepW }, blocking.arrayCycles);
        if (tiled !== undefined) yield tiled;
      }
    }
  }
}

/**
 * Whether no variant can fit or be worthwhile: each has two slots for tiles that move, loads every tile at least once, and begins with the first
 * load or ends with the last block.
 */
function isHopeless({ kernel, machine, context, accesses }: Problem, { tile, boxes, arrayCycles, aroundCycles }: Blocking): boolean {
  const count = (dim: number) => Math.ceil(kernel.dims[dim]!.extent / tile[dim]!);
  let bytes = 0;
  let loadCycles = 0;
  let firstLoad = 0;
  for (let i = 0; i < accesses.length; i++) {
    const { access, dims } = accesses[i]!;
    if (access.direct === true) continue;
    const tiles = dims.reduce((n, dim) => n * count(dim), 1);
    const cycles = loadCyclesOf(access, boxes[i]!, machine);
    bytes += Math.min(2, tiles) * boxes[i]!.bytes;
    loadCycles += tiles * cycles;
    firstLoad += (accesses[i]!.product ?? 0) > 0 ? 0 : cycles;
  }
  const block = kernel.dims.reduce((cycles, _, dim) => cycles / count(dim), arrayCycles);
  return bytes > machine.dataCache.bytes || !context.worthwhile(Math.floor(Math.max(arrayCycles, loadCycles) + Math.min(block, firstLoad) + aroundCycles));
}

/** The tiling that follows from decisions made for a kernel of the same structure; undefined where it does not fit. */
export function realiseContraction(kernel: Kernel, machine: Machine, choice: TilingChoice, context: TilingContext): TiledKernel | undefined {
  const problem = problemOf(kernel, machine, context);
  const nest = nestOf(problem, choice, choice.order, problem.accesses.map(({ access, order }) => boxOf(access, choice.tile, order)));
  return nest === undefined ? undefined : build(problem, nest, choice, totalArrayCycles(problem, choice, partsAlong(kernel, problem.roles.rows, choice.tile), partsAlong(kernel, problem.roles.contracted, choice.tile)));
}

/** A kernel on a machine, with what all its tilings share. */
interface Problem {
  readonly kernel: Kernel;
  readonly machine: Machine;
  readonly context: TilingContext;
  readonly roles: Roles;
  readonly products: number;
  /** x and w of each product, then the streams of the results; `order` is that of their coordinates in the data cache, `dims` are those of the kernel that move them. */
  readonly accesses: readonly ProblemAccess[];
}

interface ProblemAccess {
  readonly role: "x" | "w" | "result";
  readonly product?: number;
  readonly access: Access;
  readonly order: readonly number[];
  readonly dims: readonly number[];
}

function problemOf(kernel: Kernel, machine: Machine, context: TilingContext): Problem {
  const { engine } = kernel;
  if (engine.kind !== "contraction") return internal(`kernel ${kernel.name} is no contraction`);
  const dimsOf = (access: Access) => kernel.dims.flatMap((_, dim) => (dependsOn(access, dim) ? [dim] : []));
  const accesses: readonly ProblemAccess[] = [
    ...engine.products.flatMap(({ x, w }, product): ProblemAccess[] => [{ role: "x", product, access: x, order: kernelOrder(x), dims: dimsOf(x) }, { role: "w", product, access: w, order: externalOrder(w), dims: dimsOf(w) }]),
    ...resultStreams(kernel).map((access): ProblemAccess => ({ role: "result", access, order: kernelOrder(access), dims: dimsOf(access) })),
  ];
  return { kernel, machine, context, roles: rolesOf(kernel), products: engine.products.length, accesses };
}

/** What the array sees: the tile of each dimension, the columns of one gemm, the dataflow. */
type Shape = Pick<TilingChoice, "tile" | "panelColumns" | "dataflow">;

interface Blocking extends Shape {
  readonly arrayCycles: number;
  /** Before and after the busy time, at least. */
  readonly aroundCycles: number;
  /** No tiling with this blocking takes less. */
  readonly leastCycles: number;
  /** Of the problem's accesses. */
  readonly boxes: readonly Box[];
}

/** Those whose sums fit the accumulators and whose boxes, one of each, the data cache. */
function* blockings(problem: Problem): Generator<Blocking> {
  const { kernel, machine, roles, accesses } = problem;
  const { rows: R, columns: C } = machine.array;
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const column = columnOf(roles);
  const columns = column === undefined ? 1 : extent(column);
  const whole = Math.ceil(columns / C) * C;
  const columnTiles = unique([C, 2 * C, 4 * C, 8 * C, 16 * C, whole].filter((t) => t <= whole));
  const placed = (dims: readonly number[], tile: readonly number[]) => {
    const full = kernel.dims.map(() => 1);
    dims.forEach((dim, i) => { full[dim] = tile[i]!; });
    return { tile: full, points: tile.reduce((n, t) => n * t, 1), parts: partsAlong(kernel, dims, full) };
  };
  const rowTiles = rowTilesOf(kernel, roles.rows, unique([1, R, 2 * R, 4 * R, 8 * R, 16 * R, 32 * R, 64 * R, 128 * R])).map((tile) => placed(roles.rows, tile));
  const kTiles = suffixTiles(roles.contracted.map(extent), [R, 2 * R, 4 * R, 8 * R, 16 * R, 32 * R]).map((tile) => placed(roles.contracted, tile));
  // A box changes with the tiles that its access depends on, and only with them.
  const boxesOf = accesses.map(({ access, order, dims }) => {
    const known = new Map<number, Box>();
    const [byRows, byColumns, byK] = [roles.rows, roles.columns, roles.contracted].map((moving) => moving.some((dim) => dims.includes(dim)));
    return (r: number, c: number, k: number, tile: readonly number[]): Box => {
      const key = ((byRows ? r : 0) * columnTiles.length + (byColumns ? c : 0)) * kTiles.length + (byK ? k : 0);
      const box = known.get(key) ?? boxOf(access, tile, order);
      known.set(key, box);
      return box;
    };
  });
  const latencies = leastLatency(accesses.map(({ access }) => access), kernel, machine);
  for (const [r, rows] of rowTiles.entries()) for (const [c, wanted] of columnTiles.entries()) for (const [i, k] of kTiles.entries()) {
    const columnTile = Math.min(wanted, columns);
    const tile = kernel.dims.map((_, dim) => rows.tile[dim]! * k.tile[dim]! * (dim === column ? columnTile : 1));
    const boxes = boxesOf.map((boxOfTiles) => boxOfTiles(r, c, i, tile));
    if (boxes.reduce((sum, box, n) => sum + (accesses[n]!.access.direct === true ? 0 : box.bytes), 0) > machine.dataCache.bytes) continue;
    const splitsSum = roles.contracted.some((dim) => tile[dim]! < extent(dim));
    for (const panels of [1, 2]) {
      if (panels * C > wanted) continue;
      const panelColumns = Math.min(panels * C, columnTile);
      if (align(rows.points * panelColumns * 4) > machine.accumulators.bytes) continue;
      const shape = (dataflow: Shape["dataflow"]): Blocking => {
        const made = { tile, panelColumns, dataflow };
        const arrayCycles = totalArrayCycles(problem, made, rows.parts, k.parts);
        const aroundCycles = latencies + tailCyclesOf(problem, made);
        return { ...made, boxes, arrayCycles, aroundCycles, leastCycles: Math.floor(arrayCycles + aroundCycles) };
      };
      yield shape("weight-stationary");
      if (!splitsSum && panels === 1 && problem.products === 1) yield shape("output-stationary");
    }
  }
}

/** In the order of the sums, and in that of the result in memory, so that a tile is stored in long runs. */
function rowTilesOf(kernel: Kernel, rows: readonly number[], targets: readonly number[]): readonly (readonly number[])[] {
  const { dims } = kernel;
  const [output] = outputsOf(kernel);
  const stride = (dim: number) => (output === undefined || dims[dim]!.extent === 1 ? Infinity : Math.abs(strideAlong(output, dim)));
  const stored = [...rows].sort((a, b) => stride(b) - stride(a) || a - b);
  const tiles = suffixTiles(rows.map((dim) => dims[dim]!.extent), targets);
  if (stored.every((dim, i) => dim === rows[i])) return tiles;
  const others = suffixTiles(stored.map((dim) => dims[dim]!.extent), targets).map((tile) => rows.map((dim) => tile[stored.indexOf(dim)]!));
  return [...new Map([...tiles, ...others].map((tile) => [tile.join(), tile])).values()];
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

/** The loops of a blocking in one order, and each operand with two slots for tiles that move: factors also kept, if that makes a difference. */
interface Nest {
  readonly levels: readonly Level[];
  readonly residences: readonly Residence[];
  readonly plain: readonly Operand[];
  readonly kept: readonly (Operand | undefined)[];
}

function mayKeepRole({ accesses }: Problem, { kept }: Nest, role: "x" | "w"): boolean {
  return accesses.some((access, i) => access.role === role && kept[i] !== undefined);
}

/** The factors of one role are kept together. */
function fewestSlots({ accesses }: Problem, { plain, kept }: Nest, keepX: boolean, keepW: boolean): readonly Operand[] {
  return plain.map((operand, i) => ((accesses[i]!.role === "x" ? keepX : accesses[i]!.role === "w" && keepW) ? kept[i] ?? operand : operand));
}

function slotsBytes(operands: readonly Operand[]): number {
  return operands.reduce((bytes, { buffer }) => bytes + buffer.slots * buffer.slotBytes, 0);
}

function nestOf(problem: Problem, blocking: Shape, order: TilingChoice["order"], boxes: readonly Box[]): Nest | undefined {
  const levels = levelsOf(problem, blocking, order);
  if (levels === undefined) return undefined;
  const residences = problem.accesses.map(({ role, access }) => residency(access, levels, scopeOf(role, levels)));
  const operands = (keep: boolean) => problem.accesses.map((access, i) => (keep && !(access.role !== "result" && access.access.direct !== true && mayKeep(residences[i]!, levels, problem.context)) ? undefined : operandOf(access, boxes[i]!, levels, residences[i]!, keep, 2)));
  return { levels, residences, plain: operands(false) as Operand[], kept: operands(true) };
}

function build(problem: Problem, nest: Nest, b: TilingChoice, arrayCycles: number): TiledKernel | undefined {
  if ((b.keepX && !mayKeepRole(problem, nest, "x")) || (b.keepW && !mayKeepRole(problem, nest, "w"))) return undefined;
  const { kernel, machine, context, roles, accesses } = problem;
  const { levels, residences, kept } = nest;
  const fewest = fewestSlots(problem, nest, b.keepX, b.keepW);
  const keeps = { x: b.keepX, w: b.keepW };
  const slots = (count: number): readonly Operand[] => fewest.map((o, i) => (o.role === "x" || o.role === "w" ? operandOf(accesses[i]!, o.box, levels, residences[i]!, keeps[o.role] && kept[i] !== undefined, count) : o));

  const { M, sumBytes } = blockSizes(roles, b);
  const column = columnOf(roles);
  const panelCount = levels.find((l) => l.kind === "panel")?.count ?? 1;
  const panelRing = levels.map((_, i) => i).filter((i) => levels[i]!.kind !== "reduced");
  const sequence = panelRing.reduce((n, i) => n * levels[i]!.count, 1);
  const [initial] = initialOf(kernel.engine);
  const splitsSum = levels.some((l) => l.kind === "reduced");
  const together = splitsSum || initial !== undefined ? panelCount : 2;
  const sumSlots = Math.min(sequence, Math.max(together, Math.min(8, Math.floor(machine.accumulators.bytes / sumBytes))));
  if (sumSlots * sumBytes > machine.accumulators.bytes) return undefined;
  const sums = { memory: "accumulator" as const, slots: sumSlots, slotBytes: sumBytes, address: 0, ring: ringOf(levels, panelRing, sumSlots), dependent: panelRing };

  // As many slots as there is room for, up to four: the loads then run further ahead.
  const resultBytes = kernel.results.map(({ chain, output }) => (output?.direct === true ? 0 : align(M * b.panelColumns * bytesOf(chain.dtype))));
  const outBytes = resultBytes.reduce((sum, bytes) => sum + bytes, 0);
  const capacity = machine.dataCache.bytes - Math.min(2, sequence) * outBytes;
  if (slotsBytes(fewest) > capacity) return undefined;
  if (!context.worthwhile(Math.floor(fewest.reduce((sum, o) => sum + allLoadCycles(o, levels, machine), 0)))) return undefined;
  const operands = [4, 3].map(slots).find((all) => slotsBytes(all) <= capacity) ?? fewest;
  // All panels of a tile finish their sums together: with a slot each, none holds up the accumulators.
  const room = Math.floor((machine.dataCache.bytes - slotsBytes(operands)) / outBytes);
  const staging = resultBytes.map((bytes) => (bytes === 0 ? noBuffer(levels) : bufferOf(bytes, levels, panelRing, [], Math.min(room, Math.max(2, Math.min(8, panelCount))), "cache")));

  const panelTile = b.tile.map((t, dim) => (dim === column ? b.panelColumns : t));
  const sumsFrom = initial === undefined ? {} : { initial: { access: initial, cycles: panelCount * initialCycles(initial, panelTile, M * b.panelColumns, machine), times: sequence / panelCount, slots: Math.max(1, Math.floor(sumSlots / panelCount)) } };
  const lanes = machine.vector.lanes;
  const outputs = kernel.dims.slice(0, kernel.parallel).reduce((n, d) => n * d.extent, 1);
  const predicted = predict({
    kernel, levels, operands, machine, arrayCycles, vectorCycles: kernel.results.reduce((sum, { chain }) => sum + Math.ceil(outputs / lanes) * laneCycles(chain), sequence * waitingResults(kernel) * machine.vector.latencyCycles), stores: sequence, storePoints: M * b.panelColumns, blocksPerIteration: panelCount,
    storeBytes: outputsOf(kernel).map((output) => storeTraffic(output, panelTile, machine)), ...sumsFrom,
    tailCycles: tailCyclesOf(problem, b),
  });
  return { kernel, choice: b, levels, tile: b.tile, dataflow: b.dataflow, panelColumns: b.panelColumns, operands, sums: [sums], staging, predicted };
}

/** From the last block's weights to its results in staging. */
function tailCyclesOf({ kernel, roles, machine }: Problem, b: Shape): number {
  const continues = initialOf(kernel.engine).length > 0;
  const { M, K } = blockSizes(roles, b);
  return Math.ceil(machine.array.rows / machine.array.weightRowsPerCycle) + blockLatency({ rows: M, contracted: K, columns: b.panelColumns, dataflow: b.dataflow, continues }, machine)
    + Math.ceil((M * b.panelColumns) / machine.vector.lanes) + machine.vector.latencyCycles;
}

/** Keeping only differs from reloading where dependent levels lie inside; it may not take slots for every sample of the batch. */
function mayKeep({ dependent, optional }: Residence, levels: readonly Level[], { batchDim }: TilingContext): boolean {
  return optional.length > 0 && !optional.some((level) => dependent.some((d) => d > level && levels[d]!.dim === batchDim));
}

/** Cycles of all blocks: full tiles and the tails of rows, columns and contracted dimensions. */
function totalArrayCycles({ kernel, roles, machine, products }: Problem, b: Shape, rowParts: readonly Part[], kParts: readonly Part[]): number {
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const column = columnOf(roles);
  const columns = partsOf(column === undefined ? 1 : extent(column), b.panelColumns);
  const outer = [...roles.batch, ...roles.columns.slice(0, -1)].reduce((n, dim) => n * extent(dim), 1);
  const continues = initialOf(kernel.engine).length > 0;
  // Between two blocks of the same sums: blocks of other panels where the sum is split, none between products.
  const splitsSum = roles.contracted.some((dim) => b.tile[dim]! < extent(dim));
  const panelsBetween = splitsSum ? { panelsBetween: Math.ceil((column === undefined ? 1 : b.tile[column]!) / b.panelColumns) - 1 } : products > 1 ? { panelsBetween: 0 } : {};
  let cycles = 0;
  for (const rows of rowParts) for (const k of kParts) for (const c of columns) {
    cycles += rows.times * k.times * c.times * blockCycles({ rows: rows.size, contracted: k.size, columns: c.size, dataflow: b.dataflow, continues, ...panelsBetween }, machine);
  }
  return outer * products * cycles;
}

/** Products of full tiles and tails of several dimensions. */
function partsAlong(kernel: Kernel, dims: readonly number[], tile: readonly number[]): readonly Part[] {
  return dims.reduce<readonly Part[]>((all, dim) => all.flatMap((r) => partsOf(kernel.dims[dim]!.extent, tile[dim]!).map((o) => ({ size: r.size * o.size, times: r.times * o.times }))), [{ size: 1, times: 1 }]);
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
