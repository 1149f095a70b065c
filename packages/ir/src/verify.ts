/**
 * @file The verifier behind every pass. It checks: every value is defined once and before its use; ids are
 * unique; every node's result types are those its primitive infers; parameters and constants hold tensors of
 * their type; names of inputs and parameters, and of outputs, are unique; operands are typed values of this graph. Bodies of structured
 * control are graphs of their own: they see nothing of the graph around them.
 */
import { elementCount, fail, formatType, sameShape, withPlace, type Tensor, type TensorType } from "@systole/base";
import { bodiesOf, type Graph, type Node, type Value } from "./graph.ts";
import { inferTypes, isPrimitive } from "./primitives/index.ts";

/** Returns the graph, or stops with E0205 (structure) or E0203 (types). */
export function verifyGraph(graph: Graph): Graph {
  const defined = new Set<Value>();
  const ids = new Map<number, string>();
  const define = (value: Value, what: string): void => {
    if (defined.has(value)) fail("E0205", `${what} defines %${value.id} a second time`);
    const other = ids.get(value.id);
    if (other !== undefined) fail("E0205", `${what} and ${other} both carry the id %${value.id}`);
    if (!Number.isSafeInteger(value.id) || value.id < 0) fail("E0205", `${what} has the id ${value.id}`);
    defined.add(value);
    ids.set(value.id, what);
  };
  for (const { name, value } of graph.inputs) define(value, `input "${name}"`);
  for (const { name, value, tensor } of graph.parameters) {
    define(value, `parameter "${name}"`);
    verifyTensor(`parameter "${name}"`, tensor, value.type);
  }
  for (const node of graph.nodes) {
    withPlace({ node: node.origin.node, operator: node.origin.operator }, () => {
      verifyNode(node, defined);
      for (const value of node.outputs) define(value, `${node.op}`);
    });
  }
  for (const { name, value } of graph.outputs) {
    if (!defined.has(value)) fail("E0205", `output "${name}" is %${value.id}, which nothing defines`);
  }
  requireUnique("input or parameter", [...graph.inputs, ...graph.parameters]);
  requireUnique("output", graph.outputs);
  return graph;
}

function verifyNode(node: Node, defined: ReadonlySet<Value>): void {
  if (!isPrimitive(node.op)) fail("E0205", `no primitive "${String(node.op)}"`);
  for (const value of node.inputs) {
    if (!defined.has(value)) fail("E0205", `${node.op} uses %${value.id} before its definition`);
  }
  for (const [, body] of bodiesOf(node)) verifyGraph(body);
  const types = inferTypes(node.op, node.inputs.map((value) => value.type), node.params);
  if (types.length !== node.outputs.length) fail("E0205", `${node.op} has ${types.length} results, the node has ${node.outputs.length}`);
  node.outputs.forEach((value, i) => {
    if (!sameType(value.type, types[i]!)) fail("E0203", `${node.op} gives ${formatType(types[i]!)}, but %${value.id} is ${formatType(value.type)}`);
  });
  if ("value" in node.params) verifyTensor("constant", node.params.value, node.outputs[0]!.type);
}

function verifyTensor(what: string, tensor: Tensor, type: TensorType): void {
  if (!sameType(tensor, type)) fail("E0203", `${what} is ${formatType(type)}, its tensor ${formatType(tensor)}`);
  if (tensor.data.length !== elementCount(tensor.shape)) fail("E0205", `${what}: ${tensor.data.length} elements for ${formatType(tensor)}`);
}

function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

function requireUnique(what: string, list: readonly { readonly name: string }[]): void {
  const seen = new Set<string>();
  for (const { name } of list) {
    if (seen.has(name)) fail("E0205", `two ${what}s are named "${name}"`);
    seen.add(name);
  }
}
