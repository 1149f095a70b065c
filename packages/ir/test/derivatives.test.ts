/** @file Enumerated from the table of primitives, over random shapes and parameters: JVP, transposes, linearity, ties. */
import { elementwiseDefined, elementwiseResult, InputError, isFloat, numbersOf, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodiesOf, evaluate, gradient, GraphBuilder, isControl, isElementwise, jvp, linearize, primitiveNames, primitives, transposeLinear, verifyGraph, verifyLinear, vjp, type ConvParams, type Graph, type PrimitiveName, type Primitive, type Value } from "../src/index.ts";
import { centralDifference, count, drawDirection, evaluate64, inner, nodesOf, opsOf, scaledSum, singleNode, tensor64, type Tensors } from "./numeric.ts";
import { drawFrom, drawSample, type Draw, type Sample } from "./samples.ts";

/** Draws float64 wherever a type is drawn. */
function floats(d: Draw): Draw {
  return { int: d.int, pick: (list) => ((list as readonly unknown[]).includes("f64") ? ("f64" as never) : d.pick(list)) };
}

const domains: Partial<Record<PrimitiveName, (x: number, operand: number) => number>> = {
  log: (x) => Math.abs(x) + 0.3, sqrt: (x) => Math.abs(x) + 0.3, log1p: (x) => Math.abs(x) - 0.6, acosh: (x) => Math.abs(x) + 1.2,
  asin: (x) => x * 0.4, acos: (x) => x * 0.4, atanh: (x) => x * 0.4, tan: (x) => x * 0.5, pow: (x, operand) => (operand === 0 ? Math.abs(x) + 0.3 : x),
  div: (x, operand) => (operand === 0 ? x : x + (x < 0 ? -0.5 : 0.5)), rem: (x, operand) => (operand === 0 ? 3 * x : x + (x < 0 ? -0.5 : 0.5)), atan2: (x) => x + (x < 0 ? -0.5 : 0.5),
};

/** Inside the domain, and no two elements equal: differences need room. */
function away(op: PrimitiveName, inputs: readonly Tensor[]): Tensor[] {
  return inputs.map((t, operand) => {
    if (!isFloat(t.dtype)) return t;
    const shift = (x: number, i: number): number => (domains[op] ?? ((y) => y))(x + 0.00317 * (i + 1) + 0.00171 * operand, operand);
    return { ...t, data: Float64Array.from(t.data as Float64Array, shift) };
  });
}

function named(list: readonly Tensor[], prefix: string): Map<string, Tensor> {
  return new Map(list.map((t, i) => [`${prefix}${i}`, t]));
}

const close = (got: number, wanted: number, scale: number): boolean => Math.abs(got - wanted) <= 1e-6 * (1 + Math.abs(wanted) + scale);
const largest = (tensors: Tensors): number => Math.max(0, ...[...tensors.values()].flatMap((t) => (isFloat(t.dtype) ? numbersOf(t).filter(Number.isFinite).map(Math.abs) : [])));

