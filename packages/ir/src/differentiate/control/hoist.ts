/**
 * @file What leaves a scan: values that depend on its constants only are computed once before it, and contractions of sequences (with constants or
 * with each other) are one contraction over all steps. No sum changes its order. A weight's tangent meets the stored
 * states there, so turned round its gradient is one contraction over steps and samples too.
 */
import { internal } from "@systole/base";
import { isNode, type Graph, type Node, type Value } from "../../graph.ts";
import { isElementwise } from "../../primitives/elementwise.ts";
import type { EmitNode, ScanCall } from "./call.ts";

/**
 * How a value varies over the steps: `none`: made of constants in the graph alone; `fixed`: depends on constants of the scan; `sequence`: on
 * slices of sequences, in a way that has a form for all steps at once; `step`: any other way.
 */
type Variation = "none" | "fixed" | "sequence" | "step";

/** Cheap to do again in every step: they only make or repeat elements. */
const repeated: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape"]);

/** Primitives with a form for all steps at once. */
const stackable = (node: Node): boolean => isElementwise(node.op) || isProduct(node) || ["convert", "reshape", "broadcast", "transpose", "slice"].includes(node.op);

/** Without initial sums: those would be those of every step. */
function isProduct(node: Node): boolean {
  return node.op === "dot" && node.inputs.length === 2;
}

/** The scan without what can leave it; `emit` puts that before it. */
export function hoist(emit: EmitNode, call: ScanCall): ScanCall {
  const { body } = call;
  const variations = variationsOf(call);
  const leaves = (node: Node): boolean => {
    const variation = variations.get(node.outputs[0]!)!;
    return variation === "fixed" ? !repeated.has(node.op) : variation === "sequence" && isProduct(node);
  };
  const outside = new Outside(emit, call, variations);
  const leaving = new Set(body.nodes.filter(leaves));
  const read = readBy(body, leaving);
  const moved = [...leaving].flatMap((node) => node.outputs).filter((value) => read.has(value));
  if (moved.length === 0) return call;
  const of = (variation: Variation): Value[] => moved.filter((value) => variations.get(value) === variation);
  const [consts, sequences] = [of("fixed"), of("sequence")];
  const inputs = body.inputs;
  const first = call.consts.length;
  const named = (values: readonly Value[], prefix: string) => values.map((value, i) => ({ name: `${prefix}.${i}`, value }));
  return {
    ...call,
    body: { ...body, inputs: [...inputs.slice(0, first), ...named(consts, "fixed"), ...inputs.slice(first), ...named(sequences, "all")], nodes: body.nodes.filter((node) => !leaving.has(node)) },
    consts: [...call.consts, ...consts.map((value) => outside.value(value))],
    sequences: [...call.sequences, ...sequences.map((value) => outside.stack(value))],
  };
}

/** What the nodes that stay, and the outputs, read. */
function readBy(body: Graph, leaving: ReadonlySet<Node>): ReadonlySet<Value> {
  return new Set([...body.nodes.filter((node) => !leaving.has(node)).flatMap((node) => node.inputs), ...body.outputs.map(({ value }) => value)]);
}

function variationsOf({ body, consts, carries }: ScanCall): ReadonlyMap<Value, Variation> {
  const variations = new Map<Value, Variation>();
  body.inputs.forEach(({ value }, i) => variations.set(value, i < consts.length ? "fixed" : i < consts.length + carries.length ? "step" : "sequence"));
  for (const node of body.nodes) {
    const given = node.inputs.map((value) => variations.get(value)!);
    const varies = (variation: Variation): boolean => given.includes(variation);
    const variation: Variation = varies("step") || (varies("sequence") && !stackable(node)) ? "step" : varies("sequence") ? "sequence" : varies("fixed") ? "fixed" : "none";
    for (const value of node.outputs) variations.set(value, variation);
  }
  return variations;
}

/** Makes values of the body outside: once, or for all steps. */
class Outside {
  readonly #emit: EmitNode;
  readonly #length: number;
  readonly #variations: ReadonlyMap<Value, Variation>;
  readonly #makers: ReadonlyMap<Value, Node>;
  readonly #made = new Map<Value, Value>();

  constructor(emit: EmitNode, { body, length, consts, carries, sequences }: ScanCall, variations: ReadonlyMap<Value, Variation>) {
    this.#emit = emit;
    this.#length = length;
    this.#variations = variations;
    this.#makers = new Map(body.nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)));
    const operands = [...consts, ...carries, ...sequences];
    body.inputs.forEach(({ value }, i) => this.#made.set(value, operands[i]!));
  }

  /** A value that is the same in every step. */
  value(value: Value): Value {
    return this.#once(value, (node) => this.#emit(node.op, node.inputs.map((input) => this.value(input)), node.params, node.origin));
  }

  /** All steps of a value, along a new first axis. */
  stack(value: Value): Value {
    return this.#once(value, (node) => this.#emitStack(node));
  }

  #once(value: Value, make: (node: Node) => readonly Value[]): Value {
    const known = this.#made.get(value);
    if (known !== undefined) return known;
    const node = this.#makers.get(value) ?? internal(`%${value.id} is no value of the body`);
    make(node).forEach((result, i) => this.#made.set(node.outputs[i]!, result));
    return this.#made.get(value)!;
  }

  #isSequence(value: Value): boolean {
    return this.#variations.get(value) === "sequence";
  }

  #emitStack(node: Node): readonly Value[] {
    const { origin } = node;
    const shape = [this.#length, ...node.outputs[0]!.type.shape];
    if (isNode(node, "dot")) return this.#emitDot(node);
    if (isElementwise(node.op)) return this.#emit(node.op, node.inputs.map((value) => (this.#isSequence(value) ? this.stack(value) : this.#repeat(value, node))), node.params, origin);
    const x = this.stack(node.inputs[0]!);
    const shifted = (axes: readonly number[]): number[] => [0, ...axes.map((axis) => axis + 1)];
    if (isNode(node, "convert")) return this.#emit("convert", [x], node.params, origin);
    if (isNode(node, "reshape")) return this.#emit("reshape", [x], { shape }, origin);
    if (isNode(node, "broadcast")) return this.#emit("broadcast", [x], { shape, axes: shifted(node.params.axes) }, origin);
    if (isNode(node, "transpose")) return this.#emit("transpose", [x], { permutation: shifted(node.params.permutation) }, origin);
    if (!isNode(node, "slice")) return internal(`${node.op} has no form for all steps`);
    const { starts, limits, strides } = node.params;
    return this.#emit("slice", [x], { starts: [0, ...starts], limits: [this.#length, ...limits], strides: [1, ...strides] }, origin);
  }

  #emitDot(node: Node<"dot">): readonly Value[] {
    const { x, w, out, k } = node.params;
    const letter = [..."TUVWXYZABCDEFGHIJKLMNOPQRS"].find((one) => !(x + w).includes(one)) ?? internal("no letter is left for the steps");
    const [first, second] = node.inputs.map((value) => this.#isSequence(value)) as [boolean, boolean];
    const operands = node.inputs.map((value) => (this.#isSequence(value) ? this.stack(value) : this.value(value)));
    return this.#emit("dot", operands, { x: (first ? letter : "") + x, w: (second ? letter : "") + w, out: letter + out, k }, node.origin);
  }

  #repeat(value: Value, { origin }: Node): Value {
    const { shape } = value.type;
    return this.#emit("broadcast", [this.value(value)], { shape: [this.#length, ...shape], axes: shape.map((_, axis) => axis + 1) }, origin)[0]!;
  }
}
