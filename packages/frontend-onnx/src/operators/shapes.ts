/** @file Operators that move elements without changing them. */
import { elementCount, fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastShape, broadcastTo, concat, integers, product, range, rankOf, reshape, scalar, shapeOf, sliceAxis, takeAxis, transpose } from "../lowering/values.ts";
import { axesOf, axisOf, input, integersFrom, knownIntegers, operator, optionalIntegers, requireRank, type Call, type Operator } from "./operator.ts";

export const shapeOperators: readonly Operator[] = [
  operator("Identity", (c) => input(c, 0)),
  operator("Reshape", reshapeOperator),
  operator("Flatten", flatten),
  operator("Transpose", transposeOperator),
  operator("Squeeze", squeeze),
  operator("Unsqueeze", unsqueeze),
  operator("Expand", (c) => broadcastTo(c.e, input(c, 0), broadcastShape([shapeOf(input(c, 0)), knownIntegers(c, 1, "shape")]))),
  operator("Tile", tile),
  operator("Concat", concatOperator),
  operator("Split", split),
  operator("Slice", slice),
  operator("Pad", pad, "negative pads in mode constant only"),
  operator("DepthToSpace", depthToSpace),
  operator("SpaceToDepth", spaceToDepth),
];

function reshapeOperator(c: Call): Value {
  const x = input(c, 0);
  const from = shapeOf(x);
  const wanted = knownIntegers(c, 1, "shape");
  const allowZero = c.attributes.flag("allowzero", false);
  const shape = wanted.map((extent, axis) => {
    if (extent !== 0 || allowZero) return extent;
    return from[axis] ?? fail("E0203", `shape [${wanted.join(",")}] copies axis ${axis}, which [${from.join(",")}] does not have`);
  });
  const open = shape.indexOf(-1);
  if (shape.filter((extent) => extent < 0).length > (open < 0 ? 0 : 1)) fail("E0203", `shape [${wanted.join(",")}]`, {}, ["one entry may be -1"]);
  if (open >= 0) {
    const others = product(shape.filter((_, axis) => axis !== open));
    if (others === 0) fail("E0203", `shape [${wanted.join(",")}] leaves -1 undetermined`);
    shape[open] = elementCount(from) / others;
    if (!Number.isInteger(shape[open])) fail("E0203", `[${from.join(",")}] cannot be reshaped to [${wanted.join(",")}]`);
  }
  return reshape(c.e, x, shape);
}

function flatten(c: Call): Value {
  const x = input(c, 0);
  const axis = c.attributes.int("axis", 1);
  const split = axis === rankOf(x) ? axis : axisOf(axis, rankOf(x));
  return reshape(c.e, x, [product(shapeOf(x).slice(0, split)), product(shapeOf(x).slice(split))]);
}

function transposeOperator(c: Call): Value {
  const x = input(c, 0);
  const permutation = c.attributes.ints("perm") ?? range(rankOf(x)).reverse();
  if (permutation.length !== rankOf(x) || axesOf(permutation, rankOf(x)).length !== permutation.length) {
    c.attributes.refuse("perm", `is [${permutation.join(",")}]`, `a permutation of ${rankOf(x)} axes`);
  }
  return transpose(c.e, x, permutation.map((axis) => axisOf(axis, rankOf(x))));
}

function squeeze(c: Call): Value {
  const x = input(c, 0);
  const shape = shapeOf(x);
  const given = integersFrom(c, "axes", 1);
  const axes = given === undefined ? range(shape.length).filter((axis) => shape[axis] === 1) : axesOf(given, shape.length);
  const wide = axes.find((axis) => shape[axis] !== 1);
  if (wide !== undefined) fail("E0203", `axis ${wide} of [${shape.join(",")}] has more than one element`);
  return reshape(c.e, x, shape.filter((_, axis) => !axes.includes(axis)));
}

function unsqueeze(c: Call): Value {
  const x = input(c, 0);
  const given = integersFrom(c, "axes", 1) ?? fail("E0202", "axes are missing", { attribute: "axes" });
  const rank = rankOf(x) + given.length;
  const axes = axesOf(given, rank);
  const rest = [...shapeOf(x)];
  return reshape(c.e, x, range(rank).map((axis) => (axes.includes(axis) ? 1 : rest.shift()!)));
}

