/**
 * @file The transcendental functions of the device. They use float64 + - * /, square root, floor and the bits of a
 * number, nothing of the host's libm, so that results are the same everywhere. Relative error below 1e-14.
 */
export { exp, expm1, log, log1p, pow, integerPower, logistic, softplus, sinh, cosh, tanh, asinh, acosh, atanh } from "./functions/exponential.ts";
export { sin, cos, tan, asin, acos, atan, atan2 } from "./functions/trigonometric.ts";
export { erf } from "./functions/erf.ts";
export { roundHalfEven } from "./functions/bits.ts";
