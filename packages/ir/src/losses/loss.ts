/**
 * @file What a loss is: a graph with inputs `scores`, `target` and, where there is one, `mask`, and outputs `samples` (one number a sample), `loss` (their
 * sum, divided) and `gradient`, which is that of the loss at the scores in closed form. Curvature is the JVP of the gradient, never of the value.
 */
import { elementCount, fail, formatType, sameShape, tensor, type TensorType } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { binary, div, filled, range, select, spreadOver, sumOver, zeros } from "../primitives/emit.ts";
import { without } from "../primitives/strided.ts";

export interface LossTypes {
  /** The first axis is the batch. */
  readonly scores: TensorType;
  readonly target: TensorType;
  /** 1 where a place takes part, 0 where not. Its axes are the first ones of the places. */
  readonly mask?: TensorType;
  /** What loss and gradient are divided by, in place of what the loss says by itself. */
  readonly divisor?: number;
}

/** What the builder of a loss computes from scores and target. */
export interface LossParts {
  /** One number for each place; all axes but the first are summed up for `samples`. */
  readonly terms: Value;
  /** Not yet divided. */
  readonly gradient: Value;
  /** How much each place counts, which `terms` and `gradient` contain already; 1 when missing. */
  readonly weight?: Value;
}

export interface LossRule {
  readonly name: string;
  /** The axis of the scores that the places lack, that of classes; missing: every score is a place. */
  readonly classAxis?: number;
  /** What one counts for the divisor where nothing is masked: places, or samples. */
  readonly mean: "places" | "batch";
  readonly parts: (b: GraphBuilder, scores: Value, target: Value) => LossParts;
}

/** The places of a loss: one number of the loss each. */
export function placesOf({ classAxis }: Pick<LossRule, "classAxis">, scores: readonly number[]): readonly number[] {
  return classAxis === undefined ? scores : without(scores, [classAxis]);
}

export function buildLoss({ name, classAxis, mean, parts }: LossRule, { scores, target, mask, divisor }: LossTypes): Graph {
  if (scores.dtype !== "f32" && scores.dtype !== "f64") fail("E0207", `${name}: the scores are ${formatType(scores)}, wanted floats`);
  if (scores.shape.length === 0) fail("E0203", `${name}: the scores are ${formatType(scores)}; the first axis must be the batch`);
  const places = placesOf(classAxis === undefined ? {} : { classAxis }, scores.shape);
  if (mask !== undefined) checkMask(name, mask, places);
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "loss" });
  const [x, t] = [b.input("scores", scores), b.input("target", target)];
  const counts = mask === undefined ? undefined : countsIn(b, b.input("mask", mask), places);
  // What is masked is 0 from here on, so that nothing infinite or without value meets what takes part; its slopes are 0 as well.
  const kept = (value: Value): Value => {
    if (counts === undefined) return value;
    const condition = sameShape(value.type.shape, places) || classAxis === undefined ? counts.places : spreadOver(b, counts.places, value.type.shape, [classAxis]);
    return select(b, condition, value, zeros(b, value.type));
  };
  const { terms, gradient, weight } = parts(b, kept(x), kept(t));
  const values = kept(terms);
  const inner = range(places.length).slice(1);
  const samples = inner.length === 0 ? values : sumOver(b, values, inner);
  const by = divisor === undefined ? ownDivisor() : b.constant(tensor(scores.dtype, [], [divisor]));
  b.output("loss", div(b, sumOver(b, samples, [0]), by));
  b.output("samples", samples);
  b.output("gradient", div(b, kept(gradient), b.apply("broadcast", [by], { shape: gradient.type.shape, axes: [] })));
  return b.build(name);

  function ownDivisor(): Value {
    const all = Math.max(1, mean === "batch" ? scores.shape[0]! : elementCount(places));
    if (weight === undefined && counts === undefined) return b.constant(tensor(scores.dtype, [], [all]));
    const each = weight === undefined ? undefined : kept(weight);
    const counted = each ?? b.apply("convert", [mean === "batch" ? counts!.own : counts!.places], { dtype: scores.dtype });
    const sum = sumOver(b, counted, range(counted.type.shape.length));
    // If nothing takes part, loss and gradient are 0.
    return select(b, binary(b, "eq", sum, zeros(b, sum.type)), filled(b, sum.type, 1), sum);
  }
}

/** Whether an element of the mask, and whether a place, takes part. */
function countsIn(b: GraphBuilder, mask: Value, places: readonly number[]): { readonly own: Value; readonly places: Value } {
  const own = mask.type.dtype === "bool" ? mask : binary(b, "ne", mask, zeros(b, mask.type));
  return { own, places: sameShape(mask.type.shape, places) ? own : b.apply("broadcast", [own], { shape: places, axes: range(mask.type.shape.length) }) };
}

function checkMask(name: string, mask: TensorType, places: readonly number[]): void {
  const { shape } = mask;
  if (shape.length >= 1 && sameShape(shape, places.slice(0, shape.length))) return;
  fail("E0203", `${name}: a mask of ${formatType(mask)} for places [${places.join(",")}]`, { value: "mask" }, ["A mask has the shape of the places, or of their first axes."]);
}

/** A target with one number for each score. */
export function likeScores(b: GraphBuilder, name: string, scores: Value, target: Value): Value {
  if (!sameShape(scores.type.shape, target.type.shape)) fail("E0203", `${name}: a target of ${formatType(target.type)} for scores of ${formatType(scores.type)}`);
  return target.type.dtype === scores.type.dtype ? target : b.apply("convert", [target], { dtype: scores.type.dtype });
}

/** factor * value, but 0 where the factor is 0 even if the value is infinite. */
export function weighted(b: GraphBuilder, factor: Value, value: Value): Value {
  const zero = zeros(b, factor.type);
  return select(b, binary(b, "eq", factor, zero), zero, binary(b, "mul", factor, value));
}

export function oneMinus(b: GraphBuilder, x: Value): Value {
  return binary(b, "sub", filled(b, x.type, 1), x);
}
