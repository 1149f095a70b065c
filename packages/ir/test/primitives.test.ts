/** @file Every primitive: the type rule agrees with the evaluation; contractions agree with a direct sum; wrong uses are refused. */
import { elementCount, formatType, InputError, isFloat, numbersOf, rowMajorStrides, tensor, type Tensor, type TensorType } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluatePrimitive, inferTypes, primitives, type ConvParams, type DotParams, type Params, type PrimitiveName } from "../src/index.ts";
import { drawFrom, drawSample, sampledPrimitives } from "./samples.ts";

describe.each(sampledPrimitives)("%s", (op) => {
  test("infer agrees with evaluate, in both precisions", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const { inputs, params } = drawSample(op, drawFrom(gen));
      const types = inferTypes(op, inputs, params);
      const device = evaluatePrimitive(op, inputs, params, "device");
      const exact = evaluatePrimitive(op, inputs.map(widen), params, "float64");
      for (const results of [device, exact]) {
        expect(results.map(formatType)).toEqual(types.map(formatType));
        for (const result of results) expect(result.data.length).toBe(elementCount(result.shape));
      }
    }), { numRuns: 60 });
  });

  test("is documented and refuses a wrong number of operands", () => {
    const { doc, name, operands } = primitives[op];
    expect(name).toBe(op);
    expect(doc.length).toBeGreaterThan(5);
    if (operands.at(-1)?.endsWith("...") === true) return;
    const sample = fc.sample(fc.gen(), { numRuns: 1, seed: 1 })[0]!;
    const { inputs, params } = drawSample(op, drawFrom(sample));
    expect(inputs.length).toBe(operands.length);
    expect(() => inferTypes(op, [...inputs, tensor("f32", [], [0])], params)).toThrow(InputError);
  });
});

function widen(t: Tensor): Tensor {
  return isFloat(t.dtype) ? { ...t, data: Float64Array.from(t.data as Float32Array) } : t;
}

/** All points of a shape. */
function points(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>((list, extent) => list.flatMap((point) => Array.from({ length: extent }, (_, i) => [...point, i])), [[]]);
}

function elementAt(t: Tensor, point: readonly number[]): number {
  const strides = rowMajorStrides(t.shape);
  return t.data[point.reduce((sum, index, axis) => sum + index * strides[axis]!, 0)] as number;
}

test("dot is the einsum, summed in the order of k", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const { inputs, params } = drawSample("dot", drawFrom(gen)) as { inputs: readonly Tensor[]; params: DotParams };
    const [x, w] = [inputs[0]!, inputs[1]!];
    fc.pre(x.dtype === "f32");
    const extent = (letter: string): number => (params.x.includes(letter) ? x.shape[params.x.indexOf(letter)]! : w.shape[params.w.indexOf(letter)]!);
    const [result] = evaluatePrimitive("dot", inputs, params, "device");
    for (const at of points(result!.shape)) {
      let sum = 0;
      for (const k of points([...params.k].map(extent))) {
        const index = (letter: string): number => (params.out.includes(letter) ? at[params.out.indexOf(letter)]! : k[params.k.indexOf(letter)]!);
        sum = Math.fround(sum + Math.fround(elementAt(x, [...params.x].map(index)) * elementAt(w, [...params.w].map(index))));
      }
      expect(elementAt(result!, at)).toBe(sum);
    }
  }), { numRuns: 200 });
});

