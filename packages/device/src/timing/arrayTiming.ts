/**
 * @file Time of the array: closed forms of weight-stationary and output-stationary passes, their pipelining over
 * instructions, and the interval that strict ascending k asks for. docs/timing-model.md derives them.
 */
import type { Machine } from "@systole/isa";
import type { StallCause } from "../counters.ts";

export interface GemmShape {
  readonly rows: number;
  readonly columns: number;
  readonly contracted: number;
  readonly weightStationary: boolean;
  /** The sums go on from what is stored. */
  readonly continues: boolean;
}

/** When the instruction may begin, and which slots its sums lie in. */
export interface GemmReadiness {
  readonly dispatched: number;
  readonly x: number;
  readonly w: number;
  /** The slot of the sums: written by others, read by others. */
  readonly sumsWritten: number;
  readonly sumsRead: number;
  readonly slot: number;
}

export interface GemmTime {
  /** First weight row enters (weight-stationary), or first row streams; the instruction leaves the queue. */
  readonly begin: number;
  readonly beginCause: StallCause;
  /** First row streams. */
  readonly start: number;
  /** What held back `start`. */
  readonly cause: StallCause;
  /** The last row has entered: operands are free, the array takes the next instruction. */
  readonly streamed: number;
  /** The last sum is in the accumulators. */
  readonly complete: number;
  /** Cycles in [start, streamed) in which rows stream, and in which they wait. */
  readonly busy: number;
  readonly lost: readonly (readonly [StallCause, number])[];
}

/** The last block that was summed into a slot. */
interface Block {
  readonly rows: number;
  readonly panels: number;
  readonly interval: number;
  /** Start of panel 0 in the last k tile. */
  readonly lastTile: number;
  readonly complete: number;
}

export class ArrayClock {
  readonly #rows: number;
  readonly #columns: number;
  readonly #loadCycles: number;
  readonly #turnaround: number;
  readonly #serial: boolean;
  /** Start of the last pass; weights of the next one may load from here. */
  #lastPass = 0;
  /** First cycle in which another pass may start. */
  #free = 0;
  /** Output-stationary: first cycle in which another pass may have streamed, so that its sums find the drain registers empty. */
  #drained = 0;
  #complete = 0;
  #weightStationary: boolean | undefined;
  readonly #blocks = new Map<number, Block>();
  /** Per slot: first cycle in which a pass finds what the array summed last, whichever way it takes the sums. */
  readonly #readable = new Map<number, number>();

  constructor(machine: Machine) {
    const { rows, columns, weightRowsPerCycle, overlap } = machine.array;
    this.#rows = rows;
    this.#columns = columns;
    this.#loadCycles = Math.ceil(rows / weightRowsPerCycle);
    this.#turnaround = rows + 1 + machine.accumulators.writeToReadCycles;
    this.#serial = overlap === "serial";
  }

  schedule(shape: GemmShape, ready: GemmReadiness): GemmTime {
    const switched = this.#weightStationary !== undefined && this.#weightStationary !== shape.weightStationary;
    if (switched || this.#serial) this.#waitForDrain();
    this.#weightStationary = shape.weightStationary;
    return shape.weightStationary ? this.#weightsStay(shape, ready) : this.#outputsStay(shape, ready);
  }

  #waitForDrain(): void {
    this.#lastPass = this.#complete;
    this.#free = this.#complete;
  }

