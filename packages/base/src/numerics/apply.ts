/**
 * @file One row of the elementwise table over whole arrays: the evaluator and the device's general path.
 * A store into a typed array rounds or wraps, so the loops below hold no rounding of their own.
 */
import { internal } from "../diagnostics/diagnostic.ts";
import { dtypes, isFloat, type Dtype, type NumericArray } from "./dtype.ts";
import { elementwiseOps, type ElementwiseName, type ElementwiseOp } from "./elementwise.ts";

/** Device numerics bit for bit, or float64 mathematics of the host (f32 values in Float64Array, nothing rounded). */
export type ElementwisePrecision = "device" | "float64";

type Numbers = Exclude<NumericArray, BigInt64Array>;
type Step = (a: number, b: number, c: number) => number;

/** Whether the operation exists for operands of this type (for `select`: the type of the two values). */
export function elementwiseDefined(name: ElementwiseName, dtype: Dtype): boolean {
  const row: ElementwiseOp = elementwiseOps[name];
  switch (dtypes[dtype].kind) {
    case "float": return row.float !== undefined;
    case "integer": return row.integer !== undefined && name !== "not";
    case "boolean": return row.boolean === true;
  }
}

/** The type of the result; `convert` states its own. */
export function elementwiseResult(name: ElementwiseName, operand: Dtype): Dtype {
  return elementwiseOps[name].result === "bool" ? "bool" : operand;
}

/**
 * out[i] = name(operands[0][i], ...) for arrays of one length. `operandDtype` is the type of the operands, for
 * `select` that of the two values (the condition is bool).
 */
export function applyElementwise(
  name: ElementwiseName, operandDtype: Dtype, resultDtype: Dtype,
  operands: readonly NumericArray[], out: NumericArray, precision: ElementwisePrecision = "device",
): void {
  const a = operands[0]!;
  if (operands.length !== elementwiseOps[name].arity) internal(`${name} takes ${elementwiseOps[name].arity} operands, ${operands.length} given`);
  if (operands.some((array) => array.length !== out.length)) internal(`${name}: operands of different lengths`);
  if (!elementwiseDefined(name, operandDtype)) internal(`${name} is not defined for ${operandDtype}`);
  if (name === "convert") convertArray(operandDtype, a, resultDtype, out);
  else if (name === "copy") convertArray(operandDtype, a, operandDtype, out);
  else if (name === "select") applySelect(a, operands[1]!, operands[2]!, out);
  else if (operandDtype === "i64") applyBigints(name, operands as readonly BigInt64Array[], out);
  else if (isFloat(operandDtype)) applyFloats(name, operands as readonly Numbers[], out as Numbers, precision);
  else applyNarrow(name, operandDtype, operands as readonly Numbers[], out as Numbers);
}

function applySelect(condition: NumericArray, a: NumericArray, b: NumericArray, out: NumericArray): void {
  const c = condition as Numbers;
  const [x, y, z] = [a as Numbers, b as Numbers, out as Numbers];
  for (let i = 0; i < z.length; i++) z[i] = c[i] !== 0 ? x[i]! : y[i]!;
}

function applyFloats(name: ElementwiseName, operands: readonly Numbers[], out: Numbers, precision: ElementwisePrecision): void {
  const a = operands[0]!;
  const b = operands[1] ?? a;
  const n = out.length;
  switch (name) {
    // The commonest rows without a call per element.
    case "add": for (let i = 0; i < n; i++) out[i] = a[i]! + b[i]!; return;
    case "sub": for (let i = 0; i < n; i++) out[i] = a[i]! - b[i]!; return;
    case "mul": for (let i = 0; i < n; i++) out[i] = a[i]! * b[i]!; return;
    case "div": for (let i = 0; i < n; i++) out[i] = a[i]! / b[i]!; return;
    case "max": for (let i = 0; i < n; i++) out[i] = Math.max(a[i]!, b[i]!); return;
    case "min": for (let i = 0; i < n; i++) out[i] = Math.min(a[i]!, b[i]!); return;
    default: {
      const row: ElementwiseOp = elementwiseOps[name];
      applyStep((precision === "float64" ? row.exact : undefined) ?? row.float!, row.arity, operands, out);
    }
  }
}

