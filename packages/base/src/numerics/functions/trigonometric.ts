/** @file Sine, cosine, tangent and their inverses. */
import { sumError } from "./bits.ts";

const halfPi = 1.5707963267948966;
const pi = 3.141592653589793;
const piLow = 1.2246467991473532e-16;
const twoOverPi = 0.6366197723675814;

/** pi / 2 in parts of 22 bits: the product of a part with an integer below 2^31 is exact. */
const halfPiParts = [1.570796012878418, 3.139164164167596e-7, 6.223371969669989e-14, 2.0222659584103533e-21] as const;

/** pi / 2 times 2^1216, for arguments of any size. */
const fractionBits = 1216n;
const halfPiFixed = BigInt(
  "0x1921fb54442d18469898cc51701b839a252049c1114cf98e804177d4c76273644a29410f31c6809bbdf2a33679a748636605" +
  "614dbe4be286e9fc26adadaa3848bc90b6aecc4bcfd8de89885d34c6fdad617feb96de80d6fdbdc70d7f6b5133f4b5d3e482" +
  "2f8963fcc9250cca3d9c8b67b8400f97142c77e0b31b4906c38aba734d22c7f51fa499ebf06caba47b9475b2c38c5e6ac410aa577",
);

/** x = quadrant pi/2 + high + low, |high| at most about pi/4. */
interface Reduced {
  readonly quadrant: number;
  readonly high: number;
  readonly low: number;
}

function reduce(x: number): Reduced {
  if (Math.abs(x) <= 0.7853981633974483) return { quadrant: 0, high: x, low: 0 };
  if (Math.abs(x) > 1073741824) return reduceLarge(x);
  const n = Math.floor(x * twoOverPi + 0.5);
  let high = x - n * halfPiParts[0];
  let low = 0;
  for (const part of [-n * halfPiParts[1], -n * halfPiParts[2], -n * halfPiParts[3]]) {
    const sum = high + part;
    low += sumError(high, part, sum);
    high = sum;
  }
  const sum = high + low;
  return { quadrant: ((n % 4) + 4) % 4, high: sum, low: sumError(high, low, sum) };
}

/** Exact remainder in fixed point; slow, and rare. */
function reduceLarge(x: number): Reduced {
  const a = Math.abs(x);
  const scaled = a < 2 ** 60 ? BigInt(a * 4194304) << (fractionBits - 22n) : BigInt(a) << fractionBits;
  const n = (scaled + halfPiFixed / 2n) / halfPiFixed;
  const rest = scaled - n * halfPiFixed;
  const high = Number(rest >> (fractionBits - 200n)) / 2 ** 200;
  const quadrant = Number(n & 3n);
  return x < 0 ? { quadrant: (4 - quadrant) % 4, high: -high, low: 0 } : { quadrant, high, low: 0 };
}

/** sin(r + low) by the Taylor series to r^17. */
function sinSmall(r: number, low: number): number {
  const z = r * r;
  const p = -1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 + z * (1 / 6227020800 + z * (-1 / 1307674368000 + z / 355687428096000))))));
  return r + (r * z * p + low * (1 - z / 2));
}

/** cos(r + low) by the Taylor series to r^18. */
function cosSmall(r: number, low: number): number {
  const z = r * r;
  const p = 1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600 + z * (-1 / 87178291200 + z * (1 / 20922789888000 - z / 6402373705728000))))));
  return 1 - (z / 2 - (z * z * p - r * low));
}

function sinOf({ quadrant, high, low }: Reduced, shift: number): number {
  switch ((quadrant + shift) % 4) {
    case 0: return sinSmall(high, low);
    case 1: return cosSmall(high, low);
    case 2: return -sinSmall(high, low);
    default: return -cosSmall(high, low);
  }
}

export function sin(x: number): number {
  if (!Number.isFinite(x)) return NaN;
  return x === 0 ? x : sinOf(reduce(x), 0);
}

export function cos(x: number): number {
  return Number.isFinite(x) ? sinOf(reduce(x), 1) : NaN;
}

export function tan(x: number): number {
  if (!Number.isFinite(x)) return NaN;
  if (x === 0) return x;
  const reduced = reduce(x);
  return sinOf(reduced, 0) / sinOf(reduced, 1);
}

/** atan(k / 4). */
const atanQuarters = [0, 0.24497866312686414, 0.4636476090008061, 0.6435011087932844, 0.7853981633974483] as const;

/** atan t for t in [0, 1]. */
function atanUnit(t: number): number {
  const quarter = Math.floor(t * 4 + 0.5);
  const c = quarter / 4;
  const u = quarter === 0 ? t : (t - c) / (1 + t * c);
  const z = u * u;
  const series = z * (-1 / 3 + z * (1 / 5 + z * (-1 / 7 + z * (1 / 9 + z * (-1 / 11 + z * (1 / 13 + z * (-1 / 15 + z * (1 / 17 - z / 19))))))));
  return atanQuarters[quarter as 0 | 1 | 2 | 3 | 4] + (u + u * series);
}

export function atan(x: number): number {
  if (x === 0 || Number.isNaN(x)) return x;
  const a = Math.abs(x);
  const value = a <= 1 ? atanUnit(a) : halfPi - (atanUnit(1 / a) - piLow / 2);
  return x < 0 ? -value : value;
}

export function atan2(y: number, x: number): number {
  if (Number.isNaN(x) || Number.isNaN(y)) return NaN;
  const a = Math.abs(y);
  const b = Math.abs(x);
  const negativeX = x < 0 || Object.is(x, -0);
  const acute = a === 0 ? 0 : a === b ? atanQuarters[4] : a < b ? atanUnit(a / b) : halfPi - (atanUnit(b / a) - piLow / 2);
  const angle = negativeX ? pi - (acute - piLow) : acute;
  return y < 0 || Object.is(y, -0) ? -angle : angle;
}

export function asin(x: number): number {
  if (!(Math.abs(x) <= 1)) return NaN;
  return x === 0 ? x : atan(x / Math.sqrt((1 - x) * (1 + x)));
}

export function acos(x: number): number {
  if (!(Math.abs(x) <= 1)) return NaN;
  return 2 * atan(Math.sqrt((1 - x) / (1 + x)));
}
