/** @file Published and computed numbers of Hessian-free training (hessian-free.md, oracles O3 to O14), in float64 by the reference interpreter. */
import { binaryCrossEntropy, emit, GraphBuilder, type Graph } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { cgStops, layoutOf, profileNamed, storedIterates, type Problem, type Profile, type SquaresPlan } from "../src/index.ts";
import { leastSquares, logistic, mlp, rosenbrock } from "./problems.ts";
import { exact, hessianFreeOf, inFloat64, near, solve, tiny, train, zerosOf } from "./support.ts";
import { decayingPhi, dense, diagonal, lambdas, laplacian, ones, preconditionerOf, quarticSearch } from "./units.ts";

const martens = profileNamed("martens");
const deviceText = profileNamed("device-text");

describe("O3 conjugate gradients", () => {
  const system = { ...dense([[4, 1], [1, 3]]), b: [1, 2] };
  const solution = [1 / 11, 7 / 11];
  const once = { iterations: 1 };
  const twice = { iterations: 2 };

  test("2 x 2", () => {
    const first = solve(system, once);
    near(first.x, [0.25, 0.5]);
    near([first.phi[1]!, first.residualNorm], [-0.625, 0.5590169943749475]);
    const second = solve(system, twice);
    near(second.x, solution);
    near(second.phi, [0, -0.625, -15 / 22]);
    expect(second.residualNorm).toBeLessThan(1e-15);
  });

  test("from another point", () => {
    const first = solve({ ...system, x0: [2, 1] }, once);
    near(first.x, [0.235649546828, 0.33836858006]);
    near(first.phi, [7.5, -0.5498489425981874]);
    near(solve({ ...system, x0: [2, 1] }, twice).x, solution);
  });

  test.each([
    ["Jacobi", [4, 3], [0.20652173913, 0.550724637681], -0.6539855072463768],
    ["diagonal^0.75", [4 ** 0.75, 3 ** 0.75], [0.217331127578, 0.539331742287], -0.6479973060762761],
  ] as const)("preconditioned by %s", (_, m, x1, phi1) => {
    const first = solve({ ...system, m }, once);
    near(first.x, x1);
    near([first.phi[1]!], [phi1]);
    near(solve({ ...system, m }, twice).x, solution);
  });

  test("3 x 3 takes exactly 3 steps", () => {
    const tridiagonal = { ...laplacian(3, 0), b: [1, 0, 0] };
    for (const [steps, x] of [[1, [0.5, 0, 0]], [2, [2 / 3, 1 / 3, 0]], [3, [0.75, 0.5, 0.25]]] as const) near(solve(tridiagonal, { iterations: steps }).x, x);
    near(solve(tridiagonal, { iterations: 3 }).phi, [0, -0.25, -1 / 3, -0.375]);
  });

  test("two distinct eigenvalues take 2 steps", () => {
    const few = { ...diagonal([1, 1, 1, 10, 10]), b: ones(5) };
    near(solve(few, once).x, ones(5).map(() => 0.217391304348));
    near(solve(few, twice).phi, [0, -0.5434782608695653, -1.6]);
    near(solve(few, twice).x, [1, 1, 1, 0.1, 0.1]);
  });

  test("phi falls strictly, and is x'Ax/2 - b'x", () => {
    const d = Array.from({ length: 20 }, (_, i) => 1 + i);
    const { x, phi } = solve({ ...diagonal(d), b: ones(20) }, { iterations: 15 });
    phi.slice(1).forEach((value, i) => expect(value).toBeLessThan(phi[i]!));
    near([phi.at(-1)!], [x.reduce((total, one, i) => total + (one * d[i]! * one) / 2 - one, 0)]);
  });

  test("a warm start at the solution stops at 0 steps", () => {
    const { x, steps, stop } = solve({ ...system, b: [6, 7], x0: [1, 2] });
    expect([x, steps, stop]).toEqual([[1, 2], 0, cgStops.residual]);
  });

  test("negative curvature stops, with the iterate before it", () => {
    const { x, steps, stop } = solve({ ...diagonal([1, -1]), b: [1, 2] });
    expect([x, steps, stop]).toEqual([[0, 0], 0, cgStops["negative-curvature"]]);
  });

  test("a short residual stops where it is asked for", () => {
    const { steps, stop } = solve({ ...laplacian(50, 1e-3), b: ones(50) }, { residualTolerance: 1e-10 });
    expect([steps, stop]).toEqual([25, cgStops.residual]);
  });
});