/** All the properties of one application, with tangents for some of its operands. */
function checkDerivatives(graph: Graph, points: readonly Tensor[], wrt: readonly string[], d: Draw): void {
  const inputs = named(points, "x");
  const directions = (): Map<string, Tensor> => new Map(wrt.map((name) => [name, drawDirection(d, inputs.get(name)!)]));
  const tangents = (list: Tensors): Map<string, Tensor> => new Map([...list].map(([name, t]) => [`d.${name}`, t]));
  const v = directions();
  const forward = evaluate64(verifyGraph(jvp(graph, { wrt })), new Map([...inputs, ...tangents(v)]));
  const slopes = centralDifference(graph, inputs, v);
  for (const [name, slope] of slopes) {
    const got = forward.get(`d.${name}`)!;
    const scale = largest(slopes);
    numbersOf(slope).forEach((wanted, i) => {
      if (Number.isFinite(wanted) && !stops(graph)) expect(close(got.data[i] as number, wanted, scale), `d.${name}[${i}] = ${got.data[i]}, differences give ${wanted}`).toBe(true);
    });
  }
  const { point, linear, residuals, tangents: linearInputs } = linearize(graph, { wrt });
  verifyGraph(point);
  verifyLinear(verifyGraph(linear), linearInputs);
  const values = evaluate64(point, inputs);
  const given = new Map([...inputs, ...residuals.map(({ name }) => [name, values.get(name)!] as const)]);
  const apply = (direction: Tensors): Map<string, Tensor> => evaluate64(linear, new Map([...given, ...tangents(direction)]));
  const w = directions();
  const both = new Map([...v].map(([name, t]) => [name, scaledSum(t, w.get(name)!, -1.5)]));
  const [jv, jw, jboth] = [apply(v), apply(w), apply(both)];
  for (const [name, t] of jboth) {
    const wanted = scaledSum(jv.get(name)!, jw.get(name)!, -1.5);
    numbersOf(t).forEach((value, i) => expect(Math.abs(value - (wanted.data[i] as number))).toBeLessThan(1e-9 * (1 + largest(jv) + largest(jw))));
    numbersOf(jv.get(name)!).forEach((value, i) => expect(value).toBe(forward.get(name)!.data[i]));
  }
  const transposed = verifyGraph(transposeLinear(linear, linearInputs));
  const u = new Map([...jv].map(([name, t]) => [name.replace("d.", "c."), drawDirection(d, t)]));
  const back = evaluate64(transposed, new Map([...given, ...u]));
  const left = [...u].reduce((sum, [name, t]) => sum + inner(t, jv.get(name.replace("c.", "d."))!), 0);
  const right = [...v].reduce((sum, [name, t]) => sum + inner(back.get(`c.${name}`)!, t), 0);
  expect(Math.abs(left - right)).toBeLessThan(1e-9 * (1 + largest(jv) * largest(u) * 100));
  // A linear map turned round twice is the map.
  const again = verifyGraph(transposeLinear(transposed, transposed.inputs.map(({ name }) => name).filter((name) => name.startsWith("c."))));
  for (const [name, t] of evaluate64(again, new Map([...given, ...tangents(v)]))) {
    numbersOf(t).forEach((value, i) => expect(Math.abs(value - (jv.get(name)!.data[i] as number))).toBeLessThan(1e-9 * (1 + largest(jv))));
  }
}

/** Differences do not see that a gradient is stopped. */
function stops(graph: Graph): boolean {
  return graph.nodes.some((node) => node.op === "stop_gradient" || bodiesOf(node).some(([, body]) => stops(body)));
}

function floatOperands(inputs: readonly Tensor[]): string[] {
  return inputs.flatMap((t, i) => (isFloat(t.dtype) ? [`x${i}`] : []));
}

/** Primitives and forms that have no derivative on purpose. */
function isRefused(op: PrimitiveName, { params }: Sample): boolean {
  return op === "scatter" && !["set", "add"].includes((params as { kind: string }).kind);
}

const onFloats = primitiveNames.filter((op) => !isElementwise(op) || elementwiseDefined(op, "f64"));

/** `while` has no linear map: its tangent is tested on its own. */
test.each(onFloats.filter((op) => op !== "while"))("%s: JVP, transpose, linearity", (op) => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const sample = drawSample(op, floats(d));
    const points = away(op, sample.inputs);
    const graph = singleNode(op, points, sample.params);
    const all = floatOperands(points);
    if (all.length === 0) return;
    const wrt = all.filter(() => d.int(0, 2) > 0);
    const chosen = wrt.length === 0 ? [d.pick(all)] : wrt;
    if (!graph.outputs.some(({ value }) => isFloat(value.type.dtype))) {
      expect(jvp(graph, { wrt: chosen }).outputs).toHaveLength(graph.outputs.length);
    } else if (isRefused(op, sample)) {
      expect(() => jvp(graph, { wrt: chosen })).toThrow(/E0208: no derivative is defined for scatter with kind .*\n.*at node "the node" \(scatter\)/);
    } else {
      checkDerivatives(graph, points, chosen, d);
    }
  }), { numRuns: op === "conv" || op === "dot" ? 60 : 25 });
});

