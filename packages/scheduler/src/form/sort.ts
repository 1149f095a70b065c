/**
 * @file A stable sort by counting: the rank of a key is the number of keys that come before it, and every key is scattered to its rank. That is
 * n comparisons a key, but no control that depends on data; NaN counts as larger than every number.
 */
import { fail, isFloat, type Dtype, type ElementwiseName, type TensorType } from "@systole/base";
import type { Node, Origin } from "@systole/ir";
import type { Dimension, Engine } from "../kernel.ts";
import { reshapeView, transposeView, wholeView, type View } from "../view.ts";
import { accessOf, mapAxes } from "./access.ts";
import type { Expression } from "./expression.ts";
import { product } from "./numbers.ts";
import type { Places } from "./places.ts";

/** More comparisons than this are refused: the device would take longer than anybody waits. */
const mostComparisons = 2 ** 32;

/** Sorted keys and their former positions. */
export function sort(places: Places, node: Node<"sort">): readonly [Expression, Expression] {
  const { origin } = node;
  const { axis, descending } = node.params;
  const { dtype, shape } = node.inputs[0]!.type;
  const count = shape[axis]!;
  if (product(shape) * count > mostComparisons) fail("E0303", `the device sorts by counting; ${count} keys on the axis are too many`, { node: origin.node, operator: origin.operator });
  const last = shape.length - 1;
  const permutation = [...shape.keys()].filter((a) => a !== axis).concat(axis);
  const keys = transposeView(places.placed(node.inputs[0]!), permutation);
  const rank = ranks(places, keys, dtype, descending, origin);

  const type: TensorType = { dtype: "i32", shape: keys.shape };
  const row = keys.shape.slice(0, -1).reduceRight<{ sum: Expression; stride: number }>(({ sum, stride }, extent, batch) => ({
    sum: binary("add", sum, binary("mul", { kind: "index", axis: batch }, { kind: "immediate", value: stride }, "i32", origin), "i32", origin), stride: stride * extent,
  }), { sum: { kind: "view", view: rank }, stride: count }).sum;
  const index = wholeView(places.emit(row, type, origin, "rank"), [product(shape)]);
  const positions = places.emit({ kind: "apply", operation: "copy", operands: "i64", dtype: "i64", args: [{ kind: "index", axis: last }], origin }, { dtype: "i64", shape: keys.shape }, origin, "positions");
  const flatKeys = reshapeView(keys, [product(shape)]) ?? wholeView(places.emit({ kind: "view", view: keys }, { dtype, shape: keys.shape }, origin, "keys"), [product(shape)]);
  const back = permutation.map((_, a) => permutation.indexOf(a));
  const scattered = (updates: View, of: Dtype): Expression => ({ kind: "view", view: transposeView(scatterTo(places, updates, index, { dtype: of, shape: keys.shape }, origin), back) });
  return [scattered(flatKeys, dtype), scattered(wholeView(positions, [product(shape)]), "i64")];
}

/** For each key the number of keys before it: smaller ones (larger, where descending), and equal ones with a smaller position. */
function ranks(places: Places, keys: View, dtype: Dtype, descending: boolean, origin: Origin): View {
  const last = keys.shape.length - 1;
  const dims: Dimension[] = [...keys.shape.map((extent, a) => ({ name: a === last ? "key" : `d${a}`, extent })), { name: "other", extent: keys.shape[last]! }];
  const batch = keys.shape.slice(0, -1).map((_, a) => [{ dim: a, factor: 1 }]);
  const key: Expression = { kind: "view", view: mapAxes(keys, dims, [...batch, [{ dim: last, factor: 1 }]]) };
  const other: Expression = { kind: "view", view: mapAxes(keys, dims, [...batch, [{ dim: last + 1, factor: 1 }]]) };
  const type: TensorType = { dtype: "i32", shape: keys.shape };
  const compare = (operation: ElementwiseName, a: Expression, b: Expression) => binary(operation, a, b, dtype, origin, "bool");
  const logic = (operation: ElementwiseName, a: Expression, b: Expression) => binary(operation, a, b, "bool", origin, "bool");
  const unary = (operation: ElementwiseName, a: Expression, operands: Dtype): Expression => ({ kind: "apply", operation, operands, dtype: "bool", args: [a], origin });
  const earlier = binary("lt", { kind: "index", axis: last + 1 }, { kind: "index", axis: last }, "i32", origin, "bool");
  const counted = (condition: Expression): Expression => {
    const chain = places.chain({ kind: "apply", operation: "convert", operands: "bool", dtype: "i32", args: [condition], origin }, "i32", (view) => view, (axis) => axis);
    const engine: Engine = { kind: "reduction", folds: [{ reduction: "sum", order: "sequential", chain, dtype: "i32" }] };
    return { kind: "view", view: wholeView(places.emit({ kind: "engine", pending: { origin, dims, parallel: last + 1, engine, origins: [] } }, type, origin, "count")) };
  };
  const before = compare(descending ? "gt" : "lt", other, key);
  const parts = isFloat(dtype)
    ? [
      before,
      // NaN stands behind every number, or before it where the order descends.
      descending ? logic("and", unary("isnan", other, dtype), unary("not", unary("isnan", key, dtype), "bool")) : logic("and", unary("isnan", key, dtype), unary("not", unary("isnan", other, dtype), "bool")),
      logic("and", compare("eq", other, key), earlier),
      logic("and", logic("and", unary("isnan", other, dtype), unary("isnan", key, dtype)), earlier),
    ]
    : [before, logic("and", compare("eq", other, key), earlier)];
  const sum = parts.map(counted).reduce((a, b) => binary("add", a, b, "i32", origin));
  return wholeView(places.emit(sum, type, origin, "rank"));
}

function scatterTo(places: Places, updates: View, index: View, type: TensorType, origin: Origin): View {
  const target = places.tensor(places.name(origin), "temporary", type);
  const rows = product(type.shape);
  const dims = [{ name: "row", extent: rows }];
  const engine = { kind: "scatter" as const, updates: accessOf(updates), index: accessOf(index), rowCount: rows };
  places.push({ origins: [origin], dims, parallel: 1, engine, results: [{ chain: { streams: [], stages: [], dtype: type.dtype }, output: accessOf(wholeView(target, [rows])) }] }, origin);
  return wholeView(target);
}

function binary(operation: ElementwiseName, a: Expression, b: Expression, operands: Dtype, origin: Origin, dtype: Dtype = operands): Expression {
  return { kind: "apply", operation, operands, dtype, args: [a, b], origin };
}
