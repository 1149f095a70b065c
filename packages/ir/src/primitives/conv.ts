/** @file `conv`: convolution with strides, padding and both dilations; its transposes are convolutions too. */
import { elementCount, rowMajorStrides, type TensorType } from "@systole/base";
import type { Value } from "../graph.ts";
import { require, requireAmounts, requireDtype, requireInitial, requireOperandsAndPerhaps, requirePadding, requireSameDtype } from "./checks.ts";
import { accumulator, loadSums, packWeights, storeSums } from "./contraction.ts";
import { contractionDtypes, contractionLinearity, labelOffsets, requireLabels } from "./dot.ts";
import { addTangents, range } from "./emit.ts";
import type { Emit, Primitive } from "./primitive.ts";
import { allocateResult, offsetsOf, tensorLike } from "./strided.ts";

export interface ConvParams {
  /**
   * One label per axis. Digits are spatial axes and stand in all three; what a letter means follows from where it stands, as in `dot`:
   * x, w and out: groups; x and out: rows; w and out: columns; x and w: contracted. We write `g`, `n`, `o` and `i` for them.
   */
  readonly x: string;
  readonly w: string;
  readonly out: string;
  /** The contracted letters and the digits, slowest first: the order of the sum. */
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
  /** Letters by role, in the order of the result (contracted: in the order of x). */
  readonly groups: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly contracted: readonly string[];
  /** Extents of the letters, of the digits in x, of those in w, of those in out. */
  readonly extents: ReadonlyMap<string, number>;
  readonly input: readonly number[];
  readonly kernel: readonly number[];
  readonly output: readonly number[];
}

const sorted = (labels: Iterable<string>): string => [...labels].sort().join("");
const isDigit = (label: string): boolean => label >= "0" && label <= "9";

function convAxes(inputs: readonly TensorType[], params: ConvParams): ConvAxes {
  const [x, w] = [inputs[0]!, inputs[1]!];
  const allowed = /^[A-Za-z0-9]*$/;
  requireLabels("conv", "x", params.x, x.shape.length, allowed);
  requireLabels("conv", "w", params.w, w.shape.length, allowed);
  requireLabels("conv", "out", params.out, params.out.length, allowed);
  requireLabels("conv", "k", params.k, params.k.length, allowed);
  const rank = params.strides.length;
  const spatial = range(rank).map(String);
  for (const [what, labels] of [["x", params.x], ["w", params.w], ["out", params.out]] as const) {
    require(sorted([...labels].filter(isDigit)) === spatial.join(""), () => `conv: ${what}="${labels}" must have the digits "${spatial.join("")}" (${rank} spatial axes)`);
  }
  const roles = letterRoles(params);
  const wanted = sorted([...spatial, ...roles.contracted]);
  require(sorted(params.k) === wanted, () => `conv: k="${params.k}" must consist of the labels "${wanted}" (${rank} spatial axes)`);
  requireAmounts("conv", "strides", params.strides, rank, 1);
  requireAmounts("conv", "lhsDilation", params.lhsDilation, rank, 1);
  requireAmounts("conv", "rhsDilation", params.rhsDilation, rank, 1);
  requirePadding("conv", params.padding, rank);
  const xExtent = (label: string): number => x.shape[params.x.indexOf(label)]!;
  const wExtent = (label: string): number => w.shape[params.w.indexOf(label)]!;
  for (const label of [...roles.contracted, ...roles.groups]) {
    require(xExtent(label) === wExtent(label), () => `conv: axis "${label}" is ${xExtent(label)} in x="${params.x}" [${x.shape.join(",")}] but ${wExtent(label)} in w="${params.w}" [${w.shape.join(",")}]`);
  }
  const input = spatial.map(xExtent);
  const kernel = spatial.map(wExtent);
  require(kernel.every((extent) => extent > 0), () => `conv: empty kernel [${kernel.join(",")}]`);
  const output = input.map((extent, s) => windowCount(extent, kernel[s]!, params.strides[s]!, params.padding[s]!, params.lhsDilation[s]!, params.rhsDilation[s]!));
  const extents = new Map([...roles.groups, ...roles.rows, ...roles.contracted].map((label): [string, number] => [label, xExtent(label)]));
  for (const label of roles.columns) extents.set(label, wExtent(label));
  return { spatial, ...roles, extents, input, kernel, output };
}

