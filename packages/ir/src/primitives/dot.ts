/** @file `dot`: a contraction of two tensors, einsum with one letter per axis. */
import { elementCount, rowMajorStrides, type Dtype, type TensorType } from "@systole/base";
import { require, requireDtype, requireInitial, requireOperandsAndPerhaps, requireSameDtype } from "./checks.ts";
import { accumulator, loadSums, packWeights, storeSums } from "./contraction.ts";
import { addTangents } from "./emit.ts";
import { single, type Linearity, type Primitive } from "./primitive.ts";
import { allocateResult, offsetsOf, tensorLike } from "./strided.ts";

export interface DotParams {
  /** One letter per axis of the first operand, the second and the result. */
  readonly x: string;
  readonly w: string;
  readonly out: string;
  /** The contracted letters, slowest first: the order of the sum. */
  readonly k: string;
}

export const contractionDtypes: readonly Dtype[] = ["f32", "f64", "i32", "i64"];

/** The letters of a contraction by their role. */
export interface DotAxes {
  readonly batch: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly contracted: readonly string[];
  readonly extents: ReadonlyMap<string, number>;
}

/** Roles in the order of the result's axes (contracted: in the order of k). Checks everything. */
export function dotAxes(inputs: readonly TensorType[], params: DotParams): DotAxes {
  const [x, w] = [inputs[0]!, inputs[1]!];
  const extents = new Map<string, number>();
  requireLabels("dot", "x", params.x, x.shape.length, /^[A-Za-z]*$/);
  requireLabels("dot", "w", params.w, w.shape.length, /^[A-Za-z]*$/);
  requireLabels("dot", "out", params.out, params.out.length, /^[A-Za-z]*$/);
  requireLabels("dot", "k", params.k, params.k.length, /^[A-Za-z]*$/);
  for (const [labels, shape] of [[params.x, x.shape], [params.w, w.shape]] as const) {
    [...labels].forEach((letter, axis) => {
      const known = extents.get(letter) ?? shape[axis]!;
      require(known === shape[axis], () => `dot: axis "${letter}" is ${known} in x="${params.x}" [${x.shape.join(",")}] but ${shape[axis]} in w="${params.w}" [${w.shape.join(",")}]`);
      extents.set(letter, known);
    });
  }
  const role = (letter: string): string => `${params.x.includes(letter) ? "x" : ""}${params.w.includes(letter) ? "w" : ""}`;
  const contracted = [...params.x].filter((letter) => params.w.includes(letter) && !params.out.includes(letter));
  for (const letter of params.out) require(extents.has(letter), () => `dot: "${letter}" of out="${params.out}" stands neither in x="${params.x}" nor in w="${params.w}"`);
  for (const letter of extents.keys()) {
    require(params.out.includes(letter) || role(letter) === "xw", () => `dot: "${letter}" stands only in one operand (x="${params.x}", w="${params.w}") and not in out="${params.out}"`);
  }
  require([...contracted].sort().join("") === [...params.k].sort().join(""), () => `dot: k="${params.k}" must list exactly the contracted letters "${contracted.join("")}"`);
  const inOut = (wanted: string): string[] => [...params.out].filter((letter) => role(letter) === wanted);
  return { batch: inOut("xw"), rows: inOut("x"), columns: inOut("w"), contracted: [...params.k], extents };
}

export function requireLabels(name: string, what: string, labels: string, rank: number, pattern: RegExp): void {
  require(labels.length === rank, () => `${name}: ${what}="${labels}" has ${labels.length} labels for ${rank} axes`);
  require(pattern.test(labels) && new Set(labels).size === labels.length, () => `${name}: ${what}="${labels}" has a label twice or one that is not allowed`);
}

/** Offsets in a tensor labelled `labels` over the points of `letters`; a missing letter does not move. */
export function labelOffsets(labels: string, shape: readonly number[], letters: readonly string[], extents: ReadonlyMap<string, number>): Int32Array {
  const strides = rowMajorStrides(shape);
  return offsetsOf(letters.map((letter) => extents.get(letter)!), letters.map((letter) => (labels.includes(letter) ? strides[labels.indexOf(letter)]! : 0)));
}

