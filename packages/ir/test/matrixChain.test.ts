/** @file The order of matrix chains: textbook numbers, the two orders of the chain of Jacobians, diagonals, and random chains in float64. */
import { numbersOf, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { graphPasses, GraphBuilder, reassociationPasses, reorderChains, verifyGraph, vjp, type ChainReport, type Graph, type Value } from "../src/index.ts";
import { count, evaluate64, opsOf } from "./numeric.ts";
import { drawFrom, drawTensor, type Draw } from "./samples.ts";

const product = (b: GraphBuilder, x: Value, w: Value): Value => b.apply("dot", [x, w], { x: "mk", w: "kn", out: "mn", k: "k" });

/** Factors A1, A2, ... with these dimensions, multiplied from the left or from the right. */
function chainGraph(dims: readonly number[], side: "left" | "right"): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "chain", operator: "MatMul" });
  const factors = dims.slice(1).map((extent, i) => b.input(`A${i + 1}`, { dtype: "f64", shape: [dims[i]!, extent] }));
  b.output("y", side === "left" ? factors.reduce((x, w) => product(b, x, w)) : factors.reduceRight((w, x) => product(b, x, w)));
  return b.build("chain");
}

function only(graph: Graph): ChainReport {
  const { chains } = reorderChains(verifyGraph(graph));
  expect(chains).toHaveLength(1);
  return chains[0]!;
}

const random64 = (d: Draw, graph: Graph): Map<string, Tensor> => new Map(graph.inputs.map(({ name, value }) => [name, drawTensor(d, "f64", value.type.shape)]));

describe("textbook chains", () => {
  test.each([
    [[30, 35, 15, 5, 10, 20, 25], 15125, "((A1 (A2 A3)) ((A4 A5) A6))"], [[10, 100, 5, 50], 7500, "((A1 A2) A3)"], [[40, 20, 30, 10, 30], 26000, "((A1 (A2 A3)) A4)"],
    [[10, 20, 30, 40, 30], 30000, "(((A1 A2) A3) A4)"], [[5, 10, 3, 12, 5, 50, 6], 2010, "((A1 A2) ((A3 A4) (A5 A6)))"],
  ] as const)("%j takes %i", (dims, macs, order) => {
    for (const side of ["left", "right"] as const) {
      const report = only(chainGraph(dims, side));
      expect(report).toMatchObject({ node: "chain", macsAfter: macs });
      if (report.macsBefore > macs) expect(report.after).toBe(order);
    }
  });
});

/** The chain v' J3 J2 J1 of the ladder: a row vector times square matrices. */
function jacobians(m: number, side: "left" | "right"): Graph {
  const b = new GraphBuilder();
  const v = b.input("v", { dtype: "f64", shape: [m] });
  const js = ["J3", "J2", "J1"].map((name) => b.input(name, { dtype: "f64", shape: [m, m] }));
  const row = (x: Value, w: Value): Value => b.apply("dot", [x, w], { x: "k", w: "kn", out: "n", k: "k" });
  b.output("y", side === "left" ? js.reduce(row, v) : row(v, js.reduceRight((w, x) => product(b, x, w))));
  return b.build("jacobians");
}

