/** @file `cumsum`: running sums along an axis. */
import { requireAxis, requireNumeric, requireOperands } from "./checks.ts";
import { joint, sameOnTangent, type Primitive } from "./primitive.ts";
import { splitOffsets, tensorLike } from "./strided.ts";

export interface CumsumParams {
  readonly axis: number;
  /** Element i is the sum of those before it, without itself. */
  readonly exclusive: boolean;
  /** From the end. */
  readonly reverse: boolean;
}

export const cumsum: Primitive<CumsumParams> = {
  name: "cumsum",
  doc: "Running sum along `axis`, sequential from +0; `exclusive` leaves out the element itself, `reverse` starts at the end.",
  operands: ["x"],
  infer(inputs, { axis }) {
    requireOperands("cumsum", inputs, 1);
    requireNumeric("cumsum", inputs[0]!);
    requireAxis("cumsum", inputs[0]!, axis);
    return [inputs[0]!];
  },
  evaluate([x], { axis, exclusive, reverse }, precision) {
    const result = tensorLike(x!.shape, x!.dtype, precision);
    const { kept, reduced } = splitOffsets(x!.shape, [axis]);
    // The sum lives in an array of the element type: the store rounds or wraps.
    const sum = tensorLike([1], x!.dtype, precision).data as Float64Array;
    const from = x!.data as Float64Array;
    const to = result.data as Float64Array;
    const zero = (x!.dtype === "i64" ? 0n : 0) as number;
    for (const start of kept) {
      sum[0] = zero;
      for (let e = 0; e < reduced.length; e++) {
        const at = start + reduced[reverse ? reduced.length - 1 - e : e]!;
        if (exclusive) to[at] = sum[0]!;
        sum[0] = sum[0]! + from[at]!;
        if (!exclusive) to[at] = sum[0]!;
      }
    }
    return [result];
  },
  jvp: sameOnTangent("cumsum"),
  linearity: () => joint(0),
  transpose: (b, { cotangent, params }) => [b.apply("cumsum", [cotangent], { ...params, reverse: !params.reverse })],
};
