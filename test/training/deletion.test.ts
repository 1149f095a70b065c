/** @file Each step of the device text is needed: training images with one macro-instruction of S3..S10 taken out, sealed anew. */
import { InputError } from "@systole/base";
import type { Program } from "@systole/ir";
import { presets, type Image } from "@systole/isa";
import { adamDefaults, firstOrder, hessianFree, layoutOf, planSquares, profileNamed, profileNames, reasons, tensorNames } from "@systole/training";
import { describe, expect, test } from "vitest";
import { pokeForTest } from "../../packages/device/src/testing.ts";
import { mlp } from "../../packages/training/test/problems.ts";
import { changed, compiled, trained, type Compiled, type Training } from "./support.ts";

const machine = presets["edge-16"];
const { problem, inputs } = mlp({ widths: [6, 20, 3], samples: 24, microBatch: 8 });
const { elements } = layoutOf(problem);
const outer = 3;

/** Steps of the main part, S2 being the io that loads the text. */
const steps = { S3: 1, S4: 2, S5: 3, S6: 4, S7: 5, S8: 6, S9: 7, S10: 8 } as const;
type StepName = keyof typeof steps;

/** The judgement goes back to the same instruction as before. */
function without(image: Image, step: StepName): Image {
  const taken = steps[step];
  return changed(image, ([main, ...others]) => [
    { ...main!, instructions: main!.instructions.filter((_, i) => i !== taken).map((one) => (one.op === "converge" && taken < Number(one.back) ? { ...one, back: Number(one.back) - 1 } : one)) }, ...others,
  ]);
}

function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostic.code} ${error.diagnostic.message}`;
    throw error;
  }
  return "no fault";
}

const common = { iterations: outer, weightDecay: 0, seed: 1n, gradientTolerance: 0, progressTolerance: -1 } as const;
const programs: Readonly<Record<string, () => Program>> = {
  ...Object.fromEntries(profileNames.map((name) => [name, () => hessianFree(problem, {
    ...common, profile: profileNamed(name), lambda: 1, cgIterations: 20, gradientBatch: 24, curvatureBatch: 8, preconditioner: name === "martens" ? planSquares(problem) : undefined, structuralDamping: undefined,
  })])),
  sgd: () => firstOrder(problem, { ...common, method: { kind: "sgd", momentum: 0.9, nesterov: false }, learningRate: 0.1, batch: 8 }),
  adam: () => firstOrder(problem, { ...common, method: adamDefaults, learningRate: 0.01, batch: 8 }),
};

describe.each(Object.keys(programs))("%s", (name) => {
  const whole: Compiled = compiled(programs[name]!(), machine);
  const first = Float32Array.from(whole.program.tensors.find((tensor) => tensor.name === tensorNames.theta)!.initial!.data as Float32Array);
  const run = (step: StepName): Training => trained(without(whole.image, step), machine, inputs);
  const complete = trained(whole.image, machine, inputs);

  test("the image as it is", () => {
    expect(whole.image.routines[0]!.instructions.map(({ op }) => op)).toEqual(["io", "io", "assign", "io", "estimate", "transfer", "update", "io", "converge"]);
    expect(complete.points).toHaveLength(outer);
    expect(complete.points.map((point) => point.every((x, i) => x === first[i]))).toEqual([false, false, false]);
  });

  test.each(["S3", "S4"] as const)("without %s: a read of what nothing has written", (step) => {
    expect(faultOf(() => run(step))).toMatch(/^E0501 read of uninitialised cache: /);
  });

  test("without S5 a value written into external theta between two steps is not seen", () => {
    const { address } = whole.image.symbols.find(({ kind }) => kind === "parameter")!;
    const seen = (image: Image, poked: boolean): unknown[] => trained(image, machine, inputs, {}, ({ iteration }, device) => {
      if (poked && iteration === 1) pokeForTest(device, "external", address, new Uint8Array(Float32Array.of(3).buffer));
    }).records.map(({ loss, gradientNorm }) => [loss, gradientNorm]);
    expect(seen(whole.image, true)).not.toEqual(seen(whole.image, false));
    const blind = without(whole.image, "S5");
    expect(seen(blind, true)).toEqual(seen(blind, false));
  });

  test.each(["S6", "S7", "S8"] as const)("without %s delta is 0: theta stays", (step) => {
    const { records, points } = run(step);
    expect(points.at(-1)).toEqual(first);
    expect(records.map(({ rate, stepNorm, reason }) => [rate, stepNorm, reason])).toEqual([[0, 0, reasons["gradient-norm"].code]]);
  });

  test("without S9 external theta is theta0, though steps are made", () => {
    const { records, points } = run("S9");
    expect(points).toEqual(records.map(() => first));
    expect(records[0]!.stepNorm).toBeGreaterThan(0);
  });

  test("without S10 a fault at the program's end", () => {
    expect(faultOf(() => run("S10"))).toMatch(/^E0501 the program ran past its end/);
  });

  test("the transfer moves at least |theta| words, which are 0 without it", () => {
    const { routines } = whole.image;
    const transfer = routines.find((routine) => routine.name === "transfer")!;
    const kernels = transfer.instructions.flatMap((one) => (one.op === "call" ? [complete.run.kernels[routines[Number(one.routine)]!.kernel!]!] : []));
    const words = kernels.reduce((sum, { vectorBusy, loadBusy }) => sum + Math.max(vectorBusy, loadBusy), 0) * machine.vector.lanes;
    expect(words).toBeGreaterThanOrEqual(outer * elements);
    const { address, bytes, memory } = whole.schedule.tensors.find(({ tensor }) => tensor.name === tensorNames.gradient)!;
    const gradientOf = ({ device }: Training): Float32Array => new Float32Array(device.read(memory, address, bytes).buffer);
    expect(bytes).toBe(4 * elements);
    expect(gradientOf(complete).filter((x) => x !== 0).length).toBeGreaterThan(elements / 2);
    expect(gradientOf(run("S7")).every((x) => x === 0)).toBe(true);
  });
});
