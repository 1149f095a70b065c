/**
 * @file Contractions in float32: every sum takes its terms in ascending k, a rounded multiply and a rounded add each.
 * Lanes are columns, so a lane is one sum and no order changes. Columns are done in panels of 16, rows in pairs; where
 * there is more than one panel, pairs of rows are first interleaved along k so that the inner loop has one pointer for both.
 * k is a table of segments: byte offsets, each followed by `length` elements at even strides.
 */

/** Along k a panel of w stays in the first cache for so many terms; sums are stored and loaded again between. */
const depth: i32 = 256;
/** Interleaved rows of one chunk. */
const chunkBytes: i32 = 1 << 17;

/** What a step knows before it runs: 13 words, written by src/values/gemm.ts in this order. */
// @ts-ignore: decorator
@unmanaged
class Block {
  rows: i32;
  /** Pairs (x offset, out offset), the last one repeated up to an even count. */
  rowTable: usize;
  xSegments: usize;
  wSegments: usize;
  count: i32;
  length: i32;
  xStride: usize;
  wStride: usize;
  wColumn: usize;
  outColumn: usize;
  contracted: i32;
  inPlace: i32;
  /** 128 bytes for sums whose columns are not adjacent or not all there. */
  spare: usize;
}

// @ts-ignore: decorator
@inline function step(sum: v128, x: v128, w: v128): v128 { return f32x4.add(sum, f32x4.mul(x, w)); }

/** Two interleaved rows by 16 columns (8 if not `wide`), `k` terms. Rows may be the same: all sums are loaded before any is stored. */
// @ts-ignore: decorator
@inline function packedTile(wide: bool, o0: usize, o1: usize, x: usize, w: usize, k: i32, wStride: usize, start: i32): void {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
  if (!start) {
    s0 = v128.load(o0); s1 = v128.load(o0, 16);
    t0 = v128.load(o1); t1 = v128.load(o1, 16);
    if (wide) {
      s2 = v128.load(o0, 32); s3 = v128.load(o0, 48);
      t2 = v128.load(o1, 32); t3 = v128.load(o1, 48);
    }
  }
  const end = x + (<usize>k << 3);
  for (; x < end; x += 8, w += wStride) {
    const a = v128.load(w), b = v128.load(w, 16);
    const p = v128.load_splat<f32>(x), q = v128.load_splat<f32>(x, 4);
    s0 = step(s0, p, a); s1 = step(s1, p, b);
    t0 = step(t0, q, a); t1 = step(t1, q, b);
    if (wide) {
      const c = v128.load(w, 32), d = v128.load(w, 48);
      s2 = step(s2, p, c); s3 = step(s3, p, d);
      t2 = step(t2, q, c); t3 = step(t3, q, d);
    }
  }
  v128.store(o0, s0); v128.store(o0, s1, 16);
  v128.store(o1, t0); v128.store(o1, t1, 16);
  if (wide) {
    v128.store(o0, s2, 32); v128.store(o0, s3, 48);
    v128.store(o1, t2, 32); v128.store(o1, t3, 48);
  }
}

/** The same with x where it lies: two rows, k in segments. */
// @ts-ignore: decorator
@inline function looseTile(
  wide: bool, o0: usize, o1: usize, x0: usize, x1: usize, segments: usize, count: i32, length: i32, xStride: usize, w: usize, wStride: usize, start: i32,
): void {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
  if (!start) {
    s0 = v128.load(o0); s1 = v128.load(o0, 16);
    t0 = v128.load(o1); t1 = v128.load(o1, 16);
    if (wide) {
      s2 = v128.load(o0, 32); s3 = v128.load(o0, 48);
      t2 = v128.load(o1, 32); t3 = v128.load(o1, 48);
    }
  }
  const end = segments + (<usize>count << 2);
  for (; segments < end; segments += 4) {
    const offset = load<u32>(segments);
    let p0 = x0 + offset, p1 = x1 + offset;
    for (let k = length; k > 0; k--) {
      const a = v128.load(w), b = v128.load(w, 16);
      const p = v128.load_splat<f32>(p0), q = v128.load_splat<f32>(p1);
      s0 = step(s0, p, a); s1 = step(s1, p, b);
      t0 = step(t0, q, a); t1 = step(t1, q, b);
      if (wide) {
        const c = v128.load(w, 32), d = v128.load(w, 48);
        s2 = step(s2, p, c); s3 = step(s3, p, d);
        t2 = step(t2, q, c); t3 = step(t3, q, d);
      }
      p0 += xStride; p1 += xStride; w += wStride;
    }
  }
  v128.store(o0, s0); v128.store(o0, s1, 16);
  v128.store(o1, t0); v128.store(o1, t1, 16);
  if (wide) {
    v128.store(o0, s2, 32); v128.store(o0, s3, 48);
    v128.store(o1, t2, 32); v128.store(o1, t3, 48);
  }
}

