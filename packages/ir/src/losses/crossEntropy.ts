/**
 * @file cross-entropy of logits along one axis, against class numbers or a distribution. The mean over the places that take part: class numbers
 * divide by the sum of their weights (1 without class weights, 0 where ignored), distributions by the number of places.
 */
import { elementCount, fail, formatType, isFloat, sameShape, tensor, type Tensor, type TensorType } from "@systole/base";
import type { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { binary, div, filled, mul, neg, numberLike, select, spreadOver, sub, sumOver, unary, zeros } from "../primitives/emit.ts";
import { without } from "../primitives/strided.ts";
import { buildLoss, likeScores, weighted, type LossParts, type LossTypes } from "./loss.ts";

/** The target: class numbers (i32 or i64, without the axis of the classes), or one number for each score (one-hot or soft). */
export interface CrossEntropyOptions extends LossTypes {
  /** The axis of the classes; 1 when missing, as in ONNX. */
  readonly axis?: number;
  /** A class number that does not take part. */
  readonly ignoreIndex?: number;
  /** One weight for each class. */
  readonly weights?: Tensor;
}

const name = "cross-entropy";

export function crossEntropy(options: CrossEntropyOptions): Graph {
  const { scores, target } = options;
  const axis = options.axis ?? 1;
  if (!Number.isInteger(axis) || axis < 1 || axis >= scores.shape.length) fail("E0203", `${name}: axis ${axis} of ${formatType(scores)} cannot be that of the classes`);
  const classes = scores.shape[axis]!;
  if (options.weights !== undefined) checkClassWeights(options.weights, classes);
  const numbers = isClassNumbers(target, scores, axis);
  if (!numbers && !sameShape(target.shape, scores.shape)) refuseTarget(target, scores, axis);
  if (!numbers && options.ignoreIndex !== undefined) fail("E0203", `${name}: ignore_index needs class numbers, the target is ${formatType(target)}`);
  const parts = numbers ? againstNumbers : againstDistribution;
  return buildLoss({ name, classAxis: axis, mean: "places", parts: (b, x, t) => parts(b, x, t, axis, options) }, options);
}

function refuseTarget(target: TensorType, scores: TensorType, axis: number): never {
  const places = without(scores.shape, [axis]).join(",");
  return fail("E0203", `${name}: a target of ${formatType(target)} for scores of ${formatType(scores)}`, {}, [`wanted: class numbers i64[${places}] or i32[${places}], or one number for each score ${formatType(scores)}`]);
}

/** Whether the target holds class numbers, and not one number for each score. */
export function isClassNumbers(target: TensorType, scores: TensorType, axis: number): boolean {
  return (target.dtype === "i32" || target.dtype === "i64") && sameShape(target.shape, without(scores.shape, [axis]));
}

/** E0203 where there is not one weight for each class. */
export function checkClassWeights(weights: TensorType, classes: number): void {
  if (!sameShape(weights.shape, [classes])) fail("E0203", `${name}: weights of ${formatType(weights)} for ${classes} classes`);
}

/** E0602 for a class number that is no class; the message names the place. Places that a mask leaves out may hold anything. */
export function checkClassNumbers(target: Tensor, classes: number, ignoreIndex?: number, mask?: Tensor): void {
  const placesOfMask = mask === undefined ? 1 : target.data.length / Math.max(1, mask.data.length);
  target.data.forEach((value: number | bigint, place: number) => {
    const number = Number(value);
    if (number === ignoreIndex || (number >= 0 && number < classes)) return;
    if (mask !== undefined && Number(mask.data[Math.floor(place / placesOfMask)]) === 0) return;
    const sample = Math.floor(place / Math.max(1, elementCount(target.shape.slice(1))));
    fail("E0602", `class ${number} in sample ${sample}; there are ${classes} classes`, { value: "target" });
  });
}

interface Softmax {
  readonly logP: Value;
  /** mass p - t. */
  readonly less: (t: Value, mass: Value) => Value;
}

/**
 * Softmax so that nothing cancels where one class has nearly all of the probability. Then the loss is -log(1 - others), the gradient at a class that is right is -others, and
 * curvature is p others, where others is the probability of the other classes: summed up without the largest, in tangents too. Several largest ones are all missing
 * there, but none of them has more than half. Shifting by the largest logit changes nothing, so the shift counts as fixed.
 */
function softmaxOf(b: GraphBuilder, x: Value, axis: number): Softmax {
  const { shape } = x.type;
  const along = (value: Value): Value => spreadOver(b, value, shape, [axis]);
  const top = along(b.apply("stop_gradient", [b.apply("reduce", [x], { kind: "max", axes: [axis], order: "sequential" })], {}));
  const shifted = sub(b, x, top);
  const powers = unary(b, "exp", shifted);
  const sum = sumOver(b, powers, [axis]);
  const others = div(b, sumOver(b, select(b, binary(b, "eq", x, top), zeros(b, x.type), powers), [axis]), sum);
  const p = div(b, powers, along(sum));
  const isLarge = binary(b, "gt", p, numberLike(b, p, 0.5));
  return {
    logP: select(b, isLarge, along(unary(b, "log1p", neg(b, others))), sub(b, shifted, along(unary(b, "log", sum)))),
    less: (t, mass) => select(b, isLarge, sub(b, sub(b, mass, t), mul(b, mass, along(others))), sub(b, mul(b, mass, p), t)),
  };
}

function againstNumbers(b: GraphBuilder, x: Value, target: Value, axis: number, options: CrossEntropyOptions): LossParts {
  const { shape } = x.type;
  const { logP, less } = softmaxOf(b, x, axis);
  const classOf = b.apply("iota", [], { dtype: target.type.dtype, shape, axis });
  const chosen = binary(b, "eq", spreadOver(b, target, shape, [axis]), classOf);
  const pick = (values: Value): Value => sumOver(b, select(b, chosen, values, zeros(b, x.type)), [axis]);
  const score = neg(b, pick(logP));
  const gradient = less(b.apply("convert", [chosen], { dtype: x.type.dtype }), numberLike(b, x, 1));
  const weight = weightOfPlaces(b, x, target, axis, pick, options);
  if (weight === undefined) return { terms: score, gradient };
  return { terms: weighted(b, weight, score), gradient: mul(b, gradient, spreadOver(b, weight, shape, [axis])), weight };
}

/** Undefined: all 1. */
function weightOfPlaces(b: GraphBuilder, x: Value, target: Value, axis: number, pick: (values: Value) => Value, { weights, ignoreIndex }: CrossEntropyOptions): Value | undefined {
  const own = weights === undefined ? undefined : pick(classWeights(b, x, axis, weights));
  if (ignoreIndex === undefined) return own;
  const type = { dtype: x.type.dtype, shape: target.type.shape };
  const takesPart = binary(b, "ne", target, filled(b, target.type, ignoreIndex));
  return select(b, takesPart, own ?? filled(b, type, 1), zeros(b, type));
}

function classWeights(b: GraphBuilder, x: Value, axis: number, weights: Tensor): Value {
  const values = tensor(x.type.dtype, weights.shape, weights.data as Float32Array);
  return b.apply("broadcast", [b.constant(values)], { shape: x.type.shape, axes: [axis] });
}

function againstDistribution(b: GraphBuilder, x: Value, target: Value, axis: number, { weights }: CrossEntropyOptions): LossParts {
  const { shape } = x.type;
  if (isFloat(target.type.dtype) && target.type.dtype !== x.type.dtype) fail("E0207", `${name}: a target of ${formatType(target.type)} for scores of ${formatType(x.type)}`);
  const given = likeScores(b, name, x, target);
  const t = weights === undefined ? given : mul(b, given, classWeights(b, x, axis, weights));
  const { logP, less } = softmaxOf(b, x, axis);
  const terms = neg(b, sumOver(b, weighted(b, t, logP), [axis]));
  const mass = spreadOver(b, sumOver(b, t, [axis]), shape, [axis]);
  return { terms, gradient: less(t, mass) };
}
