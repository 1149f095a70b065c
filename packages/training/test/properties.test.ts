/** @file Properties of the parts of Hessian-free training: squares, batches, seeds, weight decay, structural damping, and what a run leaves behind. */
import { tensor, type Tensor } from "@systole/base";
import { emit, evaluate, GraphBuilder, parseProgram, printProgram, squaredError, structuralDamping, type Program, type ProgramState, type Value } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { adamDefaults, firstOrder, gradientOfSamples, hessianFree, layoutOf, lossOfSamples, orderInput, planSquares, pointOfSamples, profileNamed, profileNames, squaresByOwnGraph, withExactSquares, type Layout, type Problem, type Profile } from "../src/index.ts";
import { leastSquares, mlp, rosenbrock } from "./problems.ts";
import { exact, hessianFreeOf, near, numbers, train } from "./support.ts";

const martens = profileNamed("martens");
const deviceText = profileNamed("device-text");
const size = { widths: [4, 5, 3], samples: 24 } as const;

/** Inputs of a graph over samples, for the reference evaluator: theta cut up under `prefix`. */
function pieces(layout: Layout, theta: readonly number[], prefix = ""): [string, Tensor][] {
  return layout.parts.map(({ name, offset, shape }) => [prefix + name, exact(shape, theta.slice(offset, offset + shape.reduce((a, b) => a * b, 1)))]);
}

function joined(layout: Layout, outputs: ReadonlyMap<string, Tensor>, prefix: string): number[] {
  return layout.parts.flatMap(({ name }) => Array.from(outputs.get(prefix + name)!.data as Float64Array));
}

const order = (...numbersOfSamples: number[]): [string, Tensor] => [orderInput, tensor("i32", [numbersOfSamples.length], numbersOfSamples)];
const startOf = (problem: Problem): number[] => layoutOf(problem).parts.flatMap(({ name }) => Array.from(problem.network.parameters.find((one) => one.name === name)!.tensor.data as Float32Array));

describe("squares", () => {
  const { problem, inputs } = mlp({ ...size, microBatch: 8 });
  const layout = layoutOf(problem);
  const theta = startOf(problem);
  const one = mlp({ ...size, microBatch: 1 }).problem;
  const graph = gradientOfSamples(one, false);
  const squares = new Array<number>(layout.elements).fill(0);
  for (let sample = 0; sample < size.samples; sample++) {
    const outputs = evaluate(graph, new Map([...inputs, order(sample), ...pieces(layout, theta)]), "float64");
    joined(layout, outputs, "g/").forEach((g, i) => (squares[i]! += (g * g) / size.samples));
  }

  test("exact: the mean of the squares, sample by sample", () => {
    const { state } = train(hessianFreeOf(problem, martens, 1, 1, { preconditioner: { kind: "exact" } }), inputs);
    near(numbers(state, "squares"), squares, 1e-12);
  });

  test("the plan: exact, signs where a weight is used twice, none where samples are not the first axis of the scores, or in a recurrence", () => {
    const twice = (scores: readonly number[], recurrent = false): Problem => {
      const b = new GraphBuilder();
      const w = b.parameter("w", tensor("f32", [2, 2], [1, 2, 3, 4]));
      const layer = (h: Value): Value => emit.unary(b, "tanh", b.apply("dot", [h, w], { x: "ni", w: "io", out: "no", k: "i" }));
      const first = layer(b.input("x", { dtype: "f32", shape: [3, 2] }));
      const body = new GraphBuilder();
      body.output("h", emit.unary(body, "tanh", body.input("h", { dtype: "f32", shape: [3, 2] })));
      const second = recurrent ? b.apply("scan", [first], { body: body.build("step"), length: 2, reverse: false, consts: 0, carries: 1 }) : first;
      b.output("z", emit.reshapeTo(b, layer(second), scores));
      return { ...one, network: b.build("twice"), trained: ["w"], pieces: [{ output: "z", loss: squaredError({ dtype: "f32", shape: scores }) }], sampleCount: 3, microBatch: 3 };
    };
    expect([problem, twice([3, 2]), twice([1, 6]), twice([3, 2], true)].map(planSquares)).toEqual([{ kind: "exact" }, { kind: "signs", draws: 4 }, undefined, undefined]);
    expect(() => squaresByOwnGraph(twice([1, 6]))).toThrow(/E0208/);
    expect(() => withExactSquares(twice([3, 2]), gradientOfSamples(twice([3, 2]), false))).toThrow(/E0208/);
  });

  test("signs: closer with more draws", () => {
    const away = (draws: number): number => {
      const { state } = train(hessianFreeOf(problem, deviceText, 1e6, 1, { preconditioner: { kind: "signs", draws }, cgIterations: 1 }), inputs);
      const found = numbers(state, "squares");
      return Math.hypot(...found.map((q, i) => q - squares[i]!)) / Math.hypot(...squares);
    };
    const [few, many] = [away(4), away(300)];
    expect(many).toBeLessThan(0.1);
    expect(many).toBeLessThan(few / 3);
  });

  test("signs: the product of one draw's gradient with itself", () => {
    const graphOfOne = squaresByOwnGraph(one);
    const zeros = layout.parts.map(({ name, shape }): [string, Tensor] => [`a/${name}`, exact(shape, new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0))]);
    const total = new Array<number>(layout.elements).fill(0);
    for (let sample = 0; sample < size.samples; sample++) {
      const outputs = evaluate(graphOfOne, new Map([...inputs, order(sample), ["signs", tensor("f32", [1], [sample % 2 === 0 ? 1 : -1])], ...zeros, ...pieces(layout, theta)]), "float64");
      joined(layout, outputs, "q/").forEach((q, i) => (total[i]! += q / size.samples));
    }
    near(total, squares, 1e-12);
  });
});

