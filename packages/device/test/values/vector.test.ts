/** @file vec against the definition: the chain point by point through the elementwise table, then the fold. */
import { applyElementwise, blockedSum, tensor, type Dtype, type ElementwiseName } from "@systole/base";
import type { ReductionName, ResolvedStage, StageSource } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { executeVector } from "../../src/values/vector.ts";
import type { VectorStep } from "../../src/values/chain.ts";
import { addressOf, dimension, generator, newMemory, noIndices, points, read, scatterValues, space } from "./support.ts";

const base = { kind: "vector", address: 0, first: [], last: [], rowed: [], order: "sequential", start: [] } as const;
const stream = (index: number): StageSource => ({ kind: "stream", index });
const result = (index: number): StageSource => ({ kind: "stage", index });
const immediate = (value: number | bigint): StageSource => ({ kind: "immediate", value });
const stage = (operation: ElementwiseName, sources: StageSource[], operands: Dtype = "f32", dtype: Dtype = operands): ResolvedStage => ({ operation, sources, operands, dtype });

/** The chain at one point. */
function chainAt(memory: ReturnType<typeof newMemory>, step: VectorStep, point: readonly number[]): number | bigint {
  const results: (number | bigint)[] = [];
  for (const s of step.stages) {
    const operands = s.sources.map((source, i) => {
      const dtype = s.operation === "select" && i === 0 ? "bool" : s.operands;
      const value = source.kind === "stream" ? read(memory, step.streams[source.index]!, point)
        : source.kind === "stage" ? results[source.index]!
        : source.kind === "coordinate" ? point[source.dimension]! + step.space.dimensions[source.dimension]!.offset
        : source.value;
      return tensor(dtype, [1], [value]).data;
    });
    const out = tensor(s.dtype, [1], [0]).data;
    applyElementwise(s.operation, s.operands, s.dtype, operands, out);
    results.push(out[0]!);
  }
  return results.at(-1) ?? read(memory, step.streams[0]!, point);
}

function checkMap(step: VectorStep, seed: number): void {
  const memory = newMemory();
  scatterValues(memory, "cache", 1 << 17, seed);
  scatterValues(memory, "accumulator", 1 << 16, seed + 1);
  const extents = step.space.dimensions.map((d) => d.extent);
  const want = [...points(extents)].map((point) => ({ point, value: chainAt(memory, step, point) }));
  executeVector(memory, step, noIndices);
  for (const { point, value } of want) {
    const got = read(memory, step.target, point);
    if (got !== Number(value) && !(Number.isNaN(got) && Number.isNaN(Number(value)))) expect.fail(`${point.join()}: ${got} instead of ${value}`);
  }
}

