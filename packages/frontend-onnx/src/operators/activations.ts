/** @file Activation functions. Those with an exponential take it of min(x, 0), so that the branch not taken cannot overflow. */
import { fail, type ElementwiseName } from "@systole/base";
import type { Value } from "@systole/ir";
import { broadcastTo, elementwise, rankOf, reduce, reshape, scalar, shapeOf, spread, sum, convert, iota, product, withNumber } from "../lowering/values.ts";
import type { Emitter } from "../lowering/emitter.ts";
import { axisOf, input, operator, requireFloat, type Call, type Operator } from "./operator.ts";

export const activationOperators: readonly Operator[] = [
  operator("Relu", (c) => withNumber(c.e, "max", input(c, 0), 0)),
  operator("Clip", clip),
  operator("PRelu", (c) => leakyRelu(c.e, input(c, 0), broadcastTo(c.e, input(c, 1), shapeOf(input(c, 0))))),
  operator("LeakyRelu", (c) => leakyRelu(c.e, input(c, 0), scalar(c.e, input(c, 0).type.dtype, c.attributes.float("alpha", Math.fround(0.01))))),
  operator("Elu", (c) => exponential(c.e, input(c, 0), c.attributes.float("alpha", 1), 1)),
  operator("Selu", (c) => exponential(c.e, input(c, 0), c.attributes.float("alpha", Math.fround(1.67326319217681884765625)), c.attributes.float("gamma", Math.fround(1.05070102214813232421875)))),
  operator("Celu", celu, "alpha must be positive"),
  operator("ThresholdedRelu", (c) => thresholdedRelu(c.e, input(c, 0), c.attributes.float("alpha", 1))),
  operator("HardSigmoid", (c) => hardSigmoid(c.e, input(c, 0), c.attributes.float("alpha", Math.fround(0.2)), c.attributes.float("beta", 0.5))),
  operator("HardSwish", (c) => elementwise(c.e, "mul", input(c, 0), hardSigmoid(c.e, input(c, 0), 1 / 6, 0.5))),
  operator("Softsign", (c) => softsign(c.e, input(c, 0))),
  operator("Mish", (c) => elementwise(c.e, "mul", input(c, 0), elementwise(c.e, "tanh", elementwise(c.e, "softplus", input(c, 0))))),
  operator("Gelu", gelu),
  operator("Swish", (c) => swish(c, input(c, 0))),
  operator("SwiGLU", (c) => elementwise(c.e, "mul", swish(c, input(c, 0)), sameShapeAs(input(c, 0), input(c, 1)))),
  operator("Shrink", shrink, "floats only"),
  operator("Softmax", (c) => alongAxis(c, (x, axes) => softmax(c.e, x, axes))),
  operator("LogSoftmax", (c) => alongAxis(c, (x, axes) => logSoftmax(c.e, x, axes))),
  operator("Hardmax", (c) => alongAxis(c, (x, axes) => hardmax(c.e, x, axes[0]!))),
];

/** The maximum keeps exponents small and cancels out: the derivative is the same without it. */
export function pivotOf(e: Emitter, x: Value, axes: readonly number[]): Value {
  return e.apply("stop_gradient", [reduce(e, "max", x, axes)], {});
}

export function softmax(e: Emitter, x: Value, axes: readonly number[]): Value {
  const shape = shapeOf(x);
  const shifted = elementwise(e, "exp", elementwise(e, "sub", x, spread(e, pivotOf(e, x, axes), shape, axes)));
  return elementwise(e, "div", shifted, spread(e, sum(e, shifted, axes), shape, axes));
}

export function logSoftmax(e: Emitter, x: Value, axes: readonly number[]): Value {
  const shape = shapeOf(x);
  const shifted = elementwise(e, "sub", x, spread(e, pivotOf(e, x, axes), shape, axes));
  const total = elementwise(e, "log", sum(e, elementwise(e, "exp", shifted), axes));
  return elementwise(e, "sub", shifted, spread(e, total, shape, axes));
}

function hardmax(e: Emitter, x: Value, axis: number): Value {
  const winner = e.apply("argreduce", [x], { kind: "max", axis, dtype: "i32", last: false });
  const chosen = elementwise(e, "eq", iota(e, "i32", shapeOf(x), axis), spread(e, winner, shapeOf(x), [axis]));
  return convert(e, chosen, x.type.dtype);
}

