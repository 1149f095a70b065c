/** @file Values that can be had in another layout for nothing, so that a transpose may pass the node that uses them. */
import { elementCount, sameShape } from "@systole/base";
import { isNode, type Origin, type Value } from "../../graph.ts";
import { compose, inverse, isAscending, isIdentity, movesOnlyUnitAxes, unpermute, type Permutation } from "../permutation.ts";
import type { Rewriter } from "../rewrite.ts";

/** A broadcast of a source so much smaller than itself may transpose the source. */
const smallSource = 8;

/** Whether some v with transpose(v, p) = value costs no movement of its size. */
export function canAbsorb(value: Value, p: Permutation, r: Rewriter): boolean {
  const { shape } = value.type;
  if (movesOnlyUnitAxes(shape, inverse(p))) return true;
  const node = r.definition(value);
  if (isNode(node, "transpose")) {
    const total = compose(node.params.permutation, inverse(p));
    return movesOnlyUnitAxes(node.inputs[0]!.type.shape, total);
  }
  if (isNode(node, "constant") || isNode(node, "iota")) return true;
  if (!isNode(node, "broadcast")) return false;
  const source = node.inputs[0]!.type.shape;
  const moved = node.params.axes.filter((_, i) => source[i] !== 1).map((axis) => p[axis]!);
  return isAscending(moved) || elementCount(source) * smallSource <= elementCount(shape);
}

/** That v; only after `canAbsorb`. */
export function absorb(value: Value, p: Permutation, r: Rewriter, origin: Origin): Value {
  const shape = unpermute(value.type.shape, p);
  const node = r.definition(value);
  if (isNode(node, "transpose")) {
    const [x, total] = [node.inputs[0]!, compose(node.params.permutation, inverse(p))];
    if (isIdentity(total)) return x;
    if (movesOnlyUnitAxes(x.type.shape, total)) return reshaped(x, shape, r, origin);
  }
  if (isNode(node, "broadcast")) return absorbBroadcast(node.inputs[0]!, node.params.axes, shape, p, r, node.origin);
  if (isNode(node, "iota")) return r.emit("iota", [], { ...node.params, shape, axis: p[node.params.axis]! }, node.origin)[0]!;
  if (movesOnlyUnitAxes(value.type.shape, inverse(p))) return reshaped(value, shape, r, origin);
  return r.emit("transpose", [value], { permutation: inverse(p) }, origin)[0]!;
}

export function reshaped(value: Value, shape: readonly number[], r: Rewriter, origin: Origin): Value {
  return sameShape(value.type.shape, shape) ? value : r.emit("reshape", [value], { shape }, origin)[0]!;
}

function absorbBroadcast(source: Value, axes: readonly number[], shape: readonly number[], p: Permutation, r: Rewriter, origin: Origin): Value {
  const kept = source.type.shape.map((_, i) => i).filter((i) => source.type.shape[i] !== 1);
  const dense = reshaped(source, kept.map((i) => source.type.shape[i]!), r, origin);
  const targets = kept.map((i) => p[axes[i]!]!);
  const order = targets.map((_, i) => i).sort((a, b) => targets[a]! - targets[b]!);
  const sorted = isIdentity(order) ? dense : r.emit("transpose", [dense], { permutation: order }, origin)[0]!;
  return r.emit("broadcast", [sorted], { shape, axes: order.map((i) => targets[i]!) }, origin)[0]!;
}
