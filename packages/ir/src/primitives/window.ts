/** @file What the window primitives share: parameters, type rule, and the elements of each window. */
import { elementCount, rowMajorStrides, type TensorType } from "@systole/base";
import { requireAmounts, requireNumeric, requireOperands, requirePadding } from "./checks.ts";
import { windowCount } from "./conv.ts";

/** One entry per axis of x; 1, 1, [0, 0] and 1 for an axis without a window. */
export interface WindowParams {
  readonly window: readonly number[];
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly dilation: readonly number[];
}

export function inferWindows(name: string, inputs: readonly TensorType[], params: WindowParams): number[] {
  requireOperands(name, inputs, 1);
  const x = inputs[0]!;
  const rank = x.shape.length;
  requireNumeric(name, x);
  requireAmounts(name, "window", params.window, rank, 1);
  requireAmounts(name, "strides", params.strides, rank, 1);
  requireAmounts(name, "dilation", params.dilation, rank, 1);
  requirePadding(name, params.padding, rank);
  return windowShape(x.shape, params);
}

export function windowShape(shape: readonly number[], params: WindowParams): number[] {
  return shape.map((extent, axis) => windowCount(extent, params.window[axis]!, params.strides[axis]!, params.padding[axis]!, 1, params.dilation[axis]!));
}

/** Calls `body` for each window, in row-major order, with the flat indices of its elements inside x, row-major. */
export function forEachWindow(shape: readonly number[], params: WindowParams, body: (output: number, elements: Int32Array, count: number) => void): void {
  const strides = rowMajorStrides(shape);
  const outputs = windowShape(shape, params);
  const elements = new Int32Array(elementCount(params.window));
  const starts = shape.map(() => 0);
  let count = 0;
  const collect = (axis: number, offset: number): void => {
    if (axis === shape.length) {
      elements[count++] = offset;
      return;
    }
    for (let t = 0; t < params.window[axis]!; t++) {
      const position = starts[axis]! + t * params.dilation[axis]!;
      if (position >= 0 && position < shape[axis]!) collect(axis + 1, offset + position * strides[axis]!);
    }
  };
  let output = 0;
  const walk = (axis: number): void => {
    if (axis === shape.length) {
      count = 0;
      collect(0, 0);
      body(output++, elements, count);
      return;
    }
    for (let o = 0; o < outputs[axis]!; o++) {
      starts[axis] = o * params.strides[axis]! - params.padding[axis]![0];
      walk(axis + 1);
    }
  };
  walk(0);
}
