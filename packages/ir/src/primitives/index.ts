/** @file The table of primitives: what a graph may consist of, and all that the rest of the compiler knows about them. */
import type { Tensor, TensorType } from "@systole/base";
import { argreduce } from "./argreduce.ts";
import { broadcast } from "./broadcast.ts";
import { concat } from "./concat.ts";
import { constant } from "./constant.ts";
import { conv } from "./conv.ts";
import { convert } from "./convert.ts";
import { cumsum } from "./cumsum.ts";
import { dot } from "./dot.ts";
import { elementwisePrimitives } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { iota } from "./iota.ts";
import { pad } from "./pad.ts";
import type { Precision, Primitive } from "./primitive.ts";
import { randomBits } from "./randomBits.ts";
import { reduce } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { reverse } from "./reverse.ts";
import { scatter } from "./scatter.ts";
import { slice } from "./slice.ts";
import { sort } from "./sort.ts";
import { stopGradient } from "./stopGradient.ts";
import { transpose } from "./transpose.ts";
import { windowArgmax } from "./windowArgmax.ts";
import { windowReduce } from "./windowReduce.ts";

export const primitives = {
  dot, conv,
  ...elementwisePrimitives, convert,
  reduce, argreduce, window_reduce: windowReduce, window_argmax: windowArgmax, cumsum,
  reshape, transpose, broadcast, slice, reverse, pad, concat, gather, scatter, sort,
  constant, iota, random_bits: randomBits, stop_gradient: stopGradient,
} as const;

export type PrimitiveName = keyof typeof primitives;

export const primitiveNames = Object.keys(primitives) as readonly PrimitiveName[];

type ParamsTable = { readonly [P in PrimitiveName]: (typeof primitives)[P] extends Primitive<infer Q> ? Q : never };

/** The parameters of a primitive. */
export type Params<P extends PrimitiveName> = ParamsTable[P];

export function isPrimitive(name: string): name is PrimitiveName {
  return Object.hasOwn(primitives, name);
}

/** A primitive whose name is known at run time only. */
interface AnyPrimitive {
  readonly infer: (inputs: readonly TensorType[], params: unknown) => readonly TensorType[];
  readonly evaluate: (inputs: readonly Tensor[], params: unknown, precision: Precision) => readonly Tensor[];
}

export function inferTypes(op: PrimitiveName, inputs: readonly TensorType[], params: Params<PrimitiveName>): readonly TensorType[] {
  return (primitives[op] as AnyPrimitive).infer(inputs, params);
}

export function evaluatePrimitive(op: PrimitiveName, inputs: readonly Tensor[], params: Params<PrimitiveName>, precision: Precision): readonly Tensor[] {
  return (primitives[op] as AnyPrimitive).evaluate(inputs, params, precision);
}
