/**
 * @file Stochastic gradient descent with momentum, and Adam, as programs of the same steps and records as Hessian-free training. Mini-batches go through the
 * shuffled samples one behind the other; weight decay is part of the loss.
 */
import { emit, type GraphBuilder, type Program, type Reference, type ScalarExpression, type Statement, type Value } from "@systole/ir";
import { gradientInOne, gradientRoutine } from "./gradient.ts";
import { judgement, judgementState, type JudgementOptions } from "./judgement.ts";
import { both, call, copy, isFinite, less, minus, not, over, ProgramBuilder, root, set, times, when, type Binding } from "./language.ts";
import type { Problem } from "./problem.ts";
import { Samples, tensorNames } from "./samples.ts";
import { trainingProgram } from "./steps.ts";
import { dot, scaled, Vectors } from "./vectors.ts";
import { WeightDecay } from "./weightDecay.ts";

/** Sutskever et al., On the importance of initialization and momentum in deep learning (ICML 2013). */
export interface Momentum {
  readonly kind: "sgd";
  readonly momentum: number;
  readonly nesterov: boolean;
}

/** Kingma and Ba, Adam: a method for stochastic optimization (ICLR 2015). */
export interface Adam {
  readonly kind: "adam";
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

export interface FirstOrderOptions extends JudgementOptions {
  readonly method: Momentum | Adam;
  readonly learningRate: number;
  /** Samples of a step, a multiple of the micro-batch. */
  readonly batch: number;
  readonly weightDecay: number;
  readonly seed: bigint;
}

export const adamDefaults = { kind: "adam", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const satisfies Adam;

/** How a method turns a gradient into a step. Vectors of its memory begin at 0. */
interface Rule {
  readonly memory: readonly string[];
  /** Scalars, and what they begin with. */
  readonly scalars: Readonly<Record<string, number>>;
  /** Before each step. */
  readonly prepare: readonly Statement[];
  /** Scalars that `step` reads. */
  readonly reads: readonly string[];
  /** The memory's new vectors and `step`, of the gradient `g`, the memory and the scalars. */
  readonly step: (b: GraphBuilder, v: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>;
}

/** v' = momentum v - rate g; the step is v', or with Nesterov's look ahead momentum v' - rate g. */
function momentumRule({ momentum, nesterov }: Momentum, learningRate: number): Rule {
  return {
    memory: ["velocity"], scalars: { learningRate, momentum }, prepare: [], reads: ["learningRate", "momentum"],
    step: (b, { g, velocity, learningRate: rate, momentum: m }) => {
      const pull = scaled(b, rate!, g!);
      const next = emit.sub(b, scaled(b, m!, velocity!), pull);
      return { velocity: next, step: nesterov ? emit.sub(b, scaled(b, m!, next), pull) : next };
    },
  };
}

/** Means of g and g^2, each divided by 1 - beta^t: `power1` and `power2` are the betas' powers. */
function adamRule({ beta1, beta2, epsilon }: Adam, learningRate: number): Rule {
  const rest = (beta: ScalarExpression): ScalarExpression => minus(1, beta);
  return {
    memory: ["mean", "square"], scalars: { learningRate, beta1, beta2, power1: 1, power2: 1 },
    prepare: [
      set("power1", times("power1", "beta1")), set("power2", times("power2", "beta2")), set("rest1", rest("beta1")), set("rest2", rest("beta2")),
      set("rateNow", over("learningRate", rest("power1"))), set("squareNow", over(1, rest("power2"))),
    ],
    reads: ["beta1", "beta2", "rest1", "rest2", "rateNow", "squareNow"],
    step: (b, { g, mean, square, beta1: b1, beta2: b2, rest1, rest2, rateNow, squareNow }) => {
      const nextMean = emit.add(b, scaled(b, b1!, mean!), scaled(b, rest1!, g!));
      const nextSquare = emit.add(b, scaled(b, b2!, square!), scaled(b, rest2!, emit.mul(b, g!, g!)));
      const length = emit.add(b, emit.unary(b, "sqrt", scaled(b, squareNow!, nextSquare)), emit.numberLike(b, g!, epsilon));
      return { mean: nextMean, square: nextSquare, step: emit.neg(b, emit.div(b, scaled(b, rateNow!, nextMean), length)) };
    },
  };
}

export function firstOrder(problem: Problem, options: FirstOrderOptions): Program {
  const { method, learningRate, gradientTolerance } = options;
  const b = new ProgramBuilder();
  const samples = new Samples(b, problem, options.seed);
  const { layout } = samples;
  const vectors = new Vectors(b, layout.elements);
  const decay = new WeightDecay(vectors, layout, options.weightDecay);
  const microBatches = samples.countOf("gradient", options.batch);
  const rule = method.kind === "sgd" ? momentumRule(method, learningRate) : adamRule(method, learningRate);
  const vector = (name: string): Reference => b.vector(name, layout.elements);
  const [work, next, estimate, gradient] = [tensorNames.work, tensorNames.next, tensorNames.gradientEstimate, tensorNames.gradient].map(vector) as [Reference, Reference, Reference, Reference];
  const memory = Object.fromEntries(rule.memory.map((name) => [name, vector(name)]));
  const scalars: Readonly<Record<string, Binding>> = Object.fromEntries(rule.reads.map((scalar) => [scalar, { scalar }]));

  gradientRoutine(b, samples, vectors, decay, { theta: work, gradient: estimate, micro: gradientInOne(b, samples, work, estimate, microBatches > 1), squares: undefined, microBatches });
  b.routine("assign", "control", [
    ...judgementState, set("gradientFrom", 0),
    // The loss behind a step is not known: it would cost half as much as the step.
    set("newLoss", NaN), ...Object.entries(rule.scalars).map(([name, value]) => set(name, value)),
    ...vectors.zeroed("zero", { ...memory, gradient, estimate }), copy(work, next),
  ]);
  b.routine("estimate", "gradient", [call("gradient")]);
  b.routine("transfer", "control", [copy(estimate, gradient)]);
  b.routine("update", "conjugate-gradient", [
    ...vectors.apply("gradient.norm", { g: gradient }, {}, (g, { g: x }) => ({ squares: dot(g, x!, x!) }), { squares: "gg" }),
    set("gradientNorm", root("gg")), set("rate", 0), set("stepNorm", 0),
    copy(work, next),
    // A gradient that is not a number makes no step.
    when(both(less(gradientTolerance, "gradientNorm"), less("gradientNorm", Infinity)), [
      ...rule.prepare,
      ...vectors.apply("step", { g: gradient, work, ...memory, ...scalars }, { ...memory, next }, (g, v) => {
        const { step, ...kept } = rule.step(g, v);
        return { ...kept, next: emit.add(g, v["work"]!, step!), length2: dot(g, step!, step!) };
      }, { length2: "length2" }),
      set("stepNorm", root("length2")), set("rate", 1),
      // The judgement ends the program here, with the parameters as they were.
      when(not(isFinite("stepNorm")), [copy(work, next), set("rate", 0)]),
    ]),
  ]);
  judgement(b, options, { moves: samples.moved("gradientFrom", microBatches), damped: false });
  return trainingProgram(b, `${problem.name}.${method.kind}`);
}
