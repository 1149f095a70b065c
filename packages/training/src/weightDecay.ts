/**
 * @file Weight decay: the loss gains decay/2 |theta|^2 over parameters of rank 2 and more, and with it the gradient, the Gauss-Newton
 * matrix, the preconditioner, and by them rho and the line search.
 */
import { emit, type GraphBuilder, type Reference, type Statement, type Value } from "@systole/ir";
import { plus, set, times } from "./language.ts";
import type { Layout } from "./problem.ts";
import { dot, head, type Vectors } from "./vectors.ts";

export class WeightDecay {
  /** Whether there is any. */
  readonly active: boolean;
  readonly #vectors: Vectors;
  readonly #decaying: number;
  /** Rounded to float32, so that graphs and scalars mean the same number. */
  readonly #amount: number;

  constructor(vectors: Vectors, layout: Layout, amount: number) {
    this.active = amount > 0 && layout.decaying > 0;
    this.#vectors = vectors;
    this.#decaying = layout.decaying;
    this.#amount = Math.fround(amount);
  }

  /** `value` += decay/2 |theta|^2. */
  ofObjective(theta: Reference): Statement[] {
    if (!this.active) return [];
    return [
      ...this.#vectors.apply(`decay.${theta.tensor}`, { theta }, {}, (b, { theta: t }) => ({ squares: dot(b, head(b, t!, this.#decaying), t!) }), { squares: "decaySquares" }),
      set("value", plus("value", times(this.#amount / 2, "decaySquares"))),
    ];
  }

  /** x + decay v: a gradient at v, or the product with v. */
  added(b: GraphBuilder, x: Value, v: Value): Value {
    return this.active ? emit.add(b, x, emit.mul(b, head(b, v, this.#decaying), emit.numberLike(b, v, this.#amount))) : x;
  }

  /** x + the diagonal of the decay. */
  onDiagonal(b: GraphBuilder, x: Value): Value {
    return this.active ? emit.add(b, x, head(b, emit.numberLike(b, x, this.#amount), this.#decaying)) : x;
  }
}
