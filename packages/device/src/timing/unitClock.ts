/** @file One in-order unit: its queue, up to when its time is accounted for, and where that time went. */
import type { UnitName } from "@systole/isa";
import { zeroStalls, type StallCause } from "../counters.ts";

/** Cycles that the controller has lost so far; a unit that waits for dispatch waits for one of these. */
export interface ControllerLosses {
  fetch: number;
  queue: number;
  control: number;
}

export class UnitClock {
  busy = 0;
  readonly name: UnitName;
  readonly stalls: Record<StallCause, number> = zeroStalls();
  /** The time up to which every cycle is busy or has a cause. */
  accounted = 0;
  /** When everything dispatched to the unit so far is complete. */
  complete = 0;
  readonly #starts: Float64Array;
  #dispatched = 0;
  readonly #losses: ControllerLosses = { fetch: 0, queue: 0, control: 0 };

  constructor(name: UnitName, queueDepth: number) {
    this.name = name;
    this.#starts = new Float64Array(Math.max(1, queueDepth));
  }

  /** When the queue has a free entry: the instruction `queueDepth` before has started. */
  queueFree(): number {
    return this.#starts[this.#dispatched % this.#starts.length]!;
  }

  noteStart(start: number): void {
    this.#starts[this.#dispatched++ % this.#starts.length] = start;
  }

  /** The time before `dispatched` was lost in the controller: its causes since the last dispatch to this unit, the rest is dispatch itself. */
  lostBeforeDispatch(dispatched: number, losses: ControllerLosses): void {
    const { stalls } = this;
    const since = this.#losses;
    let gap = dispatched - this.accounted;
    if (gap > 0) {
      const queue = Math.min(gap, losses.queue - since.queue);
      gap -= queue;
      const control = Math.min(gap, losses.control - since.control);
      gap -= control;
      const fetch = Math.min(gap, losses.fetch - since.fetch);
      stalls.queue += queue;
      stalls.control += control;
      stalls.fetch += fetch;
      stalls.dispatch += gap - fetch;
      this.accounted = dispatched;
    }
    since.queue = losses.queue;
    since.control = losses.control;
    since.fetch = losses.fetch;
  }

  lostUntil(time: number, cause: StallCause): void {
    if (time <= this.accounted) return;
    this.stalls[cause] += time - this.accounted;
    this.accounted = time;
  }

  work(cycles: number): void {
    this.busy += cycles;
    this.accounted += cycles;
  }

  finish(time: number): void {
    if (time > this.complete) this.complete = time;
  }
}
