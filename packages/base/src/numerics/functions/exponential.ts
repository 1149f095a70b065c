/** @file exp, log and what follows from them. */
import { exponentOf, productError, scale, sumError } from "./bits.ts";

/** ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact. */
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;
const ln2 = 0.6931471805599453;
const inverseLn2 = 1.4426950408889634;
const sqrt2 = 1.4142135623730951;

/** e^r - 1 for |r| <= 0.35, the Taylor series to degree 14. */
function expm1Small(r: number): number {
  const p = 1 / 720 + r * (1 / 5040 + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r * (1 / 479001600 + r * (1 / 6227020800 + r / 87178291200)))))));
  return r + r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * p))));
}

/** e^(x + low), where low is an error term of x. */
function expWithError(x: number, low: number): number {
  if (Number.isNaN(x)) return x;
  if (x > 709.9) return Infinity;
  if (x < -745.2) return 0;
  const k = Math.floor(x * inverseLn2 + 0.5);
  const r = x - k * ln2High - (k * ln2Low - low);
  return scale(1 + expm1Small(r), k);
}

export function exp(x: number): number {
  return expWithError(x, 0);
}

export function expm1(x: number): number {
  if (Math.abs(x) <= 0.35) return x === 0 ? x : expm1Small(x);
  return exp(x) - 1;
}

/** 2 atanh(s) - 2 s for |s| <= 0.1716, by its series. */
function logTail(s: number): number {
  const z = s * s;
  return s * z * (2 / 3 + z * (2 / 5 + z * (2 / 7 + z * (2 / 9 + z * (2 / 11 + z * (2 / 13 + z * (2 / 15 + z * (2 / 17 + z * (2 / 19 + z * (2 / 21 + z * (2 / 23 + z * (2 / 25))))))))))));
}

/** log x = k ln 2 + log m with m in [sqrt 1/2, sqrt 2]; only for positive finite x. */
function reduceLog(x: number): { readonly k: number; readonly m: number } {
  const subnormal = x < 2.2250738585072014e-308;
  const normal = subnormal ? x * 18014398509481984 : x;
  const e = exponentOf(normal);
  const m = scale(scale(normal, -(e >> 1)), -(e - (e >> 1)));
  const k = subnormal ? e - 54 : e;
  return m > sqrt2 ? { k: k + 1, m: m / 2 } : { k, m };
}

export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return x;
  const { k, m } = reduceLog(x);
  const s = (m - 1) / (m + 1);
  return k * ln2High + (2 * s + (logTail(s) + k * ln2Low));
}

export function log1p(x: number): number {
  const u = 1 + x;
  if (u === 1) return x;
  if (!(u > 0) || x > 9007199254740992) return log(u);
  // u - 1 is exact; the quotient puts back what the addition lost (Kahan).
  return (log(u) * x) / (u - 1);
}

/** a^b with the special cases of IEEE pow as ECMAScript has them (pow(1, NaN) and pow(+-1, +-Infinity) are NaN). */
export function pow(a: number, b: number): number {
  if (b === 0) return 1;
  if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
  const odd = Math.abs(b % 2) === 1;
  const sign = odd && (a < 0 || Object.is(a, -0)) ? -1 : 1;
  const magnitude = Math.abs(a);
  if (Math.abs(b) === Infinity) {
    if (magnitude === 1) return NaN;
    return magnitude > 1 === b > 0 ? Infinity : 0;
  }
  if (magnitude === 0) return sign * (b > 0 ? 0 : Infinity);
  if (magnitude === Infinity) return sign * (b > 0 ? Infinity : 0);
  if (a < 0 && Math.floor(b) !== b) return NaN;
  if (b === 1) return a;
  if (b === 2) return a * a;
  if (b === -1) return 1 / a;
  if (b === 0.5) return Math.sqrt(a);
  return sign * powPositive(magnitude, b);
}

/** The logarithm is carried to about 70 bits: its error is multiplied by up to 700. */
function powPositive(a: number, b: number): number {
  if (Math.abs(b) > 1e300) return a === 1 ? 1 : a > 1 === b > 0 ? Infinity : 0;
  const { k, m } = reduceLog(a);
  const numerator = m - 1;
  const denominator = m + 1;
  const denominatorError = sumError(m, 1, denominator);
  const s = numerator / denominator;
  const product = s * denominator;
  const sError = (numerator - product - productError(s, denominator, product) - s * denominatorError) / denominator;
  const first = k * ln2High;
  const high = first + 2 * s;
  const low = sumError(first, 2 * s, high) + (2 * sError + logTail(s) + k * ln2Low);
  const exponent = b * high;
  if (!(Math.abs(exponent) < 800)) return exponent > 0 ? Infinity : 0;
  return expWithError(exponent, productError(b, high, exponent) + b * low);
}

/** a^b wrapped to 64 bits; a negative power is the integer part of the fraction. */
export function integerPower(a: bigint, b: bigint): bigint {
  if (b < 0n) return a === 1n ? 1n : a === -1n ? (b % 2n === 0n ? 1n : -1n) : 0n;
  let result = 1n;
  let base = a;
  for (let rest = b; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = BigInt.asIntN(64, result * base);
    base = BigInt.asIntN(64, base * base);
  }
  return result;
}

export function logistic(x: number): number {
  if (x >= 0) return 1 / (1 + exp(-x));
  const e = exp(x);
  return e / (1 + e);
}

export function softplus(x: number): number {
  return Math.max(x, 0) + log1p(exp(-Math.abs(x)));
}

export function sinh(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0) || a === Infinity) return x;
  const t = expm1(Math.min(a, 700));
  const value = a <= 700 ? (t + t / (t + 1)) / 2 : squareOfHalf(a);
  return x < 0 ? -value : value;
}

export function cosh(x: number): number {
  const a = Math.abs(x);
  if (a > 700) return squareOfHalf(a);
  const e = exp(a);
  return (e + 1 / e) / 2;
}

/** e^a / 2 where e^a alone may overflow. */
function squareOfHalf(a: number): number {
  const e = exp(a / 2);
  return (e / 2) * e;
}

export function tanh(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  const t = a > 22 ? Infinity : expm1(2 * a);
  const value = t === Infinity ? 1 : t / (t + 2);
  return x < 0 ? -value : value;
}

export function asinh(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0) || a === Infinity) return x;
  const value = a > 1e150 ? log(a) + ln2 : log1p(a + (a * a) / (1 + Math.sqrt(1 + a * a)));
  return x < 0 ? -value : value;
}

export function acosh(x: number): number {
  if (!(x >= 1)) return NaN;
  if (x > 1e150) return log(x) + ln2;
  const t = x - 1;
  return log1p(t + Math.sqrt(2 * t + t * t));
}

export function atanh(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  if (a > 1) return NaN;
  const value = log1p((2 * a) / (1 - a)) / 2;
  return x < 0 ? -value : value;
}
