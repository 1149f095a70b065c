/**
 * @file The tensors of a training program that hold data and parameters, and how graphs over samples are bound to them. Samples are looked up by
 * number: micro-batch m takes the numbers in row m of `order`.
 */
import { fail, tensor, randomBits, type Tensor } from "@systole/base";
import type { Reference, Statement } from "@systole/ir";
import { atMost, equals, less, loopWhile, minus, over, plus, read, set, when, type Binding, type ProgramBuilder } from "./language.ts";
import { layoutOf, lossOfSamples, microBatchesOf, orderInput, packed, type Layout, type Problem } from "./problem.ts";

/** Names of the tensors that every training program has. */
export const tensorNames = { theta: "theta", work: "work", next: "next", gradientEstimate: "gradient.estimate", gradient: "gradient" } as const;

export class Samples {
  readonly problem: Problem;
  readonly layout: Layout;
  readonly microBatches: number;
  readonly #builder: ProgramBuilder;
  readonly #extras: ReadonlyMap<string, Binding>;

  /** `extras` binds inputs of losses that are scalars of the program. */
  constructor(builder: ProgramBuilder, problem: Problem, seed: bigint, extras: ReadonlyMap<string, Binding> = new Map()) {
    this.problem = problem;
    this.layout = layoutOf(problem);
    this.microBatches = microBatchesOf(problem);
    this.#builder = builder;
    this.#extras = extras;
    const { samples, sampleCount, microBatch } = problem;
    for (const { name, type, axis } of samples) {
      builder.tensor({ name, kind: "input", type: { dtype: type.dtype, shape: [sampleCount, ...type.shape.filter((_, a) => a !== axis)] }, place: "external" });
    }
    if (sampleCount > microBatch) {
      builder.tensor({ name: orderInput, kind: "constant", type: { dtype: "i32", shape: [microBatch] }, rows: this.microBatches, place: "external", initial: shuffled(sampleCount, seed) });
    }
    const initial: Tensor = { dtype: "f32", shape: [this.layout.elements], data: packed(problem, this.layout) };
    builder.tensor({ name: tensorNames.theta, kind: "parameter", type: { dtype: "f32", shape: [this.layout.elements] }, place: "external", initial, parts: this.layout.parts });
  }

  /** A vector as many tensors: NAME of each parameter to its piece. */
  pieces(vector: Reference, prefix = ""): Record<string, Reference> {
    return Object.fromEntries(this.layout.parts.map(({ name, offset, shape }) => [prefix + name, { ...vector, offset, shape }]));
  }

  /** Bindings of the inputs of `graph`; `m` is the scalar that counts micro-batches. */
  bind(graph: { readonly inputs: readonly { readonly name: string }[] }, theta: Reference, more: Readonly<Record<string, Binding>> = {}): Record<string, Binding> {
    const known: Record<string, Binding> = {
      ...this.pieces(theta), [orderInput]: { tensor: orderInput, row: "m" }, ...Object.fromEntries(this.problem.samples.map(({ name }) => [name, { tensor: name }])),
      ...(this.problem.masks === undefined ? {} : { [this.problem.masks.step]: { scalar: "iteration" } }), ...Object.fromEntries(this.#extras), ...more,
    };
    return Object.fromEntries(graph.inputs.map(({ name }) => [name, known[name] ?? fail("E0601", `nothing is known for input "${name}"`, { value: name })]));
  }

  /** Runs the body for `count` micro-batches from number `from` on, round the data; `m` is the number of each. */
  each(from: string | number, count: string | number, body: readonly Statement[]): Statement[] {
    if (this.microBatches === 1) return [set("m", 0), ...body];
    return [set("m", from), set("left", count), loopWhile(less(0, "left"), [...body, set("m", plus("m", 1)), when(equals("m", this.microBatches), [set("m", 0)]), set("left", minus("left", 1))])];
  }

  /** Micro-batches in a batch of so many samples. E0603 where that is no whole number, or the data has fewer. */
  countOf(what: string, batch: number): number {
    const { microBatch, sampleCount } = this.problem;
    if (batch > sampleCount) fail("E0603", `the ${what} batch has ${batch} samples, the data ${sampleCount}`);
    if (batch < 1 || batch % microBatch !== 0) fail("E0603", `the ${what} batch of ${batch} samples is no multiple of the micro-batch of ${microBatch}`);
    return batch / microBatch;
  }

  /** `scalar`, the number of a micro-batch, `by` further on, round the data. */
  moved(scalar: string, by: number): Statement[] {
    return by === this.microBatches ? [] : [set(scalar, plus(scalar, by)), ...this.#round(scalar)];
  }

  /** `target` = the micro-batch `by` behind `scalar`. */
  behind(target: string, scalar: string, by: number): Statement[] {
    return by === 0 ? [set(target, scalar)] : [set(target, plus(scalar, by)), ...this.#round(target)];
  }

  #round(scalar: string): Statement[] {
    return [when(atMost(this.microBatches, scalar), [set(scalar, minus(scalar, this.microBatches))])];
  }

  /** One float32 in the data cache, for a loss on its way to a scalar. */
  cell(name: string): Reference {
    return this.#builder.tensor({ name, kind: "state", type: { dtype: "f32", shape: [] }, place: "pinned" });
  }

  /**
   * Routine `name` of the gradient submodule: scalar `value` = the mean loss at `theta` over `objectiveCount` micro-batches from `objectiveFrom` on.
   */
  objective(name: string, theta: Reference, more: readonly Statement[] = []): void {
    const graph = lossOfSamples(this.problem);
    this.#builder.graph("loss", () => graph);
    const cell = this.cell("loss.value");
    this.#builder.routine(name, "gradient", [
      set("value", 0),
      ...this.each("objectiveFrom", "objectiveCount", [this.#builder.apply("loss", this.bind(graph, theta), { loss: cell }), read("one", cell), set("value", plus("value", "one"))]),
      ...(this.microBatches === 1 ? [] : [set("value", over("value", "objectiveCount"))]),
      ...more,
    ]);
  }
}

/** The numbers 0..count-1 in a random order: Fisher and Yates, with counter-based random bits. */
export function shuffled(count: number, seed: bigint): Tensor {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(((randomBits(seed, i) >>> 0) / 4294967296) * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return tensor("i32", [count], order);
}

