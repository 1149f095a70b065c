/**
 * @file Which temporaries of a graph stay in the data cache from the kernel that writes them to the last one that reads them. They lie at its top; the buffers of a
 * kernel have what is left below those that live while it runs. A temporary stays where every kernel in between keeps the tiles it has with the whole data cache, in two
 * slots at least, and where it saves a part of the time of those that touch it that is worth another search.
 */
import type { Machine } from "@systole/isa";
import { accessesOf, outputsOf, type ScheduledTensor } from "./kernel.ts";
import { lifetimesOf, type Lifetime } from "./memoryPlan.ts";
import { cacheBytes, type TiledKernel } from "./schedule.ts";
import { allLoadCycles } from "./tiling/cost.ts";

export interface Residents {
  /** In the data cache, by the tensor's id. */
  readonly addresses: ReadonlyMap<number, number>;
  /** Bytes of the data cache that the buffers of each kernel may take. */
  readonly room: readonly number[];
}

/** `tiled`: every kernel as if nothing stayed. `bytesOf` gives a tensor's room; `fetched` are copies of what lies outside, whose kernels need no room. */
export function planResidents(tensors: readonly ScheduledTensor[], tiled: readonly TiledKernel[], machine: Machine, bytesOf: (life: Lifetime) => number, fetched: ReadonlySet<ScheduledTensor>): Residents {
  const capacity = machine.dataCache.bytes;
  const fetches = ({ kernel }: TiledKernel) => outputsOf(kernel).some(({ tensor }) => fetched.has(tensor));
  const needs = tiled.map((one) => (fetches(one) ? 0 : cacheBytes(one, 2)));
  const room = tiled.map(() => capacity);
  const placed: (Lifetime & { readonly address: number })[] = [];
  for (const { life } of candidatesOf(tensors, tiled, machine, bytesOf, fetches)) {
    const address = highestFree(life, placed, capacity);
    const fits = address !== undefined && needs.every((bytes, position) => position < life.first || position > life.last || bytes <= address);
    if (!fits) continue;
    placed.push({ ...life, address });
    for (let position = life.first; position <= life.last; position++) room[position] = Math.min(room[position]!, address);
  }
  // Kernels of the same form and room share their tiles: few different rooms make few searches.
  const step = Math.ceil(capacity / roomSteps / 64) * 64;
  const rounded = room.map((bytes, position) => { const less = Math.floor(bytes / step) * step; return less >= needs[position]! && bytes < capacity ? less : bytes; });
  return { addresses: new Map(placed.map(({ tensor, address }) => [tensor.id, address])), room: rounded };
}

const roomSteps = 32;

interface Candidate {
  readonly life: Lifetime;
  /** Cycles saved by byte. */
  readonly benefit: number;
}

/** What a temporary must save of the predicted time of the kernels that touch it, and of the whole time: less is not worth the search for other tiles. */
const leastPart = 1 / 64;
const leastPartOfAll = 1 / 4096;

function candidatesOf(tensors: readonly ScheduledTensor[], tiled: readonly TiledKernel[], machine: Machine, bytesOf: (life: Lifetime) => number, fetches: (tiled: TiledKernel) => boolean): readonly Candidate[] {
  const all = tiled.reduce((sum, one) => (fetches(one) ? sum : sum + one.predicted.cycles), 0);
  const usersOf = new Map<ScheduledTensor, TiledKernel[]>();
  for (const one of tiled) {
    if (!fetches(one)) for (const tensor of new Set(accessesOf(one.kernel).map((access) => access.tensor))) usersOf.set(tensor, [...(usersOf.get(tensor) ?? []), one]);
  }
  return lifetimesOf(tensors.filter(({ kind }) => kind === "temporary"), tiled.map(({ kernel }) => kernel)).flatMap((life) => {
    const users = usersOf.get(life.tensor) ?? [];
    const saved = users.reduce((sum, user) => sum + savedCycles(user, life.tensor, machine), 0);
    const spent = users.reduce((sum, { predicted }) => sum + predicted.cycles, 0);
    return saved < Math.max(leastPart * spent, leastPartOfAll * all) ? [] : [{ life: { ...life, bytes: bytesOf(life) }, benefit: saved / bytesOf(life) }];
  }).sort((a, b) => b.benefit - a.benefit || a.life.tensor.id - b.life.tensor.id);
}

/** Of a kernel's predicted cycles: the transfers of the tensor as far as nothing else takes as long, and the latency at its end. */
function savedCycles({ kernel, operands, levels, predicted }: TiledKernel, tensor: ScheduledTensor, machine: Machine): number {
  const { arrayCycles, vectorCycles, loadCycles, storeCycles } = predicted;
  const streamed = operands.filter(({ access }) => access.tensor === tensor).reduce((sum, operand) => sum + allLoadCycles(operand, levels, machine), 0);
  // Rows come one by one: on chip each point takes its turn in a lane, no more.
  const looksUp = kernel.engine.kind === "gather" && kernel.engine.rows.tensor === tensor;
  const loaded = streamed + (looksUp ? Math.max(0, loadCycles - streamed - kernel.dims.reduce((n, { extent }) => n * extent, 1) / machine.vector.lanes) : 0);
  const written = outputsOf(kernel).some((output) => output.tensor === tensor);
  const others = outputsOf(kernel).some((output) => output.tensor !== tensor);
  const before = Math.max(arrayCycles, vectorCycles, loadCycles, storeCycles);
  const after = Math.max(arrayCycles, vectorCycles, loadCycles - loaded, written && !others ? 0 : storeCycles);
  // Each row is read, combined and written before the next one.
  const rows = written && kernel.engine.kind === "scatter" && kernel.engine.combine !== undefined ? kernel.dims[0]!.extent : 0;
  return before - after + (1 + 2 * rows) * machine.external.latencyCycles;
}

/** The highest address at which the tensor overlaps none that lives at the same time. */
function highestFree({ bytes, first, last }: Lifetime, placed: readonly (Lifetime & { readonly address: number })[], capacity: number): number | undefined {
  const rivals = placed.filter((other) => other.first <= last && first <= other.last);
  const ends = [Math.floor(capacity / 64) * 64, ...rivals.map(({ address }) => address)].filter((end) => end >= bytes).sort((a, b) => b - a);
  const end = ends.find((limit) => rivals.every((rival) => rival.address >= limit || rival.address + rival.bytes <= limit - bytes));
  return end === undefined ? undefined : end - bytes;
}
