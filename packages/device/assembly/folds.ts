/** @file Reductions of a run of float32 into one sum, in the two orders of docs/numerics.md, and running sums. */

/** Folds `count` adjacent elements into `state`, ascending. Codes: 0 sum, 1 product, 2 maximum, 3 minimum. */
export function foldRun(operation: i32, state: f32, from: usize, count: i32): f32 {
  const end = from + (<usize>count << 2);
  if (operation == 0) for (; from < end; from += 4) state += load<f32>(from);
  else if (operation == 1) for (; from < end; from += 4) state *= load<f32>(from);
  else if (operation == 2) for (; from < end; from += 4) state = max<f32>(state, load<f32>(from));
  else for (; from < end; from += 4) state = min<f32>(state, load<f32>(from));
  return state;
}

// @ts-ignore: decorator
@inline function step(operation: i32, state: f32, value: f32): f32 {
  if (operation == 0) return state + value;
  if (operation == 1) return state * value;
  return operation == 2 ? max<f32>(state, value) : min<f32>(state, value);
}

/** What a fold begins with; an extreme with its first element, which it may take twice. */
// @ts-ignore: decorator
@inline function begin(operation: i32, start: i32, result: usize, from: usize): f32 {
  if (!start) return load<f32>(result);
  return operation == 0 ? 0 : operation == 1 ? 1 : load<f32>(from);
}

/** Four folds at a time: each alone would wait for its own last step. */
// @ts-ignore: decorator
@inline function foldAll(operation: i32, results: usize, from: usize, length: i32, runs: i32, start: i32): void {
  const pitch = <usize>length << 2;
  for (; runs >= 4; runs -= 4, results += 16, from += 4 * pitch) {
    let a = begin(operation, start, results, from), b = begin(operation, start, results + 4, from + pitch);
    let c = begin(operation, start, results + 8, from + 2 * pitch), d = begin(operation, start, results + 12, from + 3 * pitch);
    for (let at = from, end = from + pitch; at < end; at += 4) {
      a = step(operation, a, load<f32>(at)); b = step(operation, b, load<f32>(at + pitch));
      c = step(operation, c, load<f32>(at + 2 * pitch)); d = step(operation, d, load<f32>(at + 3 * pitch));
    }
    store<f32>(results, a); store<f32>(results, b, 4); store<f32>(results, c, 8); store<f32>(results, d, 12);
  }
  for (; runs > 0; runs--, results += 4, from += pitch) {
    let a = begin(operation, start, results, from);
    for (let at = from, end = from + pitch; at < end; at += 4) a = step(operation, a, load<f32>(at));
    store<f32>(results, a);
  }
}

/** Folds `runs` runs of `length` adjacent elements that follow each other into adjacent results, which they go on from if not `start`. Codes as above. */
export function foldRuns(operation: i32, results: usize, from: usize, length: i32, runs: i32, start: i32): void {
  switch (operation) {
    case 0: foldAll(0, results, from, length, runs, start); return;
    case 1: foldAll(1, results, from, length, runs, start); return;
    case 2: foldAll(2, results, from, length, runs, start); return;
    default: foldAll(3, results, from, length, runs, start); return;
  }
}

/** Adds element e to partial sum (phase + e) mod `partials`, a power of two, at `sums`. */
export function foldPartials(sums: usize, partials: i32, phase: i32, from: usize, count: i32): void {
  let at = phase & (partials - 1);
  while (count > 0) {
    let length = min(count, partials - at);
    count -= length;
    let to = sums + (<usize>at << 2);
    for (; length >= 4; length -= 4, to += 16, from += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
    for (; length > 0; length--, to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
    at = 0;
  }
}

/** The fixed tree over the partial sums, which it overwrites. */
export function foldTree(sums: usize, partials: i32): f32 {
  for (let half = partials >> 1; half >= 1; half >>= 1) {
    for (let j = 0; j < half; j++) {
      const to = sums + (<usize>j << 2);
      store<f32>(to, load<f32>(to) + load<f32>(to + (<usize>half << 2)));
    }
  }
  return load<f32>(sums);
}

/** Running sums in place; returns the last. Exclusive: element e gets the sum before it. */
export function scanRun(state: f32, at: usize, count: i32, exclusive: i32): f32 {
  for (; count > 0; count--, at += 4) {
    const before = state;
    state += load<f32>(at);
    store<f32>(at, exclusive ? before : state);
  }
  return state;
}
