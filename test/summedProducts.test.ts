/** @file Kernels that sum several products compute what the evaluator computes, however they are tiled; and which contractions become one kernel. */
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { printKernel, schedule } from "@systole/scheduler";
import { describe, expect, test } from "vitest";
import { differencesFromEvaluator } from "./support.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32" as const, shape });

interface Form {
  readonly op: "dot" | "conv";
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly params: Record<string, unknown>;
}

const conv = { x: "n0i", w: "0io", out: "n0o", k: "0i", strides: [1], padding: [[1, 1]], lhsDilation: [1], rhsDilation: [1] };
const forms: Readonly<Record<string, Form>> = {
  "a matrix product": { op: "dot", x: [40, 70], w: [70, 50], params: { x: "mk", w: "kn", out: "mn", k: "k" } },
  "a matrix product with a turned operand": { op: "dot", x: [40, 70], w: [50, 70], params: { x: "mk", w: "nk", out: "mn", k: "k" } },
  "products of a batch": { op: "dot", x: [3, 33, 40], w: [3, 40, 35], params: { x: "bmk", w: "bkn", out: "bmn", k: "k" } },
  "a convolution": { op: "conv", x: [2, 50, 24], w: [3, 24, 40], params: conv },
  "a convolution with strides": { op: "conv", x: [2, 51, 24], w: [3, 24, 40], params: { ...conv, strides: [2] } },
  "a transposed convolution": { op: "conv", x: [2, 30, 24], w: [3, 24, 40], params: { ...conv, lhsDilation: [2] } },
};

/** `count` products, one behind the other, with what stands before and behind them. */
function graphOf({ op, x, w, params }: Form, count: number, start: "zero" | "given" | "made", behind: "nothing" | "chain" | "reader of a part"): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  const product = (i: number, initial: readonly Value[]): Value => b.apply(op, [b.input(`x${i}`, f32(...x)), b.input(`w${i}`, f32(...w)), ...initial], params as never);
  const first = product(0, []);
  const given = start === "given" ? [b.input("initial", first.type)] : start === "made" ? [b.apply("tanh", [b.input("initial", first.type)], {})] : [];
  let sums = given.length === 0 ? first : b.apply(op, [b.input("x", f32(...x)), b.input("w", f32(...w)), ...given], params as never);
  for (let i = 1; i < count; i++) {
    if (behind === "reader of a part" && i === 1) b.output("part", b.apply("neg", [sums], {}));
    sums = product(i, [sums]);
  }
  b.output("y", behind === "chain" ? b.apply("tanh", [b.apply("mul", [sums, b.input("scale", sums.type)], {})], {}) : sums);
  return b.build("products");
}

const productsOf = (graph: Graph) => schedule(graph, presets["edge-16"]).kernels.flatMap(({ kernel: { engine } }) => (engine.kind === "contraction" ? [engine.products.length] : []));

const cases = [[2, "zero", "chain"], [3, "made", "nothing"], [3, "given", "reader of a part"]] as const;

describe.each(Object.entries(forms))("%s", (name, form) => {
  test.each(cases)("%i products from %s, behind them %s", (count, start, behind) => {
    const graph = graphOf(form, count, start, behind);
    // Several kernels write the parts of a transposed convolution: each goes on from its part as it is.
    expect(Math.max(...productsOf(graph))).toBe(name === "a transposed convolution" ? 1 : behind === "reader of a part" ? 2 : count);
    expect(differencesFromEvaluator(graph, count, 1)).toEqual([]);
  });
});

describe("contractions become one kernel", () => {
  const form = forms["a matrix product"]!;

  test("with all that follows each other", () => {
    expect(productsOf(graphOf(form, 3, "zero", "chain"))).toEqual([3]);
    expect(productsOf(graphOf(form, 3, "made", "chain"))).toEqual([3]);
  });

  test("not where somebody else reads the sums in between", () => {
    expect(productsOf(graphOf(form, 3, "zero", "reader of a part"))).toEqual([1, 2]);
  });

  test("not where they are quicker on their own, on the vector unit", () => {
    const small: Form = { op: "dot", x: [2, 3], w: [3, 4], params: form.params };
    const kernels = schedule(graphOf(small, 2, "zero", "nothing"), presets["cloud-128"]).kernels;
    expect(kernels.map(({ kernel }) => kernel.engine.kind).filter((kind) => kind !== "none")).toEqual(["reduction", "reduction"]);
  });

  test("and show their passes", () => {
    const [tiled] = schedule(graphOf(form, 2, "zero", "chain"), presets["edge-16"]).kernels.filter(({ kernel }) => kernel.engine.kind === "contraction");
    const text = printKernel(tiled!).join("\n");
    expect(text.match(/gemm/g)?.length).toBe(2);
    expect(text.match(/load [xw][01]/g)?.length).toBe(4);
  });
});
