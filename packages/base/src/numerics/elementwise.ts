/**
 * @file THE table of elementwise operations: the ir's elementwise primitives, the stages of the vector unit and their
 * codes in an image are its rows. A row gives the arithmetic once; evaluator and device both use it.
 *
 * Floats: `float` computes in float64 and the store into the result array rounds once. For add, sub, mul, div and sqrt that is the
 * correctly rounded f32 result (53 >= 2*24+2 bits); transcendental functions are those of `functions.ts`, a few
 * 1e-16 off before the rounding, hence at most 0.5001 ulp of f32.
 * Integers: `integer` computes on BigInt and the store wraps to the element type. Booleans are integers 0 and 1.
 */
import * as f from "./functions.ts";

type FloatFunction = (a: number, b: number, c: number) => number;
type IntegerFunction = (a: bigint, b: bigint, c: bigint) => bigint;

export interface ElementwiseOp {
  readonly doc: string;
  readonly arity: 1 | 2 | 3;
  /** `same`: the type of the operands; `bool`: 0 or 1. */
  readonly result: "same" | "bool";
  /** Cycles one lane needs per element; 1 is fully pipelined. */
  readonly laneCycles: number;
  /** Missing: not defined for floats. */
  readonly float?: FloatFunction;
  /** float64 mathematics of the host, the oracle; missing: the same as `float`. */
  readonly exact?: FloatFunction;
  /** Missing: not defined for integers. */
  readonly integer?: IntegerFunction;
  /** Defined for bool operands (through `integer`). */
  readonly boolean?: true;
}

const op = (o: ElementwiseOp): ElementwiseOp => o;
const flag = (x: boolean): number => (x ? 1 : 0);
const bigFlag = (x: boolean): bigint => (x ? 1n : 0n);
const compare = (doc: string, float: (a: number, b: number) => boolean, integer: (a: bigint, b: bigint) => boolean): ElementwiseOp =>
  op({ doc, arity: 2, result: "bool", laneCycles: 1, float: (a, b) => flag(float(a, b)), integer: (a, b) => bigFlag(integer(a, b)), boolean: true });
const unary = (doc: string, laneCycles: number, float: (a: number) => number, exact: (a: number) => number = float): ElementwiseOp =>
  op({ doc, arity: 1, result: "same", laneCycles, float, exact });

