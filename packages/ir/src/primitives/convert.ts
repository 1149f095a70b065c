/** @file `convert`: the same elements in another type. */
import { convertArray, isDtype, isFloat, type Dtype } from "@systole/base";
import { require, requireOperands } from "./checks.ts";
import { joint, type Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";

export interface ConvertParams {
  readonly dtype: Dtype;
}

export const convert: Primitive<ConvertParams> = {
  name: "convert",
  doc: "Element type `dtype`: float to integer truncates and saturates, NaN becomes 0; integer to narrower integer wraps; to bool: not 0.",
  operands: ["x"],
  infer(inputs, { dtype }) {
    requireOperands("convert", inputs, 1);
    require(isDtype(dtype), () => `convert: no element type ${String(dtype)}`);
    return [{ dtype, shape: inputs[0]!.shape }];
  },
  evaluate([x], { dtype }, precision) {
    const result = tensorLike(x!.shape, dtype, precision);
    // A Float64Array that stands for f32 still has no integers to round: nothing is lost by copying floats.
    convertArray(x!.dtype, x!.data, dtype, result.data);
    return [result];
  },
  jvp: (b, { tangents, params }) => (isFloat(params.dtype) ? [b.apply("convert", [tangents[0]!], params)] : [undefined]),
  linearity: ({ dtype }, types) => (isFloat(dtype) && isFloat(types[0]!.dtype) ? joint(0) : undefined),
  transpose: (b, { cotangent, types }) => [b.apply("convert", [cotangent], { dtype: types[0]!.dtype })],
};
