/** @file Permutations of axes, as `transpose` has them: axis a of the result is axis p[a] of the operand. */

export type Permutation = readonly number[];

export function isIdentity(p: Permutation): boolean {
  return p.every((axis, i) => axis === i);
}

export function inverse(p: Permutation): Permutation {
  return unpermute(p.map((_, i) => i), p);
}

/** transpose(transpose(x, first), second) = transpose(x, compose(first, second)). */
export function compose(first: Permutation, second: Permutation): Permutation {
  return second.map((axis) => first[axis]!);
}

export function samePermutation(a: Permutation, b: Permutation): boolean {
  return a.length === b.length && a.every((axis, i) => axis === b[i]);
}

/** The result per axis of x of what is given per axis of transpose(x, p). */
export function unpermute<T>(values: readonly T[], p: Permutation): T[] {
  const result = [...values];
  p.forEach((axis, i) => (result[axis] = values[i]!));
  return result;
}

/** Whether the axes with more than one element keep their order: the elements do not move then. */
export function movesOnlyUnitAxes(shape: readonly number[], p: Permutation): boolean {
  return isAscending(p.filter((axis) => shape[axis] !== 1));
}

export function isAscending(list: readonly number[]): boolean {
  return list.every((x, i) => i === 0 || list[i - 1]! < x);
}

/** Axes of x renumbered when `removed` disappear: what is left of p is again a permutation. */
export function dropAxes(p: Permutation, removedOfOperand: readonly number[]): Permutation {
  const kept = p.filter((axis) => !removedOfOperand.includes(axis));
  const sorted = [...kept].sort((a, b) => a - b);
  return kept.map((axis) => sorted.indexOf(axis));
}
