/**
 * @file Hessian-free training as a program of the steps S1..S10 of the device text. Submodules: loss and gradient (52), damping and its rule (53),
 * Gauss-Newton products at a fixed point (54), conjugate gradients, backtracking, line search (55), judgement (51).
 *
 * A step solves (G + decay + lambda) delta = -gradient; G is the Gauss-Newton matrix on the curvature samples. The vectors of the
 * estimate are made by S6 and handed to the update by S7, as the text has it.
 */
import { fail } from "@systole/base";
import { emit, type Graph, type Program, type Reference, type Statement } from "@systole/ir";
import { conjugateGradient, storedIterates } from "./conjugateGradient.ts";
import { dampingRule, dampingTerm, lambdaCell, preconditioner } from "./damping.ts";
import { gradientRoutine, squaresStatements } from "./gradient.ts";
import { judgement, judgementState, type JudgementOptions } from "./judgement.ts";
import { both, call, copy, equals, isFinite, less, loopWhile, minus, not, over, plus, ProgramBuilder, read, root, set, times, when, write, type Binding } from "./language.ts";
import { backtracking, lineSearch } from "./lineSearch.ts";
import { pointOfSamples, type Problem } from "./problem.ts";
import type { BatchChoice, Profile } from "./profiles.ts";
import { cgStops } from "./record.ts";
import { Samples, tensorNames } from "./samples.ts";
import { withExactSquares, type SquaresPlan } from "./squares.ts";
import { trainingProgram } from "./steps.ts";
import { dot, scaled, Vectors } from "./vectors.ts";
import { WeightDecay } from "./weightDecay.ts";

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

export function hessianFree(problem: Problem, options: HessianFreeOptions): Program {
  return new HessianFree(problem, options).build();
}

class HessianFree {
  readonly #b = new ProgramBuilder();
  readonly #o: HessianFreeOptions;
  readonly #profile: Profile;
  readonly #samples: Samples;
  readonly #v: Vectors;
  readonly #decay: WeightDecay;
  readonly #gradientCount: number;
  readonly #curvatureCount: number;
  readonly #work: Reference;
  readonly #next: Reference;
  readonly #trial: Reference;
  readonly #estimate: Reference;
  readonly #gradient: Reference;
  /** Made by S6, handed on by S7. */
  readonly #squaresEstimate: Reference | undefined;
  readonly #squares: Reference | undefined;
  readonly #preconditioner: Reference | undefined;
  readonly #lambda: Reference;
  readonly #delta: Reference;
  readonly #direction: Reference;
  readonly #product: Reference;
  readonly #step: Reference;

  constructor(problem: Problem, options: HessianFreeOptions) {
    this.#o = options;
    this.#profile = options.profile;
    const extras = new Map<string, Binding>(options.structuralDamping === undefined ? [] : [[options.structuralDamping.scaleInput, { scalar: "muLambda" }]]);
    this.#samples = new Samples(this.#b, problem, options.seed, extras);
    const { layout } = this.#samples;
    const { elements } = layout;
    this.#v = new Vectors(this.#b, elements);
    this.#decay = new WeightDecay(this.#v, layout, options.weightDecay);
    this.#gradientCount = this.#samples.countOf("gradient", options.gradientBatch);
    this.#curvatureCount = this.#samples.countOf("curvature", options.curvatureBatch);
    this.#checkOffsets();
    this.#work = this.#b.vector(tensorNames.work, elements);
    this.#next = this.#b.vector(tensorNames.next, elements);
    this.#trial = this.#b.vector("trial", elements);
    this.#estimate = this.#b.vector(tensorNames.gradientEstimate, elements);
    this.#gradient = this.#b.vector(tensorNames.gradient, elements);
    if (options.preconditioner !== undefined) {
      this.#squaresEstimate = this.#b.vector("squares.estimate", elements);
      this.#squares = this.#b.vector("squares", elements);
      this.#preconditioner = this.#b.vector("preconditioner", elements);
    }
    this.#lambda = lambdaCell(this.#b);
    this.#delta = this.#b.vector("delta", elements);
    this.#direction = this.#b.vector("direction", elements);
    this.#product = this.#b.vector("product", elements);
    this.#step = options.profile.backtracking === undefined ? this.#delta : this.#b.vector("step", elements);
  }

