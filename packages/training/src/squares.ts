/**
 * @file Squares of the gradients of single samples, averaged: what the preconditioner of Martens 2010 is made of.
 *
 * - `exact`: where a parameter is used once, in a dense contraction over the batch, the gradient of sample i is an outer product x_i dy_i', so the
 *   squares are one contraction of squares (sum over i of x_i^2 dy_i^2'); a bias is a sum of dy_i, its squares the sum of dy_i^2.
 * - `signs`: else the square of a gradient whose samples count with random signs has them as its expectation; so many draws are averaged
 *   (Chapelle and Erhan 2011).
 */
import { fail, randomBits, tensor, type Tensor } from "@systole/base";
import { definitions, isNode, lossGradient, nextValueId, removeDeadCode, type Graph, type GraphOutput, type LossPiece, type Node, type Value } from "@systole/ir";
import { finished, type Problem } from "./problem.ts";

export type SquaresPlan = { readonly kind: "exact" } | { readonly kind: "signs"; readonly draws: number };

/** Random gradients a micro-batch where the exact squares do not exist. */
const defaultDraws = 4;

/**
 * Undefined where there is no way, or none worth its time: recurrent networks gain nothing from this preconditioner (Martens and Sutskever 2012), and signs
 * belong to samples, which must be the first axis of the scores.
 */
export function planSquares(problem: Problem): SquaresPlan | undefined {
  const { network, pieces, trained, microBatch } = problem;
  if (extended(lossGradient(network, pieces, trained), trained, microBatch) !== undefined) return { kind: "exact" };
  const recurrent = problem.network.nodes.some((node) => isNode(node, "scan"));
  return recurrent || !hasSignedPieces(problem) ? undefined : { kind: "signs", draws: defaultDraws };
}

/** Those that have a gradient. */
const slopedPieces = ({ pieces }: Problem): readonly LossPiece[] => pieces.filter(({ curvatureOnly }) => curvatureOnly !== true);

function hasSignedPieces(problem: Problem): boolean {
  return slopedPieces(problem).every(({ loss }) => loss.inputs.find(({ name }) => name === "scores")!.value.type.shape[0] === problem.microBatch);
}

/** Input of the graph of plan `signs`: f32[micro-batch] of 1 and -1. */
export const signsInput = "signs";

/** A graph of its own, for plan `signs`; outputs `q/NAME`: inputs `a/NAME` plus the mean over the micro-batch of the squared gradients of its samples. */
export function squaresByOwnGraph(problem: Problem): Graph {
  return finished(problem, signedSquares(problem), "q/", true);
}

/** The same for plan `exact`: further outputs `q/NAME` of a graph with outputs `g/NAME`, not added to anything yet. E0208 where they do not exist. */
export function withExactSquares({ trained, microBatch }: Problem, graph: Graph): Graph {
  return extended(graph, trained, microBatch) ?? fail("E0208", "the squares of the gradients of single samples do not exist for this network");
}

/** One row for each draw of each micro-batch. */
export function signsTable(rows: number, microBatch: number, seed: bigint): Tensor {
  return tensor("f32", [rows * microBatch], Float32Array.from({ length: rows * microBatch }, (_, i) => (randomBits(seed, i) < 0 ? -1 : 1)));
}

function extended(graph: Graph, trained: readonly string[], microBatch: number): Graph | undefined {
  const defined = definitions(graph);
  const extension = new Extension(graph, microBatch);
  const outputs: GraphOutput[] = [];
  for (const name of trained) {
    const squared = squareOf(extension, defined, graph.outputs.find((output) => output.name === `g/${name}`)!.value);
    if (squared === undefined) return undefined;
    outputs.push({ name: `q/${name}`, value: squared });
  }
  return { ...graph, nodes: [...graph.nodes, ...extension.nodes], outputs: [...graph.outputs, ...outputs] };
}

/** Nodes behind those of a graph. */
class Extension {
  readonly nodes: Node[] = [];
  readonly microBatch: number;
  #nextId: number;

  constructor(graph: Graph, microBatch: number) {
    this.microBatch = microBatch;
    this.#nextId = nextValueId(graph);
  }