test("conv is the direct sum in the order of k; padding is a term, holes are none", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const { inputs, params } = drawSample("conv", drawFrom(gen)) as { inputs: readonly Tensor[]; params: ConvParams };
    const [x, w] = [inputs[0]!, inputs[1]!];
    fc.pre(x.dtype === "f32");
    const [result] = evaluatePrimitive("conv", inputs, params, "device");
    for (const at of points(result!.shape)) {
      let sum = 0;
      for (const k of points([...params.k].map((label) => w.shape[params.w.indexOf(label)]!))) {
        const out = (label: string): number => at[params.out.indexOf(label)]!;
        const tap = (label: string): number => (params.k.includes(label) ? k[params.k.indexOf(label)]! : out(label));
        const positions = params.strides.map((stride, s) => out(String(s)) * stride - params.padding[s]![0] + tap(String(s)) * params.rhsDilation[s]!);
        const inside = positions.map((p, s) => p >= 0 && p <= (x.shape[params.x.indexOf(String(s))]! - 1) * params.lhsDilation[s]!);
        if (positions.some((p, s) => inside[s] && p % params.lhsDilation[s]! !== 0)) continue;
        const source = (label: string): number => (/\d/.test(label) ? positions[Number(label)]! / params.lhsDilation[Number(label)]! : label === "i" ? tap(label) : out(label));
        const factor = inside.every(Boolean) ? elementAt(x, [...params.x].map(source)) : 0;
        sum = Math.fround(sum + Math.fround(factor * elementAt(w, [...params.w].map(tap))));
      }
      expect(elementAt(result!, at)).toBe(sum);
    }
  }), { numRuns: 200 });
});

const f32 = (...shape: number[]): TensorType => ({ dtype: "f32", shape });
const window = { window: [2], strides: [1], padding: [[0, 0]], dilation: [1] } as const;
const flat = { strides: [1], padding: [[0, 0]], lhsDilation: [1], rhsDilation: [1] } as const;

test.each<[PrimitiveName, readonly TensorType[], Params<PrimitiveName>, RegExp]>([
  ["dot", [f32(2, 3), f32(4, 5)], { x: "mk", w: "kn", out: "mn", k: "k" }, /"k" is 3 .* but 4/],
  ["dot", [f32(2, 3), f32(3, 5)], { x: "mk", w: "kn", out: "mn", k: "" }, /k="" must list exactly/],
  ["dot", [f32(2, 3), f32(3, 5)], { x: "mk", w: "kn", out: "mm", k: "k" }, /label twice/],
  ["dot", [f32(2, 3), f32(3, 5)], { x: "mk", w: "kn", out: "m", k: "k" }, /stands only in one operand/],
  ["dot", [f32(2, 3), { dtype: "i32", shape: [3, 5] }], { x: "mk", w: "kn", out: "mn", k: "k" }, /element types differ/],
  ["conv", [f32(1, 4, 2), f32(3, 3, 5)], { x: "n0i", w: "0io", out: "n0o", k: "0i", ...flat }, /"i" is 2 .* but 3/],
  ["conv", [f32(1, 4, 2), f32(3, 2, 5)], { x: "n0i", w: "0io", out: "n0o", k: "i", ...flat }, /k="i" must consist of the labels "0i"/],
  ["conv", [f32(1, 4, 2), f32(3, 2, 5)], { x: "n0i", w: "0io", out: "n0o", k: "0i", ...flat, strides: [0] }, /strides \[0\]/],
  ["add", [f32(2), f32(3)], {}, /shape \[3\], wanted \[2\]/],
  ["and", [f32(2), f32(2)], {}, /and is not defined for f32\[2\]/],
  ["select", [f32(2), f32(2), f32(2)], {}, /condition is f32\[2\], wanted bool/],
  ["reduce", [f32(2, 3)], { kind: "sum", axes: [1, 0], order: "sequential" }, /not ascending/],
  ["reduce", [f32(2, 0)], { kind: "max", axes: [1], order: "sequential" }, /no elements/],
  ["reduce", [f32(2, 3)], { kind: "max", axes: [1], order: "blocked" }, /order blocked/],
  ["argreduce", [f32(2)], { kind: "max", axis: 1, dtype: "i64", last: false }, /no axis 1/],
  ["window_reduce", [f32(4, 4)], { kind: "sum", ...window }, /1 window for 2 axes/],
  ["reshape", [f32(2, 3)], { shape: [7] }, /has 6 elements, \[7\] has 7/],
  ["transpose", [f32(2, 3)], { permutation: [0, 0] }, /no permutation/],
  ["broadcast", [f32(2)], { shape: [3], axes: [0] }, /extents must be equal/],
  ["broadcast", [f32(2, 2)], { shape: [2, 2], axes: [1, 0] }, /ascending/],
  ["slice", [f32(4)], { starts: [1], limits: [5], strides: [1] }, /does not lie in/],
  ["pad", [f32(2), f32()], { low: [-3], high: [0], interior: [0] }, /would become \[-1\]/],
  ["concat", [f32(2, 2), f32(2, 3)], { axis: 0 }, /concat along axis 0/],
  ["gather", [f32(2), f32(2)], {}, /indices is f32\[2\], wanted i32 or i64/],
  ["scatter", [f32(4, 2), { dtype: "i64", shape: [3] }, f32(3, 3)], { kind: "add" }, /updates has shape \[3,3\], wanted \[3,2\]/],
  ["random_bits", [f32()], { shape: [2] }, /seed is f32\[\], wanted i64/],
])("%s refuses a wrong use", (op, inputs, params, message) => {
  expect(() => inferTypes(op, inputs, params)).toThrow(InputError);
  expect(() => inferTypes(op, inputs, params)).toThrow(message);
});

