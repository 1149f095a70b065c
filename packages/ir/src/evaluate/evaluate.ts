/** @file The reference evaluator: a graph on given inputs, node by node. Slow and obvious; the device is compared with it. */
import { fail, formatType, internal, withPlace, sameShape, type Tensor } from "@systole/base";
import type { Graph, Value } from "../graph.ts";
import { evaluatePrimitive } from "../primitives/index.ts";
import type { Precision } from "../primitives/primitive.ts";

/** What may look at every value as it is computed. */
export interface EvaluateObserver {
  readonly value?: (value: Value, tensor: Tensor) => void;
}

/**
 * The outputs by name. Under float64 precision tensors of type f32 may come back in a Float64Array. Values are let
 * go behind their last use.
 */
export function evaluate(graph: Graph, inputs: ReadonlyMap<string, Tensor>, precision: Precision = "device", observer: EvaluateObserver = {}): Map<string, Tensor> {
  const tensors = new Map<Value, Tensor>();
  for (const { name, value } of graph.inputs) tensors.set(value, inputNamed(inputs, name, value));
  for (const { value, tensor } of graph.parameters) tensors.set(value, tensor);
  const lastUse = lastUses(graph);
  graph.nodes.forEach((node, index) => {
    const operands = node.inputs.map((value) => tensors.get(value) ?? internal(`value %${value.id} is used before its definition`));
    const place = { node: node.origin.node, operator: node.origin.operator };
    const results = withPlace(place, () => evaluatePrimitive(node.op, operands, node.params, precision));
    node.outputs.forEach((value, i) => {
      observer.value?.(value, results[i]!);
      if (lastUse.has(value)) tensors.set(value, results[i]!);
    });
    for (const value of node.inputs) if (lastUse.get(value) === index) tensors.delete(value);
  });
  return new Map(graph.outputs.map(({ name, value }) => [name, tensors.get(value) ?? internal(`output ${name} has no value`)]));
}

function inputNamed(inputs: ReadonlyMap<string, Tensor>, name: string, value: Value): Tensor {
  const tensor = inputs.get(name);
  if (tensor === undefined) fail("E0601", `no tensor given for input "${name}"`, { value: name }, [`the inputs given are: ${[...inputs.keys()].join(", ")}`]);
  if (tensor.dtype !== value.type.dtype || !sameShape(tensor.shape, value.type.shape)) {
    fail("E0602", `input "${name}" is ${formatType(tensor)}, wanted ${formatType(value.type)}`, { value: name });
  }
  return tensor;
}

/** Index of the last node that uses a value; outputs of the graph are used for ever. */
function lastUses(graph: Graph): ReadonlyMap<Value, number> {
  const last = new Map<Value, number>();
  graph.nodes.forEach((node, index) => node.inputs.forEach((value) => last.set(value, index)));
  for (const { value } of graph.outputs) last.set(value, Infinity);
  return last;
}
