/**
 * @file The ladder of a network: one rung a layer (ONNX node), with its forward cell f, the activations A it stores, its tangent cell R
 * and its backward cell b. The three rows are the point, the linear map and that map turned round, cut by origin.
 */
import { byteCount, elementCount, formatType, isFloat, type TensorType } from "@systole/base";
import { bodiesOf, definitions, isNode, type Graph, type Node, type Value } from "../graph.ts";
import { dotAxes } from "../primitives/dot.ts";
import { linearize, residualBytes } from "./linearize.ts";
import { trainableParameters, turnedName } from "./names.ts";
import { transposeLinear } from "./transpose.ts";

export interface Cell {
  /** Primitives in graph order; those that only move or repeat elements stand only where there are no others. */
  readonly operations: readonly string[];
  /** Multiply-accumulates of its contractions. */
  readonly macs: number;
}

export interface Stored {
  readonly name: string;
  readonly type: TensorType;
  readonly bytes: number;
}

export interface Rung {
  readonly node: string;
  readonly operator: string;
  /** Layers, inputs and outputs of which the forward cell takes values; parameters are not listed. */
  readonly takes: readonly string[];
  readonly forward: Cell;
  /** Residuals that the forward cell makes. */
  readonly stores: readonly Stored[];
  /** What the cells R and b read: residuals, and inputs and parameters where they are. */
  readonly reads: readonly string[];
  readonly tangent: Cell;
  readonly backward: Cell;
}

export interface Ladder {
  readonly name: string;
  readonly wrt: readonly string[];
  /** In the order of the forward pass. */
  readonly rungs: readonly Rung[];
  readonly storedBytes: number;
}

const silent: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape", "transpose", "stop_gradient"]);

/** `of` names outputs; all float outputs when missing. */
export function ladder(network: Graph, wrt: readonly string[], of?: readonly string[]): Ladder {
  const { point, linear, residuals, tangents } = linearize(network, of === undefined ? { wrt } : { wrt, of });
  const transposed = transposeLinear(linear, tangents);
  const forward = byLayer(point);
  const [tangent, backward] = [byLayer(linear), byLayer(transposed)];
  const reads = [readsByLayer(linear, tangents), readsByLayer(transposed, linear.outputs.map(({ name }) => turnedName(name)))];
  const makers = makersOf(point);
  const stores = (key: string): Stored[] => residuals.flatMap(({ name, type }) => (makers(name) === key ? [{ name, type, bytes: byteCount(type) }] : []));
  const keys = [...new Set([...forward.keys(), ...tangent.keys(), ...backward.keys()])];
  const rungs = keys.map((key): Rung => {
    const nodes = forward.get(key) ?? [];
    const { node, operator } = (nodes[0] ?? tangent.get(key)?.[0] ?? backward.get(key)![0]!).origin;
    const read = new Set(reads.flatMap((one) => [...(one.get(key) ?? [])]));
    return { node, operator, takes: takesOf(point, nodes), forward: cellOf(nodes), stores: stores(key), reads: [...read], tangent: cellOf(tangent.get(key) ?? []), backward: cellOf(backward.get(key) ?? []) };
  });
  return { name: network.name, wrt, rungs, storedBytes: residualBytes(residuals) };
}

/** What a network's ladder is taken with respect to: its trainable parameters or, where it has none, its float inputs. */
export function ladderSources(network: Graph): readonly string[] {
  const parameters = trainableParameters(network);
  return parameters.length > 0 ? parameters : network.inputs.filter(({ value }) => isFloat(value.type.dtype)).map(({ name }) => name);
}

/** A layer's identity: two ONNX nodes may share a name, but hardly an operator too. */
const keyOf = ({ origin }: Node): string => `${origin.node}\n${origin.operator}`;

/** Nodes without an ONNX node (zeros for what has no influence) belong to no layer. */
function byLayer(graph: Graph): ReadonlyMap<string, readonly Node[]> {
  const result = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    if (node.origin.node === "" && node.origin.operator === "") continue;
    const list = result.get(keyOf(node));
    if (list === undefined) result.set(keyOf(node), [node]);
    else list.push(node);
  }
  return result;
}

function cellOf(nodes: readonly Node[]): Cell {
  const all = nodes.flatMap((node) => [node, ...inBodies(node)]).map((node) => node.op).filter((op) => op !== "constant");
  const working = all.filter((op) => !silent.has(op));
  return { operations: working.length === 0 ? all : working, macs: nodes.reduce((sum, node) => sum + macsOf(node), 0) };
}

function inBodies(node: Node): readonly Node[] {
  return bodiesOf(node).flatMap(([, body]) => body.nodes.flatMap((inner) => [inner, ...inBodies(inner)]));
}

/** Over all steps; of a loop without known number of steps, those of one. */
function macsOf(node: Node): number {
  const steps = isNode(node, "scan") ? node.params.length : 1;
  return contractionMacs(node) + steps * bodiesOf(node).flatMap(([, body]) => body.nodes).reduce((sum, inner) => sum + macsOf(inner), 0);
}

