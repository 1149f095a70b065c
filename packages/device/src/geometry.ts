/**
 * @file Where the points of one dynamic instruction lie. Everything is affine in the loop indices, so each space and
 * generator is turned into its coefficients once and evaluated per iteration. The rules are those of isa/instructions.ts
 * (`dim`, `agu`, `ring`, `base`).
 */
import type { ResolvedGenerator, ResolvedSpace, Start } from "@systole/isa";

/** The points of one dynamic instruction: entry d belongs to dimension d of its space. */
export interface Placement {
  /** Number of dimensions in use. */
  rank: number;
  /** Points that exist (`cut` dimensions are shortened at their limit, never below 0). */
  readonly extents: Int32Array;
  /** Coordinate of point 0. */
  readonly starts: Float64Array;
  /** Points [low, high) lie inside the tensor; they differ from [0, extent) in `pad` dimensions only. */
  readonly low: Int32Array;
  readonly high: Int32Array;
}

export function newPlacement(): Placement {
  return { rank: 0, extents: new Int32Array(8), starts: new Float64Array(8), low: new Int32Array(8), high: new Int32Array(8) };
}

/** Fills `out` for the iteration `indices` (8 entries, one per level) and returns the number of points. */
export function extentsOf(space: ResolvedSpace, indices: Int32Array, out: Placement): number {
  const dimensions = space.dimensions;
  out.rank = dimensions.length;
  let points = 1;
  for (let d = 0; d < dimensions.length; d++) {
    const { extent, limit, mode, offset, steps } = dimensions[d]!;
    let start = offset;
    for (let level = 0; level < steps.length; level++) start += steps[level]! * indices[level]!;
    out.starts[d] = start;
    const left = limit === 0 ? extent : Math.max(0, Math.min(extent, limit - start));
    const exists = mode === "cut" ? left : extent;
    out.extents[d] = exists;
    out.high[d] = mode === "cut" ? exists : left;
    out.low[d] = mode === "cut" || start >= 0 ? 0 : Math.min(left, -start);
    points *= exists;
  }
  return points;
}

/** Whether some existing point lies outside the tensor (only in `pad` dimensions). */
export function reachesOutside(placement: Placement): boolean {
  for (let d = 0; d < placement.rank; d++) {
    if (placement.low[d] !== 0 || placement.high[d] !== placement.extents[d]) return true;
  }
  return false;
}

interface Affine {
  readonly space: ResolvedSpace;
  readonly constant: number;
  readonly perLevel: Float64Array;
  readonly moving: boolean;
}

const affineOf = new WeakMap<ResolvedGenerator, Affine>();

const rowOffsets = new WeakMap<ResolvedGenerator, number>();

/** Bytes by which a generator that moves by rows goes on from now; the controller sets them when it dispatches an instruction with values. */
export function setRowOffset(generator: ResolvedGenerator, bytes: number): void {
  rowOffsets.set(generator, bytes);
}

/** Byte address of point 0 inside the generator's memory, slot and row included. Without values a generator stands at its row 0. */
export function startAddress(generator: ResolvedGenerator, space: ResolvedSpace, indices: Int32Array): number {
  let affine = affineOf.get(generator);
  if (affine === undefined || affine.space !== space) {
    affine = affineForm(generator, space);
    affineOf.set(generator, affine);
  }
  let address = generator.row === undefined ? affine.constant : affine.constant + (rowOffsets.get(generator) ?? 0);
  if (affine.moving) for (let level = 0; level < 8; level++) address += affine.perLevel[level]! * indices[level]!;
  return generator.buffer.slots === 1 ? address : address + slotOf(generator, indices) * generator.buffer.slotBytes;
}

/** Which slot of its buffer the generator is in. */
export function slotOf(generator: ResolvedGenerator, indices: Int32Array): number {
  const slots = generator.buffer.slots;
  if (slots === 1) return 0;
  let sum = 0;
  for (let level = 0; level < 8; level++) sum += (generator.ring[level] ?? 0) * indices[level]!;
  return sum % slots;
}

/** Whether a reduction or a sum starts anew: every level of the mask is at index 0. */
export function startsAnew(start: Start, indices: Int32Array): boolean {
  if (start === "never") return false;
  for (let i = 0; i < start.length; i++) if (indices[start[i]!] !== 0) return false;
  return true;
}

function affineForm(generator: ResolvedGenerator, space: ResolvedSpace): Affine {
  const absolute = generator.mode === "absolute";
  const perLevel = new Float64Array(8);
  let constant = generator.buffer.base + generator.base;
  space.dimensions.forEach((dimension, d) => {
    const stride = generator.strides[d] ?? 0;
    if (absolute) constant += stride * dimension.offset;
    for (let level = 0; level < 8; level++) {
      if (absolute || generator.levels[level] === true) perLevel[level]! += stride * (dimension.steps[level] ?? 0);
    }
  });
  return { space, constant, perLevel, moving: perLevel.some((coefficient) => coefficient !== 0) };
}
