/** @file `reverse`: axes run backwards. */
import { rowMajorStrides } from "@systole/base";
import { requireAxes, requireOperands } from "./checks.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";
import { copyStrided, strided, tensorLike } from "./strided.ts";

export interface ReverseParams {
  readonly axes: readonly number[];
}

export const reverse: Primitive<ReverseParams> = {
  name: "reverse",
  doc: "The elements along `axes` (ascending) in reverse order.",
  operands: ["x"],
  infer(inputs, { axes }) {
    requireOperands("reverse", inputs, 1);
    requireAxes("reverse", inputs[0]!, axes);
    return [inputs[0]!];
  },
  evaluate([x], { axes }, precision) {
    const result = tensorLike(x!.shape, x!.dtype, precision);
    const strides = rowMajorStrides(x!.shape);
    const start = axes.reduce((sum, axis) => sum + strides[axis]! * (x!.shape[axis]! - 1), 0);
    const backwards = strides.map((stride, axis) => (axes.includes(axis) ? -stride : stride));
    copyStrided(x!.shape, { data: x!.data, start, strides: backwards }, strided(result.data, x!.shape));
    return [result];
  },
  jvp: sameOnTangent("reverse"),
  linearity: () => joint(0),
  transpose: (b, { cotangent, params }) => [b.apply("reverse", [cotangent], params)],
};
