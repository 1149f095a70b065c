/** @file Derivatives of the reductions that are not linear: extremes by position, products by a tree. */
import { elementCount } from "@systole/base";
import type { Value } from "../graph.ts";
import { add, binary, mul, range, reshapeTo, select, spreadOver, sumOver, zeros } from "./emit.ts";
import type { Emit } from "./primitive.ts";
import { without } from "./strided.ts";

/** The axes as one last axis. */
function gathered(b: Emit, x: Value, axes: readonly number[]): Value {
  const { shape } = x.type;
  const permutation = [...without(range(shape.length), axes), ...axes];
  const moved = permutation.every((axis, i) => axis === i) ? x : b.apply("transpose", [x], { permutation });
  return reshapeTo(b, moved, [...without(shape, axes), elementCount(axes.map((axis) => shape[axis]!))]);
}

/**
 * The tangent of the first extreme element (the first NaN, if there is one). It is chosen by a mask, so that neither the
 * tangent nor its transpose gathers or scatters: a sum with one term.
 */
export function extremeTangent(b: Emit, kind: "max" | "min", x: Value, y: Value, dx: Value, axes: readonly number[]): Value {
  if (axes.length === 0) return dx;
  const axis = axes.length === 1 ? axes[0]! : y.type.shape.length;
  const [points, tangents] = axes.length === 1 ? [x, dx] : [gathered(b, x, axes), gathered(b, dx, axes)];
  const { shape } = points.type;
  const winner = b.apply("argreduce", [points], { kind, axis, dtype: "i32", last: false });
  const chosen = binary(b, "eq", b.apply("iota", [], { dtype: "i32", shape, axis }), spreadOver(b, winner, shape, [axis]));
  return sumOver(b, select(b, chosen, tangents, zeros(b, tangents.type)), [axis]);
}

/** Products of halves, of quarters, ...: no division, so zeros among the factors do no harm. */
export function productTangent(b: Emit, x: Value, dx: Value, axes: readonly number[]): Value | undefined {
  const kept = without(x.type.shape, axes);
  let [value, tangent] = [gathered(b, x, axes), gathered(b, dx, axes)];
  const axis = kept.length;
  if (value.type.shape[axis] === 0) return undefined;
  const part = (of: Value, start: number, limit: number): Value => b.apply("slice", [of], { starts: [...kept.map(() => 0), start], limits: [...kept, limit], strides: [...kept.map(() => 1), 1] });
  for (let count = value.type.shape[axis]!; count > 1; count = Math.ceil(count / 2)) {
    const half = Math.floor(count / 2);
    const halves = (of: Value): [Value, Value] => [part(of, 0, half), part(of, half, 2 * half)];
    const rest = (of: Value, pairs: Value): Value => (count % 2 === 0 ? pairs : b.apply("concat", [pairs, part(of, count - 1, count)], { axis }));
    const [[p, q], [dp, dq]] = [halves(value), halves(tangent)];
    tangent = rest(tangent, add(b, mul(b, dp, q), mul(b, dq, p)));
    value = rest(value, mul(b, p, q));
  }
  return reshapeTo(b, tangent, kept);
}
