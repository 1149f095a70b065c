/** @file `scatter`: rows written or folded into a tensor by index. */
import { elementCount, foldFloat, foldInteger, formatType, isFloat, type TensorType } from "@systole/base";
import type { Value } from "../graph.ts";
import { noDerivative, require, requireDtype, requireNumeric, requireOperands, requireSameDtype, requireShape } from "./checks.ts";
import { rowIndices } from "./gather.ts";
import { binary, select, spreadOver, zeros } from "./emit.ts";
import { joint, type Emit, type Primitive } from "./primitive.ts";
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
  jvp(b, { inputs, tangents: [dx, , du], params }) {
    if (params.kind !== "set" && params.kind !== "add") return noDerivative(`scatter with kind "${params.kind}"`);
    if (params.kind === "add" && du === undefined) return [dx];
    return [b.apply("scatter", [dx ?? zeros(b, inputs[0]!.type), inputs[1]!, du ?? zeros(b, inputs[2]!.type)], params)];
  },
  linearity: ({ kind }) => (kind === "set" || kind === "add" ? joint(0, 2) : undefined),
  transpose(b, { fixed: [x, indices, updates], types, params: { kind }, cotangent }) {
    const toX = kind === "add" ? cotangent : b.apply("scatter", [cotangent, indices!, zeros(b, types[2]!)], { kind: "set" });
    const rows = (): Value => b.apply("gather", [cotangent, indices!], {});
    return [x === undefined ? toX : undefined, undefined, updates !== undefined ? undefined : kind === "add" ? rows() : lastWriters(b, rows(), indices!, types[0]!)];
  },
};

/** One step; the store into the result rounds or wraps. */
function combiner(kind: ScatterParams["kind"], float: boolean): (old: number | bigint, update: number | bigint) => number | bigint {
  if (kind === "set") return (_old, update) => update;
  const fold = folds[kind];
  if (float) return (old, update) => foldFloat[fold](old as number, update as number);
  return (old, update) => foldInteger[fold](BigInt(old), BigInt(update));
}

/** Rows of updates that a later one did not overwrite; the others are 0. */
function lastWriters(b: Emit, rows: Value, indices: Value, x: TensorType): Value {
  const [count, extent] = [indices.type.shape[0]!, x.shape[0]!];
  const positions = b.apply("iota", [], { dtype: "i32", shape: [count], axis: 0 });
  const winners = b.apply("scatter", [zeros(b, { dtype: "i32", shape: [extent] }), indices, positions], { kind: "set" });
  const stays = binary(b, "eq", b.apply("gather", [winners, indices], {}), positions);
  const { shape } = rows.type;
  const mask = shape.length === 1 ? stays : spreadOver(b, stays, shape, shape.map((_, axis) => axis).slice(1));
  return select(b, mask, rows, zeros(b, rows.type));
}
