/** @file Graphs: immutable, static shapes, nodes in an order in which every value is defined before its use. */
import type { Phase, Tensor, TensorType } from "@systole/base";
import type { Params, PrimitiveName } from "./primitives/index.ts";

/** The ONNX node a value came from; passes copy it to what they make of the node. */
export interface Origin {
  /** Name of the ONNX node, or of its first output where the node has none. */
  readonly node: string;
  readonly operator: string;
  /** Of nodes of derived graphs: what they are for. */
  readonly phase?: Phase;
}

/** One tensor of the program. Identity is the object; `id` is unique in a graph and serves the printer. */
export interface Value {
  readonly id: number;
  readonly type: TensorType;
  /** A name from the ONNX file, where it has one. */
  readonly name?: string;
}

/** One application of a primitive. Most primitives have one output. */
export interface Node<P extends PrimitiveName = PrimitiveName> {
  readonly op: P;
  readonly inputs: readonly Value[];
  readonly params: Params<P>;
  readonly outputs: readonly Value[];
  readonly origin: Origin;
}

export interface GraphInput {
  readonly name: string;
  readonly value: Value;
}

/** A named tensor of the model that may be trained. */
export interface Parameter {
  readonly name: string;
  readonly value: Value;
  readonly tensor: Tensor;
}

export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
}

export interface Graph {
  readonly name: string;
  readonly inputs: readonly GraphInput[];
  readonly parameters: readonly Parameter[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly GraphOutput[];
}

/** The node that defines each value; inputs and parameters have none. */
export function definitions(graph: Graph): ReadonlyMap<Value, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)));
}

/** The nodes that use each value, in graph order, once per operand position. Graph outputs are not uses. */
export function uses(graph: Graph): ReadonlyMap<Value, readonly Node[]> {
  const result = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      const list = result.get(value);
      if (list === undefined) result.set(value, [node]);
      else list.push(node);
    }
  }
  return result;
}

/** Whether the node applies this primitive; narrows its parameters. */
export function isNode<P extends PrimitiveName>(node: Node | undefined, op: P): node is Node<P> {
  return node?.op === op;
}

/** Parameters of a node that are graphs, by name: the bodies of structured control. A body has no parameters of its own. */
export function bodiesOf(node: Node): readonly (readonly [name: string, body: Graph])[] {
  return Object.entries(node.params as Readonly<Record<string, unknown>>).filter((entry): entry is [string, Graph] => isGraph(entry[1]));
}

export function isGraph(value: unknown): value is Graph {
  return typeof value === "object" && value !== null && "nodes" in value && "outputs" in value;
}

/** The graph with every body in it replaced; the same graph where all stay. The replacements have the same signature. */
export function mapBodies(graph: Graph, change: (body: Graph) => Graph): Graph {
  let changed = false;
  const nodes = graph.nodes.map((node): Node => {
    const replaced = bodiesOf(node).map(([name, body]) => [name, body, change(body)] as const).filter(([, body, next]) => next !== body);
    if (replaced.length === 0) return node;
    changed = true;
    return { ...node, params: { ...node.params, ...Object.fromEntries(replaced.map(([name, , next]) => [name, next])) } };
  });
  return changed ? { ...graph, nodes } : graph;
}
