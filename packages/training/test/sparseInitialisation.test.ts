/** @file Sparse initialisation: at most so many weights a unit, wherever the graph keeps its units. */
import { tensor, type Tensor } from "@systole/base";
import { emit, GraphBuilder, type Graph, type Value } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { sparseInitialisation } from "../src/index.ts";
import { zerosOf } from "./support.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const batch = 2;
const sevens = (shape: readonly number[]): Tensor => tensor("f32", shape, new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(7));

/** [40] -> tanh [30] by [in, out], -> [25] by [out, in], -> logistic, -> [20] out of one parameter for two layers. */
function dense(): Graph {
  const b = new GraphBuilder();
  const bias = (z: Value, name: string): Value => emit.add(b, z, emit.spreadOver(b, b.parameter(name, sevens([z.type.shape[1]!])), z.type.shape, [0]));
  const contraction = (x: Value, w: Value): Value => b.apply("dot", [x, w], { x: "ni", w: "io", out: "no", k: "i" });
  const h1 = emit.unary(b, "tanh", bias(contraction(b.input("x", f32(batch, 40)), b.parameter("w1", zerosOf([40, 30]))), "b1"));
  const h2 = emit.unary(b, "logistic", bias(contraction(h1, b.apply("transpose", [b.parameter("w2", zerosOf([25, 30]))], { permutation: [1, 0] })), "b2"));
  const both = b.parameter("w3", zerosOf([45, 20]));
  const part = (from: number, to: number): Value => b.apply("slice", [both], { starts: [from, 0], limits: [to, 20], strides: [1, 1] });
  const h3 = contraction(h2, part(0, 25));
  const scale = b.parameter("gamma", sevens([20]));
  b.output("y", emit.mul(b, contraction(h3, part(25, 45)), emit.spreadOver(b, scale, [batch, 20], [0])));
  return b.build("dense");
}

/** One parameter of ONNX's layout, [out, in, height, width]. */
function convolution(groups: number): Graph {
  const b = new GraphBuilder();
  const x = b.input("x", f32(batch, 8, 8, 8));
  const w = b.parameter("w", zerosOf([12, 8 / groups, 3, 3]));
  const split = emit.reshapeTo(b, w, [groups, 12 / groups, 8 / groups, 3, 3]);
  const grouped = b.apply("reshape", [x], { shape: [batch, 8, 8, groups, 8 / groups] });
  const padding = [[1, 1], [1, 1]] as const;
  b.output("y", b.apply("conv", [grouped, split], { x: "n01gi", w: "goi01", out: "n01go", k: "01i", strides: [1, 1], padding, lhsDilation: [1, 1], rhsDilation: [1, 1] }));
  return b.build("convolution");
}

/** h = tanh(h R' + x W' + b) over 5 steps; the products with x stand before the loop. */
function recurrence(): Graph {
  const hidden = 20;
  const body = new GraphBuilder();
  const [r, h, x] = [body.input("r", f32(hidden, hidden)), body.input("h", f32(batch, hidden)), body.input("x", f32(batch, hidden))];
  const next = emit.unary(body, "tanh", emit.add(body, x, body.apply("dot", [h, r], { x: "nh", w: "gh", out: "ng", k: "h" })));
  body.output("h", next);
  body.output("y", next);
  const b = new GraphBuilder();
  const projected = b.apply("dot", [b.input("x", f32(5, batch, 30)), b.parameter("W", zerosOf([1, hidden, 30]))], { x: "tni", w: "dgi", out: "tndg", k: "i" });
  const biased = emit.add(b, projected, emit.spreadOver(b, b.parameter("B", sevens([1, hidden])), projected.type.shape, [0, 1]));
  const recurrent = emit.reshapeTo(b, b.parameter("R", zerosOf([1, hidden, hidden])), [hidden, hidden]);
  const first = b.parameter("h0", sevens([batch, hidden]));
  const [, states] = b.applyAll("scan", [recurrent, first, emit.reshapeTo(b, biased, [5, batch, hidden])], { body: body.build("step"), length: 5, reverse: false, consts: 1, carries: 1 });
  b.output("y", b.apply("dot", [states!, b.parameter("V", zerosOf([hidden, 4]))], { x: "tnh", w: "ho", out: "tno", k: "h" }));
  return b.build("recurrence");
}

