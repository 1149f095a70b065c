/** @file The tensor in external memory that a kernel reads and overwrites, with its slots. */
import { inPlaceSlots, readsOf, type InPlace, type TiledKernel } from "@systole/scheduler";
import type { Region, TensorPlaces } from "./tensorPlaces.ts";

export interface InPlaceRegion extends InPlace {
  readonly region: Region;
}

export function inPlaceOf({ kernel, levels }: TiledKernel, places: TensorPlaces): InPlaceRegion | undefined {
  const { region, row } = places.of(kernel.output.tensor.id);
  if (region.memory !== "external" || row !== undefined) return undefined;
  const slots = inPlaceSlots(kernel, levels, readsOf(kernel).filter((access) => places.of(access.tensor.id).region === region));
  return slots === undefined ? undefined : { region, ...slots };
}