export const elementwiseOps = {
  add: op({ doc: "a + b", arity: 2, result: "same", laneCycles: 1, float: (a, b) => a + b, integer: (a, b) => a + b }),
  sub: op({ doc: "a - b", arity: 2, result: "same", laneCycles: 1, float: (a, b) => a - b, integer: (a, b) => a - b }),
  mul: op({ doc: "a * b", arity: 2, result: "same", laneCycles: 1, float: (a, b) => a * b, integer: (a, b) => a * b }),
  div: op({ doc: "a / b; integers truncate towards zero, and division by zero gives 0", arity: 2, result: "same", laneCycles: 4, float: (a, b) => a / b, integer: (a, b) => (b === 0n ? 0n : a / b) }),
  rem: op({ doc: "remainder with the sign of a (C fmod); integers by zero give 0", arity: 2, result: "same", laneCycles: 4, float: (a, b) => a % b, integer: (a, b) => (b === 0n ? 0n : a % b) }),
  max: op({ doc: "the larger; NaN if one is NaN; +0 over -0", arity: 2, result: "same", laneCycles: 1, float: (a, b) => Math.max(a, b), integer: (a, b) => (a > b ? a : b) }),
  min: op({ doc: "the smaller; NaN if one is NaN; -0 under +0", arity: 2, result: "same", laneCycles: 1, float: (a, b) => Math.min(a, b), integer: (a, b) => (a < b ? a : b) }),
  pow: op({ doc: "a to the power b", arity: 2, result: "same", laneCycles: 8, float: f.pow, exact: (a, b) => Math.pow(a, b), integer: f.integerPower }),
  atan2: op({ doc: "angle of the point (b, a)", arity: 2, result: "same", laneCycles: 8, float: f.atan2, exact: (a, b) => Math.atan2(a, b) }),
  and: op({ doc: "bitwise and; logical for bool", arity: 2, result: "same", laneCycles: 1, integer: (a, b) => a & b, boolean: true }),
  or: op({ doc: "bitwise or; logical for bool", arity: 2, result: "same", laneCycles: 1, integer: (a, b) => a | b, boolean: true }),
  xor: op({ doc: "bitwise exclusive or; logical for bool", arity: 2, result: "same", laneCycles: 1, integer: (a, b) => a ^ b, boolean: true }),
  shl: op({ doc: "a shifted left by b bits; 0 for b outside [0, 63]", arity: 2, result: "same", laneCycles: 1, integer: (a, b) => (b < 0n || b > 63n ? 0n : a << b) }),
  shr: op({ doc: "a shifted right by b bits, arithmetic; b outside [0, 63] counts as 63", arity: 2, result: "same", laneCycles: 1, integer: (a, b) => a >> (b < 0n || b > 63n ? 63n : b) }),
  eq: compare("a == b", (a, b) => a === b, (a, b) => a === b),
  ne: compare("a != b", (a, b) => a !== b, (a, b) => a !== b),
  lt: compare("a < b", (a, b) => a < b, (a, b) => a < b),
  le: compare("a <= b", (a, b) => a <= b, (a, b) => a <= b),
  gt: compare("a > b", (a, b) => a > b, (a, b) => a > b),
  ge: compare("a >= b", (a, b) => a >= b, (a, b) => a >= b),
  select: op({ doc: "b where a is true, else c", arity: 3, result: "same", laneCycles: 1, float: (a, b, c) => (a !== 0 ? b : c), integer: (a, b, c) => (a !== 0n ? b : c), boolean: true }),
  neg: op({ doc: "-a", arity: 1, result: "same", laneCycles: 1, float: (a) => -a, integer: (a) => -a }),
  abs: op({ doc: "|a|", arity: 1, result: "same", laneCycles: 1, float: (a) => Math.abs(a), integer: (a) => (a < 0n ? -a : a) }),
  sign: op({ doc: "-1, 0 or 1", arity: 1, result: "same", laneCycles: 1, float: (a) => Math.sign(a), integer: (a) => (a > 0n ? 1n : a < 0n ? -1n : 0n) }),
  not: op({ doc: "logical not of a bool, bitwise complement of an integer by xor with -1 instead", arity: 1, result: "same", laneCycles: 1, integer: (a) => (a === 0n ? 1n : 0n), boolean: true }),
  floor: unary("largest integer not above a", 1, Math.floor),
  ceil: unary("smallest integer not below a", 1, Math.ceil),
  round: unary("nearest integer, ties to even", 1, f.roundHalfEven),
  sqrt: unary("square root", 4, Math.sqrt),
  exp: unary("e^a", 4, f.exp, Math.exp),
  expm1: unary("e^a - 1", 4, f.expm1, Math.expm1),
  log: unary("natural logarithm", 4, f.log, Math.log),
  log1p: unary("log(1 + a)", 4, f.log1p, Math.log1p),
  sin: unary("sine", 4, f.sin, Math.sin),
  cos: unary("cosine", 4, f.cos, Math.cos),
  tan: unary("tangent", 4, f.tan, Math.tan),
  asin: unary("inverse sine", 8, f.asin, Math.asin),
  acos: unary("inverse cosine", 8, f.acos, Math.acos),
  atan: unary("inverse tangent", 8, f.atan, Math.atan),
  sinh: unary("hyperbolic sine", 4, f.sinh, Math.sinh),
  cosh: unary("hyperbolic cosine", 4, f.cosh, Math.cosh),
  tanh: unary("hyperbolic tangent", 4, f.tanh, Math.tanh),
  asinh: unary("inverse hyperbolic sine", 8, f.asinh, Math.asinh),
  acosh: unary("inverse hyperbolic cosine", 8, f.acosh, Math.acosh),
  atanh: unary("inverse hyperbolic tangent", 8, f.atanh, Math.atanh),
  erf: unary("error function", 4, f.erf),
  logistic: unary("1 / (1 + e^-a)", 4, f.logistic),
  softplus: unary("log(1 + e^a)", 4, f.softplus),
  isnan: op({ doc: "whether a is NaN", arity: 1, result: "bool", laneCycles: 1, float: (a) => flag(Number.isNaN(a)) }),
  isinf: op({ doc: "whether a is infinite", arity: 1, result: "bool", laneCycles: 1, float: (a) => flag(Math.abs(a) === Infinity) }),
  convert: op({ doc: "a in another element type: float to integer truncates and saturates (NaN: 0), integer to narrower integer wraps, to bool: a != 0", arity: 1, result: "same", laneCycles: 1, float: (a) => a, integer: (a) => a, boolean: true }),
  copy: op({ doc: "a", arity: 1, result: "same", laneCycles: 1, float: (a) => a, integer: (a) => a, boolean: true }),
} as const satisfies Readonly<Record<string, ElementwiseOp>>;

export type ElementwiseName = keyof typeof elementwiseOps;

/** In the order of their codes in an image: append only. */
export const elementwiseNames = Object.keys(elementwiseOps) as readonly ElementwiseName[];
