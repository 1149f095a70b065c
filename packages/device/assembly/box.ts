/**
 * @file Boxes: up to 8 nested strided dimensions, innermost last. A descriptor in memory holds, as i32:
 * element bytes, extents[8], target strides[8], source strides[8]. Addresses wrap modulo 2^32, so strides are signed.
 */

// @ts-ignore: decorator
@inline function extent(box: usize, d: i32): i32 { return load<i32>(box + 4 + (<usize>d << 2)); }
// @ts-ignore: decorator
@inline function targetStride(box: usize, d: i32): i32 { return load<i32>(box + 36 + (<usize>d << 2)); }
// @ts-ignore: decorator
@inline function sourceStride(box: usize, d: i32): i32 { return load<i32>(box + 68 + (<usize>d << 2)); }
/** Odometer of the outer dimensions, behind the strides. */
// @ts-ignore: decorator
@inline function counter(box: usize, d: i32): usize { return box + 100 + (<usize>d << 2); }

function copyRun(target: usize, source: usize, count: i32, ts: i32, ss: i32, width: i32): void {
  if (ts == width && ss == width) {
    const bytes = <usize>(count * width);
    // A call to the host's copy costs more than a short run.
    if (bytes >= 1024) { memory.copy(target, source, bytes); return; }
    let at: usize = 0;
    for (; at + 64 <= bytes; at += 64) {
      const a = v128.load(source + at), b = v128.load(source + at, 16), c = v128.load(source + at, 32), d = v128.load(source + at, 48);
      v128.store(target + at, a); v128.store(target + at, b, 16); v128.store(target + at, c, 32); v128.store(target + at, d, 48);
    }
    for (; at + 16 <= bytes; at += 16) v128.store(target + at, v128.load(source + at));
    for (; at + 4 <= bytes; at += 4) store<u32>(target + at, load<u32>(source + at));
    for (; at < bytes; at++) store<u8>(target + at, load<u8>(source + at));
    return;
  }
  if (width == 4) {
    for (let i = 0; i < count; i++, target += ts, source += ss) store<u32>(target, load<u32>(source));
  } else if (width == 8) {
    for (let i = 0; i < count; i++, target += ts, source += ss) store<u64>(target, load<u64>(source));
  } else {
    for (let i = 0; i < count; i++, target += ts, source += ss) store<u8>(target, load<u8>(source));
  }
}

/** target[x] = source[x] for every point x of a box of `rank` >= 1 dimensions, none of them empty. */
export function copyBox(target: usize, source: usize, rank: i32, box: usize): void {
  const width = load<i32>(box);
  const inner = rank - 1;
  const count = extent(box, inner), ts = targetStride(box, inner), ss = sourceStride(box, inner);
  for (let d = 0; d < inner; d++) store<i32>(counter(box, d), 0);
  while (true) {
    copyRun(target, source, count, ts, ss, width);
    let d = inner - 1;
    for (; d >= 0; d--) {
      target += targetStride(box, d);
      source += sourceStride(box, d);
      const next = load<i32>(counter(box, d)) + 1;
      if (next < extent(box, d)) { store<i32>(counter(box, d), next); break; }
      store<i32>(counter(box, d), 0);
      target -= <usize>(targetStride(box, d) * extent(box, d));
      source -= <usize>(sourceStride(box, d) * extent(box, d));
    }
    if (d < 0) return;
  }
}

/** target[x] = value for every point x; `high` is the upper half of 8-byte elements. Source strides are not read. */
export function fillBox(target: usize, rank: i32, box: usize, low: u32, high: u32): void {
  const width = load<i32>(box);
  const inner = rank - 1;
  const count = extent(box, inner), ts = targetStride(box, inner);
  const wide: u64 = (<u64>high << 32) | <u64>low;
  for (let d = 0; d < inner; d++) store<i32>(counter(box, d), 0);
  while (true) {
    let at = target;
    if (width == 4) for (let i = 0; i < count; i++, at += ts) store<u32>(at, low);
    else if (width == 8) for (let i = 0; i < count; i++, at += ts) store<u64>(at, wide);
    else for (let i = 0; i < count; i++, at += ts) store<u8>(at, <u8>low);
    let d = inner - 1;
    for (; d >= 0; d--) {
      target += targetStride(box, d);
      const next = load<i32>(counter(box, d)) + 1;
      if (next < extent(box, d)) { store<i32>(counter(box, d), next); break; }
      store<i32>(counter(box, d), 0);
      target -= <usize>(targetStride(box, d) * extent(box, d));
    }
    if (d < 0) return;
  }
}