function letterRoles({ x, w, out }: ConvParams): Pick<ConvAxes, "groups" | "rows" | "columns" | "contracted"> {
  const letters = new Set([...x, ...w, ...out].filter((label) => !isDigit(label)));
  const role = (letter: string): string => [["x", x], ["w", w], ["out", out]].filter(([, labels]) => labels!.includes(letter)).map(([what]) => what).join(" ");
  for (const letter of letters) {
    require(role(letter).includes(" "), () => `conv: "${letter}" stands only in ${role(letter)} (x="${x}", w="${w}", out="${out}")`);
  }
  const having = (wanted: string, order: string): string[] => [...order].filter((letter) => !isDigit(letter) && role(letter) === wanted);
  return { groups: having("x w out", out), rows: having("x out", out), columns: having("w out", out), contracted: having("x w", x) };
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
  if (position % dilation !== 0) return hole;
  return position < 0 || position > dilation * (axes.input[s]! - 1) ? padding : (position / dilation) * stride;
}

export const conv: Primitive<ConvParams> = {
  name: "conv",
  doc: "Convolution: as `dot`, where a digit names a spatial axis (input extent in x, kernel extent in w, output extent in out). Padding is a term with value 0; the holes of lhsDilation, which go on through the padding, are no terms.",
  operands: ["x", "w", "initial?"],
  infer(inputs, params) {
    requireOperandsAndPerhaps("conv", inputs, 2, "initial sums");
    requireDtype("conv", "x", inputs[0]!, contractionDtypes);
    requireSameDtype("conv", inputs[0]!, inputs[1]!);
    const result = { dtype: inputs[0]!.dtype, shape: resultShape(params, convAxes(inputs, params)) };
    requireInitial("conv", inputs[2], result);
    return [result];
  },
  evaluate(inputs, params, precision) {
    const [x, w, initial] = [inputs[0]!, inputs[1]!, inputs[2]];
    const axes = convAxes(inputs, params);
    const result = tensorLike(resultShape(params, axes), x.dtype, precision);
    if (elementCount(result.shape) === 0) return [result];
    const offsets = (labels: string, shape: readonly number[], letters: readonly string[]) => labelOffsets(labels, shape, letters, axes.extents);
    const [xGroups, wGroups, outGroups] = [offsets(params.x, x.shape, axes.groups), offsets(params.w, w.shape, axes.groups), offsets(params.out, result.shape, axes.groups)];
    const [xRows, outRows] = [offsets(params.x, x.shape, axes.rows), offsets(params.out, result.shape, axes.rows)];
    const [wColumns, outColumns] = [offsets(params.w, w.shape, axes.columns), offsets(params.out, result.shape, axes.columns)];
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
          const place = outGroups[g]! + outRows[n]! + outPoints[p]!;
          if (initial !== undefined) loadSums(sums, initial.data, place, outColumns);
          for (let k = 0; k < terms.w.length; k++) {
            const at = table[p * taps + terms.tap[k]!]!;
            if (at === hole) continue;
            addTerm(at === padding ? zero : x.data[base + at + terms.feature[k]!]!, packed, k * wColumns.length);
          }
          storeSums(sums, result.data, place, outColumns);
        }
      }
    }
    return [result];
  },
  jvp(b, { inputs: [x, w], tangents: [dx, dw, dInitial], params }) {
    return [addTangents(b, dw && b.apply("conv", [x!, dw], params), dx && b.apply("conv", [dx, w!], params), dInitial)];
  },
  linearity: contractionLinearity,
  transpose(b, { fixed: [x, w], types, params, cotangent }) {
    if (elementCount(cotangent.type.shape) === 0 || types.some(({ shape }) => elementCount(shape) === 0)) return [undefined, undefined];
    if (w !== undefined) return [dataGradient(b, cotangent, w, types, params), undefined];
    return [undefined, weightGradient(b, cotangent, x!, types, params)];
  },
};

