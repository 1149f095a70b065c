/** @file Arrays of one row or one column, and others that nothing divides, give the same bits. */
import { evaluate, GraphBuilder, type Graph } from "@systole/ir";
import { presets, type Machine } from "@systole/isa";
import { describe, expect, test } from "vitest";
import { difference, randomInputs, runGraph } from "./support.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32" as const, shape });

function graphOf(build: (b: GraphBuilder) => void): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  build(b);
  return b.build("narrow");
}

const conv = { x: "n01i", w: "01io", out: "n01o", k: "01i", padding: [[1, 1], [0, 0]] as const, rhsDilation: [1, 1] };
const graphs: Readonly<Record<string, Graph>> = {
  "a product": graphOf((b) => {
    const y = b.apply("dot", [b.input("x", f32(5, 17)), b.input("w", f32(17, 9))], { x: "mk", w: "kn", out: "mn", k: "k" });
    b.output("y", b.apply("tanh", [b.apply("add", [y, b.input("b", f32(5, 9))], {})], {}));
  }),
  "products of a batch, summed": graphOf((b) => {
    const params = { x: "bmk", w: "bkn", out: "bmn", k: "k" };
    const first = b.apply("dot", [b.input("x", f32(3, 7, 20)), b.input("w", f32(3, 20, 6))], params);
    b.output("y", b.apply("dot", [b.input("v", f32(3, 7, 20)), b.input("u", f32(3, 20, 6)), first], params));
  }),
  "a convolution": graphOf((b) => b.output("y", b.apply("conv", [b.input("x", f32(2, 7, 6, 5)), b.input("w", f32(3, 3, 5, 4))], { ...conv, strides: [1, 1], lhsDilation: [1, 1] }))),
  "a transposed convolution": graphOf((b) => b.output("y", b.apply("conv", [b.input("x", f32(2, 4, 4, 5)), b.input("w", f32(3, 3, 5, 3))], { ...conv, strides: [1, 1], lhsDilation: [2, 2] }))),
};

/** Small memories, so that tiles have few points. */
function arrayOf(rows: number, columns: number): Machine {
  const edge = presets["edge-16"];
  return { ...edge, name: `${rows}x${columns}`, array: { ...edge.array, rows, columns }, dataCache: { ...edge.dataCache, bytes: 16384 }, accumulators: { ...edge.accumulators, bytes: 1024 } };
}

describe.each([[1, 1], [2, 1], [4, 1], [128, 1], [1, 2], [1, 128], [3, 5]])("%i x %i", (rows, columns) => {
  test.each(Object.entries(graphs))("%s", (_, graph) => {
    const inputs = randomInputs(graph, rows * 7 + columns);
    const expected = evaluate(graph, inputs, "device").get("y")!;
    for (const tilingSeed of [undefined, 1]) expect(difference(runGraph(graph, arrayOf(rows, columns), inputs, tilingSeed).outputs.get("y")!, expected)).toBeUndefined();
  });
});
