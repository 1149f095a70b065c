/** @file What a kernel takes with the best of its tilings. */
import { collapseKernel } from "../collapse.ts";
import type { Kernel } from "../kernel.ts";
import type { TilingSearch } from "../search.ts";

/** Undefined where nothing fits. */
export function quickest(search: TilingSearch): (kernel: Kernel) => number | undefined {
  return (kernel) => {
    const collapsed = collapseKernel(kernel);
    return search.fits(collapsed) ? search.representative(collapsed).predicted.cycles : undefined;
  };
}
