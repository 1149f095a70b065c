/** @file The JVP: a graph that computes, beside its values, how they change along a direction. */
import { isFloat } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { zeros } from "../primitives/emit.ts";
import { jvpPrimitive } from "../primitives/index.ts";
import type { Tangent } from "../primitives/primitive.ts";
import { controlRulesOf } from "./control/index.ts";
import type { BodyDerivatives } from "./control/rules.ts";
import { copyNode, Declarations, underOrigin } from "./inline.ts";
import { sourcesOf, tangentName, targetsOf, type DerivativeOptions } from "./names.ts";
import { ancestors } from "./phases.ts";
import { splitTangents } from "./splitTangents.ts";

/**
 * The graph with a further input `d.NAME` for each name in `wrt` and a further output `d.NAME` for each output in `of`: its tangent.
 * An output that the named values do not influence has a tangent of zeros.
 */
export function jvp(graph: Graph, options: DerivativeOptions): Graph {
  return differentiated(graph, options).graph;
}

interface Differentiated {
  readonly graph: Graph;
  /** The outputs whose tangents are not symbolic zeros. */
  readonly moved: ReadonlySet<string>;
}

/** Handed to the rules of structured control. */
const bodies: BodyDerivatives = {
  jvp,
  linearize: (body, options) => splitTangents(body, jvp(body, options), options),
  moved: (body, wrt) => (wrt.length === 0 ? new Set() : differentiated(body, { wrt }).moved),
};

function differentiated(graph: Graph, options: DerivativeOptions): Differentiated {
  const sources = sourcesOf(graph, options.wrt);
  const targets = targetsOf(graph, options.of);
  const b = new GraphBuilder();
  const bindings = new Declarations(b).of(graph);
  const values = new Map<Value, Value>([...graph.inputs, ...graph.parameters].map(({ name, value }) => [value, bindings.get(name)!]));
  const tangents = new Map<Value, Value>(sources.map(({ name, value }) => [value, b.input(tangentName(name), value.type)]));
  // Where no derivative is asked for none has to exist.
  const wanted = ancestors(graph, targets.map(({ value }) => value));
  for (const node of graph.nodes) {
    const given = wanted.has(node) ? node.inputs.map((value) => tangents.get(value)) : [];
    const { outputs, tangents: made } = resultsOf(b, node, node.inputs.map((value) => values.get(value)!), given);
    node.outputs.forEach((value, i) => {
      values.set(value, outputs[i]!);
      if (made[i] !== undefined) tangents.set(value, made[i]);
    });
  }
  for (const { name, value } of graph.outputs) b.output(name, values.get(value)!);
  b.setOrigin({ node: "", operator: "" });
  for (const { name, value } of targets) b.output(tangentName(name), tangents.get(value) ?? zeros(b, value.type));
  const moved = new Set(targets.filter(({ value }) => tangents.has(value)).map(({ name }) => name));
  return { graph: removeDeadCode(b.build(`${graph.name}.jvp`)), moved };
}

/** The node's results, and their tangents for these of its operands. */
function resultsOf(b: GraphBuilder, node: Node, inputs: readonly Value[], tangents: readonly Tangent[]): { readonly outputs: readonly Value[]; readonly tangents: readonly Tangent[] } {
  if (tangents.every((tangent) => tangent === undefined) || !node.outputs.some(({ type }) => isFloat(type.dtype))) return { outputs: copyNode(b, node, inputs), tangents: [] };
  const control = controlRulesOf(node);
  if (control !== undefined) return underOrigin(b, node, () => control.jvp(b, node, inputs, tangents, bodies));
  const outputs = copyNode(b, node, inputs);
  return { outputs, tangents: underOrigin(b, node, () => jvpPrimitive(b, node.op, { inputs, outputs, params: node.params, tangents })) };
}
