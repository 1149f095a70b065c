/** @file Structured control: scans against their steps written out, what leaves a loop, what is refused, bodies inside bodies. */
import { InputError, isFloat, numbersOf, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodiesOf, cleanupPasses, devicePasses, evaluate, GraphBuilder, isNode, jvp, linearize, optimizeTrainable, parseGraph, printGraph, transposeLinear, unrolled, verifyGraph, vjp, type Graph, type Node, type Value } from "../src/index.ts";
import { centralDifference, count, drawDirection, evaluate64, nodesOf, opsOf, singleNode, tensor64, wide } from "./numeric.ts";
import { outputBits } from "./randomGraph.ts";
import { drawCond, drawFrom, drawScan, drawTensor, drawWhile, type Draw, type Sample } from "./samples.ts";

/** Draws float32 wherever a type is drawn. */
const singles = (d: Draw): Draw => ({ int: d.int, pick: (list) => ((list as readonly unknown[]).includes("f32") ? ("f32" as never) : d.pick(list)) });

const graphOf = (op: Node["op"], { inputs, params }: Sample): Graph => verifyGraph(singleNode(op, inputs, params));
const floats = (inputs: readonly Tensor[]): string[] => inputs.flatMap((t, i) => (isFloat(t.dtype) ? [`x${i}`] : []));
const writtenOut = (graph: Graph): Graph => unrolled(devicePasses[0]!.run(graph), Infinity);
const cleaned = (graph: Graph): Graph => cleanupPasses.reduce((g, p) => p.run(g), graph);

/** Every primitive in the graph and in its bodies. */
const allOps = (graph: Graph): string[] => [...opsOf(graph), ...graph.nodes.flatMap((node) => bodiesOf(node).flatMap(([, body]) => allOps(body)))];

describe.each([["scan", drawScan], ["cond", drawCond]] as const)("%s on the device", (op, drawOne) => {
  test("written out, forward, tangent and cotangent keep every bit", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const sample = drawOne(singles(d)) as Sample;
      const graph = graphOf(op, sample);
      const wrt = floats(sample.inputs);
      for (const derived of [graph, jvp(graph, { wrt }), vjp(graph, { wrt })]) {
        const inputs = new Map(derived.inputs.map(({ name, value }) => [name, sample.inputs[Number(/^x(\d+)$/.exec(name)?.[1] ?? -1)] ?? drawTensor(d, value.type.dtype, value.type.shape)]));
        const wanted = outputBits(verifyGraph(derived), inputs);
        const flat = verifyGraph(writtenOut(derived));
        expect(allOps(flat).filter((name) => name === "scan" || name === "cond")).toEqual([]);
        expect(outputBits(flat, inputs)).toBe(wanted);
        expect(outputBits(verifyGraph(cleaned(derived)), inputs)).toBe(wanted);
        expect(outputBits(verifyGraph(cleaned(flat)), inputs)).toBe(wanted);
      }
    }), { numRuns: 60 });
  });
});

/** h = tanh(x + h R'), unless another cell is given; output `Y` of all steps and `last`. */
function recurrence(length: number, reverse = false, inside: (b: GraphBuilder, x: Value, h: Value, r: Value) => Value = (b, x, h, r) => b.apply("tanh", [b.apply("add", [x, product(b, h, r)], {})], {})): Graph {
  const cell = new GraphBuilder();
  const [r, h, x] = [[3, 3], [2, 3], [2, 3]].map((shape, i) => cell.input(`i${i}`, { dtype: "f64", shape })) as [Value, Value, Value];
  const next = inside(cell, x, h, r);
  cell.output("next", next);
  cell.output("all", next);
  const b = new GraphBuilder();
  const sequence = b.input("x", { dtype: "f64", shape: [length, 2, 5] });
  const [w, weights] = [b.input("W", { dtype: "f64", shape: [3, 5] }), b.input("R", { dtype: "f64", shape: [3, 3] })];
  const projected = b.apply("dot", [sequence, w], { x: "tbi", w: "gi", out: "tbg", k: "i" });
  const [last, all] = b.applyAll("scan", [weights, b.input("h", { dtype: "f64", shape: [2, 3] }), projected], { body: cell.build("cell"), length, reverse, consts: 1, carries: 1 });
  b.output("Y", all!);
  b.output("last", last!);
  return verifyGraph(b.build("recurrence"));
}

