/** @file `conv`: convolution with strides, padding and both dilations; its transposes are convolutions too. */
import { elementCount, rowMajorStrides, type TensorType } from "@systole/base";
import { require, requireAmounts, requireDtype, requireOperands, requirePadding, requireSameDtype } from "./checks.ts";
import { accumulator, packWeights, storeSums } from "./contraction.ts";
import { contractionDtypes, labelOffsets, requireLabels } from "./dot.ts";
import type { Primitive } from "./primitive.ts";
import { allocateResult, offsetsOf, tensorLike } from "./strided.ts";

export interface ConvParams {
  /** Labels: `n` rows, `i` contracted features, `o` columns, `g` groups (may be missing), digits spatial axes. */
  readonly x: string;
  readonly w: string;
  readonly out: string;
  /** `i` and the digits, slowest first: the order of the sum. */
  readonly k: string;
  /** One entry per spatial axis each. */
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly lhsDilation: readonly number[];
  readonly rhsDilation: readonly number[];
}

/** Number of windows along one axis. */
export function windowCount(extent: number, window: number, stride: number, padding: readonly [number, number], lhsDilation: number, rhsDilation: number): number {
  const dilated = extent === 0 ? 0 : lhsDilation * (extent - 1) + 1;
  const span = dilated + padding[0] + padding[1] - (rhsDilation * (window - 1) + 1);
  return span < 0 ? 0 : Math.floor(span / stride) + 1;
}

interface ConvAxes {
  readonly spatial: readonly string[];
  readonly groups: readonly string[];
  /** Extents of the letters, of the digits in x, of those in w, of those in out. */
  readonly extents: ReadonlyMap<string, number>;
  readonly input: readonly number[];
  readonly kernel: readonly number[];
  readonly output: readonly number[];
}

function convAxes(inputs: readonly TensorType[], params: ConvParams): ConvAxes {
  const [x, w] = [inputs[0]!, inputs[1]!];
  const allowed = /^[gnio0-9]*$/;
  requireLabels("conv", "x", params.x, x.shape.length, allowed);
  requireLabels("conv", "w", params.w, w.shape.length, allowed);
  requireLabels("conv", "out", params.out, params.out.length, allowed);
  requireLabels("conv", "k", params.k, params.k.length, allowed);
  const rank = params.strides.length;
  const spatial = Array.from({ length: rank }, (_, s) => String(s));
  const groups = params.x.includes("g") ? ["g"] : [];
  const sorted = (labels: Iterable<string>): string => [...labels].sort().join("");
  const wanted = (...letters: string[]): string => sorted([...spatial, ...groups, ...letters]);
  const labels = [["x", params.x, wanted("n", "i")], ["w", params.w, wanted("i", "o")], ["out", params.out, wanted("n", "o")], ["k", params.k, sorted([...spatial, "i"])]] as const;
  for (const [what, given, expected] of labels) {
    require(sorted(given) === expected, () => `conv: ${what}="${given}" must consist of the labels "${expected}" (${rank} spatial axes)`);
  }
  requireAmounts("conv", "strides", params.strides, rank, 1);
  requireAmounts("conv", "lhsDilation", params.lhsDilation, rank, 1);
  requireAmounts("conv", "rhsDilation", params.rhsDilation, rank, 1);
  requirePadding("conv", params.padding, rank);
  const xExtent = (label: string): number => x.shape[params.x.indexOf(label)]!;
  const wExtent = (label: string): number => w.shape[params.w.indexOf(label)]!;
  for (const label of ["i", ...groups]) {
    require(xExtent(label) === wExtent(label), () => `conv: axis "${label}" is ${xExtent(label)} in x="${params.x}" [${x.shape.join(",")}] but ${wExtent(label)} in w="${params.w}" [${w.shape.join(",")}]`);
  }
  const input = spatial.map(xExtent);
  const kernel = spatial.map(wExtent);
  require(kernel.every((extent) => extent > 0), () => `conv: empty kernel [${kernel.join(",")}]`);
  const output = input.map((extent, s) => windowCount(extent, kernel[s]!, params.strides[s]!, params.padding[s]!, params.lhsDilation[s]!, params.rhsDilation[s]!));
  const extents = new Map([["n", xExtent("n")], ["i", xExtent("i")], ["o", wExtent("o")], ...groups.map((g) => [g, xExtent(g)] as const)]);
  return { spatial, groups, extents, input, kernel, output };
}

function resultShape(params: ConvParams, axes: ConvAxes): number[] {
  return [...params.out].map((label) => axes.extents.get(label) ?? axes.output[Number(label)]!);
}

/** Marks in the table of input offsets. */
const padding = -1;
const hole = -2;