describe("the chain of Jacobians", () => {
  test.each([[3, 27, 63], [1000, 3.0e6, 2.001e9]])("m = %i: %d from the left, %d from the right", (m, left, right) => {
    expect(only(jacobians(m, "left"))).toMatchObject({ macsBefore: left, macsAfter: left, after: "(((v J3) J2) J1)" });
    expect(only(jacobians(m, "right"))).toMatchObject({ factors: ["v", "J3", "J2", "J1"], before: "(v (J3 (J2 J1)))", after: "(((v J3) J2) J1)", macsBefore: right, macsAfter: left });
  });

  test("a column vector behind the matrices is applied from the right", () => {
    const b = new GraphBuilder();
    const [J3, J2, J1] = ["J3", "J2", "J1"].map((name) => b.input(name, { dtype: "f64", shape: [10, 10] }));
    const all = product(b, product(b, J3!, J2!), J1!);
    b.output("y", b.apply("dot", [all, b.input("v", { dtype: "f64", shape: [10] })], { x: "mk", w: "k", out: "m", k: "k" }));
    expect(only(b.build("jvp"))).toMatchObject({ before: "(((J3 J2) J1) v)", after: "(J3 (J2 (J1 v)))", macsBefore: 2100, macsAfter: 300 });
  });

  test("diagonal Jacobians cost their diagonal", () => {
    const m = 50;
    const b = new GraphBuilder();
    const vector = (name: string): Value => b.input(name, { dtype: "f64", shape: [m] });
    const [v, W] = [vector("v"), b.input("W", { dtype: "f64", shape: [m, m] })];
    const scale = (x: Value, d: Value, axis: number): Value => b.apply("mul", [x, b.apply("broadcast", [d], { shape: x.type.shape, axes: [axis] })], {});
    // v' diag(a) W diag(c), the matrices first.
    const matrix = scale(scale(W, vector("a"), 0), vector("c"), 1);
    b.output("y", b.apply("dot", [v, matrix], { x: "k", w: "kn", out: "n", k: "k" }));
    const graph = b.build("diagonals");
    const { graph: after, chains: [report] } = reorderChains(graph);
    expect(report).toMatchObject({ before: "(v ((diag(a) W) diag(c)))", macsBefore: 3 * m * m, macsAfter: m * m + 2 * m });
    expect(report!.after).toBe("(((v diag(a)) W) diag(c))");
    expect(opsOf(verifyGraph(after)).filter((op) => op !== "broadcast")).toEqual(["mul", "dot", "mul"]);
    const inputs = random64(drawOnce(7), graph);
    expectClose(evaluate64(after, inputs), evaluate64(graph, inputs));
  });

  test("a derived program: the VJP of matrices that are multiplied first", () => {
    const b = new GraphBuilder();
    const x = b.input("x", { dtype: "f64", shape: [1, 6] });
    const weights = ["W1", "W2", "W3"].map((name) => b.input(name, { dtype: "f64", shape: [6, 6] }));
    b.output("y", product(b, x, weights.reduceRight((w, one) => product(b, one, w))));
    const graph = vjp(b.build("linear"), { wrt: ["x"] });
    const { graph: after, chains } = reorderChains(graph);
    // The products of the weights serve both passes: what is used twice stays.
    expect(after).toBe(graph);
    expect(chains.every(({ macsBefore, macsAfter }) => macsAfter === macsBefore)).toBe(true);
    const alone = reorderChains({ ...graph, outputs: graph.outputs.filter(({ name }) => name === "c.x"), nodes: graph.nodes.filter((node) => node.outputs[0] !== graph.outputs.find(({ name }) => name === "y")!.value) });
    expect(alone.chains[0]).toMatchObject({ before: "((W1 (W2 W3)) c.y')", after: "(W1 (W2 (W3 c.y')))", macsBefore: 2 * 216 + 36, macsAfter: 108 });
  });
});

describe("what is a chain", () => {
  test("transposed operands and transposes between are seen through", () => {
    const b = new GraphBuilder();
    const [A, B, v] = [b.input("A", { dtype: "f64", shape: [4, 8] }), b.input("B", { dtype: "f64", shape: [4, 8] }), b.input("v", { dtype: "f64", shape: [4, 1] })];
    const square = b.apply("dot", [A, B], { x: "km", w: "kn", out: "mn", k: "k" });
    const turned = b.apply("transpose", [square], { permutation: [1, 0] });
    const lifted = b.apply("transpose", [b.apply("transpose", [v], { permutation: [1, 0] })], { permutation: [1, 0] });
    b.output("y", b.apply("dot", [turned, b.apply("dot", [A, lifted], { x: "km", w: "kn", out: "mn", k: "k" })], { x: "mk", w: "kn", out: "mn", k: "k" }));
    const graph = b.build("transposed");
    const { graph: after, chains: [report] } = reorderChains(graph);
    // B' A A' v
    expect(report).toMatchObject({ before: "((B' A) (A' v))", after: "(B' (A (A' v)))", macsBefore: 256 + 32 + 64, macsAfter: 96 });
    expect(count(verifyGraph(after), "dot")).toBe(3);
    expect(count(after, "transpose")).toBe(0);
    const inputs = random64(drawOnce(3), graph);
    expectClose(evaluate64(after, inputs), evaluate64(graph, inputs));
  });

  test("a result that is used twice, or is an output, is no intermediate", () => {
    const b = new GraphBuilder();
    const [A, B, v] = [b.input("A", { dtype: "f64", shape: [9, 9] }), b.input("B", { dtype: "f64", shape: [9, 9] }), b.input("v", { dtype: "f64", shape: [9, 1] })];
    const AB = product(b, A, B);
    b.output("AB", AB);
    b.output("y", product(b, AB, v));
    const graph = b.build("used");
    expect(reorderChains(graph)).toEqual({ graph, chains: [] });
    expect(reorderChains(graph).graph).toBe(graph);
  });

  test("products of the same shape are none, nor are two factors", () => {
    const b = new GraphBuilder();
    const [A, B] = ["A", "B"].map((name) => b.input(name, { dtype: "f64", shape: [4, 4] }));
    b.output("y", b.apply("mul", [product(b, A!, B!), A!], {}));
    expect(reorderChains(b.build("hadamard")).chains).toEqual([]);
  });

  test("batch axes and origins stay; each product belongs to the node whose factors it joins", () => {
    const b = new GraphBuilder();
    const input = (name: string, ...shape: number[]): Value => b.input(name, { dtype: "f64", shape });
    const [Q, K, V] = [input("Q", 2, 50, 4), input("K", 2, 50, 4), input("V", 2, 50, 4)];
    b.setOrigin({ node: "scores", operator: "MatMul" });
    const scores = b.apply("dot", [Q, K], { x: "bmk", w: "bnk", out: "bmn", k: "k" });
    b.setOrigin({ node: "mix", operator: "MatMul" });
    b.output("y", b.apply("dot", [scores, V], { x: "bmk", w: "bkn", out: "bmn", k: "k" }));
    const graph = b.build("linear attention");
    const { graph: after, chains: [report] } = reorderChains(graph);
    expect(report).toMatchObject({ node: "mix", after: "(Q (K V))", macsBefore: 2 * 2 * 50 * 50 * 4, macsAfter: 2 * 2 * 50 * 4 * 4 });
    expect(after.nodes.map(({ origin }) => origin.node)).toEqual(["mix", "mix"]);
    const inputs = random64(drawOnce(5), graph);
    expectClose(evaluate64(after, inputs), evaluate64(graph, inputs));
  });

  test("the pass is in no list that runs by itself", () => {
    expect(reassociationPasses.map(({ name }) => name)).toEqual(["matrix-chain"]);
    expect(graphPasses.map(({ name }) => name)).not.toContain("matrix-chain");
  });
});

