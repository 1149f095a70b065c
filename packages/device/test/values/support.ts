/** @file Hand-made spaces, generators and memories for tests of values, and a plain model of addressing. */
import { bytesOf, type Dtype } from "@systole/base";
import type { Machine, MemoryName, ResolvedDimension, ResolvedGenerator, ResolvedSpace } from "@systole/isa";
import { Memory } from "../../src/memory.ts";

export const machine: Machine = {
  name: "test", array: { rows: 4, columns: 4, weightRowsPerCycle: 1, overlap: "shadow" },
  dataCache: { bytes: 1 << 20, banks: 4, ports: 2 }, accumulators: { bytes: 1 << 20, writeToReadCycles: 2 },
  external: { bytes: 1 << 20, readBytesPerCycle: 32, writeBytesPerCycle: 32, latencyCycles: 10, burstBytes: 64 },
  dma: { channels: 2 }, vector: { lanes: 4, chainedOperations: 8, latencyCycles: 4 },
  instructionCache: { bytes: 1024, lineBytes: 64 }, queueDepth: 4,
};

export const newMemory = (): Memory => new Memory(machine, 1 << 20);
export const noIndices = new Int32Array(8);
export const noLevels: readonly boolean[] = Array.from({ length: 8 }, () => false);
export const zeros8: readonly number[] = Array.from({ length: 8 }, () => 0);

export function dimension(extent: number, rest: Partial<ResolvedDimension> = {}): ResolvedDimension {
  return { extent, offset: 0, limit: 0, mode: "cut", steps: zeros8, ...rest };
}

export function space(...extents: readonly number[]): ResolvedSpace {
  return { dimensions: extents.map((extent) => dimension(extent)) };
}

/** A generator with strides in elements. */
export function generator(memory: MemoryName, base: number, strides: readonly number[], dtype: Dtype = "f32", rest: Partial<ResolvedGenerator> = {}): ResolvedGenerator {
  const buffer = { id: 0, memory, base, slotBytes: 1 << 16, slots: 1 };
  return { buffer, dtype, mode: "relative", levels: noLevels, base: 0, strides: strides.map((s) => s * bytesOf(dtype)), ring: zeros8, ...rest };
}

/** All points of a box in row-major order. */
export function* points(extents: readonly number[]): Generator<readonly number[]> {
  const count = extents.reduce((a, b) => a * b, 1);
  for (let i = 0; i < count; i++) {
    const at: number[] = [];
    for (let d = extents.length - 1, rest = i; d >= 0; d--) {
      at.unshift(rest % extents[d]!);
      rest = Math.floor(rest / extents[d]!);
    }
    yield at;
  }
}

/** Byte address of a point, relative mode at loop indices 0. */
export function addressOf(g: ResolvedGenerator, point: readonly number[]): number {
  return point.reduce((sum, x, d) => sum + x * (g.strides[d] ?? 0), g.buffer.base + g.base);
}

export function read(memory: Memory, g: ResolvedGenerator, point: readonly number[]): number {
  return memory.read(g.buffer.memory, g.dtype, addressOf(g, point));
}

/** Fills a range with deterministic values in -1..1 on a coarse grid, so that ties and zeros occur. */
export function scatterValues(memory: Memory, name: MemoryName, elements: number, seed: number): void {
  let state = seed >>> 0;
  const at = memory.linear(name, 0) / 4;
  for (let i = 0; i < elements; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    memory.f32[at + i] = ((state >>> 8) % 4001) / 1999 - 1;
  }
}
