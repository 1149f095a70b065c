/** @file What a lowering sees of its node, and how operators are registered. */
import { fail, numbersOf, type Dtype, type Tensor, type TensorType } from "@systole/base";
import type { Graph, Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import type { DrawBits } from "../lowering/masks.ts";
import type { Attributes } from "../model/attributes.ts";
import type { GraphProto } from "../model/proto.ts";

/** One node to be lowered. */
export interface Call {
  readonly e: Emitter;
  readonly operator: string;
  /** The version of the operator set that the node's model or function imports. */
  readonly opset: number;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  /** One entry per output of the node; an unnamed output is not wanted. */
  readonly wanted: readonly boolean[];
  /** What is to be done with Dropout in training form; undefined where it is refused. */
  readonly dropout: Dropout | undefined;
  /** Imports a subgraph in the scope of the node and gives its outputs. */
  readonly inline: (graph: GraphProto) => readonly Value[];
  /** Imports a subgraph as a body of structured control; see `ImportBody`. */
  readonly body: ImportBody;
}

/** Dropout in training form: left out, or with random numbers. */
export type Dropout = "off" | {
  readonly bits: DrawBits;
};

/** A subgraph as a body. */
export interface ImportedBody {
  /** Inputs: what it reads of the graph around it (values that are fixed at import are constants in it), then those that it declares and that are no constants. */
  readonly graph: Graph;
  /** The values around it that the first inputs stand for. */
  readonly captured: readonly Value[];
}

/** Gives the body's outputs from those of the subgraph; undefined: there shall be no body. */
export type FinishBody = (e: Emitter, inputs: readonly Value[], outputs: readonly Value[]) => readonly Value[] | undefined;

/** `inputs`: what the subgraph's own inputs are, a constant or of a type. */
export interface ImportBody {
  (graph: GraphProto, inputs: readonly (TensorType | Tensor)[]): ImportedBody;
  (graph: GraphProto, inputs: readonly (TensorType | Tensor)[], finish: FinishBody): ImportedBody | undefined;
}

/** A lowering gives one value per output; it may leave out what is not wanted. */
export type Lowering = (call: Call) => Value | readonly (Value | undefined)[];

export interface Operator {
  readonly name: string;
  /** What is restricted; empty where everything the standard says is accepted. */
  readonly constraints: string;
  readonly lower: Lowering;
}

export function operator(name: string, lower: Lowering, constraints = ""): Operator {
  return { name, lower, constraints };
}

export function input(c: Call, index: number): Value {
  return c.inputs[index] ?? fail("E0205", `input ${index} is missing`);
}

/** A tensor that the operator needs while the model is compiled. */
export function knownInput(c: Call, index: number, name: string): Tensor {
  return c.e.readable(input(c, index)) ?? unknown(c, index, name);
}

export function knownIntegers(c: Call, index: number, name: string): number[] {
  const value = knownInput(c, index, name);
  if (value.shape.length > 1) fail("E0203", `input ${index} (${name}) has shape [${value.shape.join(",")}]; a list is wanted`);
  const values = numbersOf(value);
  const strange = values.find((one) => !Number.isInteger(one));
  return strange === undefined ? values : fail("E0203", `input ${index} (${name}) holds ${strange}; integers are wanted`);
}

export function optionalIntegers(c: Call, index: number, name: string): number[] | undefined {
  return c.inputs[index] === undefined ? undefined : knownIntegers(c, index, name);
}

/** A single number, as a scalar or a list of one. */
export function knownNumber(c: Call, index: number, name: string): number {
  const values = numbersOf(knownInput(c, index, name));
  return values.length === 1 ? values[0]! : fail("E0203", `input ${index} (${name}) has ${values.length} elements; one is wanted`);
}

/** An attribute in old versions of an operator, an input in new ones. */
export function integersFrom(c: Call, name: string, index: number): number[] | undefined {
  return c.attributes.ints(name) ?? optionalIntegers(c, index, name);
}

/** An axis counted from 0, from one that may count from the end. */
export function axisOf(axis: number, rank: number, what = "axis"): number {
  const result = axis < 0 ? axis + rank : axis;
  return Number.isInteger(result) && result >= 0 && result < Math.max(rank, 1) ? result : fail("E0203", `${what} ${axis} of a tensor of rank ${rank}`);
}

export function axesOf(axes: readonly number[], rank: number): number[] {
  const result = axes.map((axis) => axisOf(axis, rank)).sort((a, b) => a - b);
  if (new Set(result).size !== result.length) fail("E0203", `an axis stands twice in [${axes.join(",")}]`);
  return result;
}

export function requireFloat(value: Value): void {
  requireDtype(value, ["f32", "f64"]);
}

export function requireDtype(value: Value, accepted: readonly Dtype[]): void {
  if (!accepted.includes(value.type.dtype)) fail("E0207", `${value.type.dtype} operand`, {}, [`accepted here: ${accepted.join(", ")}`]);
}

export function requireRank(value: Value, least: number, most = Infinity): void {
  const rank = value.type.shape.length;
  const wanted = least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
  if (rank < least || rank > most) fail("E0203", `a tensor of rank ${rank} where ${wanted} is wanted`);
}

function unknown(c: Call, index: number, name: string): never {
  return fail("E0206", `input ${index} (${name}) of ${c.operator} depends on data of the run`, { value: c.inputs[index]?.name ?? name });
}
