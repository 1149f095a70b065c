/** @file S10: counts the iteration, decides whether to go on, and writes the record of the outer step. */
import type { Statement } from "@systole/ir";
import { atMost, both, copy, equals, isFinite, less, minus, not, plus, set, times, when, write, greater, type ProgramBuilder } from "./language.ts";
import { reasons, recordColumns, recordTensor, type RecordColumn } from "./record.ts";

export interface JudgementOptions {
  /** Outer steps at most. */
  readonly iterations: number;
  /** The gradient counts as zero where it is not longer. */
  readonly gradientTolerance: number;
  /** The loss counts as settled where an accepted step moved it by no more than this part of itself, or was to move it by less than float32 shows; negative: never. */
  readonly progressTolerance: number;
}

/** A smaller part of a float32 is lost in its rounding. */
const float32Resolution = 2 ** -24;

/** Lambda beyond that is a breakdown: the steps are too short to be seen in float32. */
const uselessLambda = 1e30;

const scalarOf: Readonly<Record<RecordColumn, string>> = {
  iteration: "iteration", loss: "f", lambda: "lambda", rho: "rho", cgSteps: "cgSteps", rate: "rate", gradientNorm: "gradientNorm", stepNorm: "stepNorm", reason: "reason", curvatureLoss: "fChunk", newLoss: "newLoss", cgStop: "cgStop",
};

/** For the assignment: the judgement reads every column of the record, whether a step was made or not. */
export const judgementState: readonly Statement[] = [...Object.values(scalarOf).map((scalar) => set(scalar, 0)), set("fPrevious", Infinity)];

/**
 * Routine `judge`. `moves` takes the program to the samples of the next step; `damped` algorithms have scalars `lambda`, and `model`, what their step was to change the
 * loss by.
 */
export function judgement(builder: ProgramBuilder, options: JudgementOptions, { moves, damped }: { readonly moves: readonly Statement[]; readonly damped: boolean }): void {
  const row = builder.tensor({ name: "record.row", kind: "state", type: { dtype: "f64", shape: [recordColumns.length] }, place: "pinned" });
  const record = builder.tensor({ name: recordTensor, kind: "record", type: { dtype: "f64", shape: [recordColumns.length] }, place: "external" });
  const because = (name: keyof typeof reasons): Statement => set("reason", reasons[name].code);
  builder.routine("judge", "control", [
    set("iteration", plus("iteration", 1)),
    // From the mildest to the gravest: the last one that holds counts.
    when(atMost(options.iterations, "iteration"), [because("iteration-limit")]),
    ...(options.progressTolerance < 0 ? [] : [
      set("size", greater("f", minus(0, "f"))),
      when(both(less(0, "rate"), atMost(greater(minus("fPrevious", "f"), minus("f", "fPrevious")), times(options.progressTolerance, "size"))), [because("relative-progress")]),
      // A change that the loss is too coarse to show makes rho a random number, and lambda walk off by it.
      ...(damped ? [when(both(atMost("model", 0), atMost(minus(0, "model"), times(float32Resolution, "size"))), [because("relative-progress")])] : []),
    ]),
    when(atMost("gradientNorm", options.gradientTolerance), [because("gradient-norm")]),
    ...(damped ? [when(not(less("lambda", uselessLambda)), [because("breakdown")])] : []),
    when(not(both(isFinite("f"), both(isFinite("gradientNorm"), isFinite("stepNorm")))), [because("divergence")]),
    ...(damped ? [when(not(less(0, "lambda")), [because("damping-not-positive")])] : []),
    set("fPrevious", "f"),
    ...moves,
    ...recordColumns.map((column, i) => write({ ...row, offset: i, shape: [] }, scalarOf[column])),
    copy(row, record),
    set("done", not(equals("reason", 0))),
  ]);
}
