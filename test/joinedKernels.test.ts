/** @file Kernels with several results or folds compute what the evaluator computes, whatever is joined and however it is tiled. */
import { tensor } from "@systole/base";
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { schedule, waitingResults } from "@systole/scheduler";
import fc from "fast-check";
import { expect, test } from "vitest";
import { differencesFromEvaluator } from "./support.ts";

/** What is made first, of 12 x 10 points with the values of `x`. */
const engines: Readonly<Record<string, (b: GraphBuilder, x: Value) => Value>> = {
  "none": (_, x) => x,
  "contraction": (b, x) => b.apply("dot", [x, b.input("w", { dtype: "f32", shape: [10, 10] })], { x: "mk", w: "kn", out: "mn", k: "k" }),
  "reduction": (b, x) => b.apply("reduce", [b.apply("mul", [b.apply("broadcast", [x], { shape: [12, 10, 3], axes: [0, 1] }), b.input("w", { dtype: "f32", shape: [12, 10, 3] })], {})], { kind: "sum", axes: [2], order: "sequential" }),
  "scan": (b, x) => b.apply("cumsum", [x], { axis: 1, exclusive: false, reverse: false }),
  "look-up": (b, x) => b.apply("gather", [x, b.constant(tensor("i32", [12], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]))], {}),
};

/** Of two values of the same shape. */
const operations: readonly ((b: GraphBuilder, x: Value, y: Value) => Value)[] = [
  (b, x) => b.apply("tanh", [x], {}),
  (b, x, y) => b.apply("add", [x, y], {}),
  (b, x, y) => b.apply("select", [b.apply("gt", [x, y], {}), x, y], {}),
  (b, x, y) => b.apply("mul", [x, b.apply("logistic", [y], {})], {}),
  (b, x, y) => b.apply("sub", [x, b.apply("broadcast", [b.apply("slice", [y], { starts: [0, 0], limits: [12, 1], strides: [1, 1] })], { shape: [12, 10], axes: [0, 1] })], {}),
  (b, x) => b.apply("transpose", [b.apply("neg", [b.apply("transpose", [x], { permutation: [1, 0] })], {})], { permutation: [1, 0] }),
  (b, x) => b.apply("reverse", [b.apply("abs", [x], {})], { axes: [0] }),
  (b, x, y) => b.apply("slice", [b.apply("concat", [x, y], { axis: 0 })], { starts: [6, 0], limits: [18, 10], strides: [1, 1] }),
  (b, x) => b.apply("reshape", [b.apply("exp", [b.apply("reshape", [x], { shape: [120] })], {})], { shape: [12, 10] }),
];

interface Step {
  readonly operation: number;
  readonly x: number;
  readonly y: number;
  readonly isOutput: boolean;
}

function graphOf(engine: string, steps: readonly Step[]): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const values = [b.input("x", { dtype: "f32", shape: [12, 10] })];
  values.push(engines[engine]!(b, values[0]!));
  for (const { operation, x, y, isOutput } of steps) {
    const of = (n: number) => values[values.length - 1 - (n % Math.min(3, values.length))]!;
    const value = operations[operation % operations.length]!(b, of(x), of(y));
    values.push(value);
    if (isOutput) b.output(`y${values.length}`, value);
  }
  b.output("last", values.at(-1)!);
  return b.build("fan-out");
}

const step = fc.record({ operation: fc.nat(100), x: fc.nat(5), y: fc.nat(5), isOutput: fc.boolean() });
const kernelsOf = (graph: Graph) => schedule(graph, presets["edge-16"]).kernels.map(({ kernel }) => kernel);

test.each(Object.keys(engines))("elementwise work behind: %s", (engine) => {
  let [joined, waiting] = [0, 0];
  fc.assert(fc.property(fc.array(step, { minLength: 2, maxLength: 9 }), fc.nat(1000), (steps, seed) => {
    const graph = graphOf(engine, steps);
    const kernels = kernelsOf(graph);
    joined += kernels.filter(({ results }) => results.length > 1).length;
    waiting += kernels.filter((kernel) => waitingResults(kernel) > 0).length;
    expect(differencesFromEvaluator(graph, seed, 1)).toEqual([]);
  }), { numRuns: 12, seed: 5 });
  expect(joined).toBeGreaterThan(4);
  expect(waiting).toBeGreaterThan(0);
});

const folds = ["sum", "max", "min", "prod"] as const;
const fold = fc.record({ kind: fc.constantFrom(...folds), order: fc.constantFrom("sequential" as const, "blocked" as const), of: fc.nat(2), squared: fc.boolean(), behind: fc.boolean() });

test("reductions over the same points", () => {
  let together = 0;
  fc.assert(fc.property(fc.array(fold, { minLength: 2, maxLength: 5 }), fc.constantFrom([0], [1], [1, 2], [0, 2]), fc.nat(1000), (list, axes, seed) => {
    const b = new GraphBuilder();
    b.setOrigin({ node: "n", operator: "Test" });
    const inputs = [0, 1, 2].map((i) => b.input(`x${i}`, { dtype: "f32", shape: [7, 9, 20] }));
    for (const [i, { kind, order, of, squared, behind }] of list.entries()) {
      const x = inputs[of]!;
      const value = b.apply("reduce", [squared ? b.apply("mul", [x, inputs[(of + 1) % 3]!], {}) : x], { kind, axes, order: kind === "sum" ? order : "sequential" });
      b.output(`y${i}`, behind ? b.apply("tanh", [value], {}) : value);
    }
    const graph = b.build("folds");
    together += kernelsOf(graph).filter(({ engine }) => engine.kind === "reduction" && engine.folds.length > 1).length;
    expect(differencesFromEvaluator(graph, seed, 1)).toEqual([]);
  }), { numRuns: 12, seed: 7 });
  expect(together).toBeGreaterThan(6);
});