describe("batches", () => {
  test.each(profileNames)("micro-batches add up to one batch, profile %s", (name) => {
    const run = (microBatch: number) => {
      const { problem, inputs } = mlp({ ...size, microBatch });
      return train(hessianFreeOf(problem, profileNamed(name), 1, 3, { weightDecay: 2 ** -8, preconditioner: profileNamed(name).preconditioner ? { kind: "exact" } : undefined }), inputs);
    };
    const [whole, parts] = [run(24), run(6)];
    near(parts.points.flat(), whole.points.flat(), 1e-8);
    near(parts.records.map(({ loss }) => loss), whole.records.map(({ loss }) => loss), 1e-10);
  });

  test("the same seed gives the same bits, another seed does not", () => {
    const { problem, inputs } = mlp({ ...size, microBatch: 6 });
    const run = (seed: bigint): unknown => {
      const { records, points } = train(hessianFreeOf(problem, martens, 1, 3, { gradientBatch: 12, curvatureBatch: 6, seed, preconditioner: { kind: "signs", draws: 2 } }), inputs, "device");
      return { records, points };
    };
    expect(run(5n)).toEqual(run(5n));
    expect(run(5n)).not.toEqual(run(6n));
  });

  test("batches move round the data", () => {
    const { problem, inputs } = mlp({ ...size, microBatch: 6 });
    const seen: number[][] = [];
    const program = hessianFreeOf(problem, martens, 1, 4, { gradientBatch: 12, curvatureBatch: 18 });
    train(program, inputs, "float64", { step: (step, state) => { if (step.kind === "estimate") seen.push([state.scalar("gradientFrom"), state.scalar("curvatureFrom")]); } });
    expect(seen).toEqual([[0, 0], [2, 3], [0, 2], [2, 1]]);
  });

  test.each([
    [{ gradientBatch: 48 }, /E0603.*gradient batch has 48 samples, the data 24/],
    [{ curvatureBatch: 7 }, /E0603.*curvature batch of 7 samples is no multiple of the micro-batch of 6/],
    [{ gradientBatch: 0 }, /E0603/],
    [{ gradientBatch: 12, curvatureBatch: 6, profile: profileNamed("rnn") }, /E0603.*profile rnn takes 3 batches of 6 samples out of a gradient batch of 12/],
  ])("%j is refused", (more, message) => {
    const { problem } = mlp({ ...size, microBatch: 6 });
    expect(() => hessianFreeOf(problem, martens, 1, 1, more)).toThrow(message);
  });
});

