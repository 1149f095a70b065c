/** @file `concat`: tensors one behind the other along an axis. */
import { formatType, rowMajorStrides, sameShape, type TensorType } from "@systole/base";
import { require, requireAxis, requireSameDtype } from "./checks.ts";
import type { Primitive } from "./primitive.ts";
import { copyStrided, strided, tensorLike } from "./strided.ts";

export interface ConcatParams {
  readonly axis: number;
}

function concatShape(inputs: readonly TensorType[], axis: number): number[] {
  return inputs[0]!.shape.map((extent, a) => (a === axis ? inputs.reduce((sum, x) => sum + x.shape[axis]!, 0) : extent));
}

export const concat: Primitive<ConcatParams> = {
  name: "concat",
  doc: "The operands one behind the other along `axis`.",
  operands: ["x..."],
  infer(inputs, { axis }) {
    require(inputs.length > 0, () => "concat takes at least one operand");
    const first = inputs[0]!;
    requireAxis("concat", first, axis);
    for (const x of inputs) {
      requireSameDtype("concat", first, x);
      require(sameShape(x.shape.toSpliced(axis, 1), first.shape.toSpliced(axis, 1)) && x.shape.length === first.shape.length, () => `concat along axis ${axis}: ${formatType(first)} and ${formatType(x)}`);
    }
    return [{ dtype: first.dtype, shape: concatShape(inputs, axis) }];
  },
  evaluate(inputs, { axis }, precision) {
    const result = tensorLike(concatShape(inputs, axis), inputs[0]!.dtype, precision);
    const strides = rowMajorStrides(result.shape);
    let position = 0;
    for (const x of inputs) {
      copyStrided(x.shape, strided(x.data, x.shape), { data: result.data, start: position * strides[axis]!, strides });
      position += x.shape[axis]!;
    }
    return [result];
  },
};
