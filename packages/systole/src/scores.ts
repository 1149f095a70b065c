/**
 * @file Where a loss attaches. Cross-entropy of a network that ends in Softmax or LogSoftmax, and binary cross-entropy of one that ends in Sigmoid,
 * are taken at the logits: value, gradient and curvature are then exact where the composition would overflow. Squared error is
 * taken where the network ends.
 */
import { elementCount, fail, sameShape } from "@systole/base";
import { definitions, isNode, nextValueId, type Graph, type Node, type Value } from "@systole/ir";

const normalisers: Readonly<Record<string, readonly string[]>> = {
  "cross-entropy": ["Softmax", "LogSoftmax"],
  "binary-cross-entropy": ["Sigmoid"],
};

/** Ends that are no logits of the loss: their values are bounded or normalised in another way, and the loss would be a wrong number. */
const mistakes: Readonly<Record<string, readonly string[]>> = {
  "cross-entropy": ["Sigmoid", "Hardmax", "HardSigmoid"],
  "binary-cross-entropy": ["Softmax", "LogSoftmax", "Hardmax", "HardSigmoid"],
};

/** Movement that keeps every element in its row-major place: the logits may be seen through it. */
const transparent = ["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"];

export interface ScoresOf {
  readonly output: string;
  readonly loss: string;
  /** The axis of the classes; 1 when missing. */
  readonly classAxis?: number;
}

/** `network` with one more output: that of `whole`, moved to the logits where its loss wants them. Both have the same values; a network without outputs is where to begin. */
export function withScores(network: Graph, whole: Graph, { output: name, loss, classAxis }: ScoresOf): Graph {
  const output = whole.outputs.find((one) => one.name === name);
  if (output === undefined) return fail("E0601", `the model has no output "${name}"`, { value: name }, [`It has ${whole.outputs.map((one) => one.name).join(", ")}.`]);
  return withOutput(network, name, logitsBehind(whole, output.value, loss, classAxis) ?? output.value, output.value.type.shape);
}

/** The value as a further output, in this shape. */
export function withOutput(graph: Graph, name: string, value: Value, shape: readonly number[]): Graph {
  if (sameShape(value.type.shape, shape)) return { ...graph, outputs: [...graph.outputs, { name, value }] };
  const shaped: Value = { id: nextValueId(graph), type: { dtype: value.type.dtype, shape } };
  const origin = definitions(graph).get(value)?.origin ?? { node: name, operator: "Reshape" };
  return { ...graph, nodes: [...graph.nodes, { op: "reshape", inputs: [value], params: { shape }, outputs: [shaped], origin }], outputs: [...graph.outputs, { name, value: shaped }] };
}

/** What goes into the normalisation that `last` comes out of; undefined where there is none. */
export function logitsBehind(graph: Graph, last: Value, loss: string, classAxis = 1): Value | undefined {
  if (normalisers[loss] === undefined) return undefined;
  const defined = definitions(graph);
  let value = last;
  for (;;) {
    const node = defined.get(value);
    if (node === undefined) return undefined;
    const { node: name, operator } = node.origin;
    if (normalisers[loss]!.includes(operator)) {
      return through(graph, node, last, classAxis) ?? fail("E0603", `${loss} cannot see the logits of this ${operator}`, { node: name, operator }, [`It must normalise over the axis of the classes (${classAxis}); --class-axis names another, or export the network without it.`]);
    }
    if (mistakes[loss]!.includes(operator)) {
      return fail("E0603", `${loss} of a network that ends in ${operator}`, { node: name, operator }, [`${loss} takes logits, or a network that ends in ${normalisers[loss]!.join(" or ")}.`]);
    }
    const before = transparent.includes(node.origin.operator) ? node.inputs[0] : undefined;
    if (before === undefined) return undefined;
    value = before;
  }
}

/** The value that the nodes of one ONNX operator take from outside; constants of their own do not count. */
function through(graph: Graph, last: Node, output: Value, classAxis: number): Value | undefined {
  const own = graph.nodes.filter((node) => node.origin.node === last.origin.node && node.origin.operator === last.origin.operator);
  const made = new Set(own.flatMap((node) => node.outputs));
  const taken = new Set(own.flatMap((node) => node.inputs).filter((value) => !made.has(value)));
  const [logits] = taken;
  // Row-major order stays through changes of shape: it is the same axis if as much stands before and behind it.
  const classes = split(output.type.shape, [classAxis]);
  const fits = own.filter((node) => isNode(node, "reduce")).every((node) => split(node.inputs[0]!.type.shape, node.params.axes) === classes);
  return taken.size === 1 && logits !== undefined && fits ? logits : undefined;
}

/** How many elements stand before the axes, along them and behind them. */
function split(shape: readonly number[], axes: readonly number[]): string {
  const [first, last] = [Math.min(...axes), Math.max(...axes) + 1];
  return [shape.slice(0, first), shape.slice(first, last), shape.slice(last)].map(elementCount).join(" ");
}
