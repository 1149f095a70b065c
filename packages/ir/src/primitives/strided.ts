/** @file Loops over strided arrays and results in the evaluator's precision. */
import { allocate, elementCount, isFloat, rowMajorStrides, type Dtype, type NumericArray, type Tensor } from "@systole/base";
import type { Precision } from "./primitive.ts";

/** A zeroed result: under float64 precision every float is kept in 64 bits. */
export function allocateResult(dtype: Dtype, count: number, precision: Precision): NumericArray {
  return precision === "float64" && isFloat(dtype) ? new Float64Array(count) : allocate(dtype, count);
}

export function resultTensor(dtype: Dtype, shape: readonly number[], data: NumericArray): Tensor {
  return { dtype, shape, data };
}

/** Rounds a float to what the element type holds. */
export function roundingOf(dtype: Dtype, precision: Precision): (x: number) => number {
  return dtype === "f32" && precision === "device" ? Math.fround : (x) => x;
}

/** One side of a strided loop: array, first element, stride of each axis. */
export interface Strided {
  readonly data: NumericArray;
  readonly start: number;
  readonly strides: readonly number[];
}

export function strided(data: NumericArray, shape: readonly number[], start = 0): Strided {
  return { data, start, strides: rowMajorStrides(shape) };
}

/** target[point] = source[point] for all points of `shape`. */
export function copyStrided(shape: readonly number[], source: Strided, target: Strided): void {
  if (shape.some((extent) => extent === 0)) return;
  const from = source.data as Float64Array;
  const to = target.data as Float64Array;
  const last = shape.length - 1;
  const walk = (axis: number, s: number, t: number): void => {
    if (axis > last) {
      to[t] = from[s]!;
      return;
    }
    const extent = shape[axis]!;
    const ds = source.strides[axis]!;
    const dt = target.strides[axis]!;
    if (axis === last) for (let i = 0; i < extent; i++) to[t + i * dt] = from[s + i * ds]!;
    else for (let i = 0; i < extent; i++) walk(axis + 1, s + i * ds, t + i * dt);
  };
  walk(0, source.start, target.start);
}

/** The offset of every point of `shape`, in row-major order. */
export function offsetsOf(shape: readonly number[], strides: readonly number[], start = 0): Int32Array {
  let offsets = Int32Array.of(start);
  for (let axis = 0; axis < shape.length; axis++) {
    const next = new Int32Array(offsets.length * shape[axis]!);
    for (let i = 0, at = 0; i < offsets.length; i++) {
      for (let j = 0; j < shape[axis]!; j++) next[at++] = offsets[i]! + j * strides[axis]!;
    }
    offsets = next;
  }
  return offsets;
}

/** Splits the offsets of a tensor into those over the kept axes and those over `axes`. */
export function splitOffsets(shape: readonly number[], axes: readonly number[]): { readonly kept: Int32Array; readonly reduced: Int32Array } {
  const strides = rowMajorStrides(shape);
  const pick = (wanted: boolean): Int32Array => {
    const chosen = shape.map((_, axis) => axis).filter((axis) => axes.includes(axis) === wanted);
    return offsetsOf(chosen.map((axis) => shape[axis]!), chosen.map((axis) => strides[axis]!));
  };
  return { kept: pick(false), reduced: pick(true) };
}

export function without<T>(list: readonly T[], axes: readonly number[]): T[] {
  return list.filter((_, axis) => !axes.includes(axis));
}

export function tensorLike(shape: readonly number[], dtype: Dtype, precision: Precision): Tensor {
  return { dtype, shape, data: allocateResult(dtype, elementCount(shape), precision) };
}
