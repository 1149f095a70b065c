/**
 * @file The hidden values of recurrences as outputs of their own, for structural damping: the pre-activations of every step of an RNN with tanh or
 * logistic, the states of every step of other recurrences.
 */
import { isFloat, type TensorType } from "@systole/base";
import { definitions, isNode, type Graph, type GraphOutput, type Node, type Value } from "../graph.ts";
import type { DampingKind } from "../losses/structuralDamping.ts";
import { nextValueId } from "../passes/rewrite.ts";
import { zeros } from "../primitives/emit.ts";
import { byRole, stacked } from "../primitives/scan.ts";
import { buildScanBody } from "./control/call.ts";
import { inlineNodes } from "./inline.ts";

export interface RecurrentHead {
  /** The ONNX node. */
  readonly node: string;
  /** The output that holds the values. */
  readonly output: string;
  /** [steps, batch, hidden]; 0 where a sequence has ended. */
  readonly type: TensorType;
  readonly kind: DampingKind;
}

export interface WithRecurrentHeads {
  /** The network with a further output for each head; the network itself where there is none. */
  readonly graph: Graph;
  readonly heads: readonly RecurrentHead[];
}

const operators = ["RNN", "GRU", "LSTM"];
const carryNames = ["h", "c"];

/** Heads are named `recurrent/NODE.a` (pre-activations), `.h`, `.c`, and in a second direction `recurrent/NODE.1.a`, ... */
export function recurrentHeads(network: Graph): WithRecurrentHeads {
  const heads: RecurrentHead[] = [];
  const outputs: GraphOutput[] = [];
  const directions = new Map<string, number>();
  let nextId = nextValueId(network);
  const nodes = network.nodes.map((node): Node => {
    if (!isNode(node, "scan") || !operators.includes(node.origin.operator)) return node;
    const { node: name } = node.origin;
    const direction = directions.get(name) ?? 0;
    directions.set(name, direction + 1);
    const found = hiddenValues(node);
    const values = found.map(({ value }): Value => ({ id: nextId++, type: stacked(value.type, node.params.length) }));
    found.forEach(({ kind, label }, i) => {
      const output = `recurrent/${name}${direction === 0 ? "" : `.${direction}`}.${label}`;
      heads.push({ node: name, output, type: values[i]!.type, kind });
      outputs.push({ name: output, value: values[i]! });
    });
    return { ...node, outputs: [...node.outputs, ...values], params: { ...node.params, body: withResults(node, found) } };
  });
  return heads.length === 0 ? { graph: network, heads } : { graph: { ...network, nodes, outputs: [...network.outputs, ...outputs] }, heads };
}

/** A value of the body. */
interface Hidden {
  readonly value: Value;
  /** Where the state stays as it was because the sequence has ended; undefined where none does. */
  readonly running: Value | undefined;
  readonly kind: DampingKind;
  readonly label: string;
}

function hiddenValues({ params, origin }: Node<"scan">): readonly Hidden[] {
  const { body } = params;
  const defined = definitions(body);
  return byRole(body.inputs, params).carries.flatMap(({ value: before }, i): Hidden[] => {
    if (!isFloat(before.type.dtype)) return [];
    const after = body.outputs[i]!.value;
    const last = defined.get(after);
    const held = isNode(last, "select") && last.inputs[2] === before;
    const state = held ? last.inputs[1]! : after;
    const running = held ? last.inputs[0] : undefined;
    const made = defined.get(state);
    if (origin.operator === "RNN" && made !== undefined && (made.op === "tanh" || made.op === "logistic")) return [{ value: made.inputs[0]!, running, kind: made.op, label: "a" }];
    return [{ value: state, running, kind: "squared", label: carryNames[i] ?? `s${i}` }];
  });
}

function withResults({ params }: Node<"scan">, found: readonly Hidden[]): Graph {
  const { body } = params;
  return buildScanBody(body.name, byRole(body.inputs.map(({ value }) => value.type), params), (b, given) => {
    const operands = [...given.consts, ...given.carries, ...given.sequences];
    const values = inlineNodes(b, body, new Map(body.inputs.map(({ name }, i) => [name, operands[i]!])));
    const outputs = body.outputs.map(({ value }) => values.get(value)!);
    const hidden = found.map(({ value, running }) => {
      const here = values.get(value)!;
      return running === undefined ? here : b.apply("select", [values.get(running)!, here, zeros(b, here.type)], {});
    });
    return { carries: outputs.slice(0, params.carries), results: [...outputs.slice(params.carries), ...hidden] };
  });
}
