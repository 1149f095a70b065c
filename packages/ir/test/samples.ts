/** @file Random operands and parameters for every primitive; a new primitive without a sample does not compile. */
import { allocate, dtypes, elementCount, elementwiseDefined, elementwiseOps, tensor, type Dtype, type Tensor } from "@systole/base";
import fc from "fast-check";
import { GraphBuilder, inferTypes, primitiveNames, type Graph, type Params, type PrimitiveName, type Value } from "../src/index.ts";
import { elementwisePrimitiveNames, type ElementwisePrimitiveName } from "../src/primitives/elementwise.ts";

export interface Sample<P extends PrimitiveName = PrimitiveName> {
  readonly inputs: readonly Tensor[];
  readonly params: Params<P>;
}

/** Draws: a source of randomness that fast-check can shrink. */
export interface Draw {
  readonly int: (min: number, max: number) => number;
  readonly pick: <T>(list: readonly T[]) => T;
}

export function drawFrom(gen: fc.GeneratorValue): Draw {
  return {
    int: (min, max) => gen(fc.integer, { min, max }),
    pick: (list) => list[gen(fc.integer, { min: 0, max: list.length - 1 })]!,
  };
}

export const numericDtypes: readonly Dtype[] = ["f32", "f64", "i64", "i32", "i8", "u8"];

export function drawShape(d: Draw, rank = d.int(0, 3), least = 0): number[] {
  return Array.from({ length: rank }, () => d.int(least, 4));
}

/** Elements come from one drawn seed: shrinking them one by one is not worth its time. */
export function drawTensor(d: Draw, dtype: Dtype, shape: readonly number[]): Tensor {
  let state = d.int(1, 2147483646);
  const next = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
  const data = allocate(dtype, elementCount(shape));
  for (let i = 0; i < data.length; i++) {
    const number = dtypes[dtype].kind === "float" ? (next() < 0.05 ? -0 : next() * 4 - 2) : dtype === "bool" ? Math.floor(next() * 2) : Math.floor(next() * 20) - (dtype === "u8" ? 0 : 10);
    if (data instanceof BigInt64Array) data[i] = BigInt(number);
    else data[i] = number;
  }
  return { dtype, shape, data };
}

const ints = (d: Draw, count: number, min: number, max: number): number[] => Array.from({ length: count }, () => d.int(min, max));
const anyDtype = (d: Draw): Dtype => d.pick([...numericDtypes, "bool" as const]);
const axesOf = (d: Draw, rank: number): number[] => Array.from({ length: rank }, (_, axis) => axis).filter(() => d.int(0, 1) === 1);
const shuffled = <T>(d: Draw, list: readonly T[]): T[] => list.map((item) => ({ item, key: d.int(0, 1e6) })).sort((a, b) => a.key - b.key).map(({ item }) => item);
const pairs = (d: Draw, count: number, min: number, max: number): [number, number][] => Array.from({ length: count }, () => [d.int(min, max), d.int(min, max)]);

function elementwiseSample(name: ElementwisePrimitiveName, d: Draw): Sample<ElementwisePrimitiveName> {
  const dtype = d.pick([...numericDtypes, "bool" as const].filter((type) => elementwiseDefined(name, type)));
  const shape = drawShape(d);
  const operands = Array.from({ length: elementwiseOps[name].arity }, (_, i) => drawTensor(d, name === "select" && i === 0 ? "bool" : dtype, shape));
  return { inputs: operands, params: {} };
}

function windowSample(d: Draw) {
  const shape = drawShape(d, d.int(1, 3), 1);
  const params = { window: ints(d, shape.length, 1, 3), strides: ints(d, shape.length, 1, 2), padding: pairs(d, shape.length, -1, 2), dilation: ints(d, shape.length, 1, 2) };
  return { shape, params };
}

function unary<P extends PrimitiveName>(make: (d: Draw, x: Tensor) => Params<P>, least = 1, dtypeOf = anyDtype) {
  return (d: Draw): Sample<P> => {
    const x = drawTensor(d, dtypeOf(d), drawShape(d, d.int(1, 3), least));
    return { inputs: [x], params: make(d, x) };
  };
}

const numeric = (d: Draw): Dtype => d.pick(numericDtypes);
const rows = (d: Draw, count: number, length: number): Tensor => tensor(d.pick(["i32", "i64"] as const), [length], ints(d, length, 0, count - 1));

/** What the bodies of control samples compute with: states and slices are [rows, columns]. */
interface BodyTypes {
  readonly dtype: Dtype;
  readonly rows: number;
  readonly columns: number;
}

