/** @file `window_argmax`: where the maximum of each window stands; what the transpose of a max pooling scatters to. */
import { argExtreme } from "@systole/base";
import { require } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";
import { forEachWindow, inferWindows, windowShape, type WindowParams } from "./window.ts";

export interface WindowArgmaxParams extends WindowParams {
  readonly dtype: "i64" | "i32";
}

export const windowArgmax: Primitive<WindowArgmaxParams> = {
  name: "window_argmax",
  doc: "Flat row-major index into x of the first maximum of each window; padding never wins, and a window of padding only gives 0.",
  operands: ["x"],
  infer(inputs, params) {
    const shape = inferWindows("window_argmax", inputs, params);
    require(params.dtype === "i64" || params.dtype === "i32", () => `window_argmax: indices cannot be ${String(params.dtype)}`);
    return [{ dtype: params.dtype, shape }];
  },
  evaluate([x], params, precision) {
    const result = tensorLike(windowShape(x!.shape, params), params.dtype, precision);
    forEachWindow(x!.shape, params, (output, elements, count) => {
      const index = count === 0 ? 0 : elements[argExtreme("max", count, (e) => x!.data[elements[e]!]!, false)]!;
      (result.data as Float64Array)[output] = (params.dtype === "i64" ? BigInt(index) : index) as number;
    });
    return [result];
  },
  jvp: noTangents,
};
