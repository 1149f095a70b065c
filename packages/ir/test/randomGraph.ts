/** @file Random graphs with plenty of movement, and bit-exact comparison of what two graphs compute. */
import { elementCount, isFloat, tensor, type Tensor } from "@systole/base";
import { evaluate, GraphBuilder, type Graph, type Value } from "../src/index.ts";
import { drawShape, drawTensor, type Draw } from "./samples.ts";

type Step = (b: GraphBuilder, d: Draw, x: Value, pool: readonly Value[]) => Value;

const rankOf = (x: Value): number => x.type.shape.length;
const order = (d: Draw, rank: number): number[] => Array.from({ length: rank }, (_, axis) => ({ axis, key: d.int(0, 999) })).sort((a, b) => a.key - b.key).map(({ axis }) => axis);
const someAxes = (d: Draw, rank: number): number[] => Array.from({ length: rank }, (_, axis) => axis).filter(() => d.int(0, 1) === 1);

export function scalarLike(b: GraphBuilder, x: Value, number: number): Value {
  return b.apply("broadcast", [b.constant(tensor(x.type.dtype, [], [number]))], { shape: x.type.shape, axes: [] });
}

function alongAxis(b: GraphBuilder, d: Draw, x: Value): Value {
  if (rankOf(x) === 0) return x;
  const axis = d.int(0, rankOf(x) - 1);
  const source = b.constant(drawTensor(d, x.type.dtype, [x.type.shape[axis]!]));
  return b.apply("broadcast", [source], { shape: x.type.shape, axes: [axis] });
}

/** NCHW in, NCHW out, channels last inside: as the frontend emits it. */
export function convolution(b: GraphBuilder, x: Value, weights: Value, stride = 1, padding = 1): Value {
  const inside = b.apply("transpose", [x], { permutation: [0, 2, 3, 1] });
  const result = b.apply("conv", [inside, weights], {
    x: "n01i", w: "01io", out: "n01o", k: "01i", strides: [stride, stride], padding: [[padding, padding], [padding, padding]], lhsDilation: [1, 1], rhsDilation: [1, 1],
  });
  return b.apply("transpose", [result], { permutation: [0, 3, 1, 2] });
}

const steps: readonly Step[] = [
  (b, d, x) => b.apply("transpose", [x], { permutation: order(d, rankOf(x)) }),
  (b, d, x) => b.apply("transpose", [x], { permutation: order(d, rankOf(x)) }),
  (b, d, x) => b.apply(d.pick(["neg", "abs", "copy", "sign"] as const), [x], {}),
  (b, d, x) => b.apply(d.pick(["max", "min", "add", "mul", "sub"] as const), [x, scalarLike(b, x, d.pick([0, 1, 2, -0]))], {}),
  (b, d, x) => b.apply(d.pick(["add", "mul", "max"] as const), [x, alongAxis(b, d, x)], {}),
  (b, d, x, pool) => b.apply(d.pick(["add", "sub", "mul", "div"] as const), [x, d.pick(pool.filter((y) => y.type.shape.join() === x.type.shape.join()))], {}),
  (b, d, x) => b.apply("reduce", [x], { kind: d.pick(["sum", "max"] as const), axes: someAxes(d, rankOf(x)), order: "sequential" }),
  (b, d, x) => b.apply("reduce", [x], { kind: "sum", axes: someAxes(d, rankOf(x)), order: "blocked" }),
  (b, d, x, pool) => {
    const axes = someAxes(d, rankOf(x));
    const shape = x.type.shape.filter((_, axis) => !axes.includes(axis));
    const initial = pool.find((y) => y.type.shape.join() === shape.join()) ?? b.constant(drawTensor(d, "f32", shape));
    return b.apply("reduce", [x, initial], { kind: "sum", axes, order: d.pick(["sequential", "blocked"] as const) });
  },
  (b, d, x) => {
    const letters = "abcdef".slice(0, rankOf(x));
    const params = { x: letters, w: `${letters.slice(1)}z`, out: `${letters[0]}z`, k: letters.slice(1) };
    return b.apply("dot", [x, b.constant(drawTensor(d, "f32", [...x.type.shape.slice(1), 2])), b.constant(drawTensor(d, "f32", [x.type.shape[0]!, 2]))], params);
  },
  (b, d, x) => b.apply("cumsum", [x], { axis: 0, exclusive: d.int(0, 1) === 1, reverse: d.int(0, 1) === 1 }),
  (b, d, x) => b.apply("reverse", [x], { axes: someAxes(d, rankOf(x)) }),
  (b, d, x) => b.apply("slice", [x], { starts: x.type.shape.map(() => 0), limits: x.type.shape.map((extent) => d.int(1, extent)), strides: x.type.shape.map(() => d.int(1, 2)) }),
  (b, d, x) => {
    const rank = rankOf(x);
    const amounts = (): number[] => Array.from({ length: rank }, () => d.int(0, 1));
    return b.apply("pad", [x, b.constant(tensor("f32", [], [d.pick([0, 1])]))], { low: amounts(), high: amounts(), interior: amounts() });
  },
  (b, d, x) => b.apply("concat", [x, x], { axis: d.int(0, rankOf(x) - 1) }),
  (b, d, x) => {
    const per = (low: number, high: number): number[] => x.type.shape.map((extent) => Math.min(extent, d.int(low, high)));
    return b.apply("window_reduce", [x], { kind: d.pick(["sum", "max"] as const), window: per(1, 2), strides: per(1, 2), padding: x.type.shape.map(() => [d.int(0, 1), d.int(0, 1)] as const), dilation: x.type.shape.map(() => 1) });
  },
  (b, d, x) => b.apply("reshape", [x], { shape: splitOrMerge(d, x.type.shape) }),
  (b, d, x) => b.apply("reshape", [x], { shape: x.type.shape.toSpliced(d.int(0, rankOf(x)), 0, 1) }),
  (b, d, x) => {
    const axes = Array.from({ length: rankOf(x) }, (_, axis) => axis + (axis > 0 ? 1 : 0));
    const shape = [...x.type.shape.slice(0, 1), 2, ...x.type.shape.slice(1)];
    return b.apply("broadcast", [x], { shape, axes: axes.map((axis) => axis) });
  },
  (b, d, x) => b.apply("convert", [b.apply("convert", [x], { dtype: d.pick(["f64", "f32"] as const) })], { dtype: "f32" }),
  (b, d, x) => b.apply("select", [b.apply("lt", [x, alongAxis(b, d, x)], {}), x, b.apply("neg", [x], {})], {}),
  (b, d, x) => (rankOf(x) === 4 ? convolution(b, x, b.constant(drawTensor(d, "f32", [2, 2, x.type.shape[1]!, d.int(1, 3)]))) : b.apply("stop_gradient", [x], {})),
  (b, d, x) => b.apply("convert", [b.apply("argreduce", [x], { kind: "max", axis: d.int(0, rankOf(x) - 1), dtype: "i64", last: false })], { dtype: "f32" }),
  (b, _d, x) => b.apply("dot", [x, x], { x: "abcdef".slice(0, rankOf(x)), w: `${"abcdef".slice(0, rankOf(x) - 1)}z`, out: `${"abcdef".slice(0, rankOf(x))}z`, k: "" }),
];

