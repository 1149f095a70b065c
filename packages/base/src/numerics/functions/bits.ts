/** @file Exponents, exact powers of two, rounding, and the error terms of float64 operations. */

const word = new Float64Array(1);
const halves = new Uint32Array(word.buffer);
/** Index of the half that holds sign and exponent. */
const high = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;

/** 2^e for e from -1074 to 1023 at index e + 1074; doubling is exact. */
const powersOfTwo = (() => {
  const table = new Float64Array(2098);
  let power = 5e-324;
  for (let i = 0; i < table.length; i++, power *= 2) table[i] = power;
  return table;
})();

/** x * 2^e, rounded once (twice among subnormals). */
export function scale(x: number, e: number): number {
  if (e > 1023) return x * powersOfTwo[2097]! * powersOfTwo[Math.min(e - 1023, 1023) + 1074]!;
  if (e < -1022) return x * powersOfTwo[-1000 + 1074]! * powersOfTwo[Math.max(e + 1000, -1074) + 1074]!;
  return x * powersOfTwo[e + 1074]!;
}

/** e of x = m 2^e with m in [1, 2); x positive and normal. */
export function exponentOf(x: number): number {
  word[0] = x;
  return (halves[high]! >>> 20) - 1023;
}

/** Ties to even, by the rounding of an addition whose sum has no fraction bits. */
export function roundHalfEven(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude < 4503599627370496) || x === 0) return x;
  const rounded = magnitude + 4503599627370496 - 4503599627370496;
  return x < 0 ? -rounded : rounded;
}

/** The error of `sum = a + b` (Knuth): a + b = sum + error exactly. */
export function sumError(a: number, b: number, sum: number): number {
  const t = sum - a;
  return a - (sum - t) + (b - t);
}

/** The error of `product = a * b` (Dekker), for factors below 2^990. */
export function productError(a: number, b: number, product: number): number {
  const ta = 134217729 * a;
  const tb = 134217729 * b;
  const aHigh = ta - (ta - a);
  const bHigh = tb - (tb - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
}
