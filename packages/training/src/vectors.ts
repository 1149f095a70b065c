/**
 * @file Arithmetic on vectors of all parameters, as graphs. A dot product comes as partial sums of `blockLength` products each (float32, blocked
 * order), which a program adds up in float64: its value does not depend on the machine, and its error does not grow with the length.
 */
import { blockLength } from "@systole/base";
import { emit, GraphBuilder, type Graph, type Reference, type Statement, type Value } from "@systole/ir";
import { sum, type Binding, type ProgramBuilder } from "./language.ts";

/** What the body of a vector graph gets and gives: values by name. */
export type VectorBody = (b: GraphBuilder, values: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>;

export class Vectors {
  readonly elements: number;
  readonly #builder: ProgramBuilder;

  constructor(builder: ProgramBuilder, elements: number) {
    this.#builder = builder;
    this.elements = elements;
  }

  /**
   * Applies a graph of this name, made by `body` at first use. Bound tensors are vectors, bound scalars scalars; outputs bound in `outputs` are
   * vectors, those bound in `dots` are partial sums whose total goes into a scalar of the program.
   */
  apply(name: string, inputs: Readonly<Record<string, Binding>>, outputs: Readonly<Record<string, Reference>>, body: VectorBody, dots: Readonly<Record<string, string>> = {}): Statement[] {
    this.#builder.graph(name, () => this.#graph(name, inputs, body));
    const partials = Object.fromEntries(Object.keys(dots).map((output) => [output, this.#partials(name, output)]));
    return [this.#builder.apply(name, inputs, { ...outputs, ...partials }), ...Object.entries(dots).map(([output, scalar]) => sum(scalar, partials[output]!))];
  }

  /** Zeros into vectors, by a graph of this name. */
  zeroed(name: string, vectors: Readonly<Record<string, Reference>>): Statement[] {
    return this.apply(name, {}, vectors, (b) => Object.fromEntries(Object.keys(vectors).map((key) => [key, emit.zeros(b, { dtype: "f32", shape: [this.elements] })])));
  }

  #graph(name: string, inputs: Readonly<Record<string, Binding>>, body: VectorBody): Graph {
    const b = new GraphBuilder();
    b.setOrigin({ node: name, operator: "vector" });
    const values = Object.fromEntries(Object.entries(inputs).map(([input, bound]) => [input, b.input(input, { dtype: "f32", shape: "scalar" in bound ? [] : [this.elements] })]));
    for (const [output, value] of Object.entries(body(b, values))) b.output(output, value);
    return b.build(name);
  }

  #partials(graph: string, output: string): Reference {
    return this.#builder.tensor({ name: `${graph}.${output}`, kind: "state", type: { dtype: "f32", shape: [Math.ceil(this.elements / blockLength)] }, place: "pinned" });
  }
}

/** Partial sums of x y over blocks: f32[ceil(n / blockLength)] for vectors f32[n]. */
export function dot(b: GraphBuilder, x: Value, y: Value): Value {
  return emit.sumOver(b, emit.mul(b, inBlocks(b, x), inBlocks(b, y)), [1]);
}

function inBlocks(b: GraphBuilder, x: Value): Value {
  const elements = x.type.shape[0]!;
  const blocks = Math.ceil(elements / blockLength);
  if (blocks === 1) return emit.reshapeTo(b, x, [1, elements]);
  return emit.reshapeTo(b, emit.padWithZeros(b, x, [0], [blocks * blockLength - elements], [0]), [blocks, blockLength]);
}

/** A scalar times a vector. */
export function scaled(b: GraphBuilder, scalar: Value, x: Value): Value {
  return emit.mul(b, emit.spread(b, scalar, x.type.shape), x);
}

/** The first `count` elements as they are, the others 0. */
export function head(b: GraphBuilder, x: Value, count: number): Value {
  if (count === x.type.shape[0]) return x;
  const index = b.apply("iota", [], { dtype: "i32", shape: x.type.shape, axis: 0 });
  return emit.select(b, emit.binary(b, "lt", index, emit.filled(b, index.type, count)), x, emit.zeros(b, x.type));
}
