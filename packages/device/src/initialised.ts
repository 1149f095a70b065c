/**
 * @file Data cache and accumulators are poisoned at reset: which words of them were written since the start of the run. Reading any
 * other is a fault. A word is 4 bytes; writing one byte of it counts for all four. Padding and cut tiles are exact: only points that exist count.
 *
 * It must cost next to nothing in long runs. Written words stay written, so a box of points that was looked at once is never looked
 * at again, and an instruction is done with for good once the buffers of all its operands are written throughout.
 */
import { bytesOf } from "@systole/base";
import type { ResolvedGenerator, ResolvedSpace, ResolvedStep, Start } from "@systole/isa";
import { DeviceFault } from "./faults.ts";
import { extentsOf, newPlacement, startAddress, startsAnew } from "./geometry.ts";
import type { Memory } from "./memory.ts";
import { forEachRun } from "./runs.ts";

export const chipMemories = ["cache", "accumulator"] as const;
export type ChipMemory = (typeof chipMemories)[number];

const wordBytes = 4;
const calledIn: Readonly<Record<ChipMemory, string>> = { cache: "cache", accumulator: "accumulators" };

type TouchingStep = Extract<ResolvedStep, { kind: "load" | "store" | "gather" | "scatter" | "fill" | "gemm" | "vector" | "move" }>;
type IoStep = Extract<ResolvedStep, { kind: "io" }>;
type GatherStep = Extract<ResolvedStep, { kind: "gather" | "scatter" }>;

/** One operand of an instruction on chip. */
interface Access {
  readonly name: string;
  readonly memory: ChipMemory;
  readonly generator: ResolvedGenerator;
  readonly space: ResolvedSpace;
  readonly writes: boolean;
  /** Only points inside the limits of padded dimensions. */
  readonly inside: boolean;
  /** A sum that is read only where it goes on. */
  readonly start: Start | undefined;
  /** The side of a look-up whose dimension 0 is a table. */
  readonly lookup: GatherStep | undefined;
  /** Boxes looked at, by their extents and then by their address. */
  readonly seen: Map<number, Set<number>>;
  touches: number;
  /** Every word of the buffer is written. */
  known: boolean;
}

const point: ResolvedSpace = { dimensions: [] };
const placement = newPlacement();
const listPlacement = newPlacement();
const counts = new Int32Array(8);

export class Initialised {
  /** One byte for each word: 1 if it was written. */
  readonly words: Readonly<Record<ChipMemory, Uint8Array>>;
  readonly #memory: Memory;
  /** Nothing can go wrong any more: another run of a program that takes the same way reads and writes as the one before. */
  proved = false;
  /** Some look-up found rows of its table unwritten: with other row numbers it might have read them, or have written others. */
  dependsOnRows = false;
  /** By instruction; null where nothing can go wrong any more. */
  readonly #accesses: (readonly Access[] | null | undefined)[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
    this.words = { cache: new Uint8Array(Math.ceil(memory.sizes.cache / wordBytes)), accumulator: new Uint8Array(Math.ceil(memory.sizes.accumulator / wordBytes)) };
  }

  /** Checks what the instruction is about to read, then notes what it is about to write. Throws a DeviceFault. */
  touch(step: TouchingStep, indices: Int32Array): void {
    if (this.proved) return;
    const at = step.address >> 4;
    let accesses = this.#accesses[at];
    if (accesses === null) return;
    if (accesses === undefined) this.#accesses[at] = accesses = accessesOf(step);
    let known = true;
    for (const access of accesses) {
      if (access.known) continue;
      this.#touchOperand(access, indices);
      known &&= access.known;
    }
    if (known) this.#accesses[at] = null;
  }

  io(step: IoStep): void {
    if (this.proved || step.bytes === 0) return;
    if (step.what === "load") this.#mark("cache", step.cache, step.cache + step.bytes);
    if (step.what === "store") this.#demand("cache", "io store", step.cache, step.cache + step.bytes);
  }

  #touchOperand(access: Access, indices: Int32Array): void {
    const { generator, space, start, lookup } = access;
    access.touches++;
    if (start !== undefined && startsAnew(start, indices)) return;
    extentsOf(space, indices, placement);
    let address = startAddress(generator, space, indices);
    // Mixed radix: boxes share a key only if they are alike.
    let key = 0;
    let radix = 1;
    for (let d = 0; d < placement.rank; d++) {
      const low = access.inside ? placement.low[d]! : 0;
      counts[d] = (access.inside ? placement.high[d]! : placement.extents[d]!) - low;
      if (counts[d]! <= 0) return;
      if (lookup !== undefined && d === 0) continue;
      address += low * generator.strides[d]!;
      key = key * (space.dimensions[d]!.extent + 1) + counts[d]!;
      radix *= space.dimensions[d]!.extent + 1;
    }
    const boxes = radix <= Number.MAX_SAFE_INTEGER ? boxesOf(access, key) : new Set<number>();
    if (lookup === undefined) this.#touchBox(access, boxes, address);
    else this.#touchRows(access, boxes, address, lookup, indices);
    // Tried less and less often: it looks at the whole buffer.
    if ((access.touches & (access.touches - 1)) === 0) access.known = this.#isWhole(access);
  }

  /** The rows of a table that a look-up names; one that does not exist is found by the look-up itself. */
  #touchRows(access: Access, boxes: Set<number>, start: number, step: GatherStep, indices: Int32Array): void {
    const stride = access.generator.strides[0]!;
    const list = this.#memory.elements(step.index.dtype);
    extentsOf(step.indexSpace, indices, listPlacement);
    const first = this.#memory.linear("cache", startAddress(step.index, step.indexSpace, indices));
    const rows = counts[0]!;
    const tableStart = start - stride * placement.starts[0]!;
    counts[0] = step.rows;
    this.dependsOnRows ||= !this.#isWritten(access, tableStart);
    counts[0] = 1;
    for (let k = 0; k < rows; k++) {
      const row = Number(list[(first + k * (step.index.strides[0] ?? 0)) / bytesOf(step.index.dtype)]);
      if (row >= 0 && row < step.rows) this.#touchBox(access, boxes, tableStart + row * stride);
    }
  }

  #touchBox(access: Access, boxes: Set<number>, address: number): void {
    if (boxes.has(address)) return;
    const { generator, memory, name, writes } = access;
    forEachRun(counts, generator.strides, bytesOf(generator.dtype), address, (begin, end) => (writes ? this.#mark(memory, begin, end) : this.#demand(memory, name, begin, end)));
    boxes.add(address);
  }

  /** Whether the present box is written. */
  #isWritten({ memory, generator }: Access, address: number): boolean {
    let written = true;
    forEachRun(counts, generator.strides, bytesOf(generator.dtype), address, (begin, end) => (written &&= firstUnwritten(this.words[memory], begin, end) === undefined));
    return written;
  }

  #isWhole({ memory, generator: { buffer } }: Access): boolean {
    return firstUnwritten(this.words[memory], buffer.base, buffer.base + buffer.slots * buffer.slotBytes) === undefined;
  }

  #mark(memory: ChipMemory, begin: number, end: number): void {
    this.words[memory].fill(1, Math.floor(begin / wordBytes), Math.ceil(end / wordBytes));
  }

  #demand(memory: ChipMemory, name: string, begin: number, end: number): void {
    const at = firstUnwritten(this.words[memory], begin, end);
    if (at !== undefined) throw new DeviceFault(`read of uninitialised ${calledIn[memory]}: ${name} reads byte ${at}, which nothing has written since the start of the run`);
  }
}