  build(): Program {
    this.#pointRoutines();
    this.#dampingRoutines();
    this.#conjugateGradientRoutines();
    this.#samples.objective("objective", this.#trial, this.#decay.ofObjective(this.#trial));
    this.#b.routine("assign", "control", this.#assign());
    this.#b.routine("estimate", "gradient", [call("damping.prepare"), call("gradient"), call("curvature.point")]);
    this.#b.routine("transfer", "control", [
      copy(this.#estimate, this.#gradient),
      ...(this.#squares === undefined ? [] : [copy(this.#squaresEstimate!, this.#squares)]),
    ]);
    this.#b.routine("update", "conjugate-gradient", this.#update());
    judgement(this.#b, this.#o, { moves: this.#moveBatches(), damped: true });
    return trainingProgram(this.#b, `${this.#samples.problem.name}.hessian-free`);
  }

  // ---- batches -----------------------------------------------------------------------------------------------------

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
    const offset = this.#gradientCount === this.#curvatureCount ? 0 : choice.offset * this.#curvatureCount;
    return [...this.#samples.behind("objectiveFrom", "curvatureFrom", offset), set("objectiveCount", this.#curvatureCount), call("objective")];
  }

  /** To the samples of the next outer step. */
  #moveBatches(): Statement[] {
    const gradientMoves = this.#samples.moved("gradientFrom", this.#gradientCount);
    return [...gradientMoves, ...(this.#profile.curvatureInGradient ? [set("curvatureFrom", "gradientFrom")] : this.#samples.moved("curvatureFrom", this.#curvatureCount))];
  }

  // ---- S4 ----------------------------------------------------------------------------------------------------------

  #assign(): Statement[] {
    const vectors: Record<string, Reference> = { delta: this.#delta, gradient: this.#gradient, estimate: this.#estimate };
    if (this.#squares !== undefined) Object.assign(vectors, { squares: this.#squares, squaresEstimate: this.#squaresEstimate! });
    return [
      ...judgementState, set("model", 0), set("lambda", this.#o.lambda), write(this.#lambda, "lambda"), set("gradientFrom", 0), set("curvatureFrom", 0),
      ...this.#v.zeroed("zero", vectors), copy(this.#work, this.#next),
    ];
  }

  // ---- 52 and 54: the point, the gradient and products there --------------------------------------------------------

  /** Forward pass and what derivatives read of it are one graph, for the gradient's samples and those of the curvature. */
  #pointRoutines(): void {
    const { preconditioner: plan, seed } = this.#o;
    const { problem } = this.#samples;
    const manyGradients = this.#gradientCount > 1;
    const many = this.#curvatureCount > 1;
    const { point, backward, product, kept } = pointOfSamples(problem, {
      addGradient: manyGradients, addProduct: many, ...(plan?.kind === "exact" ? { squares: (graph: Graph) => withExactSquares(problem, graph) } : {}),
    });
    for (const [name, graph] of Object.entries({ point, backward, product })) this.#b.graph(name, () => graph);
    const loss = this.#samples.cell("point.loss");
    const values = Object.fromEntries(kept.map(({ name, type }) => {
      this.#b.tensor({ name: `point.${name}`, kind: "state", type, place: "cache", ...(many ? { rows: this.#curvatureCount } : {}) });
      return [name, { tensor: `point.${name}`, ...(many ? { row: "c" } : {}) }];
    }));
    const toPoint = this.#b.apply("point", this.#samples.bind(point, this.#work), { loss, ...values });
    const squares = this.#squaresEstimate;
    gradientRoutine(this.#b, this.#samples, this.#v, this.#decay, {
      theta: this.#work, gradient: this.#estimate, microBatches: this.#gradientCount,
      squares: plan === undefined ? undefined : squaresStatements(this.#b, this.#samples, this.#v, this.#work, { plan, mean: squares!, seed: seed + 1n }, this.#gradientCount),
      micro: {
        loss,
        each: [
          // The first place is free: the curvature's point comes after the gradient.
          ...(many ? [set("c", 0)] : []), toPoint,
          this.#b.apply("backward", this.#samples.bind(backward, this.#work, { ...values, ...this.#samples.pieces(this.#estimate, "a/"), ...(squares === undefined ? {} : this.#samples.pieces(squares, "b/")) }), {
            ...this.#samples.pieces(this.#estimate, "g/"), ...(plan?.kind === "exact" ? this.#samples.pieces(squares!, "q/") : {}),
          }),
        ],
      },
    });
    const eachCurvature = (body: readonly Statement[]): Statement[] => (many
      ? [set("c", 0), ...this.#samples.each("curvatureFrom", this.#curvatureCount, [...body, set("c", plus("c", 1))])]
      : [...(this.#samples.microBatches === 1 ? [set("m", 0)] : [set("m", "curvatureFrom")]), ...body]);
    this.#b.routine("curvature.point", "gauss-newton", [
      set("value", 0),
      ...eachCurvature([toPoint, read("one", loss), set("value", plus("value", "one"))]),
      ...(many ? [set("value", over("value", this.#curvatureCount))] : []),
      ...this.#decay.ofObjective(this.#work),
      set("fChunk", "value"),
    ]);
    this.#b.routine("product", "gauss-newton", [
      ...(many ? this.#v.zeroed("product.zero", { product: this.#product }) : []),
      ...eachProduct(many, this.#curvatureCount, this.#b.apply("product", this.#samples.bind(product, this.#work, { ...values, ...this.#samples.pieces(this.#direction, "v/"), ...this.#samples.pieces(this.#product, "a/") }), this.#samples.pieces(this.#product, "Gv/"))),
      ...(many || this.#decay.active ? this.#v.apply("product.mean", { product: this.#product, v: this.#direction }, { product: this.#product }, (b, { product: sum, v }) => (
        { product: this.#decay.added(b, many ? emit.div(b, sum!, emit.numberLike(b, sum!, this.#curvatureCount)) : sum!, v!) }
      )) : []),
    ]);
  }

  // ---- 53: damping --------------------------------------------------------------------------------------------------

  #dampingRoutines(): void {
    const { structuralDamping } = this.#o;
    this.#b.routine("damping.prepare", "damping", [read("lambda", this.#lambda), set("muLambda", structuralDamping === undefined ? 0 : times(structuralDamping.mu, "lambda"))]);
    dampingTerm(this.#b, this.#v, { direction: this.#direction, product: this.#product });
    dampingRule(this.#b, this.#lambda);
    if (this.#preconditioner !== undefined) preconditioner(this.#b, this.#v, this.#decay, { squares: this.#squares!, result: this.#preconditioner });
  }

  // ---- 55: conjugate gradients, backtracking, line search -----------------------------------------------------------

  #conjugateGradientRoutines(): void {
    const { storeAt, residualTolerance, backtracking: backtrackOn, lineSearch: search } = this.#profile;
    const grid = { iterations: this.#o.cgIterations, storeAt } as const;
    const iterates = backtrackOn === undefined ? undefined : this.#b.tensor({ name: "iterates", kind: "state", type: { dtype: "f32", shape: [this.#v.elements] }, rows: storedIterates(grid), place: "external" }).tensor;
    conjugateGradient(this.#b, this.#v, "conjugate-gradient", {
      x: this.#delta, gradient: this.#gradient, direction: this.#direction, product: this.#product, iterates,
      preconditioner: this.#preconditioner,
    }, [call("product"), call("damping.term")], { ...grid, tolerance: truncationTolerance, residualTolerance });
    if (iterates !== undefined) backtracking(this.#b, iterates, this.#step, (iterate) => [...this.#advance("advance", iterate), ...this.#objectiveOn(backtrackOn!)]);
    this.#ratioRoutine();
    if (search !== undefined) this.#lineSearchRoutine(search);
  }

  /** trial = work + scale * step. */
  #advance(name: string, step: Reference, scale?: string): Statement[] {
    return this.#v.apply(name, { work: this.#work, step, ...(scale === undefined ? {} : { scale: { scalar: scale } }) }, { trial: this.#trial }, (b, { work, step: s, scale: a }) => ({ trial: emit.add(b, work!, a === undefined ? s! : scaled(b, a, s!)) }));
  }

  /** rho = what the loss changed by, over what the quadratic model says. `slope` = gradient'step. */
  #ratioRoutine(): void {
    const { on, damped, worsenedIsWorst } = this.#profile.rho;
    // `damping.prepare` gives the product its structural part back.
    const plain = damped || this.#o.structuralDamping === undefined ? [] : [set("muLambda", 0)];
    this.#b.routine("ratio", "conjugate-gradient", [
      ...this.#advance("advance", this.#step), ...this.#objectiveOn(on),
      set("change", minus("value", on.of === "gradient" ? "f" : "fChunk")),
      copy(this.#step, this.#direction), ...plain, call("product"),
      ...this.#v.apply("ratio", { g: this.#gradient, s: this.#step, product: this.#product }, {}, (b, { g, s, product }) => ({ slope: dot(b, g!, s!), curve: dot(b, s!, product!), length2: dot(b, s!, s!) }), { slope: "slope", curve: "curve", length2: "length2" }),
      set("model", plus("slope", times(0.5, damped ? plus("curve", times("lambda", "length2")) : "curve"))),
      set("rho", over("change", "model")),
      ...(worsenedIsWorst ? [when(less(0, "change"), [set("rho", -Infinity)])] : []),
    ]);
  }

  #lineSearchRoutine(search: NonNullable<Profile["lineSearch"]>): void {
    const { on } = search;
    // What backtracking or the gradient have worked out on the same samples is known already.
    const known = on.of === "gradient" && this.#profile.backtracking?.of === "gradient";
    const fresh = on.of !== "gradient" && this.#gradientCount !== this.#curvatureCount;
    const begin = [
      ...(fresh ? [copy(this.#work, this.#trial), ...this.#objectiveOn(on), set("fSearch", "value")] : [set("fSearch", "f")]),
      ...(known ? [set("value", "fBack")] : [...this.#advance("advance", this.#step), ...this.#objectiveOn(on)]),
    ];
    lineSearch(this.#b, search, begin, [...this.#advance("advance.rate", this.#step, "rate"), ...this.#objectiveOn(on)]);
  }

  #update(): Statement[] {
    const { warmStart, backtracking: backtrackOn, lineSearch: search, forgetOnRejection } = this.#profile;
    const step: Statement[] = [
      ...(this.#squares === undefined ? [] : [call("damping.preconditioner")]),
      ...(warmStart === 1 ? [] : this.#v.apply("warm-start", { x: this.#delta }, { x: this.#delta }, (b, { x }) => ({ x: warmStart === 0 ? emit.zeros(b, x!.type) : emit.mul(b, x!, emit.numberLike(b, x!, warmStart)) }))),
      call("conjugate-gradient"),
      ...(backtrackOn === undefined ? [] : [call("backtrack")]),
      call("ratio"),
      ...(search === undefined ? [set("rate", 1)] : [call("line-search")]),
      set("newLoss", "value"), set("stepNorm", times("rate", root("length2"))),
      call("damping.rule"),
      // No profile goes where the loss is not a number, or infinite; nor does the next run begin there.
      when(not(both(isFinite("value"), isFinite("stepNorm"))), [set("rate", 0), ...this.#v.zeroed("forget", { x: this.#delta })]),
      // A rejected step leaves every bit as it was: 0 times infinity is not 0.
      when(equals("rate", 0), [copy(this.#work, this.#next), set("stepNorm", 0), set("newLoss", search === undefined ? "f" : "fSearch"), ...(forgetOnRejection ? this.#v.zeroed("forget", { x: this.#delta }) : [])],
        this.#v.apply("next", { work: this.#work, step: this.#step, rate: { scalar: "rate" } }, { next: this.#next }, (b, { work, step: s, rate }) => ({ next: emit.add(b, work!, scaled(b, rate!, s!)) }))),
    ];
    return [
      ...this.#v.apply("gradient.norm", { g: this.#gradient }, {}, (b, { g }) => ({ squares: dot(b, g!, g!) }), { squares: "gg" }),
      set("gradientNorm", root("gg")),
      set("cgSteps", 0), set("cgStop", cgStops.none), set("rate", 0), set("stepNorm", 0), set("newLoss", "f"), set("model", 0),
      // At a minimum there is no step to judge lambda by. A gradient that is not a number ends here, too.
      when(both(less(this.#o.gradientTolerance, "gradientNorm"), both(less("gradientNorm", Infinity), less(0, "lambda"))), step, [copy(this.#work, this.#next)]),
    ];
  }
}

function eachProduct(many: boolean, count: number, apply: Statement): Statement[] {
  if (!many) return [apply];
  return [set("c", 0), loopWhile(less("c", count), [apply, set("c", plus("c", 1))])];
}

