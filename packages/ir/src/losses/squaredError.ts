/** @file squared-error: half the sum of the squared differences, divided by the batch. */
import type { TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { mul, numberLike, sub } from "../primitives/emit.ts";
import { batchSize, buildLoss, likeScores } from "./loss.ts";

export function squaredError(scores: TensorType, target: TensorType = scores): Graph {
  return buildLoss("squared-error", scores, target, (b, x, t) => {
    const difference = sub(b, x, likeScores(b, "squared-error", x, t));
    return { terms: mul(b, mul(b, difference, difference), numberLike(b, difference, 0.5)), gradient: difference, divisor: batchSize(b, x) };
  });
}
