/** @file Passes keep every bit on random graphs, and do what they are for on small ones. */
import { tensor, type Pass } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluate, GraphBuilder, graphPasses, movedElements, optimize, printGraph, verifyGraph, type Graph, type Value } from "../src/index.ts";
import { convolution, drawGraph, drawInputs, drawSandwich, outputBits, scalarLike } from "./randomGraph.ts";
import { drawFrom, type Draw } from "./samples.ts";

function expectSameBits(run: (graph: Graph) => Graph, numRuns: number, draw: (d: Draw) => Graph = drawGraph): void {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const graph = verifyGraph(draw(d));
    const inputs = drawInputs(graph, d);
    const after = verifyGraph(run(graph));
    expect(outputBits(after, inputs), `${printGraph(graph)}\n${printGraph(after)}`).toBe(outputBits(graph, inputs));
  }), { numRuns, endOnFailure: true });
}

describe.each(graphPasses as readonly Pass<Graph>[])("$name", (p) => {
  test("keeps every bit", () => expectSameBits(p.run, 150));
  test("is at rest on its own result or gets there", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      let graph = drawGraph(drawFrom(gen));
      for (let round = 0; round < 20; round++) {
        const next = p.run(graph);
        if (next === graph) return;
        graph = next;
      }
      throw new Error(`${p.name} does not come to rest`);
    }), { numRuns: 60 });
  });
});

test("optimize keeps every bit and moves less", () => {
  // A single graph may lose where one pass undoes what the layout pass counted on; over all of them less moves.
  const moved = { before: 0, after: 0 };
  expectSameBits((graph) => {
    const after = optimize(graph);
    moved.before += movedElements(graph);
    moved.after += movedElements(after);
    return after;
  }, 400);
  expect(moved.after).toBeLessThan(moved.before / 2);
});

test("the layout pass keeps every bit between a transpose and its inverse", () => {
  expectSameBits((graph) => optimize(graph), 400, drawSandwich);
});

const ops = (graph: Graph): string[] => graph.nodes.map((node) => node.op);
const count = (graph: Graph, op: string): number => ops(graph).filter((name) => name === op).length;

function built(make: (b: GraphBuilder, x: Value) => Value, shape: readonly number[] = [2, 3]): Graph {
  const b = new GraphBuilder();
  b.output("y", make(b, b.input("x", { dtype: "f32", shape })));
  return optimize(b.build("test"));
}

test("simplify: what is exact goes, what is not stays", () => {
  expect(ops(built((b, x) => b.apply("mul", [x, scalarLike(b, x, 1)], {})))).toEqual([]);
  expect(ops(built((b, x) => b.apply("sub", [x, scalarLike(b, x, 0)], {})))).toEqual([]);
  expect(ops(built((b, x) => b.apply("add", [x, scalarLike(b, x, -0)], {})))).toEqual([]);
  expect(ops(built((b, x) => b.apply("add", [x, scalarLike(b, x, 0)], {})))).toContain("add");
  expect(ops(built((b, x) => b.apply("reduce", [b.apply("reshape", [x], { shape: [2, 1, 3] })], { kind: "max", axes: [1], order: "sequential" })))).toEqual([]);
  expect(ops(built((b, x) => b.apply("pow", [x, scalarLike(b, x, 2)], {})))).toEqual(["mul"]);
  expect(ops(built((b, x) => b.apply("transpose", [b.apply("transpose", [x], { permutation: [1, 0] })], { permutation: [1, 0] })))).toEqual([]);
});

test("an integer through a float and back is kept where the float would saturate", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "u8", shape: [1] });
  b.output("y", b.apply("convert", [b.apply("convert", [x], { dtype: "f32" })], { dtype: "i8" }));
  expect(count(optimize(b.build("test")), "convert")).toBe(2);
});

test("constants fold in device numerics; broadcasts stay broadcasts", () => {
  const folded = built((b, x) => {
    const scale = b.apply("div", [b.constant(tensor("f32", [3], [1, 2, 3])), b.constant(tensor("f32", [3], [3, 3, 3]))], {});
    return b.apply("mul", [x, b.apply("broadcast", [b.apply("sqrt", [scale], {})], { shape: [2, 3], axes: [1] })], {});
  });
  expect(ops(folded)).toEqual(["constant", "broadcast", "mul"]);
  const wide = built((b, x) => {
    const a = b.apply("broadcast", [b.constant(tensor("f32", [3], [1, 2, 3]))], { shape: [64, 3], axes: [1] });
    return b.apply("add", [x, b.apply("exp", [a], {})], {});
  }, [64, 3]);
  expect(ops(wide)).toEqual(["constant", "broadcast", "add"]);
});

test("equal nodes and equal constants are computed once", () => {
  const graph = built((b, x) => {
    const square = (): Value => b.apply("add", [b.apply("exp", [x], {}), b.apply("broadcast", [b.constant(tensor("f32", [3], [1, 2, 3]))], { shape: [2, 3], axes: [1] })], {});
    return b.apply("mul", [square(), square()], {});
  });
  expect([count(graph, "exp"), count(graph, "constant"), count(graph, "add")]).toEqual([1, 1, 1]);
});

