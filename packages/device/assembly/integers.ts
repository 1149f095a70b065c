/** @file Stages of the vector unit on runs of i32, which wrap. Operands advance as in lanes.ts. */

// @ts-ignore: decorator
@inline function quotient(a: i32, b: i32): i32 {
  // The hardware of hosts faults where the quotient by -1 wraps.
  return b == 0 ? 0 : b == -1 ? -a : a / b;
}

// @ts-ignore: decorator
@inline function integer(operation: i32, a: i32, b: i32): i32 {
  switch (operation) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return quotient(a, b);
    default: return b == 0 || b == -1 ? 0 : a % b;
  }
}

// @ts-ignore: decorator
@inline function integerRun(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  for (; count > 0; count--, out += 4, a += aStep, b += bStep) store<i32>(out, integer(operation, load<i32>(a), load<i32>(b)));
}

/** Codes are those of `integerOperations` in src/kernels.ts. */
export function integers(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  switch (operation) {
    case 0: integerRun(0, out, a, aStep, b, bStep, count); return;
    case 1: integerRun(1, out, a, aStep, b, bStep, count); return;
    case 2: integerRun(2, out, a, aStep, b, bStep, count); return;
    case 3: integerRun(3, out, a, aStep, b, bStep, count); return;
    default: integerRun(4, out, a, aStep, b, bStep, count); return;
  }
}
