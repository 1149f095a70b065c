/**
 * @file The two orders of a reduction, defined once for the evaluator, the compiler and the device.
 *
 * sequential: ascending, one rounded addition per element, from +0.
 * blocked:    the stream is cut into blocks of `blockLength` elements; in a block, `partialSums` interleaved
 *             partial sums (element e goes to partial e mod partialSums, each from +0), then a fixed binary tree
 *             (partial j += partial j + h for h = partialSums/2, ..., 1); the block sums are added in order in
 *             float64 from +0 and rounded to the element type at the end.
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
export function blockedSum(length: number, at: (index: number) => number, round: (x: number) => number): number {
  const partial = new Float64Array(partialSums);
  let total = 0;
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
