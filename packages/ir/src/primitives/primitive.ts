/** @file What every primitive states about itself, in one file each. */
import type { Tensor, TensorType } from "@systole/base";
import type { Graph, Value } from "../graph.ts";
import type { Params, PrimitiveName } from "./index.ts";

/** Device numerics bit for bit, or float64 mathematics (f32 values kept in Float64Array, no rounding). */
export type Precision = "device" | "float64";

/** Runs a body on its inputs, in order, in the precision of the whole. */
export type RunBody = (body: Graph, inputs: readonly Tensor[]) => readonly Tensor[];

/** What a derivative rule builds with; a GraphBuilder is one. */
export interface Emit {
  readonly apply: <P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>) => Value;
  readonly applyAll: <P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>) => readonly Value[];
  readonly constant: (value: Tensor) => Value;
}

/** A tangent or a cotangent; a missing one is zero and never becomes an array without need. Integers and booleans have none. */
export type Tangent = Value | undefined;

/** One application of a primitive, as its JVP sees it. At least one tangent is there. */
export interface Application<P> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly params: P;
  /** One entry per operand. */
  readonly tangents: readonly Tangent[];
}

/** A linear application that is turned round. Linear primitives have one result. */
export interface LinearApplication<P> {
  /** The operands that are no linear values; undefined where the operand is linear. */
  readonly fixed: readonly (Value | undefined)[];
  readonly types: readonly TensorType[];
  readonly params: P;
  readonly cotangent: Value;
}

/** In which operands a primitive is linear: `joint` - in all of them together (one that is no linear value must be 0); `single` - in exactly one. */
export interface Linearity {
  readonly kind: "joint" | "single";
  readonly operands: readonly number[];
}

export interface Primitive<P> {
  readonly name: string;
  /** One or two sentences; stands in the generated documentation. */
  readonly doc: string;
  /** Names of the operands; a last name ending in `...` takes any number. */
  readonly operands: readonly string[];
  /** Result types from operand types; throws an InputError (E0203) that names both sides. */
  readonly infer: (inputs: readonly TensorType[], params: P) => readonly TensorType[];
  /** Slow and obvious. Shapes have been checked by `infer`. */
  readonly evaluate: (inputs: readonly Tensor[], params: P, precision: Precision, run: RunBody) => readonly Tensor[];
  /**
   * The tangents of the results. Every node it adds either does not depend on the tangents or uses them linearly. Missing: there
   * is no derivative (E0208). Not called for results that cannot have a tangent. Structured control has its rules in `differentiate/control`:
   * they are about whole graphs.
   */
  readonly jvp?: (b: Emit, at: Application<P>) => readonly Tangent[];
  /** Missing, or undefined for these parameters: not linear. */
  readonly linearity?: (params: P, types: readonly TensorType[]) => Linearity | undefined;
  /** The cotangents of the operands; undefined for operands that are not linear values and for zeros. Stands wherever `linearity` does. */
  readonly transpose?: (b: Emit, at: LinearApplication<P>) => readonly Tangent[];
}

export const joint = (...operands: readonly number[]): Linearity => ({ kind: "joint", operands });
export const single = (...operands: readonly number[]): Linearity => ({ kind: "single", operands });

/** The JVP of a primitive that is linear in its only operand: the same node on the tangent. */
export function sameOnTangent<P extends PrimitiveName>(op: P): (b: Emit, at: Application<Params<P>>) => readonly Tangent[] {
  return (b, { tangents, params }) => [b.apply(op, [tangents[0]!], params)];
}

/** The derivative is zero wherever there is one. */
export function noTangents(_b: Emit, at: { readonly outputs: readonly Value[] }): readonly Tangent[] {
  return at.outputs.map(() => undefined);
}
