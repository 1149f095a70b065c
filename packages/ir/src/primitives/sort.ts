/** @file `sort`: stable, with the positions the keys came from. */
import { elementCount, rowMajorStrides } from "@systole/base";
import type { Value } from "../graph.ts";
import { requireAxis, requireNumeric, requireOperands } from "./checks.ts";
import { add, mul, numberLike, reshapeTo } from "./emit.ts";
import type { Primitive } from "./primitive.ts";
import { splitOffsets, tensorLike } from "./strided.ts";

export interface SortParams {
  readonly axis: number;
  readonly descending: boolean;
}

/** NaN is larger than every number; zeros of both signs are equal. */
function order(a: number | bigint, b: number | bigint): number {
  if (a !== a) return b !== b ? 0 : 1;
  if (b !== b) return -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

export const sort: Primitive<SortParams> = {
  name: "sort",
  doc: "Keys sorted along `axis`, and their former positions (i64); stable in both directions, NaN counts as larger than every number.",
  operands: ["keys"],
  infer(inputs, { axis }) {
    requireOperands("sort", inputs, 1);
    requireNumeric("sort", inputs[0]!);
    requireAxis("sort", inputs[0]!, axis);
    return [inputs[0]!, { dtype: "i64", shape: inputs[0]!.shape }];
  },
  evaluate([x], { axis, descending }, precision) {
    const keys = tensorLike(x!.shape, x!.dtype, precision);
    const positions = tensorLike(x!.shape, "i64", precision);
    const { kept, reduced } = splitOffsets(x!.shape, [axis]);
    for (const start of kept) {
      const at = (e: number): number | bigint => x!.data[start + reduced[e]!]!;
      const sorted = Array.from(reduced, (_, e) => e).sort((a, b) => (descending ? order(at(b), at(a)) : order(at(a), at(b))));
      sorted.forEach((from, e) => {
        (keys.data as Float64Array)[start + reduced[e]!] = at(from) as number;
        (positions.data as BigInt64Array)[start + reduced[e]!] = BigInt(from);
      });
    }
    return [keys, positions];
  },
  // The tangents follow their keys: a gather by flat position.
  jvp(b, { outputs: [keys, positions], tangents: [dx], params: { axis } }) {
    const { shape } = keys!.type;
    const count = elementCount(shape);
    const strides = rowMajorStrides(shape);
    const rows = shape.reduce<Value>((sum, _, a) => {
      if (a === axis || shape[a] === 1) return sum;
      const index = b.apply("iota", [], { dtype: "i64", shape, axis: a });
      return add(b, sum, mul(b, index, numberLike(b, index, strides[a]!)));
    }, mul(b, positions!, numberLike(b, positions!, strides[axis]!)));
    return [b.apply("gather", [reshapeTo(b, dx!, [count]), rows], { distinct: true }), undefined];
  },
};
