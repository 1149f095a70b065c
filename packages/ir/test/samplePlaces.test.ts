/** @file Which element belongs to which sample: layouts that networks use, and, for every primitive and for random graphs, that a sample moves no element but its own. */
import { elementCount, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluate, evaluatePrimitive, GraphBuilder, isControl, SamplePlaces, type Graph, type Node, type PrimitiveName, type SamplePlace, type Value } from "../src/index.ts";
import { drawGraph, drawInputs } from "./randomGraph.ts";
import { drawFrom, drawSample, sampledPrimitives, type Draw } from "./samples.ts";

const each = (stride: number): SamplePlace => ({ kind: "each", stride });

/** Elements of one sample, where there are `count`, become others of the same tensor. */
function disturbed(d: Draw, x: Tensor, stride: number, sample: number, count: number): Tensor {
  const data = x.data.slice() as Float64Array;
  for (let i = 0; i < data.length; i++) if (Math.floor(i / stride) % count === sample) data[i] = (x.data as Float64Array)[d.int(0, data.length - 1)]!;
  return { ...x, data };
}

/** Places at which results differ that are not the sample's. */
function strayed(before: Tensor, after: Tensor, place: SamplePlace, sample: number, count: number): number[] {
  const own = (i: number): boolean => place.kind === "each" && Math.floor(i / place.stride) % count === sample;
  return Array.from({ length: before.data.length }, (_, i) => i).filter((i) => !own(i) && !Object.is(before.data[i], after.data[i]));
}

/** A place of the samples in a tensor, if it has as many. */
function drawPlace(d: Draw, shape: readonly number[], count: number): SamplePlace {
  const elements = elementCount(shape);
  const strides = Array.from({ length: elements }, (_, i) => i + 1).filter((stride) => elements % (stride * count) === 0);
  return strides.length === 0 || d.int(0, 4) === 0 ? { kind: "none" } : each(d.pick(strides));
}

/** In the bodies of samples rows are never added up; matrix and vector stand first. */
function drawRowPlace(op: PrimitiveName, { shape }: Tensor, position: number, count: number): SamplePlace {
  const rows = shape.length >= 2 && position >= (op === "cond" ? 3 : 2);
  return rows && shape.at(-2) === count ? each(shape.at(-1)!) : { kind: "none" };
}

/** Whether the samples of one operand alone would all go into every element. */
function couples(node: Node, places: SamplePlaces): boolean {
  return node.inputs.some((operand) => {
    const alone = new SamplePlaces(places.count);
    alone.set(operand, places.of(operand));
    alone.node(node);
    return node.outputs.some((value) => alone.of(value).kind === "all");
  });
}

/** Without operands, or drawn so that hardly an axis stays as it is: `layouts` below has them. */
const untold: readonly PrimitiveName[] = ["constant", "iota", "window_reduce", "window_argmax", "slice", "pad"];

test.each(sampledPrimitives)("%s: a sample moves only its own elements", (op) => {
  let told = 0;
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const { inputs, params } = drawSample(op, d);
    const count = isControl(op) ? 2 : d.int(2, 4);
    const b = new GraphBuilder();
    const places = new SamplePlaces(count);
    const operands = inputs.map(({ dtype, shape }, i) => b.input(`x${i}`, { dtype, shape }));
    operands.forEach((value, i) => places.set(value, isControl(op) ? drawRowPlace(op, inputs[i]!, i, count) : drawPlace(d, value.type.shape, count)));
    b.applyAll(op, operands, params);
    const node: Node = b.build("one").nodes[0]!;
    places.node(node);
    const sample = d.int(0, count - 1);
    const others = inputs.map((x, i) => {
      const place = places.of(operands[i]!);
      return place.kind === "each" ? disturbed(d, x, place.stride, sample, count) : x;
    });
    const [before, after] = [inputs, others].map((given) => evaluatePrimitive(op, given, params, "device"));
    node.outputs.forEach((value, i) => {
      const place = places.of(value);
      if (place.kind === "all" || place.kind === "mixed" || couples(node, places)) return;
      if (place.kind === "each") told++;
      expect(strayed(before![i]!, after![i]!, place, sample, count)).toEqual([]);
    });
  }), { numRuns: 60 });
  if (!untold.includes(op)) expect(told).toBeGreaterThan(0);
});

