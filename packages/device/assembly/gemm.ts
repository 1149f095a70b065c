/**
 * @file Contractions in float32: every sum takes its terms in ascending k, a rounded multiply and a rounded add each.
 * Lanes are columns, so a lane is one sum and no order changes. k is a table of segments: byte offsets into a row
 * of x, each followed by `length` elements `xStride` bytes apart. The right operand is read row by row: 8 columns at w,
 * the next k `wStride` bytes further.
 */

// @ts-ignore: decorator
@inline function step(sum: v128, x: v128, w: v128): v128 { return f32x4.add(sum, f32x4.mul(x, w)); }

/** Four rows by eight columns. Rows may repeat (a tail repeats its last row): all sums are loaded before any is stored. */
// @ts-ignore: decorator
@inline function tile(
  x0: usize, x1: usize, x2: usize, x3: usize, o0: usize, o1: usize, o2: usize, o3: usize,
  segments: usize, count: i32, length: i32, xStride: usize, w: usize, wStride: usize, start: i32,
): void {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
  if (!start) {
    s0 = v128.load(o0); t0 = v128.load(o0, 16);
    s1 = v128.load(o1); t1 = v128.load(o1, 16);
    s2 = v128.load(o2); t2 = v128.load(o2, 16);
    s3 = v128.load(o3); t3 = v128.load(o3, 16);
  }
  const end = segments + (<usize>count << 2);
  for (; segments < end; segments += 4) {
    const offset = load<u32>(segments);
    let p0 = x0 + offset, p1 = x1 + offset, p2 = x2 + offset, p3 = x3 + offset;
    for (let k = length; k > 0; k--) {
      const a = v128.load(w), b = v128.load(w, 16);
      let x = v128.load_splat<f32>(p0);
      s0 = step(s0, x, a); t0 = step(t0, x, b);
      x = v128.load_splat<f32>(p1);
      s1 = step(s1, x, a); t1 = step(t1, x, b);
      x = v128.load_splat<f32>(p2);
      s2 = step(s2, x, a); t2 = step(t2, x, b);
      x = v128.load_splat<f32>(p3);
      s3 = step(s3, x, a); t3 = step(t3, x, b);
      p0 += xStride; p1 += xStride; p2 += xStride; p3 += xStride; w += wStride;
    }
  }
  v128.store(o0, s0); v128.store(o0, t0, 16);
  v128.store(o1, s1); v128.store(o1, t1, 16);
  v128.store(o2, s2); v128.store(o2, t2, 16);
  v128.store(o3, s3); v128.store(o3, t3, 16);
}

function moveColumns(target: usize, targetStride: usize, source: usize, sourceStride: usize, columns: i32): void {
  for (let n = 0; n < columns; n++, target += targetStride, source += sourceStride) store<u32>(target, load<u32>(source));
}

/**
 * One panel of up to 8 columns for `quads` groups of four rows. `rows` is a table of pairs (x offset, out offset). Where
 * `columns` < 8 or columns of out are not adjacent, sums pass through the 128 bytes at `spare`.
 */
export function gemmPanel(
  quads: i32, rows: usize, x: usize, out: usize, segments: usize, count: i32, length: i32, xStride: usize,
  w: usize, wStride: usize, columns: i32, outStride: usize, start: i32, spare: usize,
): void {
  const direct = columns == 8 && outStride == 4;
  for (let q = 0; q < quads; q++, rows += 32) {
    const x0 = x + load<u32>(rows), x1 = x + load<u32>(rows, 8), x2 = x + load<u32>(rows, 16), x3 = x + load<u32>(rows, 24);
    const o0 = out + load<u32>(rows, 4), o1 = out + load<u32>(rows, 12), o2 = out + load<u32>(rows, 20), o3 = out + load<u32>(rows, 28);
    if (direct) {
      tile(x0, x1, x2, x3, o0, o1, o2, o3, segments, count, length, xStride, w, wStride, start);
      continue;
    }
    if (!start) {
      moveColumns(spare, 4, o0, outStride, columns);
      moveColumns(spare + 32, 4, o1, outStride, columns);
      moveColumns(spare + 64, 4, o2, outStride, columns);
      moveColumns(spare + 96, 4, o3, outStride, columns);
    }
    tile(x0, x1, x2, x3, spare, spare + 32, spare + 64, spare + 96, segments, count, length, xStride, w, wStride, start);
    moveColumns(o0, outStride, spare, 4, columns);
    moveColumns(o1, outStride, spare + 32, 4, columns);
    moveColumns(o2, outStride, spare + 64, 4, columns);
    moveColumns(o3, outStride, spare + 96, 4, columns);
  }
}

