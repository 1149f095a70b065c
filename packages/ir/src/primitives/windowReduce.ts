/** @file `window_reduce`: pooling. */
import { isFloat, sequentialFold, sequentialFoldInteger, type Dtype } from "@systole/base";
import { require } from "./checks.ts";
import type { Primitive } from "./primitive.ts";
import { roundingOf, tensorLike } from "./strided.ts";
import { forEachWindow, inferWindows, windowShape, type WindowParams } from "./window.ts";

export interface WindowReduceParams extends WindowParams {
  readonly kind: "sum" | "max";
}

/** The maximum of a window that lies in the padding altogether. */
export function emptyMaximum(dtype: Dtype): number | bigint {
  switch (dtype) {
    case "f32":
    case "f64": return -Infinity;
    case "i64": return -(2n ** 63n);
    case "i32": return -2147483648;
    case "i8": return -128;
    case "u8":
    case "bool": return 0;
  }
}

export const windowReduce: Primitive<WindowReduceParams> = {
  name: "window_reduce",
  doc: "Sum or maximum of each window, row-major over the window. Padding is +0 for a sum and no term for a maximum, whose value for a window of padding only is the smallest of the type.",
  operands: ["x"],
  infer(inputs, params) {
    const shape = inferWindows("window_reduce", inputs, params);
    require(params.kind === "sum" || params.kind === "max", () => `window_reduce: no kind ${String(params.kind)}`);
    return [{ dtype: inputs[0]!.dtype, shape }];
  },
  evaluate([x], params, precision) {
    const { dtype, shape, data } = x!;
    const result = tensorLike(windowShape(shape, params), dtype, precision);
    const out = result.data as Float64Array;
    const round = roundingOf(dtype, precision);
    forEachWindow(shape, params, (output, elements, count) => {
      if (params.kind === "max" && count === 0) out[output] = emptyMaximum(dtype) as number;
      // A sum from +0 is never -0, so the +0 of the padding need not be added.
      else if (isFloat(dtype)) out[output] = sequentialFold(params.kind, count, (e) => data[elements[e]!] as number, round);
      else {
        const value = sequentialFoldInteger(params.kind, count, (e) => BigInt(data[elements[e]!]!));
        out[output] = (dtype === "i64" ? value : Number(BigInt.asIntN(32, value))) as number;
      }
    });
    return [result];
  },
};