/** The terms in the order of `k`: offset in w, row-major number of the kernel point, offset of the contracted letters in x. */
function termOffsets(params: ConvParams, axes: ConvAxes, xShape: readonly number[], wShape: readonly number[]) {
  const extents = [...params.k].map((label) => (isDigit(label) ? axes.kernel[Number(label)]! : axes.extents.get(label)!));
  const tapStrides = rowMajorStrides(axes.kernel);
  const over = (stride: (label: string) => number): Int32Array => offsetsOf(extents, [...params.k].map(stride));
  return {
    w: over((label) => rowMajorStrides(wShape)[params.w.indexOf(label)]!),
    tap: over((label) => (isDigit(label) ? tapStrides[Number(label)]! : 0)),
    feature: over((label) => (isDigit(label) ? 0 : rowMajorStrides(xShape)[params.x.indexOf(label)]!)),
  };
}

/** The letters we write for the four roles, where no role has more than one letter. */
function inOurLetters(params: ConvParams): ConvParams {
  const { groups, rows, columns, contracted } = letterRoles(params);
  const roles = [[groups, "g"], [rows, "n"], [columns, "o"], [contracted, "i"]] as const;
  if (roles.some(([letters]) => letters.length > 1)) return params;
  const names = new Map(roles.flatMap(([letters, name]) => letters.map((letter) => [letter, name] as const)));
  const rename = (labels: string): string => [...labels].map((label) => names.get(label) ?? label).join("");
  return { ...params, x: rename(params.x), w: rename(params.w), out: rename(params.out), k: rename(params.k) };
}

/**
 * With respect to x: the cotangent, dilated by the strides, under the kernel turned round; it sums over (kernel, columns).
 * Both paddings follow from the extents and may be negative.
 */
function dataGradient(b: Emit, cotangent: Value, w: Value, types: readonly TensorType[], params: ConvParams): Value {
  const axes = convAxes(types, params);
  const flipped = [...params.w].flatMap((label, axis) => (isDigit(label) && w.type.shape[axis]! > 1 ? [axis] : []));
  const kernel = flipped.length === 0 ? w : b.apply("reverse", [w], { axes: flipped });
  const padding = range(axes.spatial.length).map((s): readonly [number, number] => {
    const [low, reach] = [params.padding[s]![0], params.rhsDilation[s]! * (axes.kernel[s]! - 1)];
    return [reach - low, params.lhsDilation[s]! * (axes.input[s]! - 1) - params.strides[s]! * (axes.output[s]! - 1) + low];
  });
  return b.apply("conv", [cotangent, kernel], inOurLetters({
    x: params.out, w: params.w, out: params.x, k: [...params.k].filter(isDigit).join("") + axes.columns.join(""),
    strides: params.lhsDilation, padding, lhsDilation: params.strides, rhsDilation: params.rhsDilation,
  }));
}

/** With respect to w: the cotangent is a kernel that slides over x; it sums over (rows, output points), groups stay groups. */
function weightGradient(b: Emit, cotangent: Value, x: Value, types: readonly TensorType[], params: ConvParams): Value {
  const axes = convAxes(types, params);
  const padding = range(axes.spatial.length).map((s): readonly [number, number] => {
    const low = params.padding[s]![0];
    const reach = params.rhsDilation[s]! * (axes.kernel[s]! - 1);
    return [low, reach + params.strides[s]! * (axes.output[s]! - 1) - params.lhsDilation[s]! * (axes.input[s]! - 1) - low];
  });
  return b.apply("conv", [x, cotangent], inOurLetters({
    x: params.x, w: params.out, out: params.w, k: axes.rows.join("") + axes.spatial.join(""),
    strides: params.rhsDilation, padding, lhsDilation: params.lhsDilation, rhsDilation: params.strides,
  }));
}
