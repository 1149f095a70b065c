/** @file squared-error: half the sum of the squared differences, divided by the batch. */
import type { TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { mul, numberLike, sub } from "../primitives/emit.ts";
import { buildLoss, likeScores, type LossTypes } from "./loss.ts";

export function squaredError(scores: TensorType, target: TensorType = scores, more: Pick<LossTypes, "mask" | "divisor"> = {}): Graph {
  const name = "squared-error";
  return buildLoss({
    name, mean: "batch",
    parts: (b, x, t) => {
      const difference = sub(b, x, likeScores(b, name, x, t));
      return { terms: mul(b, mul(b, difference, difference), numberLike(b, difference, 0.5)), gradient: difference };
    },
  }, { scores, target, ...more });
}
