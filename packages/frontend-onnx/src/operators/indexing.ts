/** @file Gather and scatter in all their forms, by arithmetic on row numbers. */
import { fail, numbersOf, rowMajorStrides } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, broadcastTo, convert, elementwise, integers, iota, product, range, rankOf, reshape, scalar, shapeOf, sliceAxis, takeAxis, transpose, withNumber } from "../lowering/values.ts";
import { axisOf, input, knownNumber, operator, requireDtype, requireRank, type Call, type Operator } from "./operator.ts";

export const indexingOperators: readonly Operator[] = [
  operator("Gather", gather),
  operator("GatherElements", gatherElements),
  operator("GatherND", gatherNd),
  operator("Scatter", scatterElements),
  operator("ScatterElements", scatterElements),
  operator("ScatterND", scatterNd),
  operator("OneHot", oneHot, "depth known at import"),
  operator("ReverseSequence", reverseSequence),
];

/** Indices of -extent .. -1 count from the end. Fixed indices are resolved and checked here. */
function nonNegative(e: Emitter, indices: Value, extent: number): Value {
  requireDtype(indices, ["i64", "i32"]);
  const fixed = e.fixed(indices);
  if (fixed === undefined) {
    return elementwise(e, "select", withNumber(e, "lt", indices, 0), withNumber(e, "add", indices, extent), indices);
  }
  const values = numbersOf(fixed).map((value) => {
    const resolved = value < 0 ? value + extent : value;
    return resolved >= 0 && resolved < extent ? resolved : fail("E0203", `index ${value} into an axis of ${extent} elements`);
  });
  return integers(e, values, indices.type.dtype === "i32" ? "i32" : "i64", shapeOf(indices));
}

/** One fixed row is a slice: cheaper, and simpler to differentiate. */
function gather(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireRank(x, 1);
  const axis = axisOf(c.attributes.int("axis", 0), rankOf(x));
  const indices = nonNegative(e, input(c, 1), shapeOf(x)[axis]!);
  const fixed = e.fixed(indices);
  if (fixed === undefined || fixed.data.length !== 1) return takeAxis(e, x, axis, indices);
  const row = Number(fixed.data[0]!);
  const shape = [...shapeOf(x).slice(0, axis), ...fixed.shape, ...shapeOf(x).slice(axis + 1)];
  return reshape(e, sliceAxis(e, x, axis, row, row + 1), shape);
}

/** The flat position that each index names: its own place, with the coordinate on `axis` replaced. */
function flatPositions(e: Emitter, indices: Value, shape: readonly number[], axis: number): Value {
  const strides = rowMajorStrides(shape);
  const dtype = indices.type.dtype === "i32" ? "i32" : "i64";
  return range(shape.length).reduce<Value>((sum, a) => {
    if (a === axis || shapeOf(indices)[a] === 1) return sum;
    return elementwise(e, "add", sum, withNumber(e, "mul", iota(e, dtype, shapeOf(indices), a), strides[a]!));
  }, withNumber(e, "mul", indices, strides[axis]!));
}

function gatherElements(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const positions = elementPositions(c, x, input(c, 1));
  return e.apply("gather", [reshape(e, x, [product(shapeOf(x))]), positions], {});
}

function elementPositions(c: Call, x: Value, raw: Value): Value {
  requireRank(x, 1);
  requireRank(raw, rankOf(x), rankOf(x));
  const axis = axisOf(c.attributes.int("axis", 0), rankOf(x));
  const wide = range(rankOf(x)).find((a) => a !== axis && shapeOf(raw)[a]! > shapeOf(x)[a]!);
  if (wide !== undefined) fail("E0203", `indices [${shapeOf(raw).join(",")}] reach beyond [${shapeOf(x).join(",")}]`);
  return flatPositions(c.e, nonNegative(c.e, raw, shapeOf(x)[axis]!), shapeOf(x), axis);
}

/** Row numbers of the last axis' tuples into the axes `first`, `first + 1`, ... of `shape`. */
function tupleRows(e: Emitter, indices: Value, shape: readonly number[], first: number): Value {
  const depth = shapeOf(indices).at(-1)!;
  const outer = shapeOf(indices).slice(0, -1);
  if (first + depth > shape.length) fail("E0203", `tuples of ${depth} indices into [${shape.slice(first).join(",")}]`);
  const strides = rowMajorStrides(shape.slice(0, first + depth));
  const last = rankOf(indices) - 1;
  let rows: Value | undefined;
  for (let d = 0; d < depth; d++) {
    const column = reshape(e, sliceAxis(e, indices, last, d, d + 1), outer);
    const term = withNumber(e, "mul", nonNegative(e, column, shape[first + d]!), strides[first + d]!);
    rows = rows === undefined ? term : elementwise(e, "add", rows, term);
  }
  return rows ?? broadcastTo(e, scalar(e, "i64", 0), outer);
}

