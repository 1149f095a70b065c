/** @file `concat`: tensors one behind the other along an axis. */
import { formatType, rowMajorStrides, sameShape, type TensorType } from "@systole/base";
import type { Value } from "../graph.ts";
import { require, requireAxis, requireSameDtype } from "./checks.ts";
import { padWithZeros, zeros } from "./emit.ts";
import { joint, type Primitive } from "./primitive.ts";
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
  // Zeros before the first tangent and behind the last are padding.
  jvp(b, { inputs, outputs, tangents, params: { axis } }) {
    const [first, last] = [tangents.findIndex((one) => one !== undefined), tangents.findLastIndex((one) => one !== undefined)];
    const parts = tangents.slice(first, last + 1).map((one, i) => one ?? zeros(b, inputs[first + i]!.type));
    const middle = parts.length === 1 ? parts[0]! : b.apply("concat", parts, { axis });
    const amounts = (values: readonly Value[]): number[] => outputs[0]!.type.shape.map((_, a) => (a === axis ? values.reduce((sum, value) => sum + value.type.shape[axis]!, 0) : 0));
    return [padWithZeros(b, middle, amounts(inputs.slice(0, first)), amounts(inputs.slice(last + 1)), amounts([]))];
  },
  linearity: (_params, types) => joint(...types.keys()),
  transpose(b, { fixed, types, params: { axis }, cotangent }) {
    const { shape } = cotangent.type;
    let position = 0;
    return types.map((type, i) => {
      const start = position;
      position += type.shape[axis]!;
      if (fixed[i] !== undefined) return undefined;
      return b.apply("slice", [cotangent], { starts: shape.map((_, a) => (a === axis ? start : 0)), limits: shape.with(axis, start + type.shape[axis]!), strides: shape.map(() => 1) });
    });
  },
};
