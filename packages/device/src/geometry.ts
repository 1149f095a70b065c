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

/** Coefficients of loop levels that are not 0, as pairs: level, factor. They are evaluated at every dispatch. */
type Terms = readonly number[];

function termsOf(factors: readonly number[]): Terms {
  return factors.flatMap((factor, level) => (factor === 0 ? [] : [level, factor]));
}

function sumOf(terms: Terms, indices: Int32Array): number {
  let sum = 0;
  for (let k = 0; k < terms.length; k += 2) sum += terms[k + 1]! * indices[terms[k]!]!;
  return sum;
}

/** The dimensions of a space, column by column; `moves` are triples: dimension, level, step. */
interface Columns {
  readonly extents: readonly number[];
  readonly offsets: readonly number[];
  readonly limits: readonly number[];
  readonly cuts: readonly boolean[];
  readonly moves: readonly number[];
}

const columnsOf = new WeakMap<ResolvedSpace, Columns>();

function newColumns({ dimensions }: ResolvedSpace): Columns {
  return {
    extents: dimensions.map(({ extent }) => extent), offsets: dimensions.map(({ offset }) => offset), limits: dimensions.map(({ limit }) => limit), cuts: dimensions.map(({ mode }) => mode === "cut"),
    moves: dimensions.flatMap(({ steps }, d) => steps.flatMap((step, level) => (step === 0 ? [] : [d, level, step]))),
  };
}

/** Fills `out` for the iteration `indices` (8 entries, one per level) and returns the number of points. */
export function extentsOf(space: ResolvedSpace, indices: Int32Array, out: Placement): number {
  let columns = columnsOf.get(space);
  if (columns === undefined) columnsOf.set(space, (columns = newColumns(space)));
  const { extents, offsets, limits, cuts, moves } = columns;
  const { starts } = out;
  out.rank = extents.length;
  for (let d = 0; d < extents.length; d++) starts[d] = offsets[d]!;
  for (let k = 0; k < moves.length; k += 3) starts[moves[k]!]! += moves[k + 2]! * indices[moves[k + 1]!]!;
  let points = 1;
  for (let d = 0; d < extents.length; d++) {
    const extent = extents[d]!;
    const limit = limits[d]!;
    const start = starts[d]!;
    const left = limit === 0 ? extent : Math.max(0, Math.min(extent, limit - start));
    const exists = cuts[d]! ? left : extent;
    out.extents[d] = exists;
    out.high[d] = left;
    out.low[d] = cuts[d]! || start >= 0 ? 0 : Math.min(left, -start);
    points *= exists;
  }
  return points;
}

export function placementOf(space: ResolvedSpace, indices: Int32Array): Placement {
  const placement = newPlacement();
  extentsOf(space, indices, placement);
  return placement;
}

/** Whether some existing point lies outside the tensor (only in `pad` dimensions). */
export function reachesOutside(placement: Placement): boolean {
  for (let d = 0; d < placement.rank; d++) {
    if (placement.low[d] !== 0 || placement.high[d] !== placement.extents[d]) return true;
  }
  return false;
}

/** The address of point 0 in slot 0 and row 0. */
interface Affine {
  readonly space: ResolvedSpace;
  readonly constant: number;
  readonly terms: Terms;
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
  const { buffer, row } = generator;
  let address = affine.constant + sumOf(affine.terms, indices);
  if (row !== undefined) address += rowOffsets.get(generator) ?? 0;
  return buffer.slots === 1 ? address : address + slotOf(generator, indices) * buffer.slotBytes;
}

const ringOf = new WeakMap<ResolvedGenerator, Terms>();

/** Which slot of its buffer the generator is in. */
export function slotOf(generator: ResolvedGenerator, indices: Int32Array): number {
  const slots = generator.buffer.slots;
  if (slots === 1) return 0;
  let ring = ringOf.get(generator);
  if (ring === undefined) ringOf.set(generator, (ring = termsOf(generator.ring)));
  return sumOf(ring, indices) % slots;
}

/** Whether a reduction or a sum starts anew: every level of the mask is at index 0. */
export function startsAnew(start: Start, indices: Int32Array): boolean {
  if (start === "never") return false;
  for (let i = 0; i < start.length; i++) if (indices[start[i]!] !== 0) return false;
  return true;
}

function affineForm(generator: ResolvedGenerator, space: ResolvedSpace): Affine {
  const absolute = generator.mode === "absolute";
  const perLevel = Array.from({ length: 8 }, () => 0);
  let constant = generator.buffer.base + generator.base;
  space.dimensions.forEach((dimension, d) => {
    const stride = generator.strides[d] ?? 0;
    if (absolute) constant += stride * dimension.offset;
    for (let level = 0; level < 8; level++) {
      if (absolute || generator.levels[level] === true) perLevel[level]! += stride * (dimension.steps[level] ?? 0);
    }
  });
  return { space, constant, terms: termsOf(perLevel) };
}
