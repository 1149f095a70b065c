/**
 * @file The simulated memories. External memory, data cache and accumulators lie one after the other in a single WebAssembly
 * memory, so that kernels work on them in place; behind them lies scratch space of the simulation, which is no part
 * of the machine. Addresses below are `linear` (inside the WebAssembly memory) unless they name a memory.
 */
import { fail, type Dtype, type NumericArray } from "@systole/base";
import type { Machine, MemoryName } from "@systole/isa";
import { instantiateKernels, maximumPages, newWasmMemory, pageBytes, type Kernels, type WasmMemory } from "./kernels.ts";

/** Elements of one block of the vector unit's work; a block of 8-byte elements is `blockBytes`. */
export const blockElements = 2048;
const blockBytes = blockElements * 8;

/** Offsets in scratch: fixed small areas, then 32 blocks for streams, stages and sums, then the arena. */
const fixedScratch = { box: 0, spare: 256, splats: 512, partials: 1536, chain: 4096, blocks: 8192 } as const;
const arenaOffset = fixedScratch.blocks + 32 * blockBytes;
const initialArena = 1 << 20;
/** Kernels may read (never write) up to this far behind an operand. */
const guardBytes = 64;

export class Memory {
  readonly kernels: Kernels;
  readonly bases: Readonly<Record<MemoryName, number>>;
  readonly sizes: Readonly<Record<MemoryName, number>>;
  /** A descriptor for box kernels. */
  readonly boxAddress: number;
  /** 128 bytes for the tails of gemm. */
  readonly spareAddress: number;
  /** 64 broadcast values of 16 bytes. */
  readonly splatAddress: number;
  /** A description of a chain for `chainOfRows`. */
  readonly chainAddress: number;
  /** 512 float32 partial sums. */
  readonly partialsAddress: number;
  u8!: Uint8Array;
  i8!: Int8Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  i64!: BigInt64Array;
  f32!: Float32Array;
  f64!: Float64Array;
  #wasm: WasmMemory;
  #scratch: number;
  #arenaEnd: number;
  #packBytes = 0;
  #packAddress = 0;

  constructor(machine: Machine, externalBytes: number) {
    const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
    this.sizes = { external: externalBytes, cache: machine.dataCache.bytes, accumulator: machine.accumulators.bytes };
    const cache = align(externalBytes);
    const accumulator = cache + align(this.sizes.cache);
    this.bases = { external: 0, cache, accumulator };
    this.#scratch = accumulator + align(this.sizes.accumulator);
    this.#arenaEnd = this.#scratch + arenaOffset;
    const needed = this.#arenaEnd + initialArena + guardBytes;
    this.#wasm = allocate(needed);
    this.kernels = instantiateKernels(this.#wasm);
    this.boxAddress = this.#scratch + fixedScratch.box;
    this.spareAddress = this.#scratch + fixedScratch.spare;
    this.splatAddress = this.#scratch + fixedScratch.splats;
    this.chainAddress = this.#scratch + fixedScratch.chain;
    this.partialsAddress = this.#scratch + fixedScratch.partials;
    this.#refresh();
  }

  /** Linear address of a byte of a memory. */
  linear(name: MemoryName, address: number): number {
    return this.bases[name] + address;
  }

  /** The bytes of a range of a memory, as a view: a later growth of scratch detaches it. */
  bytes(name: MemoryName, address: number, length: number): Uint8Array {
    return new Uint8Array(this.#wasm.buffer, this.linear(name, address), length);
  }

  /** Linear address of scratch block 0..31, `blockElements` elements of up to 8 bytes. */
  blockAddress(index: number): number {
    return this.#scratch + fixedScratch.blocks + index * blockBytes;
  }

  /** Scratch that stays reserved; for tables that a step keeps. */
  reserve(bytes: number): number {
    const address = Math.ceil(this.#arenaEnd / 16) * 16;
    this.#arenaEnd = address + bytes;
    this.#fit(this.#arenaEnd + guardBytes);
    return address;
  }

  /** Scratch of at least `bytes` that the next call may overwrite. */
  pack(bytes: number): number {
    if (bytes > this.#packBytes) {
      this.#packBytes = Math.max(bytes, 2 * this.#packBytes, 1 << 16);
      this.#packAddress = this.reserve(this.#packBytes);
    }
    return this.#packAddress;
  }

  /** The view of all memory as elements of `dtype`; index = linear address / width. */
  elements(dtype: Dtype): NumericArray {
    switch (dtype) {
      case "f32": return this.f32;
      case "f64": return this.f64;
      case "i64": return this.i64;
      case "i32": return this.i32;
      case "i8": return this.i8;
      case "u8":
      case "bool": return this.u8;
    }
  }

  /** One element as a number; i64 beyond 2^53 loses precision. */
  read(name: MemoryName, dtype: Dtype, address: number): number {
    const array = this.elements(dtype);
    return Number(array[this.linear(name, address) / array.BYTES_PER_ELEMENT]);
  }

  /** Stores a float64 as an element: floats round, integers truncate and wrap. */
  write(name: MemoryName, dtype: Dtype, address: number, value: number): void {
    const array = this.elements(dtype);
    const index = this.linear(name, address) / array.BYTES_PER_ELEMENT;
    if (array instanceof BigInt64Array) array[index] = Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
    else array[index] = dtype === "bool" ? Number(value !== 0) : value;
  }

  #fit(bytes: number): void {
    const missing = Math.ceil((bytes - this.#wasm.buffer.byteLength) / pageBytes);
    if (missing <= 0) return;
    try {
      this.#wasm.grow(missing);
    } catch {
      tooLarge(bytes);
    }
    this.#refresh();
  }

  #refresh(): void {
    const buffer = this.#wasm.buffer;
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }
}

/** Every loaded device's memory: for tests that reach into it (`testing.ts`). */
export const memoryOfDevice = new WeakMap<object, Memory>();

/** What a step has prepared for one memory, made at its first use. */
export function preparedPerMemory<K extends object, V>(make: (memory: Memory, key: K) => V): (memory: Memory, key: K) => V {
  const all = new WeakMap<Memory, WeakMap<K, V>>();
  return (memory, key) => {
    let known = all.get(memory);
    if (known === undefined) all.set(memory, (known = new WeakMap()));
    let value = known.get(key);
    if (value === undefined) known.set(key, (value = make(memory, key)));
    return value;
  };
}

function allocate(bytes: number): WasmMemory {
  const pages = Math.ceil(bytes / pageBytes);
  if (pages > maximumPages) return tooLarge(bytes);
  try {
    return newWasmMemory(pages);
  } catch {
    return tooLarge(bytes);
  }
}

function tooLarge(bytes: number): never {
  const available = maximumPages * pageBytes;
  const notes = bytes > available
    ? [`The simulation holds at most ${available} bytes; ${bytes - available} bytes are missing.`]
    : ["The host refused that much memory; `--timing-only` needs none."];
  return fail("E0302", `the simulated memories need ${bytes} bytes`, {}, notes);
}