function splitOrMerge(d: Draw, shape: readonly number[]): number[] {
  const axis = d.int(0, shape.length - 1);
  const extent = shape[axis]!;
  if (extent % 2 === 0 && d.int(0, 1) === 0) return shape.toSpliced(axis, 1, ...d.pick([[2, extent / 2], [extent / 2, 2]]));
  if (axis + 1 < shape.length) return shape.toSpliced(axis, 2, extent * shape[axis + 1]!);
  return [...shape];
}

export function drawGraph(d: Draw): Graph {
  const b = new GraphBuilder();
  const pool: Value[] = [];
  for (let i = 0; i < 2; i++) pool.push(b.input(`x${i}`, { dtype: "f32", shape: drawShape(d, 4, 1) }));
  pool.push(b.parameter("w", drawTensor(d, "f32", drawShape(d, 4, 1))));
  pool.push(b.constant(drawTensor(d, "f32", drawShape(d, 3, 1))));
  const length = d.int(1, 14);
  for (let i = 0; i < length; i++) {
    b.setOrigin({ node: `node ${i}`, operator: "Random" });
    // Mostly go on where the last step ended: long chains are what passes work on.
    const x = d.int(0, 3) === 0 ? d.pick(pool) : pool.at(-1)!;
    if (rankOf(x) === 0 || rankOf(x) > 6 || elementCount(x.type.shape) > 2000) pool.push(pool[d.int(0, 3)]!);
    else pool.push(d.pick(steps)(b, d, x, pool));
  }
  pool.slice(4).filter((_, i) => i % 3 === 0).forEach((value, i) => b.output(`y${i}`, value));
  b.output("last", pool.at(-1)!);
  return b.build("random");
}

/** A transpose, a few steps, and back: what the layout pass is about. */
export function drawSandwich(d: Draw): Graph {
  const b = new GraphBuilder();
  const shape = Array.from({ length: 4 }, () => d.int(2, 5));
  const p = order(d, 4);
  const x = b.input("x", { dtype: "f32", shape });
  let value = b.apply("transpose", [x], { permutation: p });
  const length = d.int(1, 4);
  for (let i = 0; i < length && rankOf(value) > 0; i++) value = d.pick(steps)(b, d, value, [value]);
  const back = p.map((_, axis) => p.indexOf(axis));
  b.output("y", rankOf(value) === 4 ? b.apply("transpose", [value], { permutation: back }) : value);
  return b.build("sandwich");
}

export function drawInputs(graph: Graph, d: Draw): Map<string, Tensor> {
  return new Map(graph.inputs.map(({ name, value }) => [name, drawTensor(d, value.type.dtype, value.type.shape)]));
}

/** One text for all bits of all outputs; NaN has one spelling. */
export function outputBits(graph: Graph, inputs: ReadonlyMap<string, Tensor>): string {
  const spell = (t: Tensor): string => (isFloat(t.dtype) ? Array.from(t.data as Float32Array, (x) => (Object.is(x, -0) ? "-0" : String(x))) : Array.from(t.data as Int32Array)).join(" ");
  return [...evaluate(graph, inputs)].map(([name, t]) => `${name} ${t.dtype}[${t.shape.join()}] ${spell(t)}`).join("\n");
}
