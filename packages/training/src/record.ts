/**
 * @file What a training program writes down once an outer step, for those who look on: one row of float64 numbers, and the reasons for which a
 * program ends. The device knows neither; it moves the numbers.
 */
/**
 * Losses: `loss` before the step on the gradient's samples, `curvatureLoss` before it on the curvature's; `newLoss` behind the step on those that the
 * line search judged (without one, the gradient's), or NaN where the program does not know it. Columns of what an algorithm does not have are 0.
 */
export const recordColumns = ["iteration", "loss", "lambda", "rho", "cgSteps", "rate", "gradientNorm", "stepNorm", "reason", "curvatureLoss", "newLoss", "cgStop"] as const;
export type RecordColumn = (typeof recordColumns)[number];
export type TrainingRecord = Readonly<Record<RecordColumn, number>>;

/** The tensor of kind record that holds the row. */
export const recordTensor = "record";

export function readRecord(data: ArrayLike<number>): TrainingRecord {
  return Object.fromEntries(recordColumns.map((column, i) => [column, data[i]!])) as unknown as TrainingRecord;
}

/** Why a program ended; the number stands in the record. Those that are failures leave the parameters as they were. */
export const reasons = {
  none: { code: 0, failure: false, text: "goes on" },
  "gradient-norm": { code: 1, failure: false, text: "the gradient is as short as asked for" },
  "relative-progress": { code: 2, failure: false, text: "the loss does not move any more" },
  "iteration-limit": { code: 3, failure: false, text: "all iterations are done" },
  breakdown: { code: 4, failure: true, text: "lambda is no longer a useful number: no step lowers the loss" },
  divergence: { code: 5, failure: true, text: "the loss or its gradient is not a number, or infinite" },
  "damping-not-positive": { code: 6, failure: true, text: "lambda must be positive: the rule multiplies it, and 0 stays 0" },
} as const;
export type Reason = keyof typeof reasons;

export function reasonOf(code: number): Reason {
  return (Object.keys(reasons) as Reason[]).find((name) => reasons[name].code === code) ?? "none";
}

/** How a run of conjugate gradients ended: `cgStop` in programs and records; `none` where there was no run. */
export const cgStops = { none: 0, limit: 1, progress: 2, "negative-curvature": 3, residual: 4 } as const;