describe("chains", () => {
  const operations = fc.constantFrom<ElementwiseName>("add", "sub", "mul", "div", "max", "min", "neg", "abs", "sqrt", "floor", "ceil", "round", "exp", "tanh", "copy");
  const source = fc.integer({ min: 0, max: 5 });
  test("float32 chains over any strides and broadcasts", () => {
    const extents = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });
    const links = fc.array(fc.record({ operation: operations, a: source, b: source }), { maxLength: 4 });
    fc.assert(fc.property(extents, links, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), fc.boolean(), fc.nat(), (shape, chain, flat, padded, seed) => {
      const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1) * (padded ? 2 : 1));
      const streams = [generator("cache", 0, strides), generator("cache", 131072, strides.map((s, d) => (flat[d] ? 0 : s))), generator("accumulator", 0, strides.map((s, d) => (flat[d + 4] ? 0 : s)))];
      const stages = chain.map(({ operation, a, b }, i) => {
        const pick = (x: number): StageSource => (x < 3 ? stream(x) : x === 3 || i === 0 ? immediate(0.75) : result(i - 1));
        const unary = !["add", "sub", "mul", "div", "max", "min"].includes(operation);
        return stage(operation, unary ? [pick(a)] : [pick(a), pick(b)]);
      });
      checkMap({ ...base, space: space(...shape), streams, stages, target: generator("cache", 262144, strides), reduction: "none", reduced: 0 }, seed);
    }), { numRuns: 150 });
  });
  test("more points than a block, a bias along rows, relu, comparison and select", () => {
    const [rows, columns] = [70, 65];
    const streams = [generator("accumulator", 0, [80, 1]), generator("cache", 0, [0, 1])];
    const stages = [stage("add", [stream(0), stream(1)]), stage("gt", [result(0), immediate(0)], "f32", "bool"), stage("select", [result(1), result(0), immediate(-2)])];
    checkMap({ ...base, space: space(rows, columns), streams, stages, target: generator("cache", 65536, [columns, 1]), reduction: "none", reduced: 0 }, 4);
  });
  test.each([[70, 64], [3, 20], [5, 8], [200, 12], [1, 4], [1, 2052], [9, 2300], [64, 6]])("scale, shift, residual and relu on %i rows of %i", (rows, columns) => {
    const bias = (at: number) => generator("cache", at, [0, 1]);
    const streams = [generator("accumulator", 0, [columns + 4, 1]), bias(0), bias(16384), generator("cache", 65536, [columns, 1])];
    const stages = [
      stage("mul", [stream(0), stream(1)]), stage("add", [result(0), stream(2)]), stage("sub", [result(1), stream(3)]),
      stage("neg", [result(2)]), stage("max", [result(3), immediate(0)]),
    ];
    const shape = { ...base, space: space(rows, columns), reduction: "none", reduced: 0 } as const;
    checkMap({ ...shape, streams, stages, target: generator("cache", 524288, [columns + 8, 1]) }, rows);
    // The target replaces an operand.
    const inPlace = generator("cache", 262144, [columns, 1]);
    checkMap({ ...shape, streams: [inPlace, bias(0)], stages: [stage("div", [stream(0), stream(1)]), stage("min", [result(0), immediate(0.5)])], target: inPlace }, columns);
  });
  test("integers wrap, quotients truncate, and nothing is divided by zero", () => {
    const numbers = [0, 1, -1, 2, -7, 46341, 2147483647, -2147483648];
    for (const operation of ["add", "sub", "mul", "div", "rem"] as const) {
      const memory = newMemory();
      const [a, b] = [generator("cache", 0, [8, 1], "i32"), generator("cache", 256, [0, 1], "i32")];
      numbers.forEach((x, i) => numbers.forEach((y, j) => {
        memory.write("cache", "i32", addressOf(a, [i, j]), x);
        memory.write("cache", "i32", addressOf(b, [i, j]), y);
      }));
      const step: VectorStep = { ...base, space: space(8, 8), streams: [a, b], stages: [stage(operation, [stream(0), stream(1)], "i32"), stage("mul", [result(0), immediate(3)], "i32")], target: generator("cache", 4096, [8, 1], "i32"), reduction: "none", reduced: 0 };
      const want = [...points([8, 8])].map((point) => Number(chainAt(memory, step, point)));
      executeVector(memory, step, noIndices);
      expect([...points([8, 8])].map((point) => read(memory, step.target, point))).toEqual(want);
    }
  });
  test("exp, tanh and logistic, over all exponents", () => {
    const x = generator("cache", 0, [1]);
    for (const operation of ["exp", "tanh", "logistic"] as const) {
      const memory = newMemory();
      const first = memory.linear("cache", 0) / 4;
      for (let i = 0; i < 1 << 15; i++) memory.u32[first + i] = Math.imul(i, 0x2_0001) ^ (Math.imul(i, 0x9e3779b1) >>> 20);
      [0, -0, Infinity, -Infinity, NaN, 88.8, -103.9, -104.1, 0.175, -0.175, 22, 22.1, 709.9, -745.2].forEach((value, i) => (memory.f32[first + i] = value));
      const step: VectorStep = { ...base, space: space(1 << 15), streams: [x], stages: [stage(operation, [stream(0)])], target: generator("cache", 262144, [1]), reduction: "none", reduced: 0 };
      const want = new Float32Array(1 << 15);
      applyElementwise(operation, "f32", "f32", [memory.f32.subarray(first, first + want.length)], want);
      executeVector(memory, step, noIndices);
      const got = memory.f32.subarray(first + 65536, first + 65536 + want.length);
      expect(want.every((value, i) => Object.is(value, got[i]))).toBe(true);
    }
  });
  test("coordinates and other element types", () => {
    const stages = [
      stage("add", [{ kind: "coordinate", dimension: 1 }, { kind: "coordinate", dimension: 0 }], "i64"),
      stage("mul", [result(0), immediate(3n)], "i64"),
      stage("convert", [result(1)], "i64", "f32"),
      stage("add", [result(2), stream(0)]),
    ];
    const dimensions = [dimension(40, { offset: 7 }), dimension(90, { offset: -3 }), dimension(2)];
    checkMap({ ...base, space: { dimensions }, streams: [generator("cache", 0, [180, 2, 1])], stages, target: generator("cache", 131072, [180, 2, 1]), reduction: "none", reduced: 0 }, 5);
  });
});

