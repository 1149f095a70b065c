/** @file `broadcast`: the only way to repeat elements. */
import { formatType, rowMajorStrides } from "@systole/base";
import { require, requireExtents, requireOperands } from "./checks.ts";
import { reshapeTo, sumInAnyLayout } from "./emit.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";
import { copyStrided, strided, tensorLike } from "./strided.ts";

export interface BroadcastParams {
  readonly shape: readonly number[];
  /** Axis a of x becomes axis axes[a] of the result; ascending. Extents are equal, or 1 in x. */
  readonly axes: readonly number[];
}

export const broadcast: Primitive<BroadcastParams> = {
  name: "broadcast",
  doc: "Axis a of x becomes axis axes[a] of the result (ascending; extents equal, or 1 in x); the other axes repeat.",
  operands: ["x"],
  infer(inputs, { shape, axes }) {
    requireOperands("broadcast", inputs, 1);
    requireExtents("broadcast", shape);
    const x = inputs[0]!;
    const wrong = (why: string) => () => `broadcast: ${formatType(x)} to [${shape.join(",")}] by axes [${axes.join(",")}]: ${why}`;
    require(axes.length === x.shape.length, wrong("one axis for each axis of x is needed"));
    require(axes.every((axis, i) => Number.isInteger(axis) && axis > (axes[i - 1] ?? -1) && axis < shape.length), wrong("axes must be ascending axes of the result"));
    require(x.shape.every((extent, i) => extent === shape[axes[i]!] || extent === 1), wrong("extents must be equal, or 1 in x"));
    return [{ dtype: x.dtype, shape }];
  },
  evaluate([x], { shape, axes }, precision) {
    const result = tensorLike(shape, x!.dtype, precision);
    const strides = shape.map(() => 0);
    rowMajorStrides(x!.shape).forEach((stride, i) => {
      if (x!.shape[i] !== 1) strides[axes[i]!] = stride;
    });
    copyStrided(shape, { data: x!.data, start: 0, strides }, strided(result.data, shape));
    return [result];
  },
  jvp: sameOnTangent("broadcast"),
  linearity: () => joint(0),
  transpose(b, { cotangent, types, params: { shape, axes } }) {
    const x = types[0]!.shape;
    const repeated = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis) || x[axes.indexOf(axis)] !== shape[axis]);
    return [reshapeTo(b, repeated.length === 0 ? cotangent : sumInAnyLayout(b, cotangent, repeated), x)];
  },
};
