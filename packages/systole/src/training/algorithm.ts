/** @file From a problem and the options of a user to the program of an algorithm. An option that the algorithm does not have is refused, never ignored. */
import { fail } from "@systole/base";
import { recurrentHeads, structuralDamping, type LossPiece, type Program } from "@systole/ir";
import { adamDefaults, firstOrder, hessianFree, planSquares, profileNamed, sparseInitialisation, type JudgementOptions, type Problem, type Profile } from "@systole/training";
import type { Batches } from "./batches.ts";

export const optimizers = ["hessian-free", "sgd", "adam"] as const;
export type OptimizerName = (typeof optimizers)[number];

export interface AlgorithmOptions {
  readonly optimizer: OptimizerName;
  readonly profile?: string;
  /** Outer steps at most. */
  readonly iterations: number;
  readonly cgIterations?: number;
  readonly gradientBatch?: number;
  readonly curvatureBatch?: number;
  readonly microBatch?: number;
  readonly lambda?: number;
  /** Factor mu of the damping of recurrent networks' hidden values. */
  readonly structuralDamping?: number;
  readonly preconditioner?: boolean;
  readonly weightDecay?: number;
  readonly learningRate?: number;
  readonly momentum?: number;
  readonly gradientTolerance?: number;
  readonly progressTolerance?: number;
  readonly init?: "keep" | "sparse";
  readonly seed?: number;
}

const ofHessianFree = ["profile", "cgIterations", "curvatureBatch", "lambda", "structuralDamping", "preconditioner"] as const;

/** Options that only some algorithms have. */
const foreign: Readonly<Record<OptimizerName, readonly (keyof AlgorithmOptions)[]>> = {
  "hessian-free": ["learningRate", "momentum"], sgd: ofHessianFree, adam: [...ofHessianFree, "momentum"],
};

const defaultRates = { sgd: 0.1, adam: 0.001 } as const;
const defaultMomentum = 0.9;
const defaultGradientTolerance = 1e-10;

/** E0603 for an option of another algorithm. */
export function checkOptions(options: AlgorithmOptions): void {
  const other = foreign[options.optimizer].find((key) => options[key] !== undefined);
  if (other !== undefined) fail("E0603", `optimizer ${options.optimizer} has no option --${other.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
}

export function profileOf({ optimizer, profile }: AlgorithmOptions): Profile | undefined {
  return optimizer === "hessian-free" ? profileNamed(profile ?? "martens") : undefined;
}

/** The program, and the problem as it is trained. `divisor`: what the loss of a micro-batch is divided by. */
export function programOf(problem: Problem, divisor: number, batches: Batches, options: AlgorithmOptions): { readonly problem: Problem; readonly program: Program } {
  const seed = BigInt(options.seed ?? 0);
  const profile = profileOf(options);
  const initial = options.init === "sparse" ? sparse(problem, seed, profile?.name === "rnn") : problem;
  const wholeData = batches.gradientBatch === batches.sampleCount;
  const common: JudgementOptions = { iterations: options.iterations, gradientTolerance: options.gradientTolerance ?? defaultGradientTolerance, progressTolerance: options.progressTolerance ?? (wholeData ? 0 : -1) };
  const weightDecay = options.weightDecay ?? 0;
  if (options.optimizer !== "hessian-free") {
    const method = options.optimizer === "adam" ? adamDefaults : { kind: "sgd", momentum: options.momentum ?? defaultMomentum, nesterov: false } as const;
    return { problem: initial, program: firstOrder(initial, { ...common, method, learningRate: options.learningRate ?? defaultRates[options.optimizer], batch: batches.gradientBatch, weightDecay, seed }) };
  }
  const lambda = options.lambda ?? profile!.lambda;
  if (!(lambda > 0 && lambda < Infinity)) fail("E0603", `lambda is ${lambda}`, {}, ["It must be positive: the rule of Levenberg and Marquardt multiplies it, and 0 stays 0."]);
  const mu = options.structuralDamping;
  const damped = mu === undefined ? initial : withStructuralDamping(initial, divisor);
  return {
    problem: damped,
    program: hessianFree(damped, {
      ...common, profile: profile!, lambda, seed, weightDecay, cgIterations: options.cgIterations ?? profile!.cgIterations, gradientBatch: batches.gradientBatch, curvatureBatch: batches.curvatureBatch,
      preconditioner: options.preconditioner ?? profile!.preconditioner ? planSquares(initial) : undefined, structuralDamping: mu === undefined ? undefined : { mu, scaleInput: `${dampingPrefix}scale` },
    }),
  };
}

function sparse(problem: Problem, seed: bigint, recurrent: boolean): Problem {
  const drawn = sparseInitialisation(problem.network, problem.trained, seed, { recurrent });
  return { ...problem, network: { ...problem.network, parameters: problem.network.parameters.map((parameter) => ({ ...parameter, tensor: drawn.get(parameter.name) ?? parameter.tensor })) } };
}

const dampingPrefix = "structural-damping.";

/** The hidden values of recurrences as further outputs, damped with the divisor of the loss. */
function withStructuralDamping(problem: Problem, divisor: number): Problem {
  const { graph, heads } = recurrentHeads(problem.network);
  if (heads.length === 0) fail("E0603", "structural damping of a network without recurrence", {}, ["It damps hidden values of RNN, GRU and LSTM."]);
  const pieces = heads.map(({ output, type, kind }): LossPiece => ({ output, loss: structuralDamping({ scores: type, kind, divisor }), prefix: dampingPrefix, curvatureOnly: true }));
  return { ...problem, network: graph, pieces: [...problem.pieces, ...pieces] };
}
