/** @file Sums of contractions: which go on from each other, and that the sum stays the same. */
import { numbersOf, tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodiesOf, gaussNewton, GraphBuilder, squaredError, verifyGraph, type Graph, type Value } from "../src/index.ts";
import { sumContractions } from "../src/differentiate/sumContractions.ts";
import { evaluate64 } from "./numeric.ts";
import { drawFrom, drawTensor } from "./samples.ts";

const f64 = (...shape: number[]) => ({ dtype: "f64" as const, shape });
const matrix = { x: "mk", w: "kn", out: "mn", k: "k" };
const windows = { x: "n0i", w: "0oi", out: "n0o", k: "0i", strides: [1], padding: [[1, 1]] as const, lhsDilation: [1], rhsDilation: [1] };

type Build = (b: GraphBuilder, input: (name: string, ...shape: number[]) => Value) => Readonly<Record<string, Value>>;

function graphOf(build: Build): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const inputs = new Map<string, Value>();
  const input = (name: string, ...shape: number[]): Value => {
    if (!inputs.has(name)) inputs.set(name, b.input(name, f64(...shape)));
    return inputs.get(name)!;
  };
  for (const [name, value] of Object.entries(build(b, input))) b.output(name, value);
  return b.build("sums");
}

const dot = (b: GraphBuilder, x: Value, w: Value): Value => b.apply("dot", [x, w], matrix);
const add = (b: GraphBuilder, x: Value, y: Value): Value => b.apply("add", [x, y], {});
const count = (graph: Graph, op: string): number => graph.nodes.reduce((n, node) => n + Number(node.op === op) + bodiesOf(node).reduce((inner, [, body]) => inner + count(body, op), 0), 0);

const going: Readonly<Record<string, Build>> = {
  "two products": (b, input) => ({ y: add(b, dot(b, input("x", 3, 4), input("w", 4, 5)), dot(b, input("v", 3, 4), input("u", 4, 5))) }),
  "three products": (b, input) => ({ y: add(b, add(b, dot(b, input("x", 3, 4), input("w", 4, 5)), dot(b, input("v", 3, 4), input("w", 4, 5))), dot(b, input("x", 3, 4), input("u", 4, 5))) }),
  "two convolutions": (b, input) => ({ y: add(b, b.apply("conv", [input("x", 2, 6, 3), input("w", 3, 4, 3)], windows), b.apply("conv", [input("v", 2, 6, 3), input("w", 3, 4, 3)], windows)) }),
};

const staying: Readonly<Record<string, Build>> = {
  "a product that is an output": (b, input) => {
    const first = dot(b, input("x", 3, 4), input("w", 4, 5));
    return { first, y: add(b, first, dot(b, input("v", 3, 4), input("u", 4, 5))) };
  },
  "a product that is added to itself": (b, input) => {
    const first = dot(b, input("x", 3, 4), input("w", 4, 5));
    return { y: add(b, first, first) };
  },
  "products of other lengths": (b, input) => ({ y: add(b, dot(b, input("x", 3, 4), input("w", 4, 5)), dot(b, input("v", 3, 2), input("u", 2, 5))) }),
  "products of other letters": (b, input) => ({ y: add(b, dot(b, input("x", 4, 4), input("w", 4, 4)), b.apply("dot", [input("v", 4, 4), input("u", 4, 4)], { ...matrix, w: "nk" })) }),
  "a product and something else": (b, input) => ({ y: add(b, dot(b, input("x", 3, 4), input("w", 4, 5)), input("v", 3, 5)) }),
};

describe.each(Object.entries(going))("%s", (_, build) => {
  test("leave no addition, and are the same sum", () => {
    const graph = graphOf(build);
    const summed = verifyGraph(sumContractions(graph));
    expect(count(summed, "add")).toBe(0);
    expect(count(summed, "dot") + count(summed, "conv")).toBe(count(graph, "dot") + count(graph, "conv"));
    fc.assert(fc.property(fc.gen(), (gen) => {
      const inputs = new Map(graph.inputs.map(({ name, value }) => [name, drawTensor(drawFrom(gen), "f64", value.type.shape)]));
      const [wanted, got] = [graph, summed].map((one) => numbersOf(evaluate64(one, inputs).get("y")!)) as [number[], number[]];
      got.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 10));
    }), { numRuns: 10 });
  });
});

test.each(Object.entries(staying))("%s stays", (_, build) => {
  const graph = graphOf(build);
  expect(sumContractions(graph)).toBe(graph);
});

test("the tangent of a layer is one sum", () => {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const x = b.input("x", { dtype: "f32", shape: [2, 3] });
  const [V, W] = ["V", "W"].map((name) => b.parameter(name, tensor("f32", [3, 3], new Array<number>(9).fill(0.5)))) as [Value, Value];
  b.output("y", dot(b, b.apply("tanh", [dot(b, x, V)], {}), W));
  const network = b.build("net");
  const scores = { dtype: "f32" as const, shape: [2, 3] };
  const { product } = gaussNewton(network, [{ output: "y", loss: squaredError(scores) }], ["V", "W"]);
  const tangents = product.nodes.filter(({ op, origin }) => op === "dot" && origin.phase === "product");
  expect(tangents.filter(({ inputs }) => inputs.length === 3).length).toBe(1);
  expect(count(product, "add")).toBe(0);
});
