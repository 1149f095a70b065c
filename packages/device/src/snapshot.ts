/**
 * @file Snapshots: what must be known to go on from a judgement with the same bits, once image and inputs are there again. Memories are kept as the
 * pages that differ from a freshly loaded device; time, counters and traces are not kept, a run without values that takes the same decisions rebuilds them.
 */
import { fail, internal } from "@systole/base";
import { crc32, limits, memoryNames, type MemoryName } from "@systole/isa";
import { chipMemories, type ChipMemory, type Initialised } from "./initialised.ts";
import type { Memory } from "./memory.ts";

/** Bytes of a memory. */
export interface Piece {
  readonly memory: MemoryName;
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Tells images and inputs apart. */
export interface Fingerprint {
  readonly bytes: number;
  readonly checksum: number;
}

export interface Snapshot {
  readonly image: Fingerprint;
  /** Of all tensors that were given to the run. */
  readonly inputs: Fingerprint;
  /** How many judgements there have been, the present one included; its outcome is open. */
  readonly judgements: number;
  /** Outcomes of branches and judgements so far. */
  readonly control: readonly boolean[];
  /** The scalar registers but the one that reads as the immediate. */
  readonly registers: Float64Array;
  /** Pages; whatever lies elsewhere is as loaded, or unwritten on chip. */
  readonly pieces: readonly Piece[];
  /** One bit for each word on chip: whether it was written. */
  readonly written: Readonly<Record<ChipMemory, Uint8Array>>;
}

/** Version of the file; others are refused. */
export const snapshotVersion = 1;

const pageBytes = 4096;
const pageWords = pageBytes / 4;

/** External memory and what lies on chip. `loaded`: what was there before the run, later pieces over earlier ones; zero elsewhere. */
export function captureMemories(memory: Memory, initialised: Initialised, loaded: readonly Omit<Piece, "memory">[]): Pick<Snapshot, "pieces" | "written"> {
  return {
    pieces: [...changedPages(memory, loaded), ...chipMemories.flatMap((name) => writtenPages(memory, name, initialised.words[name]))],
    written: { cache: packed(initialised.words.cache), accumulator: packed(initialised.words.accumulator) },
  };
}

/** Puts a snapshot into a freshly loaded memory. */
export function restoreMemories(memory: Memory, initialised: Initialised, snapshot: Snapshot): void {
  for (const { memory: name, address, bytes } of snapshot.pieces) memory.bytes(name, address, bytes.length).set(bytes);
  for (const name of chipMemories) unpack(snapshot.written[name], initialised.words[name]);
}

function changedPages(memory: Memory, loaded: readonly Omit<Piece, "memory">[]): Piece[] {
  const size = memory.sizes.external;
  const pages: Piece[] = [];
  const before = new Uint8Array(pageBytes);
  const wordsBefore = new Uint32Array(before.buffer);
  const byPage = piecesByPage(loaded);
  for (let address = 0; address < size; address += pageBytes) {
    const length = Math.min(pageBytes, size - address);
    before.fill(0);
    for (const piece of byPage(address)) {
      const from = Math.max(address, piece.address);
      const to = Math.min(address + length, piece.address + piece.bytes.length);
      before.set(piece.bytes.subarray(from - piece.address, to - piece.address), from - address);
    }
    // Behind external memory there are zeros up to the next multiple of 64 bytes.
    const first = memory.linear("external", address) / 4;
    if (!sameWords(memory.u32, first, wordsBefore, Math.ceil(length / 4))) pages.push({ memory: "external", address, bytes: memory.bytes("external", address, length).slice() });
  }
  return pages;
}

/** Pieces that reach into a page, in their own order; pages must be asked for in ascending order. */
function piecesByPage(pieces: readonly Omit<Piece, "memory">[]): (page: number) => readonly Omit<Piece, "memory">[] {
  const ranked = pieces.map((piece, rank) => ({ ...piece, rank }));
  const coming = [...ranked].sort((a, b) => b.address - a.address);
  let open: typeof ranked = [];
  return (page) => {
    open = open.filter((piece) => piece.address + piece.bytes.length > page);
    while (coming.length > 0 && coming.at(-1)!.address < page + pageBytes) open.push(coming.pop()!);
    return open.sort((a, b) => a.rank - b.rank);
  };
}

/** Unwritten words of a page count as zero, so that equal states give equal snapshots. */
function writtenPages(memory: Memory, name: ChipMemory, words: Uint8Array): Piece[] {
  const pages: Piece[] = [];
  for (let first = 0; first < words.length; first += pageWords) {
    const flags = words.subarray(first, first + pageWords);
    if (!flags.includes(1)) continue;
    const address = first * 4;
    const bytes = memory.bytes(name, address, Math.min(pageBytes, memory.sizes[name] - address)).slice();
    for (let word = flags.indexOf(0); word >= 0; word = flags.indexOf(0, word + 1)) bytes.fill(0, word * 4, word * 4 + 4);
    pages.push({ memory: name, address, bytes });
  }
  return pages;
}

/** Whether `count` words of `a` from index `first` are those of `b` from 0. */
function sameWords(a: Uint32Array, first: number, b: Uint32Array, count: number): boolean {
  for (let k = 0; k < count; k++) if (a[first + k] !== b[k]) return false;
  return true;
}

function packed(words: Uint8Array): Uint8Array {
  const bits = new Uint8Array(Math.ceil(words.length / 8));
  for (let k = 0; k < words.length; k++) bits[k >> 3]! |= words[k]! << (k & 7);
  return bits;
}

function unpack(bits: Uint8Array, words: Uint8Array): void {
  for (let k = 0; k < words.length; k++) words[k] = ((bits[k >> 3] ?? 0) >> (k & 7)) & 1;
}

const magic = 0x50_4e_53_59;
const registerCount = limits.scalarRegisters - 1;

/** The snapshot as a file, little endian, with a checksum at the end. */
export function snapshotToBytes(snapshot: Snapshot): Uint8Array {
  const { image, inputs, judgements, control, registers, pieces, written } = snapshot;
  const controlBits = packed(Uint8Array.from(control, Number));
  const blobs = [controlBits, new Uint8Array(registers.buffer, registers.byteOffset, registers.byteLength), written.cache, written.accumulator, ...pieces.map((piece) => piece.bytes)];
  const head = [magic, snapshotVersion, image.bytes, image.checksum, inputs.bytes, inputs.checksum, judgements, control.length, written.cache.length, written.accumulator.length, pieces.length];
  const table = pieces.flatMap((piece) => [memoryNames.indexOf(piece.memory), piece.address, piece.bytes.length]);
  const numbers = [...head, ...table];
  const bytes = new Uint8Array(numbers.length * 8 + blobs.reduce((sum, blob) => sum + blob.length, 0) + 4);
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, k) => view.setFloat64(k * 8, number, true));
  let at = numbers.length * 8;
  for (const blob of blobs) {
    bytes.set(blob, at);
    at += blob.length;
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true);
  return bytes;
}

