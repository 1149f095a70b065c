/** @file `constant`: a tensor known at compile time. */
import { elementCount, type Tensor } from "@systole/base";
import { require, requireExtents, requireOperands } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";

export interface ConstantParams {
  readonly value: Tensor;
}

export const constant: Primitive<ConstantParams> = {
  name: "constant",
  doc: "A tensor known at compile time.",
  operands: [],
  infer(inputs, { value }) {
    requireOperands("constant", inputs, 0);
    requireExtents("constant", value.shape);
    require(value.data.length === elementCount(value.shape), () => `constant: ${value.data.length} elements for [${value.shape.join(",")}]`);
    return [{ dtype: value.dtype, shape: value.shape }];
  },
  evaluate: (_inputs, { value }) => [value],
  jvp: noTangents,
};