test.each(primitiveNames)("%s states its derivative", (op) => {
  const primitive = primitives[op] as Primitive<never>;
  const differentiable = !isElementwise(op) || (elementwiseDefined(op, "f64") && elementwiseResult(op, "f64") === "f64");
  expect(primitive.jvp !== undefined || isControl(op)).toBe(differentiable);
  expect(primitive.jvp !== undefined && isControl(op)).toBe(false);
  expect(primitive.transpose !== undefined).toBe(primitive.linearity !== undefined);
});

/** A convolution as the frontend emits it, with groups. */
function groupedConvolution(d: Draw, groups: "one" | "two" | "channels") {
  const rank = d.int(1, 3);
  const g = groups === "one" ? 1 : groups === "two" ? 2 : d.int(2, 3);
  const perGroup = groups === "channels" ? 1 : d.int(1, 2);
  const digits = "012".slice(0, rank);
  const label = groups === "one" ? "" : "g";
  const spatial = Array.from({ length: rank }, () => d.int(rank === 3 ? 2 : 3, rank === 3 ? 4 : 7));
  const kernel = spatial.map((extent) => d.int(1, Math.min(3, extent)));
  const shapeOf = (labels: string, extents: readonly number[], o: number): number[] => [...labels].map((l) => (l === "n" ? 2 : l === "g" ? g : l === "i" ? perGroup : l === "o" ? o : extents[Number(l)]!));
  const params: ConvParams = {
    x: `n${digits}${label}i`, w: `${label}${digits}io`, out: `n${digits}${label}o`, k: `${digits}i`,
    strides: spatial.map(() => d.int(1, 3)), padding: spatial.map(() => [d.int(0, 2), d.int(0, 2)] as const), lhsDilation: spatial.map(() => d.pick([1, 1, 2])), rhsDilation: spatial.map(() => d.int(1, 2)),
  };
  const o = d.int(1, 2);
  return { params, x: { dtype: "f64", shape: shapeOf(params.x, spatial, o) } as const, w: { dtype: "f64", shape: shapeOf(params.w, kernel, o) } as const };
}

describe.each(["one", "two", "channels"] as const)("convolution in groups: %s", (groups) => {
  test("both transposes are convolutions, with any stride, dilation and padding over 1 to 3 axes", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const { params, x, w } = groupedConvolution(d, groups);
      const graph = singleNode("conv", [x, w], params);
      checkDerivatives(graph, [drawDirection(d, x), drawDirection(d, w)], ["x0", "x1"], d);
      const back = vjp(graph, { wrt: ["x0", "x1"] });
      if (!graph.outputs[0]!.value.type.shape.includes(0)) {
        expect(opsOf(back).filter((op) => op !== "conv" && op !== "reverse")).toEqual([]);
        for (const node of nodesOf(back, "conv")) expect([node.params.x, node.params.w, node.params.out, node.params.k].join("")).toMatch(/^[gnio012]*$/);
      }
    }), { numRuns: 40 });
  });
});

test("input 8, kernel 1, stride 2: the weight gradient pads by (0, -1)", () => {
  const params = { x: "n0i", w: "0io", out: "n0o", k: "0i", strides: [2], padding: [[0, 0]], lhsDilation: [1], rhsDilation: [1] } as const;
  const graph = singleNode("conv", [{ dtype: "f64", shape: [2, 8, 3] }, { dtype: "f64", shape: [1, 3, 4] }], params);
  const [data, weight] = ["x0", "x1"].map((name) => nodesOf(vjp(graph, { wrt: [name] }), "conv").at(-1)!.params);
  expect(weight).toMatchObject({ x: "i0n", w: "i0o", out: "0no", k: "i0", strides: [1], padding: [[0, -1]], rhsDilation: [2], lhsDilation: [1] });
  expect(data).toMatchObject({ x: "n0i", w: "0oi", out: "n0o", k: "0i", strides: [1], padding: [[0, 1]], rhsDilation: [1], lhsDilation: [2] });
});

