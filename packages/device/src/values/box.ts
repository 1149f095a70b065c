/** @file Strided copies: drops dimensions of one point, merges dimensions that both sides walk as one, calls the box kernel. */
import type { Memory } from "../memory.ts";

/** A box under construction: dimensions outermost first. Reused, so that a copy allocates nothing. */
export interface Box {
  rank: number;
  readonly extents: Int32Array;
  readonly target: Float64Array;
  readonly source: Float64Array;
}

export function newBox(): Box {
  return { rank: 0, extents: new Int32Array(9), target: new Float64Array(9), source: new Float64Array(9) };
}

/** Adds the next inner dimension, merged with the one before where possible. Empty boxes must not be built. */
export function addDimension(box: Box, extent: number, target: number, source: number): void {
  if (extent === 1) return;
  const last = box.rank - 1;
  if (last >= 0 && box.target[last] === target * extent && box.source[last] === source * extent) {
    box.extents[last]! *= extent;
    box.target[last] = target;
    box.source[last] = source;
    return;
  }
  box.extents[box.rank] = extent;
  box.target[box.rank] = target;
  box.source[box.rank] = source;
  box.rank++;
}

/** target[x] = source[x] over the box; linear addresses. */
export function copyBox(memory: Memory, box: Box, width: number, target: number, source: number): void {
  if (box.rank === 0 || (box.rank === 1 && box.target[0] === width && box.source[0] === width && box.extents[0]! * width > 4096)) {
    const bytes = box.rank === 0 ? width : box.extents[0]! * width;
    memory.u8.copyWithin(target, source, source + bytes);
    return;
  }
  memory.kernels.copyBox(target, source, describe(memory, box, width), memory.boxAddress);
}

/** target[x] = value over the box; for 8-byte elements `high` holds the upper half. */
export function fillBox(memory: Memory, box: Box, width: number, target: number, low: number, high: number): void {
  memory.kernels.fillBox(target, describe(memory, box, width), memory.boxAddress, low, high);
}

function describe(memory: Memory, box: Box, width: number): number {
  const words = memory.i32;
  const at = memory.boxAddress / 4;
  words[at] = width;
  const rank = Math.max(1, box.rank);
  for (let d = 0; d < rank; d++) {
    words[at + 1 + d] = box.rank === 0 ? 1 : box.extents[d]!;
    words[at + 9 + d] = box.rank === 0 ? width : box.target[d]!;
    words[at + 17 + d] = box.rank === 0 ? width : box.source[d]!;
  }
  return rank;
}
