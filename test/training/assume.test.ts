/** @file Time of a training image without values: from the outcomes of its branches exactly, from what is said of its loops nearly. */
import { Device } from "@systole/device";
import { presets } from "@systole/isa";
import { profileNamed } from "@systole/training";
import { describe, expect, test } from "vitest";
import { hessianFreeOf } from "../../packages/training/test/support.ts";
import { rosenbrock } from "../../packages/training/test/problems.ts";
import { compiled, trained } from "./support.ts";

const { problem, inputs } = rosenbrock();
const machine = presets["edge-16"];
const { image } = compiled(hessianFreeOf(problem, profileNamed("martens"), 1, 4), machine);
const full = trained(image, machine, inputs);
const timed = (assume: Readonly<Record<string, number>>) => new Device(image, machine).run(new Map(), { timingOnly: true, assume: new Map(Object.entries(assume)) });

describe("time without values", () => {
  test("with the outcomes of the branches: the same cycles", () => {
    expect(new Device(image, machine).run(new Map(), { timingOnly: true, control: full.run.control }).cycles).toBe(full.run.cycles);
  });

  test("with what is said of loops: as many macro-instructions and products as said, and a time like the real one", () => {
    const cgSteps = full.records.map((record) => record.cgSteps);
    const mean = Math.round(cgSteps.reduce((a, b) => a + b, 0) / cgSteps.length);
    const run = timed({ outer: 4, cg: mean, backtrack: 1, "line-search": 1 });
    expect(run.macroTrace).toEqual(full.run.macroTrace);
    expect(run.cycles / full.run.cycles).toBeGreaterThan(0.8);
    expect(run.cycles / full.run.cycles).toBeLessThan(1.25);
    expect(timed({ outer: 2, cg: mean, backtrack: 1, "line-search": 1 }).macroTrace).toHaveLength(3 + 6 * 2);
    const products = (cg: number) => timed({ outer: 1, cg, backtrack: 1, "line-search": 0 }).submoduleWork["gauss-newton"].calls;
    // The last steps are those of the truncation test, which begins behind the tenth.
    expect(products(30) - products(20)).toBe(10);
  });

  test("a loop that nothing is said of", () => {
    expect(() => timed({ outer: 1, backtrack: 1, "line-search": 1 })).toThrow(/nothing is said of loop "cg"/);
    expect(() => new Device(image, machine).run(new Map(), { timingOnly: true })).toThrow(/E0603/);
  });
});
