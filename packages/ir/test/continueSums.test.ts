/** @file Outputs that go on from inputs: the sums inside them start from what was there, through movement, in pieces, one after the other. */
import { numbersOf, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { continueSums, evaluate, GraphBuilder, optimizeTrainable, verifyGraph, type Graph, type Value } from "../src/index.ts";
import { evaluate64 } from "./numeric.ts";
import { outputBits } from "./randomGraph.ts";
import { drawFrom, drawTensor } from "./samples.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32" as const, shape });
const matrix = { x: "km", w: "kn", out: "mn", k: "k" };
const rows = 6;

/** x[6,4] and w[6,5] are samples by features. */
type Build = (b: GraphBuilder, x: Value, w: Value) => Value;
const dot = (b: GraphBuilder, x: Value, w: Value): Value => b.apply("dot", [x, w], matrix);
const padded = (b: GraphBuilder, x: Value, axis: number, low: number, high: number): Value => {
  const at = (amount: number): number[] => x.type.shape.map((_, a) => (a === axis ? amount : 0));
  return b.apply("pad", [x, b.constant(tensor("f32", [], [0]))], { low: at(low), high: at(high), interior: at(0) });
};
const sliced = (b: GraphBuilder, x: Value, axis: number, low: number, high: number): Value =>
  b.apply("slice", [x], { starts: x.type.shape.map((_, a) => (a === axis ? low : 0)), limits: x.type.shape.with(axis, high), strides: x.type.shape.map(() => 1) });
const added = (b: GraphBuilder, ...terms: readonly Value[]): Value => terms.reduce((sum, term) => b.apply("add", [sum, term], {}));

/** Sums over the samples that go on as they are. */
const continued: Readonly<Record<string, Build>> = {
  "a contraction": dot,
  "a contraction, moved": (b, x, w) => b.apply("reshape", [b.apply("reverse", [b.apply("transpose", [dot(b, x, w)], { permutation: [1, 0] })], { axes: [1] })], { shape: [2, 10] }),
  "a convolution": (b, x, w) => b.apply("conv", [b.apply("reshape", [x], { shape: [...x.type.shape, 1] }), b.apply("reshape", [w], { shape: [...w.type.shape, 1] })],
    { x: "n0i", w: "n0o", out: "0io", k: "n0", strides: [1], padding: [[4, 4]], lhsDilation: [1], rhsDilation: [1] }),
  "a sum": (b, x) => b.apply("reduce", [x], { kind: "sum", axes: [0], order: "sequential" }),
  "rows added to zeros": (b, x) => b.apply("scatter", [b.apply("broadcast", [b.constant(tensor("f32", [], [0]))], { shape: [3, 4], axes: [] }), b.constant(tensor("i32", [rows], [0, 2, 0, 1, 0, 2])), x], { kind: "add" }),
  "windows side by side": (b, x, w) => added(b, padded(b, dot(b, x, w), 0, 0, 3), padded(b, dot(b, sliced(b, x, 1, 1, 3), w), 0, 5, 0)),
  "pieces in another order": (b, x, w) => {
    const whole = b.apply("reshape", [dot(b, x, w)], { shape: [20] });
    return added(b, padded(b, sliced(b, whole, 0, 5, 8), 0, 17, 0), padded(b, sliced(b, whole, 0, 8, 20), 0, 0, 8), padded(b, sliced(b, whole, 0, 0, 5), 0, 12, 3));
  },
};

function graphOf(build: Build, count = rows): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const [x, w] = [b.input("x", f32(count, 4)), b.input("w", f32(count, 5))];
  b.output("g", build(b, x, w));
  return b.build("test");
}

const from = new Map([["g", "a"]]);
const accumulations = (graph: Graph) => graph.nodes.filter(({ op, origin }) => op === "add" && origin.operator === "accumulate").length;
const wide = (t: Tensor): Tensor => ({ ...t, data: Float64Array.from(numbersOf(t)) });

