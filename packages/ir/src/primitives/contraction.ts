/**
 * @file The arithmetic of `dot` and `conv`: every element is a sum over its terms in strict order from +0 or an initial value, each step a
 * rounded multiply and a rounded add. The weights of one batch entry are packed [term][column], so that the
 * inner loop runs over columns without disturbing the order of any sum.
 */
import type { Dtype, NumericArray } from "@systole/base";
import type { Precision } from "./primitive.ts";

/** Adds factor * weights[first .. first + sums.length) to the sums. */
export type AddTerm = (factor: number | bigint, weights: NumericArray, first: number) => void;

export interface Accumulator {
  readonly sums: NumericArray;
  readonly addTerm: AddTerm;
}

/** Sums of `columns` neighbours in the arithmetic of an element type. */
export function accumulator(dtype: Dtype, columns: number, precision: Precision): Accumulator {
  if (dtype === "i64") {
    const sums = new BigInt64Array(columns);
    return { sums, addTerm: (factor, weights, first) => addLong(sums, factor as bigint, weights as BigInt64Array, first) };
  }
  if (dtype === "i32") {
    const sums = new Int32Array(columns);
    return { sums, addTerm: (factor, weights, first) => addInteger(sums, factor as number, weights as Int32Array, first) };
  }
  if (dtype === "f64" || precision === "float64") {
    const sums = new Float64Array(columns);
    return { sums, addTerm: (factor, weights, first) => addDouble(sums, factor as number, weights as Float64Array, first) };
  }
  const sums = new Float32Array(columns);
  return { sums, addTerm: (factor, weights, first) => addSingle(sums, factor as number, weights as Float32Array, first) };
}

function addSingle(sums: Float32Array, factor: number, weights: Float32Array, first: number): void {
  for (let n = 0; n < sums.length; n++) sums[n] = sums[n]! + Math.fround(factor * weights[first + n]!);
}

function addDouble(sums: Float64Array, factor: number, weights: Float64Array, first: number): void {
  for (let n = 0; n < sums.length; n++) sums[n] = sums[n]! + factor * weights[first + n]!;
}

function addInteger(sums: Int32Array, factor: number, weights: Int32Array, first: number): void {
  for (let n = 0; n < sums.length; n++) sums[n] = sums[n]! + Math.imul(factor, weights[first + n]!);
}

function addLong(sums: BigInt64Array, factor: bigint, weights: BigInt64Array, first: number): void {
  for (let n = 0; n < sums.length; n++) sums[n] = sums[n]! + factor * weights[first + n]!;
}

/** packed[term * columns + column] = w[start + terms[term] + columns[column]]. */
export function packWeights(w: NumericArray, start: number, terms: Int32Array, columns: Int32Array, packed: NumericArray): void {
  const from = w as Float64Array;
  const to = packed as Float64Array;
  for (let t = 0, at = 0; t < terms.length; t++) {
    for (let n = 0; n < columns.length; n++) to[at++] = from[start + terms[t]! + columns[n]!]!;
  }
}

/** The sums go on from the values at their places. */
export function loadSums(sums: NumericArray, initial: NumericArray, start: number, columns: Int32Array): void {
  const to = sums as Float64Array;
  const from = initial as Float64Array;
  for (let n = 0; n < columns.length; n++) to[n] = from[start + columns[n]!]!;
}

/** Writes the sums to their places and clears them. */
export function storeSums(sums: NumericArray, out: NumericArray, start: number, columns: Int32Array): void {
  const from = sums as Float64Array;
  const to = out as Float64Array;
  for (let n = 0; n < columns.length; n++) to[start + columns[n]!] = from[n]!;
  if (sums instanceof BigInt64Array) sums.fill(0n);
  else sums.fill(0);
}
