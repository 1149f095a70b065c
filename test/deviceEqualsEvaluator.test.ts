/** @file The device's numbers are the evaluator's, bit for bit, on every preset and under random legal tilings. */
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { tensor } from "@systole/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { differencesFromEvaluator } from "./support.ts";

function graph(build: (b: GraphBuilder) => Value | readonly Value[]): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const outputs = [build(b)].flat();
  outputs.forEach((value, i) => b.output(`y${i}`, value));
  return b.build("test");
}

const small = fc.integer({ min: 1, max: 9 });
const seeds = fc.integer({ min: 0, max: 1000 });
const check = (g: Graph, seed: number) => expect(differencesFromEvaluator(g, seed)).toEqual([]);
const runs = { numRuns: 12, seed: 1 };

test("matrix products with any labels, and an epilogue", () => {
  const labels = [
    { x: "mk", w: "kn", out: "mn", k: "k" }, { x: "km", w: "nk", out: "mn", k: "k" }, { x: "bmk", w: "bkn", out: "bmn", k: "k" },
    { x: "bmk", w: "bnk", out: "bnm", k: "k" }, { x: "mkl", w: "lkn", out: "mn", k: "lk" }, { x: "k", w: "kn", out: "n", k: "k" }, { x: "mk", w: "k", out: "m", k: "k" },
    { x: "bhmk", w: "bhkn", out: "bmhn", k: "k" },
  ];
  fc.assert(fc.property(fc.constantFrom(...labels), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 }), seeds, (l, k, m, n, b, seed) => {
    const extent: Record<string, number> = { k, m, n, b, l: 3, h: 2 };
    const shape = (s: string) => [...s].map((letter) => extent[letter]!);
    check(graph((g) => {
      const y = g.apply("dot", [g.input("x", { dtype: "f32", shape: shape(l.x) }), g.input("w", { dtype: "f32", shape: shape(l.w) })], l);
      const bias = g.apply("broadcast", [g.input("b", { dtype: "f32", shape: [y.type.shape.at(-1)!] })], { shape: y.type.shape, axes: [y.type.shape.length - 1] });
      const zero = g.apply("broadcast", [g.constant(tensor("f32", [], [0]))], { shape: y.type.shape, axes: [] });
      return g.apply("max", [g.apply("add", [y, bias], {}), zero], {});
    }), seed);
  }), runs);
});

test("convolutions: groups, strides, dilation, padding, 1 to 3 spatial axes", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 3 }), fc.constantFrom(1, 2, 3), small, small, fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 }), seeds,
    (spatial, groups, i, o, n, stride, dilation, pads, seed) => {
      const digits = [..."012"].slice(0, spatial).join("");
      const extents = [7, 6, 5].slice(0, spatial);
      const kernel = [3, 2, 1].slice(0, spatial);
      check(graph((g) => {
        const x = g.input("x", { dtype: "f32", shape: [n, ...extents, groups, i] });
        const w = g.input("w", { dtype: "f32", shape: [groups, ...kernel, i, o] });
        return g.apply("conv", [x, w], {
          x: `n${digits}gi`, w: `g${digits}io`, out: `n${digits}go`, k: `${digits}i`, strides: extents.map(() => stride), rhsDilation: extents.map(() => dilation), lhsDilation: extents.map(() => 1),
          padding: extents.map((_, a) => [pads[2 * a]! + dilation, pads[2 * a + 1]!] as const),
        });
      }), seed);
    }), runs);
});

