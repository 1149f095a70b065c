/** @file Graph and machine to schedule: form kernels, collapse dimensions, decide what stays in the data cache, choose tilings, place everything. */
import { byteCount } from "@systole/base";
import type { Machine } from "@systole/isa";
import type { Graph } from "@systole/ir";
import { collapseKernel, mapAccesses } from "./collapse.ts";
import { withTables } from "./combinedRows.ts";
import { withFetches, type WithFetches } from "./fetches.ts";
import { formKernels } from "./form/form.ts";
import { joinKernels } from "./join/join.ts";
import { quickestOn } from "./join/quickest.ts";
import { sumProducts } from "./join/sumProducts.ts";
import { accessesOf, outputsOf, type Kernel, type ScheduledTensor } from "./kernel.ts";
import { planExternal, planOnChip } from "./memoryPlan.ts";
import { planResidents, type Residents } from "./residents.ts";
import { cacheBytes, type PlacedTensor, type Schedule, type TiledKernel } from "./schedule.ts";
import { canonicalKernel, TilingSearch, type SearchOptions } from "./search.ts";
import { align } from "./tiling/operand.ts";

export function schedule(graph: Graph, machine: Machine, options: SearchOptions = {}): Schedule {
  const formed = formKernels(graph);
  const { batch = 1 } = options;
  const quickest = quickestOn(machine, batch);
  const joined = joinKernels(sumProducts(formed.kernels, quickest), machine, quickest, (kernel) => canonicalKernel(kernel, batch));
  const { kernels, tensors, addresses, room, tiled } = tile(formed.tensors, joined.map(collapseKernel), machine, options);
  const external = planExternal(tensors.filter(({ id }) => !addresses.has(id)), kernels, machine);
  const placed = new Map(external.tensors.map((tensor) => [tensor.id, tensor]));
  return {
    machine: machine.name, model: graph.name, kernels: planOnChip(tiled, machine, (position) => room[position]!), externalBytes: external.externalBytes,
    tensors: tensors.map((tensor): PlacedTensor => placed.get(tensor.id) ?? resident(tensor, addresses.get(tensor.id)!)),
    inputs: new Map([...formed.inputs].map(([name, t]) => [name, t.id])),
    outputs: new Map([...formed.outputs].map(([name, t]) => [name, t.id])),
  };
}

interface Planned extends Residents {
  readonly kernels: readonly Kernel[];
  readonly tensors: readonly ScheduledTensor[];
  /** As if nothing stayed. */
  readonly alone: readonly TiledKernel[];
}

interface Tiled extends Planned {
  readonly tiled: readonly TiledKernel[];
}

/** With fetches of what finds room in the data cache. */
function plan(all: readonly ScheduledTensor[], formed: readonly Kernel[], machine: Machine, search: TilingSearch): Planned {
  // What takes longer than the latency it saves had better come tile by tile; inputs of a batch have many sizes.
  const mostBytes = machine.external.latencyCycles * machine.external.readBytesPerCycle;
  let wanted = withFetches(all, formed, ({ kind, type }) => byteCount(type) <= mostBytes && (kind === "constant" || !search.isBatched));
  for (;;) {
    const planned = planWith(wanted, machine, search);
    const chosen = new Set([...wanted.copies].flatMap(([copy, tensor]) => (planned.addresses.has(copy.id) ? [tensor] : [])));
    if (chosen.size === wanted.copies.size) return planned;
    wanted = withFetches(all, formed, (tensor) => chosen.has(tensor));
  }
}

function planWith({ tensors: all, kernels, copies }: WithFetches, machine: Machine, search: TilingSearch): Planned {
  const used = new Set(kernels.flatMap((kernel) => accessesOf(kernel).map((access) => access.tensor.id)));
  const tensors = all.filter((t) => t.kind === "input" || t.kind === "output" || used.has(t.id));
  const alone = kernels.map((kernel) => search.representative(kernel));
  const scaled = new Set(kernels.filter((kernel) => search.scales(kernel)).flatMap((kernel) => outputsOf(kernel).map(({ tensor }) => tensor)).filter((tensor) => !copies.has(tensor)));
  return { kernels, tensors, alone, ...planResidents(tensors, alone, machine, ({ tensor, bytes }) => (scaled.has(tensor) ? align(bytes * search.canonicalFactor) : bytes), new Set(copies.keys())) };
}

/** Kernels that stay as they are without residents keep their tiles; the others get new ones, in the room that is left. */
function tile(all: readonly ScheduledTensor[], formed: readonly Kernel[], machine: Machine, options: SearchOptions): Tiled {
  const search = new TilingSearch(machine, options);
  const split = withTables(all, formed);
  const onChip = split.tables.length === 0 ? undefined : plan(split.tensors, split.kernels, machine, search);
  const planned = onChip !== undefined && split.tables.every(({ id }) => onChip.addresses.has(id)) ? onChip : plan(all, formed, machine, search);
  const { kernels, tensors, alone, addresses, room } = planned;
  const residents = new Map(tensors.filter(({ id }) => addresses.has(id)).map((tensor) => [tensor, { ...tensor, memory: "cache" as const }]));
  const searches = new Map([[machine.dataCache.bytes, search]]);
  const searchIn = (bytes: number): TilingSearch => {
    const known = searches.get(bytes) ?? new TilingSearch({ ...machine, dataCache: { ...machine.dataCache, bytes } }, options);
    searches.set(bytes, known);
    return known;
  };
  const tiled = kernels.map((kernel, position) => {
    const touches = accessesOf(kernel).some((access) => residents.has(access.tensor));
    if (!touches && cacheBytes(alone[position]!) <= room[position]!) {
      // Random tilings are drawn anew each time; fewer samples than the canonical ones may take more slots.
      const same = options.tilingSeed === undefined ? search.choose(kernel) : alone[position]!;
      if (cacheBytes(same) <= room[position]!) return same;
    }
    return searchIn(room[position]!).choose(mapAccesses(kernel, (access) => ({ ...access, tensor: residents.get(access.tensor) ?? access.tensor })));
  });
  return { ...planned, tiled };
}

function resident(tensor: ScheduledTensor, address: number): PlacedTensor {
  return { ...tensor, memory: "cache", address, bytes: align(byteCount(tensor.type)) };
}