/** Bilinear; with initial sums it is neither, and its JVP has none. */
export function contractionLinearity(_params: unknown, { length }: readonly TensorType[]): Linearity | undefined {
  return length === 2 ? single(0, 1) : undefined;
}

export const dot: Primitive<DotParams> = {
  name: "dot",
  doc: "Contraction with one letter per axis: letters in x, w and out are batch axes, in x and out rows, in w and out columns, in x and w contracted; `k` lists the contracted ones, slowest first, and is the order of the sum, which starts from +0 or from `initial`.",
  operands: ["x", "w", "initial?"],
  infer(inputs, params) {
    requireOperandsAndPerhaps("dot", inputs, 2, "initial sums");
    requireDtype("dot", "x", inputs[0]!, contractionDtypes);
    requireSameDtype("dot", inputs[0]!, inputs[1]!);
    const { extents } = dotAxes(inputs, params);
    const result = { dtype: inputs[0]!.dtype, shape: [...params.out].map((letter) => extents.get(letter)!) };
    requireInitial("dot", inputs[2], result);
    return [result];
  },
  evaluate(inputs, params, precision) {
    const [x, w, initial] = [inputs[0]!, inputs[1]!, inputs[2]];
    const axes = dotAxes(inputs, params);
    const result = tensorLike([...params.out].map((letter) => axes.extents.get(letter)!), x.dtype, precision);
    const offsets = (labels: string, shape: readonly number[], letters: readonly string[]) => labelOffsets(labels, shape, letters, axes.extents);
    const [xBatch, wBatch, outBatch] = [offsets(params.x, x.shape, axes.batch), offsets(params.w, w.shape, axes.batch), offsets(params.out, result.shape, axes.batch)];
    const [xRows, outRows] = [offsets(params.x, x.shape, axes.rows), offsets(params.out, result.shape, axes.rows)];
    const [wColumns, outColumns] = [offsets(params.w, w.shape, axes.columns), offsets(params.out, result.shape, axes.columns)];
    const [xTerms, wTerms] = [offsets(params.x, x.shape, axes.contracted), offsets(params.w, w.shape, axes.contracted)];
    if (elementCount(result.shape) === 0) return [result];
    const packed = allocateResult(w.dtype, wTerms.length * wColumns.length, precision);
    const { sums, addTerm } = accumulator(x.dtype, wColumns.length, precision);
    for (let b = 0; b < xBatch.length; b++) {
      packWeights(w.data, wBatch[b]!, wTerms, wColumns, packed);
      for (let m = 0; m < xRows.length; m++) {
        const row = xBatch[b]! + xRows[m]!;
        if (initial !== undefined) loadSums(sums, initial.data, outBatch[b]! + outRows[m]!, outColumns);
        for (let k = 0; k < xTerms.length; k++) addTerm(x.data[row + xTerms[k]!]!, packed, k * wColumns.length);
        storeSums(sums, result.data, outBatch[b]! + outRows[m]!, outColumns);
      }
    }
    return [result];
  },
  jvp(b, { inputs: [x, w], tangents: [dx, dw, dInitial], params }) {
    // What comes from a direction in the parameters first: it need not wait for the layer before.
    return [addTangents(b, dw && b.apply("dot", [x!, dw], params), dx && b.apply("dot", [dx, w!], params), dInitial)];
  },
  linearity: contractionLinearity,
  // Both are contractions with the label strings in other places: no data is rearranged.
  transpose(b, { fixed: [x, w], types, params, cotangent }) {
    const { rows, columns } = dotAxes(types, params);
    if (w !== undefined) return [b.apply("dot", [cotangent, w], { x: params.out, w: params.w, out: params.x, k: columns.join("") }), undefined];
    return [undefined, b.apply("dot", [x!, cotangent], { x: params.x, w: params.out, out: params.w, k: rows.join("") })];
  },
};
