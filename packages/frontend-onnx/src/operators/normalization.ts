/** @file Normalizations: statistics by explicit sums, then scale and shift as separate operations. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, broadcastTo, elementwise, keepDimensions, mean, range, rankOf, reshape, scalar, shapeOf, spread, sum, withNumber } from "../lowering/values.ts";
import { square } from "./elementwise.ts";
import { axesOf, axisOf, input, operator, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

export const normalizationOperators: readonly Operator[] = [
  operator("BatchNormalization", batchNormalization),
  operator("InstanceNormalization", instanceNormalization),
  operator("LayerNormalization", layerNormalization, "stash_type 1"),
  operator("GroupNormalization", groupNormalization, "stash_type 1"),
  operator("RMSNormalization", rmsNormalization, "stash_type 1"),
  operator("LpNormalization", lpNormalization),
  operator("MeanVarianceNormalization", meanVarianceNormalization),
  operator("LRN", localResponse),
];

interface Standardized {
  readonly value: Value;
  /** Without the reduced axes. */
  readonly mean: Value;
  readonly inverseDeviation: Value;
}

/** (x - mean) / sqrt(variance + epsilon) over `axes`; the variance is that of the population. */
function standardize(e: Emitter, x: Value, axes: readonly number[], epsilon: number): Standardized {
  const shape = shapeOf(x);
  const average = mean(e, x, axes);
  const centred = elementwise(e, "sub", x, spread(e, average, shape, axes));
  const inverse = inverseRoot(e, mean(e, square(e, centred), axes), epsilon);
  return { value: elementwise(e, "mul", centred, spread(e, inverse, shape, axes)), mean: average, inverseDeviation: inverse };
}

function inverseRoot(e: Emitter, variance: Value, epsilon: number): Value {
  return elementwise(e, "div", scalar(e, variance.type.dtype, 1), elementwise(e, "sqrt", withNumber(e, "add", variance, epsilon)));
}

/** In inference the four vectors fold to one factor and one shift per channel. Before opset 14 the training form is the one with several outputs. */
function batchNormalization(c: Call): readonly (Value | undefined)[] {
  const { e } = c;
  const [x, gamma, beta] = [input(c, 0), input(c, 1), input(c, 2)];
  // Running statistics are measured, not trained.
  const [average, variance] = [e.apply("stop_gradient", [input(c, 3)], {}), e.apply("stop_gradient", [input(c, 4)], {})];
  requireRank(x, 2);
  const channels = shapeOf(x)[1]!;
  for (const vector of [gamma, beta, average, variance]) {
    if (rankOf(vector) !== 1 || shapeOf(vector)[0] !== channels) fail("E0203", `a vector of [${shapeOf(vector).join(",")}] for ${channels} channels`);
  }
  const epsilon = c.attributes.float("epsilon", Math.fround(1e-5));
  const momentum = c.attributes.float("momentum", Math.fround(0.9));
  if (c.attributes.int("spatial", 1) !== 1) c.attributes.refuse("spatial", "is 0", "1");
  const several = c.wanted.slice(1).some((wanted) => wanted);
  const training = c.opset < 14 ? several : c.attributes.flag("training_mode", false);
  if (!training && several) fail("E0202", "the running statistics are outputs, but training_mode is not set");
  const axes = range(rankOf(x)).filter((axis) => axis !== 1);
  const batchMean = training ? mean(e, x, axes) : average;
  const centred = (): Value => elementwise(e, "sub", x, broadcastAxes(e, batchMean, shapeOf(x), [1]));
  const batchVariance = training ? mean(e, square(e, centred()), axes) : variance;
  const deviation = elementwise(e, "sqrt", withNumber(e, "add", batchVariance, epsilon));
  const factor = elementwise(e, "div", gamma, deviation);
  const shift = elementwise(e, "sub", beta, elementwise(e, "mul", batchMean, factor));
  const y = perChannel(e, x, factor, shift);
  if (!training) return [y];
  const running = (old: Value, fresh: Value): Value =>
    elementwise(e, "add", withNumber(e, "mul", old, momentum), withNumber(e, "mul", fresh, 1 - momentum));
  const fresh = [running(average, batchMean), running(variance, batchVariance)];
  return c.opset < 14 ? [y, ...fresh, batchMean, batchVariance] : [y, ...fresh];
}

function perChannel(e: Emitter, x: Value, factor: Value, shift: Value): Value {
  const shape = shapeOf(x);
  return elementwise(e, "add", elementwise(e, "mul", x, broadcastAxes(e, factor, shape, [1])), broadcastAxes(e, shift, shape, [1]));
}

function instanceNormalization(c: Call): Value {
  const x = input(c, 0);
  requireRank(x, 3);
  const { value } = standardize(c.e, x, range(rankOf(x) - 2, 2), c.attributes.float("epsilon", Math.fround(1e-5)));
  return perChannel(c.e, value, input(c, 1), input(c, 2));
}