function moveColumns(target: usize, targetStride: usize, source: usize, sourceStride: usize, columns: i32): void {
  for (let n = 0; n < columns; n++, target += targetStride, source += sourceStride) store<u32>(target, load<u32>(source));
}

/** One panel for pairs of interleaved rows at `x`, `pitch` bytes from pair to pair. */
function packedPanel(
  b: Block, pairs: i32, rows: usize, x: usize, pitch: usize, out: usize, w: usize, k: i32, wStride: usize, columns: i32, start: i32,
): void {
  const direct = columns == 16 && b.outColumn == 4;
  const spare = b.spare;
  for (let p = 0; p < pairs; p++, rows += 16, x += pitch) {
    const o0 = out + load<u32>(rows, 4), o1 = out + load<u32>(rows, 12);
    if (direct) {
      packedTile(true, o0, o1, x, w, k, wStride, start);
      continue;
    }
    if (!start) gatherSums(b, o0, o1, columns);
    if (columns > 8) packedTile(true, spare, spare + 64, x, w, k, wStride, start);
    else packedTile(false, spare, spare + 64, x, w, k, wStride, start);
    scatterSums(b, o0, o1, columns);
  }
}

/** One panel for all rows of the block with x where it lies. */
function loosePanel(b: Block, pairs: i32, x: usize, out: usize, w: usize, wStride: usize, columns: i32, start: i32): void {
  const direct = columns == 16 && b.outColumn == 4;
  const spare = b.spare, segments = b.xSegments, count = b.count, length = b.length, xStride = b.xStride;
  let rows = b.rowTable;
  for (let p = 0; p < pairs; p++, rows += 16) {
    const x0 = x + load<u32>(rows), x1 = x + load<u32>(rows, 8), o0 = out + load<u32>(rows, 4), o1 = out + load<u32>(rows, 12);
    if (direct) {
      looseTile(true, o0, o1, x0, x1, segments, count, length, xStride, w, wStride, start);
      continue;
    }
    if (!start) gatherSums(b, o0, o1, columns);
    if (columns > 8) looseTile(true, spare, spare + 64, x0, x1, segments, count, length, xStride, w, wStride, start);
    else looseTile(false, spare, spare + 64, x0, x1, segments, count, length, xStride, w, wStride, start);
    scatterSums(b, o0, o1, columns);
  }
}

function gatherSums(b: Block, o0: usize, o1: usize, columns: i32): void {
  moveColumns(b.spare, 4, o0, b.outColumn, columns);
  moveColumns(b.spare + 64, 4, o1, b.outColumn, columns);
}

function scatterSums(b: Block, o0: usize, o1: usize, columns: i32): void {
  moveColumns(o0, b.outColumn, b.spare, 4, columns);
  moveColumns(o1, b.outColumn, b.spare + 64, 4, columns);
}

/** Interleaves pairs of rows along k: target[k] = row 0 at k, row 1 at k. */
function packRows(b: Block, pairs: i32, rows: usize, x: usize, target: usize): void {
  const xStride = b.xStride, end = b.xSegments + (<usize>b.count << 2);
  for (let p = 0; p < pairs; p++, rows += 16) {
    const x0 = x + load<u32>(rows), x1 = x + load<u32>(rows, 8);
    for (let segment = b.xSegments; segment < end; segment += 4) {
      const offset = load<u32>(segment);
      let p0 = x0 + offset, p1 = x1 + offset, k = b.length;
      if (xStride == 4) {
        for (; k >= 4; k -= 4, p0 += 16, p1 += 16, target += 32) {
          const u = v128.load(p0), v = v128.load(p1);
          v128.store(target, v128.shuffle<f32>(u, v, 0, 4, 1, 5));
          v128.store(target, v128.shuffle<f32>(u, v, 2, 6, 3, 7), 16);
        }
      }
      for (; k > 0; k--, p0 += xStride, p1 += xStride, target += 8) {
        store<u32>(target, load<u32>(p0));
        store<u32>(target, load<u32>(p1), 4);
      }
    }
  }
}

