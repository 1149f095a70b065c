/** @file binary-cross-entropy with logits: the sum of -t log p - (1 - t) log(1 - p) with p = logistic(z), divided by the batch. */
import type { TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { add, neg, sub, unary } from "../primitives/emit.ts";
import { buildLoss, likeScores, oneMinus, weighted, type LossTypes } from "./loss.ts";

/** -log p = softplus(-z) and -log(1 - p) = softplus(z): nothing cancels, whatever the logit. */
export function binaryCrossEntropy(scores: TensorType, target: TensorType = scores, more: Pick<LossTypes, "mask" | "divisor"> = {}): Graph {
  const name = "binary-cross-entropy";
  return buildLoss({
    name, mean: "batch",
    parts: (b, z, given) => {
      const t = likeScores(b, name, z, given);
      const terms = add(b, weighted(b, t, unary(b, "softplus", neg(b, z))), weighted(b, oneMinus(b, t), unary(b, "softplus", z)));
      return { terms, gradient: sub(b, unary(b, "logistic", z), t) };
    },
  }, { scores, target, ...more });
}
