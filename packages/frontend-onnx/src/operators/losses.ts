/** @file The loss operators of the standard. Targets select by comparison, so that the gradient needs no scatter. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter, ModelLoss } from "../lowering/emitter.ts";
import { broadcastAxes, convert, elementwise, filled, iota, product, range, rankOf, scalar, shapeOf, sum, withNumber } from "../lowering/values.ts";
import { logSoftmax } from "./activations.ts";
import { input, operator, requireDtype, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

const reductions = ["mean", "sum", "none"] as const;

export const lossOperators: readonly Operator[] = [
  operator("SoftmaxCrossEntropyLoss", softmaxCrossEntropy),
  operator("NegativeLogLikelihoodLoss", (c) => {
    const result = negativeLogLikelihood(c, input(c, 0));
    noteLoss(c, result, "log-probabilities");
    return result;
  }),
];

function softmaxCrossEntropy(c: Call): readonly Value[] {
  requireFloat(input(c, 0));
  requireRank(input(c, 0), 2);
  const logProbabilities = logSoftmax(c.e, input(c, 0), [1]);
  const result = negativeLogLikelihood(c, logProbabilities);
  noteLoss(c, result, "logits");
  return [result, logProbabilities];
}

/** Whoever trains by this loss takes curvature at the scores, which the primitives do not show. */
function noteLoss(c: Call, result: Value, kind: ModelLoss["kind"]): void {
  const weights = c.inputs[2];
  c.e.noteLoss({
    node: c.e.origin, result, scores: input(c, 0), kind, target: input(c, 1), reduction: c.attributes.choice("reduction", reductions, "mean"),
    ...(weights === undefined ? {} : { weights: { value: weights, tensor: c.e.readable(weights) } }),
    ...(c.attributes.has("ignore_index") ? { ignoreIndex: c.attributes.int("ignore_index", 0) } : {}),
  });
}

/** x is [N, C, ...], the target [N, ...]; the mean divides by the sum of the weights that took part. */
function negativeLogLikelihood(c: Call, x: Value): Value {
  const { e } = c;
  const target = input(c, 1);
  requireRank(x, 2);
  requireDtype(target, ["i64", "i32"]);
  const shape = shapeOf(x);
  const places = shape.filter((_, axis) => axis !== 1);
  if (shapeOf(target).join() !== places.join()) fail("E0203", `a target of [${shapeOf(target).join(",")}] for scores of [${shape.join(",")}]`);
  const mode = c.attributes.choice("reduction", reductions, "mean");
  const dtype = target.type.dtype === "i32" ? "i32" : "i64";
  const classes = broadcastAxes(e, target, shape, range(shape.length).filter((axis) => axis !== 1));
  const chosen = elementwise(e, "eq", classes, iota(e, dtype, shape, 1));
  const pick = (scores: Value): Value => sum(e, elementwise(e, "select", chosen, scores, scalar(e, x.type.dtype, 0)), [1]);
  const weights = weightOfPlaces(c, x, target, pick);
  const score = elementwise(e, "neg", pick(x));
  // Where the weight is 0 the score may be infinite; the product would then be NaN.
  const zero = scalar(e, x.type.dtype, 0);
  const weigh = (by: Value): Value => elementwise(e, "select", withNumber(e, "eq", by, 0), zero, elementwise(e, "mul", score, by));
  const weighted = weights === undefined ? score : weigh(weights);
  if (mode === "none") return weighted;
  const axes = range(rankOf(weighted));
  const total = sum(e, weighted, axes);
  if (mode === "sum") return total;
  return weights === undefined ? withNumber(e, "div", total, product(places)) : elementwise(e, "div", total, sum(e, weights, axes));
}

/** Class weights spread to the places of the target; 0 where the target is to be ignored. Undefined: all 1. */
function weightOfPlaces(c: Call, x: Value, target: Value, pick: (scores: Value) => Value): Value | undefined {
  const { e } = c;
  const given = c.inputs[2];
  const ignored = c.attributes.has("ignore_index") ? c.attributes.int("ignore_index", 0) : undefined;
  if (given === undefined && ignored === undefined) return undefined;
  if (given !== undefined && (rankOf(given) !== 1 || shapeOf(given)[0] !== shapeOf(x)[1])) {
    fail("E0203", `weights of [${shapeOf(given).join(",")}] for ${shapeOf(x)[1]} classes`);
  }
  const weights = given === undefined ? ones(e, x, target) : pick(broadcastAxes(e, given, shapeOf(x), [1]));
  if (ignored === undefined) return weights;
  return elementwise(e, "mul", weights, convert(e, withNumber(e, "ne", target, ignored), x.type.dtype));
}

function ones(e: Emitter, x: Value, target: Value): Value {
  return filled(e, x.type.dtype, 1, shapeOf(target));
}
