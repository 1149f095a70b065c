/**
 * @file What crosses the pins in an outer step, to the byte, for a perceptron that fits on cloud-128: theta in and out, the batches, the record, and the
 * iterates that conjugate gradients keep for backtracking, which lie in external memory by design. Beside it the controller with the program in its ROM.
 */
import { presets, type Machine } from "@systole/isa";
import { arrangeData, typesOf } from "@systole/systole";
import { recordColumns, storedIterates, type TrainingRecord } from "@systole/training";
import { describe, expect, test } from "vitest";
import { buildTraining } from "../../packages/systole/src/training/build.ts";
import { machines } from "../support.ts";
import { perceptron } from "./models.ts";
import { compiled, trained, type Training } from "./support.ts";

const machine: Machine = presets["cloud-128"];
const [features, samples, microBatch] = [64, 256, 64];
const model = perceptron({ features, hidden: 96, samples });
const [f32Bytes, i32Bytes, i64Bytes, f64Bytes] = [4, 4, 8, 8];
const elements = features * 96 + 96 + 96 * 4 + 4;
const parameters = ["w1", "b1", "w2", "b2"];

function training(profile: string, iterations: number): Training {
  const built = buildTraining(model.bytes, typesOf(model.data), { optimizer: "hessian-free", profile, loss: model.loss, iterations, lambda: 1, microBatch, curvatureBatch: 2 * microBatch, cgIterations: 30 });
  return trained(compiled(built.program, machine).image, machine, arrangeData(built, model.data));
}

interface Bytes {
  readonly read: number;
  readonly write: number;
}

/** The third outer step alone: of the same trajectory, one step more. */
function thirdStep(profile: string): { readonly bytes: (...names: readonly string[]) => Bytes; readonly all: Bytes; readonly record: TrainingRecord } {
  const [two, three] = [training(profile, 2), training(profile, 3)];
  expect(three.points.slice(0, 2)).toEqual(two.points);
  const bytes = (...names: readonly string[]): Bytes => {
    const sum = (of: Training, direction: "readBytes" | "writeBytes"): number => names.reduce((total, name) => total + (of.run.traffic.get(name)?.[direction] ?? 0), 0);
    return { read: sum(three, "readBytes") - sum(two, "readBytes"), write: sum(three, "writeBytes") - sum(two, "writeBytes") };
  };
  return { bytes, all: bytes(...three.run.traffic.keys()), record: three.records[2]! };
}

/** So many micro-batches go through graphs in a step; each looks its samples up, once for the data and once for the targets. */
function batches(passes: number): { readonly x: number; readonly target: number; readonly order: number } {
  return { x: passes * microBatch * features * f32Bytes, target: passes * microBatch * i64Bytes, order: 2 * passes * microBatch * i32Bytes };
}

const theta = elements * f32Bytes;
const recordBytes = recordColumns.length * f64Bytes;

describe("the bytes of an outer step", () => {
  test("device-text: 2 |theta| words, the batches, the record, and nothing else", () => {
    const { bytes, all } = thirdStep("device-text");
    // Gradient and new loss on all samples, activations on the curvature's.
    const { x, target, order } = batches(samples / microBatch + samples / microBatch + 2);
    expect(bytes(...parameters)).toEqual({ read: theta, write: theta });
    expect([bytes("x"), bytes("target"), bytes("record")]).toEqual([{ read: x, write: 0 }, { read: target, write: 0 }, { read: 0, write: recordBytes }]);
    // Sample numbers are a constant of the program, which has no symbol.
    expect(bytes("other")).toEqual({ read: order, write: 0 });
    expect(all).toEqual({ read: theta + x + target + order, write: theta + recordBytes });
  });

  test("martens: and the stored iterates", () => {
    const { bytes, all, record } = thirdStep("martens");
    const passes = bytes("x").read / batches(1).x;
    const { x, target, order } = batches(passes);
    // The gradient and two stored iterates on all samples at least; activations and new loss on the curvature's.
    expect(passes).toBeGreaterThanOrEqual((3 * samples) / microBatch + 4);
    expect(Number.isInteger(passes)).toBe(true);
    expect(bytes(...parameters)).toEqual({ read: theta, write: theta });
    expect(bytes("target")).toEqual({ read: target, write: 0 });
    expect(bytes("other")).toEqual({ read: order, write: 0 });
    const { read, write } = bytes("iterates");
    const grid = [5, 7, 9, 11, 15, 19, 25];
    const stored = grid.filter((step) => step <= record.cgSteps).length + (grid.includes(record.cgSteps) ? 0 : 1);
    expect(stored).toBeLessThanOrEqual(storedIterates({ iterations: 30, storeAt: "geometric" }));
    expect(write).toBe(stored * theta);
    // The last one, those before it as long as they are no worse, and the chosen one.
    expect(read % theta).toBe(0);
    expect(read / theta).toBeLessThanOrEqual(stored + 1);
    expect(all).toEqual({ read: theta + x + target + order + read, write: theta + recordBytes + write });
  });
});

describe.each(machines.map((one) => [one.name, one] as const))("the program in the controller's ROM, %s", (_, on) => {
  const { bytes, data, loss } = perceptron();
  const built = buildTraining(bytes, typesOf(data), { optimizer: "hessian-free", loss, iterations: 2, lambda: 1, microBatch: 8, cgIterations: 10 });
  const { image } = compiled(built.program, on);
  const run = (hardWired: boolean): Training => trained(image, on, arrangeData(built, data), { hardWired });

  test("the same bits and the same trace, and no macro-instruction is fetched", () => {
    const [fetched, rom] = [run(false), run(true)];
    expect(rom.bits).toEqual(fetched.bits);
    expect(rom.run.macroTrace).toEqual(fetched.run.macroTrace);
    expect([fetched.run.instructions.macros, rom.run.instructions.macros]).toEqual([3 + 6 * 2, 0]);
  });
});
