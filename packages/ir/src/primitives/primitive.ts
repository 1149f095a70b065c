/** @file What every primitive states about itself, in one file each. */
import type { Tensor, TensorType } from "@systole/base";

/** Device numerics bit for bit, or float64 mathematics (f32 values kept in Float64Array, no rounding). */
export type Precision = "device" | "float64";

export interface Primitive<P> {
  readonly name: string;
  /** One or two sentences; stands in the generated documentation. */
  readonly doc: string;
  /** Names of the operands; a last name ending in `...` takes any number. */
  readonly operands: readonly string[];
  /** Result types from operand types; throws an InputError (E0203) that names both sides. */
  readonly infer: (inputs: readonly TensorType[], params: P) => readonly TensorType[];
  /** Slow and obvious. Shapes have been checked by `infer`. */
  readonly evaluate: (inputs: readonly Tensor[], params: P, precision: Precision) => readonly Tensor[];
  // The next issue adds here: `jvp`, and `transpose` where the primitive is linear.
}

export function definePrimitive<const N extends string, P>(primitive: Primitive<P> & { readonly name: N }): Primitive<P> & { readonly name: N } {
  return primitive;
}
