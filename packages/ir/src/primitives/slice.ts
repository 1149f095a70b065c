/** @file `slice`: a strided box of a tensor. */
import { formatType, rowMajorStrides } from "@systole/base";
import { require, requireAmounts, requireOperands } from "./checks.ts";
import { padWithZeros } from "./emit.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";
import { copyStrided, strided, tensorLike } from "./strided.ts";

export interface SliceParams {
  readonly starts: readonly number[];
  /** The first index behind the box. */
  readonly limits: readonly number[];
  readonly strides: readonly number[];
}

function sliceShape({ starts, limits, strides }: SliceParams): number[] {
  return starts.map((start, axis) => Math.ceil((limits[axis]! - start) / strides[axis]!));
}

export const slice: Primitive<SliceParams> = {
  name: "slice",
  doc: "The elements starts, starts + strides, ... below limits, per axis.",
  operands: ["x"],
  infer(inputs, params) {
    requireOperands("slice", inputs, 1);
    const x = inputs[0]!;
    requireAmounts("slice", "starts", params.starts, x.shape.length, 0);
    requireAmounts("slice", "limits", params.limits, x.shape.length, 0);
    requireAmounts("slice", "strides", params.strides, x.shape.length, 1);
    const inside = x.shape.every((extent, axis) => params.starts[axis]! <= params.limits[axis]! && params.limits[axis]! <= extent);
    require(inside, () => `slice: [${params.starts.join(",")}] to [${params.limits.join(",")}] does not lie in ${formatType(x)}`);
    return [{ dtype: x.dtype, shape: sliceShape(params) }];
  },
  evaluate([x], params, precision) {
    const result = tensorLike(sliceShape(params), x!.dtype, precision);
    const strides = rowMajorStrides(x!.shape);
    const start = strides.reduce((sum, stride, axis) => sum + stride * params.starts[axis]!, 0);
    copyStrided(result.shape, { data: x!.data, start, strides: strides.map((stride, axis) => stride * params.strides[axis]!) }, strided(result.data, result.shape));
    return [result];
  },
  jvp: sameOnTangent("slice"),
  linearity: () => joint(0),
  transpose(b, { cotangent, types, params: { starts, strides } }) {
    const extents = cotangent.type.shape;
    if (extents.includes(0)) return [undefined];
    const covered = extents.map((extent, axis) => (extent - 1) * strides[axis]! + 1);
    const high = types[0]!.shape.map((extent, axis) => extent - starts[axis]! - covered[axis]!);
    return [padWithZeros(b, cotangent, starts, high, strides.map((stride) => stride - 1))];
  },
};
