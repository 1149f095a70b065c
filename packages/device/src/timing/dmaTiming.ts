/**
 * @file Traffic and time of transfers. The DMA walks the external side in the order of its addresses, whatever the order of
 * the space, and moves whole bursts; bytes used are counted apart.
 */
import { bytesOf } from "@systole/base";
import type { Machine, ResolvedGenerator, ResolvedSpace } from "@systole/isa";
import type { Placement } from "../geometry.ts";

export interface Traffic {
  readonly bursts: number;
  readonly usedBytes: number;
}

/** One dimension of the external side. */
export interface Extent {
  readonly stride: number;
  readonly count: number;
}

const nothing: Traffic = { bursts: 0, usedBytes: 0 };

/**
 * Counts the bursts of transfers and keeps the results by generator, extents and alignment. Which row is looked up, or at which a generator
 * stands, is a value: rows keep the alignment of row 0 where their distance is a multiple of the burst, else the worst one counts.
 */
export class TrafficCounter {
  readonly #burst: number;
  readonly #known = new Map<ResolvedGenerator, Map<number, Traffic>>();

  constructor(burstBytes: number) {
    this.#burst = burstBytes;
  }

  /** Traffic of the points inside the tensor; `address` is that of point 0. `lookedUp`: dimension 0 is a table of row numbers. */
  of(generator: ResolvedGenerator, space: ResolvedSpace, placement: Placement, address: number, lookedUp: boolean): Traffic {
    let first = address;
    // Mixed radix: two transfers share a key only if they are alike.
    let key = 0;
    let radix = this.#burst;
    for (let d = 0; d < placement.rank; d++) {
      const inside = placement.high[d]! - placement.low[d]!;
      if (inside <= 0) return nothing;
      if (!(lookedUp && d === 0)) first += placement.low[d]! * (generator.strides[d] ?? 0);
      key = key * (space.dimensions[d]!.extent + 1) + inside;
      radix *= space.dimensions[d]!.extent + 1;
    }
    // With values the address is that of the present row; the worst case must not depend on it.
    const misalignment = this.#keepsAlignment(generator.row?.stride ?? 0) ? residue(first, this.#burst) : 0;
    if (radix > Number.MAX_SAFE_INTEGER) return this.#count(generator, placement, misalignment, lookedUp);
    key = key * this.#burst + misalignment;
    let known = this.#known.get(generator);
    if (known === undefined) this.#known.set(generator, (known = new Map()));
    let traffic = known.get(key);
    if (traffic === undefined) known.set(key, (traffic = this.#count(generator, placement, misalignment, lookedUp)));
    return traffic;
  }

  #count(generator: ResolvedGenerator, placement: Placement, misalignment: number, lookedUp: boolean): Traffic {
    const extents: Extent[] = [];
    for (let d = lookedUp ? 1 : 0; d < placement.rank; d++) extents.push({ stride: generator.strides[d] ?? 0, count: placement.high[d]! - placement.low[d]! });
    const elementBytes = bytesOf(generator.dtype);
    if (!lookedUp) return this.#keepsAlignment(generator.row?.stride ?? 0) ? countTraffic(extents, elementBytes, misalignment, this.#burst) : worstTraffic(extents, elementBytes, this.#burst);
    const aligned = this.#keepsAlignment(generator.row?.stride ?? 0) && this.#keepsAlignment(generator.strides[0] ?? 0);
    const row = aligned ? countTraffic(extents, elementBytes, misalignment, this.#burst) : worstTraffic(extents, elementBytes, this.#burst);
    const rows = placement.high[0]! - placement.low[0]!;
    return { bursts: row.bursts * rows, usedBytes: row.usedBytes * rows };
  }

  #keepsAlignment(rowStride: number): boolean {
    return residue(rowStride, this.#burst) === 0;
  }
}

/** Bursts that a strided region touches, each contiguous run counted for itself; its first byte lies at `misalignment` in a burst. */
export function countTraffic(extents: readonly Extent[], elementBytes: number, misalignment: number, burstBytes: number): Traffic {
  const { run, outer, lowest } = contiguousRuns(extents, elementBytes);
  // How many runs start at each residue modulo the burst, built dimension by dimension.
  let starts = new Float64Array(burstBytes);
  starts[residue(misalignment + lowest, burstBytes)] = 1;
  let runs = 1;
  let factor = 1;
  for (const { stride, count } of outer) {
    runs *= count;
    const step = residue(stride, burstBytes);
    if (step === 0) factor *= count;
    else starts = spread(starts, step, count);
  }
  let bursts = 0;
  for (let r = 0; r < burstBytes; r++) if (starts[r]! > 0) bursts += starts[r]! * burstsOf(run, r, burstBytes);
  return { bursts: bursts * factor, usedBytes: runs * run };
}

function worstTraffic(extents: readonly Extent[], elementBytes: number, burstBytes: number): Traffic {
  const { run, outer } = contiguousRuns(extents, elementBytes);
  const runs = outer.reduce((product, extent) => product * extent.count, 1);
  return { bursts: runs * burstsOf(run, burstBytes - elementBytes, burstBytes), usedBytes: runs * run };
}

/** Bytes of one contiguous run, the dimensions over runs, and where the lowest byte lies relative to point 0. Repeated addresses (stride 0) move once. */
function contiguousRuns(extents: readonly Extent[], elementBytes: number): { run: number; outer: readonly Extent[]; lowest: number } {
  let lowest = 0;
  const ascending: Extent[] = [];
  for (const { stride, count } of extents) {
    if (count <= 1 || stride === 0) continue;
    if (stride < 0) lowest += stride * (count - 1);
    ascending.push({ stride: Math.abs(stride), count });
  }
  ascending.sort((a, b) => a.stride - b.stride);
  let run = elementBytes;
  let merged = 0;
  while (merged < ascending.length && ascending[merged]!.stride === run) run *= ascending[merged++]!.count;
  return { run, outer: ascending.slice(merged), lowest };
}

function spread(starts: Float64Array<ArrayBuffer>, step: number, count: number): Float64Array<ArrayBuffer> {
  const burst = starts.length;
  const period = burst / greatestCommonDivisor(step, burst);
  const result = new Float64Array(burst);
  for (let r = 0; r < burst; r++) {
    if (starts[r] === 0) continue;
    for (let i = 0; i < Math.min(period, count); i++) result[(r + i * step) % burst]! += starts[r]! * Math.ceil((count - i) / period);
  }
  return result;
}

function burstsOf(run: number, start: number, burstBytes: number): number {
  return Math.floor((start + run - 1) / burstBytes) + 1;
}

function residue(x: number, modulus: number): number {
  return ((x % modulus) + modulus) % modulus;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** One direction of the DMA: a port that moves bytes in order, and a number of transfers that may be in flight. */
export class DmaClock {
  readonly #bytesPerCycle: number;
  readonly #latency: number;
  readonly #burst: number;
  readonly #completions: Float64Array;
  #next = 0;
  #free = 0;

  constructor(machine: Machine, direction: "read" | "write") {
    this.#bytesPerCycle = direction === "read" ? machine.external.readBytesPerCycle : machine.external.writeBytesPerCycle;
    this.#latency = machine.external.latencyCycles;
    this.#burst = machine.external.burstBytes;
    this.#completions = new Float64Array(Math.max(1, machine.dma.channels));
  }

  /** When the port has moved everything before, and when a channel is free. */
  get portFree(): number {
    return this.#free;
  }

  get channelFree(): number {
    return this.#completions[this.#next]!;
  }

  /** Starts a transfer; `moved` is when its last byte has left or entered the chip's side, `complete` when it has arrived. */
  transfer(start: number, bursts: number): { readonly moved: number; readonly complete: number } {
    const moved = start + Math.max(1, Math.ceil((bursts * this.#burst) / this.#bytesPerCycle));
    const complete = moved + this.#latency;
    this.#free = moved;
    this.#completions[this.#next] = complete;
    this.#next = (this.#next + 1) % this.#completions.length;
    return { moved, complete };
  }
}
