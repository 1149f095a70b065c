/**
 * @file Hessian-free training as a program of the steps S1..S10 of the device text. Submodules: loss and gradient (52), damping and its rule (53),
 * Gauss-Newton products at a fixed point (54), conjugate gradients, backtracking, line search (55), judgement (51).
 *
 * A step solves (G + decay + lambda) delta = -gradient; G is the Gauss-Newton matrix on the curvature samples. The vectors of the
 * estimate are made by S6 and handed to the update by S7, as the text has it.
 */
import { fail } from "@systole/base";
import { emit, mapGraphs, optimizeTrainable, verifyProgram, type Program, type Reference, type Statement } from "@systole/ir";
import { conjugateGradient, storedIterates } from "./conjugateGradient.ts";
import { judgement, type JudgementOptions } from "./judgement.ts";
import { atMost, both, call, copy, either, equals, isNumber, leave, less, loopWhile, minus, not, over, plus, ProgramBuilder, read, root, set, times, when, type Binding } from "./language.ts";
import { curvatureOfSamples, gradientOfSamples, type Problem } from "./problem.ts";
import type { BatchChoice, Profile } from "./profiles.ts";
import { Samples, tensorNames } from "./samples.ts";
import { signsInput, signsTable, squaresOfSamples, type SquaresPlan } from "./squares.ts";
import { dot, head, scaled, Vectors } from "./vectors.ts";

export interface HessianFreeOptions extends JudgementOptions {
  readonly profile: Profile;
  /** The damping that ASSIGN sets. */
  readonly lambda: number;
  readonly cgIterations: number;
  /** Samples, multiples of the micro-batch. */
  readonly gradientBatch: number;
  readonly curvatureBatch: number;
  readonly weightDecay: number;
  readonly preconditioner: SquaresPlan | undefined;
  /** Factor of structural damping; the pieces' scale is mu * lambda, given to inputs of this name. */
  readonly structuralDamping: { readonly mu: number; readonly scaleInput: string } | undefined;
  readonly seed: bigint;
}

/** The tolerance of the truncation test of conjugate gradients (Martens 2010: 0.0005). */
const truncationTolerance = 0.0005;
const boost = 3 / 2;
const drop = 2 / 3;

export function hessianFree(problem: Problem, options: HessianFreeOptions): Program {
  return new HessianFree(problem, options).build();
}

class HessianFree {
  readonly #b = new ProgramBuilder();
  readonly #o: HessianFreeOptions;
  readonly #profile: Profile;
  readonly #samples: Samples;
  readonly #v: Vectors;
  readonly #gradientCount: number;
  readonly #curvatureCount: number;
  readonly #work: Reference;
  readonly #next: Reference;
  readonly #trial: Reference;
  readonly #estimate: Reference;
  readonly #gradient: Reference;
  readonly #squaresEstimate: Reference | undefined;
  readonly #squares: Reference | undefined;
  readonly #delta: Reference;
  readonly #direction: Reference;
  readonly #product: Reference;
  readonly #step: Reference;

  constructor(problem: Problem, options: HessianFreeOptions) {
    this.#o = options;
    this.#profile = options.profile;
    const extras = new Map<string, Binding>(options.structuralDamping === undefined ? [] : [[options.structuralDamping.scaleInput, { scalar: "muLambda" }]]);
    this.#samples = new Samples(this.#b, problem, options.seed, extras);
    const { elements } = this.#samples.layout;
    this.#v = new Vectors(this.#b, elements);
    this.#gradientCount = this.#countOf("gradient", options.gradientBatch);
    this.#curvatureCount = this.#countOf("curvature", options.curvatureBatch);
    this.#checkOffsets();
    this.#work = this.#b.vector(tensorNames.work, elements);
    this.#next = this.#b.vector(tensorNames.next, elements);
    this.#trial = this.#b.vector("trial", elements);
    this.#estimate = this.#b.vector(tensorNames.gradientEstimate, elements);
    this.#gradient = this.#b.vector(tensorNames.gradient, elements);
    if (options.preconditioner !== undefined) {
      this.#squaresEstimate = this.#b.vector("squares.estimate", elements);
      this.#squares = this.#b.vector("squares", elements);
    }
    this.#delta = this.#b.vector("delta", elements);
    this.#direction = this.#b.vector("direction", elements);
    this.#product = this.#b.vector("product", elements);
    this.#step = options.profile.backtracking === undefined ? this.#delta : this.#b.vector("step", elements);
  }

