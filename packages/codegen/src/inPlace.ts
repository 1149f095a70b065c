/** @file The tensors that a kernel loads and overwrites, with their slots. */
import { inPlaceSlots, outputsOf, readsOf, type InPlace, type TiledKernel } from "@systole/scheduler";
import type { Region, TensorPlaces } from "./tensorPlaces.ts";

export interface InPlaceRegion extends InPlace {
  readonly region: Region;
}

export function inPlaceRegions({ kernel, levels }: TiledKernel, places: TensorPlaces): readonly InPlaceRegion[] {
  return outputsOf(kernel).flatMap((output) => {
    const { region, row } = places.of(output.tensor.id);
    const inRegion = [...readsOf(kernel), ...outputsOf(kernel)].filter((access) => access !== output && places.of(access.tensor.id).region === region);
    const read = readsOf(kernel).filter((access) => inRegion.includes(access));
    // Other tensors of the region would lie across the slots.
    const others = read.length < inRegion.length || [output, ...read].some((access) => places.of(access.tensor.id).offset !== 0);
    if (row !== undefined || others || read.every((access) => access.direct === true)) return [];
    const slots = inPlaceSlots(kernel, output, levels, read);
    return slots === undefined || (region.memory === "cache" && slots.slots * slots.slotBytes > region.bytes) ? [] : [{ region, ...slots }];
  });
}
