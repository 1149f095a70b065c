/**
 * @file Preconditioned conjugate gradients for A x = -gradient as a routine of the conjugate-gradient submodule. A is whatever the routine
 * `multiply` does: from `direction` to `product`. Follows the published code of Martens 2010: phi(x) = x'Ax/2 - b'x is written down at each step, and
 * the run ends when its relative progress over the last k = max(10, ceil(i/10)) steps falls below 0.0005 k.
 */
import { emit, type Reference, type Statement } from "@systole/ir";
import { both, ceiling, copy, equals, greater, leave, less, loopWhile, minus, not, over, plus, read, root, set, times, when, write, type ProgramBuilder } from "./language.ts";
import { cgStops } from "./record.ts";
import { dot, scaled, type Vectors } from "./vectors.ts";

export interface ConjugateGradientOptions {
  readonly iterations: number;
  /** Progress tolerance of the truncation test, times k. */
  readonly tolerance: number;
  readonly storeAt: "geometric" | "every-tenth";
  readonly residualTolerance: number;
}

export interface ConjugateGradientVectors {
  /** Where the run begins and ends. */
  readonly x: Reference;
  /** Minus the right-hand side. */
  readonly gradient: Reference;
  /** Operand and result of `multiply`. */
  readonly direction: Reference;
  readonly product: Reference;
  /** Undefined: the identity. */
  readonly preconditioner: Reference | undefined;
  /** Iterates in rows, so many as `storedIterates` says. */
  readonly iterates: string | undefined;
}

const maximumOf = (iterations: number, storeAt: ConjugateGradientOptions["storeAt"]): number => {
  if (storeAt === "every-tenth") return Math.floor(iterations / 10);
  let count = 0;
  for (let power = 5; Math.ceil(power) <= iterations; power *= 1.3) count++;
  return count;
};

/** Rows that iterates can need: those of the grid, and the last one. */
export function storedIterates(options: Pick<ConjugateGradientOptions, "iterations" | "storeAt">): number {
  return maximumOf(options.iterations, options.storeAt) + 1;
}

/**
 * Routine `name`. Scalars: `cgSteps` and `cgStop` say how it ended, `stored` how many iterates there are, `phi` the last value.
 * `multiply` stands for statements that take `direction` to `product`.
 */
export function conjugateGradient(builder: ProgramBuilder, vectors: Vectors, name: string, v: ConjugateGradientVectors, multiply: readonly Statement[], options: ConjugateGradientOptions): void {
  const residual = builder.vector("residual", vectors.elements);
  const history = phiHistory(builder, options.iterations);
  const conditioned: Readonly<Record<string, Reference>> = v.preconditioner === undefined ? {} : { m: v.preconditioner };
  const storeNow: Statement[] = v.iterates === undefined ? [] : [copy(v.x, { tensor: v.iterates, row: "stored" }), set("stored", plus("stored", 1)), set("lastStored", "cgSteps")];
  const geometric = options.storeAt === "geometric";
  builder.routine(name, "conjugate-gradient", [
    set("cgSteps", 0), set("stored", 0), set("lastStored", -1), set("cgStop", cgStops.limit),
    set("storeAt", geometric ? 5 : 10), set("storePower", 5),
    copy(v.x, v.direction), ...multiply,
    ...vectors.apply("cg.begin", { product: v.product, gradient: v.gradient, x: v.x, ...conditioned }, { r: residual, p: v.direction }, (b, { product, gradient, x, m }) => {
      const r = emit.add(b, product!, gradient!);
      const y = m === undefined ? r : emit.div(b, r, m);
      return { r, p: emit.neg(b, y), ry: dot(b, r, y), phi2: dot(b, emit.add(b, r, gradient!), x!) };
    }, { ry: "ry", phi2: "phi" }),
    set("phi", times(0.5, "phi")), write({ ...history, row: "cgSteps" }, "phi"),
    loopWhile(less("cgSteps", options.iterations), [
      ...multiply,
      ...vectors.apply("cg.curvature", { p: v.direction, product: v.product }, {}, (b, { p, product }) => ({ pAp: dot(b, p!, product!) }), { pAp: "pAp" }),
      // Also where it is not a number. At the solution there is no direction to have a curvature.
      when(not(less(0, "pAp")), [set("cgStop", cgStops["negative-curvature"]), when(equals("ry", 0), [set("cgStop", cgStops.residual)]), leave]),
      set("alpha", over("ry", "pAp")),
      ...vectors.apply("cg.step", { x: v.x, r: residual, p: v.direction, product: v.product, gradient: v.gradient, ...conditioned, alpha: { scalar: "alpha" } }, { x: v.x, r: residual }, (b, { x, r, p, product, gradient, m, alpha }) => {
        const nextX = emit.add(b, x!, scaled(b, alpha!, p!));
        const nextR = emit.add(b, r!, scaled(b, alpha!, product!));
        return { x: nextX, r: nextR, ry: dot(b, nextR, m === undefined ? nextR : emit.div(b, nextR, m)), phi2: dot(b, emit.add(b, nextR, gradient!), nextX), ...(options.residualTolerance > 0 ? { rr: dot(b, nextR, nextR) } : {}) };
      }, { ry: "ryNext", phi2: "phi", ...(options.residualTolerance > 0 ? { rr: "rr" } : {}) }),
      set("cgSteps", plus("cgSteps", 1)), set("phi", times(0.5, "phi")), write({ ...history, row: "cgSteps" }, "phi"),
      set("beta", over("ryNext", "ry")), set("ry", "ryNext"),
      ...vectors.apply("cg.direction", { r: residual, p: v.direction, ...conditioned, beta: { scalar: "beta" } }, { p: v.direction }, (b, { r, p, m, beta }) => (
        { p: emit.sub(b, scaled(b, beta!, p!), m === undefined ? r! : emit.div(b, r!, m)) }
      )),
      ...(storeNow.length === 0 ? [] : [when(equals("cgSteps", "storeAt"), [
        ...storeNow,
        ...(geometric ? [set("storePower", times("storePower", 1.3)), set("storeAt", ceiling("storePower"))] : [set("storeAt", plus("storeAt", 10))]),
      ])]),
      ...truncation(history, options.tolerance),
      ...(options.residualTolerance > 0 ? [when(less(root("rr"), options.residualTolerance), [set("cgStop", cgStops.residual), leave])] : []),
    ], "cg"),
    ...(storeNow.length === 0 ? [] : [when(not(equals("lastStored", "cgSteps")), storeNow)]),
  ]);
}

/** Phi at each step, the first one included: what `truncation` looks back at. */
export function phiHistory(builder: ProgramBuilder, iterations: number): Reference {
  return builder.tensor({ name: "phi.history", kind: "state", type: { dtype: "f64", shape: [] }, rows: iterations + 1, place: "pinned" });
}

/** Leaves the loop where phi, at step `cgSteps`, made too little progress over the last k = max(10, ceil(cgSteps / 10)) steps: less than tolerance times k, relatively. */
export function truncation(history: Reference, tolerance: number): Statement[] {
  return [
    set("k", greater(10, ceiling(times(0.1, "cgSteps")))),
    when(less("k", "cgSteps"), [
      set("back", minus("cgSteps", "k")), read("phiBack", { ...history, row: "back" }),
      set("progress", over(minus("phi", "phiBack"), "phi")),
      when(both(less("phiBack", 0), less("progress", times(tolerance, "k"))), [set("cgStop", cgStops.progress), leave]),
    ]),
  ];
}
