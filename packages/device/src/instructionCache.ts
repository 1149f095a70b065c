/**
 * @file The instruction cache: direct mapped, filled by DMA over a port of its own, with a sequential prefetcher. Hits and
 * misses depend on the sequence of addresses alone, never on time, so that a faster memory cannot cause a miss.
 */
import type { Machine } from "@systole/isa";

/** Lines that the prefetcher asks for behind the line in use. A loop body hits if it leaves that many lines of the cache free. */
export const prefetchLines = 8;

export class InstructionCache {
  fills = 0;
  misses = 0;
  readonly #lineBytes: number;
  readonly #lines: number;
  readonly #ahead: number;
  readonly #cyclesPerLine: number;
  readonly #latency: number;
  readonly #tags: Float64Array;
  readonly #ready: Float64Array;
  #portFree = 0;
  #current = -1;

  constructor(machine: Machine) {
    const { bytes, lineBytes } = machine.instructionCache;
    this.#lineBytes = lineBytes;
    this.#lines = Math.max(1, Math.floor(bytes / lineBytes));
    this.#ahead = Math.min(prefetchLines, this.#lines - 1);
    this.#cyclesPerLine = Math.ceil(lineBytes / machine.external.readBytesPerCycle);
    this.#latency = machine.external.latencyCycles;
    this.#tags = new Float64Array(this.#lines).fill(-1);
    this.#ready = new Float64Array(this.#lines);
  }

  /** The line that stands in the cache before the run (step S1 of the device text: the IO that loads the rest). */
  preload(address: number): void {
    const line = Math.floor(address / this.#lineBytes);
    this.#tags[line % this.#lines] = line;
  }

  /** When the word at `address`, asked for at `now`, can be decoded. */
  fetch(address: number, now: number): number {
    const line = Math.floor(address / this.#lineBytes);
    if (line === this.#current) return now;
    this.#current = line;
    if (!this.#holds(line)) {
      this.misses++;
      this.#fill(line, now);
    }
    for (let k = 1; k <= this.#ahead; k++) if (!this.#holds(line + k)) this.#fill(line + k, now);
    return Math.max(now, this.#ready[line % this.#lines]!);
  }

  /** `io text`: asks for the lines of a range of external memory, as many as the cache holds. */
  load(address: number, bytes: number, now: number): void {
    if (bytes <= 0) return;
    const first = Math.floor(address / this.#lineBytes);
    const last = Math.min(Math.floor((address + bytes - 1) / this.#lineBytes), first + this.#lines - 1);
    for (let line = first; line <= last; line++) if (!this.#holds(line)) this.#fill(line, now);
  }

  #holds(line: number): boolean {
    return this.#tags[line % this.#lines] === line;
  }

  #fill(line: number, now: number): void {
    const index = line % this.#lines;
    this.#portFree = Math.max(this.#portFree, now) + this.#cyclesPerLine;
    this.#tags[index] = line;
    this.#ready[index] = this.#portFree + this.#latency;
    this.fills++;
  }
}