/** Values that statistics of the batch went into: each sample moves them all. */
function coupled(graph: Graph, places: SamplePlaces): Set<Value> {
  const found = new Set<Value>();
  for (const node of graph.nodes) {
    for (const value of node.outputs) if (places.of(value).kind === "all" || node.inputs.some((input) => found.has(input))) found.add(value);
  }
  return found;
}

test("random graphs: a sample moves only its own elements", () => {
  let told = 0;
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const graph = drawGraph(d);
    const axes = graph.inputs.flatMap(({ value }) => value.type.shape.map((extent, axis) => ({ value, extent, axis })).filter(({ extent }) => extent > 1));
    if (axes.length === 0) return;
    const { extent: count } = d.pick(axes);
    const places = new SamplePlaces(count);
    for (const { value } of graph.inputs) {
      const fitting = axes.filter((one) => one.value === value && one.extent === count);
      if (fitting.length > 0) places.input(value, d.pick(fitting).axis);
    }
    for (const node of graph.nodes) places.node(node);
    const inputs = drawInputs(graph, d);
    const sample = d.int(0, count - 1);
    const others = new Map(graph.inputs.map(({ name, value }) => {
      const place = places.of(value);
      return [name, place.kind === "each" ? disturbed(d, inputs.get(name)!, place.stride, sample, count) : inputs.get(name)!];
    }));
    const [before, after] = [evaluate(graph, inputs), evaluate(graph, others)];
    const skipped = coupled(graph, places);
    for (const { name, value } of graph.outputs) {
      const place = places.of(value);
      if (skipped.has(value) || place.kind === "mixed" || place.kind === "all") continue;
      if (place.kind === "each") told++;
      expect(strayed(before.get(name)!, after.get(name)!, place, sample, count), name).toEqual([]);
    }
  }), { numRuns: 200 });
  expect(told).toBeGreaterThan(50);
});