/** Before opset 13 the operand is a matrix: all axes from `axis` on count as one. */
function alongAxis(c: Call, body: (x: Value, axes: readonly number[]) => Value): Value {
  const x = input(c, 0);
  requireFloat(x);
  const axis = c.attributes.int("axis", c.opset >= 13 ? -1 : 1);
  const rank = rankOf(x);
  const shape = shapeOf(x);
  if (product(shape) === 0) return x;
  if (c.opset >= 13) return rank === 0 ? reshape(c.e, body(reshape(c.e, x, [1]), [0]), []) : body(x, [axisOf(axis, rank)]);
  const split = axis === rank ? rank : axisOf(axis, rank);
  if (split === rank - 1) return body(x, [split]);
  const matrix = reshape(c.e, x, [product(shape.slice(0, split)), product(shape.slice(split))]);
  return reshape(c.e, body(matrix, [1]), shape);
}

/** Bounds are attributes before opset 11, inputs since. */
function clip(c: Call): Value {
  const x = input(c, 0);
  const bound = (name: string, index: number): Value | undefined => {
    if (c.attributes.has(name)) return scalar(c.e, x.type.dtype, c.attributes.float(name, 0));
    const value = c.inputs[index];
    return value === undefined ? undefined : reshape(c.e, value, []);
  };
  const apply = (op: ElementwiseName, value: Value, limit: Value | undefined): Value => (limit === undefined ? value : elementwise(c.e, op, value, limit));
  return apply("min", apply("max", x, bound("min", 1)), bound("max", 2));
}

/** x times the slope where x < 0. */
export function leakyRelu(e: Emitter, x: Value, slope: Value): Value {
  return elementwise(e, "select", withNumber(e, "lt", x, 0), elementwise(e, "mul", x, slope), x);
}

/** gamma * (x where x > 0, else alpha * (e^x - 1)). One of the two terms is always 0. */
export function exponential(e: Emitter, x: Value, alpha: number, gamma: number): Value {
  const low = withNumber(e, "mul", elementwise(e, "expm1", withNumber(e, "min", x, 0)), alpha);
  const result = elementwise(e, "add", withNumber(e, "max", x, 0), low);
  return gamma === 1 ? result : withNumber(e, "mul", result, gamma);
}

function celu(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const alpha = c.attributes.float("alpha", 1);
  if (!(alpha > 0)) c.attributes.refuse("alpha", `is ${alpha}`, "a positive number");
  const low = withNumber(e, "mul", elementwise(e, "expm1", withNumber(e, "div", withNumber(e, "min", x, 0), alpha)), alpha);
  return elementwise(e, "add", withNumber(e, "max", x, 0), low);
}

export function thresholdedRelu(e: Emitter, x: Value, alpha: number): Value {
  return elementwise(e, "select", withNumber(e, "gt", x, alpha), x, scalar(e, x.type.dtype, 0));
}

export function softsign(e: Emitter, x: Value): Value {
  return elementwise(e, "div", x, withNumber(e, "add", elementwise(e, "abs", x), 1));
}

export function hardSigmoid(e: Emitter, x: Value, alpha: number, beta: number): Value {
  const line = withNumber(e, "add", withNumber(e, "mul", x, alpha), beta);
  return withNumber(e, "max", withNumber(e, "min", line, 1), 0);
}

function gelu(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const half = withNumber(e, "mul", x, 0.5);
  if (c.attributes.choice("approximate", ["none", "tanh"], "none") === "none") {
    return elementwise(e, "mul", half, withNumber(e, "add", elementwise(e, "erf", withNumber(e, "mul", x, Math.SQRT1_2)), 1));
  }
  const cube = elementwise(e, "mul", elementwise(e, "mul", x, x), x);
  const inner = withNumber(e, "mul", elementwise(e, "add", x, withNumber(e, "mul", cube, 0.044715)), Math.sqrt(2 / Math.PI));
  return elementwise(e, "mul", half, withNumber(e, "add", elementwise(e, "tanh", inner), 1));
}

function swish(c: Call, x: Value): Value {
  const alpha = c.attributes.float("alpha", 1);
  return elementwise(c.e, "mul", x, elementwise(c.e, "logistic", alpha === 1 ? x : withNumber(c.e, "mul", x, alpha)));
}

function sameShapeAs(a: Value, b: Value): Value {
  if (shapeOf(a).join() !== shapeOf(b).join()) fail("E0203", `shapes [${shapeOf(a).join(",")}] and [${shapeOf(b).join(",")}] differ`);
  return b;
}

function shrink(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireFloat(x);
  const bias = c.attributes.float("bias", 0);
  const lambda = c.attributes.float("lambd", 0.5);
  const high = elementwise(e, "select", withNumber(e, "gt", x, lambda), withNumber(e, "sub", x, bias), scalar(e, x.type.dtype, 0));
  return elementwise(e, "select", withNumber(e, "lt", x, -lambda), withNumber(e, "add", x, bias), high);
}
