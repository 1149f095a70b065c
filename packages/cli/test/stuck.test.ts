import { recordColumns, type TrainingRecord } from "@systole/systole";
import { describe, expect, it } from "vitest";
import { stuck } from "../src/commands/train.ts";

const blank = Object.fromEntries(recordColumns.map((column) => [column, 0])) as unknown as TrainingRecord;
const course = (steps: number, loss: (i: number) => number, rho: number, lambda = 1): TrainingRecord[] => Array.from({ length: steps }, (_, i) => ({ ...blank, iteration: i + 1, loss: loss(i), rho, lambda }));

describe("the warning of a network that predicts the mean", () => {
  it("comes where the loss stands still for ten steps and the model is poor", () => {
    expect(stuck(course(10, (i) => 5 - 1e-5 * i, 0.1))).toBe(true);
    expect(stuck(course(10, () => 5, NaN))).toBe(true);
    expect(stuck(course(10, () => 5, -Infinity))).toBe(true);
  });

  it("does not come before, where the loss moves, where the model is good, or where there is no damping", () => {
    expect(stuck(course(9, () => 5, 0.1))).toBe(false);
    expect(stuck(course(10, (i) => 5 - 0.01 * i, 0.1))).toBe(false);
    expect(stuck(course(10, () => 5, 0.9))).toBe(false);
    expect(stuck(course(10, () => 5, 0, 0))).toBe(false);
  });
});