/** What is there plus the output, in binary64. */
function checkSum(graph: Graph, seed: fc.GeneratorValue): void {
  const d = drawFrom(seed);
  const more = verifyGraph(continueSums(graph, from));
  const inputs = new Map(more.inputs.map(({ name, value }) => [name, wide(drawTensor(d, "f32", value.type.shape))]));
  const [before, got] = [evaluate64(graph, inputs).get("g")!, evaluate64(more, inputs).get("g")!];
  numbersOf(got).forEach((value, i) => expect(value).toBeCloseTo((before.data[i] as number) + (inputs.get("a")!.data[i] as number), 10));
}

describe.each(Object.entries(continued))("%s", (_, build) => {
  test("goes on from what was there, with no addition of its own", () => {
    const graph = graphOf(build);
    expect(accumulations(continueSums(graph, from))).toBe(0);
    fc.assert(fc.property(fc.gen(), (gen) => checkSum(graph, gen)), { numRuns: 20 });
  });

  test("keeps its bits in every pass", () => {
    const more = continueSums(graphOf(build), from);
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const inputs = new Map(more.inputs.map(({ name: input, value }) => [input, drawTensor(d, "f32", value.type.shape)]));
      expect(outputBits(verifyGraph(optimizeTrainable(more)), inputs)).toBe(outputBits(more, inputs));
    }), { numRuns: 20 });
  });

});

// Row numbers are a constant here.
describe.each(Object.entries(continued).filter(([name]) => name !== "rows added to zeros"))("%s", (_, build) => {
  test("over pieces of the samples it is the sum over all, bit for bit", () => {
    fc.assert(fc.property(fc.gen(), fc.constantFrom([1, 1, 1, 1, 1, 1], [2, 2, 2], [4, 2], [1, 5]), (gen, sizes) => {
      const d = drawFrom(gen);
      const [x, w] = [drawTensor(d, "f32", [rows, 4]), drawTensor(d, "f32", [rows, 5])];
      const whole = evaluate(graphOf(build), new Map([["x", x], ["w", w]])).get("g")!;
      const piece = (t: Tensor, low: number, high: number): Tensor => ({ ...t, shape: t.shape.with(0, high - low), data: t.data.slice(low * t.shape[1]!, high * t.shape[1]!) });
      let done = 0;
      let total: Tensor = { dtype: "f32", shape: whole.shape, data: new Float32Array(whole.data.length) };
      for (const size of sizes) {
        const graph = continueSums(graphOf(build, size), from);
        total = evaluate(graph, new Map([["x", piece(x, done, done + size)], ["w", piece(w, done, done + size)], ["a", total]])).get("g")!;
        done += size;
      }
      expect(total).toEqual(whole);
    }), { numRuns: 30 });
  });
});

describe("what cannot go on is added", () => {
  const shared: Build = (b, x) => {
    const sum = b.apply("reduce", [x], { kind: "sum", axes: [0], order: "sequential" });
    b.output("other", sum);
    return sum;
  };
  test.each<[string, Build, number]>([
    ["a sum that something else uses too", shared, 1],
    ["what is computed from a finished sum", (b, x, w) => b.apply("tanh", [dot(b, x, w)], {}), 1],
    ["windows that overlap", (b, x, w) => added(b, padded(b, dot(b, x, w), 0, 0, 2), padded(b, dot(b, x, w), 0, 2, 0)), 2],
    ["one term of two", (b, x, w) => added(b, b.apply("neg", [dot(b, x, w)], {}), dot(b, x, w)), 1],
    ["an input", (_b, x) => x, 1],
  ])("%s", (_, build, count) => {
    const graph = graphOf(build);
    expect(accumulations(continueSums(graph, from))).toBe(count);
    fc.assert(fc.property(fc.gen(), (gen) => checkSum(graph, gen)), { numRuns: 10 });
  });
});

test("terms of tied parameters follow each other", () => {
  const graph = continueSums(graphOf((b, x, w) => added(b, dot(b, x, w), dot(b, b.apply("neg", [x], {}), w))), from);
  const dots = graph.nodes.filter(({ op }) => op === "dot");
  expect(dots.map(({ inputs }) => inputs.length)).toEqual([3, 3]);
  expect(dots[1]!.inputs[2]).toBe(dots[0]!.outputs[0]);
  expect(graph.nodes.filter(({ op }) => op === "add")).toEqual([]);
});