const namesOf = (graph: Graph): string[] => graph.parameters.map(({ name }) => name);
const data = (made: ReadonlyMap<string, Tensor>, name: string): number[] => Array.from(made.get(name)!.data as Float32Array);

/** The non-zeros of each unit; `unitOf` gives the unit of an element. */
function counts(values: readonly number[], unitOf: (element: number) => number): number[] {
  const result: number[] = [];
  values.forEach((x, i) => (result[unitOf(i)] = (result[unitOf(i)] ?? 0) + Number(x !== 0)));
  return result;
}

const deviation = (values: readonly number[]): number => Math.sqrt(values.filter((x) => x !== 0).reduce((total, x, _, all) => total + (x * x) / all.length, 0));

describe("dense layers", () => {
  const graph = dense();
  const made = sparseInitialisation(graph, namesOf(graph), 3n);

  test.each([
    ["w1", 30, 15, (i: number) => i % 30], ["w2", 25, 15, (i: number) => Math.floor(i / 30)], ["w3", 40, 15, (i: number) => (i % 20) + (i < 25 * 20 ? 0 : 20)],
  ] as const)("%s: each of %i units has %i", (name, units, incoming, unitOf) => {
    expect(counts(data(made, name), unitOf)).toEqual(new Array<number>(units).fill(incoming));
  });

  test("weights are normally distributed, smaller beside tanh", () => {
    // A tanh layer; logistic behind tanh; neither.
    expect(deviation(data(made, "w1"))).toBeCloseTo(0.5, 1);
    expect(deviation(data(made, "w2"))).toBeCloseTo(0.5, 1);
    expect(deviation(data(made, "w3"))).toBeCloseTo(1, 1);
    const mean = data(made, "w3").reduce((total, x) => total + x / 600, 0);
    expect(Math.abs(mean)).toBeLessThan(0.15);
  });

  test("biases are 0, those of tanh 0.5; what is multiplied stays", () => {
    expect(new Set(data(made, "b1"))).toEqual(new Set([0.5]));
    expect(new Set(data(made, "b2"))).toEqual(new Set([0]));
    expect(made.has("gamma")).toBe(false);
  });

  test("by the seed alone, and only what is trained", () => {
    expect(sparseInitialisation(graph, namesOf(graph), 3n)).toEqual(made);
    expect(data(sparseInitialisation(graph, namesOf(graph), 4n), "w1")).not.toEqual(data(made, "w1"));
    expect([...sparseInitialisation(graph, ["w2"], 3n).keys()]).toEqual(["w2"]);
    expect(counts(data(sparseInitialisation(graph, namesOf(graph), 3n, { incoming: 100 }), "w2"), (i) => Math.floor(i / 30))).toEqual(new Array<number>(25).fill(30));
  });
});

test.each([[1, 15], [2, 15], [4, 15]])("a convolution in %i groups: %i weights for each channel", (groups, incoming) => {
  const graph = convolution(groups);
  const weights = data(sparseInitialisation(graph, ["w"], 1n), "w");
  expect(counts(weights, (i) => Math.floor(i / ((8 / groups) * 9)))).toEqual(new Array<number>(12).fill(incoming));
});

test("a recurrent network", () => {
  const graph = recurrence();
  const made = sparseInitialisation(graph, namesOf(graph), 5n, { recurrent: true });
  expect(counts(data(made, "W"), (i) => Math.floor(i / 30))).toEqual(new Array<number>(20).fill(15));
  expect(counts(data(made, "R"), (i) => Math.floor(i / 20))).toEqual(new Array<number>(20).fill(15));
  expect(counts(data(made, "V"), (i) => i % 4)).toEqual(new Array<number>(4).fill(15));
  expect(deviation(data(made, "R")) * Math.sqrt(15)).toBeCloseTo(1, 1);
  expect(deviation(data(made, "W")) * Math.sqrt(15)).toBeCloseTo(0.25, 1);
  expect(new Set(data(made, "B"))).toEqual(new Set([0]));
  expect(made.has("h0")).toBe(false);
});