/** Repeats by broadcasting new axes, which are then joined with the old ones. */
function tile(c: Call): Value {
  const x = input(c, 0);
  const shape = shapeOf(x);
  const repeats = knownIntegers(c, 1, "repeats");
  if (repeats.length !== shape.length || repeats.some((count) => count < 0)) fail("E0203", `repeats [${repeats.join(",")}] for a tensor of rank ${shape.length}`);
  const apart = reshape(c.e, x, shape.flatMap((extent) => [1, extent]));
  const copies = broadcastTo(c.e, apart, shape.flatMap((extent, axis) => [repeats[axis]!, extent]));
  return reshape(c.e, copies, shape.map((extent, axis) => extent * repeats[axis]!));
}

function concatOperator(c: Call): Value {
  const values = c.inputs.map((_, index) => input(c, index));
  if (!c.attributes.has("axis")) c.attributes.refuse("axis", "is missing", "an axis");
  return concat(c.e, values, axisOf(c.attributes.int("axis", 0), rankOf(values[0]!)));
}

/** Sizes come from the attribute, the second input, or equal parts of which the last may be smaller. */
function split(c: Call): Value[] {
  const x = input(c, 0);
  const axis = axisOf(c.attributes.int("axis", 0), rankOf(x));
  const extent = shapeOf(x)[axis]!;
  const parts = c.attributes.int("num_outputs", c.wanted.length);
  if (parts !== c.wanted.length) c.attributes.refuse("num_outputs", `is ${parts}`, `the count of outputs, ${c.wanted.length}`);
  const given = integersFrom(c, "split", 1);
  if (given === undefined && c.opset < 18 && extent % parts !== 0) fail("E0203", `${extent} elements in ${parts} equal parts`);
  const whole = Math.ceil(extent / parts);
  const sizes = given ?? range(parts).map((i) => Math.max(0, Math.min(whole, extent - i * whole)));
  if (sizes.length < c.wanted.length || sizes.some((size) => size < 0) || sizes.reduce((a, b) => a + b, 0) !== extent) {
    fail("E0203", `parts [${sizes.join(",")}] of ${extent} elements for ${c.wanted.length} outputs`);
  }
  let start = 0;
  return sizes.map((size) => sliceAxis(c.e, x, axis, start, (start += size)));
}

function slice(c: Call): Value {
  const x = input(c, 0);
  const old = c.opset < 10;
  const list = (name: string, index: number): number[] => (old ? (c.attributes.ints(name) ?? []) : knownIntegers(c, index, name));
  const starts = list("starts", 1);
  const ends = list("ends", 2);
  const axes = (old ? c.attributes.ints("axes") : optionalIntegers(c, 3, "axes")) ?? range(starts.length);
  const steps = (old ? undefined : optionalIntegers(c, 4, "steps")) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    fail("E0203", `${starts.length} starts, ${ends.length} ends, ${axes.length} axes, ${steps.length} steps`);
  }
  axesOf(axes, rankOf(x));
  return axes.reduce((value, axis, i) => sliceOne(c.e, value, axisOf(axis, rankOf(x)), starts[i]!, ends[i]!, steps[i]!), x);
}

/** Bounds count from the end where negative and are clamped; a negative step walks the reversed axis. */
function sliceOne(e: Emitter, x: Value, axis: number, start: number, end: number, step: number): Value {
  const extent = shapeOf(x)[axis]!;
  if (step === 0) fail("E0203", "a step of 0");
  const clamp = (value: number, least: number, most: number): number => Math.min(Math.max(value < 0 ? value + extent : value, least), most);
  if (step > 0) {
    const first = clamp(start, 0, extent);
    return sliceAxis(e, x, axis, first, Math.max(first, clamp(end, 0, extent)), step);
  }
  // The standard clamps a start below the axis to its first element, where NumPy takes nothing.
  const first = extent - 1 - clamp(start, 0, extent - 1);
  const limit = extent - 1 - clamp(end, -1, extent - 1);
  const reversed = e.apply("reverse", [x], { axes: [axis] });
  return sliceAxis(e, reversed, axis, first, Math.max(first, limit), -step);
}

