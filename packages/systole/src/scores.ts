/**
 * @file Where a loss attaches. Cross-entropy of a network that ends in Softmax or LogSoftmax, and binary cross-entropy of one that ends in Sigmoid,
 * are taken at the logits: value, gradient and curvature are then exact where the composition would overflow. Squared error is
 * taken where the network ends.
 */
import { fail, sameShape } from "@systole/base";
import { definitions, type Graph, type GraphOutput, type Node, type Value } from "@systole/ir";

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

/** The graph with `output` moved to the logits, where the loss wants them. */
export function atScores(graph: Graph, outputName: string, loss: string): Graph {
  const output = graph.outputs.find(({ name }) => name === outputName);
  if (output === undefined) return fail("E0601", `the model has no output "${outputName}"`, { value: outputName }, [`It has ${graph.outputs.map(({ name }) => name).join(", ")}.`]);
  const logits = logitsOf(graph, output, loss);
  return { ...graph, outputs: [{ name: outputName, value: logits ?? output.value }] };
}

function logitsOf(graph: Graph, output: GraphOutput, loss: string): Value | undefined {
  if (normalisers[loss] === undefined) return undefined;
  const defined = definitions(graph);
  let value = output.value;
  for (;;) {
    const node = defined.get(value);
    if (node === undefined) return undefined;
    const { node: name, operator } = node.origin;
    if (normalisers[loss]!.includes(operator)) {
      return through(graph, node, output) ?? fail("E0603", `${loss} cannot see the logits of this ${operator}`, { node: name, operator }, ["Its result must have the shape of the output; export the network without it."]);
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
function through(graph: Graph, last: Node, output: GraphOutput): Value | undefined {
  const own = new Set(graph.nodes.filter((node) => node.origin.node === last.origin.node && node.origin.operator === last.origin.operator));
  const made = new Set([...own].flatMap((node) => node.outputs));
  const taken = new Set([...own].flatMap((node) => node.inputs).filter((value) => !made.has(value)));
  const [logits] = taken;
  // A normalisation over other axes than the loss's, seen through a change of shape, has no logits of the output's shape.
  return taken.size === 1 && logits !== undefined && sameShape(logits.type.shape, output.value.type.shape) ? logits : undefined;
}
