/**
 * @file Bytes of external memory read and written, by the symbol they belong to. Bytes of an io and of ordinary transfers are told apart
 * exactly, also where one transfer goes over the parameters that lie next to each other in one vector. Where only a value says which
 * symbol is meant (a looked-up row, a generator that moves by rows), all that can be meant share an entry "first .. last".
 */
import { bytesOf, elementCount } from "@systole/base";
import type { ResolvedGenerator, TensorSymbol } from "@systole/isa";
import type { Placement } from "./geometry.ts";
import { forEachRun } from "./runs.ts";

export interface Traffic {
  readonly readBytes: number;
  readonly writeBytes: number;
}

type MutableTraffic = { -readonly [K in keyof Traffic]: Traffic[K] };
type Direction = keyof Traffic;

/** What lies under no symbol. */
export const otherTraffic = "other";

/** Bytes [begin, end) belong to `name`. */
export interface Owned {
  readonly begin: number;
  readonly end: number;
  readonly name: string;
}

const counts = new Int32Array(8);

export class SymbolTraffic {
  readonly entries = new Map<string, MutableTraffic>();
  readonly #owned: readonly Owned[];
  /** The entry of everything under a generator's buffer; null where that takes a look at each transfer. */
  readonly #entryOf = new Map<ResolvedGenerator, MutableTraffic | null>();

  constructor(owned: readonly Owned[]) {
    this.#owned = owned;
  }

  /** A transfer of `usedBytes` bytes; `address` is that of point 0. `lookedUp`: dimension 0 is a table of row numbers. */
  transfer(direction: Direction, generator: ResolvedGenerator, placement: Placement, address: number, lookedUp: boolean, usedBytes: number): void {
    if (usedBytes === 0) return;
    let entry = this.#entryOf.get(generator);
    if (entry === undefined) this.#entryOf.set(generator, (entry = this.#wholeEntry(generator, lookedUp || generator.row !== undefined)));
    if (entry !== null) {
      entry[direction] += usedBytes;
      return;
    }
    let first = address;
    for (let d = 0; d < placement.rank; d++) {
      counts[d] = placement.high[d]! - placement.low[d]!;
      first += placement.low[d]! * generator.strides[d]!;
    }
    forEachRun(counts, generator.strides, bytesOf(generator.dtype), first, (begin, end) => this.block(direction, begin, end - begin));
  }

  /** A linear block. */
  block(direction: Direction, begin: number, bytes: number): void {
    const end = begin + bytes;
    let rest = bytes;
    for (let k = firstBehind(this.#owned, begin); k < this.#owned.length && this.#owned[k]!.begin < end; k++) {
      const owned = this.#owned[k]!;
      const part = Math.min(end, owned.end) - Math.max(begin, owned.begin);
      this.#entry(owned.name)[direction] += part;
      rest -= part;
    }
    if (rest > 0) this.#entry(otherTraffic)[direction] += rest;
  }

  #wholeEntry({ buffer }: ResolvedGenerator, byValue: boolean): MutableTraffic | null {
    const end = buffer.base + buffer.slots * buffer.slotBytes;
    const names: string[] = [];
    let covered = 0;
    for (let k = firstBehind(this.#owned, buffer.base); k < this.#owned.length && this.#owned[k]!.begin < end; k++) {
      const owned = this.#owned[k]!;
      if (names.at(-1) !== owned.name) names.push(owned.name);
      covered += Math.min(end, owned.end) - Math.max(buffer.base, owned.begin);
    }
    if (names.length === 0) return this.#entry(otherTraffic);
    if (names.length === 1 && (byValue || covered === end - buffer.base)) return this.#entry(names[0]!);
    return byValue ? this.#entry(`${names[0]!} .. ${names.at(-1)!}`) : null;
  }

  #entry(name: string): MutableTraffic {
    let entry = this.entries.get(name);
    if (entry === undefined) this.entries.set(name, (entry = { readBytes: 0, writeBytes: 0 }));
    return entry;
  }
}

/** Disjoint and ascending; where symbols overlap, the smallest one owns the bytes: a part before the whole. */
export function ownedBytes(symbols: readonly TensorSymbol[]): readonly Owned[] {
  const all = symbols.map((s) => ({ name: s.name, begin: s.address, end: s.address + elementCount(s.shape) * bytesOf(s.dtype) })).sort((a, b) => a.end - a.begin - (b.end - b.begin));
  const bounds = [...new Set(all.flatMap(({ begin, end }) => [begin, end]))].sort((a, b) => a - b);
  const owned: Owned[] = [];
  for (let k = 0; k + 1 < bounds.length; k++) {
    const [begin, end] = [bounds[k]!, bounds[k + 1]!];
    const owner = all.find((s) => s.begin <= begin && end <= s.end);
    if (owner !== undefined) owned.push({ begin, end, name: owner.name });
  }
  return owned;
}

/** Index of the first range that ends behind `address`. */
function firstBehind(owned: readonly Owned[], address: number): number {
  let low = 0;
  let high = owned.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (owned[middle]!.end <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}
