/**
 * @file Transposition: a linear map turned round. Values used more than once collect their cotangents in a defined order: that of the
 * uses from the last node to the first.
 */
import { GraphBuilder } from "../builder.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { add, zeros } from "../primitives/emit.ts";
import { transposePrimitive } from "../primitives/index.ts";
import type { Tangent } from "../primitives/primitive.ts";
import { controlRulesOf } from "./control/index.ts";
import { copyNode, underOrigin } from "./inline.ts";
import { verifyLinear } from "./linearity.ts";
import { turnedName } from "./names.ts";

/**
 * `inputs` are the linear inputs of the graph. The result has an input for each linear output and an output for each linear input (`d.x`
 * becomes `c.x` and back); all other inputs and the parameters stay where something still needs them.
 */
export function transposeLinear(graph: Graph, inputs: readonly string[]): Graph {
  const linear = verifyLinear(graph, inputs);
  const b = new GraphBuilder();
  const values = new Map<Value, Value>();
  const used = usedByFixed(graph, linear);
  for (const { name, value } of graph.inputs) if (!inputs.includes(name) && used.has(value)) values.set(value, b.input(name, value.type));
  for (const { name, value, tensor } of graph.parameters) if (used.has(value)) values.set(value, b.parameter(name, tensor));
  const cotangents = new Map<Value, Value>();
  const collect = (value: Value, cotangent: Value): void => {
    const known = cotangents.get(value);
    cotangents.set(value, known === undefined ? cotangent : add(b, known, cotangent));
  };
  for (const { name, value } of graph.outputs) {
    const cotangent = b.input(turnedName(name), value.type);
    if (linear.has(value)) collect(value, cotangent);
  }
  for (const node of graph.nodes) {
    if (node.outputs.some((value) => linear.has(value))) continue;
    const outputs = copyNode(b, node, node.inputs.map((value) => values.get(value)!));
    node.outputs.forEach((value, i) => values.set(value, outputs[i]!));
  }
  for (const node of graph.nodes.toReversed()) {
    const given = node.outputs.map((value) => cotangents.get(value));
    if (!linear.has(node.outputs[0]!) || given.every((cotangent) => cotangent === undefined)) continue;
    underOrigin(b, node, () => {
      const contributions = contributionsOf(b, node, node.inputs.map((value) => values.get(value)), given);
      contributions.forEach((contribution, i) => {
        if (contribution !== undefined && linear.has(node.inputs[i]!)) collect(node.inputs[i]!, contribution);
      });
    });
  }
  b.setOrigin({ node: "", operator: "" });
  for (const name of inputs) {
    const { value } = graph.inputs.find((input) => input.name === name)!;
    b.output(turnedName(name), cotangents.get(value) ?? zeros(b, value.type));
  }
  return removeDeadCode(b.build(`${graph.name}.transposed`));
}

/** The cotangents of the operands; `fixed` holds those operands that are no linear values. */
function contributionsOf(b: GraphBuilder, node: Node, fixed: readonly (Value | undefined)[], cotangents: readonly Tangent[]): readonly Tangent[] {
  const types = node.inputs.map((value) => value.type);
  const control = controlRulesOf(node);
  if (control !== undefined) return control.transpose(b, { node, fixed, types, cotangents }, { transpose: transposeLinear });
  return transposePrimitive(b, node.op, { fixed, types, params: node.params, cotangent: cotangents[0]! });
}

/** Inputs and parameters that something needs which is not a linear value itself. */
function usedByFixed(graph: Graph, linear: ReadonlySet<Value>): ReadonlySet<Value> {
  return new Set(graph.nodes.flatMap((node) => node.inputs.filter((value) => !linear.has(value))));
}
