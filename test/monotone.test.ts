/** @file A better machine never slows a compiled image, and time without values is time with values. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { emitImage } from "@systole/codegen";
import { runImage } from "@systole/device";
import { optimize, parseGraph } from "@systole/ir";
import { machineHash, presets, type Image, type Machine } from "@systole/isa";
import { schedule } from "@systole/scheduler";
import fc from "fast-check";
import { expect, test } from "vitest";
import { randomInputs } from "./support.ts";

const graph = optimize(parseGraph(readFileSync(fileURLToPath(new URL("golden/cnn.ir", import.meta.url)), "utf8")));

/** The image as if it had been compiled for another machine: the same instructions, another clockwork. */
function cyclesOn(image: Image, machine: Machine): number {
  return runImage({ ...image, machineHash: machineHash(machine) }, machine, new Map(), { timingOnly: true }).cycles;
}

/** Ways in which a machine gets better by a factor; sizes stay, the image fits them. */
const improvements: Readonly<Record<string, (m: Machine, factor: number) => Machine>> = {
  "read bandwidth": (m, f) => ({ ...m, external: { ...m.external, readBytesPerCycle: m.external.readBytesPerCycle * f } }),
  "write bandwidth": (m, f) => ({ ...m, external: { ...m.external, writeBytesPerCycle: m.external.writeBytesPerCycle * f } }),
  "external latency": (m, f) => ({ ...m, external: { ...m.external, latencyCycles: Math.floor(m.external.latencyCycles / f) } }),
  "vector lanes": (m, f) => ({ ...m, vector: { ...m.vector, lanes: m.vector.lanes * f } }),
  "vector latency": (m, f) => ({ ...m, vector: { ...m.vector, latencyCycles: Math.floor(m.vector.latencyCycles / f) } }),
  "DMA channels": (m, f) => ({ ...m, dma: { channels: m.dma.channels * f } }),
  "queue depth": (m, f) => ({ ...m, queueDepth: m.queueDepth * f }),
  "weight rows a cycle": (m, f) => ({ ...m, array: { ...m.array, weightRowsPerCycle: m.array.weightRowsPerCycle * f } }),
};

const machineNames = Object.keys(presets) as (keyof typeof presets)[];

test.each(Object.keys(improvements))("more %s never slows a compiled image", (name) => {
  const improve = improvements[name]!;
  fc.assert(fc.property(fc.constantFrom(...machineNames), fc.integer({ min: 0, max: 30 }), fc.constantFrom(2, 4), (machineName, tilingSeed, factor) => {
    const machine: Machine = presets[machineName];
    const image = emitImage(schedule(graph, machine, { tilingSeed }), machine);
    expect(cyclesOn(image, improve(machine, factor))).toBeLessThanOrEqual(cyclesOn(image, machine));
  }), { numRuns: 10, seed: 6 });
});

test("time without values is time with values, and every unit's cycles add up", () => {
  for (const machine of Object.values(presets)) {
    for (const tilingSeed of [1, 2, 3]) {
      const image = emitImage(schedule(graph, machine, { tilingSeed }), machine);
      const full = runImage(image, machine, randomInputs(graph, 9));
      expect(runImage(image, machine, new Map(), { timingOnly: true }).cycles).toBe(full.cycles);
      for (const unit of Object.values(full.units)) expect(Object.values(unit.stalls).reduce((a, b) => a + b, unit.busy)).toBe(full.cycles);
      expect(full.kernels.reduce((sum, kernel) => sum + kernel.cycles, full.outside.cycles)).toBe(full.cycles);
      expect(Object.values(full.submodules).reduce((a, b) => a + b, 0)).toBe(full.cycles);
    }
  }
});
