/**
 * @file When the slots of buffers may be read and written. A slot is named by where it lies: two declarations of the same
 * buffer share their slots, and a new buffer inherits the times of whatever it covers, so that memory can be reused
 * by another kernel without waiting for more than the true conflicts.
 *
 * On chip a buffer is dead once another one covers it (the verifier proves that), in external memory both may be in use:
 * such slots are aliases until the controller forgets its registers, and what happens to one happens to both.
 */
import { internal } from "@systole/base";
import type { MemoryName, ResolvedBuffer } from "@systole/isa";

/** Bytes [begin, end) of one memory belong to `slot` at present. */
interface Owner {
  readonly begin: number;
  readonly end: number;
  readonly slot: number;
}

export class Scoreboard {
  /** Per slot: when its content is complete, and when the last reader has finished. */
  writeDone = new Float64Array(256);
  readDone = new Float64Array(256);
  /** Per slot: which unit wrote it last, as it was told; -1 where several or none did. */
  writer = new Int8Array(256).fill(-1);
  /** Per slot: the epoch of its last declaration; an epoch ends when registers are forgotten. */
  #declared = new Float64Array(256);
  #epoch = 0;
  readonly #aliases = new Map<number, Set<number>>();
  #count = 0;
  readonly #firstSlot = new Map<ResolvedBuffer, number>();
  readonly #byPlace = new Map<string, number>();
  /** Per memory, disjoint and ascending. */
  readonly #owners: Record<MemoryName, Owner[]> = { external: [], cache: [], accumulator: [] };

  /** The controller's registers are unset: buffers declared so far are in use no more. */
  forget(): void {
    this.#epoch++;
    this.#aliases.clear();
  }

  declare(buffer: ResolvedBuffer): void {
    const first = this.#place(buffer);
    for (let k = 0; k < buffer.slots; k++) this.#declared[first + k] = this.#epoch;
    this.#firstSlot.set(buffer, first);
    const end = buffer.base + buffer.slots * buffer.slotBytes;
    const owners = this.#owners[buffer.memory];
    const from = firstBehind(owners, buffer.base);
    let to = from;
    while (to < owners.length && owners[to]!.begin < end) to++;
    const covered = owners.slice(from, to);
    if (covered.length === buffer.slots && covered.every((owner, k) => owner.slot === first + k && owner.end - owner.begin === buffer.slotBytes)) return;
    for (const owner of covered) this.#inherit(buffer, first, owner);
    const replacement: Owner[] = [];
    const head = covered[0];
    if (head !== undefined && head.begin < buffer.base) replacement.push({ ...head, end: buffer.base });
    for (let k = 0; k < buffer.slots; k++) {
      const begin = buffer.base + k * buffer.slotBytes;
      replacement.push({ begin, end: begin + buffer.slotBytes, slot: first + k });
    }
    const tail = covered.at(-1);
    if (tail !== undefined && tail.end > end) replacement.push({ ...tail, begin: end });
    this.#owners[buffer.memory] = owners.slice(0, from).concat(replacement, owners.slice(to));
  }

  /** The slot's number in `writeDone` and `readDone`. */
  slot(buffer: ResolvedBuffer, index: number): number {
    const first = this.#firstSlot.get(buffer);
    if (first === undefined) return internal(`buffer ${buffer.id} used before its declaration`);
    return first + index;
  }

  /** Slots that take part when a block outside of buffers moves: one for the block itself and all that own bytes of it. */
  region(memory: MemoryName, begin: number, bytes: number): number[] {
    const owners = this.#owners[memory];
    const slots: number[] = [];
    for (let k = firstBehind(owners, begin); k < owners.length && owners[k]!.begin < begin + bytes; k++) slots.push(owners[k]!.slot);
    const block = { id: -1, memory, base: begin, slotBytes: bytes, slots: 1 };
    this.declare(block);
    slots.push(this.slot(block, 0));
    this.#firstSlot.delete(block);
    return slots;
  }

  noteWrite(slot: number, done: number, unit = -1): void {
    raise(this.writeDone, slot, done);
    this.writer[slot] = unit;
    if (this.#aliases.size === 0) return;
    this.#aliases.get(slot)?.forEach((alias) => {
      raise(this.writeDone, alias, done);
      this.writer[alias] = -1;
    });
  }

  /** Whether everything written to the slot comes from this unit: an in-order unit completes its writes in order and need not wait for them. */
  writtenBy(slot: number, unit: number): boolean {
    return unit >= 0 && this.writer[slot] === unit;
  }

  noteRead(slot: number, done: number): void {
    raise(this.readDone, slot, done);
    if (this.#aliases.size > 0) this.#aliases.get(slot)?.forEach((alias) => raise(this.readDone, alias, done));
  }

  #place(buffer: ResolvedBuffer): number {
    const key = `${buffer.memory} ${buffer.base} ${buffer.slotBytes} ${buffer.slots}`;
    const known = this.#byPlace.get(key);
    if (known !== undefined) return known;
    const first = this.#count;
    this.#count += buffer.slots;
    this.#byPlace.set(key, first);
    while (this.writeDone.length < this.#count) {
      this.writeDone = grown(this.writeDone);
      this.readDone = grown(this.readDone);
      const writer = new Int8Array(this.writer.length * 2).fill(-1);
      writer.set(this.writer);
      this.writer = writer;
      this.#declared = grown(this.#declared);
    }
    return first;
  }

  #inherit(buffer: ResolvedBuffer, first: number, owner: Owner): void {
    const low = Math.max(0, Math.floor((owner.begin - buffer.base) / buffer.slotBytes));
    const high = Math.min(buffer.slots - 1, Math.floor((owner.end - 1 - buffer.base) / buffer.slotBytes));
    const alive = buffer.memory === "external" && this.#declared[owner.slot] === this.#epoch;
    for (let k = low; k <= high; k++) {
      raise(this.writeDone, first + k, this.writeDone[owner.slot]!);
      raise(this.readDone, first + k, this.readDone[owner.slot]!);
      // Writes of several units may lie under the slot now: the last unit alone does not order them.
      if (this.writer[first + k] !== this.writer[owner.slot]) this.writer[first + k] = -1;
      if (alive) this.#link(first + k, owner.slot);
    }
  }

  #link(a: number, b: number): void {
    if (a === b) return;
    const both = [[a, b], [b, a]] as const;
    for (const [from, to] of both) {
      const known = this.#aliases.get(from);
      if (known === undefined) this.#aliases.set(from, new Set([to]));
      else known.add(to);
    }
  }
}

function raise(times: Float64Array, slot: number, time: number): void {
  if (time > times[slot]!) times[slot] = time;
}

function grown(a: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const b = new Float64Array(a.length * 2);
  b.set(a);
  return b;
}

/** Index of the first owner that ends behind `address`. */
function firstBehind(owners: readonly Owner[], address: number): number {
  let low = 0;
  let high = owners.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (owners[middle]!.end <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}
