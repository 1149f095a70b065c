/**
 * @file What is trained: a network over a micro-batch, its losses, the parameters as one vector, the samples. From these follow the graphs that
 * every algorithm is made of.
 */
import { elementCount, fail, type TensorType } from "@systole/base";
import { continueSums, gaussNewton, GraphBuilder, lossGradient, lossGraph, nextValueId, parametersAsInputs, splitGraph, type Graph, type LossPiece, type TensorPart, type Value } from "@systole/ir";

/** An input of the network or of a loss that each sample has a piece of. */
export interface SampleInput {
  readonly name: string;
  /** Of a micro-batch, as the graph takes it. */
  readonly type: TensorType;
  /** The axis of `type` that counts the samples. */
  readonly axis: number;
}

export interface Problem {
  readonly name: string;
  /** Over one micro-batch; parameters still are parameters. */
  readonly network: Graph;
  readonly pieces: readonly LossPiece[];
  /** Names of the parameters that are trained. */
  readonly trained: readonly string[];
  readonly samples: readonly SampleInput[];
  /** Inputs of the network that random masks depend on: `step` f32[], the outer step, and `samples` i32[micro-batch], the numbers of the samples in the data. Products must not read them. */
  readonly masks?: { readonly step: string; readonly samples: string };
  readonly sampleCount: number;
  readonly microBatch: number;
}

/** The parameters one behind the other in one vector: those of rank 2 and more, which weight decay acts on, come first. */
export interface Layout {
  readonly parts: readonly TensorPart[];
  readonly elements: number;
  /** Elements that decay: the first ones. */
  readonly decaying: number;
}

export function layoutOf({ network, trained }: Problem): Layout {
  const shapes = trained.map((name) => ({ name, shape: network.parameters.find((parameter) => parameter.name === name)!.tensor.shape }));
  const ordered = [...shapes.filter(({ shape }) => shape.length >= 2), ...shapes.filter(({ shape }) => shape.length < 2)];
  let elements = 0;
  let decaying = 0;
  const parts = ordered.map(({ name, shape }) => {
    const part = { name, offset: elements, shape };
    elements += elementCount(shape);
    if (shape.length >= 2) decaying = elements;
    return part;
  });
  return { parts, elements, decaying };
}

export function microBatchesOf({ sampleCount, microBatch }: Problem): number {
  if (sampleCount % microBatch !== 0) fail("E0603", `${sampleCount} samples cannot be cut into micro-batches of ${microBatch}`);
  return sampleCount / microBatch;
}

/** Name of the input that holds the whole data of a sample input, and of the one with the numbers of the samples. */
export const orderInput = "order";

/** `loss` of a micro-batch; inputs: data, order, parameters. */
export function lossOfSamples(problem: Problem): Graph {
  return ready(problem, only(lossGraph(problem.network, problem.pieces), (name) => name === "loss"));
}

/** `loss` and `g/NAME`; with `accumulate` the gradient is added to what inputs `a/NAME` hold. */
export function gradientOfSamples(problem: Problem, accumulate: boolean): Graph {
  const graph = only(lossGradient(problem.network, problem.pieces, problem.trained), (name) => name === "loss" || name.startsWith("g/"));
  return finished(problem, graph, "g/", accumulate);
}

/** Parameters as inputs, samples looked up; with `accumulate` outputs PREFIX/NAME are added to what inputs `a/NAME` hold. */
export function finished(problem: Problem, graph: Graph, prefix: string, accumulate: boolean): Graph {
  return ready(problem, accumulate ? added(graph, prefix, "a/", problem.trained) : graph);
}

/** The graphs of an algorithm that needs the gradient and products at a point: what both read of it is computed by one of them. */
export interface PointGraphs {
  /** `loss` and what the others read, each under its name; inputs: data, order, parameters. */
  readonly point: Graph;
  /** `g/NAME` plus inputs `a/NAME`, where squares are asked for `q/NAME` plus inputs `b/NAME`. */
  readonly backward: Graph;
  /** Inputs `v/NAME`; outputs `Gv/NAME`, plus inputs `a/NAME`. */
  readonly product: Graph;
  readonly kept: readonly { readonly name: string; readonly type: TensorType }[];
}

export interface PointOptions {
  /** The backward part adds to what there is. */
  readonly addGradient: boolean;
  readonly addProduct: boolean;
  /** Adds outputs `q/NAME` to a graph with outputs `g/NAME`: squares of the gradients of single samples. */
  readonly squares?: (backward: Graph) => Graph;
}

