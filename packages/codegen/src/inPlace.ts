/** @file The tensor that a kernel loads and overwrites, with its slots. */
import { inPlaceSlots, readsOf, type InPlace, type TiledKernel } from "@systole/scheduler";
import type { Region, TensorPlaces } from "./tensorPlaces.ts";

export interface InPlaceRegion extends InPlace {
  readonly region: Region;
}

export function inPlaceOf({ kernel, levels }: TiledKernel, places: TensorPlaces): InPlaceRegion | undefined {
  const { region, row } = places.of(kernel.output.tensor.id);
  const read = readsOf(kernel).filter((access) => places.of(access.tensor.id).region === region);
  // Other tensors of the region would lie across the slots.
  const others = [kernel.output, ...read].some((access) => places.of(access.tensor.id).offset !== 0);
  if (row !== undefined || others || read.every((access) => access.direct === true)) return undefined;
  const slots = inPlaceSlots(kernel, levels, read);
  return slots === undefined || (region.memory === "cache" && slots.slots * slots.slotBytes > region.bytes) ? undefined : { region, ...slots };
}
