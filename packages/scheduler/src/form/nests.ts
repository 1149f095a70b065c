/** @file The loop nests of the engines: dimensions, windows, padding. */
import { internal } from "@systole/base";
import type { Node, Params } from "@systole/ir";
import type { Dimension, Reduction } from "../kernel.ts";
import { bitsOf } from "./numbers.ts";

export const isDigit = (label: string): boolean => label >= "0" && label <= "9";

/** Labels as people name them: output pixel (oh, ow), kernel position (kh, kw), input and output channel. */
export function dimensionName(label: string, contracted: boolean, spatial: number): string {
  if (isDigit(label)) return `${contracted ? "k" : "o"}${"dhw"[3 - spatial + Number(label)] ?? label}`;
  if (spatial > 0 && (label === "i" || label === "o")) return `${label}c`;
  return label;
}

export interface ReductionForm {
  readonly reduction: Reduction;
  readonly order: "sequential" | "blocked";
  readonly dims: readonly Dimension[];
  readonly parallel: number;
  /** For each axis of the operand, the dimensions that move it. */
  readonly axes: readonly (readonly { dim: number; factor: number }[])[];
  readonly pad?: { readonly low: readonly number[]; readonly high: readonly number[]; readonly fill: number };
  readonly window: boolean;
  readonly scan?: { readonly axis: number; readonly reverse: boolean };
}

export function reductionForm(node: Node, shape: readonly number[]): ReductionForm {
  const named = (axes: readonly number[], prefix: string) => axes.map((axis) => ({ name: `${prefix}${axis}`, extent: shape[axis]! }));
  const all = shape.map((_, axis) => axis);
  const keepThen = (reduced: readonly number[]) => {
    const kept = all.filter((axis) => !reduced.includes(axis));
    const axes = all.map((axis) => [{ dim: reduced.includes(axis) ? kept.length + reduced.indexOf(axis) : kept.indexOf(axis), factor: 1 }]);
    return { dims: [...named(kept, "d"), ...named(reduced, "r")], parallel: kept.length, axes, window: false };
  };
  switch (node.op) {
    case "reduce": {
      const p = node.params as Params<"reduce">;
      return { reduction: p.kind, order: p.order, ...keepThen(p.axes) };
    }
    case "argreduce": {
      const p = node.params as Params<"argreduce">;
      return { reduction: `arg${p.kind}${p.last ? "last" : ""}`, order: "sequential", ...keepThen([p.axis]) };
    }
    case "cumsum": {
      const p = node.params as Params<"cumsum">;
      const form = keepThen([p.axis]);
      return { reduction: p.exclusive ? "exclusivescan" : "scan", order: "sequential", ...form, scan: { axis: p.axis, reverse: p.reverse } };
    }
    case "window_reduce": {
      const p = node.params as Params<"window_reduce">;
      const fill = p.kind === "max" ? lowestBits(node) : 0;
      return { reduction: p.kind, order: "sequential", ...windowNest(shape, node.outputs[0]!.type.shape, p, fill) };
    }
    default: return internal(`${node.op} is not a reduction`);
  }
}

/** Output points outside, window positions inside; the input is padded as far as the last window reaches. */
export function windowNest(shape: readonly number[], out: readonly number[], p: Params<"window_argmax"> | Params<"window_reduce">, fill: number): Pick<ReductionForm, "dims" | "parallel" | "axes" | "pad" | "window"> {
  const all = shape.map((_, axis) => axis);
  const windowed = all.filter((axis) => p.window[axis]! > 1);
  const dims = [...all.map((axis) => ({ name: `d${axis}`, extent: out[axis]! })), ...windowed.map((axis) => ({ name: `w${axis}`, extent: p.window[axis]! }))];
  const axes = all.map((axis) => [{ dim: axis, factor: p.strides[axis]! }, ...(windowed.includes(axis) ? [{ dim: shape.length + windowed.indexOf(axis), factor: p.dilation[axis]! }] : [])]);
  const high = all.map((axis) => (out[axis]! - 1) * p.strides[axis]! + (p.window[axis]! - 1) * p.dilation[axis]! + 1 - shape[axis]! - p.padding[axis]![0]);
  return { dims, parallel: shape.length, axes, pad: { low: p.padding.map((x) => x[0]), high, fill }, window: true };
}

/** Padding never wins a maximum: the lowest value of the element type. */
export function lowestBits(node: Node): number {
  const dtype = node.inputs[0]!.type.dtype;
  return bitsOf(dtype === "f32" || dtype === "f64" ? -Infinity : dtype === "i8" ? -128 : dtype === "i32" ? -2147483648 : 0, dtype, node.origin);
}
