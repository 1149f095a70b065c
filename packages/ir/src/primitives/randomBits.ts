/** @file `random_bits`: counter-based random numbers, a pure function of the seed. */
import { elementCount, randomBits as bitsAt } from "@systole/base";
import { requireDtype, requireExtents, requireOperands, requireShape } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";

export interface RandomBitsParams {
  readonly shape: readonly number[];
}

export const randomBits: Primitive<RandomBitsParams> = {
  name: "random_bits",
  doc: "32 random bits an element: the first word of Threefry-2x32 (20 rounds) with the seed as key and the row-major index as counter.",
  operands: ["seed"],
  infer(inputs, { shape }) {
    requireOperands("random_bits", inputs, 1);
    requireDtype("random_bits", "the seed", inputs[0]!, ["i64"]);
    requireShape("random_bits", "the seed", inputs[0]!.shape, []);
    requireExtents("random_bits", shape);
    return [{ dtype: "i32", shape }];
  },
  evaluate([seed], { shape }) {
    const key = seed!.data[0] as bigint;
    return [{ dtype: "i32", shape, data: Int32Array.from({ length: elementCount(shape) }, (_, index) => bitsAt(key, index)) }];
  },
  jvp: noTangents,
};