const product = (b: GraphBuilder, h: Value, r: Value): Value => b.apply("dot", [h, r], { x: "bh", w: "gh", out: "bg", k: "h" });
const bodyOf = (graph: Graph): Graph => nodesOf(graph, "scan")[0]!.params.body;

describe("what leaves the loop", () => {
  const { point, linear, residuals, tangents } = linearize(recurrence(4), { wrt: ["W", "R"], of: ["Y"] });
  const back = transposeLinear(linear, tangents);

  test("weight gradients are one contraction over steps and samples, in this order", () => {
    expect(nodesOf(back, "dot").map(({ params }) => params.k)).toEqual(["Tb", "tb"]);
    expect(nodesOf(bodyOf(back), "dot").map(({ params }) => params.k)).toEqual(["g"]);
    expect(nodesOf(back, "scan").map(({ params }) => [params.reverse, params.consts, params.carries])).toEqual([[true, 1, 1]]);
  });

  test("the tangents of weights meet the stored states before the loop", () => {
    expect(nodesOf(linear, "dot").map(({ params }) => params.out)).toEqual(["tbg", "Tbg"]);
    expect(count(bodyOf(linear), "dot")).toBe(1);
  });

  test("a product has no function in it and reads two residuals a step: the slope, and the state before", () => {
    expect([...allOps(linear), ...allOps(back)].filter((op) => ["tanh", "logistic", "exp", "max"].includes(op))).toEqual([]);
    expect(residuals.map(({ type }) => type.shape)).toEqual([[4, 2, 3], [4, 2, 3]]);
    expect(count(bodyOf(point), "tanh")).toBe(1);
  });

  test("what is the same in every step is computed once, also in a derivative", () => {
    const graph = recurrence(4, false, (b, x, h, r) => b.apply("tanh", [b.apply("add", [x, product(b, h, b.apply("tanh", [r], {}))], {})], {}));
    const split = linearize(graph, { wrt: ["R"], of: ["Y"] });
    expect(count(split.point, "tanh")).toBe(1);
    expect(count(bodyOf(split.point), "tanh")).toBe(1);
    expect(split.residuals.map(({ type }) => type.shape.length).sort()).toEqual([2, 2, 3, 3]);
    expect(count(bodyOf(split.linear), "mul")).toBe(1);
  });

  test("a pass takes products of the slices out of a forward scan, as one contraction", () => {
    const graph = recurrence(4, false, (b, x, h, r) => b.apply("tanh", [b.apply("add", [product(b, b.apply("neg", [x], {}), r), product(b, h, r)], {})], {}));
    const moved = verifyGraph(devicePasses[0]!.run(graph));
    expect(nodesOf(moved, "dot").map(({ params }) => params.out)).toEqual(["tbg", "Tbg"]);
    expect(count(bodyOf(moved), "dot")).toBe(1);
    expect(devicePasses[0]!.run(moved)).toBe(moved);
    const inputs = new Map(graph.inputs.map(({ name, value }) => [name, drawTensor({ int: () => 77, pick: ([first]) => first! }, "f64", value.type.shape)]));
    expect(outputBits(moved, inputs)).toBe(outputBits(graph, inputs));
  });

  test("dead results, and carries that only they need, leave", () => {
    const b = new GraphBuilder();
    const body = new GraphBuilder();
    const [s, t] = [body.input("s", { dtype: "f32", shape: [2] }), body.input("t", { dtype: "f32", shape: [2] })];
    const u = body.input("u", { dtype: "f32", shape: [2] });
    body.output("s", body.apply("add", [s, t], {}));
    body.output("t", body.apply("tanh", [t], {}));
    body.output("u", body.apply("exp", [u], {}));
    body.output("y", body.apply("exp", [u], {}));
    const operands = ["s", "t", "u"].map((name) => b.input(name, { dtype: "f32", shape: [2] }));
    const [, last] = b.applyAll("scan", operands, { body: body.build("body"), length: 3, reverse: false, consts: 0, carries: 3 });
    b.output("t", last!);
    const graph = cleaned(verifyGraph(b.build("dead")));
    const [node] = nodesOf(verifyGraph(graph), "scan");
    expect([node!.inputs.map(({ name }) => name), node!.params.carries, opsOf(node!.params.body)]).toEqual([["t"], 1, ["tanh"]]);
  });
});