test("labels of a convolution mean what their places say", () => {
  const flat = { strides: [1], padding: [[0, 0]], lhsDilation: [1], rhsDilation: [1] } as const;
  const shape = { dtype: "f64", shape: [2, 5, 2, 3] } as const;
  const kernel = { dtype: "f64", shape: [2, 2, 3, 4] } as const;
  // Two contracted letters and no rows but one.
  const several = singleNode("conv", [shape, kernel], { x: "a0bc", w: "0bcd", out: "0ad", k: "0bc", ...flat });
  fc.assert(fc.property(fc.gen(), (gen) => checkDerivatives(several, [drawDirection(drawFrom(gen), shape), drawDirection(drawFrom(gen), kernel)], ["x0", "x1"], drawFrom(gen))), { numRuns: 5 });
  expect(() => singleNode("conv", [shape, kernel], { x: "a0bc", w: "0bcd", out: "0d", k: "0bc", ...flat })).toThrow(/"a" stands only in x/);
});

type Slopes = readonly (number | undefined)[];

/** The tie conventions of docs/ir.md: the derivative with respect to each operand that has a tangent. */
const ties: readonly (readonly [string, (b: GraphBuilder, x: readonly Value[]) => Value, readonly number[], Slopes])[] = [
  ["max(x, 0) at 0", (b, [x]) => b.apply("max", [x!, zero(b, x!)], {}), [0], [0]],
  ["max(x, 0) at -0", (b, [x]) => b.apply("max", [x!, zero(b, x!)], {}), [-0], [0]],
  ["max(0, x) at 0", (b, [x]) => b.apply("max", [zero(b, x!), x!], {}), [0], [0]],
  ["min(x, 0) at 0", (b, [x]) => b.apply("min", [x!, zero(b, x!)], {}), [0], [0]],
  ["clip to [0, 1] at 1", (b, [x]) => b.apply("min", [b.apply("max", [x!, zero(b, x!)], {}), b.constant(tensor("f64", [], [1]))], {}), [1], [0]],
  ["clip to [0, 1] inside", (b, [x]) => b.apply("min", [b.apply("max", [x!, zero(b, x!)], {}), b.constant(tensor("f64", [], [1]))], {}), [0.5], [1]],
  ["max(x, y) of equals: the first", (b, [x, y]) => b.apply("max", [x!, y!], {}), [2, 2], [1, 0]],
  ["min(x, y) of equals: the first", (b, [x, y]) => b.apply("min", [x!, y!], {}), [2, 2], [1, 0]],
  ["abs at 0", (b, [x]) => b.apply("abs", [x!], {}), [0], [0]],
  ["sign at 0", (b, [x]) => b.apply("sign", [x!], {}), [0], [0]],
  ["select: the condition decides", (b, [x, y]) => b.apply("select", [b.apply("lt", [x!, y!], {}), x!, y!], {}), [2, 2], [0, 1]],
  ["reduce max: the first maximum", (b, [x, y, z]) => row(b, [x!, y!, z!], "max"), [1, 3, 3], [0, 1, 0]],
  ["reduce min: the first minimum", (b, [x, y, z]) => row(b, [x!, y!, z!], "min"), [3, 1, 1], [0, 1, 0]],
  ["pow(x, 2) at a negative x", (b, [x]) => b.apply("pow", [x!, b.constant(tensor("f64", [], [2]))], {}), [-3], [-6]],
  ["pow(x, 0) at 0", (b, [x]) => b.apply("pow", [x!, b.constant(tensor("f64", [], [0]))], {}), [0], [0]],
  ["pow(x, 3) at 0", (b, [x]) => b.apply("pow", [x!, b.constant(tensor("f64", [], [3]))], {}), [0], [0]],
  ["pow(x, y) at x = 0", (b, [x, y]) => b.apply("pow", [x!, y!], {}), [0, 2], [0, 0]],
  ["prod with one zero", (b, [x, y, z]) => row(b, [x!, y!, z!], "prod"), [0, 2, 3], [6, 0, 0]],
  ["stop_gradient", (b, [x]) => b.apply("mul", [x!, b.apply("stop_gradient", [x!], {})], {}), [3], [3]],
  ["softplus at 0", (b, [x]) => b.apply("softplus", [x!], {}), [0], [0.5]],
  ["softplus at 100", (b, [x]) => b.apply("softplus", [x!], {}), [100], [1]],
  ["softplus at -100", (b, [x]) => b.apply("softplus", [x!], {}), [-100], [Math.exp(-100)]],
  ["logistic at 0", (b, [x]) => b.apply("logistic", [x!], {}), [0], [0.25]],
  ["logistic at 100", (b, [x]) => b.apply("logistic", [x!], {}), [100], [0]],
  ["logistic at -100", (b, [x]) => b.apply("logistic", [x!], {}), [-100], [Math.exp(-100)]],
  ["tanh at 100", (b, [x]) => b.apply("tanh", [x!], {}), [100], [0]],
];

