/** @file Elementwise operations over arrays, conversions, reductions, random bits. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { allocate, applyElementwise, argExtreme, blockedSum, convertArray, dtypeNames, elementwiseDefined, elementwiseNames, elementwiseOps, elementwiseResult, isFloat, numbersOf, sequentialFold, tensor, threefry2x32, type Dtype, type ElementwiseName, type ElementwiseOp } from "../src/index.ts";

const interesting: Readonly<Record<Dtype, readonly (number | bigint)[]>> = {
  f32: [0, -0, 1, -1.5, 3e38, NaN, Infinity, -Infinity, 1e-40, 0.1],
  f64: [0, -0, 1, -1.5, 1e308, NaN, Infinity, -Infinity, 5e-324, 0.1],
  i64: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 40n],
  i32: [0, 1, -1, 2147483647, -2147483648, 65537, 40],
  i8: [0, 1, -1, 127, -128, 16],
  u8: [0, 1, 255, 128, 7],
  bool: [0, 1],
};

function run(name: ElementwiseName, dtype: Dtype, operands: readonly (number | bigint)[]): number | bigint {
  const dtypes = operands.map((_, i) => (name === "select" && i === 0 ? "bool" : dtype));
  const result = name === "convert" ? dtype : elementwiseResult(name, dtype);
  const out = allocate(result, 1);
  applyElementwise(name, dtype, result, operands.map((x, i) => tensor(dtypes[i]!, [1], [x]).data), out);
  return out[0]!;
}

/** The row of the table by itself, stored into one element. */
function expected(name: ElementwiseName, dtype: Dtype, operands: readonly (number | bigint)[]): number | bigint {
  const row: ElementwiseOp = elementwiseOps[name];
  const out = allocate(elementwiseResult(name, dtype), 1);
  if (isFloat(dtype)) {
    const [a, b, c] = operands.map((x) => tensor(dtype, [1], [x]).data[0] as number);
    out[0] = row.float!(a!, b ?? 0, c ?? 0);
  } else {
    const [a, b, c] = operands.map(BigInt);
    const value = row.integer!(a!, b ?? 0n, c ?? 0n);
    if (out instanceof BigInt64Array) out[0] = value;
    else out[0] = Number(BigInt.asIntN(32, value));
  }
  return out[0]!;
}

describe.each(elementwiseNames)("%s", (name) => {
  test.each(dtypeNames.filter((dtype) => elementwiseDefined(name, dtype)))("on %s is the table's row", (dtype) => {
    const values = interesting[dtype];
    const { arity } = elementwiseOps[name];
    for (const a of name === "select" ? [0, 1] : values) {
      for (const b of arity > 1 ? values : [0]) {
        const operands = [a, b, values[1]!].slice(0, arity);
        expect(run(name, dtype, operands), `${name}(${operands.join(", ")})`).toEqual(expected(name, dtype, operands));
      }
    }
  });
});

test("float64 precision does not round to f32", () => {
  const out = new Float64Array(1);
  applyElementwise("exp", "f32", "f32", [Float64Array.of(0.1)], out, "float64");
  expect(out[0]).toBe(Math.exp(0.1));
});

test.each<[Dtype, Dtype, readonly (number | bigint)[], readonly number[]]>([
  ["f32", "i8", [127.9, 128, -129, NaN, -0.9], [127, 127, -128, 0, 0]],
  ["f32", "u8", [-1, 256, 255.5], [0, 255, 255]],
  ["f32", "i32", [3e9, -3e9, 1.9, -1.9], [2147483647, -2147483648, 1, -1]],
  ["f64", "i64", [1e300, -1e300, NaN, -7.5], [2 ** 63, -(2 ** 63), 0, -7]],
  ["i64", "i8", [257n, -129n], [1, 127]],
  ["i32", "u8", [-1, 511], [255, 255]],
  ["i32", "i64", [-5], [-5]],
  ["f32", "bool", [NaN, 0, -0, 0.1], [1, 0, 0, 1]],
  ["i64", "bool", [0n, 4294967296n], [0, 1]],
  ["bool", "f32", [0, 1], [0, 1]],
  ["u8", "i8", [200], [-56]],
])("convert %s to %s", (from, to, values, wanted) => {
  const out = allocate(to, values.length);
  convertArray(from, tensor(from, [values.length], values).data, to, out);
  expect(numbersOf({ dtype: to, shape: [values.length], data: out })).toEqual(wanted);
});

test("maxima: NaN wins, +0 is larger than -0", () => {
  const fold = (values: readonly number[]): number => sequentialFold("max", values.length, (i) => values[i]!, Math.fround);
  expect(fold([1, NaN, 3])).toBeNaN();
  expect(Object.is(fold([-0, 0, -0]), 0)).toBe(true);
  expect(Object.is(sequentialFold("sum", 2, () => -0, Math.fround), 0)).toBe(true);
});

test("arg extremes: first or last of equals, NaN wins", () => {
  const find = (kind: "max" | "min", values: readonly number[], last = false): number => argExtreme(kind, values.length, (i) => values[i]!, last);
  expect([find("max", [1, 3, 3]), find("max", [1, 3, 3], true), find("min", [2, NaN, 1, NaN]), find("min", [2, NaN, 1, NaN], true), find("max", [-0, 0])]).toEqual([1, 2, 1, 3, 0]);
});

test("a blocked sum of small integers is exact and of floats close", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 20000 }), (n) => blockedSum(n, (i) => i % 7, Math.fround) === Array.from({ length: n }, (_, i) => i % 7).reduce((a, b) => a + b, 0)), { numRuns: 20 });
});

test("random bits are Threefry-2x32-20 as published", () => {
  const hex = (words: readonly number[]): string[] => words.map((word) => (word >>> 0).toString(16));
  expect(hex(threefry2x32(0, 0, 0, 0))).toEqual(["6b200159", "99ba4efe"]);
  expect(hex(threefry2x32(-1, -1, -1, -1))).toEqual(["1cb996fc", "bb002be7"]);
});
