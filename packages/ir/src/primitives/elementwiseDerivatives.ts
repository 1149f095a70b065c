/**
 * @file The derivatives of the elementwise primitives. Where there is a choice the rule goes by the result (exp, tanh,
 * logistic, ...), which is stable and already computed. Ties: see the table in docs/ir.md.
 */
import { internal } from "@systole/base";
import type { Value } from "../graph.ts";
import type { NoParams } from "./checks.ts";
import type { ElementwisePrimitiveName } from "./elementwise.ts";
import { add, addTangents, binary, div, filled, mul, neg, numberLike, select, spread, sub, unary, zeros } from "./emit.ts";
import { joint, noTangents, single, type Application, type Emit, type LinearApplication, type Linearity, type Primitive, type Tangent } from "./primitive.ts";

type Derivatives = Pick<Primitive<NoParams>, "jvp" | "linearity" | "transpose">;
type At = Application<NoParams>;
type Turned = LinearApplication<NoParams>;

/** y' = coefficient(x, y) x'. */
function scaled(coefficient: (b: Emit, x: Value, y: Value) => Value): Derivatives {
  return { jvp: (b, { inputs, outputs, tangents }) => [mul(b, tangents[0]!, coefficient(b, inputs[0]!, outputs[0]!))] };
}

/** y' = x' / divisor(x, y). */
function divided(divisor: (b: Emit, x: Value, y: Value) => Value): Derivatives {
  return { jvp: (b, { inputs, outputs, tangents }) => [div(b, tangents[0]!, divisor(b, inputs[0]!, outputs[0]!))] };
}

/** The sum of what the tangents of two operands contribute. */
function both(first: (b: Emit, tangent: Value, at: At) => Value, second: (b: Emit, tangent: Value, at: At) => Value): Derivatives["jvp"] {
  return (b, at) => {
    const [s, t] = at.tangents;
    return [addTangents(b, s && first(b, s, at), t && second(b, t, at))];
  };
}

function linearIn(linearity: Linearity, jvp: NonNullable<Derivatives["jvp"]>, transpose: (b: Emit, at: Turned) => readonly Tangent[]): Derivatives {
  return { jvp, linearity: () => linearity, transpose };
}

const one = (b: Emit, x: Value): Value => numberLike(b, x, 1);
const square = (b: Emit, x: Value): Value => mul(b, x, x);
/** (1 - x)(1 + x): 1 - x^2 without cancellation near 1. */
const oneMinusSquare = (b: Emit, x: Value): Value => mul(b, sub(b, one(b, x), x), add(b, one(b, x), x));
const root = (b: Emit, x: Value): Value => unary(b, "sqrt", x);
const compare = (b: Emit, op: "gt" | "lt" | "ge" | "le" | "eq", x: Value, y: Value): Value => binary(b, op, x, y);

/** The cotangent for each joint operand that is linear. */
function forLinear({ fixed }: Turned, ...cotangents: readonly (() => Value)[]): readonly Tangent[] {
  return fixed.map((value, i) => (value === undefined ? cotangents[i]!() : undefined));
}

/**
 * max and min. Two operands with tangents: the extreme one takes all, the first on a tie. One operand with a tangent takes
 * it only where it is strictly the extreme one, so that the derivative of max(x, 0) at 0 is 0; that is seen in the result
 * too, so that the operand need not be kept for it.
 */
function extreme(strict: "gt" | "lt", loose: "ge" | "le"): Derivatives {
  return {
    jvp(b, { inputs, outputs, tangents: [s, t] }) {
      const [x, y, result] = [inputs[0]!, inputs[1]!, outputs[0]!];
      const none = (): Value => zeros(b, result.type);
      if (s !== undefined && t !== undefined) return [select(b, compare(b, loose, x, y), s, t)];
      if (s !== undefined) return [select(b, compare(b, strict, result, y), s, none())];
      return [select(b, compare(b, strict, result, x), t!, none())];
    },
  };
}

/** x^p: p x^(p-1), which is 0 for p = 0 even at x = 0; no logarithm of x unless the exponent has a tangent. */
function powerOfBase(b: Emit, tangent: Value, { inputs: [x, p] }: At): Value {
  const slope = mul(b, p!, binary(b, "pow", x!, sub(b, p!, one(b, p!))));
  const zero = zeros(b, p!.type);
  return mul(b, tangent, select(b, compare(b, "eq", p!, zero), zero, slope));
}

/** x^p log x, which is 0 at x = 0. */
function powerOfExponent(b: Emit, tangent: Value, { inputs: [x], outputs: [y] }: At): Value {
  const zero = zeros(b, x!.type);
  return mul(b, tangent, select(b, compare(b, "eq", x!, zero), zero, mul(b, y!, unary(b, "log", x!))));
}

/** The quotient that `rem` takes off, a whole number: (a - rem) / b up to rounding. */
function wholeQuotient(b: Emit, { inputs, outputs }: At): Value {
  return unary(b, "round", div(b, sub(b, inputs[0]!, outputs[0]!), inputs[1]!));
}

