/** @file The table of primitives: what a graph may consist of, and all that the rest of the compiler knows about them. */
import { internal, type Tensor, type TensorType } from "@systole/base";
import type { Node } from "../graph.ts";
import { argreduce } from "./argreduce.ts";
import { runNodes } from "./body.ts";
import { broadcast } from "./broadcast.ts";
import { concat } from "./concat.ts";
import { cond } from "./cond.ts";
import { constant } from "./constant.ts";
import { conv } from "./conv.ts";
import { convert } from "./convert.ts";
import { cumsum } from "./cumsum.ts";
import { dot } from "./dot.ts";
import { elementwisePrimitives } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { iota } from "./iota.ts";
import { pad } from "./pad.ts";
import { noDerivative } from "./checks.ts";
import type { Application, Emit, LinearApplication, Linearity, Precision, Primitive, RunBody, Tangent } from "./primitive.ts";
import { randomBits } from "./randomBits.ts";
import { reduce } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { reverse } from "./reverse.ts";
import { scan } from "./scan.ts";
import { scatter } from "./scatter.ts";
import { slice } from "./slice.ts";
import { sort } from "./sort.ts";
import { stopGradient } from "./stopGradient.ts";
import { transpose } from "./transpose.ts";
import { whileLoop } from "./while.ts";
import { windowArgmax } from "./windowArgmax.ts";
import { windowReduce } from "./windowReduce.ts";

export const primitives = {
  dot, conv,
  ...elementwisePrimitives, convert,
  reduce, argreduce, window_reduce: windowReduce, window_argmax: windowArgmax, cumsum,
  reshape, transpose, broadcast, slice, reverse, pad, concat, gather, scatter, sort,
  constant, iota, random_bits: randomBits, stop_gradient: stopGradient,
  scan, cond, while: whileLoop,
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
  readonly evaluate: (inputs: readonly Tensor[], params: unknown, precision: Precision, run: RunBody) => readonly Tensor[];
  readonly jvp?: (b: Emit, at: Application<unknown>) => readonly Tangent[];
  readonly linearity?: (params: unknown, types: readonly TensorType[]) => Linearity | undefined;
  readonly transpose?: (b: Emit, at: LinearApplication<unknown>) => readonly Tangent[];
}

export function inferTypes(op: PrimitiveName, inputs: readonly TensorType[], params: Params<PrimitiveName>): readonly TensorType[] {
  return (primitives[op] as AnyPrimitive).infer(inputs, params);
}

export function evaluatePrimitive(op: PrimitiveName, inputs: readonly Tensor[], params: Params<PrimitiveName>, precision: Precision): readonly Tensor[] {
  const apply = (node: Node, operands: readonly Tensor[]): readonly Tensor[] => evaluatePrimitive(node.op, operands, node.params, precision);
  const run: RunBody = (body, operands) => runNodes(body, new Map(body.inputs.map(({ value }, i) => [value, operands[i]!])), apply);
  return (primitives[op] as AnyPrimitive).evaluate(inputs, params, precision, run);
}

/** The tangents of the results; E0208 where there is no derivative. */
export function jvpPrimitive(b: Emit, op: PrimitiveName, at: Application<Params<PrimitiveName>>): readonly Tangent[] {
  const { jvp } = primitives[op] as AnyPrimitive;
  return jvp === undefined ? noDerivative(op) : jvp(b, at);
}

export function linearityOf(op: PrimitiveName, params: Params<PrimitiveName>, types: readonly TensorType[]): Linearity | undefined {
  return (primitives[op] as AnyPrimitive).linearity?.(params, types);
}

/** The cotangents of the operands; the application has been checked to be linear. */
export function transposePrimitive(b: Emit, op: PrimitiveName, at: LinearApplication<Params<PrimitiveName>>): readonly Tangent[] {
  return (primitives[op] as AnyPrimitive).transpose?.(b, at) ?? internal(`${op} is not linear`);
}
