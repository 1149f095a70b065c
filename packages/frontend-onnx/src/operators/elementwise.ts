/** @file Unary and binary mathematics, comparisons, logic and the variadic operators; broadcasting as in NumPy. */
import { fail, isFloat, numbersOf, type ElementwiseName } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { convert, elementwise, scalar, withNumber } from "../lowering/values.ts";
import { input, operator, requireDtype, requireFloat, type Call, type Operator } from "./operator.ts";

const unary = (name: string, op: ElementwiseName): Operator => operator(name, (c) => elementwise(c.e, op, input(c, 0)));
const binary = (name: string, op: ElementwiseName): Operator => operator(name, (c) => elementwise(c.e, op, input(c, 0), input(c, 1)));
const variadic = (name: string, op: ElementwiseName): Operator => operator(name, (c) => fold(c, op));

export const elementwiseOperators: readonly Operator[] = [
  unary("Abs", "abs"), unary("Acos", "acos"), unary("Acosh", "acosh"), unary("Asin", "asin"), unary("Asinh", "asinh"),
  unary("Atan", "atan"), unary("Atanh", "atanh"), unary("Ceil", "ceil"), unary("Cos", "cos"), unary("Cosh", "cosh"), unary("Erf", "erf"),
  unary("Exp", "exp"), unary("Floor", "floor"), unary("Log", "log"), unary("Neg", "neg"), unary("Round", "round"),
  unary("Sigmoid", "logistic"), unary("Sign", "sign"), unary("Sin", "sin"), unary("Sinh", "sinh"), unary("Softplus", "softplus"),
  unary("Sqrt", "sqrt"), unary("Tan", "tan"), unary("Tanh", "tanh"), unary("Not", "not"), unary("IsNaN", "isnan"),
  operator("Reciprocal", (c) => elementwise(c.e, "div", scalar(c.e, input(c, 0).type.dtype, 1), input(c, 0))),
  operator("IsInf", isInf),
  operator("BitwiseNot", (c) => withNumber(c.e, "xor", input(c, 0), input(c, 0).type.dtype === "u8" ? 255 : -1)),
  binary("Add", "add"), binary("Sub", "sub"), binary("Mul", "mul"), binary("Div", "div"),
  binary("And", "and"), binary("Or", "or"), binary("Xor", "xor"),
  binary("BitwiseAnd", "and"), binary("BitwiseOr", "or"), binary("BitwiseXor", "xor"),
  binary("Equal", "eq"), binary("Greater", "gt"), binary("GreaterOrEqual", "ge"), binary("Less", "lt"), binary("LessOrEqual", "le"),
  operator("Pow", pow),
  operator("Mod", mod),
  operator("BitShift", bitShift, "uint8 only"),
  operator("Where", (c) => elementwise(c.e, "select", input(c, 0), input(c, 1), input(c, 2))),
  variadic("Sum", "add"), variadic("Max", "max"), variadic("Min", "min"),
  operator("Mean", (c) => withNumber(c.e, "div", fold(c, "add"), c.inputs.length)),
];

function fold(c: Call, op: ElementwiseName): Value {
  const values = c.inputs.map((_, index) => input(c, index));
  return values.slice(1).reduce((left, right) => elementwise(c.e, op, left, right), values[0]!);
}

function isInf(c: Call): Value {
  const x = input(c, 0);
  const positive = c.attributes.flag("detect_positive", true);
  const negative = c.attributes.flag("detect_negative", true);
  const infinite = elementwise(c.e, "isinf", x);
  if (positive && negative) return infinite;
  if (positive || negative) return elementwise(c.e, "and", infinite, withNumber(c.e, positive ? "gt" : "lt", x, 0));
  return elementwise(c.e, "and", infinite, scalar(c.e, "bool", 0));
}

/** The result has the type of the base; a fixed exponent of 1 or 2 becomes a product, exact where a power function is not. */
function pow(c: Call): Value {
  const { e } = c;
  const base = input(c, 0);
  const exponent = input(c, 1);
  const dtype = base.type.dtype;
  const fixed = e.fixed(exponent);
  const number = fixed !== undefined && fixed.shape.length === 0 ? numbersOf(fixed)[0] : undefined;
  if (number === 1) return base;
  if (number === 2) return elementwise(e, "mul", base, base);
  if (dtype === exponent.type.dtype) return elementwise(e, "pow", base, exponent);
  if (isFloat(dtype) || !isFloat(exponent.type.dtype)) return elementwise(e, "pow", base, convert(e, exponent, dtype));
  if (number !== undefined && Number.isInteger(number) && number >= 0) return elementwise(e, "pow", base, scalar(e, dtype, number));
  return convert(e, elementwise(e, "pow", convert(e, base, exponent.type.dtype), exponent), dtype);
}

/** `fmod` 0 takes the sign of the divisor, 1 that of the dividend. */
function mod(c: Call): Value {
  const { e } = c;
  const [a, b] = [input(c, 0), input(c, 1)];
  const remainder = elementwise(e, "rem", a, b);
  if (c.attributes.flag("fmod", false)) return remainder;
  if (isFloat(a.type.dtype) && c.opset < 28) fail("E0202", "floats with fmod = 0", { attribute: "fmod" }, ["accepted: fmod = 1 for floats before opset 28"]);
  const zero = scalar(e, a.type.dtype, 0);
  const differs = elementwise(e, "xor", elementwise(e, "lt", remainder, zero), elementwise(e, "lt", b, zero));
  const nonzero = elementwise(e, "ne", remainder, zero);
  const moved = elementwise(e, "select", elementwise(e, "and", differs, nonzero), elementwise(e, "add", remainder, b), remainder);
  if (!isFloat(a.type.dtype)) return moved;
  // A zero takes the sign of the divisor: |0| with the sign of b.
  const signedZero = elementwise(e, "mul", elementwise(e, "sign", b), zero);
  return elementwise(e, "select", elementwise(e, "eq", remainder, zero), elementwise(e, "select", elementwise(e, "eq", b, zero), remainder, signedZero), moved);
}

function bitShift(c: Call): Value {
  requireDtype(input(c, 0), ["u8"]);
  const direction = c.attributes.choice("direction", ["LEFT", "RIGHT"], "LEFT");
  if (!c.attributes.has("direction")) c.attributes.refuse("direction", "is missing", '"LEFT", "RIGHT"');
  return elementwise(c.e, direction === "LEFT" ? "shl" : "shr", input(c, 0), input(c, 1));
}

/** x*x, and the other small combinations that several families use. */
export function square(e: Emitter, x: Value): Value {
  return elementwise(e, "mul", x, x);
}

/** x to a power that is a number. */
export function power(e: Emitter, x: Value, exponent: number): Value {
  requireFloat(x);
  if (exponent === 1) return x;
  if (exponent === 2) return square(e, x);
  if (exponent === 0.5) return elementwise(e, "sqrt", x);
  return withNumber(e, "pow", x, exponent);
}
