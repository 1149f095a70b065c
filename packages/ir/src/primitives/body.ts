/** @file Bodies of structured control: what their signature must be, and how nodes run one after the other. */
import { formatType, internal, sameShape, withPlace, type Tensor, type TensorType } from "@systole/base";
import type { Graph, Node, Value } from "../graph.ts";
import { require } from "./checks.ts";

/** Names of the two sides of a signature, for messages. */
export function requireSignature(what: string, given: readonly TensorType[], wanted: readonly TensorType[]): void {
  require(given.length === wanted.length, () => `${what}: ${given.length} given, ${wanted.length} wanted`);
  given.forEach((type, i) => {
    const expected = wanted[i]!;
    require(type.dtype === expected.dtype && sameShape(type.shape, expected.shape), () => `${what}: number ${i} is ${formatType(type)}, wanted ${formatType(expected)}`);
  });
}

export function inputTypes(body: Graph): readonly TensorType[] {
  return body.inputs.map(({ value }) => value.type);
}

export function outputTypes(body: Graph): readonly TensorType[] {
  return body.outputs.map(({ value }) => value.type);
}

/** A body takes `operands` and has no parameters. */
export function requireBody(what: string, body: Graph, operands: readonly TensorType[]): void {
  require(body.parameters.length === 0, () => `${what} has parameters`);
  requireSignature(`inputs of ${what}`, inputTypes(body), operands);
}

export function requireCount(what: string, count: number, most: number): void {
  require(Number.isSafeInteger(count) && count >= 0 && count <= most, () => `${what} is ${count}, wanted 0 to ${most}`);
}

/** Called with every result as it is computed. */
export type ResultObserver = (value: Value, tensor: Tensor) => void;

/** The outputs in order. `tensors` holds inputs and parameters; values are let go behind their last use. */
export function runNodes(graph: Graph, tensors: Map<Value, Tensor>, apply: (node: Node, operands: readonly Tensor[]) => readonly Tensor[], observe?: ResultObserver): readonly Tensor[] {
  const lastUse = lastUses(graph);
  graph.nodes.forEach((node, index) => {
    const operands = node.inputs.map((value) => tensors.get(value) ?? internal(`value %${value.id} is used before its definition`));
    const results = withPlace({ node: node.origin.node, operator: node.origin.operator }, () => apply(node, operands));
    node.outputs.forEach((value, i) => {
      observe?.(value, results[i]!);
      if (lastUse.has(value)) tensors.set(value, results[i]!);
    });
    for (const value of node.inputs) if (lastUse.get(value) === index) tensors.delete(value);
  });
  return graph.outputs.map(({ name, value }) => tensors.get(value) ?? internal(`output ${name} has no value`));
}

/** A body runs many times. */
const knownLastUses = new WeakMap<Graph, ReadonlyMap<Value, number>>();

/** Index of the last node that uses a value; outputs of the graph are used for ever. */
function lastUses(graph: Graph): ReadonlyMap<Value, number> {
  const known = knownLastUses.get(graph);
  if (known !== undefined) return known;
  const last = new Map<Value, number>();
  graph.nodes.forEach((node, index) => node.inputs.forEach((value) => last.set(value, index)));
  for (const { value } of graph.outputs) last.set(value, Infinity);
  knownLastUses.set(graph, last);
  return last;
}