/** All full panels of 8 adjacent columns with the right operand in place: panel p starts 32 p bytes further. */
export function gemmPanels(
  quads: i32, rows: usize, x: usize, out: usize, segments: usize, count: i32, length: i32, xStride: usize,
  w: usize, wStride: usize, panels: i32, start: i32,
): void {
  for (let p = 0; p < panels; p++, w += 32, out += 32) {
    gemmPanel(quads, rows, x, out, segments, count, length, xStride, w, wStride, 8, 4, start, 0);
  }
}

/** One row: 32 adjacent columns at a time, w read once and in order of k. Returns the number of columns done. */
export function gemvWide(
  x: usize, out: usize, segments: usize, count: i32, length: i32, xStride: usize, w: usize, wStride: usize, columns: i32, start: i32,
): i32 {
  let done = 0;
  const end = segments + (<usize>count << 2);
  for (; done + 32 <= columns; done += 32, out += 128, w += 128) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    if (!start) {
      s0 = v128.load(out); s1 = v128.load(out, 16); s2 = v128.load(out, 32); s3 = v128.load(out, 48);
      s4 = v128.load(out, 64); s5 = v128.load(out, 80); s6 = v128.load(out, 96); s7 = v128.load(out, 112);
    }
    let row = w;
    for (let segment = segments; segment < end; segment += 4) {
      let p = x + load<u32>(segment);
      for (let k = length; k > 0; k--, p += xStride, row += wStride) {
        const a = v128.load_splat<f32>(p);
        s0 = step(s0, a, v128.load(row)); s1 = step(s1, a, v128.load(row, 16));
        s2 = step(s2, a, v128.load(row, 32)); s3 = step(s3, a, v128.load(row, 48));
        s4 = step(s4, a, v128.load(row, 64)); s5 = step(s5, a, v128.load(row, 80));
        s6 = step(s6, a, v128.load(row, 96)); s7 = step(s7, a, v128.load(row, 112));
      }
    }
    v128.store(out, s0); v128.store(out, s1, 16); v128.store(out, s2, 32); v128.store(out, s3, 48);
    v128.store(out, s4, 64); v128.store(out, s5, 80); v128.store(out, s6, 96); v128.store(out, s7, 112);
  }
  return done;
}

/** Copies up to 8 columns of the right operand to target[k][8]; k in the segments of w, columns `columnStride` apart. */
export function packPanel(
  target: usize, w: usize, segments: usize, count: i32, length: i32, kStride: usize, columnStride: usize, columns: i32,
): void {
  const end = segments + (<usize>count << 2);
  for (; segments < end; segments += 4) {
    let from = w + load<u32>(segments);
    let k = length;
    if (columnStride == 4 && columns == 8) {
      for (; k > 0; k--, from += kStride, target += 32) {
        v128.store(target, v128.load(from));
        v128.store(target, v128.load(from, 16), 16);
      }
    } else if (kStride == 4 && columns == 8) {
      for (; k >= 4; k -= 4, from += 16, target += 128) {
        transpose4(target, from, columnStride);
        transpose4(target + 16, from + 4 * columnStride, columnStride);
      }
    }
    for (; k > 0; k--, from += kStride, target += 32) {
      let at = from;
      for (let n = 0; n < columns; n++, at += columnStride) store<f32>(target + (<usize>n << 2), load<f32>(at));
    }
  }
}

// @ts-ignore: decorator
@inline function transpose4(target: usize, from: usize, stride: usize): void {
  const a = v128.load(from), b = v128.load(from + stride), c = v128.load(from + 2 * stride), d = v128.load(from + 3 * stride);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  v128.store(target, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 32);
  v128.store(target, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5), 64);
  v128.store(target, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7), 96);
}
