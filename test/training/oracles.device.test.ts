/** @file The oracles of hessian-free.md on the device, in its float32 with float64 scalars: the programs are those of packages/training/test. */
import { runProgram } from "@systole/ir";
import { presets } from "@systole/isa";
import { describe, expect, test } from "vitest";
import { cgStops, layoutOf, profileNamed, storedIterates, type ConjugateGradientOptions, type Profile } from "@systole/training";
import { leastSquares, logistic, mlp, rosenbrock } from "../../packages/training/test/problems.ts";
import { hessianFreeOf, near, solve, tiny, type Solved, type System } from "../../packages/training/test/support.ts";
import { decayingPhi, dense, diagonal, lambdas, laplacian, ones, preconditionerOf, quarticSearch } from "../../packages/training/test/units.ts";
import { compiled, onDevice, trained } from "./support.ts";

const machine = presets["edge-16"];
const run = onDevice(machine);
/** Relative, or absolute below 1. */
const close = (actual: readonly number[], wanted: readonly number[]): void => near(actual, wanted, 1e-5);
const solved = (system: System, options: Partial<ConjugateGradientOptions> = {}): Solved => solve(system, options, run);

describe("O3 conjugate gradients", () => {
  const system = { ...dense([[4, 1], [1, 3]]), b: [1, 2] };
  const solution = [1 / 11, 7 / 11];
  const once = { iterations: 1 };
  const twice = { iterations: 2 };

  test("2 x 2", () => {
    const first = solved(system, once);
    close([...first.x, first.phi[1]!, first.residualNorm], [0.25, 0.5, -0.625, 0.5590169943749475]);
    const second = solved(system, twice);
    close([...second.x, ...second.phi, second.residualNorm], [...solution, 0, -0.625, -15 / 22, 0]);
  });

  test("from another point", () => {
    const first = solved({ ...system, x0: [2, 1] }, once);
    close([...first.x, ...first.phi], [0.235649546828, 0.33836858006, 7.5, -0.5498489425981874]);
    close(solved({ ...system, x0: [2, 1] }, twice).x, solution);
  });

  test.each([
    ["Jacobi", [4, 3], [0.20652173913, 0.550724637681], -0.6539855072463768],
    ["diagonal^0.75", [4 ** 0.75, 3 ** 0.75], [0.217331127578, 0.539331742287], -0.6479973060762761],
  ] as const)("preconditioned by %s", (_, m, x1, phi1) => {
    const first = solved({ ...system, m }, once);
    close([...first.x, first.phi[1]!], [...x1, phi1]);
    close(solved({ ...system, m }, twice).x, solution);
  });

  test("3 x 3 takes 3 steps, two distinct eigenvalues take 2", () => {
    const three = solved({ ...laplacian(3, 0), b: [1, 0, 0] }, { iterations: 3 });
    close([...three.x, ...three.phi], [0.75, 0.5, 0.25, 0, -0.25, -1 / 3, -0.375]);
    const two = solved({ ...diagonal([1, 1, 1, 10, 10]), b: ones(5) }, twice);
    close([...two.x, ...two.phi], [1, 1, 1, 0.1, 0.1, 0, -0.5434782608695653, -1.6]);
  });

  test("a warm start at the solution stops at 0 steps, negative curvature with the iterate before it", () => {
    const warm = solved({ ...system, b: [6, 7], x0: [1, 2] });
    expect([warm.x, warm.steps, warm.stop]).toEqual([[1, 2], 0, cgStops.residual]);
    const curved = solved({ ...diagonal([1, -1]), b: [1, 2] });
    expect([curved.x, curved.steps, curved.stop]).toEqual([[0, 0], 0, cgStops["negative-curvature"]]);
  });
});

