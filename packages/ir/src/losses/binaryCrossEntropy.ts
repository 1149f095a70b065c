/** @file binary-cross-entropy with logits: the sum of -t log p - (1 - t) log(1 - p) with p = logistic(z), divided by the batch. */
import type { TensorType } from "@systole/base";
import type { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { add, binary, neg, select, sub, unary, zeros } from "../primitives/emit.ts";
import { buildLoss, likeScores, oneMinus, weighted, type LossTypes } from "./loss.ts";

/** -log p = softplus(-z), -log(1 - p) = softplus(z), and the gradient is taken from the smaller one of p and 1 - p: nothing cancels, whatever the logit. */
export function binaryCrossEntropy(scores: TensorType, target: TensorType = scores, more: Pick<LossTypes, "mask" | "divisor"> = {}): Graph {
  const name = "binary-cross-entropy";
  return buildLoss({
    name, mean: "batch",
    parts: (b, z, given) => {
      const t = likeScores(b, name, z, given);
      const terms = add(b, weighted(b, t, unary(b, "softplus", neg(b, z))), weighted(b, oneMinus(b, t), unary(b, "softplus", z)));
      return { terms, gradient: slope(b, z, t) };
    },
  }, { scores, target, ...more });
}

/**
 * p - t by the smaller one of p and 1 - p, q = logistic(-|z|): 1 - t - q where p is the larger one, q - t where it is not. The tangent of both is q (1 - q) times that of z, and
 * what is kept for it is that product and which one is larger.
 */
function slope(b: GraphBuilder, z: Value, t: Value): Value {
  const positive = binary(b, "ge", z, zeros(b, z.type));
  const q = unary(b, "logistic", select(b, positive, neg(b, z), z));
  return select(b, positive, sub(b, oneMinus(b, t), q), sub(b, q, t));
}
