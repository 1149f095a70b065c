/** @file Speed of the device's values: `npx tsx --conditions=@systole/source bench/kernels.ts`. Numbers stand in docs/decisions/0003-kernels.md. */
import { performance } from "node:perf_hooks";
import type { ResolvedGenerator, ResolvedStep } from "@systole/isa";
import { Memory } from "../packages/device/src/memory.ts";
import { executeLoad } from "../packages/device/src/values/dma.ts";
import { executeGemm, type GemmStep } from "../packages/device/src/values/gemm.ts";
import { executeVector } from "../packages/device/src/values/vector.ts";
import type { VectorStep } from "../packages/device/src/values/chain.ts";

const machine = {
  name: "bench", array: { rows: 128, columns: 128, weightRowsPerCycle: 2, overlap: "shadow" }, dataCache: { bytes: 1 << 25, banks: 4, ports: 2 },
  accumulators: { bytes: 1 << 22, writeToReadCycles: 2 }, external: { bytes: 1 << 30, readBytesPerCycle: 32, writeBytesPerCycle: 32, latencyCycles: 100, burstBytes: 64 },
  dma: { channels: 4 }, vector: { lanes: 512, chainedOperations: 8, latencyCycles: 8 }, instructionCache: { bytes: 65536, lineBytes: 64 }, queueDepth: 8,
} as const;
const zeros = Array.from({ length: 8 }, () => 0);
const levels = Array.from({ length: 8 }, () => false);
const space = (...extents: number[]): GemmStep["space"] => ({ dimensions: extents.map((extent) => ({ extent, offset: 0, limit: 0, mode: "cut", steps: zeros })) });
const generator = (memory: "external" | "cache" | "accumulator", base: number, ...strides: number[]): ResolvedGenerator =>
  ({ buffer: { id: 0, memory, base, slotBytes: 1 << 20, slots: 1 }, dtype: "f32", mode: "relative", levels, base: 0, strides: strides.map((s) => 4 * s), ring: zeros });
const memory = new Memory(machine, 1 << 24);
const indices = Int32Array.of(0, 1, 0, 0, 0, 0, 0, 0);
memory.f32.fill(0.5, 0, (memory.bases.accumulator + (1 << 22)) / 4);

function measure(name: string, work: number, unit: string, body: () => void): void {
  for (let i = 0; i < 20; i++) body();
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const started = performance.now();
    let runs = 0;
    while (performance.now() - started < 60) {
      body();
      runs++;
    }
    best = Math.min(best, (performance.now() - started) / runs);
  }
  process.stdout.write(`${name.padEnd(44)} ${(best * 1000).toFixed(1).padStart(9)} us ${(work / best / 1e6).toFixed(2).padStart(8)} ${unit}\n`);
}

const base = { kind: "gemm", address: 0, first: [], last: [], dataflow: "weight-stationary", rows: 1, contracted: 1, start: [1] } as const;
for (const [m, k, n] of [[128, 16, 16], [128, 64, 16], [128, 256, 16], [512, 16, 16], [512, 64, 128], [512, 128, 128], [512, 512, 128], [49, 512, 128], [1, 512, 128], [1, 2048, 16], [4, 256, 64]] as const) {
  for (const transposed of [false, true]) {
    const step: GemmStep = { ...base, space: space(m, k, n), x: generator("cache", 0, k, 1, 0), w: generator("cache", 1 << 23, 0, ...(transposed ? [1, k] : [n, 1])), out: generator("accumulator", 0, n, 0, 1) };
    measure(`gemm ${m}x${k}x${n}${transposed ? " w transposed" : ""}`, m * k * n, "GMAC/s", () => executeGemm(memory, step, indices));
  }
}
const conv: GemmStep = { ...base, rows: 2, contracted: 3, space: space(8, 16, 3, 3, 64, 64), x: generator("cache", 0, 18 * 64, 64, 18 * 64, 64, 1, 0), w: generator("cache", 1 << 23, 0, 0, 3 * 64 * 64, 64 * 64, 64, 1), out: generator("accumulator", 0, 16 * 64, 64, 0, 0, 0, 1) };
measure("gemm window 8x16, 3x3x64 -> 64", 128 * 576 * 64, "GMAC/s", () => executeGemm(memory, conv, indices));

const vector = { kind: "vector", address: 0, first: [], last: [], order: "sequential", start: [], reduction: "none", reduced: 0 } as const;
const stream = (index: number) => ({ kind: "stream", index }) as const;
const stage = (operation: "add" | "max" | "exp" | "mul", a: number, b: number | undefined): VectorStep["stages"][number] =>
  ({ operation, sources: [a < 0 ? { kind: "stage", index: -a - 1 } : stream(a), ...(b === undefined ? [] : [b < 0 ? ({ kind: "immediate", value: 0 } as const) : stream(b)])], operands: "f32", dtype: "f32" });
const [r, c] = [512, 128];
const drain: VectorStep = { ...vector, space: space(r, c), streams: [generator("accumulator", 0, c, 1), generator("cache", 1 << 20, 0, 1)], target: generator("cache", 1 << 22, c, 1), stages: [stage("add", 0, 1), stage("max", -1, -1)] };
measure("vec bias + relu 512x128", r * c, "Gelements/s", () => executeVector(memory, drain, indices));
const drain16: VectorStep = { ...drain, space: space(128, 16), streams: [generator("accumulator", 0, 16, 1), generator("cache", 1 << 20, 0, 1)], target: generator("cache", 1 << 22, 64, 1) };
measure("vec bias + relu 128x16, target strided", 128 * 16, "Gelements/s", () => executeVector(memory, drain16, indices));
measure("vec exp 512x128", r * c, "Gelements/s", () => executeVector(memory, { ...drain, stages: [stage("exp", 0, undefined)] }, indices));
const pool: VectorStep = { ...vector, reduction: "max", reduced: 2, space: space(28, 28, 64, 3, 3), streams: [generator("cache", 0, 2 * 58 * 64, 128, 1, 58 * 64, 64)], stages: [], target: generator("cache", 1 << 22, 28 * 64, 64, 1, 0, 0) };
measure("vec max pooling 28x28x64, 3x3", 28 * 28 * 64 * 9, "Gelements/s", () => executeVector(memory, pool, indices));
const dot: VectorStep = { ...vector, reduction: "sum", reduced: 1, order: "blocked", space: space(1, 65536), streams: [generator("cache", 0, 0, 1), generator("cache", 1 << 20, 0, 1)], stages: [stage("mul", 0, 1)], target: generator("cache", 1 << 22, 1, 0) };
measure("vec blocked dot 65536", 65536, "Gelements/s", () => executeVector(memory, dot, indices));

type Load = Extract<ResolvedStep, { kind: "load" }>;
const load: Load = { kind: "load", address: 0, first: [], last: [], fill: 0, space: space(18, 18, 64), source: generator("external", 0, 58 * 256, 256, 1), target: generator("cache", 0, 18 * 64, 64, 1) };
measure("ld 18x18x64 of 256 channels (bytes)", 18 * 18 * 64 * 4, "GB/s", () => executeLoad(memory, load, indices));
measure("ld 128 x 16 turned (bytes)", 128 * 16 * 4, "GB/s", () => executeLoad(memory, { ...load, space: space(128, 16), source: generator("external", 0, 16, 1), target: generator("cache", 0, 1, 128) }, indices));
