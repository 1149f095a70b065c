/** @file The reference evaluator: a graph on given inputs, node by node. Slow and obvious; the device is compared with it. */
import { fail, formatType, sameShape, type Tensor } from "@systole/base";
import type { Graph, Value } from "../graph.ts";
import { runNodes } from "../primitives/body.ts";
import { evaluatePrimitive } from "../primitives/index.ts";
import type { Precision } from "../primitives/primitive.ts";

/** What may look at every value as it is computed; values inside bodies are not shown. */
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
  const outputs = runNodes(graph, tensors, (node, operands) => evaluatePrimitive(node.op, operands, node.params, precision), observer.value);
  return new Map(graph.outputs.map(({ name }, i) => [name, outputs[i]!]));
}

function inputNamed(inputs: ReadonlyMap<string, Tensor>, name: string, value: Value): Tensor {
  const tensor = inputs.get(name);
  if (tensor === undefined) fail("E0601", `no tensor given for input "${name}"`, { value: name }, [`the inputs given are: ${[...inputs.keys()].join(", ")}`]);
  if (tensor.dtype !== value.type.dtype || !sameShape(tensor.shape, value.type.shape)) {
    fail("E0602", `input "${name}" is ${formatType(tensor)}, wanted ${formatType(value.type)}`, { value: name });
  }
  return tensor;
}