const zero = (b: GraphBuilder, x: Value): Value => b.constant(tensor(x.type.dtype, [], [0]));

function row(b: GraphBuilder, values: readonly Value[], kind: "max" | "min" | "prod"): Value {
  const parts = values.map((value) => b.apply("reshape", [value], { shape: [1] }));
  return b.apply("reduce", [b.apply("concat", parts, { axis: 0 })], { kind, axes: [0], order: "sequential" });
}

test.each(ties)("ties and limits: %s", (_name, build, at, wanted) => {
  const b = new GraphBuilder();
  const names = at.map((_, i) => `x${i}`);
  b.output("y", build(b, names.map((name) => b.input(name, { dtype: "f64", shape: [] }))));
  const got = evaluate64(verifyGraph(gradient(b.build("tie"), names, "y")), new Map(at.map((value, i) => [`x${i}`, tensor64([], [value])])));
  names.forEach((name, i) => expect(numbersOf(got.get(`g/${name}`)!)[0]! + 0).toBeCloseTo(wanted[i]!, 14));
});

test("the sum over places and samples, turned round from a broadcast, loses as little as its parts, in any layout", () => {
  const shape = [16, 2, 16, 16];
  const b = new GraphBuilder();
  b.output("y", b.apply("broadcast", [b.input("x", { dtype: "f32", shape: [2] })], { shape, axes: [1] }));
  const graph = vjp(b.build("bias"), { wrt: ["x"] });
  expect(nodesOf(graph, "reduce").map(({ params }) => params)).toEqual([
    { kind: "sum", axes: [3], order: "sequential" }, { kind: "sum", axes: [2], order: "sequential" }, { kind: "sum", axes: [0], order: "sequential" },
  ]);
  const tenth = Math.fround(0.1);
  const turned = evaluate(graph, new Map([["x", tensor("f32", [2], [0, 0])], ["c.y", tensor("f32", shape, Array.from({ length: 8192 }, () => tenth))]]), "device").get("c.x")!;
  for (const sum of numbersOf(turned)) expect(Math.abs(sum / (4096 * tenth) - 1)).toBeLessThan(2e-7);
});

describe("window maximum", () => {
  const windows = { kind: "max", window: [3], strides: [1], padding: [[1, 1]], dilation: [1] } as const;
  const back = (x: readonly number[], u: readonly number[], params: typeof windows | (Omit<typeof windows, "padding"> & { padding: readonly [readonly [number, number]] }) = windows): number[] => {
    const graph = vjp(singleNode("window_reduce", [{ dtype: "f64", shape: [x.length] }], params), { wrt: ["x0"] });
    return numbersOf(evaluate64(verifyGraph(graph), new Map([["x0", tensor64([x.length], x)], ["c.y0", tensor64([u.length], u)]])).get("c.x0")!);
  };
  test("the first of equal maxima takes all, padding never wins, overlaps add up", () => {
    expect(back([5, 5, 1, 5], [1, 2, 4, 8])).toEqual([3, 4, 0, 8]);
    expect(back([-5, -6, -7], [1, 2, 4])).toEqual([3, 4, 0]);
  });
  test("a window of padding only passes nothing on", () => {
    expect(back([1, 2], [1, 2, 4, 8, 16, 32], { ...windows, padding: [[3, 3]] })).toEqual([2, 4 + 8 + 16]);
  });
});

