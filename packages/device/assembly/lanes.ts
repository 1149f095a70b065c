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

/**
 * A chain in which every stage takes the result of the one before and one more operand, on rows of `columns` (a multiple of 4)
 * elements; values stay in registers from the first load to the store. Words at `chain`: number of stages, target,
 * its bytes from row to row; address, bytes per 4 elements and bytes per row of the first operand; then for each stage its code
 * and the same three words of the other operand.
 */
export function chainOfRows(chain: usize, rows: i32, columns: i32): void {
  const last = chain + 24 + (<usize>load<i32>(chain) << 4);
  for (let row: usize = 0; row < <usize>rows; row++) {
    let out = load<usize>(chain, 4) + row * load<usize>(chain, 8);
    const wide = load<usize>(chain, 16);
    let from = load<usize>(chain, 12) + row * load<usize>(chain, 20);
    let group: usize = 0;
    let left = columns;
    for (; left >= 16; left -= 16, group += 4, from += 4 * wide, out += 64) {
      let v0 = v128.load(from), v1 = v128.load(from + wide), v2 = v128.load(from + 2 * wide), v3 = v128.load(from + 3 * wide);
      for (let stage = chain + 24; stage < last; stage += 16) {
        const step = load<usize>(stage, 8);
        const at = load<usize>(stage, 4) + row * load<usize>(stage, 12) + group * step;
        const b0 = v128.load(at), b1 = v128.load(at + step), b2 = v128.load(at + 2 * step), b3 = v128.load(at + 3 * step);
        switch (load<i32>(stage)) {
          case 0: v0 = four(0, v0, b0); v1 = four(0, v1, b1); v2 = four(0, v2, b2); v3 = four(0, v3, b3); break;
          case 1: v0 = four(1, v0, b0); v1 = four(1, v1, b1); v2 = four(1, v2, b2); v3 = four(1, v3, b3); break;
          case 2: v0 = four(2, v0, b0); v1 = four(2, v1, b1); v2 = four(2, v2, b2); v3 = four(2, v3, b3); break;
          case 3: v0 = four(3, v0, b0); v1 = four(3, v1, b1); v2 = four(3, v2, b2); v3 = four(3, v3, b3); break;
          case 4: v0 = four(4, v0, b0); v1 = four(4, v1, b1); v2 = four(4, v2, b2); v3 = four(4, v3, b3); break;
          case 5: v0 = four(5, v0, b0); v1 = four(5, v1, b1); v2 = four(5, v2, b2); v3 = four(5, v3, b3); break;
          case 6: v0 = four(6, v0, b0); v1 = four(6, v1, b1); v2 = four(6, v2, b2); v3 = four(6, v3, b3); break;
          case 7: v0 = four(7, v0, b0); v1 = four(7, v1, b1); v2 = four(7, v2, b2); v3 = four(7, v3, b3); break;
          case 8: v0 = four(8, v0, b0); v1 = four(8, v1, b1); v2 = four(8, v2, b2); v3 = four(8, v3, b3); break;
          case 9: v0 = four(9, v0, b0); v1 = four(9, v1, b1); v2 = four(9, v2, b2); v3 = four(9, v3, b3); break;
          case 10: v0 = four(10, v0, b0); v1 = four(10, v1, b1); v2 = four(10, v2, b2); v3 = four(10, v3, b3); break;
          case 11: v0 = four(11, v0, b0); v1 = four(11, v1, b1); v2 = four(11, v2, b2); v3 = four(11, v3, b3); break;
          default: break;
        }
      }
      v128.store(out, v0); v128.store(out, v1, 16); v128.store(out, v2, 32); v128.store(out, v3, 48);
    }
    for (; left > 0; left -= 4, group++, from += wide, out += 16) {
      let v = v128.load(from);
      for (let stage = chain + 24; stage < last; stage += 16) {
        v = four(load<i32>(stage), v, v128.load(load<usize>(stage, 4) + row * load<usize>(stage, 12) + group * load<usize>(stage, 8)));
      }
      v128.store(out, v);
    }
  }
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
