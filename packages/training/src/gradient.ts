/** @file The routine of the gradient submodule: loss and gradient summed up over micro-batches, and the squares of single samples' gradients beside them. */
import { emit, type Reference, type Statement } from "@systole/ir";
import { less, loopWhile, over, plus, read, set, times, type ProgramBuilder } from "./language.ts";
import { gradientOfSamples } from "./problem.ts";
import type { Samples } from "./samples.ts";
import { signsInput, signsTable, squaresByOwnGraph, type SquaresPlan } from "./squares.ts";
import type { Vectors } from "./vectors.ts";
import type { WeightDecay } from "./weightDecay.ts";

/** What is done for one micro-batch, whose number is the scalar `m`. */
export interface MicroGradient {
  /** Leave the loss here, add the gradient to what there is (where there is one micro-batch only: write it). */
  readonly loss: Reference;
  readonly each: readonly Statement[];
}

export interface GradientRoutine {
  readonly theta: Reference;
  readonly gradient: Reference;
  readonly micro: MicroGradient;
  readonly squares: SquaresStatements | undefined;
  /** From scalar `gradientFrom` on. */
  readonly microBatches: number;
}

/** Routine `gradient`: scalar `f`, the gradient and the squares at theta, means over the samples; weight decay included, but not in the squares. */
export function gradientRoutine(builder: ProgramBuilder, samples: Samples, vectors: Vectors, decay: WeightDecay, { theta, gradient, micro, squares, microBatches }: GradientRoutine): void {
  const many = microBatches > 1;
  builder.routine("gradient", "gradient", [
    set("value", 0),
    ...(many ? vectors.zeroed("gradient.zero", { g: gradient }) : []),
    ...(squares?.begin ?? []),
    ...samples.each("gradientFrom", microBatches, [...micro.each, ...(squares?.add ?? []), read("one", micro.loss), set("value", plus("value", "one"))]),
    ...(many ? [set("value", over("value", microBatches))] : []),
    ...(many || decay.active ? vectors.apply("gradient.mean", { g: gradient, theta }, { g: gradient }, (b, { g, theta: at }) => (
      { g: decay.added(b, many ? emit.div(b, g!, emit.numberLike(b, g!, microBatches)) : g!, at!) }
    )) : []),
    ...(squares?.end ?? []),
    ...decay.ofObjective(theta),
    set("f", "value"),
  ]);
}

/** Loss and gradient of a micro-batch by one graph. */
export function gradientInOne(builder: ProgramBuilder, samples: Samples, theta: Reference, gradient: Reference, many: boolean): MicroGradient {
  const graph = gradientOfSamples(samples.problem, many);
  builder.graph("gradient", () => graph);
  const loss = samples.cell("gradient.loss");
  return { loss, each: [builder.apply("gradient", samples.bind(graph, theta, samples.pieces(gradient, "a/")), { loss, ...samples.pieces(gradient, "g/") })] };
}

/** The mean over samples of the squares of their gradients, in `mean`. */
export interface SquaresStatements {
  readonly begin: readonly Statement[];
  /** For micro-batch `m`; nothing where the gradient's own graph adds them. */
  readonly add: readonly Statement[];
  readonly end: readonly Statement[];
}

export function squaresStatements(builder: ProgramBuilder, samples: Samples, vectors: Vectors, theta: Reference, { plan, mean, seed }: { readonly plan: SquaresPlan; readonly mean: Reference; readonly seed: bigint }, count: number): SquaresStatements {
  const draws = plan.kind === "signs" ? plan.draws : 1;
  const terms = count * draws;
  return {
    begin: vectors.zeroed("squares.zero", { s: mean }),
    add: plan.kind === "exact" ? [] : byDraws(builder, samples, theta, mean, draws, seed),
    end: terms === 1 ? [] : vectors.apply("squares.mean", { s: mean }, { s: mean }, (b, { s }) => ({ s: emit.div(b, s!, emit.numberLike(b, s!, terms)) })),
  };
}

function byDraws(builder: ProgramBuilder, samples: Samples, theta: Reference, mean: Reference, draws: number, seed: bigint): Statement[] {
  const { problem, microBatches } = samples;
  const graph = squaresByOwnGraph(problem);
  builder.graph("squares", () => graph);
  const rows = microBatches * draws;
  builder.tensor({ name: signsInput, kind: "constant", type: { dtype: "f32", shape: [problem.microBatch] }, rows, place: "external", initial: signsTable(rows, problem.microBatch, seed) });
  const apply = builder.apply("squares", samples.bind(graph, theta, { ...samples.pieces(mean, "a/"), [signsInput]: { tensor: signsInput, row: "draw" } }), samples.pieces(mean, "q/"));
  return [set("draw", times("m", draws)), set("drawEnd", plus("draw", draws)), loopWhile(less("draw", "drawEnd"), [apply, set("draw", plus("draw", 1))])];
}
