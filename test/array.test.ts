/**
 * @file Cycles of the array as the device counts them: the closed forms that RTL confirmed, SCALE-Sim's counts for the serial
 * setting, and what whole contractions reach end to end. Deterministic numbers, so limits are asserted.
 */
import { tensor } from "@systole/base";
import { Device, runImage } from "@systole/device";
import { presetNames, presets, type Machine, type PresetName } from "@systole/isa";
import { compile } from "@systole/systole";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { matmulImage } from "../packages/device/test/programs.ts";
import { info, modelBytes, node } from "../packages/frontend-onnx/test/support.ts";
import scaleSim from "./golden/scalesim.json" with { type: "json" };

type Dataflow = "weight-stationary" | "output-stationary";
type Size = readonly [m: number, n: number, k: number];

const MiB = 1024 * 1024;

/** Memories in which every contraction below is one tile, so that one instruction is the whole of it. */
function machineOf(array: Machine["array"], writeToReadCycles = 1): Machine {
  const base = presets["edge-16"];
  return { ...base, name: "test", array, dataCache: { ...base.dataCache, bytes: 64 * MiB }, accumulators: { bytes: 16 * MiB, writeToReadCycles } };
}

/** From the first row of weights or of operands that enters the array to the last sum in the accumulators. */
function arrayCycles(machine: Machine, size: Size, dataflow: Dataflow): number {
  const image = matmulImage(machine, { size, tile: size, dataflow, slots: 1 });
  const { trace } = runImage(image, machine, new Map(), { timingOnly: true, maxTraceEvents: 100 });
  const gemms = trace!.filter((event) => event.unit === "array");
  expect(gemms).toHaveLength(1);
  const loadCycles = dataflow === "weight-stationary" ? Math.ceil(machine.array.rows / machine.array.weightRowsPerCycle) : 0;
  return loadCycles + gemms[0]!.endCycle - gemms[0]!.startCycle;
}

const extent = fc.integer({ min: 1, max: 150 });
const side = fc.integer({ min: 2, max: 40 });

describe("closed forms with shadow registers", () => {
  test("weight-stationary: R + (n - 1) P + M + R + C - 2", () => {
    fc.assert(fc.property(side, side, fc.constantFrom(1, 2), fc.integer({ min: 0, max: 3 }), extent, extent, extent, (r, c, weightRowsPerCycle, a, m, n, k) => {
      const [panels, tiles, load] = [Math.ceil(n / c), Math.ceil(k / r), Math.ceil(r / weightRowsPerCycle)];
      // The k tiles of one panel start at least R + 1 + a apart; panels are interleaved in between.
      const interval = Math.max(m, load, tiles > 1 ? Math.ceil((r + 1 + a) / panels) : 0);
      const machine = machineOf({ rows: r, columns: c, weightRowsPerCycle, overlap: "shadow" }, a);
      expect(arrayCycles(machine, [m, n, k], "weight-stationary")).toBe(load + (panels * tiles - 1) * interval + m + r + c - 2);
    }), { numRuns: 60, seed: 1 });
  });

  test("output-stationary: (n - 1) P + K + 2R + C - 2", () => {
    fc.assert(fc.property(side, side, extent, extent, extent, (r, c, m, n, k) => {
      const tiles = Math.ceil(m / r) * Math.ceil(n / c);
      const machine = machineOf({ rows: r, columns: c, weightRowsPerCycle: 1, overlap: "shadow" });
      expect(arrayCycles(machine, [m, n, k], "output-stationary")).toBe((tiles - 1) * Math.max(k, 2 * r - 1) + k + 2 * r + c - 2);
    }), { numRuns: 60, seed: 2 });
  });

  test("64 x 64 x 64 as in RTL, with either dataflow", () => {
    for (const dataflow of ["weight-stationary", "output-stationary"] as const) {
      const cycles = [8, 16].map((a) => arrayCycles(machineOf({ rows: a, columns: a, weightRowsPerCycle: 1, overlap: "shadow" }), [64, 64, 64], dataflow));
      expect(cycles).toEqual([4118, 1070]);
    }
  });
});

test("the serial setting counts what SCALE-Sim counts", () => {
  for (const [gemm, m, n, k, a, dataflow, cycles] of scaleSim.rows as [string, number, number, number, number, string, number][]) {
    const machine = machineOf({ rows: a, columns: a, weightRowsPerCycle: 1, overlap: "serial" });
    // Input-stationary is weight-stationary with the operands exchanged.
    const size: Size = dataflow === "is" ? [n, m, k] : [m, n, k];
    const counted = arrayCycles(machine, size, dataflow === "os" ? "output-stationary" : "weight-stationary");
    // It numbers cycles from 0 and reports the last number.
    expect(counted - 1, `${gemm} on ${a}x${a}, ${dataflow}`).toBe(cycles);
  }
});

function cyclesOf(model: Uint8Array, preset: PresetName): { readonly cycles: number; readonly utilization: number } {
  const machine = presets[preset];
  const { cycles, macs } = new Device(compile(model, machine).image, machine).run(new Map(), { timingOnly: true });
  return { cycles, utilization: macs / (cycles * machine.array.rows * machine.array.columns) };
}

describe("end to end, with external memory, start and drain", () => {
  const leastUtilization = { "edge-16": 0.98, "train-32": 0.96, "cloud-128": 0.86 } as const satisfies Record<PresetName, number>;

  test.each(presetNames)("512 x 512 x 512 on %s", (preset) => {
    const side512 = [512, 512];
    const model = modelBytes({ inputs: [info("x", "f32", side512), info("w", "f32", side512)], outputs: [info("y", "f32", side512)], nodes: [node("MatMul", ["x", "w"], ["y"])] });
    expect(cyclesOf(model, preset).utilization).toBeGreaterThanOrEqual(leastUtilization[preset]);
  });

  test("the first convolution of ResNet-50 on edge-16", () => {
    const weights = tensor("f32", [64, 3, 7, 7], new Float32Array(64 * 3 * 49).fill(0.5));
    const model = modelBytes({
      inputs: [info("x", "f32", [1, 3, 224, 224])], outputs: [info("y", "f32", [1, 64, 112, 112])], initializers: { w: weights },
      nodes: [node("Conv", ["x", "w"], ["y"], { strides: [2, 2], pads: [3, 3, 3, 3] })],
    });
    expect(cyclesOf(model, "edge-16").cycles).toBeLessThanOrEqual(550_000);
  });
});
