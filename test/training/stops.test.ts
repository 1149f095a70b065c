/** @file Each reason for which a training ends, on the device, with the parameters as the step before left them. */
import { tensor } from "@systole/base";
import { presets } from "@systole/isa";
import { profileNamed, reasonOf, reasons, type HessianFreeOptions, type Reason } from "@systole/training";
import { expect, test } from "vitest";
import { leastSquares, rosenbrock } from "../../packages/training/test/problems.ts";
import { hessianFreeOf, tiny } from "../../packages/training/test/support.ts";
import { compiled, trained } from "./support.ts";

const machine = presets["edge-16"];
const martens = profileNamed("martens");

interface Case {
  readonly lambda: number;
  readonly options: Partial<HessianFreeOptions>;
  /** Of theta0, for a loss that cannot be had there. */
  readonly scale?: number;
  /** How many steps it takes. */
  readonly steps: number;
}

const cases: Readonly<Record<Exclude<Reason, "none" | "damping-not-positive">, Case>> = {
  "gradient-norm": { lambda: 1, options: { gradientTolerance: 1e9 }, steps: 1 },
  "relative-progress": { lambda: 1, options: { progressTolerance: 1 }, steps: 3 },
  "iteration-limit": { lambda: 1, options: {}, steps: 4 },
  breakdown: { lambda: 2e30, options: {}, steps: 1 },
  divergence: { lambda: 1, options: {}, scale: 1e12, steps: 1 },
};

test.each(Object.keys(cases) as (keyof typeof cases)[])("%s", (name) => {
  const { lambda, options, scale = 1, steps } = cases[name];
  const { problem, inputs } = rosenbrock();
  const given = new Map([...inputs, ["x", tensor("f32", [1], [-1.2 * scale])], ["y", tensor("f32", [1], [1])]]);
  const { records, points } = trained(compiled(hessianFreeOf(problem, martens, lambda, 4, options), machine).image, machine, given);
  expect(records.map(({ reason }) => reasonOf(reason))).toEqual([...new Array<Reason>(steps - 1).fill("none"), name]);
  if (reasons[name].failure) expect([...points.at(-1)!]).toEqual([Math.fround(-1.2 * scale), 1]);
});

test("at an exact minimum rho is no number any more: the training ends, lambda does not run away", () => {
  const { problem, inputs } = leastSquares([[1, 0], [0, 1]], [2, 3], [1, 1]);
  const { records, points } = trained(compiled(hessianFreeOf(problem, martens, tiny, 20, { gradientTolerance: 1e-10, progressTolerance: 0 }), machine).image, machine, inputs);
  expect(records.map(({ reason }) => reasonOf(reason))).toEqual(["none", "gradient-norm"]);
  expect([...points.at(-1)!]).toEqual([2, 3]);
  expect(records.at(-1)!.lambda).toBe(records[0]!.lambda);
});