describe("weight decay is in everything, for rank 2 and more", () => {
  const decay = 2 ** -5;
  const { problem, inputs } = mlp({ ...size, microBatch: 24 });
  const layout = layoutOf(problem);
  const theta = startOf(problem);
  const decays = (i: number): number => (i < layout.decaying ? decay : 0);
  const run = (weightDecay: number, profile: Profile = martens) => train(hessianFreeOf(problem, profile, 1, 1, { weightDecay, preconditioner: { kind: "exact" } }), inputs);
  const [plain, decayed] = [run(0), run(decay)];
  const lossAt = (point: readonly number[]): number => Number(evaluate(lossOfSamples(problem), new Map([...inputs, ...pieces(layout, point)]), "float64").get("loss")!.data[0]);
  const penalty = (point: readonly number[]): number => point.reduce((total, x, i) => total + (decays(i) / 2) * x * x, 0);
  const step = numbers(decayed.state, "step");

  test("only weights decay", () => {
    expect(layout.parts.filter(({ offset }) => offset < layout.decaying).map(({ name }) => name)).toEqual(["w1", "w2"]);
    expect(layout.decaying).toBe(4 * 5 + 5 * 3);
  });

  test("in the loss before and behind the step, and on the curvature samples", () => {
    const [record] = decayed.records;
    near([record!.loss, record!.curvatureLoss, record!.newLoss], [lossAt(theta) + penalty(theta), lossAt(theta) + penalty(theta), lossAt(decayed.points[0]!) + penalty(decayed.points[0]!)], 1e-12);
  });

  test("in the gradient", () => {
    near(numbers(decayed.state, "gradient"), numbers(plain.state, "gradient").map((g, i) => g + decays(i) * theta[i]!), 1e-12);
  });

  test("in the product", () => {
    const { point, product } = pointOfSamples(problem, { addGradient: false, addProduct: false });
    const kept = evaluate(point, new Map([...inputs, ...pieces(layout, theta)]), "float64");
    const outputs = evaluate(product, new Map([...inputs, ...kept, ...pieces(layout, theta), ...pieces(layout, step, "v/")]), "float64");
    near(numbers(decayed.state, "product"), joined(layout, outputs, "Gv/").map((x, i) => x + decays(i) * step[i]!), 1e-12);
  });

  test("in the preconditioner", () => {
    near(numbers(decayed.state, "preconditioner"), numbers(plain.state, "squares").map((q, i) => (q + 1 + decays(i)) ** 0.75), 1e-12);
  });

  test("in rho", () => {
    const { state, records } = decayed;
    const gradient = numbers(state, "gradient");
    const slope = step.reduce((total, s, i) => total + s * gradient[i]!, 0);
    const curve = numbers(state, "product").reduce((total, p, i) => total + p * step[i]!, 0);
    near([records[0]!.rho], [(records[0]!.newLoss - records[0]!.loss) / (slope + curve / 2)], 1e-10);
  });

  test("in the line search: what counts is the penalized loss", () => {
    const { state, records: [record] } = decayed;
    expect(record!.rate).toBeGreaterThan(0);
    expect(record!.newLoss).toBeLessThanOrEqual(record!.loss + 0.01 * record!.rate * state.scalar("slope"));
    expect(state.scalar("value")).toBe(record!.newLoss);
  });
});

