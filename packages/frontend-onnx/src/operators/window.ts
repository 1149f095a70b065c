/** @file Windows that slide over spatial axes: the attributes that convolutions and pools share. */
import { fail } from "@systole/base";
import { range } from "../lowering/values.ts";
import type { Call } from "./operator.ts";

export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: readonly (readonly [low: number, high: number])[];
  readonly output: readonly number[];
}

export const autoPads = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"] as const;

/** Resolves auto_pad, pads and ceil_mode to explicit padding; `high` is such that the output extent follows by rounding down. */
export function windowOf(c: Call, spatial: readonly number[], kernel: readonly number[], withCeil: boolean): Window {
  const n = spatial.length;
  if (kernel.length !== n) fail("E0203", `a kernel of ${kernel.length} axes over ${n} spatial axes`);
  const strides = perAxis(c, "strides", n, 1);
  const dilations = perAxis(c, "dilations", n, 1);
  const pads = c.attributes.ints("pads") ?? range(2 * n).map(() => 0);
  const auto = c.attributes.choice("auto_pad", autoPads, "NOTSET");
  const ceil = withCeil && c.attributes.flag("ceil_mode", false);
  if (pads.length !== 2 * n) c.attributes.refuse("pads", `has ${pads.length} entries`, `${2 * n} entries`);
  if (pads.some((pad) => pad < 0)) c.attributes.refuse("pads", "has a negative entry", "entries of at least 0");
  if (kernel.some((extent) => extent < 1)) fail("E0203", `a kernel of shape [${kernel.join(",")}]`);
  const axes = spatial.map((extent, a) => {
    const reach = dilations[a]! * (kernel[a]! - 1) + 1;
    const stride = strides[a]!;
    if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
      const output = Math.ceil(extent / stride);
      const total = Math.max((output - 1) * stride + reach - extent, 0);
      const low = auto === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
      return { low, high: total - low, output };
    }
    const low = auto === "VALID" ? 0 : pads[a]!;
    const high = auto === "VALID" ? 0 : pads[a + n]!;
    const span = extent + low + high - reach;
    if (span < 0) fail("E0203", `a window of ${reach} over ${extent + low + high} padded elements`);
    const output = outputExtent(span, stride, extent + low, ceil);
    return { low, high: ceil ? (output - 1) * stride + reach - extent - low : high, output };
  });
  return { kernel, strides, dilations, padding: axes.map(({ low, high }) => [low, high] as const), output: axes.map(({ output }) => output) };
}

/** Rounding up must not start a window beyond the input and its low padding. */
function outputExtent(span: number, stride: number, end: number, ceil: boolean): number {
  if (!ceil) return Math.floor(span / stride) + 1;
  const output = Math.ceil(span / stride) + 1;
  return (output - 1) * stride >= end ? output - 1 : output;
}

export function perAxis(c: Call, name: string, count: number, fallback: number): number[] {
  const values = c.attributes.ints(name) ?? range(count).map(() => fallback);
  if (values.length !== count || values.some((value) => value < 1)) c.attributes.refuse(name, `is [${values.join(",")}]`, `${count} positive integers`);
  return values;
}