describe("symbolic zeros", () => {
  test("a carry gets a tangent in a later step", () => {
    const body = new GraphBuilder();
    const [, b, x] = ["a", "b", "x"].map((name) => body.input(name, { dtype: "f64", shape: [] })) as [Value, Value, Value];
    body.output("a", body.apply("mul", [b, b], {}));
    body.output("b", body.apply("add", [b, x], {}));
    const outer = new GraphBuilder();
    const inputs = [[], [], [3]].map((shape, i) => outer.input("abx"[i]!, { dtype: "f64", shape }));
    const results = outer.applyAll("scan", inputs, { body: body.build("body"), length: 3, reverse: false, consts: 0, carries: 2 });
    outer.output("y", results[0]!);
    const graph = outer.build("late");
    const given = new Map([["a", tensor64([], [1])], ["b", tensor64([], [2])], ["x", tensor64([3], [1, 2, 3])], ["c.y", tensor64([], [1])]]);
    // y = (b + x0 + x1)^2
    expect(numbersOf(evaluate64(vjp(graph, { wrt: ["x"] }), given).get("c.x")!)).toEqual([10, 10, 0]);
    expect(numbersOf(evaluate64(vjp(graph, { wrt: ["a", "b"] }), given).get("c.a")!)).toEqual([0]);
  });
});

describe("bodies in bodies", () => {
  /** A scan over rows of a scan over columns; every other row a conditional flips the sign of. */
  function nested(): Graph {
    const inner = new GraphBuilder();
    const [s, w, x] = ["s", "w", "x"].map((name) => inner.input(name, { dtype: "f64", shape: [] })) as [Value, Value, Value];
    const n = inner.apply("tanh", [inner.apply("add", [inner.apply("mul", [s, w], {}), x], {})], {});
    inner.output("s", n);
    inner.output("w", inner.apply("mul", [w, n], {}));
    inner.output("y", n);
    const outer = new GraphBuilder();
    const k = outer.input("k", { dtype: "f64", shape: [] });
    const state = outer.input("state", { dtype: "f64", shape: [] });
    const [row, flip] = [outer.input("row", { dtype: "f64", shape: [3] }), outer.input("flip", { dtype: "bool", shape: [] })];
    const branch = (negative: boolean): Graph => {
      const b = new GraphBuilder();
      const value = b.input("v", { dtype: "f64", shape: [3] });
      const by = b.input("k", { dtype: "f64", shape: [] });
      b.output("v", b.apply("mul", [negative ? b.apply("neg", [value], {}) : b.apply("exp", [value], {}), b.apply("broadcast", [by], { shape: [3], axes: [] })], {}));
      return b.build(negative ? "negative" : "positive");
    };
    const [chosen] = outer.applyAll("cond", [flip, row, k], { onTrue: branch(true), onFalse: branch(false) });
    const [last, , all] = outer.applyAll("scan", [state, k, chosen!], { body: inner.build("columns"), length: 3, reverse: true, consts: 0, carries: 2 });
    outer.output("state", last!);
    outer.output("all", all!);
    const b = new GraphBuilder();
    const operands = [b.input("k", { dtype: "f64", shape: [] }), b.input("state", { dtype: "f64", shape: [] }), b.input("rows", { dtype: "f64", shape: [4, 3] }), b.constant(tensor("bool", [4], [0, 1, 1, 0]))];
    const results = b.applyAll("scan", operands, { body: outer.build("rows"), length: 4, reverse: false, consts: 1, carries: 1 });
    b.output("last", results[0]!);
    b.output("all", results[1]!);
    return verifyGraph(b.build("nested"));
  }

  const graph = nested();
  const random = drawTensor({ int: () => 12345, pick: ([first]) => first! }, "f64", [4, 3]);
  const inputs = new Map([["k", tensor64([], [0.7])], ["state", tensor64([], [0.3])], ["rows", random]]);
  const wrt = ["k", "state", "rows"];

  test("read back from their text", () => expect(parseGraph(printGraph(graph))).toEqual(graph));

  test("tangents of first and second order are those of differences", () => {
    const directions = new Map(wrt.map((name, i) => [name, { ...inputs.get(name)!, data: Float64Array.from(inputs.get(name)!.data as Float64Array, (_, j) => Math.sin(3 * i + j + 1)) }] as const));
    const along = new Map([...inputs, ...[...directions].map(([name, t]) => [`d.${name}`, t] as const)]);
    const slopes = centralDifference(graph, inputs, directions);
    const got = evaluate64(verifyGraph(jvp(graph, { wrt })), along);
    for (const name of ["last", "all"]) numbersOf(got.get(`d.${name}`)!).forEach((value, i) => expect(value).toBeCloseTo(numbersOf(slopes.get(name)!)[i]!, 7));
    const back = verifyGraph(vjp(graph, { wrt }));
    const seeds = new Map([["c.last", tensor64([], [1])], ["c.all", tensor64([4, 3], Array.from({ length: 12 }, (_, i) => Math.cos(i)))]]);
    const second = evaluate64(verifyGraph(jvp(back, { wrt, of: wrt.map((name) => `c.${name}`) })), new Map([...along, ...seeds]));
    const curved = centralDifference(back, new Map([...inputs, ...seeds]), directions);
    for (const name of wrt) numbersOf(second.get(`d.c.${name}`)!).forEach((value, i) => expect(value).toBeCloseTo(numbersOf(curved.get(`c.${name}`)!)[i]!, 6));
  });

  test("written out, every bit stays", () => {
    const flat = verifyGraph(unrolled(optimizeTrainable(vjp(graph, { wrt })), Infinity));
    expect(allOps(flat).filter((op) => op === "scan" || op === "cond")).toEqual([]);
    const seeds = new Map([["c.last", tensor64([], [1])], ["c.all", tensor64([4, 3], Array(12).fill(1))]]);
    expect(outputBits(flat, new Map([...inputs, ...seeds]))).toBe(outputBits(vjp(graph, { wrt }), new Map([...inputs, ...seeds])));
  });
});