describe("structural damping", () => {
  const [samples, inner] = [4, 3];
  const shape = [samples, inner];
  const { problem, inputs } = mlp({ widths: [2, inner, 2], samples, microBatch: samples });
  // The pre-activations of the hidden layer come out, as those of a recurrence would.
  const hidden = { name: "hidden", value: problem.network.nodes.find(({ op }) => op === "tanh")!.inputs[0]! };
  const bare: Problem = { ...problem, network: { ...problem.network, outputs: [...problem.network.outputs, hidden] } };
  const piece = { output: "hidden", loss: structuralDamping({ scores: { dtype: "f32", shape }, kind: "tanh", divisor: samples }), prefix: "damping.", curvatureOnly: true };
  const damped: Problem = { ...bare, pieces: [...bare.pieces, piece] };
  const scaleInput = "damping.scale";
  const run = (mu: number | undefined, profile: Profile = martens, iterations = 2) => (
    mu === undefined ? train(hessianFreeOf(bare, profile, 1, iterations), inputs) : train(hessianFreeOf(damped, profile, 1, iterations, { structuralDamping: { mu, scaleInput } }), inputs)
  );

  test("mu = 0 changes no bit", () => {
    expect(run(0).points).toEqual(run(undefined).points);
    expect(run(0).records).toEqual(run(undefined).records);
  });

  test("neither loss nor gradient ever change, the step does", () => {
    const [without, little, much] = [run(undefined, martens, 1), run(1, martens, 1), run(100, martens, 1)];
    for (const one of [little, much]) {
      expect(numbers(one.state, "gradient")).toEqual(numbers(without.state, "gradient"));
      expect(one.records[0]!.loss).toBe(without.records[0]!.loss);
    }
    const norm = ({ state }: typeof little): number => Math.hypot(...numbers(state, "delta"));
    expect(norm(little)).toBeLessThan(norm(without));
    expect(norm(much)).toBeLessThan(norm(little));
  });

  test("the ratio's model has the damping only where the profile says so", () => {
    const damping = { ...martens, rho: { ...martens.rho, damped: true } };
    const [undampedModel, dampedModel] = [run(10, martens, 1), run(10, damping, 1)];
    const step = numbers(undampedModel.state, "step");
    // G s of the bare network at the same step.
    const layout = layoutOf(bare);
    const { point, product } = pointOfSamples(bare, { addGradient: false, addProduct: false });
    const kept = evaluate(point, new Map([...inputs, ...pieces(layout, startOf(bare))]), "float64");
    const gs = joined(layout, evaluate(product, new Map([...inputs, ...kept, ...pieces(layout, startOf(bare)), ...pieces(layout, step, "v/")]), "float64"), "Gv/");
    near([undampedModel.state.scalar("curve")], [gs.reduce((total, x, i) => total + x * step[i]!, 0)], 1e-12);
    expect(dampedModel.state.scalar("curve")).toBeGreaterThan(undampedModel.state.scalar("curve"));
  });
});

describe("each step of the main part is needed", () => {
  const { problem, inputs } = mlp({ ...size, microBatch: 6 });
  const theta0 = startOf(problem).map(Math.fround);
  const common = { weightDecay: 0, gradientTolerance: 0, progressTolerance: -1, seed: 1n, iterations: 2 };
  const programs: Readonly<Record<string, Program>> = {
    ...Object.fromEntries(profileNames.map((name) => [name, hessianFreeOf(problem, profileNamed(name), 1, 2, { gradientBatch: 12, curvatureBatch: 6, profile: { ...profileNamed(name), curvatureInGradient: false } })])),
    sgd: firstOrder(problem, { ...common, method: { kind: "sgd", momentum: 0.9, nesterov: false }, learningRate: 0.1, batch: 12 }),
    adam: firstOrder(problem, { ...common, method: adamDefaults, learningRate: 0.1, batch: 12 }),
  };
  /** The program without one step; `converge` still goes back to S5. */
  const without = (program: Program, at: number): Program => ({
    ...program, main: program.main.filter((_, i) => i !== at).map((step) => (step.kind === "converge" ? { ...step, back: at < step.back ? step.back - 1 : step.back } : step)),
  });
  const all = Object.keys(programs);

  test.each(all)("%s without S3 or S4 reads what was never written", (name) => {
    for (const at of [0, 1]) expect(() => train(without(programs[name]!, at), inputs)).toThrow(/E0501.*before it was/);
  });

  test.each(all)("%s without S5 does not see what is written into theta", (name) => {
    const changed = (program: Program): readonly number[] => {
      let judged = 0;
      const observer = { step: ({ kind }: { readonly kind: string }, state: ProgramState) => {
        if (kind === "converge" && judged++ === 0) state.write({ tensor: "theta" }, Float64Array.from(theta0, (x) => x + 1));
      } };
      return numbers(train(program, inputs, "float64", observer).state, "theta");
    };
    const plain = (program: Program): readonly number[] => numbers(train(program, inputs).state, "theta");
    expect(changed(programs[name]!)).not.toEqual(plain(programs[name]!));
    expect(changed(without(programs[name]!, 2))).toEqual(plain(without(programs[name]!, 2)));
  });

  test.each(all)("%s without S6, S7 or S8 leaves theta as it is, without S9 the one in external memory", (name) => {
    for (const at of [3, 4, 5, 6]) expect(numbers(train(without(programs[name]!, at), inputs).state, "theta")).toEqual(theta0);
    expect(numbers(train(programs[name]!, inputs).state, "theta")).not.toEqual(theta0);
  });

  test.each(all)("%s without S10 does one outer step and writes no record", (name) => {
    expect(train(without(programs[name]!, 7), inputs).records).toEqual([]);
  });
});