describe("symbolic zeros", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f64", shape: [3] });
  const n = b.input("n", { dtype: "i64", shape: [2] });
  b.input("unused", { dtype: "f64", shape: [2] });
  b.output("y", b.apply("gather", [b.apply("pow", [x, b.constant(tensor("f64", [3], [2, 3, 4]))], {}), n], {}));
  b.output("n", b.apply("add", [n, n], {}));
  const graph = b.build("zeros");

  test("integers have no tangent", () => {
    expect(jvp(graph, { wrt: ["x"] }).outputs.map(({ name }) => name)).toEqual(["y", "n", "d.y"]);
    expect(() => jvp(graph, { wrt: ["n"] })).toThrow(/E0207: "n" is i64\[2\] and has no tangent/);
    expect(() => vjp(graph, { wrt: ["x"], of: ["n"] })).toThrow(/E0207/);
  });
  test("a constant exponent needs no logarithm", () => {
    expect(count(vjp(graph, { wrt: ["x"] }), "log")).toBe(0);
  });
  test("what has no influence gets zeros under its name", () => {
    const back = vjp(graph, { wrt: ["x", "unused"] });
    const got = evaluate64(back, new Map([["x", tensor64([3], [-1, -2, 3])], ["n", tensor("i64", [2], [1, 1])], ["unused", tensor64([2], [0, 0])], ["c.y", tensor64([2], [1, 10])]]));
    expect(numbersOf(got.get("c.unused")!)).toEqual([0, 0]);
    expect(numbersOf(got.get("c.x")!).map((value) => value + 0)).toEqual([0, 11 * 3 * 4, 0]);
    expect(numbersOf(evaluate64(jvp(graph, { wrt: ["unused"] }), new Map([["x", tensor64([3], [1, 2, 3])], ["n", tensor("i64", [2], [1, 1])], ["unused", tensor64([2], [0, 0])], ["d.unused", tensor64([2], [1, 1])]])).get("d.y")!)).toEqual([0, 0]);
  });
  test("an operator without derivative does no harm where none is asked for", () => {
    const c = new GraphBuilder();
    const z = c.input("z", { dtype: "f64", shape: [2] });
    const product = c.apply("scatter", [z, c.constant(tensor("i64", [1], [0])), c.constant(tensor("f64", [1], [2]))], { kind: "mul" });
    c.output("smooth", c.apply("exp", [z], {}));
    c.output("product", product);
    expect(() => jvp(c.build("both"), { wrt: ["z"], of: ["product"] })).toThrow(InputError);
    expect(count(jvp(c.build("both"), { wrt: ["z"], of: ["smooth"] }), "mul")).toBe(1);
  });
  test("unknown names and none at all", () => {
    expect(() => jvp(graph, { wrt: ["z"] })).toThrow(/E0601: "zeros" has no input or parameter "z"/);
    expect(() => jvp(graph, { wrt: ["x"], of: ["z"] })).toThrow(/E0601: "zeros" has no output "z"/);
    expect(() => jvp(graph, { wrt: [] })).toThrow(/E0209/);
  });
});

describe("the verifier of linear maps", () => {
  const type = { dtype: "f64", shape: [2] } as const;
  test.each<[string, RegExp, (b: GraphBuilder, dx: Value, r: Value) => Value]>([
    ["a product of two linear values", /mul of 2 linear values/, (b, dx) => b.apply("mul", [dx, dx], {})],
    ["a linear divisor", /div is not linear in operand 1/, (b, dx, r) => b.apply("div", [r, dx], {})],
    ["a function", /exp of a linear value is not linear/, (b, dx) => b.apply("exp", [dx], {})],
    ["a shift", /add adds operand 1/, (b, dx, r) => b.apply("add", [dx, r], {})],
    ["a maximum", /reduce of a linear value is not linear/, (b, dx) => b.apply("reduce", [dx], { kind: "max", axes: [0], order: "sequential" })],
    ["a linear condition", /convert of a linear value/, (b, dx, r) => b.apply("select", [b.apply("convert", [dx], { dtype: "bool" }), r, r], {})],
    ["padding that is not 0", /pad adds operand 1/, (b, dx) => b.apply("pad", [dx, b.constant(tensor("f64", [], [1]))], { low: [1], high: [0], interior: [0] })],
    ["a result that is fixed", /neither linear nor zero/, (_b, _dx, r) => r],
  ])("refuses %s", (_name, message, build) => {
    const b = new GraphBuilder();
    b.output("d.y", build(b, b.input("d.x", type), b.input("r.0", type)));
    expect(() => transposeLinear(b.build("wrong"), ["d.x"])).toThrow(message);
  });
});