/** 2 / sqrt(pi) with pi = arccos(-1): exact in every precision that evaluates it. */
function erfSlope(b: Emit, x: Value): Value {
  const scalar = { dtype: x.type.dtype, shape: [] };
  const factor = div(b, filled(b, scalar, 2), root(b, unary(b, "acos", filled(b, scalar, -1))));
  return mul(b, spread(b, factor, x.type.shape), unary(b, "exp", neg(b, square(b, x))));
}

function atan2Term(b: Emit, tangent: Value, other: Value, { inputs: [y, x] }: At): Value {
  return mul(b, tangent, div(b, other, add(b, square(b, y!), square(b, x!))));
}

const whole: Derivatives = { jvp: noTangents };

/** Comparisons, logic and integer operations are missing: their operands or their results have no tangents. */
const table: Partial<Record<ElementwisePrimitiveName, Derivatives>> = {
  copy: linearIn(joint(0), (b, { tangents }) => [unary(b, "copy", tangents[0]!)], (_b, { cotangent }) => [cotangent]),
  neg: linearIn(joint(0), (b, { tangents }) => [neg(b, tangents[0]!)], (b, { cotangent }) => [neg(b, cotangent)]),
  add: linearIn(joint(0, 1), (b, { tangents: [s, t] }) => [addTangents(b, s, t)], (_b, at) => forLinear(at, () => at.cotangent, () => at.cotangent)),
  sub: linearIn(
    joint(0, 1),
    (b, { tangents: [s, t] }) => [s === undefined ? neg(b, t!) : t === undefined ? s : sub(b, s, t)],
    (b, at) => forLinear(at, () => at.cotangent, () => neg(b, at.cotangent)),
  ),
  mul: linearIn(
    single(0, 1),
    both((b, s, { inputs }) => mul(b, s, inputs[1]!), (b, t, { inputs }) => mul(b, t, inputs[0]!))!,
    (b, { fixed, cotangent }) => fixed.map((value, i) => (value === undefined ? mul(b, cotangent, fixed[1 - i]!) : undefined)),
  ),
  div: linearIn(
    single(0),
    both((b, s, { inputs }) => div(b, s, inputs[1]!), (b, t, { inputs, outputs }) => neg(b, mul(b, t, div(b, outputs[0]!, inputs[1]!))))!,
    (b, { fixed, cotangent }) => [div(b, cotangent, fixed[1] ?? internal("the divisor is linear")), undefined],
  ),
  select: linearIn(
    joint(1, 2),
    (b, { inputs, outputs, tangents: [, s, t] }) => [select(b, inputs[0]!, s ?? zeros(b, outputs[0]!.type), t ?? zeros(b, outputs[0]!.type))],
    (b, at) => {
      const [condition, zero] = [at.fixed[0]!, zeros(b, at.cotangent.type)];
      return forLinear(at, () => internal("the condition is linear"), () => select(b, condition, at.cotangent, zero), () => select(b, condition, zero, at.cotangent));
    },
  ),
  rem: { jvp: both((_b, s) => s, (b, t, at) => neg(b, mul(b, t, wholeQuotient(b, at))))! },
  max: extreme("gt", "ge"),
  min: extreme("lt", "le"),
  pow: { jvp: both(powerOfBase, powerOfExponent)! },
  atan2: { jvp: both((b, s, at) => atan2Term(b, s, at.inputs[1]!, at), (b, t, at) => neg(b, atan2Term(b, t, at.inputs[0]!, at)))! },
  abs: scaled((b, x) => unary(b, "sign", x)),
  sign: whole, floor: whole, ceil: whole, round: whole,
  sqrt: divided((b, _x, y) => mul(b, numberLike(b, y, 2), y)),
  exp: scaled((_b, _x, y) => y),
  expm1: scaled((b, _x, y) => add(b, y, one(b, y))),
  log: divided((_b, x) => x),
  log1p: divided((b, x) => add(b, one(b, x), x)),
  sin: scaled((b, x) => unary(b, "cos", x)),
  cos: scaled((b, x) => neg(b, unary(b, "sin", x))),
  tan: scaled((b, _x, y) => add(b, one(b, y), square(b, y))),
  asin: divided((b, x) => root(b, oneMinusSquare(b, x))),
  acos: divided((b, x) => neg(b, root(b, oneMinusSquare(b, x)))),
  atan: divided((b, x) => add(b, one(b, x), square(b, x))),
  sinh: scaled((b, x) => unary(b, "cosh", x)),
  cosh: scaled((b, x) => unary(b, "sinh", x)),
  tanh: scaled((b, _x, y) => oneMinusSquare(b, y)),
  asinh: divided((b, x) => root(b, add(b, square(b, x), one(b, x)))),
  acosh: divided((b, x) => root(b, mul(b, sub(b, x, one(b, x)), add(b, x, one(b, x))))),
  atanh: divided((b, x) => oneMinusSquare(b, x)),
  erf: scaled(erfSlope),
  logistic: scaled((b, _x, y) => mul(b, y, sub(b, one(b, y), y))),
  softplus: scaled((b, x) => unary(b, "logistic", x)),
};

export function elementwiseDerivatives(name: ElementwisePrimitiveName): Derivatives {
  return table[name] ?? {};
}
