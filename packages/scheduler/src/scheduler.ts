/** @file Graph and machine to schedule: form kernels, collapse dimensions, decide what stays in the data cache, choose tilings, place everything. */
import { byteCount } from "@systole/base";
import type { Machine } from "@systole/isa";
import type { Graph } from "@systole/ir";
import { collapseKernel, mapAccesses } from "./collapse.ts";
import { formKernels } from "./form/form.ts";
import { readsOf, type Kernel, type ScheduledTensor } from "./kernel.ts";
import { planExternal, planOnChip } from "./memoryPlan.ts";
import { planResidents, type Residents } from "./residents.ts";
import { cacheBytes, type PlacedTensor, type Schedule, type TiledKernel } from "./schedule.ts";
import { TilingSearch, type SearchOptions } from "./search.ts";
import { align } from "./tiling/operand.ts";

export function schedule(graph: Graph, machine: Machine, options: SearchOptions = {}): Schedule {
  const formed = formKernels(graph);
  const kernels = formed.kernels.map(collapseKernel);
  const used = new Set(kernels.flatMap((kernel) => [kernel.output.tensor.id, ...readsOf(kernel).map((access) => access.tensor.id)]));
  const tensors = formed.tensors.filter((t) => t.kind === "input" || t.kind === "output" || used.has(t.id));
  const { addresses, room, tiled } = tile(kernels, tensors, machine, options);
  const external = planExternal(tensors.filter(({ id }) => !addresses.has(id)), kernels, machine);
  const placed = new Map(external.tensors.map((tensor) => [tensor.id, tensor]));
  return {
    machine: machine.name, model: graph.name, kernels: planOnChip(tiled, machine, (position) => room[position]!), externalBytes: external.externalBytes,
    tensors: tensors.map((tensor): PlacedTensor => placed.get(tensor.id) ?? resident(tensor, addresses.get(tensor.id)!)),
    inputs: new Map([...formed.inputs].map(([name, t]) => [name, t.id])),
    outputs: new Map([...formed.outputs].map(([name, t]) => [name, t.id])),
  };
}

interface Tiled extends Residents {
  readonly tiled: readonly TiledKernel[];
}

/** Kernels that stay as they are without residents keep their tiles; the others get new ones, in the room that is left. */
function tile(kernels: readonly Kernel[], tensors: readonly ScheduledTensor[], machine: Machine, options: SearchOptions): Tiled {
  const search = new TilingSearch(machine, options);
  const alone = kernels.map((kernel) => search.representative(kernel));
  const scaled = new Set(kernels.filter((kernel) => search.scales(kernel)).map(({ output }) => output.tensor));
  const { addresses, room } = planResidents(tensors, alone, machine, ({ tensor, bytes }) => (scaled.has(tensor) ? align(bytes * search.canonicalFactor) : bytes));
  const residents = new Map(tensors.filter(({ id }) => addresses.has(id)).map((tensor) => [tensor, { ...tensor, memory: "cache" as const }]));
  const searches = new Map([[machine.dataCache.bytes, search]]);
  const searchIn = (bytes: number): TilingSearch => {
    const known = searches.get(bytes) ?? new TilingSearch({ ...machine, dataCache: { ...machine.dataCache, bytes } }, options);
    searches.set(bytes, known);
    return known;
  };
  const tiled = kernels.map((kernel, position) => {
    const touches = [...readsOf(kernel), kernel.output].some((access) => residents.has(access.tensor));
    if (!touches && cacheBytes(alone[position]!) <= room[position]!) return search.choose(kernel);
    return searchIn(room[position]!).choose(mapAccesses(kernel, (access) => ({ ...access, tensor: residents.get(access.tensor) ?? access.tensor })));
  });
  return { addresses, room, tiled };
}

function resident(tensor: ScheduledTensor, address: number): PlacedTensor {
  return { ...tensor, memory: "cache", address, bytes: align(byteCount(tensor.type)) };
}