/** For each output point and each kernel point: the spatial offset in x, or a mark. Both row-major. */
function spatialOffsets(params: ConvParams, axes: ConvAxes, strides: readonly number[]): Int32Array {
  let table = Int32Array.of(0);
  let [points, taps] = [1, 1];
  axes.spatial.forEach((_, s) => {
    const [outputs, kernel] = [axes.output[s]!, axes.kernel[s]!];
    const next = new Int32Array(table.length * outputs * kernel);
    for (let p = 0, at = 0; p < points; p++) {
      for (let o = 0; o < outputs; o++) {
        for (let t = 0; t < taps; t++) {
          for (let k = 0; k < kernel; k++) next[at++] = combine(table[p * taps + t]!, inputOffset(params, axes, s, o, k, strides[s]!));
        }
      }
    }
    table = next;
    points *= outputs;
    taps *= kernel;
  });
  return table;
}

/** A hole on any axis is no term; else padding on any axis is 0. */
function combine(a: number, b: number): number {
  return Math.min(a, b) < 0 ? Math.min(a, b) : a + b;
}

function inputOffset(params: ConvParams, axes: ConvAxes, s: number, output: number, tap: number, stride: number): number {
  const dilation = params.lhsDilation[s]!;
  const position = output * params.strides[s]! - params.padding[s]![0] + tap * params.rhsDilation[s]!;
  if (position < 0 || position > dilation * (axes.input[s]! - 1)) return padding;
  return position % dilation === 0 ? (position / dilation) * stride : hole;
}

export const conv: Primitive<ConvParams> = {
  name: "conv",
  doc: "Convolution: as `dot`, where a digit names a spatial axis (input extent in x, kernel extent in w, output extent in out). Padding is a term with value 0, holes of lhsDilation are no terms.",
  operands: ["x", "w"],
  infer(inputs, params) {
    requireOperands("conv", inputs, 2);
    requireDtype("conv", "x", inputs[0]!, contractionDtypes);
    requireSameDtype("conv", inputs[0]!, inputs[1]!);
    return [{ dtype: inputs[0]!.dtype, shape: resultShape(params, convAxes(inputs, params)) }];
  },
  evaluate(inputs, params, precision) {
    const [x, w] = [inputs[0]!, inputs[1]!];
    const axes = convAxes(inputs, params);
    const result = tensorLike(resultShape(params, axes), x.dtype, precision);
    if (elementCount(result.shape) === 0) return [result];
    const outer = ["n"];
    const offsets = (labels: string, shape: readonly number[], letters: readonly string[]) => labelOffsets(labels, shape, letters, axes.extents);
    const [xGroups, wGroups, outGroups] = [offsets(params.x, x.shape, axes.groups), offsets(params.w, w.shape, axes.groups), offsets(params.out, result.shape, axes.groups)];
    const [xRows, outRows] = [offsets(params.x, x.shape, outer), offsets(params.out, result.shape, outer)];
    const [wColumns, outColumns] = [offsets(params.w, w.shape, ["o"]), offsets(params.out, result.shape, ["o"])];
    const terms = termOffsets(params, axes, x.shape, w.shape);
    const spatialStrides = (labels: string, shape: readonly number[]) => axes.spatial.map((digit) => rowMajorStrides(shape)[labels.indexOf(digit)]!);
    const table = spatialOffsets(params, axes, spatialStrides(params.x, x.shape));
    const outPoints = offsetsOf(axes.output, spatialStrides(params.out, result.shape));
    const taps = elementCount(axes.kernel);
    const zero = x.dtype === "i64" ? 0n : 0;
    const packed = allocateResult(w.dtype, terms.w.length * wColumns.length, precision);
    const { sums, addTerm } = accumulator(x.dtype, wColumns.length, precision);
    for (let g = 0; g < xGroups.length; g++) {
      packWeights(w.data, wGroups[g]!, terms.w, wColumns, packed);
      for (let n = 0; n < xRows.length; n++) {
        const base = xGroups[g]! + xRows[n]!;
        for (let p = 0; p < outPoints.length; p++) {
          for (let k = 0; k < terms.w.length; k++) {
            const at = table[p * taps + terms.tap[k]!]!;
            if (at === hole) continue;
            addTerm(at === padding ? zero : x.data[base + at + terms.feature[k]!]!, packed, k * wColumns.length);
          }
          storeSums(sums, result.data, outGroups[g]! + outRows[n]! + outPoints[p]!, outColumns);
        }
      }
    }
    return [result];
  },
};

/** The terms in the order of `k`: offset in w, row-major number of the kernel point, offset of the feature in x. */
function termOffsets(params: ConvParams, axes: ConvAxes, xShape: readonly number[], wShape: readonly number[]) {
  const extents = [...params.k].map((label) => (label === "i" ? axes.extents.get("i")! : axes.kernel[Number(label)]!));
  const tapStrides = rowMajorStrides(axes.kernel);
  const over = (stride: (label: string) => number): Int32Array => offsetsOf(extents, [...params.k].map(stride));
  return {
    w: over((label) => rowMajorStrides(wShape)[params.w.indexOf(label)]!),
    tap: over((label) => (label === "i" ? 0 : tapStrides[Number(label)]!)),
    feature: over((label) => (label === "i" ? rowMajorStrides(xShape)[params.x.indexOf("i")]! : 0)),
  };
}
