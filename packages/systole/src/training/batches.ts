/** @file How samples are cut: into micro-batches, which are what one application of a graph sees, and into the batches of gradient and curvature. */
import { fail } from "@systole/base";

export interface BatchOptions {
  readonly sampleCount: number;
  /** A batch that the model itself fixes. */
  readonly fixed?: number;
  readonly microBatch?: number;
  readonly gradientBatch?: number;
  readonly curvatureBatch?: number;
  /** Part of the gradient batch that the curvature takes where nothing is said. */
  readonly curvaturePart: number;
  /** Gradient batch where nothing is said; all samples when missing. */
  readonly defaultBatch?: number;
}

export interface Batches {
  /** A multiple of the micro-batch: samples behind it are left out. */
  readonly sampleCount: number;
  readonly microBatch: number;
  readonly gradientBatch: number;
  readonly curvatureBatch: number;
  readonly notes: readonly string[];
}

/** Micro-batches of more samples gain little: the array is busy, and activations take memory. */
const largestMicroBatch = 512;
/** With fewer samples to a micro-batch the array idles: rather leave a few samples out. */
const smallestMicroBatch = 32;

export function planBatches(asked: BatchOptions): Batches {
  const { sampleCount } = asked;
  if (sampleCount < 1) fail("E0602", "the data holds no samples");
  for (const [what, size] of [["gradient", asked.gradientBatch], ["curvature", asked.curvatureBatch], ["micro-", asked.microBatch]] as const) {
    if (size !== undefined && size > sampleCount) fail("E0603", `a ${what}${what === "micro-" ? "" : " "}batch of ${size} samples out of ${sampleCount}`, {}, ["Give more data or a smaller batch."]);
  }
  const options = asked.defaultBatch === undefined ? asked : { ...asked, defaultBatch: divisorNear(sampleCount, asked.defaultBatch) };
  const microBatch = options.fixed ?? options.microBatch ?? chooseMicroBatch(options);
  if (microBatch > sampleCount) fail("E0603", `the model takes ${microBatch} samples at a time, the data holds ${sampleCount}`);
  const usable = Math.floor(sampleCount / microBatch) * microBatch;
  const notes = usable === sampleCount ? [] : [`${sampleCount - usable} of ${sampleCount} samples are left out: a micro-batch has ${microBatch}`];
  const gradientBatch = rounded("gradient", options.gradientBatch, Math.min(options.defaultBatch ?? usable, usable), microBatch, usable);
  const curvatureBatch = rounded("curvature", options.curvatureBatch, gradientBatch * options.curvaturePart, microBatch, usable);
  return { sampleCount: usable, microBatch, gradientBatch, curvatureBatch, notes };
}

/** A batch that was asked for is taken as it stands or refused; a default is rounded to micro-batches. */
function rounded(what: string, asked: number | undefined, wished: number, microBatch: number, most: number): number {
  if (asked === undefined) return Math.min(most, Math.max(1, Math.round(wished / microBatch)) * microBatch);
  if (asked % microBatch !== 0) fail("E0603", `a ${what} batch of ${asked} samples is no multiple of the micro-batch of ${microBatch}`, {}, ["Give --micro-batch a common divisor of the batches."]);
  return asked;
}

function chooseMicroBatch({ sampleCount, gradientBatch, curvatureBatch, defaultBatch }: BatchOptions): number {
  const common = [gradientBatch ?? defaultBatch, curvatureBatch].filter((size) => size !== undefined).reduce(greatestDivisor, 0);
  if (common > 0) return largestDivisor(common);
  const whole = largestDivisor(sampleCount);
  return whole >= Math.min(smallestMicroBatch, sampleCount) ? whole : Math.min(largestMicroBatch / 2, sampleCount);
}

/** The largest divisor of `size` that is at most `wished`, unless it is far smaller. */
function divisorNear(size: number, wished: number): number {
  const most = Math.min(size, wished);
  for (let divisor = most; divisor * 2 > most; divisor--) if (size % divisor === 0) return divisor;
  return most;
}

function largestDivisor(size: number): number {
  for (let divisor = Math.min(size, largestMicroBatch); ; divisor--) if (size % divisor === 0) return divisor;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
