/**
 * @file What a run counts. Every cycle of every unit is either busy or lost to exactly one cause of the table below, so
 * that busy + all stalls equals the cycles of the run for each unit.
 */
import { submoduleNames, unitNames, type SubmoduleName, type UnitName } from "@systole/isa";

export const stallCauses = {
  fetch: "the instruction was not yet in the instruction cache",
  dispatch: "the controller was busy with other words: configuration and instructions of other units",
  queue: "the controller waited for a place in the full queue of some unit",
  control: "the controller waited for a branch or a fence",
  data: "an operand was still being written by another unit",
  slot: "the slot of the result was still being read or written",
  channel: "all DMA channels of the direction were in flight",
  weights: "the array waited for a weight tile to load",
  sum: "the array waited for the sums of the previous k tile to come back from the accumulators",
  drain: "the array waited for results to leave it",
  idle: "nothing was left to do",
} as const;
export type StallCause = keyof typeof stallCauses;
export const stallCauseNames = Object.keys(stallCauses) as readonly StallCause[];

export interface UnitCounters {
  readonly busy: number;
  readonly stalls: Readonly<Record<StallCause, number>>;
}

export type Bound = "array" | "vector" | "load" | "store" | "latency" | "nothing";

/** One kernel, or everything outside of kernels. */
export interface KernelCounters {
  /** By how much the latest completion so far moved while the kernel was dispatched; over all kernels the sum is the run. */
  readonly cycles: number;
  readonly macs: number;
  readonly arrayBusy: number;
  readonly vectorBusy: number;
  readonly loadBusy: number;
  readonly storeBusy: number;
  /** Whole bursts. */
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly boundBy: Bound;
}

export type MutableKernelCounters = { -readonly [K in keyof KernelCounters]: KernelCounters[K] };

export function newKernelCounters(): MutableKernelCounters {
  return { cycles: 0, macs: 0, arrayBusy: 0, vectorBusy: 0, loadBusy: 0, storeBusy: 0, readBytes: 0, writeBytes: 0, boundBy: "nothing" };
}

/** Adds busy cycles of one unit; controller and scalar unit are not split by kernel. */
export function addBusy(k: MutableKernelCounters, unit: UnitName, cycles: number): void {
  switch (unit) {
    case "array": k.arrayBusy += cycles; return;
    case "vector": k.vectorBusy += cycles; return;
    case "load": k.loadBusy += cycles; return;
    case "store": k.storeBusy += cycles; return;
    case "controller":
    case "scalar": return;
  }
}

/** The unit that was busy longest; `latency` where none was busy for half of the kernel's time. */
export function boundOf(k: KernelCounters): Bound {
  const candidates: readonly (readonly [Bound, number])[] = [["array", k.arrayBusy], ["vector", k.vectorBusy], ["load", k.loadBusy], ["store", k.storeBusy]];
  const [name, busy] = candidates.reduce((a, b) => (b[1] > a[1] ? b : a));
  if (busy === 0) return k.cycles === 0 ? "nothing" : "latency";
  return busy * 2 >= k.cycles ? name : "latency";
}

export function zeroStalls(): Record<StallCause, number> {
  return { fetch: 0, dispatch: 0, queue: 0, control: 0, data: 0, slot: 0, channel: 0, weights: 0, sum: 0, drain: 0, idle: 0 };
}

export function perUnit<T>(make: (unit: UnitName) => T): Record<UnitName, T> {
  return Object.fromEntries(unitNames.map((unit) => [unit, make(unit)])) as Record<UnitName, T>;
}

export function perSubmodule<T>(make: (submodule: SubmoduleName) => T): Record<SubmoduleName, T> {
  return Object.fromEntries(submoduleNames.map((name) => [name, make(name)])) as Record<SubmoduleName, T>;
}
