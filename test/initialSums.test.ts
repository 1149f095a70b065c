/** @file Sums that start from an operand: contractions and reductions on every preset and under random tilings, as the evaluator has them bit for bit. */
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { lowerGraph } from "@systole/systole";
import fc from "fast-check";
import { expect, test } from "vitest";
import { differencesFromEvaluator } from "./support.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32" as const, shape });
const seeds = fc.integer({ min: 0, max: 1000 });
const extent = (max: number) => fc.integer({ min: 1, max });
const runs = { numRuns: 12, seed: 3 };
const check = (g: Graph, seed: number) => expect(differencesFromEvaluator(g, seed)).toEqual([]);

function graph(build: (b: GraphBuilder) => Value): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  b.output("y", build(b));
  return b.build("test");
}

/** What sums may start from: an input as it lies, turned, cut out of a larger one, spread, computed; then what may follow. */
const forms: Readonly<Record<string, (b: GraphBuilder, shape: readonly number[]) => Value>> = {
  "as it lies": (b, shape) => b.input("initial", f32(...shape)),
  transposed: (b, shape) => b.apply("transpose", [b.input("initial", f32(...shape.toReversed()))], { permutation: shape.map((_, axis) => shape.length - 1 - axis) }),
  sliced: (b, shape) => b.apply("slice", [b.input("initial", f32(...shape.map((n) => 2 * n + 1)))], { starts: shape.map(() => 1), limits: shape.map((n) => 2 * n + 1), strides: shape.map(() => 2) }),
  spread: (b, shape) => b.apply("broadcast", [b.input("initial", f32(...shape.slice(-1)))], { shape, axes: shape.slice(-1).map(() => shape.length - 1) }),
  padded: (b, shape) => b.apply("pad", [b.input("initial", f32(...shape)), b.input("fill", f32())], { low: shape.map(() => 1), high: shape.map(() => -1), interior: shape.map(() => 0) }),
  computed: (b, shape) => b.apply("tanh", [b.input("initial", f32(...shape))], {}),
};
const form = fc.constantFrom(...Object.keys(forms));

test("matrix products with any labels, and what follows them", () => {
  const labels = [
    { x: "mk", w: "kn", out: "mn", k: "k" }, { x: "km", w: "kn", out: "nm", k: "k" }, { x: "bmk", w: "bkn", out: "bmn", k: "k" }, { x: "mkl", w: "lkn", out: "mn", k: "lk" },
    { x: "k", w: "kn", out: "n", k: "k" }, { x: "mk", w: "k", out: "m", k: "k" }, { x: "bhmk", w: "bhkn", out: "bmhn", k: "k" }, { x: "km", w: "n", out: "mn", k: "" },
  ].map((l) => (l.k === "" ? { ...l, x: "m" } : l));
  fc.assert(fc.property(fc.constantFrom(...labels), form, fc.boolean(), extent(300), extent(40), extent(40), extent(3), seeds, (l, name, follows, k, m, n, b, seed) => {
    const extents: Record<string, number> = { k, m, n, b, l: 3, h: 2 };
    const shape = (s: string) => [...s].map((letter) => extents[letter]!);
    check(graph((g) => {
      const y = g.apply("dot", [g.input("x", f32(...shape(l.x))), g.input("w", f32(...shape(l.w))), forms[name]!(g, shape(l.out))], l);
      return follows ? g.apply("mul", [y, g.input("scale", y.type)], {}) : y;
    }), seed);
  }), { ...runs, numRuns: 30 });
});

test("convolutions, in phases where the input is dilated", () => {
  fc.assert(fc.property(fc.constantFrom(1, 2), form, extent(2), extent(20), extent(3), extent(2), extent(2), seeds, (spatial, name, groups, channels, stride, holes, dilation, seed) => {
    const digits = "01".slice(0, spatial);
    const [extents, kernel] = [[6, 5].slice(0, spatial), [3, 2].slice(0, spatial)];
    const sizes = extents.map((n, axis) => Math.floor((holes * (n - 1) + 3 - (dilation * (kernel[axis]! - 1) + 1)) / stride) + 1);
    fc.pre(sizes.every((size) => size > 0));
    check(graph((g) => g.apply("conv", [g.input("x", f32(2, ...extents, groups, 3)), g.input("w", f32(groups, ...kernel, 3, channels)), forms[name]!(g, [2, ...sizes, groups, channels])], {
      x: `n${digits}gi`, w: `g${digits}io`, out: `n${digits}go`, k: `${digits}i`, strides: extents.map(() => stride), rhsDilation: extents.map(() => dilation), lhsDilation: extents.map(() => holes), padding: extents.map(() => [1, 1] as const),
    })), seed);
  }), runs);
});

test("reductions in both orders, alone and with work before and after", () => {
  const axes = fc.constantFrom([0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]);
  fc.assert(fc.property(axes, form, fc.constantFrom("sequential" as const, "blocked" as const), fc.boolean(), extent(40), extent(40), extent(70), seeds, (reduced, name, order, works, a, b, c, seed) => {
    check(graph((g) => {
      const x = g.input("x", f32(a, b, c));
      const initial = forms[name]!(g, [a, b, c].filter((_, axis) => !reduced.includes(axis)));
      const y = g.apply("reduce", [works ? g.apply("mul", [x, x], {}) : x, initial], { kind: "sum", axes: reduced, order });
      return works ? g.apply("neg", [y], {}) : y;
    }), seed);
  }), { ...runs, numRuns: 30 });
});

test("a sum of nothing is what it starts from", () => {
  check(graph((g) => g.apply("dot", [g.input("x", f32(3, 0)), g.input("w", f32(0, 2)), g.input("initial", f32(3, 2))], { x: "mk", w: "kn", out: "mn", k: "k" })), 1);
  check(graph((g) => g.apply("reduce", [g.input("x", f32(3, 0)), g.input("initial", f32(3))], { kind: "sum", axes: [1], order: "sequential" })), 1);
});

test("the accumulators take initial sums by DMA, and nothing is added afterwards", () => {
  const g = graph((b) => b.apply("dot", [b.input("x", f32(200, 300)), b.input("w", f32(300, 500)), b.input("initial", f32(200, 500))], { x: "mk", w: "kn", out: "mn", k: "k" }));
  for (const machine of Object.values(presets)) {
    const [routine] = lowerGraph(g, machine).image.routines.filter(({ kernel }) => kernel !== undefined);
    const gemms = routine!.instructions.filter(({ op }) => op === "gemm");
    expect(gemms.length).toBeGreaterThan(0);
    expect(gemms.every((one) => "continues" in one && one.continues === 1 && one.start === 0)).toBe(true);
    expect(routine!.instructions.filter(({ op }) => op === "vop")).toEqual([]);
    expect(routine!.instructions.filter(({ op }) => op === "ld").length).toBe(3);
  }
});
