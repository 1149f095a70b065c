/**
 * @file Checks a schedule before code is made of it:
 * - every tensor lies inside its memory, 64-byte aligned, only temporaries in the data cache, and tensors that live at the same time do not overlap;
 * - a kernel reads only inputs, constants and tensors that an earlier kernel wrote;
 * - buffers of a kernel lie inside their memory and do not overlap;
 * - tiles have 1..extent points, levels are at most 8 and cover each dimension;
 * - reduced dimensions are tiled in the order of the sum: whole inside the split one, single outside;
 * - results read earlier ones only.
 */
import { internal } from "@systole/base";
import type { Machine } from "@systole/isa";
import { accessesOf, outputsOf, readsOf } from "./kernel.ts";
import { lifetimesOf } from "./memoryPlan.ts";
import { buffersOf, type PlacedTensor, type Schedule, type TiledKernel } from "./schedule.ts";

export function verifySchedule(schedule: Schedule, machine: Machine): void {
  const written = new Set(schedule.tensors.filter((t) => t.kind === "input" || t.kind === "constant").map((t) => t.id));
  for (const t of schedule.tensors) {
    const end = t.memory === "cache" ? machine.dataCache.bytes : schedule.externalBytes;
    if (t.address % 64 !== 0 || t.address + t.bytes > end) internal(`tensor ${t.name} lies outside its memory`);
    if (t.memory === "cache" && t.kind !== "temporary") internal(`${t.kind} ${t.name} lies in the data cache`);
  }
  verifyLifetimes(schedule, (t) => t.memory !== "cache");
  verifyLifetimes(schedule, (t) => t.memory === "cache");
  verifyRoom(schedule);
  for (const tiled of schedule.kernels) {
    for (const access of readsOf(tiled.kernel)) {
      if (!written.has(access.tensor.id)) internal(`kernel ${tiled.kernel.name} reads ${access.tensor.name} before it is written`);
    }
    for (const { tensor } of outputsOf(tiled.kernel)) written.add(tensor.id);
    verifyTiles(tiled);
    verifyBuffers(tiled, machine);
  }
}

/** The buffers of a kernel lie below what stays in the data cache while it runs. */
function verifyRoom(schedule: Schedule): void {
  const cached = lifetimesOf(schedule.tensors.filter((t) => t.memory === "cache"), schedule.kernels.map(({ kernel }) => kernel));
  const addresses = new Map(schedule.tensors.map((t) => [t.id, t.address]));
  schedule.kernels.forEach((tiled, position) => {
    const { kernel } = tiled;
    const end = buffersOf(tiled).filter(({ memory }) => memory === "cache").reduce((most, b) => Math.max(most, b.address + b.slots * b.slotBytes), 0);
    const low = cached.find(({ tensor, first, last }) => first <= position && position <= last && addresses.get(tensor.id)! < end);
    if (low !== undefined) internal(`buffers of kernel ${kernel.name} overlap ${low.tensor.name} in the data cache`);
  });
}

function verifyLifetimes(schedule: Schedule, concerns: (t: PlacedTensor) => boolean): void {
  const last = new Map<number, number>();
  const first = new Map<number, number>();
  schedule.kernels.forEach((tiled, i) => {
    for (const access of accessesOf(tiled.kernel)) {
      if (!first.has(access.tensor.id)) first.set(access.tensor.id, i);
      last.set(access.tensor.id, i);
    }
  });
  const always = (kind: string) => kind !== "temporary";
  const spans = schedule.tensors.filter(concerns).map((t) => ({ t, from: always(t.kind) ? -1 : first.get(t.id) ?? 0, to: always(t.kind) ? schedule.kernels.length : last.get(t.id) ?? 0 })).sort((a, b) => a.t.address - b.t.address);
  spans.forEach((a, i) => {
    for (let j = i + 1; j < spans.length && spans[j]!.t.address < a.t.address + a.t.bytes; j++) {
      const b = spans[j]!;
      if (a.from <= b.to && b.from <= a.to) internal(`tensors ${a.t.name} and ${b.t.name} overlap`);
    }
  });
}

/** Tiles cover their kernel, reduced dimensions in the order of the sum. */
export function verifyTiles(tiled: TiledKernel): void {
  const { kernel, tile, levels } = tiled;
  if (levels.length > 8) internal(`kernel ${kernel.name} has ${levels.length} levels`);
  kernel.dims.forEach((d, i) => {
    if (tile[i]! < 1 || tile[i]! > d.extent) internal(`kernel ${kernel.name}: tile ${tile[i]} of ${d.name}=${d.extent}`);
    const level = levels.find((l) => l.dim === i && l.kind !== "panel");
    if (tile[i]! * (level?.count ?? 1) < d.extent) internal(`kernel ${kernel.name}: tiles do not cover ${d.name}`);
  });
  kernel.results.forEach(({ chain }, i) => {
    if (chain.stages.some(({ sources }) => sources.some((s) => s.kind === "result" && s.index >= i))) internal(`kernel ${kernel.name}: result ${i} reads one that comes later`);
  });
  let split = false;
  for (let i = kernel.dims.length - 1; i >= kernel.parallel; i--) {
    if (split && tile[i] !== 1) internal(`kernel ${kernel.name}: the order of the sum is broken`);
    split ||= tile[i]! < kernel.dims[i]!.extent;
  }
}

/** Buffers lie in their memories side by side. */
export function verifyBuffers(tiled: TiledKernel, machine: Machine): void {
  const all = buffersOf(tiled);
  for (const memory of ["cache", "accumulator"] as const) {
    const capacity = memory === "cache" ? machine.dataCache.bytes : machine.accumulators.bytes;
    const here = all.filter((b) => b.memory === memory && b.slotBytes > 0).sort((a, b) => a.address - b.address);
    here.forEach((b, i) => {
      const end = b.address + b.slots * b.slotBytes;
      if (b.address < 0 || end > capacity) internal(`kernel ${tiled.kernel.name}: a buffer leaves the ${memory}`);
      const next = here[i + 1];
      if (next !== undefined && next.address < end) internal(`kernel ${tiled.kernel.name}: buffers overlap in the ${memory}`);
    });
  }
}