describe("reductions", () => {
  const names = fc.constantFrom<ReductionName>("sum", "prod", "max", "min", "argmax", "argmin", "argmaxlast", "argminlast", "scan", "exclusivescan");
  test("fold the last dimensions in ascending order, anew or continued", () => {
    const extents = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 0, maxLength: 2 });
    const starts = fc.constantFrom<VectorStep["start"]>([], [1], "never");
    fc.assert(fc.property(extents, extents, names, fc.boolean(), starts, fc.nat(), (kept, reduced, reduction, keptInside, start, seed) => {
      const shape = [...kept, ...reduced];
      const memory = newMemory();
      scatterValues(memory, "cache", 1 << 14, seed);
      // The innermost dimension in memory is a kept or a reduced one, so that both ways of folding are taken.
      const order = keptInside ? [...reduced.map((_, i) => kept.length + i), ...kept.map((_, i) => i)] : shape.map((_, i) => i);
      const strides = Array.from({ length: shape.length }, () => 0);
      order.toReversed().reduce((stride, d) => ((strides[d] = stride), stride * shape[d]!), 1);
      const scans = reduction.endsWith("scan");
      const targetStrides = shape.map((_, d) => (d < kept.length || scans ? shape.slice(d + 1, scans ? undefined : kept.length).reduce((a, b) => a * b, 1) : 0));
      const target = generator("cache", 262144, targetStrides, reduction.startsWith("arg") ? "i32" : "f32");
      const step: VectorStep = { ...base, space: space(...shape), streams: [generator("cache", 0, strides), generator("cache", 0, strides)], stages: [stage("mul", [stream(0), immediate(1.5)])], target, reduction, reduced: reduced.length, start };
      const want = model(memory, step, kept, reduced, start !== "never" && start.length === 0);
      executeVector(memory, step, Int32Array.of(0, 1, 0, 0, 0, 0, 0, 0));
      for (const [key, value] of want) expect(read(memory, target, key === "" ? [] : key.split(",").map(Number))).toBe(value);
    }), { numRuns: 300 });
  });
  test("blocked sums follow the fixed tree, and start their total from what is there where they continue", () => {
    for (const start of [[], "never"] as const) for (const [rows, length] of [[1, 20000], [5, 700], [3, 8192], [2, 8193], [4, 64]] as const) {
      const memory = newMemory();
      scatterValues(memory, "cache", rows * length, length);
      const x = generator("cache", 0, [length, 1]);
      const target = generator("cache", 524288, [1, 0]);
      const before = Array.from({ length: rows }, (_, r) => Math.fround(1e3 / (r + 3)));
      before.forEach((value, r) => memory.write("cache", "f32", addressOf(target, [r, 0]), value));
      executeVector(memory, { ...base, start, order: "blocked", space: space(rows, length), streams: [x], stages: [stage("mul", [stream(0), stream(0)])], target, reduction: "sum", reduced: 1 }, noIndices);
      for (let r = 0; r < rows; r++) {
        const at = (e: number): number => Math.fround(read(memory, x, [r, e]) ** 2);
        expect(read(memory, target, [r, 0])).toBe(blockedSum(length, at, Math.fround, start === "never" ? before[r] : 0));
      }
    }
  });
  test("more kept points than a block, each with all its terms, to places apart", () => {
    for (const [start, reduction] of [[[], "sum"], ["never", "sum"], [[], "max"], ["never", "prod"]] as const) {
      const memory = newMemory();
      scatterValues(memory, "cache", 1 << 15, 11);
      const target = generator("cache", 524288, [66, 2, 0]);
      const step: VectorStep = { ...base, start, space: space(13, 31, 20), streams: [generator("cache", 0, [620, 1, 31])], stages: [stage("neg", [stream(0)])], target, reduction, reduced: 1 };
      const want = model(memory, step, [13, 31], [20], start !== "never");
      executeVector(memory, step, noIndices);
      for (const [key, value] of want) expect(read(memory, target, key.split(",").map(Number))).toBe(value);
      const along = { ...step, streams: [generator("cache", 0, [620, 20, 1])] };
      const wantAlong = model(memory, along, [13, 31], [20], start !== "never");
      executeVector(memory, along, noIndices);
      for (const [key, value] of wantAlong) expect(read(memory, target, key.split(",").map(Number))).toBe(value);
    }
  });
  test("pooling: runs along channels, window points outermost", () => {
    const memory = newMemory();
    scatterValues(memory, "cache", 1 << 14, 9);
    const [c, width] = [33, 9];
    const x = generator("cache", 0, [2 * width * c, 2 * c, 1, width * c, c]);
    const target = generator("cache", 262144, [4 * c, c, 1, 0, 0]);
    executeVector(memory, { ...base, space: space(3, 4, c, 3, 3), streams: [x], stages: [], target, reduction: "max", reduced: 2 }, noIndices);
    for (const [h, w, ch] of points([3, 4, c])) {
      const best = Math.max(...[...points([3, 3])].map(([i, j]) => read(memory, x, [h!, w!, ch!, i!, j!])));
      expect(read(memory, target, [h!, w!, ch!, 0, 0])).toBe(best);
    }
  });
  test("any and all: extremes of bool, both ways of folding", () => {
    for (const strides of [[1, 6], [5, 1]]) {
      const memory = newMemory();
      const x = generator("cache", 0, strides, "bool");
      for (const point of points([6, 5])) memory.write("cache", "bool", addressOf(x, point), (point[0]! * 7 + point[1]! * 3) % 4 === 0 ? 1 : 0);
      for (const reduction of ["max", "min"] as const) {
        const target = generator("cache", 1024, [1, 0], "bool");
        executeVector(memory, { ...base, space: space(6, 5), streams: [x], stages: [], target, reduction, reduced: 1 }, noIndices);
        for (let r = 0; r < 6; r++) expect(read(memory, target, [r, 0])).toBe(Math[reduction](...[0, 1, 2, 3, 4].map((j) => read(memory, x, [r, j]))));
      }
    }
  });
  test("integers wrap and NaN wins", () => {
    const memory = newMemory();
    const x = generator("cache", 0, [1], "i32");
    [2147483647, 5, -3].forEach((value, i) => memory.write("cache", "i32", addressOf(x, [i]), value));
    const sum = generator("cache", 1024, [0], "i32");
    executeVector(memory, { ...base, space: space(3), streams: [x], stages: [], target: sum, reduction: "sum", reduced: 1 }, noIndices);
    expect(read(memory, sum, [0])).toBe((2147483647 + 2) | 0);
    const y = generator("cache", 2048, [1]);
    [1, NaN, 3, NaN].forEach((value, i) => memory.write("cache", "f32", addressOf(y, [i]), value));
    const place = generator("cache", 4096, [0], "i64");
    executeVector(memory, { ...base, space: space(4), streams: [y], stages: [], target: place, reduction: "argmax", reduced: 1 }, noIndices);
    expect(read(memory, place, [0])).toBe(1);
    executeVector(memory, { ...base, space: space(4), streams: [y], stages: [], target: place, reduction: "argminlast", reduced: 1 }, noIndices);
    expect(read(memory, place, [0])).toBe(3);
  });
});