test("convolutions with a dilated input, in phases", () => {
  const amount = fc.integer({ min: 1, max: 3 });
  fc.assert(fc.property(fc.constantFrom(1, 2), fc.integer({ min: 1, max: 4 }), amount, amount, amount, fc.integer({ min: -1, max: 3 }), fc.integer({ min: -2, max: 3 }), seeds, (spatial, c, stride, holes, dilation, low, high, seed) => {
    const digits = "01".slice(0, spatial);
    const extents = [6, 5].slice(0, spatial);
    const kernel = [3, 2].slice(0, spatial);
    const reach = (axis: number) => holes * (extents[axis]! - 1) + 1 + low + high - dilation * (kernel[axis]! - 1);
    fc.pre(extents.every((_, axis) => reach(axis) >= 1));
    check(graph((g) => {
      const x = g.input("x", { dtype: "f32", shape: [2, ...extents, c] });
      const w = g.input("w", { dtype: "f32", shape: [...kernel, c, 3] });
      const y = g.apply("conv", [x, w], {
        x: `n${digits}i`, w: `${digits}io`, out: `n${digits}o`, k: `${digits}i`, strides: extents.map(() => stride), rhsDilation: extents.map(() => dilation), lhsDilation: extents.map(() => holes),
        padding: extents.map(() => [low, high] as const),
      });
      return g.apply("tanh", [y], {});
    }), seed);
  }), { numRuns: 25, seed: 8 });
});

test("elementwise chains over moved operands", () => {
  fc.assert(fc.property(small, small, small, seeds, fc.constantFrom("transpose", "slice", "reverse", "pad", "reshape", "broadcast"), (a, b, c, seed, movement) => {
    check(graph((g) => {
      const x = g.input("x", { dtype: "f32", shape: [a + 1, b + 2, c] });
      const moved = move(g, movement, x);
      const y = g.apply("exp", [g.apply("neg", [moved], {})], {});
      const other = g.input("z", { dtype: "f32", shape: y.type.shape });
      const sum = g.apply("add", [y, other], {});
      return [g.apply("tanh", [sum], {}), g.apply("reshape", [g.apply("mul", [sum, other], {})], { shape: [y.type.shape.reduce((p, q) => p * q, 1)] })];
    }), seed);
  }), { numRuns: 30, seed: 2 });
});

function move(g: GraphBuilder, movement: string, x: Value): Value {
  const [a, b, c] = x.type.shape as [number, number, number];
  switch (movement) {
    case "transpose": return g.apply("transpose", [x], { permutation: [2, 0, 1] });
    case "slice": return g.apply("slice", [x], { starts: [1, 0, 0], limits: [a, b, c], strides: [1, 2, 1] });
    case "reverse": return g.apply("reverse", [x], { axes: [0, 2] });
    case "pad": return g.apply("pad", [x, g.constant(tensor("f32", [], [0.5]))], { low: [1, 0, -1], high: [0, 2, 2], interior: [0, 0, 0] });
    case "reshape": return g.apply("reshape", [g.apply("transpose", [x], { permutation: [1, 0, 2] })], { shape: [a * b, c] });
    default: return g.apply("broadcast", [x], { shape: [a, 3, b, c], axes: [0, 2, 3] });
  }
}

test("reductions in both orders, arg reductions, scans", () => {
  const kinds = ["sum", "prod", "max", "min", "argmax", "argmin", "cumsum", "blocked"];
  fc.assert(fc.property(fc.constantFrom(...kinds), small, small, fc.integer({ min: 1, max: 90 }), fc.constantFrom([0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]), fc.boolean(), seeds, (kind, a, b, c, axes, flag, seed) => {
    check(graph((g) => {
      const x = g.apply("mul", [g.input("x", { dtype: "f32", shape: [a, b, c] }), g.input("z", { dtype: "f32", shape: [a, b, c] })], {});
      if (kind === "cumsum") return g.apply("cumsum", [x], { axis: axes[0]!, exclusive: flag, reverse: a > 4 });
      if (kind === "argmax" || kind === "argmin") return g.apply("argreduce", [x], { kind: kind === "argmax" ? "max" : "min", axis: axes[0]!, dtype: "i64", last: flag });
      const y = g.apply("reduce", [x], { kind: kind === "blocked" ? "sum" : kind as "sum", axes, order: kind === "blocked" ? "blocked" : "sequential" });
      return flag ? g.apply("sqrt", [g.apply("abs", [y], {})], {}) : y;
    }), seed);
  }), { numRuns: 40, seed: 3 });
});

