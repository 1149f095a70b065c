/** @file `scatter`: rows written or folded into a tensor by index. */
import { elementCount, foldFloat, foldInteger, formatType, isFloat } from "@systole/base";
import { require, requireDtype, requireNumeric, requireOperands, requireSameDtype, requireShape } from "./checks.ts";
import { rowIndices } from "./gather.ts";
import type { Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";

export interface ScatterParams {
  readonly kind: "set" | "add" | "mul" | "max" | "min";
}

const folds = { add: "sum", mul: "prod", max: "max", min: "min" } as const;

export const scatter: Primitive<ScatterParams> = {
  name: "scatter",
  doc: "x with row indices[j] replaced by (or folded with) updates[j], in ascending j; an index outside [0, N) is a fault.",
  operands: ["x", "indices", "updates"],
  infer(inputs, { kind }) {
    requireOperands("scatter", inputs, 3);
    const [x, indices, updates] = [inputs[0]!, inputs[1]!, inputs[2]!];
    require(kind === "set" || Object.hasOwn(folds, kind), () => `scatter: no kind ${String(kind)}`);
    if (kind !== "set") requireNumeric("scatter", x);
    require(x.shape.length > 0, () => `scatter: ${formatType(x)} has no rows`);
    require(indices.shape.length === 1, () => `scatter: indices ${formatType(indices)} must have one axis`);
    requireDtype("scatter", "indices", indices, ["i32", "i64"]);
    requireSameDtype("scatter", x, updates);
    requireShape("scatter", "updates", updates.shape, [indices.shape[0]!, ...x.shape.slice(1)]);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  evaluate([x, indices, updates], { kind }, precision) {
    const result = tensorLike(x!.shape, x!.dtype, precision);
    const out = result.data as Float64Array;
    const from = updates!.data as Float64Array;
    out.set(x!.data as Float64Array);
    const row = elementCount(x!.shape.slice(1));
    const apply = combiner(kind, isFloat(x!.dtype));
    const wide = x!.dtype === "i64";
    rowIndices("scatter", indices!, x!.shape[0]!).forEach((index, j) => {
      for (let e = 0; e < row; e++) {
        const value = apply(out[index * row + e]!, from[j * row + e]!);
        out[index * row + e] = (typeof value === "bigint" && !wide ? Number(BigInt.asIntN(32, value)) : value) as number;
      }
    });
    return [result];
  },
};

/** One step; the store into the result rounds or wraps. */
function combiner(kind: ScatterParams["kind"], float: boolean): (old: number | bigint, update: number | bigint) => number | bigint {
  if (kind === "set") return (_old, update) => update;
  const fold = folds[kind];
  if (float) return (old, update) => foldFloat[fold](old as number, update as number);
  return (old, update) => foldInteger[fold](BigInt(old), BigInt(update));
}