/** A few random smooth operations on values of one shape, with a matrix and a vector that stay the same. */
function drawValues(d: Draw, b: GraphBuilder, { rows, columns }: BodyTypes, matrix: Value, vector: Value, given: readonly Value[]): Value[] {
  const pool = [...given];
  const product = (x: Value): Value => b.apply("dot", [x, matrix], { x: "bh", w: "gh", out: "bg", k: "h" });
  /** The same values by way of every movement that a contraction may take out of a loop. */
  const roundabout = (x: Value): Value => {
    const front = b.apply("broadcast", [b.apply("reshape", [x], { shape: [1, rows, columns] })], { shape: [2, rows, columns], axes: [0, 1, 2] });
    const part = b.apply("slice", [front], { starts: [1, 0, 0], limits: [2, rows, columns], strides: [1, 1, 1] });
    const turned = b.apply("transpose", [b.apply("reshape", [part], { shape: [rows, columns] })], { permutation: [1, 0] });
    return b.apply("transpose", [b.apply("convert", [b.apply("neg", [turned], {})], { dtype: x.type.dtype })], { permutation: [1, 0] });
  };
  for (let step = d.int(2, 5); step > 0; step--) {
    const [x, y] = [d.pick(pool), d.pick(pool)];
    const spread = b.apply("broadcast", [vector], { shape: [rows, columns], axes: [1] });
    pool.push(d.pick<() => Value>([
      () => b.apply("tanh", [b.apply("add", [product(x), y], {})], {}), () => product(x), () => product(roundabout(x)), () => b.apply("logistic", [x], {}), () => b.apply("mul", [x, b.apply("tanh", [y], {})], {}),
      () => b.apply("sub", [x, spread], {}), () => b.apply("mul", [y, spread], {}),
    ])());
  }
  if (d.int(0, 7) === 0) pool.push(b.apply("mul", [pool.at(-1)!, b.apply("stop_gradient", [d.pick(pool)], {})], {}));
  return pool;
}

function drawBodyTypes(d: Draw): BodyTypes {
  return { dtype: d.pick(["f32", "f64"] as const), rows: d.int(1, 2), columns: d.int(1, 3) };
}

/** Operands: matrix, vector, and for each of `more` a type. */
function controlOperands(d: Draw, { dtype, rows, columns }: BodyTypes, more: readonly (readonly number[])[]): Tensor[] {
  return [drawTensor(d, dtype, [columns, columns]), drawTensor(d, dtype, [columns]), ...more.map((front) => drawTensor(d, dtype, [...front, rows, columns]))];
}

function declare(b: GraphBuilder, operands: readonly Tensor[], slicesFrom = operands.length): Value[] {
  return operands.map(({ dtype, shape }, i) => b.input(`i${i}`, { dtype, shape: i < slicesFrom ? shape : shape.slice(1) }));
}

/** Two float carries and a counter, constants first, one sequence of floats. */
export function drawScan(d: Draw): Sample<"scan"> {
  const types = drawBodyTypes(d);
  const length = d.int(0, 4);
  const [matrix, vector, first, second, sequence] = controlOperands(d, types, [[], [], [length]]);
  const operands = [matrix!, vector!, first!, second!, tensor("i32", [], [d.int(0, 3)]), sequence!];
  const b = new GraphBuilder();
  const [k, v, s, t, n, x] = declare(b, operands, 5) as [Value, Value, Value, Value, Value, Value];
  const count = b.apply("broadcast", [b.apply("convert", [n], { dtype: types.dtype })], { shape: s.type.shape, axes: [] });
  const pool = drawValues(d, b, types, k, v, [s, t, x, count]);
  b.output("s0", pool.at(-1)!);
  b.output("s1", d.pick([...pool, t]));
  b.output("s2", b.apply("add", [n, b.constant(tensor("i32", [], [1]))], {}));
  for (let i = d.int(0, 2); i > 0; i--) b.output(`y${i}`, d.pick(pool));
  return { inputs: operands, params: { body: b.build("body"), length, reverse: d.int(0, 1) === 1, consts: 2, carries: 3 } };
}

function drawBranch(d: Draw, types: BodyTypes, operands: readonly Tensor[]): Graph {
  const b = new GraphBuilder();
  const [k, v, ...given] = declare(b, operands) as [Value, Value, ...Value[]];
  const pool = drawValues(d, b, types, k, v, given);
  b.output("a", pool.at(-1)!);
  b.output("b", d.pick(pool));
  return b.build("branch");
}