/** Weights of a convolution as a parameter in OIHW, as ONNX has them. */
function weights(b: GraphBuilder, name: string, shape: readonly [number, number, number, number]): Value {
  const values = Array.from({ length: shape[0] * shape[1] * shape[2] * shape[3] }, (_, i) => ((i * 7919) % 23) / 23 - 0.5);
  return b.apply("transpose", [b.parameter(name, tensor("f32", shape, values))], { permutation: [2, 3, 1, 0] });
}

function bias(b: GraphBuilder, x: Value, name: string): Value {
  const channels = x.type.shape[1]!;
  const source = b.parameter(name, tensor("f32", [channels], Array.from({ length: channels }, (_, i) => i / 8)));
  const spread = b.apply("reshape", [source], { shape: [channels, 1, 1] });
  return b.apply("add", [x, b.apply("broadcast", [spread], { shape: x.type.shape, axes: [1, 2, 3] })], {});
}

const relu = (b: GraphBuilder, x: Value): Value => b.apply("max", [x, scalarLike(b, x, 0)], {});

function pool(b: GraphBuilder, x: Value): Value {
  return b.apply("window_reduce", [x], { kind: "max", window: [1, 1, 2, 2], strides: [1, 1, 2, 2], padding: [[0, 0], [0, 0], [0, 0], [0, 0]], dilation: [1, 1, 1, 1] });
}

/** Convolutions with bias, pooling, a residual block, a concatenation, a channel gate, global pooling and a classifier. */
function network(): Graph {
  const b = new GraphBuilder();
  const x = b.input("image", { dtype: "f32", shape: [1, 3, 8, 8] });
  let h = pool(b, relu(b, bias(b, convolution(b, x, weights(b, "w1", [4, 3, 3, 3])), "b1")));
  const block = relu(b, bias(b, convolution(b, h, weights(b, "w2", [4, 4, 3, 3])), "b2"));
  h = relu(b, b.apply("add", [bias(b, convolution(b, block, weights(b, "w3", [4, 4, 3, 3])), "b3"), h], {}));
  h = b.apply("concat", [h, relu(b, convolution(b, h, weights(b, "w4", [2, 4, 1, 1]), 1, 0))], { axis: 1 });
  const gate = b.apply("reduce", [h], { kind: "max", axes: [2, 3], order: "sequential" });
  h = b.apply("mul", [h, b.apply("broadcast", [b.apply("logistic", [gate], {})], { shape: h.type.shape, axes: [0, 1] })], {});
  h = b.apply("pad", [h, b.constant(tensor("f32", [], [0]))], { low: [0, 0, 1, 1], high: [0, 0, 1, 1], interior: [0, 0, 0, 0] });
  h = convolution(b, h, weights(b, "w5", [5, 6, 3, 3]), 2, 0);
  const pooled = b.apply("reshape", [b.apply("reduce", [h], { kind: "sum", axes: [2, 3], order: "sequential" })], { shape: [1, 5, 1, 1] });
  const logits = convolution(b, pooled, weights(b, "w6", [7, 5, 1, 1]), 1, 0);
  b.output("logits", b.apply("reshape", [logits], { shape: [1, 7] }));
  return b.build("network");
}

test("a convolutional network stays channels-last: only the image is transposed", () => {
  const graph = network();
  const optimized = verifyGraph(optimize(graph));
  const left = optimized.nodes.filter((node) => node.op === "transpose");
  expect(left.map((node) => node.inputs[0]!.name), printGraph(optimized, { elideTensors: true })).toEqual(["image"]);
  const inputs = new Map([["image", tensor("f32", [1, 3, 8, 8], Array.from({ length: 192 }, (_, i) => Math.sin(i)))]]);
  expect(evaluate(optimized, inputs)).toEqual(evaluate(graph, inputs));
});

test("grouped convolutions keep channels last through their reshapes", () => {
  const b = new GraphBuilder();
  let h = b.input("image", { dtype: "f32", shape: [1, 6, 4, 4] });
  for (const name of ["w1", "w2"]) {
    const grouped = b.apply("transpose", [b.apply("reshape", [h], { shape: [1, 3, 2, 4, 4] })], { permutation: [0, 3, 4, 1, 2] });
    const w = b.parameter(name, tensor("f32", [3, 3, 3, 2, 2], Array.from({ length: 108 }, (_, i) => Math.cos(i))));
    const result = b.apply("conv", [grouped, w], { x: "n01gi", w: "g01io", out: "n01go", k: "01i", strides: [1, 1], padding: [[1, 1], [1, 1]], lhsDilation: [1, 1], rhsDilation: [1, 1] });
    h = relu(b, b.apply("reshape", [b.apply("transpose", [result], { permutation: [0, 3, 4, 1, 2] })], { shape: [1, 6, 4, 4] }));
  }
  b.output("y", b.apply("reduce", [h], { kind: "max", axes: [2, 3], order: "sequential" }));
  expect(count(optimize(b.build("grouped")), "transpose")).toBe(1);
});

test("the observer sees every pass, and whether it changed something", () => {
  const seen: string[] = [];
  optimize(network(), { after: (p, _graph, changed) => void seen.push(`${p.name} ${changed}`) });
  expect(seen.slice(0, 10)).toEqual(["bind-parameters true", "drop-gradient-markers false", "hoist-from-scans false", "unroll-control false", "random-bits false", "fold-constants true", "simplify true", "common-subexpressions true", "canonicalize-layout true", "dead-code false"]);
  expect(seen.at(-1)).toBe("dead-code false");
});
