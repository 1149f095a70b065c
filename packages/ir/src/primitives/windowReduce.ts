/** @file `window_reduce`: pooling. */
import { elementCount, isFloat, sequentialFold, sequentialFoldInteger, tensor, type Dtype } from "@systole/base";
import type { Value } from "../graph.ts";
import { require } from "./checks.ts";
import { binary, reshapeTo, select, zeros, padWithZeros } from "./emit.ts";
import { joint, type Emit, type Primitive, type Tangent } from "./primitive.ts";
import { roundingOf, tensorLike } from "./strided.ts";
import { forEachWindow, inferWindows, windowShape, type WindowParams } from "./window.ts";

export interface WindowReduceParams extends WindowParams {
  readonly kind: "sum" | "max";
}

/** The maximum of a window that lies in the padding altogether. */
export function emptyMaximum(dtype: Dtype): number | bigint {
  switch (dtype) {
    case "f32":
    case "f64": return -Infinity;
    case "i64": return -(2n ** 63n);
    case "i32": return -2147483648;
    case "i8": return -128;
    case "u8":
    case "bool": return 0;
  }
}

export const windowReduce: Primitive<WindowReduceParams> = {
  name: "window_reduce",
  doc: "Sum or maximum of each window, row-major over the window. Padding is +0 for a sum and no term for a maximum, whose value for a window of padding only is the smallest of the type.",
  operands: ["x"],
  infer(inputs, params) {
    const shape = inferWindows("window_reduce", inputs, params);
    require(params.kind === "sum" || params.kind === "max", () => `window_reduce: no kind ${String(params.kind)}`);
    return [{ dtype: inputs[0]!.dtype, shape }];
  },
  evaluate([x], params, precision) {
    const { dtype, shape, data } = x!;
    const result = tensorLike(windowShape(shape, params), dtype, precision);
    const out = result.data as Float64Array;
    const round = roundingOf(dtype, precision);
    forEachWindow(shape, params, (output, elements, count) => {
      if (params.kind === "max" && count === 0) out[output] = emptyMaximum(dtype) as number;
      // A sum from +0 is never -0, so the +0 of the padding need not be added.
      else if (isFloat(dtype)) out[output] = sequentialFold(params.kind, count, (e) => data[elements[e]!] as number, round);
      else {
        const value = sequentialFoldInteger(params.kind, count, (e) => BigInt(data[elements[e]!]!));
        out[output] = (dtype === "i64" ? value : Number(BigInt.asIntN(32, value))) as number;
      }
    });
    return [result];
  },
  jvp(b, { inputs: [x], outputs: [y], tangents: [dx], params }) {
    if (params.kind === "sum") return [b.apply("window_reduce", [dx!], params)];
    return [winners(b, x!, y!, dx!, params)];
  },
  linearity: ({ kind }) => (kind === "sum" ? joint(0) : undefined),
  // Every element collects the windows that cover it, in row-major order: windows of ones are their own mirror image.
  transpose(b, { cotangent, types, params: { window, strides, padding, dilation } }): readonly Tangent[] {
    const [{ shape }, outputs] = [types[0]!, cotangent.type.shape];
    if (outputs.includes(0) || shape.includes(0)) return [undefined];
    const none = shape.map(() => 0);
    const apart = padWithZeros(b, cotangent, none, none, strides.map((stride) => stride - 1));
    const reach = window.map((extent, axis) => dilation[axis]! * (extent - 1));
    const turned = shape.map((extent, axis): readonly [number, number] => {
      const low = padding[axis]![0];
      return [reach[axis]! - low, extent - 1 - strides[axis]! * (outputs[axis]! - 1) + low];
    });
    return [b.apply("window_reduce", [apart], { kind: "sum", window, strides: shape.map(() => 1), padding: turned, dilation })];
  },
};

/** The tangent of the first maximum of each window; overlapping windows that share one add up when this is turned round. */
function winners(b: Emit, x: Value, y: Value, dx: Value, params: WindowReduceParams): Value | undefined {
  const { window, strides, padding, dilation } = params;
  const { shape } = x.type;
  const count = elementCount(shape);
  if (count === 0 || elementCount(y.type.shape) === 0) return undefined;
  const index = b.apply("window_argmax", [x], { window, strides, padding, dilation, dtype: "i32" });
  const rows = reshapeTo(b, dx, [count]);
  const reach = window.map((extent, axis) => dilation[axis]! * (extent - 1) + 1);
  // Windows in padding alone share an index; there are none of them where the padding is smaller than a window.
  if (reach.every((one, axis) => Math.max(...padding[axis]!) < one)) return pickedByClass(b, rows, index, reach.map((one, axis) => Math.ceil(one / strides[axis]!)));
  const picked = b.apply("gather", [rows, index], {});
  const covered: number[] = [];
  forEachWindow(shape, params, (_output, _elements, size) => covered.push(size === 0 ? 0 : 1));
  if (covered.every((one) => one === 1)) return picked;
  // A window of padding only has no maximum to follow.
  return select(b, b.constant(tensor("bool", y.type.shape, covered)), picked, zeros(b, y.type));
}

/**
 * Rows by index, class by class: every `classes[axis]`-th window along each axis. Windows of one class do not overlap, so their maxima are
 * distinct; turned round, each class is stored into zeros, and the classes are added in row-major order of their first window.
 */
function pickedByClass(b: Emit, rows: Value, index: Value, classes: readonly number[]): Value {
  const out = index.type.shape;
  if (classes.every((n) => n === 1)) return b.apply("gather", [rows, index], { distinct: true });
  const firsts = classes.reduce<readonly (readonly number[])[]>((all, n, axis) => all.flatMap((head) => Array.from({ length: Math.min(n, out[axis]!) }, (_, first) => [...head, first])), [[]]);
  const parts = firsts.map((starts) => {
    const some = b.apply("slice", [index], { starts, limits: out, strides: classes });
    const picked = b.apply("gather", [rows, some], { distinct: true });
    const high = out.map((extent, axis) => extent - starts[axis]! - (some.type.shape[axis]! - 1) * classes[axis]! - 1);
    return padWithZeros(b, picked, starts, high, classes.map((n) => n - 1));
  });
  return parts.reduce((sum, part) => binary(b, "add", sum, part));
}
