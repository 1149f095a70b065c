/** @file `reduce`: sums, products and extremes over axes, in one of two orders. */
import { blockedSum, foldStart, formatType, sequentialFold, sequentialFoldInteger, isFloat, type FoldKind, type ReductionOrder } from "@systole/base";
import { require, requireAxes, requireNumeric, requireOperands } from "./checks.ts";
import { extremeTangent, productTangent } from "./reduceDerivatives.ts";
import { spreadOver } from "./emit.ts";
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
  doc: "Folds `axes`: sum from +0, prod from 1, max and min from the first element (NaN wins); sequential is ascending row-major order of the reduced axes, blocked the order of docs/numerics.md.",
  operands: ["x"],
  infer(inputs, { kind, axes, order }) {
    requireOperands("reduce", inputs, 1);
    const x = inputs[0]!;
    requireNumeric("reduce", x);
    requireAxes("reduce", x, axes);
    require(Object.hasOwn(foldStart, kind), () => `reduce: no kind ${String(kind)}`);
    require(order === "sequential" || (order === "blocked" && kind === "sum" && isFloat(x.dtype)), () => `reduce: order ${String(order)} is not defined for ${kind} of ${formatType(x)}`);
    require(foldStart[kind] !== undefined || axes.every((axis) => x.shape[axis]! > 0), () => `reduce: ${kind} over no elements of ${formatType(x)}`);
    return [{ dtype: x.dtype, shape: without(x.shape, axes) }];
  },
  evaluate([x], { kind, axes, order }, precision) {
    const result = tensorLike(without(x!.shape, axes), x!.dtype, precision);
    const { kept, reduced } = splitOffsets(x!.shape, axes);
    const round = roundingOf(x!.dtype, precision);
    const n = reduced.length;
    kept.forEach((start, i) => {
      if (!isFloat(x!.dtype)) {
        const value = sequentialFoldInteger(kind, n, (e) => BigInt(x!.data[start + reduced[e]!]!));
        (result.data as Float64Array)[i] = (x!.dtype === "i64" ? value : Number(BigInt.asIntN(32, value))) as number;
      } else {
        const at = (e: number): number => x!.data[start + reduced[e]!] as number;
        (result.data as Float64Array)[i] = order === "blocked" ? blockedSum(n, at, round) : sequentialFold(kind, n, at, round);
      }
    });
    return [result];
  },
  jvp(b, { inputs: [x], outputs: [y], tangents: [dx], params }) {
    switch (params.kind) {
      case "sum": return [b.apply("reduce", [dx!], params)];
      case "prod": return [productTangent(b, x!, dx!, params.axes)];
      case "max":
      case "min": return [extremeTangent(b, params.kind, x!, y!, dx!, params.axes)];
    }
  },
  linearity: ({ kind }) => (kind === "sum" ? joint(0) : undefined),
  transpose: (b, { cotangent, types, params }) => [spreadOver(b, cotangent, types[0]!.shape, params.axes)],
};
