/**
 * @file When the slots of buffers may be read and written. A slot is named by where it lies: two declarations of the same
 * buffer share their slots, and a new buffer inherits the times of whatever it covers, so that memory can be reused
 * by another kernel without waiting for more than the true conflicts.
 *
 * On chip a buffer is dead once another one covers it (the verifier proves that), in external memory both may be in use:
 * such slots are aliases until the controller forgets its registers, and what happens to one happens to both.
 */
import type { MemoryName, ResolvedBuffer } from "@systole/isa";

/** Bytes [begin, end) of one memory belong to `slot` at present. */
interface Owner {
  readonly begin: number;
  readonly end: number;
  readonly slot: number;
}

/** The numbers of slots; they hold for as many runs as one likes. */
export class SlotNumbers {
  /** How many slots have a number. */
  count = 0;
  readonly #byPlace = new Map<string, number>();
  readonly #byBuffer = new WeakMap<ResolvedBuffer, number>();

  /** The number of slot 0; those of the others follow. */
  firstOf(buffer: ResolvedBuffer): number {
    let first = this.#byBuffer.get(buffer);
    if (first === undefined) this.#byBuffer.set(buffer, (first = this.#ofPlace(buffer)));
    return first;
  }

  #ofPlace({ memory, base, slotBytes, slots }: ResolvedBuffer): number {
    const key = `${memory} ${base} ${slotBytes} ${slots}`;
    let first = this.#byPlace.get(key);
    if (first === undefined) {
      this.#byPlace.set(key, (first = this.count));
      this.count += slots;
    }
    return first;
  }
}

export class Scoreboard {
  /** Per slot: when its content is complete, and when the last reader has finished. */
  writeDone: Float64Array<ArrayBuffer>;
  readDone: Float64Array<ArrayBuffer>;
  /** Per slot: which unit wrote it last, as it was told; -1 where several or none did. */
  writer: Int8Array<ArrayBuffer>;
  /** Per slot: the epoch of its last declaration; an epoch ends when registers are forgotten. */
  #declared: Float64Array<ArrayBuffer>;
  #epoch = 0;
  readonly #aliases = new Map<number, Set<number>>();
  readonly #numbers: SlotNumbers;
  /** Per memory, disjoint and ascending. */
  readonly #owners: Record<MemoryName, Owner[]> = { external: [], cache: [], accumulator: [] };

  constructor(numbers: SlotNumbers) {
    this.#numbers = numbers;
    const capacity = Math.max(256, numbers.count);
    this.writeDone = new Float64Array(capacity);
    this.readDone = new Float64Array(capacity);
    this.writer = new Int8Array(capacity).fill(-1);
    this.#declared = new Float64Array(capacity);
  }

  /** The controller's registers are unset: buffers declared so far are in use no more. */
  forget(): void {
    this.#epoch++;
    this.#aliases.clear();
  }

  declare(buffer: ResolvedBuffer): void {
    const { memory, base, slots, slotBytes } = buffer;
    const first = this.#numbers.firstOf(buffer);
    this.#fit();
    for (let k = 0; k < slots; k++) this.#declared[first + k] = this.#epoch;
    const end = base + slots * slotBytes;
    const owners = this.#owners[memory];
    const from = firstBehind(owners, base);
    let to = from;
    let same = true;
    for (; to < owners.length && owners[to]!.begin < end; to++) {
      const owner = owners[to]!;
      same &&= owner.slot === first + to - from && owner.end - owner.begin === slotBytes;
    }
    if (same && to - from === slots) return;
    for (let k = from; k < to; k++) this.#inherit(buffer, first, owners[k]!);
    const [head, tail] = from < to ? [owners[from], owners[to - 1]] : [];
    const replacement: Owner[] = [];
    if (head !== undefined && head.begin < base) replacement.push({ begin: head.begin, end: base, slot: head.slot });
    for (let k = 0; k < slots; k++) replacement.push({ begin: base + k * slotBytes, end: base + (k + 1) * slotBytes, slot: first + k });
    if (tail !== undefined && tail.end > end) replacement.push({ begin: end, end: tail.end, slot: tail.slot });
    owners.splice(from, to - from, ...replacement);
  }

  /** The slot's number in `writeDone` and `readDone`. */
  slot(buffer: ResolvedBuffer, index: number): number {
    return this.#numbers.firstOf(buffer) + index;
  }

  /** Slots that take part when a block outside of buffers moves: one for the block itself and all that own bytes of it. */
  region(memory: MemoryName, begin: number, bytes: number): number[] {
    const owners = this.#owners[memory];
    const slots: number[] = [];
    for (let k = firstBehind(owners, begin); k < owners.length && owners[k]!.begin < begin + bytes; k++) slots.push(owners[k]!.slot);
    const block = { id: -1, memory, base: begin, slotBytes: bytes, slots: 1 };
    this.declare(block);
    slots.push(this.slot(block, 0));
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

  #fit(): void {
    while (this.writeDone.length < this.#numbers.count) {
      const length = this.writeDone.length * 2;
      this.writeDone = moved(this.writeDone, new Float64Array(length));
      this.readDone = moved(this.readDone, new Float64Array(length));
      this.writer = moved(this.writer, new Int8Array(length).fill(-1));
      this.#declared = moved(this.#declared, new Float64Array(length));
    }
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

function moved<A extends Float64Array | Int8Array>(from: A, to: A): A {
  to.set(from);
  return to;
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