describe("what stops a run", () => {
  const { problem, inputs } = rosenbrock();
  const reasonsOf = (program: Program, given: ReadonlyMap<string, Tensor> = inputs): number[] => train(program, given).records.map(({ reason }) => reason);

  test("at an exact minimum, before lambda runs away", () => {
    const { records, points } = train(hessianFreeOf(problem, martens, 1, 100), new Map([...inputs, ["x", exact([1], [1])]]));
    expect(records.map(({ reason, rate, lambda, cgStop, loss, newLoss }) => ({ reason, rate, lambda, cgStop, loss, newLoss }))).toEqual([{ reason: 1, rate: 0, lambda: 1, cgStop: 0, loss: 0, newLoss: 0 }]);
    expect(points).toEqual([[1, 1]]);
  });

  test("relative progress, the limit, damping that is not positive", () => {
    expect(reasonsOf(hessianFreeOf(problem, martens, 1, 100, { progressTolerance: 0.05 })).at(-1)).toBe(2);
    expect(reasonsOf(hessianFreeOf(problem, martens, 1, 3))).toEqual([0, 0, 3]);
    expect(reasonsOf(hessianFreeOf(problem, martens, 0, 3))).toEqual([6]);
  });

  test.each(profileNames)("at a minimum that float32 cannot hit, before rho and lambda become random, profile %s", (name) => {
    const { problem: square, inputs: given } = leastSquares([[1, 2], [3, 4], [5, 6]], [1, 2, 2], [0.3, -0.7]);
    const { records, points } = train(hessianFreeOf(square, profileNamed(name), 1, 100, { progressTolerance: 0 }), given, "device");
    expect(records.map(({ reason }) => reason)).toEqual([...records.slice(1).map(() => 0), 2]);
    near(points.at(-1)!, [-2 / 3, 11 / 12], 1e-4);
    records.slice(0, -1).forEach(({ rho }) => expect(rho).toBeGreaterThan(0.5));
  });

  test("data that are no numbers end the run at once, with the parameters as they were", () => {
    const bad = new Map([["target", tensor("f32", [1, 2], [NaN, 0])]]);
    for (const name of profileNames) {
      const { records, points } = train(hessianFreeOf(problem, profileNamed(name), 1, 5), bad);
      expect(records.map(({ reason }) => reason)).toEqual([5]);
      expect(points[0]).toEqual([Math.fround(-1.2), 1]);
    }
  });

  test("no profile steps to where the loss is not a number", () => {
    // sqrt(w) + 1 from w = 4: the whole step goes to a negative number.
    const b = new GraphBuilder();
    const w = b.parameter("w", tensor("f32", [1, 1], [4]));
    b.output("r", b.apply("sub", [b.apply("sqrt", [w], {}), b.constant(tensor("f32", [1, 1], [-1]))], {}));
    const root: Problem = { ...problem, name: "root", network: b.build("root"), pieces: [{ output: "r", loss: squaredError({ dtype: "f32", shape: [1, 1] }) }], trained: ["w"], samples: [{ name: "target", type: { dtype: "f32", shape: [1, 1] }, axis: 0 }] };
    const { records, points } = train(hessianFreeOf(root, deviceText, 1e-6, 1), new Map([["target", tensor("f32", [1, 1], [0])]]));
    expect(records[0]).toMatchObject({ rate: 0, newLoss: records[0]!.loss, stepNorm: 0, lambda: 1.5e-6 });
    expect(points).toEqual([[4]]);
  });
});

