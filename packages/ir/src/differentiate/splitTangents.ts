/**
 * @file Splits a graph with tangents into the part that depends on the point only and the linear map of the tangents. The map reads
 * residuals of the point; every product with J or J' at the same point uses the same ones.
 */
import { byteCount, type TensorType } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import { definitions, type Graph, type Node, type Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { copyNode, Declarations } from "./inline.ts";
import { tangentName, targetsOf, type DerivativeOptions } from "./names.ts";

export interface Residual {
  readonly name: string;
  readonly type: TensorType;
}

export interface Linearized {
  /** The outputs of the graph, and a further output for each residual. */
  readonly point: Graph;
  /**
   * Inputs `d.NAME` of what was differentiated, the residuals, and those inputs and parameters of the graph itself that the map needs;
   * outputs `d.NAME`. Linear in the tangents.
   */
  readonly linear: Graph;
  readonly residuals: readonly Residual[];
  /** The linear inputs of `linear`. */
  readonly tangents: readonly string[];
}

export interface LinearizeOptions extends DerivativeOptions {
  /** Residuals are named by it and a number; `r.` when missing. */
  readonly residualPrefix?: string;
}

/** Cheap to do again and not worth a residual: they only repeat or rename elements. */
const repeated: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape"]);

/** `whole` is the JVP of `graph` under the same options. */
export function splitTangents(graph: Graph, whole: Graph, options: LinearizeOptions): Linearized {
  const tangents = options.wrt.map(tangentName);
  const linearNodes = dependents(whole, tangents);
  const linearValues = new Set([...linearNodes].flatMap((node) => node.outputs));
  const residuals = new Map<Value, string>();
  const prefix = options.residualPrefix ?? "r.";
  const nameOf = (value: Value): string => {
    const name = residuals.get(value) ?? `${prefix}${residuals.size}`;
    residuals.set(value, name);
    return name;
  };
  const targets = new Set(targetsOf(graph, options.of).map(({ name }) => tangentName(name)));
  const linear = linearPart(whole, tangents, linearNodes, linearValues, targets, nameOf);
  const point: Graph = {
    name: `${graph.name}.point`,
    inputs: whole.inputs.filter(({ name }) => !tangents.includes(name)),
    parameters: whole.parameters,
    nodes: whole.nodes.filter((node) => !linearNodes.has(node)),
    outputs: [...whole.outputs.filter(({ name }) => !targets.has(name)), ...[...residuals].map(([value, name]) => ({ name, value }))],
  };
  return { point: removeDeadCode(point), linear, residuals: [...residuals].map(([value, name]) => ({ name, type: value.type })), tangents };
}

export function residualBytes(residuals: readonly Residual[]): number {
  return residuals.reduce((sum, { type }) => sum + byteCount(type), 0);
}

/** The nodes that depend on the named inputs. */
function dependents(graph: Graph, inputs: readonly string[]): ReadonlySet<Node> {
  const values = new Set(graph.inputs.filter(({ name }) => inputs.includes(name)).map(({ value }) => value));
  const result = new Set<Node>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((value) => values.has(value))) continue;
    result.add(node);
    for (const value of node.outputs) values.add(value);
  }
  return result;
}

function linearPart(whole: Graph, tangents: readonly string[], linearNodes: ReadonlySet<Node>, linearValues: ReadonlySet<Value>, targets: ReadonlySet<string>, nameOf: (value: Value) => string): Graph {
  const b = new GraphBuilder();
  const declarations = new Declarations(b);
  const values = new Map<Value, Value>();
  for (const { name, value } of whole.inputs) if (tangents.includes(name)) values.set(value, b.input(name, value.type));
  const sources = new Map([...whole.inputs, ...whole.parameters].map((one) => [one.value, one.name]));
  const defined = definitions(whole);
  const source = (value: Value): Value => {
    const name = sources.get(value)!;
    return declarations.of(onlySource(whole, name)).get(name)!;
  };
  const fetch = (value: Value): Value => {
    const known = values.get(value);
    if (known !== undefined) return known;
    const node = defined.get(value);
    const fetched = node === undefined ? source(value) : repeated.has(node.op) ? copyNode(b, node, node.inputs.map(fetch))[0]! : b.input(nameOf(value), value.type);
    values.set(value, fetched);
    return fetched;
  };
  for (const node of whole.nodes) {
    if (!linearNodes.has(node)) continue;
    const operands = node.inputs.map((value) => (linearValues.has(value) ? values.get(value)! : fetch(value)));
    const outputs = copyNode(b, node, operands);
    node.outputs.forEach((value, i) => values.set(value, outputs[i]!));
  }
  for (const { name, value } of whole.outputs) if (targets.has(name)) b.output(name, fetch(value));
  return b.build(`${whole.name.replace(/\.jvp$/, "")}.linear`);
}

/** A graph with this one input or parameter. */
function onlySource(graph: Graph, name: string): Graph {
  return { ...graph, inputs: graph.inputs.filter((one) => one.name === name), parameters: graph.parameters.filter((one) => one.name === name) };
}