function contractionMacs(node: Node): number {
  if (isNode(node, "dot")) return elementCount([...dotAxes(node.inputs.map(({ type }) => type), node.params).extents.values()]);
  if (!isNode(node, "conv")) return 0;
  const kernel = node.inputs[1]!.type.shape;
  return elementCount(node.outputs[0]!.type.shape) * elementCount([...node.params.k].map((label) => kernel[node.params.w.indexOf(label)]!));
}

/** The layer that computes an output of the graph. */
function makersOf(graph: Graph): (output: string) => string | undefined {
  const defined = definitions(graph);
  const values = new Map(graph.outputs.map(({ name, value }) => [name, value]));
  return (output) => {
    const node = defined.get(values.get(output)!);
    return node && keyOf(node);
  };
}

/** What the nodes that work on linear values take besides them; a value that is only repeated or renamed counts as its source. */
function readsByLayer(graph: Graph, linearInputs: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
  const isLinear = new Set(graph.inputs.filter(({ name }) => linearInputs.includes(name)).map(({ value }) => value));
  const sources = new Map<Value, readonly string[]>([...graph.inputs, ...graph.parameters].map(({ name, value }) => [value, [name]]));
  const result = new Map<string, Set<string>>();
  for (const node of graph.nodes) {
    const names = node.inputs.flatMap((value) => (isLinear.has(value) ? [] : (sources.get(value) ?? [])));
    if (!node.inputs.some((value) => isLinear.has(value))) {
      for (const value of node.outputs) sources.set(value, names);
      continue;
    }
    for (const value of node.outputs) isLinear.add(value);
    result.set(keyOf(node), new Set([...(result.get(keyOf(node)) ?? []), ...names]));
  }
  return result;
}

function takesOf(point: Graph, nodes: readonly Node[]): readonly string[] {
  const defined = definitions(point);
  const inputs = new Map(point.inputs.map(({ name, value }) => [value, name]));
  const own = new Set(nodes);
  const names = nodes.flatMap((node) => node.inputs).flatMap((value) => {
    const maker = defined.get(value);
    if (maker === undefined) return inputs.has(value) ? [inputs.get(value)!] : [];
    return own.has(maker) || maker.op === "constant" || maker.origin.node === "" ? [] : [maker.origin.node];
  });
  return [...new Set(names)];
}

/** One line a layer: forward to the right and down, backward up again. */
export function printLadder(network: Graph, wrt: readonly string[], of?: readonly string[]): string {
  return renderLadder(ladder(network, wrt, of));
}

export function renderLadder({ name, wrt, rungs, storedBytes }: Ladder): string {
  const head = ["", "layer", "f: A down", "stores", "reads", "R: dA down", "b: B up"];
  const rows = rungs.map((rung, i) => [
    String(i + 1), `${rung.node} ${rung.operator}`, cellText(rung.forward) + fromText(rung, rungs[i - 1]), rung.stores.map(storedText).join(", "), rung.reads.join(" "), cellText(rung.tangent), cellText(rung.backward),
  ]);
  const totals = (pick: (rung: Rung) => Cell): string => macsText(rungs.reduce((sum, rung) => sum + pick(rung).macs, 0)) || "0 macs";
  const foot = ["", "all", totals((rung) => rung.forward), `${storedBytes} bytes`, "", totals((rung) => rung.tangent), totals((rung) => rung.backward)];
  const table = [head, ...rows, foot].map((row) => row.map((cell) => (cell === "" ? "." : cell)));
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) => row.map((cell, column) => (column === 0 ? cell.replace(/^\.$/, "").padStart(widths[0]!) : cell.padEnd(widths[column]!))).join("  ").trimEnd());
  return [`ladder of ${JSON.stringify(name)}: ${rungs.length} layers, with respect to ${wrt.join(", ")}`, ...lines, ""].join("\n");
}

const listedOperations = 5;

/** `conv add (1204224 macs)`; operations that are repeated stand once, with their number. */
function cellText({ operations, macs }: Cell): string {
  const counts = new Map<string, number>();
  for (const operation of operations) counts.set(operation, (counts.get(operation) ?? 0) + 1);
  const texts = [...counts].map(([operation, count]) => (count === 1 ? operation : `${count}*${operation}`));
  const more = texts.length > listedOperations ? [`+${texts.length - listedOperations} more`] : [];
  const work = macsText(macs);
  return [...texts.slice(0, listedOperations), ...more, ...(work === "" ? [] : [`(${work})`])].join(" ");
}

const macsText = (macs: number): string => (macs === 0 ? "" : `${macs} macs`);

/** A wire that does not come from the rung above. */
function fromText({ takes }: Rung, above: Rung | undefined): string {
  return takes.length === 0 || (takes.length === 1 && takes[0] === above?.node) ? "" : ` <- ${takes.join(" ")}`;
}

function storedText({ name, type, bytes }: Stored): string {
  return `${name} ${formatType(type)} ${bytes} bytes`;
}