export function drawCond(d: Draw): Sample<"cond"> {
  const types = drawBodyTypes(d);
  const operands = controlOperands(d, types, [[], []]);
  return { inputs: [tensor("bool", [], [d.int(0, 1)]), ...operands], params: { onTrue: drawBranch(d, types, operands), onFalse: drawBranch(d, types, operands) } };
}

/** Runs until a counter has reached a constant. */
export function drawWhile(d: Draw): Sample<"while"> {
  const types = drawBodyTypes(d);
  const [matrix, vector, state] = controlOperands(d, types, [[]]);
  const operands = [matrix!, vector!, tensor("i32", [], [0]), state!];
  const condition = new GraphBuilder();
  const [, , counter] = declare(condition, operands);
  condition.output("more", condition.apply("lt", [counter!, condition.constant(tensor("i32", [], [d.int(0, 4)]))], {}));
  const b = new GraphBuilder();
  const [k, v, n, s] = declare(b, operands) as [Value, Value, Value, Value];
  const pool = drawValues(d, b, types, k, v, [s]);
  b.output("n", b.apply("add", [n, b.constant(tensor("i32", [], [1]))], {}));
  b.output("s", pool.at(-1)!);
  return { inputs: operands, params: { condition: condition.build("condition"), body: b.build("body"), consts: 2 } };
}

/** The operands, at times with what their sums start from. */
function perhapsFrom(d: Draw, op: "dot" | "conv" | "reduce", inputs: readonly Tensor[], params: Params<typeof op>): readonly Tensor[] {
  const [result] = inferTypes(op, inputs, params);
  return d.int(0, 1) === 0 ? inputs : [...inputs, drawTensor(d, result!.dtype, result!.shape)];
}

