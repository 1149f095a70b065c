/**
 * @file The two orders of a reduction, defined once for the evaluator, the compiler and the device.
 *
 * sequential: ascending, one rounded addition per element, from +0 or an initial value.
 * blocked:    the stream is cut into blocks of `blockLength` elements; in a block, `partialSums` interleaved
 *             partial sums (element e goes to partial e mod partialSums, each from +0), then a fixed binary tree
 *             (partial j += partial j + h for h = partialSums/2, ..., 1); the block sums are added in order in
 *             float64 from +0 or an initial value, and rounded to the element type at the end.
 */

/** At least as many as the widest vector unit has lanes; a power of two. */
export const partialSums = 512;
/** Elements of one block: 16 per partial sum. */
export const blockLength = 8192;

export type ReductionOrder = "sequential" | "blocked";

/**
 * The order of a sum over `axes` of `shape`, chosen by shape alone: blocked where the reduced axes are the innermost ones
 * and long (then nothing else fills the lanes), else sequential.
 */
export function reductionOrder(shape: readonly number[], axes: readonly number[]): ReductionOrder {
  const kept = shape.length - axes.length;
  const innermost = axes.every((axis) => axis >= kept);
  const length = axes.reduce((product, axis) => product * shape[axis]!, 1);
  return innermost && length >= 64 ? "blocked" : "sequential";
}

/** The sum of one stream in blocked order; `round` rounds to the element type (Math.fround for f32). */
export function blockedSum(length: number, at: (index: number) => number, round: (x: number) => number, initial = 0): number {
  const partial = new Float64Array(partialSums);
  let total = initial;
  for (let start = 0; start < length; start += blockLength) {
    partial.fill(0);
    const end = Math.min(start + blockLength, length);
    for (let e = start; e < end; e++) {
      const j = (e - start) % partialSums;
      partial[j] = round(partial[j]! + at(e));
    }
    for (let half = partialSums / 2; half >= 1; half /= 2) {
      for (let j = 0; j < half; j++) partial[j] = round(partial[j]! + partial[j + half]!);
    }
    total += partial[0]!;
  }
  return round(total);
}

export type FoldKind = "sum" | "prod" | "max" | "min";

/** The element that a reduction starts with; max and min start with the first element (undefined). */
export const foldStart: Readonly<Record<FoldKind, number | undefined>> = { sum: 0, prod: 1, max: undefined, min: undefined };

/** One step of a sequential reduction of floats: NaN wins, +0 is larger than -0. The caller rounds. */
export const foldFloat: Readonly<Record<FoldKind, (value: number, element: number) => number>> = {
  sum: (value, element) => value + element,
  prod: (value, element) => value * element,
  max: (value, element) => Math.max(value, element),
  min: (value, element) => Math.min(value, element),
};

/** The same for integers; the caller wraps. */
export const foldInteger: Readonly<Record<FoldKind, (value: bigint, element: bigint) => bigint>> = {
  sum: (value, element) => BigInt.asIntN(64, value + element),
  prod: (value, element) => BigInt.asIntN(64, value * element),
  max: (value, element) => (element > value ? element : value),
  min: (value, element) => (element < value ? element : value),
};

/** A whole stream in sequential order; `length` is at least 1 for max and min. */
export function sequentialFold(kind: FoldKind, length: number, at: (index: number) => number, round: (x: number) => number, start = foldStart[kind]): number {
  const step = foldFloat[kind];
  let value = start ?? at(0);
  for (let i = start === undefined ? 1 : 0; i < length; i++) value = round(step(value, at(i)));
  return value;
}

export function sequentialFoldInteger(kind: FoldKind, length: number, at: (index: number) => bigint, start: number | bigint | undefined = foldStart[kind]): bigint {
  const step = foldInteger[kind];
  let value = start === undefined ? at(0) : BigInt(start);
  for (let i = start === undefined ? 1 : 0; i < length; i++) value = step(value, at(i));
  return value;
}

/**
 * Whether `element` replaces `best` as the extreme: the first NaN wins over everything; among equals the first stays
 * (or, with `last`, the later one is taken; then the last NaN wins). Zeros of both signs are equal.
 */
export function replacesExtreme<T extends number | bigint>(kind: "max" | "min", best: T, element: T, last: boolean): boolean {
  // A NaN is the only value that differs from itself.
  if (best !== best) return last && element !== element;
  if (element !== element) return true;
  if (element === best) return last;
  return kind === "max" ? element > best : element < best;
}

/** Index of the extreme element of a stream of at least one element. */
export function argExtreme(kind: "max" | "min", length: number, at: (index: number) => number | bigint, last: boolean): number {
  let best = 0;
  for (let i = 1; i < length; i++) {
    if (replacesExtreme(kind, at(best), at(i), last)) best = i;
  }
  return best;
}
