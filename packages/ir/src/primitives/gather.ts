/** @file `gather`: rows of a tensor by index. */
import { elementCount, fail, formatType, internal, type Tensor } from "@systole/base";
import { require, requireDtype, requireOperands } from "./checks.ts";
import { reshapeTo, zeros } from "./emit.ts";
import { joint, type Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";

/** The indices as numbers; one outside [0, count) is a fault, as on the device. */
export function rowIndices(name: string, indices: Tensor, count: number): number[] {
  return Array.from(indices.data as ArrayLike<number | bigint>, (raw) => {
    const index = Number(raw);
    return index >= 0 && index < count ? index : fail("E0501", `${name}: index ${index} outside [0, ${count})`);
  });
}

export interface GatherParams {
  /** The program promises that no two indices are equal: turned round, rows are then stored and not added. */
  readonly distinct?: boolean;
}

export const gather: Primitive<GatherParams> = {
  name: "gather",
  doc: "Rows of x: result [J..., S...] from x [N, S...] and indices [J...]; an index outside [0, N) is a fault. `distinct` promises that no two indices are equal.",
  operands: ["x", "indices"],
  infer(inputs) {
    requireOperands("gather", inputs, 2);
    const [x, indices] = [inputs[0]!, inputs[1]!];
    require(x.shape.length > 0, () => `gather: ${formatType(x)} has no rows`);
    requireDtype("gather", "indices", indices, ["i32", "i64"]);
    return [{ dtype: x.dtype, shape: [...indices.shape, ...x.shape.slice(1)] }];
  },
  evaluate([x, indices], { distinct }, precision) {
    const result = tensorLike([...indices!.shape, ...x!.shape.slice(1)], x!.dtype, precision);
    const row = elementCount(x!.shape.slice(1));
    const from = x!.data as Float64Array;
    const rows = rowIndices("gather", indices!, x!.shape[0]!);
    if (distinct === true && new Set(rows).size < rows.length) internal("gather: indices that were promised to be distinct are not");
    rows.forEach((index, j) => {
      (result.data as Float64Array).set(from.subarray(index * row, (index + 1) * row), j * row);
    });
    return [result];
  },
  jvp: (b, { inputs, tangents, params }) => [b.apply("gather", [tangents[0]!, inputs[1]!], params)],
  linearity: () => joint(0),
  // Rows named more than once add up in ascending position of their index.
  transpose(b, { fixed, types, cotangent, params }) {
    const count = elementCount(types[1]!.shape);
    const updates = reshapeTo(b, cotangent, [count, ...types[0]!.shape.slice(1)]);
    return [b.apply("scatter", [zeros(b, types[0]!), reshapeTo(b, fixed[1]!, [count]), updates], { kind: params.distinct === true ? "set" : "add" }), undefined];
  },
};
