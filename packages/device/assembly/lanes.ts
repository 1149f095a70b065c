/**
 * @file Stages of the vector unit on runs of float32. An operand advances by `step` bytes per element: 4, or 0 for a
 * broadcast, whose value then stands four times at its address. Results go to adjacent elements; a result may replace an operand.
 */

// @ts-ignore: decorator
@inline function four(operation: i32, a: v128, b: v128): v128 {
  switch (operation) {
    case 0: return f32x4.add(a, b);
    case 1: return f32x4.sub(a, b);
    case 2: return f32x4.mul(a, b);
    case 3: return f32x4.div(a, b);
    case 4: return f32x4.max(a, b);
    case 5: return f32x4.min(a, b);
    case 6: return f32x4.neg(a);
    case 7: return f32x4.abs(a);
    case 8: return f32x4.sqrt(a);
    case 9: return f32x4.floor(a);
    case 10: return f32x4.ceil(a);
    case 11: return f32x4.nearest(a);
    default: return a;
  }
}

// @ts-ignore: decorator
@inline function one(operation: i32, a: f32, b: f32): f32 {
  return f32x4.extract_lane(four(operation, f32x4.splat(a), f32x4.splat(b)), 0);
}

// @ts-ignore: decorator
@inline function run(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  const aWide = aStep << 2, bWide = bStep << 2;
  let left = count;
  for (; left >= 4; left -= 4, out += 16, a += aWide, b += bWide) v128.store(out, four(operation, v128.load(a), v128.load(b)));
  for (; left > 0; left--, out += 4, a += aStep, b += bStep) store<f32>(out, one(operation, load<f32>(a), load<f32>(b)));
}

/** Codes are those of `laneOperations` in src/kernels.ts; operations of one operand ignore b. */
export function lanes(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  switch (operation) {
    case 0: run(0, out, a, aStep, b, bStep, count); return;
    case 1: run(1, out, a, aStep, b, bStep, count); return;
    case 2: run(2, out, a, aStep, b, bStep, count); return;
    case 3: run(3, out, a, aStep, b, bStep, count); return;
    case 4: run(4, out, a, aStep, b, bStep, count); return;
    case 5: run(5, out, a, aStep, b, bStep, count); return;
    case 6: run(6, out, a, aStep, a, aStep, count); return;
    case 7: run(7, out, a, aStep, a, aStep, count); return;
    case 8: run(8, out, a, aStep, a, aStep, count); return;
    case 9: run(9, out, a, aStep, a, aStep, count); return;
    case 10: run(10, out, a, aStep, a, aStep, count); return;
    case 11: run(11, out, a, aStep, a, aStep, count); return;
    default: run(12, out, a, aStep, a, aStep, count); return;
  }
}

/** `lanes` on rows of `columns` elements; each operand has bytes from row to row of its own. */
export function lanesOfRows(
  operation: i32, out: usize, outPitch: usize, a: usize, aStep: usize, aPitch: usize, b: usize, bStep: usize, bPitch: usize, rows: i32, columns: i32,
): void {
  for (; rows > 0; rows--, out += outPitch, a += aPitch, b += bPitch) lanes(operation, out, a, aStep, b, bStep, columns);
}

// @ts-ignore: decorator
@inline function truth(operation: i32, a: f32, b: f32): bool {
  switch (operation) {
    case 0: return a == b;
    case 1: return a != b;
    case 2: return a < b;
    case 3: return a <= b;
    case 4: return a > b;
    default: return a >= b;
  }
}

// @ts-ignore: decorator
@inline function compareRun(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  for (; count > 0; count--, out++, a += aStep, b += bStep) store<u8>(out, truth(operation, load<f32>(a), load<f32>(b)) ? 1 : 0);
}

/** Comparisons of float32 into bytes: eq, ne, lt, le, gt, ge. */
export function compare(operation: i32, out: usize, a: usize, aStep: usize, b: usize, bStep: usize, count: i32): void {
  switch (operation) {
    case 0: compareRun(0, out, a, aStep, b, bStep, count); return;
    case 1: compareRun(1, out, a, aStep, b, bStep, count); return;
    case 2: compareRun(2, out, a, aStep, b, bStep, count); return;
    case 3: compareRun(3, out, a, aStep, b, bStep, count); return;
    case 4: compareRun(4, out, a, aStep, b, bStep, count); return;
    default: compareRun(5, out, a, aStep, b, bStep, count); return;
  }
}

/** out = condition ? b : c, condition in bytes (step 1 or 0). */
export function select(out: usize, condition: usize, conditionStep: usize, b: usize, bStep: usize, c: usize, cStep: usize, count: i32): void {
  for (; count > 0; count--, out += 4, condition += conditionStep, b += bStep, c += cStep) {
    store<f32>(out, load<u8>(condition) != 0 ? load<f32>(b) : load<f32>(c));
  }
}
