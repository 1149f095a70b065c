/** @file A tensor as a value: element type, shape, elements in row-major order. */
import { allocate, bytesOf, type Dtype, type NumericArray } from "./dtype.ts";

export interface TensorType {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/**
 * `data` holds `elementCount(shape)` elements in row-major order. Under the float64 evaluator a tensor of
 * dtype f32 may be stored in a Float64Array; everywhere else the array is the dtype's own.
 */
export interface Tensor extends TensorType {
  readonly data: NumericArray;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function byteCount(type: TensorType): number {
  return elementCount(type.shape) * bytesOf(type.dtype);
}

/** Row-major strides in elements: the last axis has stride 1. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((extent, axis) => extent === b[axis]);
}

/** A tensor from plain numbers (i64 takes them through BigInt). */
export function tensor(dtype: Dtype, shape: readonly number[], values: ArrayLike<number | bigint>): Tensor {
  const count = elementCount(shape);
  if (values.length !== count) throw new Error(`internal: ${count} elements wanted for [${shape.join(",")}], ${values.length} given`);
  const data = allocate(dtype, count);
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    (data as { [index: number]: number | bigint })[i] = dtype === "i64" ? BigInt(value) : Number(value);
  }
  return { dtype, shape: [...shape], data };
}

/** All elements as plain numbers; i64 beyond 2^53 loses precision. */
export function numbersOf(t: Tensor): number[] {
  return Array.from(t.data as ArrayLike<number | bigint>, Number);
}

/** `f32[1,28,28]`, the text form used by every printer. */
export function formatType(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(",")}]`;
}
