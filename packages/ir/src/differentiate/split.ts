/**
 * @file Cuts a graph in two: what some outputs need, and the rest, which reads values of the first part. So the point of a derivative is computed by one
 * piece of code and its backward part by another.
 */
import { definitions, type Graph, type Node, type Value } from "../graph.ts";
import { ancestors } from "./phases.ts";

export interface SplitGraph {
  /** The outputs that were asked for, and a further output for each value that the second part reads. */
  readonly first: Graph;
  /** The other outputs; inputs are values of the first part by the names of its outputs, and those inputs and parameters of the graph that it needs. */
  readonly second: Graph;
  /** Names of the outputs of `first` that `second` reads. */
  readonly read: readonly string[];
}

/** Done again in the second part and not handed on: they only repeat or rename elements. */
const repeated: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape", "transpose"]);

/** Values that are handed on have the name of the output they are already, else `cut.0`, `cut.1`, ... */
export function splitGraph(graph: Graph, isFirst: (output: string) => boolean): SplitGraph {
  const defined = definitions(graph);
  const firstOutputs = graph.outputs.filter(({ name }) => isFirst(name));
  const secondOutputs = graph.outputs.filter(({ name }) => !isFirst(name));
  const firstNodes = ancestors(graph, firstOutputs.map(({ value }) => value));
  const names = new Map(firstOutputs.map(({ name, value }) => [value, name] as const));
  const read: string[] = [];
  const handed: { readonly name: string; readonly value: Value }[] = [];
  const again = new Set<Node>();
  const need = (value: Value): void => {
    const node = defined.get(value);
    if (node === undefined || !firstNodes.has(node)) return;
    if (repeated.has(node.op)) {
      if (again.has(node)) return;
      again.add(node);
      node.inputs.forEach(need);
      return;
    }
    const name = names.get(value) ?? `cut.${handed.filter((one) => one.name.startsWith("cut.")).length}`;
    names.set(value, name);
    if (read.includes(name)) return;
    read.push(name);
    handed.push({ name, value });
  };
  const secondNodes = ancestors(graph, secondOutputs.map(({ value }) => value));
  for (const node of secondNodes) if (!firstNodes.has(node)) node.inputs.forEach(need);
  for (const { value } of secondOutputs) need(value);
  const nodes = graph.nodes.filter((node) => again.has(node) || (secondNodes.has(node) && !firstNodes.has(node)));
  const used = new Set([...nodes.flatMap((node) => node.inputs), ...secondOutputs.map(({ value }) => value)]);
  return {
    first: {
      ...graph, name: `${graph.name}.first`, nodes: graph.nodes.filter((node) => firstNodes.has(node)),
      outputs: [...firstOutputs, ...handed.filter(({ name }) => !firstOutputs.some((output) => output.name === name))],
    },
    second: {
      ...graph, name: `${graph.name}.second`, nodes, outputs: secondOutputs,
      inputs: [...graph.inputs.filter(({ value }) => used.has(value)), ...handed], parameters: graph.parameters.filter(({ value }) => used.has(value)),
    },
    read,
  };
}