describe("O4 truncation", () => {
  const rising = Array.from({ length: 1000 }, (_, i) => i + 1);
  test.each([
    ["diag(1..1000)", { ...diagonal(rising), b: ones(1000) }, 54, -3.73596855781],
    ["diag(1..1000), preconditioned", { ...diagonal(rising), b: ones(1000), m: rising.map((d) => d ** 0.75) }, 14, -3.74273543024],
    ["Laplacian, n = 50", { ...laplacian(50, 1e-3), b: ones(50) }, 31, -4386.93587013],
    ["Laplacian, n = 200", { ...laplacian(200, 1e-3), b: ones(200) }, 64, -68794.1477575],
    ["Laplacian, n = 1000", { ...laplacian(1000, 1e-3), b: ones(1000) }, 50, -466457.932454],
  ] as const)("%s", (_, system, steps, phi) => {
    const solved = solve(system, { iterations: 100 });
    expect([solved.steps, solved.stop]).toEqual([steps, cgStops.progress]);
    near([solved.phi.at(-1)!], [phi]);
  });

  test("phi_i = -(1 - 0.9^i) stops at 57", () => {
    const { scalar } = inFloat64(decayingPhi());
    expect([scalar("cgSteps"), scalar("cgStop")]).toEqual([57, cgStops.progress]);
  });
});

describe("O5 a quadratic objective", () => {
  const { problem, inputs } = leastSquares([[1, 2], [3, 4], [5, 6]], [1, 2, 2], [0.3, -0.7]);
  const given = new Map([...inputs, ["w", exact([2], [0.3, -0.7])]]);
  const damped: Profile = { ...martens, rho: { ...martens.rho, damped: true } };
  test.each([
    [tiny, [-2 / 3, 11 / 12], 1 / 12, 1],
    [1, [0.421551724138, 0.048275862069], 0.3420938614744358, 1.014207062192542],
    [10, [0.63829787234, -0.198259187621], 0.6730187175678763, 1.0997734724236623],
  ] as const)("lambda = %s", (lambda, w, f, dampedRatio) => {
    const { records: [record], points: [point], state } = train(hessianFreeOf(problem, martens, lambda, 1), given);
    near([record!.loss, record!.newLoss, record!.rho, ...point!], [20.855, f, 1, ...w]);
    expect([record!.rate, record!.lambda]).toEqual([1, lambda * (2 / 3)]);
    if (lambda === tiny) near([state.scalar("model")], [1 / 12 - 20.855]);
    near([train(hessianFreeOf(problem, damped, lambda, 1), given).records[0]!.rho], [dampedRatio]);
  });
});

describe("O6 Rosenbrock", () => {
  const { problem, inputs } = rosenbrock();
  const given = new Map([...inputs, ["x", exact([1], [-1.2])]]);

  test("the published trajectory", () => {
    const { records, points } = train(hessianFreeOf(problem, martens, 1, 22), given);
    near(records.slice(0, 9).map(({ loss }) => loss), [12.1, 3.05877150802, 2.61435081362, 2.46804993222, 2.40124824619, 0.1728796688, 0.123873608206, 0.0601168567303, 0.0348483962449]);
    near(points[0]!, [-0.778663239075, 0.434447300771]);
    near(points[3]!, [0.346207174526, -0.089306828438]);
    // A record holds lambda behind the rule.
    near(records.slice(0, 5).map(({ lambda }) => lambda), [2 / 3, 1, 1.5, 2.25, 1.5]);
    near(records.slice(0, 5).map(({ rate }) => rate), [1, 0.512, 0.64, 1, 1]);
    near([records[0]!.rho, records[3]!.rho, records[5]!.rho], [0.859712, 0.0296339, 0.575932], 1e-6);
    expect(records.slice(1, 3).map(({ rho }) => rho)).toEqual([-Infinity, -Infinity]);
    expect(records.findIndex(({ newLoss }) => newLoss < 1e-20) + 1).toBe(21);
    records.slice(1).forEach(({ loss }, i) => near([records[i]!.newLoss], [loss], 1e-12));
  });

  test("one update less with damping in the ratio", () => {
    const { records } = train(hessianFreeOf(problem, { ...martens, rho: { ...martens.rho, damped: true } }, 1, 22), given);
    expect(records.findIndex(({ newLoss }) => newLoss < 1e-20) + 1).toBe(20);
  });

  test("the device text without damping: f rises to 1171.28, then (1, 1)", () => {
    const { records, points } = train(hessianFreeOf(problem, deviceText, tiny, 2), given);
    near(points[0]!, [1, -3.84]);
    near([records[0]!.loss, records[0]!.newLoss, records[1]!.loss, records[0]!.rho], [12.1, 1171.28, 1171.28, (1171.28 - 12.1) / -12.1]);
    near(points[1]!, [1, 1]);
    expect(records[1]!.newLoss).toBeLessThan(1e-18);
  });
});