describe("O4 truncation: exact stop indices", () => {
  const rising = Array.from({ length: 1000 }, (_, i) => i + 1);
  test.each([
    ["diag(1..1000)", { ...diagonal(rising), b: ones(1000) }, 54, -3.73596855781],
    ["diag(1..1000), preconditioned", { ...diagonal(rising), b: ones(1000), m: rising.map((d) => d ** 0.75) }, 14, -3.74273543024],
    ["Laplacian, n = 50", { ...laplacian(50, 1e-3), b: ones(50) }, 31, -4386.93587013],
    ["Laplacian, n = 200", { ...laplacian(200, 1e-3), b: ones(200) }, 64, -68794.1477575],
    ["Laplacian, n = 1000", { ...laplacian(1000, 1e-3), b: ones(1000) }, 50, -466457.932454],
  ] as const)("%s", (_, system, steps, phi) => {
    const { steps: taken, stop, phi: history } = solved(system, { iterations: 100 });
    expect([taken, stop]).toEqual([steps, cgStops.progress]);
    near([history.at(-1)!], [phi], 2e-5);
  });

  test("phi_i = -(1 - 0.9^i) stops at 57", () => {
    const { scalar } = run(decayingPhi());
    expect([scalar("cgSteps"), scalar("cgStop")]).toEqual([57, cgStops.progress]);
  });
});

const martens = profileNamed("martens");
const deviceText = profileNamed("device-text");
const dampedRatio: Profile = { ...martens, rho: { ...martens.rho, damped: true } };

describe("O5 a quadratic objective", () => {
  const { problem, inputs } = leastSquares([[1, 2], [3, 4], [5, 6]], [1, 2, 2], [0.3, -0.7]);
  test.each([
    [tiny, [-2 / 3, 11 / 12], 1 / 12, 1],
    [1, [0.421551724138, 0.048275862069], 0.3420938614744358, 1.014207062192542],
    [10, [0.63829787234, -0.198259187621], 0.6730178675763, 1.0997734724236623],
  ] as const)("lambda = %s", (lambda, w, f, withDamping) => {
    const { records: [record], points: [point] } = trained(compiled(hessianFreeOf(problem, martens, lambda, 1), machine).image, machine, inputs);
    close([record!.loss, record!.newLoss, ...point!], [20.855, f, ...w]);
    near([record!.rho], [1], 1e-4);
    expect([record!.rate, record!.lambda]).toEqual([1, lambda * (2 / 3)]);
    near([trained(compiled(hessianFreeOf(problem, dampedRatio, lambda, 1), machine).image, machine, inputs).records[0]!.rho], [withDamping], 1e-4);
  });
});

describe("O6 Rosenbrock", () => {
  const { problem, inputs } = rosenbrock();
  const roots = (profile: Profile, lambda: number, iterations: number) => trained(compiled(hessianFreeOf(problem, profile, lambda, iterations), machine).image, machine, inputs);

  test("the branches of the published trajectory, and its end", () => {
    const { records, points } = roots(martens, 1, 22);
    near(records.slice(0, 8).map(({ loss }) => loss), [12.1, 3.05877150802, 2.61435081362, 2.46804993222, 2.40124824619, 0.1728796688, 0.123873608206, 0.0601168567303], 1e-4);
    near([...points[0]!, ...points[3]!], [-0.778663239075, 0.434447300771, 0.346207174526, -0.089306828438], 1e-4);
    near(records.slice(0, 5).map(({ lambda }) => lambda), [2 / 3, 1, 1.5, 2.25, 1.5], 1e-15);
    near(records.slice(0, 5).map(({ rate }) => rate), [1, 0.512, 0.64, 1, 1], 1e-15);
    near([records[0]!.rho, records[3]!.rho, records[5]!.rho], [0.859712, 0.0296339, 0.575932], 1e-4);
    expect(records.slice(1, 3).map(({ rho }) => rho)).toEqual([-Infinity, -Infinity]);
    const done = records.findIndex(({ newLoss }) => newLoss <= 1e-12) + 1;
    expect(done).toBeGreaterThanOrEqual(17);
    expect(done).toBeLessThanOrEqual(22);
  });

  test("the device text without damping: f rises to 1171.28, then (1, 1)", () => {
    const { records, points } = roots(deviceText, tiny, 2);
    near([...points[0]!, ...points[1]!], [1, -3.84, 1, 1], 1e-4);
    close([records[0]!.loss, records[0]!.newLoss, records[1]!.loss], [12.1, 1171.28, 1171.28]);
    near([records[0]!.rho], [(1171.28 - 12.1) / -12.1], 1e-4);
  });
});

