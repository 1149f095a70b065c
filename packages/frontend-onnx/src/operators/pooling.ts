/** @file Pools: window reductions; averages divide by the count of elements that each window covers. */
import { fail, tensor } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, elementwise, keepDimensions, mean, product, range, reduce, reshape, shapeOf, sum, withNumber } from "../lowering/values.ts";
import { power } from "./elementwise.ts";
import { input, operator, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";
import { windowOf, type Window } from "./window.ts";

export const poolingOperators: readonly Operator[] = [
  operator("MaxPool", maxPool),
  operator("AveragePool", averagePool),
  operator("LpPool", lpPool),
  operator("GlobalMaxPool", (c) => overSpatial(c, (x, axes) => reduce(c.e, "max", x, axes))),
  operator("GlobalAveragePool", (c) => overSpatial(c, (x, axes) => mean(c.e, x, axes))),
  operator("GlobalLpPool", globalLpPool),
];

function maxPool(c: Call): Value[] {
  const x = input(c, 0);
  const window = poolWindow(c, x);
  const columnMajor = c.attributes.flag("storage_order", false);
  const params = fullRank(window);
  const y = c.e.apply("window_reduce", [x], { kind: "max", ...params });
  if (c.wanted[1] !== true) return [y];
  const positions = c.e.apply("window_argmax", [x], { ...params, dtype: "i64" });
  return [y, columnMajor ? columnMajorPositions(c.e, positions, shapeOf(x)) : positions];
}

/** Row-major positions inside each plane become column-major ones. */
function columnMajorPositions(e: Emitter, positions: Value, shape: readonly number[]): Value {
  const spatial = shape.slice(2);
  const plane = product(spatial);
  const inside = withNumber(e, "rem", positions, plane);
  let result = elementwise(e, "sub", positions, inside);
  let rowStride = plane;
  let columnStride = 1;
  for (const extent of spatial) {
    rowStride /= extent;
    const coordinate = withNumber(e, "rem", withNumber(e, "div", inside, rowStride), extent);
    result = elementwise(e, "add", result, withNumber(e, "mul", coordinate, columnStride));
    columnStride *= extent;
  }
  return result;
}

function averagePool(c: Call): Value {
  const x = input(c, 0);
  requireFloat(x);
  const window = poolWindow(c, x);
  const total = c.e.apply("window_reduce", [x], { kind: "sum", ...fullRank(window) });
  const counts = coveredCounts(c, window, shapeOf(x).slice(2));
  const uniform = counts.every((list) => list.every((count) => count === list[0]));
  if (uniform) return withNumber(c.e, "div", total, product(counts.map((list) => list[0] ?? 1)));
  const divisors = counts.reduce((left, right) => left.flatMap((a) => right.map((b) => a * b)), [1]);
  const n = counts.length;
  const constant = c.e.constant(tensor(x.type.dtype, window.output, divisors));
  return elementwise(c.e, "div", total, broadcastAxes(c.e, constant, shapeOf(total), range(n, 2)));
}

/** Elements of each window along each axis; with count_include_pad those of the stated padding too, but not of what ceil_mode adds. */
function coveredCounts(c: Call, window: Window, spatial: readonly number[]): number[][] {
  const includePad = c.attributes.flag("count_include_pad", false);
  const pads = c.attributes.string("auto_pad", "NOTSET") === "NOTSET" ? c.attributes.ints("pads") : undefined;
  const n = spatial.length;
  return spatial.map((extent, a) => {
    const [low, high] = window.padding[a]!;
    const first = includePad ? -low : 0;
    const end = extent + (includePad ? (pads?.[a + n] ?? (c.attributes.string("auto_pad", "NOTSET").startsWith("SAME") ? high : 0)) : 0);
    return range(window.output[a]!).map((o) => {
      const start = o * window.strides[a]! - low;
      const dilation = window.dilations[a]!;
      const least = Math.max(Math.ceil((first - start) / dilation), 0);
      const most = Math.min(Math.floor((end - 1 - start) / dilation), window.kernel[a]! - 1);
      return Math.max(most - least + 1, 0);
    });
  });
}

function lpPool(c: Call): Value {
  const x = input(c, 0);
  requireFloat(x);
  const p = c.attributes.int("p", 2);
  const total = c.e.apply("window_reduce", [powered(c, x, p)], { kind: "sum", ...fullRank(poolWindow(c, x)) });
  return power(c.e, total, 1 / p);
}

function globalLpPool(c: Call): Value {
  const p = c.attributes.int("p", 2);
  return overSpatial(c, (x, axes) => power(c.e, sum(c.e, powered(c, x, p), axes), 1 / p));
}

/** |x|^p */
function powered(c: Call, x: Value, p: number): Value {
  if (p < 1) c.attributes.refuse("p", `is ${p}`, "a positive integer");
  return p === 2 ? elementwise(c.e, "mul", x, x) : power(c.e, elementwise(c.e, "abs", x), p);
}

function overSpatial(c: Call, body: (x: Value, axes: readonly number[]) => Value): Value {
  const x = input(c, 0);
  requireRank(x, 2);
  const axes = range(shapeOf(x).length - 2, 2);
  return reshape(c.e, body(x, axes), keepDimensions(shapeOf(x), axes));
}

function poolWindow(c: Call, x: Value): Window {
  requireRank(x, 3);
  const kernel = c.attributes.ints("kernel_shape") ?? fail("E0202", "kernel_shape is missing", { attribute: "kernel_shape" });
  const window = windowOf(c, shapeOf(x).slice(2), kernel, true);
  return window;
}

/** The window with its entries for the batch and channel axes. */
function fullRank(window: Window) {
  const both = (values: readonly number[]): number[] => [1, 1, ...values];
  const none = [0, 0] as const;
  return { window: both(window.kernel), strides: both(window.strides), padding: [none, none, ...window.padding], dilation: both(window.dilations) };
}
