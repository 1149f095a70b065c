/** @file `pad`: a value around and between the elements; negative amounts cut off. */
import { elementCount, formatType, rowMajorStrides, type TensorType } from "@systole/base";
import type { Value } from "../graph.ts";
import { require, requireAmounts, requireOperands, requireSameDtype, requireShape } from "./checks.ts";
import { filled, padWithZeros, select, sumOver, zeros } from "./emit.ts";
import { joint, type Emit, type Primitive } from "./primitive.ts";
import { copyStrided, tensorLike } from "./strided.ts";

export interface PadParams {
  /** Elements before and behind, per axis; negative: so many of the padded row are cut off. */
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** Elements between two neighbours. */
  readonly interior: readonly number[];
}

function padShape(shape: readonly number[], { low, high, interior }: PadParams): number[] {
  return shape.map((extent, axis) => low[axis]! + high[axis]! + extent + Math.max(0, extent - 1) * interior[axis]!);
}

export const pad: Primitive<PadParams> = {
  name: "pad",
  doc: "`value` before (low), behind (high) and between (interior) the elements of each axis; negative low and high cut off.",
  operands: ["x", "value"],
  infer(inputs, params) {
    requireOperands("pad", inputs, 2);
    const [x, value] = [inputs[0]!, inputs[1]!];
    requireSameDtype("pad", x, value);
    requireShape("pad", "the value", value.shape, []);
    requireAmounts("pad", "low amounts", params.low, x.shape.length, Number.MIN_SAFE_INTEGER);
    requireAmounts("pad", "high amounts", params.high, x.shape.length, Number.MIN_SAFE_INTEGER);
    requireAmounts("pad", "interior amounts", params.interior, x.shape.length, 0);
    const shape = padShape(x.shape, params);
    require(shape.every((extent) => extent >= 0), () => `pad: ${formatType(x)} would become [${shape.join(",")}]`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate([x, value], params, precision) {
    const result = tensorLike(padShape(x!.shape, params), x!.dtype, precision);
    (result.data as Float64Array).fill(value!.data[0] as number);
    const from = rowMajorStrides(x!.shape);
    const to = rowMajorStrides(result.shape);
    // Only the elements that land inside the result.
    const steps = params.interior.map((amount) => amount + 1);
    const first = x!.shape.map((_, axis) => Math.max(0, Math.ceil(-params.low[axis]! / steps[axis]!)));
    const last = x!.shape.map((extent, axis) => Math.min(extent - 1, Math.floor((result.shape[axis]! - 1 - params.low[axis]!) / steps[axis]!)));
    const shape = first.map((index, axis) => Math.max(0, last[axis]! - index + 1));
    const source = { data: x!.data, start: from.reduce((sum, stride, axis) => sum + stride * first[axis]!, 0), strides: from };
    const start = to.reduce((sum, stride, axis) => sum + stride * (params.low[axis]! + first[axis]! * steps[axis]!), 0);
    copyStrided(shape, source, { data: result.data, start, strides: to.map((stride, axis) => stride * steps[axis]!) });
    return [result];
  },
  jvp(b, { inputs, tangents: [dx, dv], params }) {
    return [b.apply("pad", [dx ?? zeros(b, inputs[0]!.type), dv ?? zeros(b, inputs[1]!.type)], params)];
  },
  linearity: () => joint(0, 1),
  transpose(b, { fixed, types, params, cotangent }) {
    return [fixed[0] === undefined ? cutOut(b, cotangent, types[0]!, params) : undefined, fixed[1] === undefined ? sumOutside(b, cotangent, types[0]!, params) : undefined];
  },
};

/** The elements of the padded tensor that came from x; 0 where x was cut off. */
function cutOut(b: Emit, padded: Value, x: TensorType, { low, high, interior }: PadParams): Value | undefined {
  if (elementCount(x.shape) === 0) return undefined;
  const restored = padWithZeros(b, padded, low.map((amount) => Math.max(0, -amount)), high.map((amount) => Math.max(0, -amount)), low.map(() => 0));
  const { shape } = restored.type;
  const starts = low.map((amount) => Math.max(0, amount));
  const limits = shape.map((extent, axis) => extent - Math.max(0, high[axis]!));
  if (interior.every((amount) => amount === 0) && starts.every((start, axis) => start === 0 && limits[axis] === shape[axis])) return restored;
  return b.apply("slice", [restored], { starts, limits, strides: interior.map((amount) => amount + 1) });
}

/** The sum of everything that did not come from x. */
function sumOutside(b: Emit, padded: Value, x: TensorType, params: PadParams): Value {
  const [inside, outside] = [filled(b, { dtype: "bool", shape: x.shape }, 1), filled(b, { dtype: "bool", shape: [] }, 0)];
  const mask = b.apply("pad", [inside, outside], params);
  return sumOver(b, select(b, mask, zeros(b, padded.type), padded), padded.type.shape.map((_, axis) => axis));
}
