/** @file gemm against a plain loop with Math.fround. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { executeGemm, type GemmStep } from "../../src/values/gemm.ts";
import { dimension, generator, newMemory, noIndices, points, read, scatterValues, space, zeros8 } from "./support.ts";

const base = { kind: "gemm", address: 0, first: [], last: [], rowed: [], dataflow: "weight-stationary" } as const;

/** The definition, point by point. */
function expected(memory: ReturnType<typeof newMemory>, step: GemmStep, start: boolean): Map<string, number> {
  const extents = step.space.dimensions.map((d) => d.extent);
  const result = new Map<string, number>();
  for (const m of points(extents.slice(0, step.rows))) {
    for (let n = 0; n < extents.at(-1)!; n++) {
      const outPoint = [...m, ...Array.from({ length: step.contracted }, () => 0), n];
      let sum = start ? 0 : read(memory, step.out, outPoint);
      for (const k of points(extents.slice(step.rows, -1))) {
        const point = [...m, ...k, n];
        sum = Math.fround(sum + Math.fround(read(memory, step.x, point) * read(memory, step.w, point)));
      }
      result.set(outPoint.join(), sum);
    }
  }
  return result;
}

function check(step: GemmStep, start: boolean, seed: number): void {
  const memory = newMemory();
  scatterValues(memory, "cache", 1 << 16, seed);
  scatterValues(memory, "accumulator", 1 << 14, seed + 1);
  const want = expected(memory, step, start);
  executeGemm(memory, step, noIndices);
  for (const [key, sum] of want) {
    const got = read(memory, step.out, key.split(",").map(Number));
    if (!Object.is(got, sum)) expect.fail(`point ${key}: ${got} instead of ${sum}`);
  }
}

test("any shape and stride gives the rounded ascending sum", () => {
  const extent = fc.integer({ min: 1, max: 6 });
  const shape = fc.record({
    rows: fc.array(extent, { minLength: 0, maxLength: 2 }), k: fc.array(extent, { minLength: 1, maxLength: 3 }),
    columns: fc.integer({ min: 1, max: 41 }), transposed: fc.boolean(), holes: fc.integer({ min: 0, max: 2 }), outHoles: fc.integer({ min: 0, max: 1 }),
    start: fc.constantFrom<GemmStep["start"]>([], [1], "never"), seed: fc.nat(),
  });
  fc.assert(fc.property(shape, ({ rows, k, columns, transposed, holes, outHoles, start, seed }) => {
    const s = space(...rows, ...k, columns);
    const kCount = k.reduce((a, b) => a * b, 1);
    const kStrides = rowMajor(k, 1);
    const rowStrides = rowMajor(rows, kCount + holes * 3);
    const x = generator("cache", 0, [...rowStrides, ...kStrides.map((stride, i) => (i === 0 ? stride + holes : stride)), 0]);
    const wRow = transposed ? 1 : columns + holes;
    const wColumn = transposed ? kCount + holes : 1;
    const w = generator("cache", 131072, [...rows.map(() => 0), ...rowMajor(k, wRow), wColumn]);
    const out = generator("accumulator", 0, [...rowMajor(rows, columns * (1 + outHoles)), ...k.map(() => 0), 1 + outHoles]);
    // A level in the mask whose index is not 0 continues the sums, as "never" does; an empty mask starts them.
    const step: GemmStep = { ...base, space: s, x, w, out, rows: rows.length, contracted: k.length, start };
    const memory = newMemory();
    scatterValues(memory, "cache", 1 << 16, seed);
    scatterValues(memory, "accumulator", 1 << 14, seed + 1);
    const want = expected(memory, step, start !== "never" && start.length === 0);
    executeGemm(memory, step, Int32Array.of(0, 1, 0, 0, 0, 0, 0, 0));
    for (const [key, sum] of want) expect(read(memory, out, key.split(",").map(Number))).toBe(sum);
  }), { numRuns: 150 });
});