function applyStep(step: Step, arity: 1 | 2 | 3, operands: readonly Numbers[], out: Numbers): void {
  const a = operands[0]!;
  if (arity === 1) {
    for (let i = 0; i < out.length; i++) out[i] = step(a[i]!, 0, 0);
    return;
  }
  const b = operands[1]!;
  for (let i = 0; i < out.length; i++) out[i] = step(a[i]!, b[i]!, 0);
}

/** Rows on integers of at most 32 bits whose result in numbers is exact or wraps as it should; the others go through BigInt. */
const narrowSteps: Partial<Record<ElementwiseName, Step>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => Math.imul(a, b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  max: (a, b) => (a > b ? a : b),
  min: (a, b) => (a < b ? a : b),
  eq: elementwiseOps.eq.float!,
  ne: elementwiseOps.ne.float!,
  lt: elementwiseOps.lt.float!,
  le: elementwiseOps.le.float!,
  gt: elementwiseOps.gt.float!,
  ge: elementwiseOps.ge.float!,
  shl: (a, b) => (b < 0 || b > 31 ? 0 : a << b),
  shr: (a, b) => a >> (b < 0 || b > 31 ? 31 : b),
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  sign: (a) => Math.sign(a),
  not: (a) => (a === 0 ? 1 : 0),
};

function applyNarrow(name: ElementwiseName, dtype: Dtype, operands: readonly Numbers[], out: Numbers): void {
  const step = narrowSteps[name];
  if (step !== undefined) {
    applyStep(step, elementwiseOps[name].arity, operands, out);
    return;
  }
  const row: ElementwiseOp = elementwiseOps[name];
  const at = (operand: number, i: number): bigint => BigInt(operands[operand]?.[i] ?? 0);
  const bits = 8 * dtypes[dtype].bytes;
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(BigInt.asIntN(bits, row.integer!(at(0, i), at(1, i), at(2, i))));
  }
}

function applyBigints(name: ElementwiseName, operands: readonly BigInt64Array[], out: NumericArray): void {
  const row: ElementwiseOp = elementwiseOps[name];
  const a = operands[0]!;
  const b = operands[1] ?? a;
  if (out instanceof BigInt64Array) for (let i = 0; i < out.length; i++) out[i] = row.integer!(a[i]!, b[i]!, 0n);
  else for (let i = 0; i < out.length; i++) out[i] = Number(row.integer!(a[i]!, b[i]!, 0n));
}

const saturation: Readonly<Record<"i32" | "i8" | "u8", readonly [number, number]>> = {
  i32: [-2147483648, 2147483647],
  i8: [-128, 127],
  u8: [0, 255],
};

/**
 * Float to integer truncates and saturates, NaN becomes 0; integers wrap; to bool: not 0 (NaN is not 0); i64 to a float
 * goes through float64, so that a conversion to f32 rounds twice beyond 2^53.
 */
export function convertArray(from: Dtype, x: NumericArray, to: Dtype, out: NumericArray): void {
  if (from === to || (isFloat(from) && isFloat(to))) {
    (out as { set(values: ArrayLike<number | bigint>): void }).set(x);
  } else if (to === "bool") {
    // oxlint-disable-next-line eqeqeq -- a number or a bigint
    for (let i = 0; i < out.length; i++) out[i] = x[i] == 0 ? 0 : 1;
  } else if (isFloat(to)) {
    for (let i = 0; i < out.length; i++) out[i] = Number(x[i]!);
  } else if (isFloat(from)) {
    for (let i = 0; i < out.length; i++) out[i] = (to === "i64" ? saturateLong(x[i] as number) : saturate(x[i] as number, saturation[to as "i32"])) as never;
  } else if (to === "i64") {
    for (let i = 0; i < out.length; i++) out[i] = BigInt(x[i]!) as never;
  } else {
    for (let i = 0; i < out.length; i++) out[i] = Number(BigInt.asIntN(32, BigInt(x[i]!)));
  }
}

function saturate(x: number, [low, high]: readonly [number, number]): number {
  return Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);
}

function saturateLong(x: number): bigint {
  if (Number.isNaN(x)) return 0n;
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  return x <= -(2 ** 63) ? -(2n ** 63n) : BigInt(Math.trunc(x));
}