test("O7 logistic regression by Newton's method", () => {
  const { problem, inputs } = logistic([[1, 0], [1, 1], [1, 2], [1, 3]], [0, 1, 0, 1]);
  const { records, points } = train(hessianFreeOf(problem, deviceText, tiny, 5), inputs);
  const w = [[-1.2, 0.8], [-1.355983434174, 0.903988956116], [-1.362266133262, 0.908177422175], [-1.362276393813, 0.908184262542]];
  w.forEach((point, i) => near(points[i]!, point));
  near(records.slice(0, 3).map(({ loss }) => loss), [4 * Math.LN2, 2.35259543947597, 2.34749401608339]);
  near([records[4]!.newLoss], [2.34748653512135]);
  near(records.slice(0, 4).map(({ gradientNorm }) => gradientNorm), [1, 9.57e-2, 3.57e-3, 5.81e-6], 5e-5);
  expect(records[4]!.gradientNorm).toBeLessThan(2e-11);
});

test("O9 the rule of Levenberg and Marquardt", () => {
  near(inFloat64(lambdas([0.9, 0.9, 0.5, 0.1, NaN, 0.25, 0.75])).numbers("seen"), [30, 20, 20, 30, 45, 45, 45]);
});

describe("O10 line search", () => {
  test("four reductions downhill", () => {
    const { scalar } = inFloat64(quarticSearch(-4));
    expect(scalar("tries")).toBe(4);
    near([scalar("rate"), scalar("value")], [0.4096, 0.16610071937679413]);
  });

  test("sixty tries uphill, then none", () => {
    const { scalar } = inFloat64(quarticSearch(4));
    expect([scalar("tries"), scalar("evaluations"), scalar("rate")]).toEqual([60, 60, 0]);
  });

  test("a loss that is not a number is refused", () => {
    expect(inFloat64(quarticSearch(NaN)).scalar("rate")).toBe(0);
  });
});

test("O11 the preconditioner", () => {
  // In float64: numbers that are no float32 come in from outside.
  near(inFloat64(preconditionerOf([1, 0.01, 0], 1)).numbers("m"), [1.681792830507, 1.007490663844, 1]);
});

describe("O12 counts", () => {
  const autoencoders = {
    curves: { widths: [784, 400, 200, 100, 50, 25, 6], parameters: 842_340, forward: 840_000, gradient: 2_206_400, product: 2_732_800 },
    mnist: { widths: [784, 1000, 500, 250, 30], parameters: 2_837_314, forward: 2_833_000, gradient: 7_715_000, product: 9_764_000 },
    faces: { widths: [625, 2000, 1000, 500, 30], parameters: 7_537_655, forward: 7_530_000, gradient: 21_340_000, product: 27_620_000 },
  };
  test.each(Object.entries(autoencoders))("%s", (_, { widths, parameters, forward, gradient, product }) => {
    const problem = autoencoder(widths);
    expect(layoutOf(problem).elements).toBe(parameters);
    const countsOf = (preconditioner: SquaresPlan | undefined): Record<string, number> => {
      const { graphs } = hessianFreeOf(problem, martens, 45, 1, { curvatureBatch: 2 * problem.microBatch, preconditioner });
      return Object.fromEntries(graphs.map((graph) => [graph.name, multiplications(graph) / problem.microBatch]));
    };
    const counts = countsOf(undefined);
    expect(counts).toMatchObject({ loss: forward, point: forward, backward: gradient - forward, product });
    expect(Object.keys(counts).filter((name) => counts[name]! > 0).toSorted()).toEqual(["backward", "loss", "point", "product"]);
    // Squares of single samples cost the contractions of the weights' gradients once more.
    expect(countsOf({ kind: "exact" })).toMatchObject({ loss: forward, point: forward, backward: gradient, product });
  });

  test("iterates are kept at steps ceil(5 * 1.3^j)", () => {
    const grid = [5, 7, 9, 11, 15, 19, 25, 32, 41, 54, 69, 90, 117, 152, 197, 256];
    const system = { ...diagonal(Array.from({ length: 300 }, (_, i) => 1 + i)), b: ones(300) };
    const never = { tolerance: -1, iterations: 256 };
    const { iterates, steps } = solve(system, never);
    expect(steps).toBe(256);
    expect(iterates).toHaveLength(grid.length);
    for (const j of [0, 1, 4, 9]) expect(iterates[j]).toEqual(solve(system, { ...never, iterations: grid[j]! }).x);
    expect(solve(system, { ...never, iterations: 30 }).iterates).toHaveLength(grid.filter((step) => step < 30).length + 1);
    expect(storedIterates({ iterations: 250, storeAt: "geometric" })).toBe(grid.filter((step) => step <= 250).length + 1);
    expect(solve(system, { ...never, iterations: 45, storeAt: "every-tenth" }).iterates).toHaveLength(5);
  });
});