test("windows", () => {
  fc.assert(fc.property(fc.constantFrom("sum", "max"), small, small, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 0, max: 1 }), seeds, (kind, n, c, stride, dilation, pad, seed) => {
    check(graph((g) => {
      const x = g.input("x", { dtype: "f32", shape: [n, 9, 8, c] });
      return g.apply("window_reduce", [x], { kind: kind as "sum", window: [1, 3, 2, 1], strides: [1, stride, stride, 1], padding: [[0, 0], [pad, pad], [pad, 0], [0, 0]], dilation: [1, dilation, 1, 1] });
    }), seed);
  }), runs);
});

test("where the maximum of a window lies, also where padding and -Infinity meet", () => {
  fc.assert(fc.property(small, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 0, max: 2 }), fc.boolean(), seeds, (c, stride, dilation, pad, lowest, seed) => {
    check(graph((g) => {
      const x = g.input("x", { dtype: "f32", shape: [2, 7, 6, c] });
      const all = g.apply("broadcast", [g.constant(tensor("f32", [], [-Infinity]))], { shape: x.type.shape, axes: [] });
      const values = lowest ? g.apply("select", [g.apply("lt", [x, g.apply("broadcast", [g.constant(tensor("f32", [], [0.8]))], { shape: x.type.shape, axes: [] })], {}), all, x], {}) : x;
      return g.apply("window_argmax", [values], { window: [1, 3, 2, 1], strides: [1, stride, stride, 1], padding: [[0, 0], [pad, pad], [Math.min(pad, 1), 0], [0, 0]], dilation: [1, dilation, 1, 1], dtype: "i64" });
    }), seed);
  }), { numRuns: 8, seed: 5 });
});

test("stable sorts of floats with NaN and of integers", () => {
  fc.assert(fc.property(small, small, fc.integer({ min: 0, max: 1 }), fc.boolean(), fc.boolean(), seeds, (a, b, axis, descending, integers, seed) => {
    check(graph((g) => {
      const x = g.input("x", { dtype: integers ? "i32" : "f32", shape: [a, b] });
      const rough = integers ? x : g.apply("round", [g.apply("mul", [x, g.apply("broadcast", [g.constant(tensor("f32", [], [3]))], { shape: [a, b], axes: [] })], {})], {});
      const keys = integers ? x : g.apply("div", [rough, rough], {});
      return [...g.applyAll("sort", [rough], { axis, descending }), ...g.applyAll("sort", [integers ? x : g.apply("mul", [keys, rough], {})], { axis, descending })];
    }), seed);
  }), { numRuns: 8, seed: 7 });
});

test("concat, gather, scatter, interior padding, iota, select and other types", () => {
  fc.assert(fc.property(small, small, seeds, (a, b, seed) => {
    check(graph((g) => {
      const x = g.input("x", { dtype: "f32", shape: [a, b] });
      const z = g.input("z", { dtype: "f32", shape: [a, 2] });
      const joined = g.apply("concat", [x, g.apply("neg", [z], {}), x], { axis: 1 });
      const rows = g.constant(tensor("i64", [3], [a - 1, 0, a - 1]));
      const gathered = g.apply("gather", [joined, rows], {});
      const scattered = g.apply("scatter", [joined, rows, g.apply("exp", [gathered], {})], { kind: "set" });
      const spread = g.apply("pad", [scattered, g.constant(tensor("f32", [], [2]))], { low: [1, 0], high: [0, 2], interior: [1, 2] });
      const index = g.apply("convert", [g.apply("iota", [], { dtype: "i64", shape: spread.type.shape, axis: 1 })], { dtype: "f32" });
      const chosen = g.apply("select", [g.apply("lt", [spread, index], {}), spread, index], {});
      const i = g.input("i", { dtype: "i64", shape: [b] });
      return [chosen, gathered, g.apply("add", [i, g.apply("mul", [i, i], {})], {}), g.apply("convert", [i], { dtype: "bool" })];
    }), seed);
  }), runs);
});
