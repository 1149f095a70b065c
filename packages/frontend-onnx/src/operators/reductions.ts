/** @file Reductions, arg reductions, running sums and TopK. */
import { fail, isFloat, isInteger, type Dtype } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { convert, elementwise, filled, keepDimensions, mean, product, range, rankOf, reduce, reshape, scalar, shapeOf, sliceAxis, spread, sum } from "../lowering/values.ts";
import { square } from "./elementwise.ts";
import { axesOf, axisOf, input, integersFrom, knownNumber, operator, type Call, type Operator } from "./operator.ts";

type Reduction = (e: Emitter, x: Value, axes: readonly number[]) => Value;

const absolute: Reduction = (e, x, axes) => sum(e, elementwise(e, "abs", x), axes);
const squares: Reduction = (e, x, axes) => sum(e, square(e, x), axes);
const throughFloat = (body: Reduction): Reduction => (e, x, axes) =>
  isFloat(x.type.dtype) ? body(e, x, axes) : convert(e, body(e, convert(e, x, "f32"), axes), x.type.dtype);

export const reductionOperators: readonly Operator[] = [
  reduction("ReduceSum", sum),
  reduction("ReduceMean", mean),
  reduction("ReduceMax", extreme("max")),
  reduction("ReduceMin", extreme("min")),
  reduction("ReduceProd", (e, x, axes) => reduce(e, "prod", x, axes)),
  reduction("ReduceL1", absolute),
  reduction("ReduceL2", throughFloat((e, x, axes) => elementwise(e, "sqrt", squares(e, x, axes)))),
  reduction("ReduceSumSquare", squares),
  reduction("ReduceLogSum", throughFloat((e, x, axes) => elementwise(e, "log", sum(e, x, axes)))),
  reduction("ReduceLogSumExp", throughFloat(logSumExp)),
  operator("ArgMax", (c) => argExtreme(c, "max")),
  operator("ArgMin", (c) => argExtreme(c, "min")),
  operator("CumSum", cumulativeSum),
  operator("TopK", topK),
];

/** Axes are an attribute in old versions and an input in new ones; none means all, unless noop_with_empty_axes. */
function reduction(name: string, body: Reduction): Operator {
  return operator(name, (c) => {
    const x = input(c, 0);
    const rank = rankOf(x);
    const given = integersFrom(c, "axes", 1) ?? [];
    const noop = c.attributes.flag("noop_with_empty_axes", false);
    const none = given.length === 0 && noop;
    const axes = none ? [] : given.length === 0 ? range(rank) : axesOf(given, rank);
    const keep = c.attributes.flag("keepdims", true);
    const result = body(c.e, x, axes);
    return keep ? reshape(c.e, result, keepDimensions(shapeOf(x), axes)) : result;
  });
}

const lowest: Readonly<Record<Dtype, readonly [least: number | bigint, greatest: number | bigint]>> = {
  f32: [-Infinity, Infinity], f64: [-Infinity, Infinity], i64: [-(2n ** 63n), 2n ** 63n - 1n], i32: [-(2 ** 31), 2 ** 31 - 1],
  i8: [-128, 127], u8: [0, 255], bool: [0, 1],
};

/** Of no elements: the least value of the type for max, the greatest for min. Booleans count as bytes. */
function extreme(kind: "max" | "min"): Reduction {
  return (e, x, axes) => {
    const kept = shapeOf(x).filter((_, axis) => !axes.includes(axis));
    if (product(shapeOf(x)) === 0) return filled(e, x.type.dtype, lowest[x.type.dtype][kind === "max" ? 0 : 1], kept);
    if (x.type.dtype === "bool") return convert(e, reduce(e, kind, convert(e, x, "u8"), axes), "bool");
    return reduce(e, kind, x, axes);
  };
}

/** log(sum(exp(x))) about the maximum, where that is finite. */
function logSumExp(e: Emitter, x: Value, axes: readonly number[]): Value {
  const top = e.apply("stop_gradient", [extreme("max")(e, x, axes)], {});
  const pivot = elementwise(e, "select", elementwise(e, "isinf", top), scalar(e, x.type.dtype, 0), top);
  const shifted = elementwise(e, "exp", elementwise(e, "sub", x, spread(e, pivot, shapeOf(x), axes)));
  return elementwise(e, "add", elementwise(e, "log", sum(e, shifted, axes)), pivot);
}

function argExtreme(c: Call, kind: "max" | "min"): Value {
  const x = input(c, 0);
  const axis = axisOf(c.attributes.int("axis", 0), rankOf(x));
  const last = c.attributes.flag("select_last_index", false);
  const keep = c.attributes.flag("keepdims", true);
  if (shapeOf(x)[axis] === 0) fail("E0203", `the extreme element of an empty axis of [${shapeOf(x).join(",")}]`);
  const result = c.e.apply("argreduce", [x], { kind, axis, dtype: "i64", last });
  return keep ? reshape(c.e, result, keepDimensions(shapeOf(x), [axis])) : result;
}

function cumulativeSum(c: Call): Value {
  const x = input(c, 0);
  return c.e.apply("cumsum", [x], {
    axis: axisOf(knownNumber(c, 1, "axis"), rankOf(x)),
    exclusive: c.attributes.flag("exclusive", false),
    reverse: c.attributes.flag("reverse", false),
  });
}

/** A stable sort; elements of equal value keep their order, so the lower index comes first. */
function topK(c: Call): Value[] {
  const x = input(c, 0);
  const axis = axisOf(c.attributes.int("axis", -1), rankOf(x));
  const descending = c.attributes.flag("largest", true);
  c.attributes.ignore("sorted");
  const k = c.attributes.has("k") ? c.attributes.int("k", 0) : knownNumber(c, 1, "K");
  if (k < 0 || k > shapeOf(x)[axis]!) fail("E0203", `the ${k} first of ${shapeOf(x)[axis]} elements`);
  if (!isFloat(x.type.dtype) && !isInteger(x.type.dtype)) fail("E0207", `${x.type.dtype} operand`);
  return c.e.applyAll("sort", [x], { axis, descending }).map((value) => sliceAxis(c.e, value, axis, 0, k));
}
