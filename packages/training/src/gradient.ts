/** @file The routine of the gradient submodule: loss and gradient summed up over micro-batches, and the squares of single samples' gradients beside them. */
import { emit, type Reference, type Statement } from "@systole/ir";
import { less, loopWhile, over, plus, read, set, times, type Binding, type ProgramBuilder } from "./language.ts";
import { gradientOfSamples } from "./problem.ts";
import type { Samples } from "./samples.ts";
import { signsInput, signsTable, squaresOfSamples, type SquaresPlan } from "./squares.ts";
import type { Vectors } from "./vectors.ts";
import type { WeightDecay } from "./weightDecay.ts";

export interface Squares {
  readonly plan: SquaresPlan;
  /** The mean over samples of the squares of their gradients. */
  readonly mean: Reference;
  readonly seed: bigint;
}

export interface GradientRoutine {
  readonly theta: Reference;
  readonly gradient: Reference;
  readonly squares: Squares | undefined;
  /** From scalar `gradientFrom` on. */
  readonly microBatches: number;
}

/** Routine `gradient`: scalar `f`, the gradient and the squares at theta, means over the samples; weight decay included, but not in the squares. */
export function gradientRoutine(builder: ProgramBuilder, samples: Samples, vectors: Vectors, decay: WeightDecay, { theta, gradient, squares, microBatches }: GradientRoutine): void {
  const many = microBatches > 1;
  const graph = gradientOfSamples(samples.problem, many);
  builder.graph("gradient", () => graph);
  const cell = samples.cell("gradient.loss");
  const squaresRoutine = squares === undefined ? undefined : squaresStatements(builder, samples, vectors, theta, squares, microBatches);
  builder.routine("gradient", "gradient", [
    set("value", 0),
    ...(many ? vectors.zeroed("gradient.zero", { g: gradient }) : []),
    ...(squaresRoutine?.begin ?? []),
    ...samples.each("gradientFrom", microBatches, [
      builder.apply("gradient", samples.bind(graph, theta, samples.pieces(gradient, "a/")), { loss: cell, ...samples.pieces(gradient, "g/") }),
      ...(squaresRoutine?.add ?? []),
      read("one", cell), set("value", plus("value", "one")),
    ]),
    ...(many ? [set("value", over("value", microBatches))] : []),
    ...(many || decay.active ? vectors.apply("gradient.mean", { g: gradient, theta }, { g: gradient }, (b, { g, theta: at }) => (
      { g: decay.added(b, many ? emit.div(b, g!, emit.numberLike(b, g!, microBatches)) : g!, at!) }
    )) : []),
    ...(squaresRoutine?.end ?? []),
    ...decay.ofObjective(theta),
    set("f", "value"),
  ]);
}

interface SquaresStatements {
  readonly begin: readonly Statement[];
  /** For micro-batch `m`, by draws where the squares are not exact. */
  readonly add: readonly Statement[];
  readonly end: readonly Statement[];
}

function squaresStatements(builder: ProgramBuilder, samples: Samples, vectors: Vectors, theta: Reference, { plan, mean, seed }: Squares, count: number): SquaresStatements {
  const { problem, microBatches } = samples;
  const graph = squaresOfSamples(problem, plan);
  builder.graph("squares", () => graph);
  const draws = plan.kind === "signs" ? plan.draws : 1;
  const signs: Record<string, Binding> = {};
  if (plan.kind === "signs") {
    const rows = microBatches * draws;
    builder.tensor({ name: signsInput, kind: "constant", type: { dtype: "f32", shape: [problem.microBatch] }, rows, place: "external", initial: signsTable(rows, problem.microBatch, seed) });
    signs[signsInput] = { tensor: signsInput, row: "draw" };
  }
  const apply = builder.apply("squares", samples.bind(graph, theta, { ...samples.pieces(mean, "a/"), ...signs }), samples.pieces(mean, "q/"));
  const terms = count * draws;
  return {
    begin: vectors.zeroed("squares.zero", { s: mean }),
    add: plan.kind === "exact" ? [apply] : [set("draw", times("m", draws)), set("drawEnd", plus("draw", draws)), loopWhile(less("draw", "drawEnd"), [apply, set("draw", plus("draw", 1))])],
    end: terms === 1 ? [] : vectors.apply("squares.mean", { s: mean }, { s: mean }, (b, { s }) => ({ s: emit.div(b, s!, emit.numberLike(b, s!, terms)) })),
  };
}