describe("the text form of training programs", () => {
  const { problem } = mlp({ ...size, microBatch: 6 });
  const common = { iterations: 2, gradientTolerance: 0, progressTolerance: 0, seed: 3n, weightDecay: 0.01 };
  const programs: Readonly<Record<string, () => Program>> = {
    ...Object.fromEntries(profileNames.map((name) => [name, () => hessianFreeOf(problem, profileNamed(name), 1, 2, { weightDecay: 0.01, preconditioner: { kind: "signs", draws: 2 } })])),
    exact: () => hessianFree(problem, { ...common, profile: martens, lambda: 45, cgIterations: 10, gradientBatch: 12, curvatureBatch: 6, preconditioner: { kind: "exact" }, structuralDamping: undefined }),
    sgd: () => firstOrder(problem, { ...common, method: { kind: "sgd", momentum: 0.9, nesterov: true }, learningRate: 0.1, batch: 6 }),
    adam: () => firstOrder(problem, { ...common, method: { kind: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, learningRate: 0.1, batch: 6 }),
    rosenbrock: () => hessianFreeOf(rosenbrock().problem, deviceText, 1, 2),
  };
  test.each(Object.keys(programs))("%s reads back", (name) => {
    const program = programs[name]!();
    const text = printProgram(program);
    expect(printProgram(parseProgram(text))).toBe(text);
    expect(parseProgram(text)).toEqual(program);
  });

  test("for people", () => {
    const routine = (program: Program, name: string): string => new RegExp(`^  routine ${name} [^]*?^  }`, "m").exec(printProgram(program))![0];
    expect(routine(programs["martens"]!(), "damping.rule")).toMatchInlineSnapshot(`
      "  routine damping.rule damping {
          if max(lt(rho, 0.25), eq(eq(rho, rho), 0)) {
            lambda = mul(lambda, 1.5)
          } else {
            if lt(0.75, rho) {
              lambda = mul(lambda, 0.6666666666666666)
            }
          }
          write lambda = lambda
        }"
    `);
    expect(routine(programs["sgd"]!(), "update")).toMatchInlineSnapshot(`
      "  routine update conjugate-gradient {
          apply "gradient.norm" (g=gradient) -> (squares=gradient.norm.squares)
          gg = sum gradient.norm.squares
          gradientNorm = sqrt(gg)
          rate = 0
          stepNorm = 0
          copy work -> next
          if mul(lt(0, gradientNorm), lt(gradientNorm, inf)) {
            apply "step" (g=gradient, work=work, velocity=velocity, learningRate=scalar learningRate, momentum=scalar momentum) -> (velocity=velocity, next=next, length2=step.length2)
            length2 = sum step.length2
            stepNorm = sqrt(length2)
            rate = 1
            if eq(eq(sub(stepNorm, stepNorm), 0), 0) {
              copy work -> next
              rate = 0
            }
          }
        }"
    `);
    expect(routine(programs["martens"]!(), "line-search")).toMatchInlineSnapshot(`
      "  routine line-search conjugate-gradient {
          fSearch = f
          value = fBack
          rate = 1
          tries = 0
          loop "line-search" while eq(le(value, add(fSearch, mul(rate, mul(0.01, slope)))), 0) {
            tries = add(tries, 1)
            if le(60, tries) {
              rate = 0
              break
            }
            rate = mul(rate, 0.8)
            apply "advance.rate" (work=work, step=step, scale=scalar rate) -> (trial=trial)
            objectiveFrom = gradientFrom
            objectiveCount = 4
            call objective
          }
        }"
    `);
  });
});
