/**
 * @file What a loss is: a graph with inputs `scores` and `target`, and outputs `samples` (one number a sample), `loss` (their sum, divided)
 * and `gradient`, which is that of the loss at the scores in closed form. Curvature is the JVP of the gradient, never of the value.
 */
import { fail, formatType, sameShape, tensor, type TensorType } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { div, filled, select, sumOver, zeros, binary } from "../primitives/emit.ts";

/** What the builder of a loss computes from scores and target. */
export interface LossParts {
  /** One number for each element or place; all axes but the first are summed up for `samples`. */
  readonly terms: Value;
  /** Not yet divided. */
  readonly gradient: Value;
  /** A scalar: both are divided by it. */
  readonly divisor: Value;
}

export function buildLoss(name: string, scores: TensorType, target: TensorType, parts: (b: GraphBuilder, scores: Value, target: Value) => LossParts): Graph {
  if (scores.dtype !== "f32" && scores.dtype !== "f64") fail("E0207", `${name}: the scores are ${formatType(scores)}, wanted floats`);
  if (scores.shape.length === 0) fail("E0203", `${name}: the scores are ${formatType(scores)}; the first axis must be the batch`);
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "loss" });
  const [x, t] = [b.input("scores", scores), b.input("target", target)];
  const { terms, gradient, divisor } = parts(b, x, t);
  const inner = terms.type.shape.map((_, axis) => axis).slice(1);
  const samples = inner.length === 0 ? terms : sumOver(b, terms, inner);
  b.output("loss", div(b, sumOver(b, samples, [0]), divisor));
  b.output("samples", samples);
  b.output("gradient", div(b, gradient, b.apply("broadcast", [divisor], { shape: gradient.type.shape, axes: [] })));
  return b.build(name);
}

/** A target with one number for each score. */
export function likeScores(b: GraphBuilder, name: string, scores: Value, target: Value): Value {
  if (!sameShape(scores.type.shape, target.type.shape)) fail("E0203", `${name}: a target of ${formatType(target.type)} for scores of ${formatType(scores.type)}`);
  return target.type.dtype === scores.type.dtype ? target : b.apply("convert", [target], { dtype: scores.type.dtype });
}

export function batchSize(b: GraphBuilder, scores: Value): Value {
  return b.constant(tensor(scores.type.dtype, [], [Math.max(1, scores.type.shape[0]!)]));
}

/** factor * value, but 0 where the factor is 0 even if the value is infinite. */
export function weighted(b: GraphBuilder, factor: Value, value: Value): Value {
  const zero = zeros(b, factor.type);
  return select(b, binary(b, "eq", factor, zero), zero, binary(b, "mul", factor, value));
}

export function oneMinus(b: GraphBuilder, x: Value): Value {
  return binary(b, "sub", filled(b, x.type, 1), x);
}
