/** @file The first instructions of a run as events, for a timeline. */
import type { UnitName } from "@systole/isa";

export interface TraceEvent {
  readonly unit: UnitName;
  /** Index into the image's kernels, -1 outside of kernels. */
  readonly kernel: number;
  /** Byte address of the instruction in .text. */
  readonly address: number;
  readonly startCycle: number;
  readonly endCycle: number;
}

export class Trace {
  readonly events: TraceEvent[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(unit: UnitName, kernel: number, address: number, startCycle: number, endCycle: number): void {
    if (this.events.length < this.#limit) this.events.push({ unit, kernel, address, startCycle, endCycle });
  }
}
