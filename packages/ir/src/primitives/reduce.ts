/** @file `reduce`: sums, products and extremes over axes, in one of two orders. */
import { blockedSum, foldStart, formatType, sequentialFold, sequentialFoldInteger, isFloat, type FoldKind, type ReductionOrder } from "@systole/base";
import { require, requireAxes, requireInitial, requireNumeric, requireOperandsAndPerhaps } from "./checks.ts";
import { extremeTangent, productTangent } from "./reduceDerivatives.ts";
import { addTangents, spreadOver } from "./emit.ts";
import { joint, type Primitive } from "./primitive.ts";
import { roundingOf, splitOffsets, tensorLike, without } from "./strided.ts";

export interface ReduceParams {
  readonly kind: FoldKind;
  /** Ascending; these axes disappear. */
  readonly axes: readonly number[];
  /** Chosen by `reductionOrder` when the program is made and kept by every pass; `blocked` for sums of floats only. */
  readonly order: ReductionOrder;
}

export const reduce: Primitive<ReduceParams> = {
  name: "reduce",
  doc: "Folds `axes`: sum from +0 or from `initial`, prod from 1, max and min from the first element (NaN wins); sequential is ascending row-major order of the reduced axes, blocked the order of docs/numerics.md.",
  operands: ["x", "initial?"],
  infer(inputs, { kind, axes, order }) {
    requireOperandsAndPerhaps("reduce", inputs, 1, "initial sums");
    const x = inputs[0]!;
    requireNumeric("reduce", x);
    requireAxes("reduce", x, axes);
    require(Object.hasOwn(foldStart, kind), () => `reduce: no kind ${String(kind)}`);
    require(order === "sequential" || (order === "blocked" && kind === "sum" && isFloat(x.dtype)), () => `reduce: order ${String(order)} is not defined for ${kind} of ${formatType(x)}`);
    require(foldStart[kind] !== undefined || axes.every((axis) => x.shape[axis]! > 0), () => `reduce: ${kind} over no elements of ${formatType(x)}`);
    require(inputs.length === 1 || kind === "sum", () => `reduce: only sums have initial values, not ${kind}`);
    const result = { dtype: x.dtype, shape: without(x.shape, axes) };
    requireInitial("reduce", inputs[1], result);
    return [result];
  },
  evaluate([x, initial], { kind, axes, order }, precision) {
    const result = tensorLike(without(x!.shape, axes), x!.dtype, precision);
    const { kept, reduced } = splitOffsets(x!.shape, axes);
    const round = roundingOf(x!.dtype, precision);
    const n = reduced.length;
    kept.forEach((start, i) => {
      if (!isFloat(x!.dtype)) {
        const value = sequentialFoldInteger(kind, n, (e) => BigInt(x!.data[start + reduced[e]!]!), initial?.data[i]);
        (result.data as Float64Array)[i] = (x!.dtype === "i64" ? value : Number(BigInt.asIntN(32, value))) as number;
      } else {
        const at = (e: number): number => x!.data[start + reduced[e]!] as number;
        const from = initial?.data[i] as number | undefined;
        (result.data as Float64Array)[i] = order === "blocked" ? blockedSum(n, at, round, from) : sequentialFold(kind, n, at, round, from);
      }
    });
    return [result];
  },
  jvp(b, { inputs: [x], outputs: [y], tangents: [dx, dInitial], params }) {
    switch (params.kind) {
      case "sum": return [addTangents(b, dx && b.apply("reduce", [dx], params), dInitial)];
      case "prod": return [productTangent(b, x!, dx!, params.axes)];
      case "max":
      case "min": return [extremeTangent(b, params.kind, x!, y!, dx!, params.axes)];
    }
  },
  linearity: ({ kind }, { length }) => (kind === "sum" && length === 1 ? joint(0) : undefined),
  transpose: (b, { cotangent, types, params }) => [spreadOver(b, cotangent, types[0]!.shape, params.axes)],
};
