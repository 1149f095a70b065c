/** @file Short names for what lowerings emit all the time: NumPy broadcasting, scalars, reductions that keep dimensions. */
import { elementCount, fail, sameShape, tensor, type Dtype, type ElementwiseName } from "@systole/base";
import { emit, type Value } from "@systole/ir";
import type { Emitter } from "./emitter.ts";

export const shapeOf = (value: Value): readonly number[] => value.type.shape;
export const rankOf = (value: Value): number => value.type.shape.length;
/** Longer lists are not made at import, whatever a model asks for. */
const longestList = 2 ** 24;

export const product = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);

export function range(count: number, from = 0): number[] {
  if (!(count <= longestList)) fail("E0203", `a list of ${count} elements`, {}, [`at most ${longestList} elements are settled at import`]);
  return Array.from({ length: count }, (_, i) => from + i);
}

export function scalar(e: Emitter, dtype: Dtype, value: number | bigint): Value {
  if (dtype === "i64" && !Number.isInteger(Number(value))) fail("E0203", `${value} stands where an integer is wanted`);
  return e.constant(tensor(dtype, [], [value]));
}

/** A constant of one value spread over `shape`. */
export function filled(e: Emitter, dtype: Dtype, value: number | bigint, shape: readonly number[]): Value {
  return broadcastTo(e, scalar(e, dtype, value), shape);
}

export function integers(e: Emitter, values: readonly number[], dtype: "i64" | "i32" = "i64", shape: readonly number[] = [values.length]): Value {
  return e.constant(tensor(dtype, shape, values));
}

/** The common shape by the rules of NumPy, or E0203. */
export function broadcastShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return range(rank).map((axis) => {
    const extents = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const extent = extents.find((one) => one !== 1) ?? 1;
    if (extents.some((one) => one !== 1 && one !== extent)) {
      fail("E0203", `shapes ${shapes.map((shape) => `[${shape.join(",")}]`).join(" and ")} cannot be broadcast together`);
    }
    return extent;
  });
}

/** NumPy broadcasting of one value: axes align at the end. */
export function broadcastTo(e: Emitter, value: Value, shape: readonly number[]): Value {
  const from = shapeOf(value);
  if (sameShape(from, shape)) return value;
  if (from.length > shape.length || !sameShape(broadcastShape([from, shape]), shape)) {
    fail("E0203", `shape [${from.join(",")}] cannot be broadcast to [${shape.join(",")}]`);
  }
  return e.apply("broadcast", [value], { shape: [...shape], axes: range(from.length, shape.length - from.length) });
}

/** Axis a of the value becomes axis `axes[a]` of the result. */
export function broadcastAxes(e: Emitter, value: Value, shape: readonly number[], axes: readonly number[]): Value {
  if (sameShape(shapeOf(value), shape)) return value;
  const from = shapeOf(value);
  if (from.some((extent, a) => extent !== 1 && extent !== shape[axes[a]!])) {
    fail("E0203", `shape [${from.join(",")}] does not fit the axes ${axes.join(",")} of [${shape.join(",")}]`);
  }
  return e.apply("broadcast", [value], { shape: [...shape], axes: [...axes] });
}

/** An elementwise primitive after NumPy broadcasting of its operands. */
export function elementwise(e: Emitter, op: ElementwiseName, ...operands: readonly Value[]): Value {
  const shape = broadcastShape(operands.map(shapeOf));
  if (op === "convert") fail("E0203", "internal: convert has a parameter");
  return e.apply(op, operands.map((value) => broadcastTo(e, value, shape)), {});
}

/** An elementwise primitive with a number as second operand. */
export function withNumber(e: Emitter, op: ElementwiseName, value: Value, number: number | bigint): Value {
  return elementwise(e, op, value, scalar(e, value.type.dtype, number));
}

export function convert(e: Emitter, value: Value, dtype: Dtype): Value {
  return value.type.dtype === dtype ? value : e.apply("convert", [value], { dtype });
}

export function reshape(e: Emitter, value: Value, shape: readonly number[]): Value {
  if (sameShape(shapeOf(value), shape)) return value;
  if (elementCount(shapeOf(value)) !== elementCount(shape)) {
    fail("E0203", `[${shapeOf(value).join(",")}] with ${elementCount(shapeOf(value))} elements cannot be reshaped to [${shape.join(",")}]`);
  }
  return e.apply("reshape", [value], { shape: [...shape] });
}

export function transpose(e: Emitter, value: Value, permutation: readonly number[]): Value {
  return permutation.every((axis, i) => axis === i) ? value : e.apply("transpose", [value], { permutation: [...permutation] });
}

export function inverse(permutation: readonly number[]): number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}

/** Removes or adds axes of extent 1. */
export function withoutAxes(e: Emitter, value: Value, axes: readonly number[]): Value {
  return reshape(e, value, shapeOf(value).filter((_, axis) => !axes.includes(axis)));
}

export function sum(e: Emitter, value: Value, axes: readonly number[]): Value {
  return axes.length === 0 ? value : emit.sumOver(e, value, axes);
}

export function reduce(e: Emitter, kind: "sum" | "prod" | "max" | "min", value: Value, axes: readonly number[]): Value {
  if (kind === "sum") return sum(e, value, axes);
  return axes.length === 0 ? value : e.apply("reduce", [value], { kind, axes: [...axes], order: "sequential" });
}

/** Sum, then divide by the count. */
export function mean(e: Emitter, value: Value, axes: readonly number[]): Value {
  return withNumber(e, "div", sum(e, value, axes), product(axes.map((axis) => shapeOf(value)[axis]!)));
}

/** The result of a reduction over `axes`, spread over `shape` again. */
export function spread(e: Emitter, reduced: Value, shape: readonly number[], axes: readonly number[]): Value {
  return broadcastAxes(e, reduced, shape, range(shape.length).filter((axis) => !axes.includes(axis)));
}

export function keepDimensions(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
}

/** Part of one axis. */
export function sliceAxis(e: Emitter, value: Value, axis: number, start: number, limit: number, stride = 1): Value {
  const shape = shapeOf(value);
  if (start === 0 && limit === shape[axis] && stride === 1) return value;
  return e.apply("slice", [value], {
    starts: shape.map((_, a) => (a === axis ? start : 0)),
    limits: shape.map((extent, a) => (a === axis ? limit : extent)),
    strides: shape.map((_, a) => (a === axis ? stride : 1)),
  });
}

export function concat(e: Emitter, values: readonly Value[], axis: number): Value {
  return values.length === 1 ? values[0]! : e.apply("concat", [...values], { axis });
}

/** Rows `indices` (any shape) of `axis`: the result has the axes of indices in the place of `axis`. */
export function takeAxis(e: Emitter, value: Value, axis: number, indices: Value): Value {
  const rank = rankOf(value);
  const front = [axis, ...range(rank).filter((a) => a !== axis)];
  const rows = e.apply("gather", [transpose(e, value, front), indices], {});
  const inner = rankOf(indices);
  return transpose(e, rows, [...range(axis, inner), ...range(inner), ...range(rank - 1 - axis, inner + axis)]);
}

/** Positions along one axis of `shape`. */
export function iota(e: Emitter, dtype: "i32" | "i64", shape: readonly number[], axis: number): Value {
  return e.apply("iota", [], { dtype, shape: [...shape], axis });
}