/** Mirrored, untied; logistic everywhere but at the code. */
function autoencoder(half: readonly number[]): Problem {
  const microBatch = 2;
  const widths = [...half, ...half.toReversed().slice(1)];
  const b = new GraphBuilder();
  let h = b.input("x", { dtype: "f32", shape: [microBatch, widths[0]!] });
  const trained: string[] = [];
  for (let layer = 1; layer < widths.length; layer++) {
    const [fan, out] = [widths[layer - 1]!, widths[layer]!];
    const [w, bias] = [b.parameter(`w${layer}`, zerosOf([fan, out])), b.parameter(`b${layer}`, zerosOf([out]))];
    trained.push(`w${layer}`, `b${layer}`);
    const z = emit.add(b, b.apply("dot", [h, w], { x: "ni", w: "io", out: "no", k: "i" }), emit.spreadOver(b, bias, [microBatch, out], [0]));
    h = layer === widths.length - 1 || layer === half.length - 1 ? z : emit.unary(b, "logistic", z);
  }
  b.output("z", h);
  const scores = { dtype: "f32", shape: [microBatch, widths[0]!] } as const;
  const samples = ["x", "target"].map((name) => ({ name, type: scores, axis: 0 }));
  return { name: "autoencoder", network: b.build("autoencoder"), pieces: [{ output: "z", loss: binaryCrossEntropy(scores, scores) }], trained, samples, sampleCount: 8, microBatch };
}

/** Multiplications of all contractions. */
function multiplications(graph: Graph): number {
  return graph.nodes.reduce((total, node) => {
    if (node.op !== "dot") return total;
    const { x, w } = node.params as { readonly x: string; readonly w: string };
    const extents = new Map([x, w].flatMap((letters, operand) => [...letters].map((letter, axis) => [letter, node.inputs[operand]!.type.shape[axis]!] as const)));
    return total + [...extents.values()].reduce((product, extent) => product * extent, 1);
  }, 0);
}

test.each(["martens", "rnn", "device-text"])("O14 the trace of the main part, profile %s", (name) => {
  const { problem, inputs } = mlp({ widths: [3, 4, 2], samples: 12, microBatch: 4 });
  const outer = 3;
  const trace: string[] = [];
  const made = hessianFreeOf(problem, profileNamed(name), 1, outer, { gradientBatch: 12, curvatureBatch: 4 });
  const { records } = train(made, inputs, "float64", { step: ({ kind }) => trace.push(kind) });
  const names: Readonly<Record<string, string>> = { load: "IO", store: "IO", assign: "ASSIGN", estimate: "EST2", transfer: "XFER", update: "UPDATE", converge: "CONV" };
  // S2, which brings the program onto the device, is the device's.
  const wanted = ["IO", "ASSIGN", ...Array.from({ length: outer }, () => ["IO", "EST2", "XFER", "UPDATE", "IO", "CONV"]).flat()];
  expect(trace.map((kind) => names[kind])).toEqual(wanted);
  expect(wanted).toHaveLength(3 + 6 * outer - 1);
  expect(records).toHaveLength(outer);
});