  build(): Program {
    this.#gradientRoutine();
    this.#curvatureRoutines();
    this.#dampingRoutines();
    this.#conjugateGradientRoutines();
    this.#samples.objective("objective", this.#trial, this.#decayOfObjective(this.#trial));
    this.#b.routine("assign", "control", this.#assign());
    this.#b.routine("estimate", "gradient", [call("damping.prepare"), call("gradient"), call("curvature.point")]);
    this.#b.routine("transfer", "control", [
      copy(this.#estimate, this.#gradient),
      ...(this.#squares === undefined ? [] : [copy(this.#squaresEstimate!, this.#squares)]),
    ]);
    this.#b.routine("update", "conjugate-gradient", this.#update());
    judgement(this.#b, this.#o, { moves: this.#moveBatches(), checkLambda: true });
    const { theta } = tensorNames;
    const program = this.#b.build(`${this.#samples.problem.name}.hessian-free`, [
      { kind: "load", from: theta, to: tensorNames.work },
      { kind: "assign", routine: "assign" },
      { kind: "load", from: theta, to: tensorNames.work },
      { kind: "estimate", routine: "estimate" },
      { kind: "transfer", routine: "transfer" },
      { kind: "update", routine: "update" },
      { kind: "store", from: tensorNames.next, to: theta },
      { kind: "converge", routine: "judge", back: 2 },
    ]);
    return verifyProgram(mapGraphs(program, (graph) => optimizeTrainable(graph)));
  }

  // ---- batches -----------------------------------------------------------------------------------------------------

  #countOf(what: string, batch: number): number {
    const { microBatch, sampleCount } = this.#samples.problem;
    if (batch > sampleCount) fail("E0603", `the ${what} batch has ${batch} samples, the data ${sampleCount}`);
    if (batch < 1 || batch % microBatch !== 0) fail("E0603", `the ${what} batch of ${batch} samples is no multiple of the micro-batch of ${microBatch}`);
    return batch / microBatch;
  }

  #checkOffsets(): void {
    const { backtracking, lineSearch, rho } = this.#profile;
    const offsets = [backtracking, lineSearch?.on, rho.on].flatMap((choice) => (choice?.of === "curvature" ? [choice.offset] : []));
    const needed = Math.max(0, ...offsets);
    const free = Math.floor(this.#gradientCount / this.#curvatureCount) - 1;
    if (this.#profile.curvatureInGradient && needed > 0 && free < needed && this.#gradientCount > this.#curvatureCount) {
      fail("E0603", `profile ${this.#profile.name} takes ${needed + 1} batches of ${this.#o.curvatureBatch} samples out of a gradient batch of ${this.#o.gradientBatch}`);
    }
  }

  /** First micro-batch and number of micro-batches of a choice of samples, as statements for `objective`. */
  #objectiveOn(choice: BatchChoice): Statement[] {
    if (choice.of === "gradient") return [set("objectiveFrom", "gradientFrom"), set("objectiveCount", this.#gradientCount), call("objective")];
    const begin: Statement[] = choice.offset === 0 || this.#gradientCount === this.#curvatureCount
      ? [set("objectiveFrom", "curvatureFrom")]
      : [set("objectiveFrom", plus("curvatureFrom", choice.offset * this.#curvatureCount)), when(atMost(this.#samples.microBatches, "objectiveFrom"), [set("objectiveFrom", minus("objectiveFrom", this.#samples.microBatches))])];
    return [...begin, set("objectiveCount", this.#curvatureCount), call("objective")];
  }

  /** To the samples of the next outer step. */
  #moveBatches(): Statement[] {
    const rounds = this.#samples.microBatches;
    const move = (scalar: string, by: number): Statement[] => (by === rounds ? [] : [set(scalar, plus(scalar, by)), when(atMost(rounds, scalar), [set(scalar, minus(scalar, rounds))])]);
    const gradientMoves = move("gradientFrom", this.#gradientCount);
    return this.#profile.curvatureInGradient ? [...gradientMoves, set("curvatureFrom", "gradientFrom")] : [...gradientMoves, ...move("curvatureFrom", this.#curvatureCount)];
  }

  // ---- S4 ----------------------------------------------------------------------------------------------------------

  #assign(): Statement[] {
    const vectors: Record<string, Reference> = { delta: this.#delta, gradient: this.#gradient, estimate: this.#estimate };
    if (this.#squares !== undefined) Object.assign(vectors, { squares: this.#squares, squaresEstimate: this.#squaresEstimate! });
    return [
      set("lambda", this.#o.lambda), set("iteration", 0), set("gradientFrom", 0), set("curvatureFrom", 0), set("reason", 0), set("fPrevious", Infinity),
      set("f", 0), set("fChunk", 0), set("rho", 0), set("rate", 0), set("cgSteps", 0), set("stepNorm", 0), set("gradientNorm", 0),
      ...this.#v.apply("zero", { like: this.#work }, vectors, (b, { like }) => Object.fromEntries(Object.keys(vectors).map((name) => [name, emit.zeros(b, like!.type)]))),
      copy(this.#work, this.#next),
    ];
  }

  // ---- 52: loss and gradient ---------------------------------------------------------------------------------------

  #decays(): boolean {
    return this.#o.weightDecay > 0 && this.#samples.layout.decaying > 0;
  }

  /** value += decay / 2 |theta|^2 over weights of rank 2 and more. */
  #decayOfObjective(theta: Reference): Statement[] {
    if (!this.#decays()) return [];
    const { decaying } = this.#samples.layout;
    return [
      ...this.#v.apply(`decay.${theta.tensor}`, { theta }, {}, (b, { theta: t }) => ({ squares: dot(b, head(b, t!, decaying), t!) }), { squares: "decaySquares" }),
      set("value", plus("value", times(this.#o.weightDecay / 2, "decaySquares"))),
    ];
  }

  #gradientRoutine(): void {
    const { problem } = this.#samples;
    const many = this.#gradientCount > 1;
    const graph = gradientOfSamples(problem, many);
    this.#b.graph("gradient", () => graph);
    const cell = this.#samples.cell("gradient.loss");
    const estimate = this.#samples.pieces(this.#estimate, "g/");
    const decay = this.#decays();
    const { decaying } = this.#samples.layout;
    this.#b.routine("gradient", "gradient", [
      set("value", 0),
      ...(many ? this.#zeroed("gradient.zero", { g: this.#estimate }) : []),
      ...(this.#squaresEstimate === undefined ? [] : this.#zeroed("squares.zero", { s: this.#squaresEstimate })),
      ...this.#samples.each("gradientFrom", this.#gradientCount, [
        this.#b.apply("gradient", this.#samples.bind(graph, this.#work, this.#samples.pieces(this.#estimate, "a/")), { loss: cell, ...estimate }),
        ...this.#addSquares(),
        read("one", cell), set("value", plus("value", "one")),
      ]),
      ...(many ? [set("value", over("value", this.#gradientCount))] : []),
      ...(many || decay ? this.#v.apply("gradient.mean", { g: this.#estimate, theta: this.#work }, { g: this.#estimate }, (b, { g, theta }) => {
        const mean = many ? emit.div(b, g!, emit.numberLike(b, g!, this.#gradientCount)) : g!;
        return { g: decay ? emit.add(b, mean, emit.mul(b, head(b, theta!, decaying), emit.numberLike(b, theta!, this.#o.weightDecay))) : mean };
      }) : []),
      ...this.#meanSquares(),
      ...this.#decayOfObjective(this.#work),
      set("f", "value"),
    ]);
  }

  /** The squares of one micro-batch, by draws where they are not exact. */
  #addSquares(): Statement[] {
    const plan = this.#o.preconditioner;
    if (plan === undefined) return [];
    const { problem, microBatches } = this.#samples;
    const graph = squaresOfSamples(problem, plan);
    this.#b.graph("squares", () => graph);
    const signs: Record<string, Binding> = {};
    if (plan.kind === "signs") {
      const rows = microBatches * plan.draws;
      this.#b.tensor({ name: signsInput, kind: "constant", type: { dtype: "f32", shape: [problem.microBatch] }, rows, place: "external", initial: signsTable(rows, problem.microBatch, this.#o.seed + 1n) });
      signs[signsInput] = { tensor: signsInput, row: "draw" };
    }
    const apply = this.#b.apply("squares", this.#samples.bind(graph, this.#work, { ...this.#samples.pieces(this.#squaresEstimate!, "a/"), ...signs }), this.#samples.pieces(this.#squaresEstimate!, "q/"));
    if (plan.kind === "exact") return [apply];
    return [set("draw", times("m", plan.draws)), set("drawEnd", plus("draw", plan.draws)), loopWhile(less("draw", "drawEnd"), [apply, set("draw", plus("draw", 1))])];
  }

  #meanSquares(): Statement[] {
    const plan = this.#o.preconditioner;
    const terms = plan === undefined ? 1 : this.#gradientCount * (plan.kind === "signs" ? plan.draws : 1);
    if (terms === 1) return [];
    return this.#v.apply("squares.mean", { s: this.#squaresEstimate! }, { s: this.#squaresEstimate! }, (b, { s }) => ({ s: emit.div(b, s!, emit.numberLike(b, s!, terms)) }));
  }

  #zeroed(name: string, vectors: Readonly<Record<string, Reference>>): Statement[] {
    return this.#v.apply(name, {}, vectors, (b) => Object.fromEntries(Object.keys(vectors).map((key) => [key, emit.zeros(b, { dtype: "f32", shape: [this.#v.elements] })])));
  }

  // ---- 54: the Gauss-Newton matrix ----------------------------------------------------------------------------------

  #curvatureRoutines(): void {
    const many = this.#curvatureCount > 1;
    const { point, product, residuals } = curvatureOfSamples(this.#samples.problem, many);
    this.#b.graph("point", () => point);
    this.#b.graph("product", () => product);
    const cell = this.#samples.cell("point.loss");
    const kept = Object.fromEntries(residuals.map(({ name, type }) => {
      this.#b.tensor({ name: `point.${name}`, kind: "state", type, place: "cache", ...(many ? { rows: this.#curvatureCount } : {}) });
      return [name, { tensor: `point.${name}`, ...(many ? { row: "c" } : {}) }];
    }));
    const eachCurvature = (body: readonly Statement[]): Statement[] => (many
      ? [set("c", 0), ...this.#samples.each("curvatureFrom", this.#curvatureCount, [...body, set("c", plus("c", 1))])]
      : [...(this.#samples.microBatches === 1 ? [set("m", 0)] : [set("m", "curvatureFrom")]), ...body]);
    this.#b.routine("curvature.point", "gauss-newton", [
      set("value", 0),
      ...eachCurvature([this.#b.apply("point", this.#samples.bind(point, this.#work), { loss: cell, ...kept }), read("one", cell), set("value", plus("value", "one"))]),
      ...(many ? [set("value", over("value", this.#curvatureCount))] : []),
      ...this.#decayOfObjective(this.#work),
      set("fChunk", "value"),
    ]);
    const decay = this.#decays();
    const { decaying } = this.#samples.layout;
    const pieces = this.#samples.pieces(this.#product, "Gv/");
    this.#b.routine("product", "gauss-newton", [
      ...(many ? this.#zeroed("product.zero", { product: this.#product }) : []),
      ...eachProduct(many, this.#curvatureCount, this.#b.apply("product", this.#samples.bind(product, this.#work, { ...kept, ...this.#samples.pieces(this.#direction, "v/"), ...this.#samples.pieces(this.#product, "a/") }), pieces)),
      ...(many || decay ? this.#v.apply("product.mean", { product: this.#product, v: this.#direction }, { product: this.#product }, (b, { product: sum, v }) => {
        const mean = many ? emit.div(b, sum!, emit.numberLike(b, sum!, this.#curvatureCount)) : sum!;
        return { product: decay ? emit.add(b, mean, emit.mul(b, head(b, v!, decaying), emit.numberLike(b, v!, this.#o.weightDecay))) : mean };
      }) : []),
    ]);
  }

  // ---- 53: damping --------------------------------------------------------------------------------------------------

  #dampingRoutines(): void {
    const { structuralDamping, weightDecay } = this.#o;
    this.#b.routine("damping.prepare", "damping", structuralDamping === undefined ? [set("muLambda", 0)] : [set("muLambda", times(structuralDamping.mu, "lambda"))]);
    this.#b.routine("damping.term", "damping", this.#v.apply("damping.term", { product: this.#product, v: this.#direction, lambda: { scalar: "lambda" } }, { product: this.#product }, (b, { product, v, lambda }) => ({ product: emit.add(b, product!, scaled(b, lambda!, v!)) })));
    // Levenberg and Marquardt; a ratio that is not a number counts as a bad one.
    this.#b.routine("damping.rule", "damping", [
      when(either(less("rho", 0.25), not(isNumber("rho"))), [set("lambda", times("lambda", boost))], [when(less(0.75, "rho"), [set("lambda", times("lambda", drop))])]),
    ]);
    if (this.#squares === undefined) return;
    const preconditioner = this.#b.vector("preconditioner", this.#v.elements);
    const { decaying } = this.#samples.layout;
    // x^0.75 = sqrt(x) sqrt(sqrt(x)).
    this.#b.routine("damping.preconditioner", "damping", this.#v.apply("preconditioner", { squares: this.#squares, lambda: { scalar: "lambda" } }, { m: preconditioner }, (b, { squares, lambda }) => {
      const damped = emit.add(b, squares!, emit.spread(b, lambda!, squares!.type.shape));
      const whole = this.#decays() ? emit.add(b, damped, head(b, emit.numberLike(b, damped, weightDecay), decaying)) : damped;
      const half = emit.unary(b, "sqrt", whole);
      return { m: emit.mul(b, half, emit.unary(b, "sqrt", half)) };
    }));
  }

  // ---- 55: conjugate gradients, backtracking, line search -----------------------------------------------------------

  #conjugateGradientRoutines(): void {
    const { storeAt, residualTolerance, backtracking } = this.#profile;
    const grid = { iterations: this.#o.cgIterations, storeAt } as const;
    const iterates = backtracking === undefined ? undefined : this.#b.tensor({ name: "iterates", kind: "state", type: { dtype: "f32", shape: [this.#v.elements] }, rows: storedIterates(grid), place: "external" }).tensor;
    conjugateGradient(this.#b, this.#v, "conjugate-gradient", {
      x: this.#delta, gradient: this.#gradient, direction: this.#direction, product: this.#product, iterates,
      preconditioner: this.#squares === undefined ? undefined : { tensor: "preconditioner" },
    }, [call("product"), call("damping.term")], { ...grid, tolerance: truncationTolerance, residualTolerance });
    if (iterates !== undefined) this.#backtrackRoutine(iterates, backtracking!);
    this.#ratioRoutine();
    if (this.#profile.lineSearch !== undefined) this.#lineSearchRoutine(this.#profile.lineSearch);
  }

  /** trial = work + scale * step. */
  #advance(name: string, step: Reference, scale?: string): Statement[] {
    return this.#v.apply(name, { work: this.#work, step, ...(scale === undefined ? {} : { scale: { scalar: scale } }) }, { trial: this.#trial }, (b, { work, step: s, scale: a }) => ({ trial: emit.add(b, work!, a === undefined ? s! : scaled(b, a, s!)) }));
  }

  /** From the last stored iterate back, as long as the one before is no worse. */
  #backtrackRoutine(iterates: string, on: BatchChoice): void {
    const at = (row: string): Reference => ({ tensor: iterates, row });
    this.#b.routine("backtrack", "conjugate-gradient", [
      set("j", minus("stored", 1)), ...this.#advance("advance", at("j")), ...this.#objectiveOn(on), set("fBack", "value"),
      loopWhile(less(0, "j"), [
        set("before", minus("j", 1)), ...this.#advance("advance", at("before")), ...this.#objectiveOn(on),
        when(atMost("value", "fBack"), [set("j", "before"), set("fBack", "value")], [leave]),
      ]),
      copy(at("j"), this.#step),
    ]);
  }

  /** rho = what the loss changed by, over what the quadratic model says. `slope` = gradient'step. */
  #ratioRoutine(): void {
    const { on, damped, worsenedIsWorst } = this.#profile.rho;
    this.#b.routine("ratio", "conjugate-gradient", [
      ...this.#advance("advance", this.#step), ...this.#objectiveOn(on),
      set("change", minus("value", on.of === "gradient" ? "f" : "fChunk")), set("fFull", "value"),
      copy(this.#step, this.#direction), call("product"),
      ...this.#v.apply("ratio", { g: this.#gradient, s: this.#step, product: this.#product }, {}, (b, { g, s, product }) => ({ slope: dot(b, g!, s!), curve: dot(b, s!, product!), length2: dot(b, s!, s!) }), { slope: "slope", curve: "curve", length2: "length2" }),
      set("model", plus("slope", times(0.5, damped ? plus("curve", times("lambda", "length2")) : "curve"))),
      set("rho", over("change", "model")),
      ...(worsenedIsWorst ? [when(less(0, "change"), [set("rho", -Infinity)])] : []),
    ]);
  }

  #lineSearchRoutine(search: NonNullable<Profile["lineSearch"]>): void {
    const { on, slope, factor, tries } = search;
    const known = on.of === "gradient" && this.#profile.backtracking?.of === "gradient";
    const fresh = on.of !== "gradient" && this.#gradientCount !== this.#curvatureCount;
    this.#b.routine("line-search", "conjugate-gradient", [
      // The loss to compare with, on the samples of the search.
      ...(fresh ? [copy(this.#work, this.#trial), ...this.#objectiveOn(on), set("fSearch", "value")] : [set("fSearch", "f")]),
      set("rate", 1), set("tries", 0),
      ...(known ? [set("value", "fBack")] : [...this.#advance("advance", this.#step), ...this.#objectiveOn(on)]),
      loopWhile(not(atMost("value", plus("fSearch", times("rate", times(slope, "slope"))))), [
        set("tries", plus("tries", 1)),
        when(less(tries, "tries"), [set("rate", 0), leave]),
        set("rate", times("rate", factor)), ...this.#advance("advance.rate", this.#step, "rate"), ...this.#objectiveOn(on),
      ]),
    ]);
  }

  #update(): Statement[] {
    const { warmStart, backtracking, lineSearch, forgetOnRejection } = this.#profile;
    const step: Statement[] = [
      ...(this.#squares === undefined ? [] : [call("damping.preconditioner")]),
      ...(warmStart === 1 ? [] : this.#v.apply("warm-start", { x: this.#delta }, { x: this.#delta }, (b, { x }) => ({ x: warmStart === 0 ? emit.zeros(b, x!.type) : emit.mul(b, x!, emit.numberLike(b, x!, warmStart)) }))),
      call("conjugate-gradient"),
      ...(backtracking === undefined ? [] : [call("backtrack")]),
      call("ratio"),
      ...(lineSearch === undefined ? [set("rate", 1)] : [call("line-search")]),
      set("stepNorm", times("rate", root("length2"))),
      call("damping.rule"),
      // A rejected step leaves every bit as it was: 0 times infinity is not 0.
      when(equals("rate", 0), [copy(this.#work, this.#next), ...(forgetOnRejection ? this.#zeroed("forget", { x: this.#delta }) : [])],
        this.#v.apply("next", { work: this.#work, step: this.#step, rate: { scalar: "rate" } }, { next: this.#next }, (b, { work, step: s, rate }) => ({ next: emit.add(b, work!, scaled(b, rate!, s!)) }))),
    ];
    return [
      ...this.#v.apply("gradient.norm", { g: this.#gradient }, {}, (b, { g }) => ({ squares: dot(b, g!, g!) }), { squares: "gg" }),
      set("gradientNorm", root("gg")),
      set("cgSteps", 0), set("rate", 0), set("stepNorm", 0),
      // At a minimum there is no step to judge lambda by. A gradient that is not a number ends here, too.
      when(both(less(this.#o.gradientTolerance, "gradientNorm"), both(less("gradientNorm", Infinity), less(0, "lambda"))), step, [copy(this.#work, this.#next)]),
    ];
  }
}

function eachProduct(many: boolean, count: number, apply: Statement): Statement[] {
  if (!many) return [apply];
  return [set("c", 0), loopWhile(less("c", count), [apply, set("c", plus("c", 1))])];
}