function boxesOf(access: Access, key: number): Set<number> {
  let boxes = access.seen.get(key);
  if (boxes === undefined) access.seen.set(key, (boxes = new Set()));
  return boxes;
}

function firstUnwritten(words: Uint8Array, begin: number, end: number): number | undefined {
  const first = Math.floor(begin / wordBytes);
  const at = words.subarray(first, Math.ceil(end / wordBytes)).indexOf(0);
  return at < 0 ? undefined : Math.max(begin, (first + at) * wordBytes);
}

interface Role {
  readonly name: string;
  readonly generator: ResolvedGenerator;
  readonly space: ResolvedSpace;
  readonly writes?: true;
  readonly inside?: true;
  readonly start?: Start;
  readonly lookup?: GatherStep;
}

/** Reads before writes. */
function accessesOf(step: TouchingStep): Access[] {
  return rolesOf(step).flatMap((role): Access[] => {
    const { memory } = role.generator.buffer;
    if (memory === "external") return [];
    const { name, generator, space, writes = false, inside = false, start, lookup } = role;
    return [{ name, memory, generator, space, writes, inside, start, lookup, seen: new Map(), touches: 0, known: false }];
  });
}

function rolesOf(step: TouchingStep): Role[] {
  switch (step.kind) {
    case "load": return [{ name: "source", generator: step.source, space: step.space, inside: true }, { name: "target", generator: step.target, space: step.space, writes: true }];
    case "store": return [{ name: "source", generator: step.source, space: step.space, inside: true }, { name: "target", generator: step.target, space: step.space, writes: true, inside: true }];
    case "fill": return [{ name: "target", generator: step.target, space: step.space, writes: true, inside: true }];
    case "gather":
    case "scatter": {
      const { space } = step;
      const [read, written] = step.kind === "gather" ? [{ lookup: step }, {}] : [{}, { lookup: step }];
      return [
        { name: "index", generator: step.index, space: step.indexSpace },
        { name: "source", generator: step.source, space, ...read }, { name: "target", generator: step.target, space, writes: true, ...written },
      ];
    }
    case "gemm": {
      const { space, x, w, out } = step;
      return [{ name: "x", generator: x, space }, { name: "w", generator: w, space }, ...sumsOf("out", out, step), { name: "out", generator: out, space, writes: true }];
    }
    case "vector": {
      const { space, streams, target } = step;
      const sums = step.reduction === "none" ? [] : sumsOf("target", target, step);
      return [...streams.map((generator, k): Role => ({ name: `stream ${k}`, generator, space })), ...sums, { name: "target", generator: target, space, writes: true }];
    }
    case "move": {
      const { generator } = step;
      return [step.direction === "to-register" ? { name: "generator", generator, space: point } : { name: "generator", generator, space: point, writes: true }];
    }
  }
}

/** With an empty mask a sum always starts anew. */
function sumsOf(name: string, generator: ResolvedGenerator, { space, start }: { readonly space: ResolvedSpace; readonly start: Start }): Role[] {
  return start.length === 0 ? [] : [{ name, generator, space, start }];
}
