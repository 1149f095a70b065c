/** @file binary-cross-entropy with logits: the sum of -t log p - (1 - t) log(1 - p) with p = logistic(z), divided by the batch. */
import type { TensorType } from "@systole/base";
import type { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { add, binary, div, filled, mul, neg, select, sub, unary, zeros } from "../primitives/emit.ts";
import { buildLoss, likeScores, oneMinus, weighted, type LossTypes } from "./loss.ts";

/** -log p = softplus(-z), -log(1 - p) = softplus(z), and the gradient is (1 - t) p - t (1 - p): nothing cancels, whatever the logit. */
export function binaryCrossEntropy(scores: TensorType, target: TensorType = scores, more: Pick<LossTypes, "mask" | "divisor"> = {}): Graph {
  const name = "binary-cross-entropy";
  return buildLoss({
    name, mean: "batch",
    parts: (b, z, given) => {
      const t = likeScores(b, name, z, given);
      const terms = add(b, weighted(b, t, unary(b, "softplus", neg(b, z))), weighted(b, oneMinus(b, t), unary(b, "softplus", z)));
      const { p, q } = probabilities(b, z);
      return { terms, gradient: sub(b, mul(b, oneMinus(b, t), p), mul(b, t, q)) };
    },
  }, { scores, target, ...more });
}

/** logistic(z) and logistic(-z) by one exponential. Their tangents hold no 1 - p, so curvature p (1 - p) is exact on both sides. */
function probabilities(b: GraphBuilder, z: Value): { readonly p: Value; readonly q: Value } {
  const positive = binary(b, "ge", z, zeros(b, z.type));
  const power = unary(b, "exp", select(b, positive, neg(b, z), z));
  const one = filled(b, z.type, 1);
  const sum = add(b, one, power);
  return { p: div(b, select(b, positive, one, power), sum), q: div(b, select(b, positive, power, one), sum) };
}
