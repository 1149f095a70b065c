/** @file Three outer steps of every algorithm: the interpreter and all three machines give the same parameters and records, bit for bit. */
import { arrangeData, typesOf, type TrainingOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { buildTraining } from "../../packages/systole/src/training/build.ts";
import { machines } from "../support.ts";
import { convolution, perceptron, recurrence, rosenbrockModel, type Trainable } from "./models.ts";
import { compiled, interpretedBits, trained } from "./support.ts";

const cases: Readonly<Record<string, { readonly model: Trainable; readonly options: Partial<TrainingOptions> }>> = {
  "martens, exact squares": { model: perceptron(), options: { profile: "martens", lambda: 1, microBatch: 8, curvatureBatch: 16, weightDecay: 1e-3 } },
  "martens, random signs": { model: convolution(), options: { profile: "martens", lambda: 1, microBatch: 8, curvatureBatch: 8, cgIterations: 12 } },
  rnn: { model: recurrence(), options: { profile: "rnn", microBatch: 6, gradientBatch: 36, curvatureBatch: 12, cgIterations: 20, init: "sparse", seed: 3 } },
  "rnn, structural damping": { model: recurrence(), options: { profile: "rnn", microBatch: 6, gradientBatch: 36, curvatureBatch: 12, cgIterations: 20, structuralDamping: 0.3 } },
  "device-text": { model: perceptron(), options: { profile: "device-text", microBatch: 16 } },
  "device-text without data": { model: rosenbrockModel(), options: { profile: "device-text", freeze: ["ten", "one"] } },
  sgd: { model: perceptron(), options: { optimizer: "sgd", microBatch: 8, gradientBatch: 16, learningRate: 0.1, weightDecay: 1e-3 } },
  adam: { model: convolution(), options: { optimizer: "adam", microBatch: 8, gradientBatch: 8 } },
};

describe.each(Object.keys(cases))("%s", (name) => {
  const { model: { bytes, data, loss, sampleAxes = {} }, options } = cases[name]!;
  const built = buildTraining(bytes, typesOf(data), { optimizer: "hessian-free", iterations: 3, loss, sampleAxes, ...options });
  const inputs = arrangeData(built, data);
  const wanted = interpretedBits(built.program, inputs);

  test("the parameters move in each step", () => {
    expect(new Set(wanted.map((bits) => bits.split(" ")[0])).size).toBe(3);
  });

  test.each(machines.map((machine) => [machine.name, machine] as const))("%s", (_, machine) => {
    const { bits, run, device } = trained(compiled(built.program, machine).image, machine, inputs);
    expect(bits).toEqual(wanted);
    // Time depends on decisions only, never on values.
    expect(device.run(new Map(), { timingOnly: true, control: run.control }).cycles).toBe(run.cycles);
  });
});
