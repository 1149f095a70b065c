/** @file The error function: a series at 0, Taylor polynomials around multiples of a quarter elsewhere. */
import { exp } from "./exponential.ts";

const twoOverSqrtPi = 1.1283791670955126;
/** From here on erf is 1 in float64. */
const saturation = 6;
const terms = 15;

/** erf c = 2/sqrt(pi) e^(-c^2) (c + 2c^3/3 + 4c^5/15 + ...): all terms have one sign. */
function erfBySeries(c: number): number {
  let term = c;
  let sum = 0;
  for (let n = 1; sum + term !== sum; n++) {
    sum += term;
    term *= (2 * c * c) / (2 * n + 1);
  }
  return twoOverSqrtPi * exp(-c * c) * sum;
}

/**
 * Taylor coefficients of erf around c: with f = erf' the rule f' = -2 x f gives
 * (n + 1) f[n+1] = -2 (c f[n] + f[n-1]).
 */
function coefficientsAround(c: number): Float64Array {
  const result = new Float64Array(terms);
  result[0] = erfBySeries(c);
  let previous = 0;
  let current = twoOverSqrtPi * exp(-c * c);
  for (let n = 0; n + 1 < terms; n++) {
    result[n + 1] = current / (n + 1);
    const next = (-2 * (c * current + previous)) / (n + 1);
    previous = current;
    current = next;
  }
  return result;
}

const table = Array.from({ length: 4 * saturation + 1 }, (_, i) => coefficientsAround(i / 4));

export function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  const value = a >= saturation ? 1 : a < 0.5 ? nearZero(a) : aroundCenter(a);
  return x < 0 ? -value : value;
}

function nearZero(x: number): number {
  const z = x * x;
  const p = -1 / 3 + z * (1 / 10 + z * (-1 / 42 + z * (1 / 216 + z * (-1 / 1320 + z * (1 / 9360 + z * (-1 / 75600 + z * (1 / 685440 + z * (-1 / 6894720 + z * (1 / 76204800 - z / 918086400)))))))));
  return twoOverSqrtPi * (x + x * z * p);
}

function aroundCenter(x: number): number {
  const index = Math.floor(x * 4 + 0.5);
  const coefficients = table[index]!;
  const d = x - index / 4;
  let value = 0;
  for (let n = terms - 1; n >= 0; n--) value = value * d + coefficients[n]!;
  return value;
}
