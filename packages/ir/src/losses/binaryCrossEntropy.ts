/** @file binary-cross-entropy with logits: the sum of -t log p - (1 - t) log(1 - p) with p = logistic(z), divided by the batch. */
import type { TensorType } from "@systole/base";
import type { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { add, binary, div, mul, neg, numberLike, select, sub, unary, zeros } from "../primitives/emit.ts";
import { buildLoss, likeScores, oneMinus, weighted, type LossTypes } from "./loss.ts";

/** -log p = softplus(-z), -log(1 - p) = softplus(z), and the gradient is (1 - t) p - t (1 - p): nothing cancels, whatever the logit. */
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
 * (1 - t) p - t (1 - p) by the power e^-|z|: p is 1 / (1 + power) and 1 - p power / (1 + power), or the other way round. No tangent holds a 1 - p either, so curvature is
 * exact on both sides.
 */
function slope(b: GraphBuilder, z: Value, t: Value): Value {
  const positive = binary(b, "ge", z, zeros(b, z.type));
  const power = unary(b, "exp", select(b, positive, neg(b, z), z));
  const not = oneMinus(b, t);
  const parts = select(b, positive, sub(b, not, mul(b, t, power)), sub(b, mul(b, not, power), t));
  return div(b, parts, add(b, numberLike(b, z, 1), power));
}
