/** @file The numeric kernels as functions: decodes and instantiates the generated WebAssembly module. Sources: assembly/. */
import type { ElementwiseName } from "@systole/base";
import { kernelsBase64 } from "./generated/kernels.ts";

/** Addresses and byte counts are unsigned 32-bit numbers; WebAssembly takes them modulo 2^32. */
export interface Kernels {
  readonly copyBox: (target: number, source: number, rank: number, box: number) => void;
  readonly fillBox: (target: number, rank: number, box: number, low: number, high: number) => void;
  /** `block` is the address of what src/values/gemm.ts prepares per step. */
  readonly gemm: (block: number, x: number, w: number, out: number, columns: number, start: number, scratch: number) => void;
  readonly lanes: (operation: number, out: number, a: number, aStep: number, b: number, bStep: number, count: number) => void;
  /** The words at `chain` are described in assembly/lanes.ts. */
  readonly chainOfRows: (chain: number, rows: number, columns: number) => void;
  readonly compare: (operation: number, out: number, a: number, aStep: number, b: number, bStep: number, count: number) => void;
  readonly functions: (operation: number, out: number, a: number, aStep: number, count: number) => void;
  readonly integers: (operation: number, out: number, a: number, aStep: number, b: number, bStep: number, count: number) => void;
  readonly select: (out: number, condition: number, conditionStep: number, b: number, bStep: number, c: number, cStep: number, count: number) => void;
  readonly foldRun: (operation: number, state: number, from: number, count: number) => number;
  readonly foldRuns: (operation: number, results: number, from: number, length: number, runs: number, start: number) => void;
  readonly foldPartials: (sums: number, partials: number, phase: number, from: number, count: number) => void;
  readonly foldTree: (sums: number, partials: number) => number;
  readonly scanRun: (state: number, at: number, count: number, exclusive: number) => number;
}

/** Elementwise operations with a float32 kernel, at their code in `lanes`. Each is exactly the row of the elementwise table. */
export const laneOperations: readonly ElementwiseName[] = ["add", "sub", "mul", "div", "max", "min", "neg", "abs", "sqrt", "floor", "ceil", "round", "copy"];
/** The same for `compare`. */
export const compareOperations: readonly ElementwiseName[] = ["eq", "ne", "lt", "le", "gt", "ge"];

/** Operations on i32 with a kernel, at their code in `integers`. */
export const integerOperations: readonly ElementwiseName[] = ["add", "sub", "mul", "div", "rem"];

/** Functions of float32 with a kernel, at their code in `functions`. */
export const functionOperations: readonly ElementwiseName[] = ["exp", "tanh", "logistic"];

/** The part of the WebAssembly interface that the device uses; the language library does not declare it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
interface WasmInterface {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: { env: { memory: WasmMemory; abort: () => void } }) => { readonly exports: Kernels };
}
const wasm = (globalThis as unknown as { readonly WebAssembly: WasmInterface }).WebAssembly;

/** 4 GiB, all that 32-bit addresses reach. */
export const maximumPages = 65536;
export const pageBytes = 65536;

export function newWasmMemory(pages: number): WasmMemory {
  return new wasm.Memory({ initial: pages, maximum: maximumPages });
}

let compiled: object | undefined;

/** Kernels that work on `memory`. The module is compiled once. */
export function instantiateKernels(memory: WasmMemory): Kernels {
  compiled ??= new wasm.Module(decodeBase64(kernelsBase64));
  return new wasm.Instance(compiled, { env: { memory, abort: () => undefined } }).exports;
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function decodeBase64(text: string): Uint8Array {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < text.length - padding; i++) {
    bits = ((bits << 6) | alphabet.indexOf(text[i]!)) & 0xffffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 0xff;
  }
  return bytes;
}