const others: { readonly [P in Exclude<PrimitiveName, ElementwisePrimitiveName>]: (d: Draw) => Sample<P> } = {
  dot(d) {
    const dtype = d.pick(["f32", "f64", "i32", "i64"] as const);
    const letters = { batch: "bc".slice(0, d.int(0, 1)), rows: "mp".slice(0, d.int(0, 2)), columns: "nq".slice(0, d.int(0, 2)), k: "kl".slice(0, d.int(0, 2)) };
    const extent = new Map([..."bcmpnqkl"].map((letter) => [letter, d.int(0, 4)]));
    const labels = (text: string): string => shuffled(d, [...text]).join("");
    const params = { x: labels(letters.batch + letters.rows + letters.k), w: labels(letters.batch + letters.columns + letters.k), out: labels(letters.batch + letters.rows + letters.columns), k: labels(letters.k) };
    const operand = (text: string): Tensor => drawTensor(d, dtype, [...text].map((letter) => extent.get(letter)!));
    return { inputs: perhapsFrom(d, "dot", [operand(params.x), operand(params.w)], params), params };
  },
  conv(d) {
    const dtype = d.pick(["f32", "f64", "i32", "i64"] as const);
    const rank = d.int(0, 2);
    const digits = "012".slice(0, rank);
    const g = d.pick(["", "g"]);
    const labels = (text: string): string => shuffled(d, [...text]).join("");
    const params = {
      x: labels(`ni${g}${digits}`), w: labels(`io${g}${digits}`), out: labels(`no${g}${digits}`), k: labels(`i${digits}`),
      strides: ints(d, rank, 1, 3), padding: pairs(d, rank, -1, 2), lhsDilation: ints(d, rank, 1, 2), rhsDilation: ints(d, rank, 1, 2),
    };
    const extent = new Map([..."niog"].map((letter) => [letter, d.int(0, 3)]));
    const operand = (text: string, least: number): Tensor => drawTensor(d, dtype, [...text].map((label) => extent.get(label) ?? d.int(least, 4)));
    return { inputs: perhapsFrom(d, "conv", [operand(params.x, 0), operand(params.w, 1)], params), params };
  },
  convert: (d) => ({ inputs: [drawTensor(d, anyDtype(d), drawShape(d))], params: { dtype: anyDtype(d) } }),
  reduce(d) {
    const kind = d.pick(["sum", "prod", "max", "min"] as const);
    const order = kind === "sum" ? d.pick(["sequential", "blocked"] as const) : "sequential";
    const x = drawTensor(d, order === "blocked" ? d.pick(["f32", "f64"] as const) : numeric(d), drawShape(d, d.int(0, 3), kind === "max" || kind === "min" ? 1 : 0));
    const params = { kind, axes: axesOf(d, x.shape.length), order };
    return { inputs: kind === "sum" ? perhapsFrom(d, "reduce", [x], params) : [x], params };
  },
  argreduce: unary<"argreduce">((d, x) => ({ kind: d.pick(["max", "min"] as const), axis: d.int(0, x.shape.length - 1), dtype: d.pick(["i64", "i32"] as const), last: d.int(0, 1) === 1 }), 1, numeric),
  window_reduce(d) {
    const { shape, params } = windowSample(d);
    return { inputs: [drawTensor(d, numeric(d), shape)], params: { kind: d.pick(["sum", "max"] as const), ...params } };
  },
  window_argmax(d) {
    const { shape, params } = windowSample(d);
    return { inputs: [drawTensor(d, numeric(d), shape)], params: { ...params, dtype: d.pick(["i64", "i32"] as const) } };
  },
  cumsum: unary<"cumsum">((d, x) => ({ axis: d.int(0, x.shape.length - 1), exclusive: d.int(0, 1) === 1, reverse: d.int(0, 1) === 1 }), 0, numeric),
  reshape: unary<"reshape">((d, x) => ({ shape: shuffled(d, [...x.shape, 1]) }), 0),
  transpose: unary<"transpose">((d, x) => ({ permutation: shuffled(d, x.shape.map((_, axis) => axis)) }), 0),
  broadcast(d) {
    const shape = drawShape(d, d.int(0, 4));
    const axes = axesOf(d, shape.length);
    return { inputs: [drawTensor(d, anyDtype(d), axes.map((axis) => (d.int(0, 2) === 0 ? 1 : shape[axis]!)))], params: { shape, axes } };
  },
  slice: unary<"slice">((d, x) => {
    const bounds = x.shape.map((extent) => ints(d, 2, 0, extent).sort((a, b) => a - b));
    return { starts: bounds.map(([start]) => start!), limits: bounds.map(([, limit]) => limit!), strides: ints(d, x.shape.length, 1, 3) };
  }, 0),
  reverse: unary<"reverse">((d, x) => ({ axes: axesOf(d, x.shape.length) }), 0),
  pad(d) {
    const dtype = anyDtype(d);
    const shape = drawShape(d, d.int(0, 3), 3);
    const rank = shape.length;
    return { inputs: [drawTensor(d, dtype, shape), drawTensor(d, dtype, [])], params: { low: ints(d, rank, -1, 2), high: ints(d, rank, -2, 2), interior: ints(d, rank, 0, 2) } };
  },
  concat(d) {
    const dtype = anyDtype(d);
    const shape = drawShape(d, d.int(1, 3));
    const axis = d.int(0, shape.length - 1);
    return { inputs: Array.from({ length: d.int(1, 3) }, () => drawTensor(d, dtype, shape.with(axis, d.int(0, 3)))), params: { axis } };
  },
  gather(d) {
    const x = drawTensor(d, anyDtype(d), drawShape(d, d.int(1, 3), 1));
    return { inputs: [x, rows(d, x.shape[0]!, d.int(0, 4))], params: {} };
  },
  scatter(d) {
    const x = drawTensor(d, numeric(d), drawShape(d, d.int(1, 3), 1));
    const indices = rows(d, x.shape[0]!, d.int(0, 4));
    return { inputs: [x, indices, drawTensor(d, x.dtype, [...indices.shape, ...x.shape.slice(1)])], params: { kind: d.pick(["set", "add", "mul", "max", "min"] as const) } };
  },
  sort: unary<"sort">((d, x) => ({ axis: d.int(0, x.shape.length - 1), descending: d.int(0, 1) === 1 }), 0, numeric),
  constant: (d) => ({ inputs: [], params: { value: drawTensor(d, anyDtype(d), drawShape(d)) } }),
  iota(d) {
    const shape = drawShape(d, d.int(1, 3));
    return { inputs: [], params: { dtype: numeric(d), shape, axis: d.int(0, shape.length - 1) } };
  },
  random_bits(d) {
    const shape = drawShape(d);
    return { inputs: [drawTensor(d, "i64", shape.slice(0, d.int(0, shape.length)))], params: { shape } };
  },
  scan: drawScan, cond: drawCond, while: drawWhile,
  stop_gradient: (d) => ({ inputs: [drawTensor(d, anyDtype(d), drawShape(d))], params: {} }),
};

export function drawSample(op: PrimitiveName, d: Draw): Sample {
  const isElementwise = (name: PrimitiveName): name is ElementwisePrimitiveName => (elementwisePrimitiveNames as readonly string[]).includes(name);
  return isElementwise(op) ? elementwiseSample(op, d) : others[op](d);
}

export const sampledPrimitives = primitiveNames;
