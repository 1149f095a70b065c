/** @file When a reshape and a transpose can change places. */
import { isAscending, type Permutation } from "../permutation.ts";

/** Axes of the operand and of the result of a reshape that hold the same elements. */
interface AxisGroup {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** The finest groups; axes with one element join the group in front of them. Undefined for empty tensors. */
export function reshapeGroups(from: readonly number[], to: readonly number[]): readonly AxisGroup[] | undefined {
  if ([...from, ...to].includes(0)) return undefined;
  const groups: AxisGroup[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const before = i < from.length ? [i++] : [];
    const after = j < to.length ? [j++] : [];
    let left = before.reduce((product, axis) => product * from[axis]!, 1);
    let right = after.reduce((product, axis) => product * to[axis]!, 1);
    while (left !== right) {
      if (left < right) {
        left *= from[i]!;
        before.push(i++);
      } else {
        right *= to[j]!;
        after.push(j++);
      }
    }
    groups.push({ before, after });
  }
  return groups;
}

export interface SunkReshape {
  /** The shape to give the operand of the transpose. */
  readonly shape: readonly number[];
  /** The transpose behind it. */
  readonly permutation: Permutation;
}

/** reshape(transpose(x, p), to) as transpose(reshape(x, shape), permutation), if every group stays together in x. */
export function sinkThroughReshape(from: readonly number[], to: readonly number[], p: Permutation): SunkReshape | undefined {
  const groups = reshapeGroups(from, to);
  if (groups === undefined) return undefined;
  const long = groups.map(({ before }) => before.filter((axis) => from[axis] !== 1).map((axis) => p[axis]!));
  // Positions in x counted over its longer axes only: neighbours differ by 1.
  const ranks = long.flat().sort((a, b) => a - b);
  const together = long.every((axes) => isAscending(axes) && axes.every((axis, i) => i === 0 || ranks.indexOf(axis) === ranks.indexOf(axes[i - 1]!) + 1));
  if (!together) return undefined;
  const keys = groups.map(({ before }, g) => long[g]![0] ?? (before.length > 0 ? p[before[0]!]! : from.length));
  const order = groups.map((_, g) => g).sort((a, b) => keys[a]! - keys[b]! || a - b);
  const axes = order.flatMap((g) => groups[g]!.after);
  return { shape: axes.map((axis) => to[axis]!), permutation: to.map((_, axis) => axes.indexOf(axis)) };
}
