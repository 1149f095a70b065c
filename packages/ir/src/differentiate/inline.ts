/** @file Puts the nodes of one graph into another: derived graphs are made of whole graphs. */
import { internal, withPlace, type TensorType } from "@systole/base";
import type { GraphBuilder } from "../builder.ts";
import type { Graph, Node, Value } from "../graph.ts";

/** Values by the names of inputs and parameters. */
export type Bindings = ReadonlyMap<string, Value>;

/** Applies the node to other operands, under the origin of the node. */
export function copyNode(b: GraphBuilder, node: Node, inputs: readonly Value[]): readonly Value[] {
  b.setOrigin(node.origin);
  return b.applyAll(node.op, inputs, node.params, node.outputs[0]!.name);
}

/** Runs `body` under the node's origin, for what it emits and for what it reports. */
export function underOrigin<T>(b: GraphBuilder, node: Node, body: () => T): T {
  b.setOrigin(node.origin);
  return withPlace({ node: node.origin.node, operator: node.origin.operator }, body);
}

/** The values in the new graph of all values of `graph`. */
export function inlineNodes(b: GraphBuilder, graph: Graph, bindings: Bindings): ReadonlyMap<Value, Value> {
  const values = new Map(signature(graph).map(({ name, value }) => [value, bindings.get(name) ?? internal(`nothing is bound to "${name}"`)]));
  for (const node of graph.nodes) {
    const outputs = copyNode(b, node, node.inputs.map((value) => values.get(value)!));
    node.outputs.forEach((value, i) => values.set(value, outputs[i]!));
  }
  return values;
}

/** The outputs of `graph` by name. */
export function inline(b: GraphBuilder, graph: Graph, bindings: Bindings): ReadonlyMap<string, Value> {
  const values = inlineNodes(b, graph, bindings);
  return new Map(graph.outputs.map(({ name, value }) => [name, values.get(value)!]));
}

export function signature(graph: Graph): readonly { readonly name: string; readonly value: Value }[] {
  return [...graph.inputs, ...graph.parameters];
}

/** Declares inputs and parameters of graphs in a new graph, each name once. */
export class Declarations {
  readonly #builder: GraphBuilder;
  readonly #values = new Map<string, Value>();

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  /** The input of this name; several graphs may read it. */
  input(name: string, type: TensorType): Value {
    const value = this.#values.get(name) ?? this.#builder.input(name, type);
    this.#values.set(name, value);
    return value;
  }

  /** Adds what the graph needs and is neither there yet nor in `bound`; the bindings of the graph. */
  of(graph: Graph, bound: Bindings = new Map()): Bindings {
    const missing = (name: string): boolean => !bound.has(name) && !this.#values.has(name);
    for (const { name, value } of graph.inputs) if (missing(name)) this.#values.set(name, this.#builder.input(name, value.type));
    for (const { name, tensor } of graph.parameters) if (missing(name)) this.#values.set(name, this.#builder.parameter(name, tensor));
    return new Map([...this.#values, ...bound]);
  }
}
