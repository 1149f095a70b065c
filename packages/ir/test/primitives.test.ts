/** @file Every primitive: the type rule agrees with the evaluation; contractions agree with a direct sum; wrong uses are refused. */
import { elementCount, formatType, InputError, isFloat, numbersOf, rowMajorStrides, tensor, type Tensor, type TensorType } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluatePrimitive, inferTypes, primitives, type ConvParams, type DotParams, type Params, type PrimitiveName } from "../src/index.ts";
import { drawFrom, drawSample, drawTensor, sampledPrimitives } from "./samples.ts";

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
    expect(inputs.length).toBeLessThanOrEqual(operands.length);
    expect(inputs.length).toBeGreaterThanOrEqual(operands.filter((operand) => !operand.endsWith("?")).length);
    const tooMany = [...inputs, ...Array.from({ length: operands.length - inputs.length + 1 }, () => tensor("f32", [], [0]))];
    expect(() => inferTypes(op, tooMany, params)).toThrow(InputError);
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

test("dot is the einsum, summed in the order of k, from the initial sums", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const { inputs, params } = drawSample("dot", drawFrom(gen)) as { inputs: readonly Tensor[]; params: DotParams };
    const [x, w, initial] = [inputs[0]!, inputs[1]!, inputs[2]];
    fc.pre(x.dtype === "f32");
    const extent = (letter: string): number => (params.x.includes(letter) ? x.shape[params.x.indexOf(letter)]! : w.shape[params.w.indexOf(letter)]!);
    const [result] = evaluatePrimitive("dot", inputs, params, "device");
    for (const at of points(result!.shape)) {
      let sum = initial === undefined ? 0 : elementAt(initial, at);
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
    const [x, w, initial] = [inputs[0]!, inputs[1]!, inputs[2]];
    fc.pre(x.dtype === "f32");
    const [result] = evaluatePrimitive("conv", inputs, params, "device");
    for (const at of points(result!.shape)) {
      let sum = initial === undefined ? 0 : elementAt(initial, at);
      for (const k of points([...params.k].map((label) => w.shape[params.w.indexOf(label)]!))) {
        const out = (label: string): number => at[params.out.indexOf(label)]!;
        const tap = (label: string): number => (params.k.includes(label) ? k[params.k.indexOf(label)]! : out(label));
        const positions = params.strides.map((stride, s) => out(String(s)) * stride - params.padding[s]![0] + tap(String(s)) * params.rhsDilation[s]!);
        const inside = positions.map((p, s) => p >= 0 && p <= (x.shape[params.x.indexOf(String(s))]! - 1) * params.lhsDilation[s]!);
        if (positions.some((p, s) => p % params.lhsDilation[s]! !== 0)) continue;
        const source = (label: string): number => (/\d/.test(label) ? positions[Number(label)]! / params.lhsDilation[Number(label)]! : label === "i" ? tap(label) : out(label));
        const factor = inside.every(Boolean) ? elementAt(x, [...params.x].map(source)) : 0;
        sum = Math.fround(sum + Math.fround(factor * elementAt(w, [...params.w].map(tap))));
      }
      expect(elementAt(result!, at)).toBe(sum);
    }
  }), { numRuns: 200 });
});

test("a sum that is cut in pieces is the whole sum, where each piece starts from the one before", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const [length, cut] = [d.int(1, 6), d.int(0, 6)];
    const [x, w] = [drawTensor(d, "f32", [length, 3]), drawTensor(d, "f32", [length, 2])];
    const part = (t: Tensor, from: number, to: number): Tensor => evaluatePrimitive("slice", [t], { starts: [from, 0], limits: [to, t.shape[1]!], strides: [1, 1] }, "device")[0]!;
    const at = Math.min(cut, length);
    const run = <P extends PrimitiveName>(op: P, operands: readonly Tensor[], params: Params<P>): Tensor => {
      const first = evaluatePrimitive(op, operands.map((t) => part(t, 0, at)), params, "device");
      return evaluatePrimitive(op, [...operands.map((t) => part(t, at, length)), ...first], params, "device")[0]!;
    };
    const matrix = { x: "km", w: "kn", out: "mn", k: "k" };
    expect(run("dot", [x, w], matrix)).toEqual(evaluatePrimitive("dot", [x, w], matrix, "device")[0]);
    const columns = { kind: "sum", axes: [0], order: "sequential" } as const;
    expect(run("reduce", [x], columns)).toEqual(evaluatePrimitive("reduce", [x], columns, "device")[0]);
  }), { numRuns: 100 });
});

test("a blocked sum starts its total from the initial value, in binary64", () => {
  const x = tensor("f32", [3], [2 ** -30, 2 ** -31, 1]);
  const sum = (...initial: number[]) => evaluatePrimitive("reduce", [x, ...initial.map((value) => tensor("f32", [], [value]))], { kind: "sum", axes: [0], order: "blocked" }, "device")[0]!.data[0];
  expect(sum(-1)).toBe(Math.fround(Math.fround(1 + 2 ** -30) - 1));
  expect(sum(2 ** -24)).toBe(1);
  expect(sum(2 ** -23)).toBe(1 + 2 ** -23);
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
  ["dot", [f32(2, 3), f32(3, 5), f32(5, 2)], { x: "mk", w: "kn", out: "mn", k: "k" }, /initial sums are f32\[5,2\], the result is f32\[2,5\]/],
  ["reduce", [f32(2, 3), f32(2)], { kind: "max", axes: [1], order: "sequential" }, /only sums have initial values/],
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
  ["random_bits", [f32()], { shape: [2] }, /seeds is f32\[\], wanted i64/],
  ["random_bits", [{ dtype: "i64", shape: [3] }], { shape: [2, 3] }, /seeds i64\[3\] is not the first part of \[2,3\]/],
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
