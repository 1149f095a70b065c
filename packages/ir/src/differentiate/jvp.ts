/** @file The JVP: a graph that computes, beside its values, how they change along a direction. */
import { isFloat } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { zeros } from "../primitives/emit.ts";
import { jvpPrimitive } from "../primitives/index.ts";
import type { Tangent } from "../primitives/primitive.ts";
import { copyNode, Declarations, underOrigin } from "./inline.ts";
import { sourcesOf, tangentName, targetsOf, type DerivativeOptions } from "./names.ts";
import { ancestors } from "./phases.ts";

/**
 * The graph with a further input `d.NAME` for each name in `wrt` and a further output `d.NAME` for each output in `of`: its tangent.
 * An output that the named values do not influence has a tangent of zeros.
 */
export function jvp(graph: Graph, options: DerivativeOptions): Graph {
  const sources = sourcesOf(graph, options.wrt);
  const targets = targetsOf(graph, options.of);
  const b = new GraphBuilder();
  const bindings = new Declarations(b).of(graph);
  const values = new Map<Value, Value>([...graph.inputs, ...graph.parameters].map(({ name, value }) => [value, bindings.get(name)!]));
  const tangents = new Map<Value, Value>(sources.map(({ name, value }) => [value, b.input(tangentName(name), value.type)]));
  // Where no derivative is asked for none has to exist.
  const wanted = ancestors(graph, targets.map(({ value }) => value));
  for (const node of graph.nodes) {
    const outputs = copyNode(b, node, node.inputs.map((value) => values.get(value)!));
    node.outputs.forEach((value, i) => values.set(value, outputs[i]!));
    if (!wanted.has(node)) continue;
    tangentsOf(b, node, values, tangents).forEach((tangent, i) => {
      if (tangent !== undefined) tangents.set(node.outputs[i]!, tangent);
    });
  }
  for (const { name, value } of graph.outputs) b.output(name, values.get(value)!);
  b.setOrigin({ node: "", operator: "" });
  for (const { name, value } of targets) b.output(tangentName(name), tangents.get(value) ?? zeros(b, value.type));
  return removeDeadCode(b.build(`${graph.name}.jvp`));
}

function tangentsOf(b: GraphBuilder, node: Node, values: ReadonlyMap<Value, Value>, tangents: ReadonlyMap<Value, Value>): readonly Tangent[] {
  const given = node.inputs.map((value) => tangents.get(value));
  if (given.every((tangent) => tangent === undefined) || !node.outputs.some(({ type }) => isFloat(type.dtype))) return [];
  const at = (list: readonly Value[]): readonly Value[] => list.map((value) => values.get(value)!);
  return underOrigin(b, node, () => jvpPrimitive(b, node.op, { inputs: at(node.inputs), outputs: at(node.outputs), params: node.params, tangents: given }));
}
