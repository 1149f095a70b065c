/** @file Lower bounds of traffic against schedules: no schedule moves less than its bound. */
import { GraphBuilder } from "@systole/ir";
import { emitImage } from "@systole/codegen";
import { runImage } from "@systole/device";
import { presets } from "@systole/isa";
import fc from "fast-check";
import { expect, test } from "vitest";
import { lowerBoundBytes, schedule } from "@systole/scheduler";

const machines = Object.values(presets);

test("a matrix product on every machine moves at least the bound, and the bound is Hong and Kung's where it is the larger one", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 400 }), fc.constantFrom(...machines), (m, n, k, machine) => {
    const g = new GraphBuilder();
    g.output("y", g.apply("dot", [g.input("x", { dtype: "f32", shape: [m, k] }), g.input("w", { dtype: "f32", shape: [k, n] })], { x: "mk", w: "kn", out: "mn", k: "k" }));
    const scheduled = schedule(g.build("g"), machine);
    const bound = lowerBoundBytes(scheduled.kernels[0]!.kernel, machine);
    const { external } = runImage(emitImage(scheduled, machine), machine, new Map(), { timingOnly: true });
    expect(bound).toBeGreaterThanOrEqual(4 * (m * k + k * n + m * n));
    expect(external.readBytes + external.writeBytes).toBeGreaterThanOrEqual(bound);
  }), { numRuns: 40, seed: 2 });
});

test("a window that leaves elements unused counts only what it reads", () => {
  const g = new GraphBuilder();
  const x = g.input("x", { dtype: "f32", shape: [1, 14, 14, 16] });
  g.output("y", g.apply("window_reduce", [x], { kind: "max", window: [1, 3, 3, 1], strides: [1, 3, 3, 1], padding: [[0, 0], [0, 0], [0, 0], [0, 0]], dilation: [1, 1, 1, 1] }));
  const kernel = schedule(g.build("g"), presets["edge-16"]).kernels[0]!.kernel;
  expect(lowerBoundBytes(kernel, presets["edge-16"])).toBe(4 * 16 * (12 * 12 + 4 * 4));
});
