/** @file The cheapest brackets of a chain, by dynamic programming on the multiply-accumulate count (Cormen et al., "Matrix-chain multiplication"). */
import { pointsOf, type Bracket, type Chain } from "./network.ts";

/** A contraction has one letter for each axis. */
const maximalAxes = 52;

/** The axes of the factors first..last that the result or a factor outside still needs, in the order in which they are met. */
export function openAxes({ factors, out }: Chain): (first: number, last: number) => readonly number[] {
  const extreme = new Map<number, { first: number; last: number }>();
  factors.forEach(({ axes }, i) => axes.forEach((axis) => extreme.set(axis, { first: extreme.get(axis)?.first ?? i, last: i })));
  const known = new Map<string, readonly number[]>();
  return (first, last) => {
    const key = `${first} ${last}`;
    const axes = known.get(key) ?? [...new Set(factors.slice(first, last + 1).flatMap((factor) => factor.axes))].filter((axis) => {
      const span = extreme.get(axis)!;
      return out.includes(axis) || span.first < first || span.last > last;
    });
    known.set(key, axes);
    return axes;
  };
}

/** Multiply-accumulates of a chain in the order of these brackets; a product with a diagonal counts its elements. */
export function macsOf(chain: Chain, bracket: Bracket, open = openAxes(chain)): number {
  if (bracket.parts === undefined) return 0;
  const [left, right] = bracket.parts;
  const axes = new Set([...open(left.first, left.last), ...open(right.first, right.last)]);
  return pointsOf(chain.extents, axes) + macsOf(chain, left, open) + macsOf(chain, right, open);
}

/** Of several cheapest orders the one that ends with the leftmost split. */
export function cheapestOrder(chain: Chain): Bracket {
  const open = openAxes(chain);
  const n = chain.factors.length;
  const best: { readonly macs: number; readonly bracket: Bracket }[][] = chain.factors.map((_, i) => {
    const row = new Array<{ macs: number; bracket: Bracket }>(n);
    row[i] = { macs: 0, bracket: { first: i, last: i } };
    return row;
  });
  for (let length = 2; length <= n; length++) {
    for (let first = 0; first + length <= n; first++) {
      const last = first + length - 1;
      let cheapest = { macs: Infinity, bracket: chain.written };
      for (let split = first; split < last; split++) {
        const [left, right] = [best[first]![split]!, best[split + 1]![last]!];
        const axes = new Set([...open(first, split), ...open(split + 1, last)]);
        const macs = axes.size > maximalAxes ? Infinity : left.macs + right.macs + pointsOf(chain.extents, axes);
        if (macs < cheapest.macs) cheapest = { macs, bracket: { first, last, parts: [left.bracket, right.bracket] } };
      }
      best[first]![last] = cheapest;
    }
  }
  return best[0]![n - 1]!.bracket;
}