export function pointOfSamples(problem: Problem, { addGradient, addProduct, squares }: PointOptions): PointGraphs {
  const { point: whole, product } = gaussNewton(problem.network, problem.pieces, problem.trained);
  const { first, second, read } = splitGraph(only(whole, (name) => !name.startsWith("y/")), (name) => !name.startsWith("g/"));
  const made = new Map(first.outputs.map(({ name, value }) => [name, value]));
  const products = only(product, (name) => name.startsWith("Gv/"));
  // Samples that were looked up are kept like values of the point; where all are one micro-batch the data itself is at hand.
  const lookedUp = problem.samples.filter(({ name, axis }) => (problem.sampleCount > problem.microBatch || axis !== 0) && [products, second].some(({ inputs }) => inputs.some((input) => input.name === name)));
  const samples = lookedUp.flatMap(({ name }) => first.inputs.filter((input) => input.name === name));
  const names = new Set([...read, ...products.inputs.map(({ name }) => name)]);
  const kept = [...[...made].filter(([name]) => names.has(name)).map(([name, value]) => ({ name, value })), ...samples];
  const backward = squares === undefined ? second : squares(second);
  const accumulated = addGradient ? added(backward, "g/", "a/", problem.trained) : backward;
  return {
    point: ready(problem, { ...first, outputs: [{ name: "loss", value: made.get("loss")! }, ...kept] }),
    backward: parametersAsInputs(squares === undefined ? accumulated : added(accumulated, "q/", "b/", problem.trained), problem.trained),
    product: parametersAsInputs(addProduct ? added(products, "Gv/", "a/", problem.trained) : products, problem.trained),
    kept: kept.map(({ name, value }) => ({ name, type: value.type })),
  };
}

function ready(problem: Problem, graph: Graph): Graph {
  return gathered(problem, parametersAsInputs(graph, problem.trained));
}

function only(graph: Graph, keeps: (name: string) => boolean): Graph {
  return { ...graph, outputs: graph.outputs.filter(({ name }) => keeps(name)) };
}

/** Outputs PREFIX/NAME go on from inputs BEFORE/NAME. */
function added(graph: Graph, prefix: string, beforePrefix: string, names: readonly string[]): Graph {
  return continueSums(graph, new Map(names.map((name) => [prefix + name, beforePrefix + name])));
}

/**
 * Samples by number: inputs of one micro-batch become the whole data, sample axis first, and its rows are looked up by `order`. Where
 * the data is one micro-batch it is taken as it stands. Masks are told the same numbers.
 */
function gathered(problem: Problem, graph: Graph): Graph {
  const { samples, sampleCount, microBatch, masks } = problem;
  const inputs = new Map(graph.inputs.map(({ name, value }) => [name, value]));
  const used = samples.filter(({ name }) => inputs.has(name));
  const numbered = masks !== undefined && inputs.has(masks.samples);
  if (used.length === 0 && !numbered) return graph;
  // New nodes define the values that the graph knows as its inputs.
  const b = new GraphBuilder();
  const wholes = new Map(used.map(({ name, type, axis }) => [name, b.input(name, { dtype: type.dtype, shape: [sampleCount, ...type.shape.filter((_, a) => a !== axis)] })]));
  const order = sampleCount === microBatch ? undefined : b.input(orderInput, { dtype: "i32", shape: [microBatch] });
  for (const { name, type, axis } of used) {
    b.setOrigin({ node: name, operator: "samples" });
    const whole = wholes.get(name)!;
    const rows = order === undefined ? whole : b.apply("gather", [whole, order], {});
    b.output(name, axis === 0 ? rows : b.apply("transpose", [rows], { permutation: type.shape.map((_, a) => (a === axis ? 0 : a < axis ? a + 1 : a)) }));
  }
  if (numbered) {
    b.setOrigin({ node: masks.samples, operator: "samples" });
    b.output(masks.samples, order ?? b.apply("iota", [], { dtype: "i32", shape: [microBatch], axis: 0 }));
  }
  const looked = b.build(graph.name);
  const moved = renumbered(looked, nextValueId(graph), new Map(looked.outputs.map(({ name, value }) => [value, inputs.get(name)!])));
  const told = new Set(looked.outputs.map(({ name }) => name));
  return { ...graph, inputs: [...moved.inputs, ...graph.inputs.filter(({ name }) => !told.has(name))], nodes: [...moved.nodes, ...graph.nodes] };
}

/** The graph with other values: those in `replaced`, the others with numbers from `offset` on. */
function renumbered(graph: Graph, offset: number, replaced: ReadonlyMap<Value, Value>): Graph {
  const made = new Map<Value, Value>();
  const map = (value: Value): Value => {
    const known = replaced.get(value) ?? made.get(value);
    if (known !== undefined) return known;
    const next = { ...value, id: value.id + offset };
    made.set(value, next);
    return next;
  };
  return {
    ...graph,
    inputs: graph.inputs.map(({ name, value }) => ({ name, value: map(value) })),
    nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(map), outputs: node.outputs.map(map) })),
  };
}

/** Values of all parameters as one vector, in the order of the layout. */
export function packed(problem: Problem, layout: Layout): Float32Array {
  const vector = new Float32Array(layout.elements);
  for (const { name, offset } of layout.parts) vector.set(problem.network.parameters.find((parameter) => parameter.name === name)!.tensor.data as Float32Array, offset);
  return vector;
}