test("random chains: never more multiply-accumulates, the same numbers, at rest after one round", () => {
  let saved = 0;
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const graph = verifyGraph(drawChain(d));
    const { graph: after, chains } = reorderChains(graph);
    for (const { macsBefore, macsAfter } of chains) expect(macsAfter).toBeLessThanOrEqual(macsBefore);
    saved += chains.filter(({ macsBefore, macsAfter }) => macsAfter < macsBefore).length;
    const inputs = random64(d, graph);
    expectClose(evaluate64(verifyGraph(after), inputs), evaluate64(graph, inputs));
    const total = (list: readonly ChainReport[]): number => list.reduce((sum, { macsBefore }) => sum + macsBefore, 0);
    expect(total(reorderChains(after).chains)).toBeLessThanOrEqual(total(chains));
  }), { numRuns: 200, endOnFailure: true });
  expect(saved).toBeGreaterThan(40);
});

/** Products of random brackets, with transposed operands, diagonals, scalars, vectors at the ends and values that are used again. */
function drawChain(d: Draw): Graph {
  const b = new GraphBuilder();
  let inputs = 0;
  const fresh = (...shape: number[]): Value => b.input(`x${inputs++}`, { dtype: "f64", shape });
  const shared: Value[] = [];
  const build = (rows: number, columns: number, depth: number): Value => {
    const again = shared.filter(({ type }) => type.shape[0] === rows && type.shape[1] === columns);
    if (again.length > 0 && d.int(0, 9) === 0) return d.pick(again);
    if (depth === 0 || d.int(0, 5) === 0) return fresh(rows, columns);
    const made = step(rows, columns, depth);
    if (d.int(0, 9) === 0) shared.push(made);
    return made;
  };
  const step = (rows: number, columns: number, depth: number): Value => {
    const form = d.int(0, 9);
    if (form === 0) return b.apply("transpose", [build(columns, rows, depth - 1)], { permutation: [1, 0] });
    if (form <= 2) {
      const axes = d.pick([[0], [1], []]);
      const x = build(rows, columns, depth - 1);
      const diagonal = b.apply("broadcast", [fresh(...axes.map((axis) => [rows, columns][axis]!))], { shape: [rows, columns], axes });
      return b.apply("mul", d.int(0, 1) === 0 ? [x, diagonal] : [diagonal, x], {});
    }
    const inner = d.int(1, 7);
    const [x, w] = [build(rows, inner, depth - 1), build(columns, inner, depth - 1)];
    return d.int(0, 1) === 0
      ? b.apply("dot", [x, w], { x: "mk", w: "nk", out: "mn", k: "k" })
      : b.apply("dot", [w, x], { x: "nk", w: "mk", out: "mn", k: "k" });
  };
  const matrix = build(d.int(1, 7), d.int(1, 7), 4);
  const y = d.int(0, 1) === 0 ? matrix : b.apply("dot", [fresh(matrix.type.shape[0]!), matrix], { x: "k", w: "kn", out: "n", k: "k" });
  b.output("y", y);
  shared.forEach((value, i) => b.output(`s${i}`, value));
  return b.build("chain");
}

/** Numbers for one fixed test. */
function drawOnce(seed: number): Draw {
  let state = seed;
  const int = (min: number, max: number): number => min + ((state = (state * 48271) % 2147483647) % (max - min + 1));
  return { int, pick: (list) => list[int(0, list.length - 1)]! };
}

/** Within 1e-12 of the largest element. */
function expectClose(got: ReadonlyMap<string, Tensor>, wanted: ReadonlyMap<string, Tensor>): void {
  for (const [name, tensor] of wanted) {
    const [a, b] = [numbersOf(got.get(name)!), numbersOf(tensor)];
    const scale = Math.max(1, ...b.map(Math.abs));
    b.forEach((value, i) => expect(Math.abs(a[i]! - value), `${name}[${i}]`).toBeLessThanOrEqual(1e-12 * scale));
  }
}
