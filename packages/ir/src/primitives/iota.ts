/** @file `iota`: each element is its index along an axis. */
import { isDtype, type Dtype } from "@systole/base";
import { require, requireAxis, requireExtents, requireOperands } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";
import { splitOffsets, tensorLike } from "./strided.ts";

export interface IotaParams {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly axis: number;
}

export const iota: Primitive<IotaParams> = {
  name: "iota",
  doc: "Every element is its index along `axis`.",
  operands: [],
  infer(inputs, { dtype, shape, axis }) {
    requireOperands("iota", inputs, 0);
    require(isDtype(dtype) && dtype !== "bool", () => `iota is not defined for ${String(dtype)}`);
    requireExtents("iota", shape);
    requireAxis("iota", { dtype, shape }, axis);
    return [{ dtype, shape }];
  },
  evaluate(_inputs, { dtype, shape, axis }, precision) {
    const result = tensorLike(shape, dtype, precision);
    const { kept, reduced } = splitOffsets(shape, [axis]);
    reduced.forEach((offset, index) => {
      const value = (dtype === "i64" ? BigInt(index) : index) as number;
      for (const start of kept) (result.data as Float64Array)[start + offset] = value;
    });
    return [result];
  },
  jvp: noTangents,
};