describe("while", () => {
  test("the tangent is that of differences", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const sample = drawWhile({ int: d.int, pick: (list) => ((list as readonly unknown[]).includes("f64") ? ("f64" as never) : d.pick(list)) });
      const graph = graphOf("while", sample);
      fc.pre(!allOps(graph).includes("stop_gradient"));
      const wrt = floats(sample.inputs);
      const inputs = new Map(sample.inputs.map((t, i) => [`x${i}`, wide(t)]));
      const directions = new Map(wrt.map((name) => [name, drawDirection(d, inputs.get(name)!)]));
      const got = evaluate64(verifyGraph(jvp(graph, { wrt })), new Map([...inputs, ...[...directions].map(([name, t]) => [`d.${name}`, t] as const)]));
      const slopes = centralDifference(graph, inputs, directions);
      numbersOf(got.get("d.y1")!).forEach((value, i) => expect(Math.abs(value - numbersOf(slopes.get("y1")!)[i]!)).toBeLessThan(1e-5 * (1 + Math.abs(value))));
    }), { numRuns: 40 });
  });

  const graph = ((): Graph => {
    const [condition, body] = [new GraphBuilder(), new GraphBuilder()];
    const limit = condition.constant(tensor("f32", [], [100]));
    condition.output("more", condition.apply("lt", [condition.input("x", { dtype: "f32", shape: [] }), limit], {}));
    const x = body.input("x", { dtype: "f32", shape: [] });
    body.output("x", body.apply("add", [x, x], {}));
    const b = new GraphBuilder();
    b.setOrigin({ node: "doubling", operator: "Loop" });
    b.output("y", b.applyAll("while", [b.input("x", { dtype: "f32", shape: [] })], { condition: condition.build("condition"), body: body.build("body"), consts: 0 })[0]!);
    return b.build("doubling");
  })();

  test("runs until the condition fails; never where it never holds", () => {
    expect([1, 64, 100, 500].map((x) => evaluate(graph, new Map([["x", tensor("f32", [], [x])]])).get("y")!.data[0])).toEqual([128, 128, 100, 500]);
  });

  test("cannot be turned round, and the device does not run it", () => {
    expect(() => vjp(graph, { wrt: ["x"] })).toThrow(/E0208: a loop whose number of steps depends on data has a tangent, but cannot be turned round\n.*"doubling" \(Loop\)/);
    expect(() => optimizeTrainable(graph)).toThrow(/E0303: a loop whose number of steps depends on data\n.*"doubling" \(Loop\)/);
  });
});