function gatherNd(c: Call): Value {
  const { e } = c;
  const [x, indices] = [input(c, 0), input(c, 1)];
  requireRank(x, 1);
  requireRank(indices, 1);
  const batch = c.attributes.int("batch_dims", 0);
  if (batch < 0 || batch >= rankOf(indices)) c.attributes.refuse("batch_dims", `is ${batch}`, `less than the rank ${rankOf(indices)} of the indices`);
  const shape = shapeOf(x);
  const depth = shapeOf(indices).at(-1)!;
  const strides = rowMajorStrides(shape.slice(0, batch + depth));
  const dtype = indices.type.dtype === "i32" ? "i32" : "i64";
  const rows = range(batch).reduce((sum, a) => {
    return elementwise(e, "add", sum, withNumber(e, "mul", iota(e, dtype, shapeOf(sum), a), strides[a]!));
  }, tupleRows(e, indices, shape, batch));
  const tail = shape.slice(batch + depth);
  return e.apply("gather", [reshape(e, x, [product(shape.slice(0, batch + depth)), ...tail]), rows], {});
}

const kinds = { none: "set", add: "add", mul: "mul", max: "max", min: "min" } as const;

function kindOf(c: Call): (typeof kinds)[keyof typeof kinds] {
  return kinds[c.attributes.choice("reduction", ["none", "add", "mul", "max", "min"], "none")];
}

function scatterElements(c: Call): Value {
  const { e } = c;
  const [x, updates] = [input(c, 0), input(c, 2)];
  const positions = elementPositions(c, x, input(c, 1));
  const count = product(shapeOf(positions));
  const flat = e.apply("scatter", [reshape(e, x, [product(shapeOf(x))]), reshape(e, positions, [count]), reshape(e, updates, [count])], { kind: kindOf(c) });
  return reshape(e, flat, shapeOf(x));
}

function scatterNd(c: Call): Value {
  const { e } = c;
  const [x, indices, updates] = [input(c, 0), input(c, 1), input(c, 2)];
  requireRank(indices, 1);
  const depth = shapeOf(indices).at(-1)!;
  const rows = tupleRows(e, indices, shapeOf(x), 0);
  const count = product(shapeOf(rows));
  const tail = shapeOf(x).slice(depth);
  const flat = e.apply("scatter", [
    reshape(e, x, [product(shapeOf(x).slice(0, depth)), ...tail]), reshape(e, rows, [count]), reshape(e, updates, [count, ...tail]),
  ], { kind: kindOf(c) });
  return reshape(e, flat, shapeOf(x));
}

/** An index outside [-depth, depth) gives a row of off values. */
function oneHot(c: Call): Value {
  const { e } = c;
  const depth = Math.trunc(knownNumber(c, 1, "depth"));
  if (depth < 0) fail("E0203", `a depth of ${depth}`);
  const indices = convert(e, input(c, 0), "i64");
  const values = input(c, 2);
  if (product(shapeOf(values)) !== 2) fail("E0203", `values of shape [${shapeOf(values).join(",")}]; two are wanted`);
  const axis = axisOf(c.attributes.int("axis", -1), rankOf(indices) + 1);
  const shape = [...shapeOf(indices).slice(0, axis), depth, ...shapeOf(indices).slice(axis)];
  const resolved = elementwise(e, "select", withNumber(e, "lt", indices, 0), withNumber(e, "add", indices, depth), indices);
  const spread = broadcastAxes(e, resolved, shape, range(shape.length).filter((a) => a !== axis));
  const hot = elementwise(e, "eq", spread, iota(e, "i64", shape, axis));
  const one = (at: number): Value => reshape(e, sliceAxis(e, values, 0, at, at + 1), []);
  return elementwise(e, "select", hot, one(1), one(0));
}

/** The first `length` steps of each sequence are turned round: row numbers into [time * batch, ...]. */
function reverseSequence(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  requireRank(x, 2);
  const time = c.attributes.int("time_axis", 0);
  const batch = c.attributes.int("batch_axis", 1);
  if (!((time === 0 && batch === 1) || (time === 1 && batch === 0))) c.attributes.refuse("time_axis", `is ${time} with batch_axis ${batch}`, "0 and 1, one each");
  const order = [time, batch, ...range(rankOf(x) - 2, 2)];
  const turned = transpose(e, x, order);
  const [steps, sequences, ...rest] = shapeOf(turned) as [number, number, ...number[]];
  const grid = [steps, sequences];
  const length = broadcastAxes(e, convert(e, input(c, 1), "i64"), grid, [1]);
  const step = iota(e, "i64", grid, 0);
  const mirrored = elementwise(e, "sub", withNumber(e, "sub", length, 1), step);
  const source = elementwise(e, "select", elementwise(e, "lt", step, length), mirrored, step);
  const rows = elementwise(e, "add", withNumber(e, "mul", source, sequences), iota(e, "i64", grid, 1));
  const result = e.apply("gather", [reshape(e, turned, [steps * sequences, ...rest]), rows], {});
  return transpose(e, result, order);
}