/** Copies up to 16 columns of w to target[k][16]; missing columns are 0. */
function packColumns(b: Block, target: usize, w: usize, columns: i32): void {
  const kStride = b.wStride, columnStride = b.wColumn, end = b.wSegments + (<usize>b.count << 2);
  for (let segment = b.wSegments; segment < end; segment += 4) {
    let from = w + load<u32>(segment);
    let k = b.length;
    if (columnStride == 4 && columns == 16) {
      for (; k > 0; k--, from += kStride, target += 64) {
        v128.store(target, v128.load(from));
        v128.store(target, v128.load(from, 16), 16);
        v128.store(target, v128.load(from, 32), 32);
        v128.store(target, v128.load(from, 48), 48);
      }
    } else if (kStride == 4 && columns == 16) {
      for (; k >= 4; k -= 4, from += 16, target += 256) {
        for (let n: usize = 0; n < 4; n++) transpose4(target + (n << 4), from + 4 * n * columnStride, columnStride);
      }
    }
    for (; k > 0; k--, from += kStride, target += 64) {
      let at = from;
      for (let n = 0; n < columns; n++, at += columnStride) store<u32>(target + (<usize>n << 2), load<u32>(at));
      for (let n = columns; n < 16; n++) store<u32>(target + (<usize>n << 2), 0);
    }
  }
}

/** 4 x 4 elements: rows `stride` apart become columns of rows of 64 bytes. */
// @ts-ignore: decorator
@inline function transpose4(target: usize, from: usize, stride: usize): void {
  const a = v128.load(from), b = v128.load(from + stride), c = v128.load(from + 2 * stride), d = v128.load(from + 3 * stride);
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(target, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  v128.store(target, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 64);
  v128.store(target, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5), 128);
  v128.store(target, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7), 192);
}

/** One row, w in place: 32 columns at a time, w read once and in order of k. Returns the number of columns done. */
function oneRow(b: Block, x: usize, out: usize, w: usize, columns: i32, start: i32): i32 {
  const xStride = b.xStride, wStride = b.wStride, end = b.xSegments + (<usize>b.count << 2);
  let done = 0;
  for (; done + 32 <= columns; done += 32, out += 128, w += 128) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
    if (!start) {
      s0 = v128.load(out); s1 = v128.load(out, 16); s2 = v128.load(out, 32); s3 = v128.load(out, 48);
      s4 = v128.load(out, 64); s5 = v128.load(out, 80); s6 = v128.load(out, 96); s7 = v128.load(out, 112);
    }
    let row = w;
    for (let segment = b.xSegments; segment < end; segment += 4) {
      let p = x + load<u32>(segment);
      for (let k = b.length; k > 0; k--, p += xStride, row += wStride) {
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

/** A whole block. `scratch` holds one chunk of interleaved rows, then packed panels of w if it is not read in place. */
export function gemm(address: usize, x: usize, w: usize, out: usize, columns: i32, start: i32, scratch: usize): void {
  const b = changetype<Block>(address);
  const inPlace = b.inPlace != 0;
  if (b.rows == 1 && inPlace && b.outColumn == 4) {
    const done = oneRow(b, x + load<u32>(b.rowTable), out + load<u32>(b.rowTable, 4), w, columns, start);
    columns -= done;
    if (columns == 0) return;
    w += <usize>done << 2;
    out += <usize>done << 2;
  }
  const panels = (columns + 15) >> 4, pairs = (b.rows + 1) >> 1;
  const pitch = <usize>b.contracted << 3;
  let panelPitch: usize = 64, wStride = b.wStride;
  if (!inPlace) {
    const packed = scratch + max(<usize>chunkBytes, pitch);
    panelPitch = <usize>b.contracted << 6;
    wStride = 64;
    for (let p = 0; p < panels; p++) packColumns(b, packed + <usize>p * panelPitch, w + (<usize>p << 4) * b.wColumn, min(16, columns - (p << 4)));
    w = packed;
  }
  if (panels == 1) {
    loosePanel(b, pairs, x, out, w, wStride, columns, start);
    return;
  }
  const chunk = max(1, chunkBytes / max(1, <i32>pitch));
  let rows = b.rowTable;
  for (let first = 0; first < pairs; first += chunk, rows += <usize>chunk << 4) {
    const some = min(chunk, pairs - first);
    packRows(b, some, rows, x, scratch);
    for (let k = 0; k < b.contracted; k += depth) {
      const terms = min(depth, b.contracted - k);
      for (let p = 0; p < panels; p++) {
        packedPanel(
          b, some, rows, scratch + (<usize>k << 3), pitch, out + (<usize>p << 4) * b.outColumn, w + <usize>p * panelPitch + <usize>k * wStride,
          terms, wStride, min(16, columns - (p << 4)), k == 0 ? start : 0);
      }
    }
  }
}