function one(op: PrimitiveName, inputs: readonly Tensor[], params: Params<PrimitiveName>): number[] {
  return numbersOf(evaluatePrimitive(op, inputs, params, "device")[0]!);
}

test("window primitives: padding is nothing for a maximum; the first maximum wins", () => {
  const x = tensor("f32", [5], [3, 1, 3, -7, -8]);
  const params = { window: [2], strides: [2], padding: [[1, 2]], dilation: [1] } as const;
  expect(one("window_reduce", [x], { kind: "max", ...params })).toEqual([3, 3, -7, -Infinity]);
  expect(one("window_reduce", [x], { kind: "sum", ...params })).toEqual([3, 4, -15, 0]);
  expect(one("window_argmax", [x], { dtype: "i64", ...params })).toEqual([0, 2, 3, 0]);
  expect(one("window_argmax", [tensor("f32", [3], [1, 5, 5])], { dtype: "i32", window: [3], strides: [1], padding: [[0, 0]], dilation: [1] })).toEqual([1]);
});

test("pad with negative and interior amounts", () => {
  const x = tensor("i32", [3], [1, 2, 3]);
  expect(one("pad", [x, tensor("i32", [], [9])], { low: [1], high: [-1], interior: [1] })).toEqual([9, 1, 9, 2, 9]);
  expect(one("pad", [x, tensor("i32", [], [9])], { low: [-2], high: [3], interior: [1] })).toEqual([2, 9, 3, 9, 9, 9]);
});

test("cumsum, sort, gather and scatter by example", () => {
  const x = tensor("f32", [4], [3, 1, 2, 1]);
  expect(one("cumsum", [x], { axis: 0, exclusive: true, reverse: false })).toEqual([0, 3, 4, 6]);
  expect(one("cumsum", [x], { axis: 0, exclusive: false, reverse: true })).toEqual([7, 4, 3, 1]);
  expect(evaluatePrimitive("sort", [x], { axis: 0, descending: false }, "device").map(numbersOf)).toEqual([[1, 1, 2, 3], [1, 3, 2, 0]]);
  expect(evaluatePrimitive("sort", [x], { axis: 0, descending: true }, "device").map(numbersOf)).toEqual([[3, 2, 1, 1], [0, 2, 1, 3]]);
  const indices = tensor("i64", [3], [1, 1, 3]);
  expect(one("gather", [x, indices], {})).toEqual([1, 1, 1]);
  expect(one("scatter", [x, indices, tensor("f32", [3], [5, 6, 7])], { kind: "add" })).toEqual([3, 12, 2, 8]);
  expect(() => one("gather", [x, tensor("i64", [1], [4])], {})).toThrow(/index 4 outside \[0, 4\)/);
});