  add(like: Node, inputs: readonly Value[], type: Value["type"]): Value {
    const value = { id: this.#nextId++, type };
    this.nodes.push({ ...like, inputs, outputs: [value] });
    return value;
  }

  square(value: Value, origin: Node["origin"]): Value {
    return this.add({ op: "mul", inputs: [], params: {}, outputs: [], origin }, [value, value], value.type);
  }

  times(value: Value, factor: number, origin: Node["origin"]): Value {
    const scalar = this.add({ op: "constant", inputs: [], params: { value: tensor(value.type.dtype, [], [factor]) }, outputs: [], origin }, [], { dtype: value.type.dtype, shape: [] });
    const spread = this.add({ op: "broadcast", inputs: [], params: { shape: value.type.shape, axes: [] }, outputs: [], origin }, [scalar], value.type);
    return this.add({ op: "mul", inputs: [], params: {}, outputs: [], origin }, [value, spread], value.type);
  }
}

/**
 * The graph's gradients are of the mean over B samples: the sample's own is B times its part, and the mean of the squares B times the sum of squared parts. The
 * factor stands inside the sum, which then goes on over micro-batches.
 */
function squareOf(extension: Extension, defined: ReadonlyMap<Value, Node>, value: Value): Value | undefined {
  const node = defined.get(value);
  if (isNode(node, "reshape") || isNode(node, "transpose")) {
    const inner = squareOf(extension, defined, node.inputs[0]!);
    return inner === undefined ? undefined : extension.add(node, [inner], value.type);
  }
  const { microBatch } = extension;
  if (isNode(node, "dot")) {
    const [x, dy, initial] = node.inputs as [Value, Value, Value?];
    if (initial !== undefined) return undefined;
    const { x: lettersX, w: lettersW, k } = node.params;
    // One contracted axis, the first of both operands, as long as the batch.
    const overSamples = k.length === 1 && lettersX.indexOf(k) === 0 && lettersW.indexOf(k) === 0 && x.type.shape[0] === microBatch;
    if (!overSamples) return undefined;
    return extension.add(node, [extension.square(x, node.origin), extension.times(extension.square(dy, node.origin), microBatch, node.origin)], value.type);
  }
  if (isNode(node, "reduce") && node.params.kind === "sum" && node.params.axes.length === 1 && node.params.axes[0] === 0 && node.inputs[0]!.type.shape[0] === microBatch) {
    return extension.add(node, [extension.times(extension.square(node.inputs[0]!, node.origin), microBatch, node.origin)], value.type);
  }
  return undefined;
}

function signedSquares(problem: Problem): Graph {
  const { network, trained, microBatch } = problem;
  if (!hasSignedPieces(problem)) fail("E0208", "random signs need the samples on the first axis of the scores");
  const signed = slopedPieces(problem).map((piece): LossPiece => ({ ...piece, loss: withSigns(piece.loss, microBatch) }));
  const graph = lossGradient(network, signed, trained);
  const extension = new Extension(graph, microBatch);
  const outputs = trained.map((name) => {
    const value = graph.outputs.find((output) => output.name === `g/${name}`)!.value;
    const origin = { node: `q/${name}`, operator: "squares" };
    return { name: `q/${name}`, value: extension.times(extension.square(value, origin), microBatch, origin) };
  });
  return removeDeadCode({ ...graph, nodes: [...graph.nodes, ...extension.nodes], outputs });
}

/** The loss with its gradient multiplied by the sign of each sample (axis 0 of the scores). */
function withSigns(loss: Graph, microBatch: number): Graph {
  const gradient = loss.outputs.find(({ name }) => name === "gradient")!.value;
  let id = nextValueId(loss);
  const signs: Value = { id: id++, type: { dtype: "f32", shape: [microBatch] }, name: signsInput };
  const spread: Value = { id: id++, type: gradient.type };
  const product: Value = { id: id++, type: gradient.type };
  const origin = { node: signsInput, operator: "squares" };
  return {
    ...loss,
    inputs: [...loss.inputs, { name: signsInput, value: signs }],
    nodes: [
      ...loss.nodes,
      { op: "broadcast", inputs: [signs], params: { shape: gradient.type.shape, axes: [0] }, outputs: [spread], origin },
      { op: "mul", inputs: [gradient, spread], params: {}, outputs: [product], origin },
    ],
    outputs: loss.outputs.map((output) => (output.name === "gradient" ? { name: "gradient", value: product } : output)),
  };
}