/** Expected values by target point. */
function model(memory: ReturnType<typeof newMemory>, step: VectorStep, kept: readonly number[], reduced: readonly number[], start: boolean): Map<string, number> {
  const out = new Map<string, number>();
  const zero = reduced.map(() => 0);
  for (const k of points(kept)) {
    const values = [...points(reduced)].map((r) => ({ r, v: Number(chainAt(memory, step, [...k, ...r])) }));
    const key = [...k, ...zero].join();
    if (step.reduction.endsWith("scan")) {
      let sum = 0;
      for (const { r, v } of values) {
        const before = sum;
        sum = Math.fround(sum + v);
        out.set([...k, ...r].join(), step.reduction === "scan" ? sum : before);
      }
      continue;
    }
    const only = values.map(({ v }) => v);
    if (step.reduction.startsWith("arg")) {
      const extreme = step.reduction.startsWith("argmax") ? Math.max(...only) : Math.min(...only);
      out.set(key, step.reduction.endsWith("last") ? only.lastIndexOf(extreme) : only.indexOf(extreme));
      continue;
    }
    const fold = { sum: (a: number, b: number) => a + b, prod: (a: number, b: number) => a * b, max: Math.max, min: Math.min }[step.reduction as "sum"];
    const from = start ? (step.reduction === "sum" ? [0] : step.reduction === "prod" ? [1] : []) : [read(memory, step.target, [...k, ...zero])];
    out.set(key, [...from, ...only].reduce((a, b) => Math.fround(fold(a, b))));
  }
  return out;
}