describe("layouts", () => {
  const [n, t, f] = [3, 4, 6];
  const mixed: SamplePlace = { kind: "mixed", by: { node: "layer", operator: "Test" } };
  type Build = (b: GraphBuilder, x: Value) => Value;
  const to = (b: GraphBuilder, x: Value, shape: readonly number[]): Value => b.apply("reshape", [x], { shape });
  const turned = (b: GraphBuilder, x: Value, ...permutation: readonly number[]): Value => b.apply("transpose", [x], { permutation });
  const heads = (b: GraphBuilder, x: Value): Value => to(b, turned(b, to(b, x, [n, t, 2, f / 2]), 0, 2, 1, 3), [n * 2, t, f / 2]);
  const weights = (b: GraphBuilder, shape: readonly number[]): Value => b.constant(tensor("f32", shape, new Array<number>(elementCount(shape)).fill(1)));
  const spread = (b: GraphBuilder, x: Value, like: Value, axes: readonly number[]): Value => b.apply("broadcast", [x], { shape: like.type.shape, axes });

  const attention: Build = (b, x) => {
    const h = heads(b, x);
    const scores = b.apply("dot", [h, h], { x: "bqd", w: "bkd", out: "bqk", k: "d" });
    return b.apply("dot", [scores, h], { x: "bqk", w: "bkd", out: "bqd", k: "k" });
  };
  const batchNormalised: Build = (b, x) => b.apply("sub", [x, spread(b, b.apply("reduce", [x], { kind: "sum", axes: [0, 1], order: "sequential" }), x, [2])], {});
  /** Running sums over the first axis, by steps. */
  const recurrent: Build = (b, x) => {
    const [length, ...shape] = x.type.shape as [number, ...number[]];
    const body = new GraphBuilder();
    const [state, slice] = [0, 1].map((i) => body.input(`i${i}`, { dtype: "f32", shape })) as [Value, Value];
    const next = body.apply("add", [state, slice], {});
    body.output("state", next);
    body.output("step", next);
    return b.applyAll("scan", [weights(b, shape), x], { body: body.build("body"), length, reverse: false, consts: 0, carries: 1 })[1]!;
  };
  /** Over the axis of x whose label is 0. */
  const convolved = (labels: string, window: number): Build => (b, x) => b.apply("conv", [x, weights(b, [window, f, 5])], {
    x: labels, w: "0io", out: labels.replace("i", "o"), k: "0i", strides: [1], padding: [[0, 0]], lhsDilation: [1], rhsDilation: [1],
  });

  test.each<[string, Build, SamplePlace]>([
    ["samples first", (_, x) => x, each(t * f)],
    ["sequence first", (b, x) => turned(b, x, 1, 0, 2), each(f)],
    ["sequence first, steps and samples in one axis", (b, x) => to(b, turned(b, x, 1, 0, 2), [t * n, f]), each(f)],
    ["samples and steps in one axis, a dense layer", (b, x) => b.apply("dot", [to(b, x, [n * t, f]), weights(b, [f, 5])], { x: "mk", w: "kn", out: "mn", k: "k" }), each(t * 5)],
    ["samples cut in two axes by Reshape, and back", (b, x) => to(b, to(b, turned(b, x, 1, 0, 2), [t, n * f]), [t, n, f]), each(f)],
    ["heads of attention", heads, each((2 * t * f) / 2)],
    ["attention", attention, each((2 * t * f) / 2)],
    ["batch normalisation in training form", batchNormalised, each(t * f)],
    ["steps of a scan", (b, x) => recurrent(b, turned(b, x, 1, 0, 2)), each(f)],
    ["a scan over the samples", recurrent, mixed],
    ["a convolution over the steps", convolved("n0i", 2), each((t - 1) * 5)],
    ["a convolution over the samples", convolved("0ni", 2), mixed],
    ["a convolution over the samples that sees one at a time", convolved("0ni", 1), each(t * 5)],
    ["a token in front of each sequence", (b, x) => b.apply("concat", [b.apply("broadcast", [weights(b, [f])], { shape: [n, 1, f], axes: [2] }), x], { axis: 1 }), each((t + 1) * f)],
    ["a look-up by numbers of the samples", (b, x) => b.apply("gather", [weights(b, [7, 5]), b.apply("convert", [b.apply("reduce", [x], { kind: "max", axes: [2], order: "sequential" })], { dtype: "i32" })], {}), each(t * 5)],
    ["pooling over the steps", (b, x) => b.apply("window_reduce", [x], { kind: "max", window: [1, 2, 1], strides: [1, 2, 1], padding: [[0, 0], [0, 0], [0, 0]], dilation: [1, 1, 1] }), each((t / 2) * f)],
    ["pooling over the samples too", (b, x) => b.apply("window_argmax", [x], { dtype: "i32", window: [2, 2, 1], strides: [1, 2, 1], padding: [[0, 0], [0, 0], [0, 0]], dilation: [1, 1, 1] }), mixed],
    ["padding and a part of the steps", (b, x) => b.apply("slice", [b.apply("pad", [x, weights(b, [])], { low: [0, 1, 0], high: [0, 1, 0], interior: [0, 0, 0] })], { starts: [0, 1, 0], limits: [n, t, f], strides: [1, 1, 2] }), each(((t - 1) * f) / 2)],
    ["padding behind the samples", (b, x) => b.apply("pad", [x, weights(b, [])], { low: [0, 0, 0], high: [1, 0, 0], interior: [0, 0, 0] }), mixed],
    ["some of the samples", (b, x) => b.apply("slice", [x], { starts: [1, 0, 0], limits: [n, t, f], strides: [1, 1, 1] }), mixed],
    ["statistics of the batch", (b, x) => b.apply("reduce", [x], { kind: "sum", axes: [0, 1], order: "sequential" }), { kind: "all" }],
    ["weights", (b) => weights(b, [f, f]), { kind: "none" }],
    ["samples backwards", (b, x) => b.apply("reverse", [x], { axes: [0] }), mixed],
    ["samples with samples", (b, x) => b.apply("dot", [x, x], { x: "atf", w: "btf", out: "ab", k: "tf" }), mixed],
  ])("%s", (_name, build, wanted) => {
    const b = new GraphBuilder();
    const x = b.input("x", { dtype: "f32", shape: [n, t, f] });
    b.setOrigin({ node: "layer", operator: "Test" });
    const y = build(b, x);
    const places = new SamplePlaces(n);
    places.input(x, 0);
    for (const node of b.build("layout").nodes) places.node(node);
    expect(places.of(y)).toEqual(wanted);
  });

  test("a single sample has all that depends on it, whatever happens to axes of extent 1", () => {
    const b = new GraphBuilder();
    const x = b.input("x", { dtype: "f32", shape: [1, 1, f] });
    const y = b.apply("reverse", [b.apply("reduce", [x], { kind: "sum", axes: [1], order: "sequential" })], { axes: [0] });
    const places = new SamplePlaces(1);
    places.input(x, 0);
    for (const node of b.build("single").nodes) places.node(node);
    expect(places.of(y)).toEqual(each(1));
  });
});
