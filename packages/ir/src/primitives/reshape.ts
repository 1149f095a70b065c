/** @file `reshape`: the same elements in row-major order under another shape. */
import { elementCount, formatType } from "@systole/base";
import { require, requireExtents, requireOperands } from "./checks.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";

export interface ReshapeParams {
  readonly shape: readonly number[];
}

export const reshape: Primitive<ReshapeParams> = {
  name: "reshape",
  doc: "The same elements in row-major order under the shape `shape`.",
  operands: ["x"],
  infer(inputs, { shape }) {
    requireOperands("reshape", inputs, 1);
    requireExtents("reshape", shape);
    const x = inputs[0]!;
    require(elementCount(shape) === elementCount(x.shape), () => `reshape: ${formatType(x)} has ${elementCount(x.shape)} elements, [${shape.join(",")}] has ${elementCount(shape)}`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: ([x], { shape }) => [{ dtype: x!.dtype, shape, data: x!.data }],
  jvp: sameOnTangent("reshape"),
  linearity: () => joint(0),
  transpose: (b, { cotangent, types }) => [b.apply("reshape", [cotangent], { shape: types[0]!.shape })],
};
