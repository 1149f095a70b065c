/** @file ld, st, gather, scatter, fill and io against loops over the points. */
import type { Dtype } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { slotOf, startAddress } from "../../src/geometry.ts";
import { executeFill, executeGather, executeIo, executeLoad, executeStore, RowFault, type GatherStep } from "../../src/values/dma.ts";
import { addressOf, dimension, generator, newMemory, noIndices, points, read, scatterValues, space, zeros8 } from "./support.ts";

const base = { address: 0, first: [], last: [], rowed: [] } as const;

test("ld copies what lies inside and fills what lies outside a padded dimension", () => {
  const axis = fc.record({ extent: fc.integer({ min: 1, max: 6 }), offset: fc.integer({ min: -3, max: 4 }), limit: fc.integer({ min: 1, max: 6 }), pad: fc.boolean() });
  const dtypes = fc.constantFrom<Dtype>("f32", "i64", "u8");
  fc.assert(fc.property(fc.array(axis, { minLength: 1, maxLength: 4 }), dtypes, fc.boolean(), (axes, dtype, reversed) => {
    const memory = newMemory();
    scatterValues(memory, "external", 1 << 14, 7);
    scatterValues(memory, "cache", 1 << 14, 8);
    const dimensions = axes.map(({ extent, offset, limit, pad }) => (pad ? dimension(extent, { offset, limit, mode: "pad" }) : dimension(extent)));
    const strides = axes.map((_, d) => 7 ** (axes.length - 1 - d));
    const source = generator("external", 16384, strides, dtype);
    const target = generator("cache", 0, reversed ? strides.toReversed() : strides, dtype);
    const fill = dtype === "f32" ? new Float32Array(Uint32Array.of(3).buffer)[0]! : 3;
    executeLoad(memory, { kind: "load", ...base, space: { dimensions }, source, target, fill: 3 }, noIndices);
    for (const point of points(axes.map((a) => a.extent))) {
      const inside = point.every((x, d) => !axes[d]!.pad || (x + axes[d]!.offset >= 0 && x + axes[d]!.offset < axes[d]!.limit));
      expect(read(memory, target, point)).toBe(inside ? read(memory, source, point) : fill);
    }
  }), { numRuns: 200 });
});

test("st writes nothing outside the limit, cut dimensions are not touched", () => {
  const memory = newMemory();
  scatterValues(memory, "cache", 1024, 1);
  const target = generator("external", 0, [10, 1]);
  const source = generator("cache", 0, [1, 8]);
  const dimensions = [dimension(4, { limit: 3 }), dimension(6, { offset: -1, limit: 4, mode: "pad" })];
  executeStore(memory, { kind: "store", ...base, space: { dimensions }, target, source }, noIndices);
  for (const point of points([4, 6])) {
    const inside = point[0]! < 3 && point[1]! >= 1 && point[1]! < 5;
    expect(read(memory, target, point)).toBe(inside ? read(memory, source, point) : 0);
  }
});

test("addresses follow loops, rings and both modes", () => {
  const moving = { dimensions: [dimension(4, { offset: 5, steps: [4, 100, 0, 0, 0, 0, 0, 0] })] };
  const buffer = { id: 0, memory: "cache", base: 1000, slotBytes: 64, slots: 3 } as const;
  const ring = [1, 2, 0, 0, 0, 0, 0, 0];
  const relative = { ...generator("cache", 0, [1], "f32", { levels: zeros8.map((_, l) => l === 1), ring }), buffer };
  const absolute = { ...generator("cache", 0, [1], "f32", { mode: "absolute" }), buffer };
  const indices = Int32Array.of(3, 2, 0, 0, 0, 0, 0, 0);
  expect(slotOf(relative, indices)).toBe((3 + 4) % 3);
  expect(startAddress(relative, moving, indices)).toBe(1000 + 64 + 4 * 200);
  expect(startAddress(absolute, moving, indices)).toBe(1000 + 4 * (5 + 12 + 200));
});

test("fill and io blocks", () => {
  const memory = newMemory();
  const target = generator("external", 256, [16, 2], "i64");
  executeFill(memory, { kind: "fill", ...base, space: space(3, 4), target, value: 0xffffffff }, noIndices);
  for (const point of points([3, 4])) expect(read(memory, target, point)).toBe(-1);
  expect(memory.read("external", "i64", 256 + 8)).toBe(0);
  executeIo(memory, { kind: "io", address: 0, what: "load", external: 256, cache: 512, bytes: 128 });
  expect(memory.read("cache", "i64", 512 + 16)).toBe(-1);
  executeIo(memory, { kind: "io", address: 0, what: "store", external: 4096, cache: 512, bytes: 8 });
  expect(memory.read("external", "i64", 4096)).toBe(-1);
});

describe("gather and scatter", () => {
  const rows = [4, 0, 4, 2];
  const prepare = (dtype: Dtype): { memory: ReturnType<typeof newMemory>; index: ReturnType<typeof generator> } => {
    const memory = newMemory();
    scatterValues(memory, "external", 4096, 1);
    scatterValues(memory, "cache", 4096, 2);
    const index = generator("cache", 65536, [1], dtype);
    rows.forEach((row, j) => memory.write("cache", dtype, addressOf(index, [j]), row));
    return { memory, index };
  };
  const points3 = { dimensions: [dimension(4, { offset: 2 }), dimension(3), dimension(5)] };
  for (const dtype of ["i32", "i64"] as const) {
    test(`gather looks rows up (${dtype})`, () => {
      const { memory, index } = prepare(dtype);
      const source = generator("external", 0, [20, 5, 1], "f32", { mode: "absolute" });
      const target = generator("cache", 0, [15, 5, 1]);
      const step: GatherStep = { kind: "gather", ...base, space: points3, indexSpace: space(4), source, target, index, rows: 5 };
      expect(executeGather(memory, step, noIndices)).toBe(4);
      for (const [j, a, b] of points([4, 3, 5])) expect(read(memory, target, [j!, a!, b!])).toBe(read(memory, source, [rows[j!]!, a!, b!]));
    });
  }
  test("scatter writes rows in ascending order: the last one stays", () => {
    const { memory, index } = prepare("i32");
    const target = generator("external", 0, [20, 5, 1], "f32", { mode: "absolute" });
    const source = generator("cache", 0, [15, 5, 1]);
    const step: GatherStep = { kind: "scatter", ...base, space: points3, indexSpace: space(4), source, target, index, rows: 5 };
    executeGather(memory, step, noIndices);
    for (const [a, b] of points([3, 5])) {
      expect(read(memory, target, [4, a!, b!])).toBe(read(memory, source, [2, a!, b!]));
      expect(read(memory, target, [2, a!, b!])).toBe(read(memory, source, [3, a!, b!]));
    }
  });
  test("a row that does not exist is a fault that names entry and row", () => {
    const { memory, index } = prepare("i64");
    memory.write("cache", "i64", addressOf(index, [2]), -1);
    const source = generator("external", 0, [20, 5, 1], "f32", { mode: "absolute" });
    const step: GatherStep = { kind: "gather", ...base, space: points3, indexSpace: space(4), source, target: generator("cache", 0, [15, 5, 1]), index, rows: 5 };
    try {
      executeGather(memory, step, noIndices);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(RowFault);
      expect(error).toMatchObject({ row: 2, index: -1n, rows: 5 });
    }
  });
});