test("O7 logistic regression by Newton's method", () => {
  const { problem, inputs } = logistic([[1, 0], [1, 1], [1, 2], [1, 3]], [0, 1, 0, 1]);
  const { records, points } = trained(compiled(hessianFreeOf(problem, deviceText, tiny, 5), machine).image, machine, inputs);
  const w = [[-1.2, 0.8], [-1.355983434174, 0.903988956116], [-1.362266133262, 0.908177422175], [-1.362276393813, 0.908184262542]];
  w.forEach((point, i) => close([...points[i]!], point));
  close(records.slice(0, 3).map(({ loss }) => loss), [4 * Math.LN2, 2.35259543947597, 2.34749401608339]);
});

test("O9 the rule of Levenberg and Marquardt, exactly", () => {
  const up = (lambda: number): number => lambda * (3 / 2);
  const down = (lambda: number): number => lambda * (2 / 3);
  const [first, second] = [down(45), down(down(45))];
  expect(run(lambdas([0.9, 0.9, 0.5, 0.1, NaN, 0.25, 0.75])).numbers("seen")).toEqual([first, second, second, up(second), up(up(second)), up(up(second)), up(up(second))]);
});

describe("O10 line search", () => {
  test("four reductions downhill", () => {
    const { scalar } = run(quarticSearch(-4));
    expect(scalar("tries")).toBe(4);
    close([scalar("rate"), scalar("value")], [0.4096, 0.16610071937679413]);
  });

  test("sixty tries uphill, then none", () => {
    const { scalar } = run(quarticSearch(4));
    expect([scalar("tries"), scalar("evaluations"), scalar("rate")]).toEqual([60, 60, 0]);
  });

  test("a loss that is not a number is refused", () => {
    expect(run(quarticSearch(NaN)).scalar("rate")).toBe(0);
  });
});

test("O11 the preconditioner", () => {
  close(run(preconditionerOf([1, 0.01, 0], 1)).numbers("m"), [1.681792830507, 1.007490663844, 1]);
});

test("O12 the grid of stored iterates, and the parameters in the image", () => {
  const grid = [5, 7, 9, 11, 15, 19, 25, 32, 41];
  const system = { ...diagonal(Array.from({ length: 60 }, (_, i) => 1 + i)), b: ones(60) };
  const never = { tolerance: -1, iterations: 41 };
  const { iterates, steps } = solved(system, never);
  expect([steps, iterates.length]).toEqual([41, grid.length]);
  for (const j of [0, 1, 4]) expect(iterates[j]).toEqual(solved(system, { ...never, iterations: grid[j]! }).x);
  expect(storedIterates({ iterations: 250, storeAt: "geometric" })).toBe(16);
  const { problem } = mlp({ widths: [3, 4, 2], samples: 12, microBatch: 4 });
  const { image } = compiled(hessianFreeOf(problem, martens, 1, 1), machine);
  const words = image.symbols.filter(({ kind }) => kind === "parameter").reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect([words, layoutOf(problem).elements]).toEqual([26, 26]);
});

describe("O14 the trace of macro-instructions", () => {
  const { problem, inputs } = mlp({ widths: [3, 4, 2], samples: 12, microBatch: 4 });
  test.each(["martens", "rnn", "device-text"])("profile %s", (name) => {
    const outer = 3;
    const program = hessianFreeOf(problem, profileNamed(name), 1, outer, { gradientBatch: 12, curvatureBatch: 4 });
    const { run: { macroTrace, instructions }, records, points } = trained(compiled(program, machine).image, machine, inputs);
    expect(macroTrace).toEqual(["io", "io", "assign", ...Array.from({ length: outer }, () => ["io", "estimate", "transfer", "update", "io", "converge"]).flat()]);
    expect([instructions.macros, records.length]).toEqual([3 + 6 * outer, outer]);
    const plain = runProgram(program, inputs).read({ tensor: "theta" }).data;
    expect(points.at(-1)).toEqual(plain);
  });
});
