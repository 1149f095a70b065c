/**
 * @file structural-damping: how far the hidden values of a recurrence are from those at the point, D(h, h0). Value and gradient are 0 at the point; what counts
 * is the curvature. At a pre-activation a, the distance that matches its function has D'' = 1 - h^2 for h = tanh a and h (1 - h) for h = logistic a;
 * any other value takes half the squared distance, D'' = 1.
 */
import { fail, formatType, tensor, type TensorType } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { add, mul, numberLike, spread, sub, unary } from "../primitives/emit.ts";

/** The function that the values are the pre-activations of; `squared`: values with a distance of their own. */
export type DampingKind = "tanh" | "logistic" | "squared";

export interface StructuralDampingOptions {
  /** Type of the hidden values, of all steps and samples. */
  readonly scores: TensorType;
  readonly kind: DampingKind;
  /** That of the loss, so that both are means over the same samples. */
  readonly divisor: number;
}

const curvatures: Readonly<Record<DampingKind, (b: GraphBuilder, a: Value) => Value>> = {
  tanh(b, a) {
    const h = unary(b, "tanh", a);
    return mul(b, sub(b, numberLike(b, h, 1), h), add(b, numberLike(b, h, 1), h));
  },
  logistic(b, a) {
    const h = unary(b, "logistic", a);
    return mul(b, h, sub(b, numberLike(b, h, 1), h));
  },
  squared: (b, a) => numberLike(b, a, 1),
};

/**
 * Inputs `scores` and `scale` (one number, [], lambda times mu), outputs `loss` (0) and `gradient` (0, whose JVP at the point is scale D'' da / divisor). A loss
 * piece with it is `curvatureOnly`. E0207 for values that are no floats.
 */
export function structuralDamping({ scores, kind, divisor }: StructuralDampingOptions): Graph {
  const name = "structural-damping";
  if (scores.dtype !== "f32" && scores.dtype !== "f64") fail("E0207", `${name}: the values are ${formatType(scores)}, wanted floats`);
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "loss" });
  const a = b.input("scores", scores);
  const scale = b.input("scale", { dtype: scores.dtype, shape: [] });
  const fixed = b.apply("stop_gradient", [a], {});
  const weight = b.apply("div", [curvatures[kind](b, fixed), numberLike(b, a, divisor)], {});
  b.output("loss", b.constant(tensor(scores.dtype, [], [0])));
  // The scale comes last: products then read it as it is, and the residuals do not depend on it.
  b.output("gradient", mul(b, mul(b, weight, sub(b, a, fixed)), spread(b, scale, scores.shape)));
  return b.build(name);
}