/** The reverse. E0604 for bytes that are no snapshot, one of another version, truncated or damaged. */
export function snapshotFromBytes(bytes: Uint8Array): Snapshot {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 20 || view.getFloat64(0, true) !== magic) fail("E0604", "this is no snapshot of a run");
  const version = view.getFloat64(8, true);
  if (version !== snapshotVersion) fail("E0604", `the snapshot has version ${version}; this device reads version ${snapshotVersion}`);
  const end = bytes.length - 4;
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end, true)) fail("E0604", "the snapshot is truncated or damaged: it does not have its checksum");
  let at = 16;
  const number = (): number => {
    at += 8;
    return at <= end ? view.getFloat64(at - 8, true) : damaged();
  };
  const size = (): number => {
    const value = number();
    return Number.isInteger(value) && value >= 0 && value <= 2 ** 40 ? value : damaged();
  };
  const take = (length: number): Uint8Array => {
    at += length;
    return at <= end ? new Uint8Array(bytes.subarray(at - length, at)) : damaged();
  };
  const [image, inputs] = [{ bytes: size(), checksum: size() }, { bytes: size(), checksum: size() }];
  const [judgements, outcomes, cacheBytes, accumulatorBytes, count] = [size(), size(), size(), size(), size()];
  if (count * 24 > end) damaged();
  const table = Array.from({ length: count }, () => ({ memory: memoryNames[size()] ?? damaged(), address: size(), length: size() }));
  const controlBits = take(Math.ceil(outcomes / 8));
  const registers = new Float64Array(take(registerCount * 8).buffer);
  const written = { cache: take(cacheBytes), accumulator: take(accumulatorBytes) };
  const pieces = table.map(({ memory, address, length }) => ({ memory, address, bytes: take(length) }));
  if (at !== end) damaged();
  const control = Array.from({ length: outcomes }, (_, k) => ((controlBits[k >> 3]! >> (k & 7)) & 1) === 1);
  return { image, inputs, judgements, control, registers, pieces, written };
}

function damaged(): never {
  return fail("E0604", "the snapshot is damaged: its parts do not add up");
}

/** Refuses a snapshot of another image, of other inputs or of a device with other memories. */
export function checkSnapshot(snapshot: Snapshot, image: Fingerprint, inputs: Fingerprint, memory: Memory): void {
  if (!sameFingerprint(snapshot.image, image)) fail("E0604", "the snapshot belongs to another image");
  if (!sameFingerprint(snapshot.inputs, inputs)) fail("E0604", "the snapshot belongs to a run with other inputs");
  const fits = snapshot.pieces.every(({ memory: name, address, bytes }) => address + bytes.length <= memory.sizes[name]);
  if (!fits) damaged();
}

function sameFingerprint(a: Fingerprint, b: Fingerprint): boolean {
  return a.bytes === b.bytes && a.checksum === b.checksum;
}

/** Of a list of byte strings; where one ends counts. */
export function fingerprintOf(strings: readonly Uint8Array[]): Fingerprint {
  const sums = new Uint32Array(strings.length * 2);
  strings.forEach((bytes, k) => sums.set([bytes.length, crc32(bytes)], k * 2));
  return { bytes: strings.reduce((sum, bytes) => sum + bytes.length, 0), checksum: crc32(new Uint8Array(sums.buffer)) };
}

/** The registers as they are in a snapshot. */
export function registersOf(all: Float64Array): Float64Array {
  return all.length === limits.scalarRegisters ? all.slice(0, registerCount) : internal(`${all.length} scalar registers`);
}