test("more terms than a panel keeps and more rows than a chunk", () => {
  const [m, k, n] = [58, 610, 40];
  const x = generator("cache", 0, [k, 1, 0]);
  const out = generator("accumulator", 0, [n, 0, 1]);
  for (const w of [generator("cache", 262144, [0, n, 1]), generator("cache", 262144, [0, 1, k])]) {
    for (const start of [true, false]) {
      const step: GemmStep = { ...base, space: space(m, k, n), rows: 1, contracted: 1, start: start ? [] : [1], x, w, out };
      const memory = newMemory();
      scatterValues(memory, "cache", 1 << 17, 7);
      scatterValues(memory, "accumulator", 1 << 12, 8);
      const want = expected(memory, step, start);
      executeGemm(memory, step, Int32Array.of(0, 1, 0, 0, 0, 0, 0, 0));
      for (const [key, sum] of want) expect(read(memory, out, key.split(",").map(Number))).toBe(sum);
    }
  }
});

test("many rows and columns, with and without a packed right operand", () => {
  for (const [m, k, n] of [[33, 40, 16], [128, 21, 24], [1, 70, 75], [17, 9, 70], [2, 33, 8]] as const) {
    for (const transposed of [false, true]) {
      const s = space(m, k, n);
      const step: GemmStep = {
        ...base, space: s, rows: 1, contracted: 1, start: [],
        x: generator("cache", 0, [k, 1, 0]), w: generator("cache", 65536, transposed ? [0, 1, k] : [0, n, 1]), out: generator("accumulator", 0, [n, 0, 1]),
      };
      check(step, true, m + n);
    }
  }
});

test("a window of a channels-last picture: rows overlap, k runs over (kh, kw, i)", () => {
  const [width, channels, n] = [9, 3, 10];
  const step: GemmStep = {
    ...base, space: space(4, 5, 3, 2, channels, n), rows: 2, contracted: 3, start: [],
    x: generator("cache", 0, [2 * width * channels, channels, width * channels, channels, 1, 0]),
    w: generator("cache", 65536, [0, 0, 2 * channels * n, channels * n, n, 1]), out: generator("accumulator", 0, [5 * n, n, 0, 0, 0, 1]),
  };
  check(step, true, 3);
});

test("tails of a loop are cut in rows, k and columns", () => {
  const memory = newMemory();
  scatterValues(memory, "cache", 1 << 16, 5);
  memory.f32.fill(9, memory.linear("accumulator", 0) / 4, memory.linear("accumulator", 0) / 4 + 4096);
  const cut = (extent: number, limit: number, level: number): ReturnType<typeof dimension> => dimension(extent, { limit, steps: zeros8.map((_, l) => (l === level ? extent : 0)) });
  const x = generator("cache", 0, [100, 1, 0]);
  const w = generator("cache", 65536, [0, 32, 1]);
  const out = generator("accumulator", 0, [16, 0, 1]);
  const step: GemmStep = { ...base, space: { dimensions: [cut(8, 13, 0), cut(16, 21, 1), cut(16, 27, 2)] }, x, w, out, rows: 1, contracted: 1, start: [] };
  executeGemm(memory, step, Int32Array.of(1, 1, 1, 0, 0, 0, 0, 0));
  const small: GemmStep = { ...step, space: space(5, 5, 11) };
  for (const [key, sum] of expected(memory, small, true)) expect(read(memory, out, key.split(",").map(Number))).toBe(sum);
  expect(read(memory, out, [0, 0, 11])).toBe(9);
  expect(read(memory, out, [5, 0, 0])).toBe(9);
});

function rowMajor(extents: readonly number[], inner: number): number[] {
  const strides: number[] = [];
  for (let d = extents.length - 1, stride = inner; d >= 0; d--) {
    strides.unshift(stride);
    stride *= extents[d]!;
  }
  return strides;
}
