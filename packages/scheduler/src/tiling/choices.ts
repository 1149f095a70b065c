/** @file Short lists of tile extents for the search: deterministic, small, with the extents that divide. */

/** What a search knows besides kernel and machine. */
export interface TilingContext {
  /** Whether a tiling that takes at least so many cycles is still of interest. */
  readonly worthwhile: (cycles: number) => boolean;
  /** Told of a tiling that takes so many cycles, before it is yielded: what takes longer is of no interest any more. */
  readonly promise?: (cycles: number) => void;
  /** The dimension that holds the samples of a batch: it always gets a loop, so that the code is the same for every batch. */
  readonly batchDim?: number;
}

/** Powers of two up to the extent, the extent, and the divisors near them. */
export function extentChoices(extent: number, most = 12): number[] {
  const choices = new Set<number>([1, extent]);
  for (let p = 2; p < extent; p *= 2) {
    choices.add(p);
    const parts = Math.ceil(extent / p);
    choices.add(Math.ceil(extent / parts));
  }
  const sorted = [...choices].sort((a, b) => a - b);
  if (sorted.length <= most) return sorted;
  return sorted.filter((_, i) => i % Math.ceil(sorted.length / most) === 0 || i === sorted.length - 1);
}

/**
 * Tiles that are contiguous in row-major order: inner dimensions whole, one dimension split, outer ones 1. For every target number of points
 * the split is as even as it can be; the order of a sum allows no other tiles of k.
 */
export function suffixTiles(extents: readonly number[], targets: readonly number[]): number[][] {
  const total = extents.reduce((a, b) => a * b, 1);
  const seen = new Map<string, number[]>();
  const add = (tile: number[]) => seen.set(tile.join(","), tile);
  add([...extents]);
  for (const target of targets) {
    if (target >= total) continue;
    let inner = 1;
    let split = extents.length - 1;
    while (split > 0 && inner * extents[split]! <= target) inner *= extents[split--]!;
    const extent = extents[split]!;
    const most = Math.max(1, Math.min(extent, Math.floor(target / inner)));
    const even = Math.ceil(extent / Math.ceil(extent / most));
    for (const t of [most, even]) add(extents.map((e, i) => (i < split ? 1 : i === split ? t : e)));
  }
  return [...seen.values()];
}
