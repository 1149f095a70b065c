/** @file `random_bits`: counter-based random numbers, a pure function of the seeds. */
import { elementCount, formatType, randomBits as bitsAt, sameShape } from "@systole/base";
import { require, requireDtype, requireExtents, requireOperands } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";

export interface RandomBitsParams {
  readonly shape: readonly number[];
}

export const randomBits: Primitive<RandomBitsParams> = {
  name: "random_bits",
  doc: "32 random bits an element. The shape of `seeds` is the first part of `shape`, so that each seed has a block of the result: the first words of Threefry-2x32 (20 rounds) with the seed as key and the row-major index inside the block as counter. A single seed `[]` has the whole result.",
  operands: ["seeds"],
  infer(inputs, { shape }) {
    requireOperands("random_bits", inputs, 1);
    const seeds = inputs[0]!;
    requireDtype("random_bits", "seeds", seeds, ["i64"]);
    requireExtents("random_bits", shape);
    require(sameShape(seeds.shape, shape.slice(0, seeds.shape.length)), () => `random_bits: the shape of seeds ${formatType(seeds)} is not the first part of [${shape.join(",")}]`);
    return [{ dtype: "i32", shape }];
  },
  evaluate([seeds], { shape }) {
    const block = elementCount(shape.slice(seeds!.shape.length));
    const keys = seeds!.data as BigInt64Array;
    return [{ dtype: "i32", shape, data: Int32Array.from({ length: elementCount(shape) }, (_, index) => bitsAt(keys[Math.floor(index / block)]!, index % block)) }];
  },
  jvp: noTangents,
};
