/** @file `scan`: a body applied to one slice after the other, with values that it carries from step to step. */
import { elementCount, type Tensor, type TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { inputTypes, outputTypes, requireBody, requireCount, requireSignature } from "./body.ts";
import { require } from "./checks.ts";
import type { Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";

export interface ScanParams {
  /** Inputs: constants, carries, one slice of each sequence. Outputs: the next carries, one slice of each result sequence. */
  readonly body: Graph;
  /** Steps. */
  readonly length: number;
  /** From the last slice to the first; slices keep their places. */
  readonly reverse: boolean;
  /** How many operands are the same in every step; they come first. */
  readonly consts: number;
  /** How many operands are carried; they come second. */
  readonly carries: number;
}

/** Something for each operand, by role. */
export interface ByRole<T> {
  readonly consts: readonly T[];
  readonly carries: readonly T[];
  readonly sequences: readonly T[];
}

export function byRole<T>(operands: readonly T[], { consts, carries }: Pick<ScanParams, "consts" | "carries">): ByRole<T> {
  return { consts: operands.slice(0, consts), carries: operands.slice(consts, consts + carries), sequences: operands.slice(consts + carries) };
}

/** The type of a sequence of `length` slices. */
export function stacked(type: TensorType, length: number): TensorType {
  return { dtype: type.dtype, shape: [length, ...type.shape] };
}

export const scan: Primitive<ScanParams> = {
  name: "scan",
  doc: "Applies `body` `length` times. Operands: `consts` constants, `carries` initial values, then sequences, whose slices along axis 0 the body gets one a step; results: the last carries, then the sequences of what the body gives each step. `reverse` runs from the last slice to the first.",
  operands: ["operands..."],
  infer(inputs, params) {
    const { body, length, consts, carries } = params;
    requireCount("scan: length", length, Number.MAX_SAFE_INTEGER);
    requireCount("scan: consts", consts, inputs.length);
    requireCount("scan: carries", carries, inputs.length - consts);
    const given = byRole(inputs, params);
    for (const type of given.sequences) require(type.shape[0] === length, () => `scan: a sequence of ${type.shape[0] ?? "no"} slices for ${length} steps`);
    requireBody("the body of scan", body, [...given.consts, ...given.carries, ...given.sequences.map(({ dtype, shape }) => ({ dtype, shape: shape.slice(1) }))]);
    const results = outputTypes(body);
    requireSignature("carries out of the body of scan", results.slice(0, carries), given.carries);
    return [...given.carries, ...results.slice(carries).map((type) => stacked(type, length))];
  },
  evaluate(inputs, params, precision, run) {
    const { body, length, reverse } = params;
    const { consts, carries, sequences } = byRole(inputs, params);
    const stacks = outputTypes(body).slice(carries.length).map((type) => tensorLike([length, ...type.shape], type.dtype, precision));
    const slices = byRole(inputTypes(body), params).sequences;
    let state = carries;
    for (let step = 0; step < length; step++) {
      const t = reverse ? length - 1 - step : step;
      const results = run(body, [...consts, ...state, ...sequences.map((sequence, i) => sliceOf(sequence, slices[i]!, t))]);
      state = results.slice(0, carries.length);
      results.slice(carries.length).forEach((result, i) => (stacks[i]!.data as Float64Array).set(result.data as Float64Array, t * result.data.length));
    }
    return [...state, ...stacks];
  },
};

function sliceOf(sequence: Tensor, { dtype, shape }: TensorType, t: number): Tensor {
  const count = elementCount(shape);
  return { dtype, shape, data: sequence.data.subarray(t * count, (t + 1) * count) };
}
