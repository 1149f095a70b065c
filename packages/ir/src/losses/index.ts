/** @file The losses by name. */
import { fail, type Tensor } from "@systole/base";
import type { Graph } from "../graph.ts";
import { binaryCrossEntropy } from "./binaryCrossEntropy.ts";
import { crossEntropy } from "./crossEntropy.ts";
import type { LossTypes } from "./loss.ts";
import { squaredError } from "./squaredError.ts";

export interface LossOptions extends LossTypes {
  /** These are for cross-entropy only. */
  readonly axis?: number;
  readonly ignoreIndex?: number;
  readonly weights?: Tensor;
}

const losses = {
  "cross-entropy": crossEntropy,
  "squared-error": ({ scores, target, ...more }: LossOptions) => squaredError(scores, target, more),
  "binary-cross-entropy": ({ scores, target, ...more }: LossOptions) => binaryCrossEntropy(scores, target, more),
} as const satisfies Readonly<Record<string, (options: LossOptions) => Graph>>;

export type LossName = keyof typeof losses;

export const lossNames = Object.keys(losses) as readonly LossName[];

/** The loss of this name; E0603 for an unknown one. */
export function buildLossNamed(name: string, options: LossOptions): Graph {
  if (!Object.hasOwn(losses, name)) fail("E0603", `no loss "${name}"`, {}, [`there are: ${lossNames.join(", ")}`]);
  return losses[name as LossName](options);
}
