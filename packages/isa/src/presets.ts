/** @file The machines that come with Systole. `machines/*.json` are the same values as files, to copy and change; a test compares them. */
import type { Machine } from "./machine.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

export const presets = {
  "edge-16": {
    name: "edge-16",
    array: { rows: 16, columns: 16, weightRowsPerCycle: 1, overlap: "shadow" },
    dataCache: { bytes: 256 * KiB, banks: 16, ports: 2 },
    accumulators: { bytes: 64 * KiB, writeToReadCycles: 1 },
    external: { bytes: 1 * GiB, readBytesPerCycle: 32, writeBytesPerCycle: 32, latencyCycles: 100, burstBytes: 64 },
    dma: { channels: 4 },
    vector: { lanes: 16, chainedOperations: 8, latencyCycles: 8 },
    instructionCache: { bytes: 16 * KiB, lineBytes: 64 },
    queueDepth: 8,
  },
  "train-32": {
    name: "train-32",
    array: { rows: 32, columns: 32, weightRowsPerCycle: 1, overlap: "shadow" },
    dataCache: { bytes: 1 * MiB, banks: 32, ports: 2 },
    accumulators: { bytes: 256 * KiB, writeToReadCycles: 1 },
    external: { bytes: 2 * GiB, readBytesPerCycle: 96, writeBytesPerCycle: 96, latencyCycles: 100, burstBytes: 64 },
    dma: { channels: 8 },
    vector: { lanes: 64, chainedOperations: 8, latencyCycles: 8 },
    instructionCache: { bytes: 32 * KiB, lineBytes: 64 },
    queueDepth: 8,
  },
  "cloud-128": {
    name: "cloud-128",
    array: { rows: 128, columns: 128, weightRowsPerCycle: 2, overlap: "shadow" },
    dataCache: { bytes: 32 * MiB, banks: 64, ports: 2 },
    accumulators: { bytes: 4 * MiB, writeToReadCycles: 1 },
    external: { bytes: 3.5 * GiB, readBytesPerCycle: 1024, writeBytesPerCycle: 1024, latencyCycles: 200, burstBytes: 64 },
    dma: { channels: 16 },
    vector: { lanes: 512, chainedOperations: 8, latencyCycles: 8 },
    instructionCache: { bytes: 64 * KiB, lineBytes: 64 },
    queueDepth: 8,
  },
} as const satisfies Readonly<Record<string, Machine>>;

export type PresetName = keyof typeof presets;

export const presetNames = Object.keys(presets) as readonly PresetName[];

export function isPresetName(text: string): text is PresetName {
  return Object.hasOwn(presets, text);
}
