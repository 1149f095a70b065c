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
