/**
 * @file Where tensors and buffers lie. External memory: tensors by lifetime, first fit, 64-byte aligned; inputs, outputs and constants stay.
 * Data cache: the buffers of one kernel side by side, kernels in turn from the bottom and from the top, so that the loads of a
 * kernel do not wait for the last tiles of the one before.
 */
import { byteCount, fail } from "@systole/base";
import type { Machine } from "@systole/isa";
import { accessesOf, isFetch, type Kernel, type ScheduledTensor } from "./kernel.ts";
import type { Buffer, PlacedTensor, TiledKernel } from "./schedule.ts";
import { align } from "./tiling/operand.ts";

export interface ExternalPlan {
  readonly tensors: readonly PlacedTensor[];
  readonly externalBytes: number;
}

/** A tensor and the kernels, by position, from the first to the last that touches it. */
export interface Lifetime {
  readonly tensor: ScheduledTensor;
  /** A multiple of 64. */
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface Fitted extends Lifetime {
  readonly address: number;
}

/** Places one after the other at the lowest address that is free as long as the tensor lives. What would end beyond `capacity` is left out. */
export function firstFit(lifetimes: readonly Lifetime[], capacity = Infinity): { readonly placed: readonly Fitted[]; readonly bytes: number } {
  const placed: Fitted[] = [];
  const byAddress: Fitted[] = [];
  for (const item of lifetimes) {
    let address = 0;
    for (const other of byAddress) {
      if (other.first > item.last || item.first > other.last) continue;
      if (address + item.bytes <= other.address) break;
      address = Math.max(address, other.address + other.bytes);
    }
    if (address + item.bytes > capacity) continue;
    const fitted = { ...item, address };
    placed.push(fitted);
    const behind = byAddress.findIndex((other) => other.address > address);
    byAddress.splice(behind < 0 ? byAddress.length : behind, 0, fitted);
  }
  return { placed, bytes: placed.reduce((end, p) => Math.max(end, p.address + p.bytes), 0) };
}

export function planExternal(tensors: readonly ScheduledTensor[], kernels: readonly Kernel[], machine: Machine): ExternalPlan {
  const lifetimes = lifetimesOf(tensors, kernels);
  // Tensors that live throughout first, in order; then temporaries, largest first: deterministic and tight.
  const order = [...lifetimes].sort((a, b) => Number(a.last - a.first <= kernels.length) - Number(b.last - b.first <= kernels.length) || b.bytes - a.bytes || a.tensor.id - b.tensor.id);
  const { placed, bytes: externalBytes } = firstFit(order);
  if (externalBytes > machine.external.bytes) {
    fail("E0302", `the program does not fit the external memory of machine "${machine.name}": required ${externalBytes}, available ${machine.external.bytes}, missing ${externalBytes - machine.external.bytes} bytes`);
  }
  const byId = new Map(placed.map((p) => [p.tensor.id, p]));
  return { tensors: tensors.map((t) => ({ ...t, address: byId.get(t.id)!.address, bytes: byId.get(t.id)!.bytes })), externalBytes };
}

export function lifetimesOf(tensors: readonly ScheduledTensor[], kernels: readonly Kernel[]): Lifetime[] {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  kernels.forEach((kernel, position) => {
    for (const access of accessesOf(kernel)) {
      if (!first.has(access.tensor.id)) first.set(access.tensor.id, position);
      last.set(access.tensor.id, position);
    }
  });
  return tensors.map((tensor) => {
    const temporary = tensor.kind === "temporary";
    return { tensor, bytes: align(Math.max(1, byteCount(tensor.type))), first: temporary ? first.get(tensor.id) ?? 0 : -1, last: temporary ? last.get(tensor.id) ?? 0 : kernels.length + 1 };
  });
}

/** Gives every buffer of every kernel its address, in the data cache below `room`. */
export function planOnChip(kernels: readonly TiledKernel[], machine: Machine, room: (position: number) => number = () => machine.dataCache.bytes): TiledKernel[] {
  let turn = 0;
  return kernels.map((tiled, position) => {
    const fromTop = turn % 2 === 1;
    if (!isFetch(tiled.kernel)) turn++;
    const take = (capacity: number) => {
      let used = 0;
      return (buffer: Buffer): Buffer => {
        const bytes = buffer.slots * buffer.slotBytes;
        const address = fromTop ? Math.floor((capacity - used - bytes) / 64) * 64 : used;
        used = fromTop ? capacity - address : used + bytes;
        return { ...buffer, address };
      };
    };
    const cache = take(room(position));
    const accumulator = take(machine.accumulators.bytes);
    const place = (buffer: Buffer) => (buffer.memory === "cache" ? cache(buffer) : accumulator(buffer));
    return { ...tiled, operands: tiled.operands.map((o) => ({ ...o, buffer: place(o.buffer) })), sums: tiled.sums.map(place), staging: tiled.staging.map(place) };
  });
}
