/** @file What a kernel takes with the best of its tilings. */
import type { Machine } from "@systole/isa";
import { collapseKernel } from "../collapse.ts";
import type { Kernel } from "../kernel.ts";
import { TilingSearch } from "../search.ts";

/** Cycles; undefined where the kernel does not fit half of the data cache: what stays there leaves less than the whole. */
export type Quickest = (kernel: Kernel) => number | undefined;

export function quickestOn(machine: Machine, batch = 1): Quickest {
  const { dataCache } = machine;
  const search = new TilingSearch(machine, { batch });
  const inHalf = new TilingSearch({ ...machine, dataCache: { ...dataCache, bytes: Math.floor(dataCache.bytes / 2) } }, { batch });
  return (kernel) => {
    const collapsed = collapseKernel(kernel);
    return inHalf.fits(collapsed) ? search.representative(collapsed).predicted.cycles : undefined;
  };
}

/** Whether one kernel takes no longer than two. */
export function isQuicker(together: Kernel, apart: readonly [Kernel, Kernel], quickest: Quickest): boolean {
  const one = quickest(together);
  return one !== undefined && one <= apart.reduce((sum, kernel) => sum + (quickest(kernel) ?? Infinity), 0);
}