function pad(c: Call): Value {
  const { e } = c;
  const x = input(c, 0);
  const rank = rankOf(x);
  const mode = c.attributes.choice("mode", ["constant", "reflect", "edge", "wrap"], "constant");
  const pads = c.opset < 11 ? (c.attributes.ints("pads") ?? []) : knownIntegers(c, 1, "pads");
  const axes = (optionalIntegers(c, 3, "axes") ?? range(rank)).map((axis) => axisOf(axis, rank));
  if (pads.length !== 2 * axes.length || new Set(axes).size !== axes.length) fail("E0203", `${pads.length} pads for ${axes.length} axes`);
  const amount = (offset: number): number[] => range(rank).map((axis) => (axes.includes(axis) ? pads[axes.indexOf(axis) + offset]! : 0));
  const [low, high] = [amount(0), amount(axes.length)];
  const number = c.opset < 11 ? c.attributes.float("value", 0) : 0;
  if (mode === "constant") {
    const value = c.inputs[2] === undefined ? scalar(e, x.type.dtype, number) : reshape(e, c.inputs[2], []);
    return e.apply("pad", [x, value], { low, high, interior: low.map(() => 0) });
  }
  if ([...low, ...high].some((count) => count < 0)) fail("E0202", `negative pads in mode ${mode}`, { attribute: "pads" }, ["negative pads are accepted in mode constant"]);
  return low.reduce((value, _, axis) => extend(e, value, axis, low[axis]!, high[axis]!, mode), x);
}

function extend(e: Emitter, x: Value, axis: number, low: number, high: number, mode: "reflect" | "edge" | "wrap"): Value {
  const extent = shapeOf(x)[axis]!;
  if (low === 0 && high === 0) return x;
  if (extent === 0) fail("E0203", `mode ${mode} over an empty axis`);
  const period = 2 * (extent - 1);
  const modulo = (value: number, by: number): number => ((value % by) + by) % by;
  const reflect = (at: number): number => {
    const place = period === 0 ? 0 : modulo(at, period);
    return place < extent ? place : period - place;
  };
  const source = (at: number): number => (mode === "edge" ? Math.min(Math.max(at, 0), extent - 1) : mode === "wrap" ? modulo(at, extent) : reflect(at));
  return takeAxis(e, x, axis, integers(e, range(low + extent + high, -low).map(source)));
}

function depthToSpace(c: Call): Value {
  const { x, b, mode } = blocks(c);
  const [n, channels, h, w] = shapeOf(x) as [number, number, number, number];
  if (channels % (b * b) !== 0) fail("E0203", `${channels} channels in blocks of ${b}`);
  const depth = channels / (b * b);
  const apart = mode === "DCR" ? [n, b, b, depth, h, w] : [n, depth, b, b, h, w];
  const order = mode === "DCR" ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3];
  return reshape(c.e, transpose(c.e, reshape(c.e, x, apart), order), [n, depth, h * b, w * b]);
}

function spaceToDepth(c: Call): Value {
  const { x, b, mode } = blocks(c);
  const [n, channels, h, w] = shapeOf(x) as [number, number, number, number];
  if (h % b !== 0 || w % b !== 0) fail("E0203", `an image of ${h} by ${w} in blocks of ${b}`);
  const order = mode === "DCR" ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4];
  const apart = reshape(c.e, x, [n, channels, h / b, b, w / b, b]);
  return reshape(c.e, transpose(c.e, apart, order), [n, channels * b * b, h / b, w / b]);
}

function blocks(c: Call): { x: Value; b: number; mode: "DCR" | "CRD" } {
  const x = input(c, 0);
  requireRank(x, 4, 4);
  const b = c.attributes.int("blocksize", 0);
  if (b < 1) c.attributes.refuse("blocksize", `is ${b}`, "a positive integer");
  return { x, b, mode: c.attributes.choice("mode", ["DCR", "CRD"], "DCR") };
}
