/** @file Short names for what derivative rules emit all the time. */
import { blockLength, isFloat, reductionOrder, tensor, type TensorType } from "@systole/base";
import type { Value } from "../graph.ts";
import type { ElementwisePrimitiveName } from "./elementwise.ts";
import type { Emit, Tangent } from "./primitive.ts";

export function unary(b: Emit, op: ElementwisePrimitiveName, x: Value): Value {
  return b.apply(op, [x], {});
}

export function binary(b: Emit, op: ElementwisePrimitiveName, x: Value, y: Value): Value {
  return b.apply(op, [x, y], {});
}

export const add = (b: Emit, x: Value, y: Value): Value => binary(b, "add", x, y);
export const sub = (b: Emit, x: Value, y: Value): Value => binary(b, "sub", x, y);
export const mul = (b: Emit, x: Value, y: Value): Value => binary(b, "mul", x, y);
export const div = (b: Emit, x: Value, y: Value): Value => binary(b, "div", x, y);
export const neg = (b: Emit, x: Value): Value => unary(b, "neg", x);

export function select(b: Emit, condition: Value, x: Value, y: Value): Value {
  return b.apply("select", [condition, x, y], {});
}

/** Values of scalars in shape of `type`; the scalar itself where the shape is []. */
export function spread(b: Emit, scalar: Value, shape: readonly number[]): Value {
  return shape.length === 0 ? scalar : b.apply("broadcast", [scalar], { shape, axes: [] });
}

/** One number in the type's shape. */
export function filled(b: Emit, type: TensorType, number: number): Value {
  return spread(b, b.constant(tensor(type.dtype, [], [number])), type.shape);
}

export function zeros(b: Emit, type: TensorType): Value {
  return filled(b, type, 0);
}

/** Shapes the number like the value. */
export function numberLike(b: Emit, like: Value, number: number): Value {
  return filled(b, like.type, number);
}

export function addTangents(b: Emit, ...tangents: readonly Tangent[]): Tangent {
  return tangents.reduce((sum, tangent) => (sum === undefined || tangent === undefined ? sum ?? tangent : add(b, sum, tangent)), undefined);
}

/**
 * The sum over ascending `axes`, in parts: the innermost axes first, as many together as stay within one block, then the others. One sum over places
 * and samples would be a single chain of roundings, whose loss a normalisation by the batch's statistics shows; and a blocked sum must fit on chip.
 */
export function sumOver(b: Emit, x: Value, axes: readonly number[]): Value {
  if (!isFloat(x.type.dtype)) return b.apply("reduce", [x], { kind: "sum", axes, order: "sequential" });
  const { shape } = x.type;
  const first = axes.length - innermost(shape, axes);
  const part = axes.slice(first === axes.length ? 0 : first);
  const sum = b.apply("reduce", [x], { kind: "sum", axes: part, order: reductionOrder(shape, part) });
  return part.length === axes.length ? sum : sumOver(b, sum, axes.slice(0, first));
}

/**
 * The sum over ascending `axes` where it only has to be nearly as exact, as of gradients: axes with others between them, as places and samples around channels, one
 * after the other from the innermost, each in ascending order. That every layout can do, so no transpose stops here.
 */
export function sumInAnyLayout(b: Emit, x: Value, axes: readonly number[]): Value {
  const { shape } = x.type;
  const apart = axes.some((axis, i) => axis !== shape.length - axes.length + i);
  if (!isFloat(x.type.dtype) || !apart || axes.at(-1) !== shape.length - 1 || shape.at(-1)! > longestChain) return sumOver(b, x, axes);
  return sumInAnyLayout(b, b.apply("reduce", [x], { kind: "sum", axes: axes.slice(-1), order: "sequential" }), axes.slice(0, -1));
}

/** Roundings in a row that lose little. */
const longestChain = 1024;

/** How many of the last `axes` are the innermost of `shape` and have no more elements together than a block; a long one stands alone. */
function innermost(shape: readonly number[], axes: readonly number[]): number {
  let [count, elements] = [0, 1];
  while (count < axes.length && axes.at(-1 - count) === shape.length - 1 - count) {
    elements *= shape.at(-1 - count)!;
    if (count > 0 && elements > blockLength) break;
    count++;
  }
  return count;
}

export function reshapeTo(b: Emit, x: Value, shape: readonly number[]): Value {
  return x.type.shape.length === shape.length && x.type.shape.every((extent, axis) => extent === shape[axis]) ? x : b.apply("reshape", [x], { shape });
}

/** x spread over `shape` along `axes`, which x lacks. */
export function spreadOver(b: Emit, x: Value, shape: readonly number[], axes: readonly number[]): Value {
  return b.apply("broadcast", [x], { shape, axes: shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis)) });
}

/** No padding value but 0. */
export function padWithZeros(b: Emit, x: Value, low: readonly number[], high: readonly number[], interior: readonly number[]): Value {
  if ([...low, ...high, ...interior].every((amount) => amount === 0)) return x;
  return b.apply("pad", [x, zeros(b, { dtype: x.type.dtype, shape: [] })], { low, high, interior });
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
