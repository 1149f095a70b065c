/** @file `transpose`: axes in another order. */
import { formatType, rowMajorStrides } from "@systole/base";
import { require, requireOperands } from "./checks.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";
import { copyStrided, strided, tensorLike } from "./strided.ts";

export interface TransposeParams {
  /** Axis a of the result is axis permutation[a] of x. */
  readonly permutation: readonly number[];
}

export const transpose: Primitive<TransposeParams> = {
  name: "transpose",
  doc: "Axis a of the result is axis permutation[a] of x.",
  operands: ["x"],
  infer(inputs, { permutation }) {
    requireOperands("transpose", inputs, 1);
    const x = inputs[0]!;
    const sorted = [...permutation].sort((a, b) => a - b);
    require(sorted.length === x.shape.length && sorted.every((axis, i) => axis === i), () => `transpose: [${permutation.join(",")}] is no permutation of the axes of ${formatType(x)}`);
    return [{ dtype: x.dtype, shape: permutation.map((axis) => x.shape[axis]!) }];
  },
  evaluate([x], { permutation }, precision) {
    const result = tensorLike(permutation.map((axis) => x!.shape[axis]!), x!.dtype, precision);
    const strides = rowMajorStrides(x!.shape);
    copyStrided(result.shape, { data: x!.data, start: 0, strides: permutation.map((axis) => strides[axis]!) }, strided(result.data, result.shape));
    return [result];
  },
  jvp: sameOnTangent("transpose"),
  linearity: () => joint(0),
  transpose: (b, { cotangent, params: { permutation } }) => [b.apply("transpose", [cotangent], { permutation: permutation.map((_, axis) => permutation.indexOf(axis)) })],
};
