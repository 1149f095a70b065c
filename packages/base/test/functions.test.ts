/** @file Accuracy and special values of the device's functions. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { functions as f, type functions } from "../src/index.ts";

type UnaryName = Exclude<keyof typeof functions, "pow" | "integerPower" | "atan2" | "erf" | "logistic" | "softplus" | "roundHalfEven">;

const ranges: Readonly<Record<UnaryName, readonly [number, number]>> = {
  exp: [-700, 700], expm1: [-40, 40], log: [0, 1e6], log1p: [-0.9999, 100], sin: [-1e4, 1e4], cos: [-1e4, 1e4], tan: [-1e4, 1e4],
  asin: [-1, 1], acos: [-1, 1], atan: [-50, 50], sinh: [-700, 700], cosh: [-700, 700], tanh: [-25, 25],
  asinh: [-1e6, 1e6], acosh: [1, 1e6], atanh: [-0.9999, 0.9999],
};
const special = [0, -0, Infinity, -Infinity, NaN, 5e-324, -5e-324, 1e308, -1e308, 1e-310, -1e-310];

function close(actual: number, expected: number): boolean {
  if (Object.is(actual, expected)) return true;
  return Math.abs(actual - expected) <= 1e-14 * Math.abs(expected);
}

describe.each(Object.entries(ranges) as readonly (readonly [UnaryName, readonly [number, number]])[])("%s", (name, [min, max]) => {
  test("is within 1e-14 of the host's function", () => {
    fc.assert(fc.property(fc.double({ min, max, noNaN: true }), fc.constantFrom(1, 1e-3, 1e-9), (x, factor) => {
      const argument = name === "acosh" ? x : x * factor;
      expect(close(f[name](argument), Math[name](argument)), `${name}(${argument}) = ${f[name](argument)}, host ${Math[name](argument)}`).toBe(true);
    }), { numRuns: 2000 });
  });

  test.each(special)("at %d", (x) => expect(close(f[name](x), Math[name](x)), `${f[name](x)} and ${Math[name](x)}`).toBe(true));
});

test("sine and cosine of large arguments", () => {
  fc.assert(fc.property(fc.double({ min: -1e300, max: 1e300, noNaN: true }), (x) => close(f.sin(x), Math.sin(x)) && close(f.cos(x), Math.cos(x))), { numRuns: 1000 });
});

test("pow and atan2 on all pairs of special values", () => {
  const values = [...special, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1.5];
  for (const a of values) {
    for (const b of values) {
      expect(close(f.pow(a, b), Math.pow(a, b)), `pow(${a}, ${b}) = ${f.pow(a, b)}`).toBe(true);
      expect(close(f.atan2(a, b), Math.atan2(a, b)), `atan2(${a}, ${b}) = ${f.atan2(a, b)}`).toBe(true);
    }
  }
});

test("pow is within 1e-14", () => {
  fc.assert(fc.property(fc.double({ min: 1e-10, max: 1e10, noNaN: true }), fc.double({ min: -30, max: 30, noNaN: true }), (a, b) => close(f.pow(a, b), Math.pow(a, b))), { numRuns: 3000 });
});

test("integerPower wraps to 64 bits and truncates negative powers", () => {
  expect(f.integerPower(3n, 4n)).toBe(81n);
  expect(f.integerPower(2n, 64n)).toBe(0n);
  expect(f.integerPower(-1n, -3n)).toBe(-1n);
  expect(f.integerPower(5n, -1n)).toBe(0n);
});

test.each([[0.1, 0.1124629160182849], [0.3, 0.32862675945912745], [0.5, 0.5204998778130465], [1, 0.8427007929497149], [2.1, 0.997020533343667], [4, 0.9999999845827421], [7, 1], [1e-12, 1.1283791670955126e-12]])("erf(%d)", (x, expected) => {
  expect(close(f.erf(x), expected)).toBe(true);
  expect(f.erf(-x)).toBe(-f.erf(x));
});

test("erf agrees with its integral between neighbours of the table", () => {
  // Simpson's rule for the increment over h; the error is far below 1e-13.
  const density = (x: number): number => 1.1283791670955126 * Math.exp(-x * x);
  for (let x = 0; x < 6; x += 0.01) {
    const h = 1e-3;
    const increment = (h / 6) * (density(x) + 4 * density(x + h / 2) + density(x + h));
    expect(Math.abs(f.erf(x + h) - f.erf(x) - increment)).toBeLessThan(1e-14);
  }
});

test("identities", () => {
  fc.assert(fc.property(fc.double({ min: -30, max: 30, noNaN: true }), (x) => {
    expect(f.logistic(x) + f.logistic(-x)).toBeCloseTo(1, 14);
    expect(f.softplus(x) - f.softplus(-x)).toBeCloseTo(x, 12);
    expect(f.tanh(-x)).toBe(-f.tanh(x));
  }));
  expect([f.logistic(-Infinity), f.logistic(Infinity), f.softplus(-Infinity), f.softplus(Infinity), f.logistic(NaN), f.erf(NaN)]).toEqual([0, 1, 0, Infinity, NaN, NaN]);
});

test.each([[0.5, 0], [1.5, 2], [2.5, 2], [-0.5, -0], [-0.3, -0], [-1.5, -2], [0.49999999999999994, 0], [2251799813685248.5, 2251799813685248], [1e20, 1e20], [Infinity, Infinity], [NaN, NaN], [-0, -0]])("roundHalfEven(%d) = %d", (x, expected) => {
  expect(Object.is(f.roundHalfEven(x), expected)).toBe(true);
});
