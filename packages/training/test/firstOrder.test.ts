/** @file Momentum and Adam as programs, against plain loops. */
import { tensor, type Tensor } from "@systole/base";
import { evaluate } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { adamDefaults, firstOrder, gradientOfSamples, layoutOf, orderInput, reasonOf, shuffled, type Adam, type FirstOrderOptions, type Momentum, type Problem } from "../src/index.ts";
import { mlp, rosenbrock } from "./problems.ts";
import { exact, near, train } from "./support.ts";

const { problem, inputs } = mlp({ widths: [4, 5, 3], samples: 24, microBatch: 4 });
const layout = layoutOf(problem);
const weightDecay = 2 ** -6;
const seed = 9n;
const batch = 8;

function options(method: Momentum | Adam, more: Partial<FirstOrderOptions> = {}): FirstOrderOptions {
  return { method, learningRate: 0.05, batch, weightDecay, seed, iterations: 7, gradientTolerance: 0, progressTolerance: -1, ...more };
}

const begin = (of: Problem): number[] => layoutOf(of).parts.flatMap(({ name }) => Array.from(of.network.parameters.find((one) => one.name === name)!.tensor.data as Float32Array));

/** Loss and gradient on the samples of a step, at theta, in one batch. */
function gradientAt(theta: readonly number[], step: number): { readonly loss: number; readonly g: number[] } {
  const whole: Problem = mlp({ widths: [4, 5, 3], samples: 24, microBatch: batch }).problem;
  const order = (shuffled(24, seed).data as Int32Array).slice((step % 3) * batch, ((step % 3) + 1) * batch);
  const given = new Map<string, Tensor>([...inputs, [orderInput, tensor("i32", [batch], order)]]);
  for (const { name, offset, shape } of layout.parts) given.set(name, exact(shape, theta.slice(offset, offset + shape.reduce((a, b) => a * b, 1))));
  const outputs = evaluate(gradientOfSamples(whole, false), given, "float64");
  const decays = (i: number): number => (i < layout.decaying ? weightDecay : 0);
  const g = layout.parts.flatMap(({ name }) => Array.from(outputs.get(`g/${name}`)!.data as Float64Array)).map((x, i) => x + decays(i) * theta[i]!);
  return { g, loss: Number(outputs.get("loss")!.data[0]) + theta.reduce((total, x, i) => total + (decays(i) / 2) * x * x, 0) };
}

/** theta behind each step, by the formulas as they were published. */
function plainLoop(steps: number, next: (theta: readonly number[], g: readonly number[], t: number) => number[]): { readonly points: number[][]; readonly losses: number[] } {
  let theta = begin(problem);
  const points: number[][] = [];
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { g, loss } = gradientAt(theta, step);
    theta = next(theta, g, step + 1);
    points.push(theta);
    losses.push(loss);
  }
  return { points, losses };
}

describe.each([
  ["plain descent", { kind: "sgd", momentum: 0, nesterov: false }],
  ["momentum", { kind: "sgd", momentum: 0.9, nesterov: false }],
  ["Nesterov's momentum", { kind: "sgd", momentum: 0.9, nesterov: true }],
] as const)("%s", (_, method) => {
  test("is the plain loop", () => {
    let velocity = new Array<number>(layout.elements).fill(0);
    const { points, losses } = plainLoop(7, (theta, g) => {
      velocity = velocity.map((v, i) => method.momentum * v - 0.05 * g[i]!);
      return theta.map((x, i) => x + (method.nesterov ? method.momentum * velocity[i]! - 0.05 * g[i]! : velocity[i]!));
    });
    const trained = train(firstOrder(problem, options(method)), inputs);
    near(trained.points.flat(), points.flat(), 1e-12);
    near(trained.records.map(({ loss }) => loss), losses, 1e-12);
  });
});

test("Adam is the plain loop", () => {
  const { beta1, beta2 } = adamDefaults;
  const epsilon = Math.fround(adamDefaults.epsilon);
  let [mean, square] = [new Array<number>(layout.elements).fill(0), new Array<number>(layout.elements).fill(0)];
  const { points } = plainLoop(7, (theta, g, t) => {
    mean = mean.map((m, i) => beta1 * m + (1 - beta1) * g[i]!);
    square = square.map((v, i) => beta2 * v + (1 - beta2) * g[i]! * g[i]!);
    return theta.map((x, i) => x - (0.05 * (mean[i]! / (1 - beta1 ** t))) / (Math.sqrt(square[i]! / (1 - beta2 ** t)) + epsilon));
  });
  near(train(firstOrder(problem, options(adamDefaults)), inputs).points.flat(), points.flat(), 1e-10);
});

test.each([["sgd", { kind: "sgd", momentum: 0.9, nesterov: true }], ["adam", adamDefaults]] as const)("%s learns in float32, and says so", (_, method) => {
  const { records } = train(firstOrder(problem, options(method, { batch: 24, iterations: 40, weightDecay: 0 })), inputs, "device");
  const [first, last] = [records[0]!, records.at(-1)!];
  expect(last.loss).toBeLessThan(0.7 * first.loss);
  expect({ iteration: last.iteration, reason: reasonOf(last.reason), rate: last.rate, lambda: last.lambda, rho: last.rho, cgSteps: last.cgSteps, cgStop: last.cgStop, curvatureLoss: last.curvatureLoss, newLoss: last.newLoss })
    .toEqual({ iteration: 40, reason: "iteration-limit", rate: 1, lambda: 0, rho: 0, cgSteps: 0, cgStop: 0, curvatureLoss: 0, newLoss: NaN });
  expect(last.stepNorm).toBeGreaterThan(0);
  expect(last.gradientNorm).toBeGreaterThan(0);
});

test("the same steps as Hessian-free training", () => {
  const kinds: string[] = [];
  train(firstOrder(problem, options(adamDefaults, { iterations: 2 })), inputs, "float64", { step: ({ kind }) => kinds.push(kind) });
  const outer = ["load", "estimate", "transfer", "update", "store", "converge"];
  expect(kinds).toEqual(["load", "assign", ...outer, ...outer]);
});

describe("what stops a run", () => {
  const { problem: valley, inputs: given } = rosenbrock();
  const descent = { kind: "sgd", momentum: 0.5, nesterov: false } as const;
  const one = { batch: 1, weightDecay: 0, iterations: 100 };

  test("divergence, with parameters that are still numbers", () => {
    const { records, points } = train(firstOrder(valley, options(descent, { ...one, learningRate: 1 })), given, "device");
    expect(reasonOf(records.at(-1)!.reason)).toBe("divergence");
    expect(records.length).toBeLessThan(20);
    expect(points.at(-1)!.every(Number.isFinite)).toBe(true);
  });

  test("an exact minimum", () => {
    const { records, points } = train(firstOrder(valley, options(descent, one)), new Map([...given, ["x", tensor("f32", [1], [1])]]), "device");
    expect(records.map(({ reason }) => reasonOf(reason))).toEqual(["gradient-norm"]);
    expect(points).toEqual([[1, 1]]);
  });

  test("a batch that the data does not have", () => {
    expect(() => firstOrder(valley, options(descent, { batch: 2 }))).toThrow(/E0603/);
  });
});
