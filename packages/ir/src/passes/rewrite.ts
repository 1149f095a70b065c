/** @file Walks a graph in order and replaces nodes; values and nodes that do not change keep their identity. */
import type { TensorType } from "@systole/base";
import type { Graph, Node, Origin, Value } from "../graph.ts";
import { inferTypes, type Params, type PrimitiveName } from "../primitives/index.ts";

/** What a rule sees: nodes it emits stand before the node it looks at. */
export interface Rewriter {
  /** The new node that defines a value; undefined for inputs and parameters. */
  readonly definition: (value: Value) => Node | undefined;
  readonly emit: <P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>, origin: Origin, name?: string) => readonly Value[];
}

/** The values that replace the node's results, or undefined to keep the node. Its inputs are already replaced. */
export type Rule = (node: Node, r: Rewriter) => readonly Value[] | undefined;

/** Returns the same graph when no rule replaced anything. */
export function rewriteGraph(graph: Graph, rule: Rule): Graph {
  const replaced = new Map<Value, Value>();
  const definitions = new Map<Value, Node>();
  const nodes: Node[] = [];
  let nextId = nextValueId(graph);
  let changed = false;
  const push = (node: Node): void => {
    nodes.push(node);
    for (const value of node.outputs) definitions.set(value, node);
  };
  const emit: Rewriter["emit"] = (op, inputs, params, origin, name) => {
    const outputs = inferTypes(op, inputs.map((value) => value.type), params).map((type) => newValue(nextId++, type, name));
    push({ op, inputs, params, outputs, origin });
    return outputs;
  };
  const resolve = (value: Value): Value => replaced.get(value) ?? value;
  for (const original of graph.nodes) {
    const same = original.inputs.every((value) => resolve(value) === value);
    const node = same ? original : { ...original, inputs: original.inputs.map(resolve) };
    const results = rule(node, { definition: (value) => definitions.get(value), emit });
    if (results === undefined) {
      push(node);
      continue;
    }
    changed = true;
    original.outputs.forEach((value, i) => replaced.set(value, results[i]!));
  }
  if (!changed) return graph;
  return { ...graph, nodes, outputs: graph.outputs.map(({ name, value }) => ({ name, value: resolve(value) })) };
}

export function nextValueId(graph: Graph): number {
  const values = [...graph.inputs.map((input) => input.value), ...graph.parameters.map((parameter) => parameter.value), ...graph.nodes.flatMap((node) => node.outputs)];
  return values.reduce((next, value) => Math.max(next, value.id + 1), 0);
}

function newValue(id: number, type: TensorType, name: string | undefined): Value {
  const value = { id, type: { dtype: type.dtype, shape: type.shape } };
  return name === undefined ? value : { ...value, name };
}