describe("a condition that is known takes one branch only", () => {
  test.each([[0, "exp"], [1, "neg"]] as const)("%i", (value, kept) => {
    const branch = (op: "exp" | "neg"): Graph => {
      const b = new GraphBuilder();
      b.output("y", b.apply(op, [b.input("x", { dtype: "f32", shape: [2] })], {}));
      return b.build(op);
    };
    const b = new GraphBuilder();
    b.output("y", b.applyAll("cond", [b.constant(tensor("bool", [], [value])), b.input("x", { dtype: "f32", shape: [2] })], { onTrue: branch("neg"), onFalse: branch("exp") })[0]!);
    expect(opsOf(optimizeTrainable(b.build("known")))).toEqual([kept]);
  });
});

test("the text form", () => {
  const text = printGraph(vjp(recurrence(2, true), { wrt: ["R"], of: ["last"] }));
  expect(text).toContain('= scan(%2, %9, %7) {body=graph "cell.linear.transposed" {\n    input "k0" %0 : f64[3,3]\n');
  expect(text).toMatch(/\n {2}}, length=2, reverse=false, consts=1, carries=1} : f64\[2,3\], f64\[2,2,3\]/);
  expect(printGraph(parseGraph(text))).toBe(text);
  expect(() => parseGraph(text.replace("\n  }, length", "\n  , length"))).toThrow(InputError);
  const deep = (levels: number): string => (levels === 0 ? "" : `  %0 = iota() {body=graph "b" {\n${deep(levels - 1)}  }} : f32[]\n`);
  expect(() => parseGraph(`graph "g" {\n${deep(200)}}`)).toThrow(/E0106: bodies nested at most 64 deep expected/);
  expect(() => parseGraph(`${text.trimEnd()}\n}`)).toThrow(/the end of the text expected/);
});

describe("what is refused", () => {
  const graph = recurrence(4);
  const [node] = nodesOf(graph, "scan");
  const changed = (params: Partial<Node<"scan">["params"]>, inputs = node!.inputs): Graph => ({ ...graph, nodes: graph.nodes.map((one) => (isNode(one, "scan") ? { ...one, inputs, params: { ...one.params, ...params } } : one)) });
  const { body } = node!.params;
  test.each<[string, Graph, RegExp]>([
    ["another length", changed({ length: 5 }), /scan: a sequence of 4 slices for 5 steps/],
    ["roles that do not fit", changed({ consts: 2 }), /number 1 is f64\[2,3\], wanted f64\[3,3\]|carries out of the body of scan: number 0|inputs of the body/],
    ["too few operands for the roles", changed({ carries: 3 }), /scan: carries is 3, wanted 0 to 2/],
    ["a missing operand", changed({}, node!.inputs.slice(0, 2)), /inputs of the body of scan: 3 given, 2 wanted/],
    ["a body that is wrong inside", changed({ body: { ...body, nodes: body.nodes.toReversed() } }), /before its definition/],
    ["a body with parameters", changed({ body: { ...body, parameters: [{ name: "p", value: { id: 77, type: { dtype: "f32", shape: [] } }, tensor: tensor("f32", [], [0]) }] } }), /the body of scan has parameters/],
    ["a carry of another type", changed({ body: { ...body, outputs: [{ name: "next", value: body.inputs[0]!.value }, body.outputs[1]!] } }), /carries out of the body of scan: number 0 is f64\[3,3\], wanted f64\[2,3\]/],
  ])("%s", (_name, wrong, message) => {
    expect(() => verifyGraph(wrong)).toThrow(InputError);
    expect(() => verifyGraph(wrong)).toThrow(message);
  });

  test("a body that is not linear, turned round", () => {
    expect(() => transposeLinear(graph, ["h"])).toThrow(/E0205: add adds operand 0, which is neither linear nor zero/);
  });
});
