/**
 * @file exp, tanh and logistic of float32: in float64, operation for operation as base/src/numerics/functions/exponential.ts has them,
 * and rounded once at the end.
 */

// @ts-ignore: decorator
@inline function power(e: i32): f64 { return reinterpret<f64>(<u64>(e + 1023) << 52); }

/** x * 2^e for the exponents that e^x asks for. */
// @ts-ignore: decorator
@inline function scale(x: f64, e: i32): f64 {
  if (e > 1023) return x * power(1023) * power(e - 1023);
  if (e < -1022) return x * power(-1000) * power(e + 1000);
  return x * power(e);
}

/** e^r - 1 for |r| <= 0.35. */
// @ts-ignore: decorator
@inline function expm1Small(r: f64): f64 {
  const p: f64 = 1.0 / 720.0 + r * (1.0 / 5040.0 + r * (1.0 / 40320.0 + r * (1.0 / 362880.0 + r * (1.0 / 3628800.0 + r * (1.0 / 39916800.0 + r * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0 + r / 87178291200.0)))))));
  return r + r * r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * p))));
}

// @ts-ignore: decorator
@inline function exponential(x: f64): f64 {
  if (x != x) return x;
  if (x > 709.9) return Infinity;
  if (x < -745.2) return 0;
  const k: f64 = Math.floor(x * 1.4426950408889634 + 0.5);
  const r: f64 = x - k * 0.6931471803691238 - k * 1.9082149292705877e-10;
  return scale(1.0 + expm1Small(r), <i32>k);
}

// @ts-ignore: decorator
@inline function hyperbolicTangent(x: f64): f64 {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  if (a > 22) return x < 0 ? -1 : 1;
  const t = 2.0 * a <= 0.35 ? expm1Small(2.0 * a) : exponential(2.0 * a) - 1.0;
  const value = t / (t + 2.0);
  return x < 0 ? -value : value;
}

// @ts-ignore: decorator
@inline function logistic(x: f64): f64 {
  if (x >= 0) return 1.0 / (1.0 + exponential(-x));
  const e = exponential(x);
  return e / (1.0 + e);
}

/** Codes are those of `functionOperations` in src/kernels.ts. */
export function functions(operation: i32, out: usize, a: usize, aStep: usize, count: i32): void {
  const end = out + (<usize>count << 2);
  if (operation == 0) for (; out < end; out += 4, a += aStep) store<f32>(out, <f32>exponential(load<f32>(a)));
  else if (operation == 1) for (; out < end; out += 4, a += aStep) store<f32>(out, <f32>hyperbolicTangent(load<f32>(a)));
  else for (; out < end; out += 4, a += aStep) store<f32>(out, <f32>logistic(load<f32>(a)));
}
