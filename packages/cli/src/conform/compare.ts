/** @file Whether a tensor is the expected one: |d| <= absolute + relative |x| for floats, equality for everything else. */
import { formatType, isFloat, sameShape, type Tensor } from "@systole/systole";

export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** The tolerance of the ONNX backend suite. */
export const suiteTolerance: Tolerance = { absolute: 1e-5, relative: 1e-3 };

/** What differs, or undefined. NaN equals NaN, an infinity itself. */
export function difference(actual: Tensor, expected: Tensor, tolerance: Tolerance = suiteTolerance): string | undefined {
  if (actual.dtype !== expected.dtype || !sameShape(actual.shape, expected.shape)) return `${formatType(actual)} where ${formatType(expected)} is expected`;
  const inexact = isFloat(expected.dtype);
  let wrong = 0;
  let first = "";
  for (let i = 0; i < expected.data.length; i++) {
    const a = actual.data[i]!;
    const x = expected.data[i]!;
    if (a === x || (inexact && near(Number(a), Number(x), tolerance))) continue;
    if (wrong++ === 0) first = `element ${i} is ${a}, expected ${x}`;
  }
  return wrong === 0 ? undefined : `${wrong} of ${expected.data.length} elements differ; ${first}`;
}

function near(a: number, x: number, { absolute, relative }: Tolerance): boolean {
  if (Number.isNaN(x)) return Number.isNaN(a);
  return Number.isFinite(x) && Math.abs(a - x) <= absolute + relative * Math.abs(x);
}
