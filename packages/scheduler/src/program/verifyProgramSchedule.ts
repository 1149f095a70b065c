/**
 * @file Checks the schedule of a program before code is made of it:
 * - program tensors and constants lie inside their memory and do not overlap; in the data cache none lies among the buffers of kernels;
 * - what a kernel accesses lies in a program tensor, a constant, or the room for temporaries;
 * - tiles cover their kernels, buffers lie side by side below the tensors that stay.
 */
import { internal } from "@systole/base";
import type { Machine } from "@systole/isa";
import type { TensorMemory } from "../kernel.ts";
import { verifyBuffers, verifyTiles } from "../verify.ts";
import type { ProgramSchedule } from "./programSchedule.ts";

interface Region {
  readonly name: string;
  readonly memory: TensorMemory;
  readonly address: number;
  readonly bytes: number;
}

export function verifyProgramSchedule(schedule: ProgramSchedule, machine: Machine): void {
  const limits = { external: [0, schedule.externalBytes], cache: [schedule.workingBytes, machine.dataCache.bytes] } as const;
  const end = ({ address, bytes }: Region) => address + bytes;
  const inside = (region: Region) => region.address >= limits[region.memory][0] && end(region) <= limits[region.memory][1];
  const kept: Region[] = [
    ...schedule.tensors.map(({ tensor: { name }, memory, address, bytes }) => ({ name, memory, address, bytes })),
    ...schedule.constants.map(({ name, address, bytes }) => ({ name, memory: "external" as const, address, bytes })),
    ...schedule.residentConstants.map(({ name, address, bytes }) => ({ name, memory: "cache" as const, address, bytes })),
  ].filter(({ bytes }) => bytes > 0).sort((a, b) => a.address - b.address);
  for (const memory of ["external", "cache"] as const) {
    const here = kept.filter((region) => region.memory === memory);
    here.forEach((region, i) => {
      if (!inside(region)) internal(`${region.name} leaves the ${memory}`);
      const next = here[i + 1];
      if (next !== undefined && next.address < end(region)) internal(`${region.name} and ${next.name} overlap in the ${memory}`);
    });
  }
  for (const place of schedule.places) {
    const region: Region = { ...place, memory: place.memory ?? "external", bytes: place.bytes + (place.row === undefined ? 0 : place.row.strideBytes * (place.row.count - 1)) };
    if (!inside(region)) internal(`${place.name} leaves the ${region.memory}`);
    const cut = kept.find((other) => other.memory === region.memory && other.address < end(region) && region.address < end(other) && !(other.address <= region.address && end(region) <= end(other)));
    if (cut !== undefined) internal(`${place.name} overlaps ${cut.name} without lying in it`);
  }
  const view = { ...machine, dataCache: { ...machine.dataCache, bytes: schedule.workingBytes } };
  for (const tiled of schedule.kernels) {
    verifyTiles(tiled);
    verifyBuffers(tiled, view);
  }
}
