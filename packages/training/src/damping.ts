/** @file Routines of the damping submodule: the term lambda v, the rule that moves lambda, and the preconditioner. */
import { emit, type Reference } from "@systole/ir";
import { either, isNumber, less, not, set, times, when, write, type ProgramBuilder } from "./language.ts";
import { scaled, type Vectors } from "./vectors.ts";
import type { WeightDecay } from "./weightDecay.ts";

const boost = 3 / 2;
const drop = 2 / 3;
/** Ratios of the loss's change to the model's below and above which lambda moves. */
const poor = 1 / 4;
const good = 3 / 4;

/** Scalar `lambda` between the steps: ASSIGN writes it there, S6 reads it, the rule writes the new one. */
export function lambdaCell(builder: ProgramBuilder): Reference {
  return builder.tensor({ name: "lambda", kind: "state", type: { dtype: "f64", shape: [] }, place: "pinned" });
}

/** Routine `damping.rule`, by Levenberg and Marquardt: scalar `lambda` from scalar `rho`, and to `kept`. A ratio that is not a number counts as a bad one. */
export function dampingRule(builder: ProgramBuilder, kept: Reference): void {
  builder.routine("damping.rule", "damping", [
    when(either(less("rho", poor), not(isNumber("rho"))), [set("lambda", times("lambda", boost))], [when(less(good, "rho"), [set("lambda", times("lambda", drop))])]),
    write(kept, "lambda"),
  ]);
}

/** Routine `damping.term`: product += lambda direction. */
export function dampingTerm(builder: ProgramBuilder, vectors: Vectors, { direction, product }: { readonly direction: Reference; readonly product: Reference }): void {
  builder.routine("damping.term", "damping", vectors.apply("damping.term", { product, v: direction, lambda: { scalar: "lambda" } }, { product }, (b, { product: sum, v, lambda }) => ({ product: emit.add(b, sum!, scaled(b, lambda!, v!)) })));
}

/** Routine `damping.preconditioner`: (squares + lambda + decay)^0.75, where x^0.75 = sqrt(x) sqrt(sqrt(x)). */
export function preconditioner(builder: ProgramBuilder, vectors: Vectors, decay: WeightDecay, { squares, result }: { readonly squares: Reference; readonly result: Reference }): void {
  builder.routine("damping.preconditioner", "damping", vectors.apply("preconditioner", { squares, lambda: { scalar: "lambda" } }, { m: result }, (b, { squares: s, lambda }) => {
    const half = emit.unary(b, "sqrt", decay.onDiagonal(b, emit.add(b, s!, emit.spread(b, lambda!, s!.type.shape))));
    return { m: emit.mul(b, half, emit.unary(b, "sqrt", half)) };
  }));
}