function layerNormalization(c: Call): readonly Value[] {
  const { e } = c;
  const x = input(c, 0);
  const axes = trailing(c, x);
  stash(c);
  const result = standardize(e, x, axes, c.attributes.float("epsilon", Math.fround(1e-5)));
  const scaled = elementwise(e, "mul", result.value, broadcastTo(e, input(c, 1), shapeOf(x)));
  const bias = c.inputs[2];
  const y = bias === undefined ? scaled : elementwise(e, "add", scaled, broadcastTo(e, bias, shapeOf(x)));
  const kept = keepDimensions(shapeOf(x), axes);
  return [y, reshape(e, result.mean, kept), reshape(e, result.inverseDeviation, kept)];
}

function rmsNormalization(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const axes = trailing(c, x);
  stash(c);
  const inverse = inverseRoot(e, mean(e, square(e, x), axes), c.attributes.float("epsilon", Math.fround(1e-5)));
  return elementwise(e, "mul", elementwise(e, "mul", x, spread(e, inverse, shapeOf(x), axes)), broadcastTo(e, input(c, 1), shapeOf(x)));
}

/** Scale and bias are per group in opset 18 and per channel since 21. */
function groupNormalization(c: Call): Value {
  const { e } = c;
  const [x, gamma, beta] = [input(c, 0), input(c, 1), input(c, 2)];
  requireRank(x, 2);
  stash(c);
  const [batch, channels, ...spatial] = shapeOf(x) as [number, number, ...number[]];
  const groups = c.attributes.int("num_groups", 0);
  if (groups < 1 || channels % groups !== 0) c.attributes.refuse("num_groups", `is ${groups}`, `a divisor of the ${channels} channels`);
  const grouped = reshape(e, x, [batch, groups, channels / groups, ...spatial]);
  const { value } = standardize(e, grouped, range(rankOf(grouped) - 2, 2), c.attributes.float("epsilon", Math.fround(1e-5)));
  if (c.opset < 21) return reshape(e, perChannel(e, value, gamma, beta), shapeOf(x));
  return perChannel(e, reshape(e, value, shapeOf(x)), gamma, beta);
}

function lpNormalization(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireFloat(x);
  const axes = [axisOf(c.attributes.int("axis", -1), rankOf(x))];
  const p = c.attributes.int("p", 2);
  if (p !== 1 && p !== 2) c.attributes.refuse("p", `is ${p}`, "1 and 2");
  const norm = p === 1 ? sum(e, elementwise(e, "abs", x), axes) : elementwise(e, "sqrt", sum(e, square(e, x), axes));
  // Where the norm is 0 so are the elements: dividing by 1 gives the 0 that the standard asks for.
  const divisor = elementwise(e, "select", withNumber(e, "eq", norm, 0), scalar(e, x.type.dtype, 1), norm);
  return elementwise(e, "div", x, spread(e, divisor, shapeOf(x), axes));
}

function meanVarianceNormalization(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const axes = axesOf(c.attributes.ints("axes") ?? [0, 2, 3], rankOf(x));
  const centred = elementwise(e, "sub", x, spread(e, mean(e, x, axes), shapeOf(x), axes));
  const deviation = elementwise(e, "sqrt", mean(e, square(e, centred), axes));
  return elementwise(e, "div", centred, spread(e, withNumber(e, "add", deviation, 1e-9), shapeOf(x), axes));
}

/** Squares are summed over a window of neighbouring channels. */
function localResponse(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireRank(x, 2);
  const size = c.attributes.int("size", 0);
  if (size < 1) c.attributes.refuse("size", `is ${size}`, "a positive integer");
  const low = Math.floor((size - 1) / 2);
  const at = <T>(one: T, other: T): T[] => shapeOf(x).map((_, axis) => (axis === 1 ? one : other));
  const total = e.apply("window_reduce", [square(e, x)], {
    kind: "sum", window: at(size, 1), strides: at(1, 1), padding: at<readonly [number, number]>([low, size - 1 - low], [0, 0]), dilation: at(1, 1),
  });
  const alpha = c.attributes.float("alpha", Math.fround(1e-4));
  const base = withNumber(e, "add", withNumber(e, "mul", total, alpha / size), c.attributes.float("bias", 1));
  return elementwise(e, "div", x, withNumber(e, "pow", base, c.attributes.float("beta", 0.75)));
}

function trailing(c: Call, x: Value): number[] {
  const axis = axisOf(c.attributes.int("axis", -1), rankOf(x));
  return range(rankOf(x) - axis, axis);
}

/** The type of the statistics; ours is the operand's, float32. */
function stash(c: Call): void {
  const type = c.attributes.int("stash_type", 1);
  if (type !== 1) c.attributes.refuse("stash_type", `is ${type}`, "1 (float32)");
}
