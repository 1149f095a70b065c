/** @file `argreduce`: where the extreme element stands along an axis. */
import { argExtreme } from "@systole/base";
import { require, requireAxis, requireNumeric, requireOperands } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";
import { splitOffsets, tensorLike, without } from "./strided.ts";

export interface ArgreduceParams {
  readonly kind: "max" | "min";
  readonly axis: number;
  readonly dtype: "i64" | "i32";
  /** The last of equal elements instead of the first. */
  readonly last: boolean;
}

export const argreduce: Primitive<ArgreduceParams> = {
  name: "argreduce",
  doc: "Index of the first (or last) largest or smallest element along `axis`, which disappears; NaN wins.",
  operands: ["x"],
  infer(inputs, { kind, axis, dtype }) {
    requireOperands("argreduce", inputs, 1);
    const x = inputs[0]!;
    requireNumeric("argreduce", x);
    requireAxis("argreduce", x, axis);
    require(kind === "max" || kind === "min", () => `argreduce: no kind ${String(kind)}`);
    require(dtype === "i64" || dtype === "i32", () => `argreduce: indices cannot be ${String(dtype)}`);
    require(x.shape[axis]! > 0, () => `argreduce: axis ${axis} of [${x.shape.join(",")}] is empty`);
    return [{ dtype, shape: without(x.shape, [axis]) }];
  },
  evaluate([x], { kind, axis, dtype, last }, precision) {
    const result = tensorLike(without(x!.shape, [axis]), dtype, precision);
    const { kept, reduced } = splitOffsets(x!.shape, [axis]);
    kept.forEach((start, i) => {
      const index = argExtreme(kind, reduced.length, (e) => x!.data[start + reduced[e]!]!, last);
      (result.data as Float64Array)[i] = (dtype === "i64" ? BigInt(index) : index) as number;
    });
    return [result];
  },
  jvp: noTangents,
};