  #weightsStay(shape: GemmShape, ready: GemmReadiness): GemmTime {
    const { rows: m } = shape;
    const load = this.#loadCycles;
    const panels = Math.ceil(shape.columns / this.#columns);
    const tiles = Math.ceil(shape.contracted / this.#rows);
    const passes = panels * tiles;
    const stream = Math.max(m, load);
    const before = shape.continues ? this.#continued(m, panels, ready) : undefined;
    let interval = tiles > 1 ? Math.max(stream, Math.ceil(this.#turnaround / panels)) : stream;
    if (before !== undefined) interval = Math.max(interval, before.interval);

    const wants = new Latest(ready.dispatched, "dispatch");
    wants.atLeast(this.#lastPass, "weights");
    wants.atLeast(ready.w, "data");
    const begin = wants.time;
    const start = new Latest(begin + load, "weights");
    start.atLeast(this.#free, "weights");
    start.atLeast(ready.x, "data");
    start.atLeast(ready.sumsRead, "slot");
    if (before === undefined) this.#awaitSums(start, shape, ready);
    else start.atLeast(before.lastTile + this.#turnaround, "sum");

    const drain = m + this.#rows + this.#columns - 2;
    const spacing = this.#serial ? load + drain : interval;
    const lastPass = start.time + (passes - 1) * spacing;
    const complete = lastPass + drain;
    const streamed = this.#serial ? complete : lastPass + m;
    this.#blocks.set(ready.slot, { rows: m, panels, interval, lastTile: lastPass - (panels - 1) * spacing, complete });
    this.#readable.set(ready.slot, lastPass + this.#turnaround);
    this.#remember(lastPass, streamed, complete);
    const gaps = passes - 1;
    const lost: [StallCause, number][] = this.#serial
      ? [["weights", gaps * load], ["drain", passes * (drain - m)]]
      : [["weights", gaps * (stream - m)], ["sum", gaps * (interval - stream)]];
    return { begin, beginCause: wants.cause, start: start.time, cause: start.cause, streamed, complete, busy: passes * m, lost };
  }

  #outputsStay(shape: GemmShape, ready: GemmReadiness): GemmTime {
    const panels = Math.ceil(shape.columns / this.#columns);
    const passes = Math.ceil(shape.rows / this.#rows) * panels;
    // Preloaded sums enter through the rows before the first k.
    const stream = shape.contracted + (shape.continues ? this.#rows : 0);
    const start = new Latest(ready.dispatched, "dispatch");
    start.atLeast(this.#free, "drain");
    start.atLeast(this.#drained - stream, "drain");
    start.atLeast(ready.x, "data");
    start.atLeast(ready.w, "data");
    start.atLeast(ready.sumsRead, "slot");
    this.#awaitSums(start, shape, ready);

    const fold = stream + this.#rows + this.#columns - 2;
    const draining = 2 * this.#rows - 1;
    const interval = this.#serial ? fold : Math.max(stream, draining);
    const lastPass = start.time + (passes - 1) * interval;
    const complete = lastPass + (this.#serial ? fold : stream + 2 * this.#rows + this.#columns - 2);
    const streamed = this.#serial ? complete : lastPass + stream;
    this.#blocks.delete(ready.slot);
    this.#readable.set(ready.slot, lastPass + stream + this.#turnaround);
    this.#drained = this.#serial ? complete : streamed + draining;
    this.#remember(lastPass, streamed, complete);
    const lost: [StallCause, number][] = [["drain", streamed - start.time - passes * stream]];
    return { begin: start.time, beginCause: start.cause, start: start.time, cause: start.cause, streamed, complete, busy: passes * stream, lost };
  }

  /** Complete sums can be read `writeToReadCycles` later; only where that is long and the array narrow does a pass come sooner than they. */
  #awaitSums(start: Latest, shape: GemmShape, ready: GemmReadiness): void {
    start.atLeast(ready.sumsWritten, shape.continues ? "sum" : "slot");
    if (shape.continues) start.atLeast(this.#readable.get(ready.slot) ?? 0, "sum");
  }

  /** The block whose sums go on, if only the array has touched them since. */
  #continued(rows: number, panels: number, ready: GemmReadiness): Block | undefined {
    const block = this.#blocks.get(ready.slot);
    return block !== undefined && block.rows === rows && block.panels === panels && block.complete >= ready.sumsWritten ? block : undefined;
  }

  #remember(lastPass: number, free: number, complete: number): void {
    this.#lastPass = lastPass;
    this.#free = free;
    this.#complete = Math.max(this.#complete, complete);
  }
}

/** The latest of several times, and which it was; among equals the first. */
export class Latest {
  time: number;
  cause: StallCause;

  constructor(time: number, cause: StallCause) {
    this.time = time;
    this.cause = cause;
  }

  atLeast(time: number, cause: StallCause): void {
    if (time <= this.time) return;
    this.time = time;
    this.cause = cause;
  }
}
