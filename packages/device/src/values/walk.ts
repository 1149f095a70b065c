/**
 * @file How the vector unit's points are walked: dimensions that all operands walk evenly are merged, then the points are
 * cut into blocks of at most `blockElements`: all of the innermost dimensions and a chunk of the one before them.
 */
import { bytesOf } from "@systole/base";
import type { ResolvedGenerator } from "@systole/isa";
import type { Placement } from "../geometry.ts";
import { blockElements, type Memory } from "../memory.ts";
import { addDimension, copyBox, newBox, type Box } from "./box.ts";

export interface Walk {
  rank: number;
  /** Dimensions before this one are kept, the others reduced. */
  kept: number;
  readonly extents: number[];
  /** strides[operand][dimension]; the last operand is the target. */
  readonly strides: number[][];
  /** Dimension of the space -> dimension of the walk, -1 where the space has one point. Filled for coordinates only. */
  readonly dimensionOf: number[];
}

/** `separate` are dimensions of the space whose coordinates are read: they stay on their own. */
export function walkOf(points: Placement, reduced: number, operands: readonly ResolvedGenerator[], separate: readonly number[]): Walk {
  const walk: Walk = { rank: 0, kept: 0, extents: [], strides: operands.map(() => []), dimensionOf: Array.from({ length: 8 }, () => -1) };
  const keptDimensions = points.rank - reduced;
  let mergeable = false;
  for (let d = 0; d < points.rank; d++) {
    if (d === keptDimensions) {
      walk.kept = walk.rank;
      mergeable = false;
    }
    const extent = points.extents[d]!;
    if (extent === 1) continue;
    const alone = separate.includes(d);
    const last = walk.rank - 1;
    if (mergeable && !alone && operands.every((o, i) => walk.strides[i]![last] === (o.strides[d] ?? 0) * extent)) {
      walk.extents[last]! *= extent;
      operands.forEach((o, i) => (walk.strides[i]![last] = o.strides[d] ?? 0));
      continue;
    }
    walk.extents.push(extent);
    operands.forEach((o, i) => walk.strides[i]!.push(o.strides[d] ?? 0));
    if (alone) walk.dimensionOf[d] = walk.rank;
    walk.rank++;
    mergeable = !alone;
  }
  if (keptDimensions >= points.rank) walk.kept = walk.rank;
  return walk;
}

/** How an operand lies inside a block; `rows` are adjacent elements each, evenly apart (0 for a row that repeats). */
export type Form = "adjacent" | "broadcast" | "rows" | "strided";

/** Shorter rows cost more than copying them together. */
const shortestRow = 8;

/** Blocks over dimensions [0, high) of a walk. */
export interface Blocks {
  readonly walk: Walk;
  readonly high: number;
  /** The dimension that is cut in chunks; -1 if a block is everything. */
  readonly split: number;
  readonly chunk: number;
  /** Points of a block per point of `split`. */
  readonly inner: number;
}

export function blocksOf(walk: Walk, high: number): Blocks {
  let split = high - 1;
  let inner = 1;
  while (split >= 0 && inner * walk.extents[split]! <= blockElements) inner *= walk.extents[split--]!;
  return { walk, high, split, chunk: split < 0 ? 1 : Math.max(1, Math.floor(blockElements / inner)), inner };
}

export function formOf(blocks: Blocks, operand: number, width: number): Form {
  const strides = blocks.walk.strides[operand]!;
  let packed = width;
  let adjacent = true;
  let broadcast = true;
  for (let d = blocks.high - 1; d >= Math.max(0, blocks.split); d--) {
    if (strides[d] !== packed) adjacent = false;
    if (strides[d] !== 0) broadcast = false;
    packed *= blocks.walk.extents[d]!;
  }
  if (adjacent || broadcast) return adjacent ? "adjacent" : "broadcast";
  const columns = columnsOf(blocks);
  return columns >= shortestRow && strides[blocks.high - 1] === width ? "rows" : "strided";
}

/** Elements of a row where blocks have two dimensions, else 0. */
export function columnsOf({ walk, high, split }: Blocks): number {
  return high - Math.max(0, split) === 2 ? walk.extents[high - 1]! : 0;
}

/** Bytes from row to row of an operand where blocks have two dimensions. */
export function pitchOf({ walk, high }: Blocks, operand: number): number {
  return walk.strides[operand]![high - 2]!;
}

/** Where a block begins: positions in the dimensions of the walk (of the first point) and byte offset per operand. */
export interface Position {
  readonly at: number[];
  readonly offsets: number[];
  /** Points in the block. */
  count: number;
}

/** Visits the blocks in row-major order. `position` is reused and holds offsets relative to the first point. */
export function forEachBlock(blocks: Blocks, position: Position, visit: () => void): void {
  const { walk, split, chunk, inner } = blocks;
  const step = (d: number, by: number): void => {
    position.at[d]! += by;
    for (let o = 0; o < position.offsets.length; o++) position.offsets[o]! += by * walk.strides[o]![d]!;
  };
  if (split < 0) {
    position.count = inner;
    visit();
    return;
  }
  while (true) {
    const extent = walk.extents[split]!;
    for (let x = 0; x < extent; x += chunk) {
      position.count = Math.min(chunk, extent - x) * inner;
      visit();
      step(split, chunk);
    }
    step(split, -position.at[split]!);
    let d = split - 1;
    for (; d >= 0; d--) {
      step(d, 1);
      if (position.at[d]! < walk.extents[d]!) break;
      step(d, -position.at[d]!);
    }
    if (d < 0) return;
  }
}

/** Visits every point of dimensions [low, high), row-major. */
export function forEachPoint(walk: Walk, low: number, high: number, position: Position, visit: (first: boolean) => void): void {
  let first = true;
  while (true) {
    visit(first);
    first = false;
    let d = high - 1;
    for (; d >= low; d--) {
      const atEnd = position.at[d]! + 1 === walk.extents[d]!;
      const by = atEnd ? -position.at[d]! : 1;
      position.at[d]! += by;
      for (let o = 0; o < position.offsets.length; o++) position.offsets[o]! += by * walk.strides[o]![d]!;
      if (!atEnd) break;
    }
    if (d < low) return;
  }
}

export function newPosition(walk: Walk): Position {
  return { at: Array.from({ length: walk.rank }, () => 0), offsets: Array.from({ length: walk.strides.length }, () => 0), count: 0 };
}

const box: Box = newBox();

/** Copies a block of an operand between its place and adjacent scratch. */
export function moveBlock(memory: Memory, blocks: Blocks, operand: number, count: number, width: number, strided: number, adjacent: number, direction: "in" | "out"): void {
  box.rank = 0;
  let packed = count * width;
  for (let d = Math.max(0, blocks.split); d < blocks.high; d++) {
    const extent = d === blocks.split ? count / blocks.inner : blocks.walk.extents[d]!;
    packed /= extent;
    const stride = blocks.walk.strides[operand]![d]!;
    addDimension(box, extent, direction === "in" ? packed : stride, direction === "in" ? stride : packed);
  }
  copyBox(memory, box, width, direction === "in" ? adjacent : strided, direction === "in" ? strided : adjacent);
}

export function widthsOf(operands: readonly ResolvedGenerator[]): number[] {
  return operands.map((operand) => bytesOf(operand.dtype));
}
