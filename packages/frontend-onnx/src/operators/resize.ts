/** @file Resize and Upsample: along one axis after the other, each result element is a weighted sum of gathered elements. */
import { fail, numbersOf, tensor } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, elementwise, integers, range, rankOf, scalar, shapeOf, takeAxis } from "../lowering/values.ts";
import { axisOf, input, knownInput, operator, optionalIntegers, type Call, type Operator } from "./operator.ts";

export const resizeOperators: readonly Operator[] = [
  operator("Resize", resize, "modes nearest, linear and cubic; scales and sizes known at import"),
  operator("Upsample", upsample, "modes nearest and linear; scales known at import"),
];

const transformations = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"] as const;
const roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] as const;
type Transformation = (typeof transformations)[number];

interface AxisPlan {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
  /** Start and end of the region for tf_crop_and_resize, as fractions. */
  readonly region: readonly [number, number];
}

interface Style {
  readonly mode: "nearest" | "linear" | "cubic";
  readonly transformation: Transformation;
  readonly rounding: (typeof roundings)[number];
  readonly cubic: number;
  readonly excludeOutside: boolean;
  readonly antialias: boolean;
  readonly extrapolation: number;
}

/** The elements that one result element is made of; `inside` is false where extrapolation_value takes their place. */
interface Taps {
  readonly indices: readonly number[];
  readonly weights: readonly number[];
  readonly inside: boolean;
}

function upsample(c: Call): Value {
  const x = input(c, 0);
  const scales = c.opset < 9 ? (c.attributes.floats("scales") ?? []) : numbersOf(knownInput(c, 1, "scales"));
  const mode = c.attributes.string("mode", "nearest");
  const known = mode === "nearest" ? "nearest" : mode === "linear" || mode === "bilinear" ? "linear" : c.attributes.refuse("mode", `is "${mode}"`, '"nearest", "linear"');
  const style = { mode: known, transformation: "asymmetric", rounding: "floor", cubic: -0.75, excludeOutside: false, antialias: false, extrapolation: 0 } as const;
  return apply(c.e, x, byScales(x, scales, range(rankOf(x))), style);
}

function resize(c: Call): Value {
  const x = input(c, 0);
  const { attributes } = c;
  const old = c.opset < 11;
  const style: Style = {
    mode: attributes.choice("mode", ["nearest", "linear", "cubic"], "nearest"),
    transformation: attributes.choice("coordinate_transformation_mode", transformations, old ? "asymmetric" : "half_pixel"),
    rounding: attributes.choice("nearest_mode", roundings, old ? "floor" : "round_prefer_floor"),
    cubic: attributes.float("cubic_coeff_a", -0.75),
    excludeOutside: attributes.flag("exclude_outside", false),
    antialias: attributes.flag("antialias", false),
    extrapolation: attributes.float("extrapolation_value", 0),
  };
  const axes = (attributes.ints("axes") ?? range(rankOf(x))).map((axis) => axisOf(axis, rankOf(x)));
  const policy = attributes.choice("keep_aspect_ratio_policy", ["stretch", "not_larger", "not_smaller"], "stretch");
  const scalesAt = old ? 1 : 2;
  const scales = c.inputs[scalesAt] === undefined ? [] : numbersOf(knownInput(c, scalesAt, "scales"));
  const sizes = old ? undefined : optionalIntegers(c, 3, "sizes");
  if ((scales.length === 0) === (sizes === undefined)) fail("E0202", "exactly one of scales and sizes must be given");
  const plans = sizes === undefined ? byScales(x, scales, axes) : bySizes(x, sizes, axes, policy);
  const crop = style.transformation === "tf_crop_and_resize";
  const region = crop ? numbersOf(knownInput(c, 1, "roi")) : [];
  const cropped = crop ? plans.map((plan, i) => ({ ...plan, region: [region[i] ?? 0, region[i + axes.length] ?? 1] as const })) : plans;
  return apply(c.e, x, cropped, style);
}

function byScales(x: Value, scales: readonly number[], axes: readonly number[]): AxisPlan[] {
  if (scales.length !== axes.length || scales.some((scale) => !(scale > 0))) fail("E0203", `scales [${scales.join(",")}] for ${axes.length} axes`);
  return axes.map((axis, i) => {
    const from = shapeOf(x)[axis]!;
    return { axis, from, to: Math.floor(from * scales[i]!), scale: scales[i]!, region: [0, 1] };
  });
}

function bySizes(x: Value, sizes: readonly number[], axes: readonly number[], policy: string): AxisPlan[] {
  if (sizes.length !== axes.length || sizes.some((size) => size < 1)) fail("E0203", `sizes [${sizes.join(",")}] for ${axes.length} axes`);
  const ratios = axes.map((axis, i) => sizes[i]! / shapeOf(x)[axis]!);
  const common = policy === "not_larger" ? Math.min(...ratios) : policy === "not_smaller" ? Math.max(...ratios) : undefined;
  return axes.map((axis, i) => {
    const from = shapeOf(x)[axis]!;
    const scale = common ?? ratios[i]!;
    return { axis, from, to: common === undefined ? sizes[i]! : Math.floor(from * scale + 0.5), scale, region: [0, 1] };
  });
}

function apply(e: Emitter, x: Value, plans: readonly AxisPlan[], style: Style): Value {
  if (x.type.dtype !== "f32" && x.type.dtype !== "f64" && style.mode !== "nearest") fail("E0207", `${x.type.dtype} operand in mode ${style.mode}`);
  return plans.reduce((value, plan) => {
    const crops = style.transformation === "tf_crop_and_resize";
    return plan.scale === 1 && plan.from === plan.to && !crops ? value : alongAxis(e, value, plan, style);
  }, x);
}

function alongAxis(e: Emitter, x: Value, plan: AxisPlan, style: Style): Value {
  if (plan.from === 0 || plan.to === 0) fail("E0203", `resizing ${plan.from} elements to ${plan.to}`);
  const taps = range(plan.to).map((o) => tapsAt(o, plan, style));
  const width = taps.reduce((most, tap) => Math.max(most, tap.indices.length), 0);
  const terms = range(width).map((t) => {
    const rows = takeAxis(e, x, plan.axis, integers(e, taps.map((tap) => tap.indices[t] ?? 0)));
    if (style.mode === "nearest") return rows;
    const weights = e.constant(tensor(x.type.dtype, [plan.to], taps.map((tap) => tap.weights[t] ?? 0)));
    return elementwise(e, "mul", rows, broadcastAxes(e, weights, shapeOf(rows), [plan.axis]));
  });
  const value = terms.reduce((left, right) => elementwise(e, "add", left, right));
  if (taps.every((tap) => tap.inside)) return value;
  const inside = e.constant(tensor("bool", [plan.to], taps.map((tap) => (tap.inside ? 1 : 0))));
  return elementwise(e, "select", broadcastAxes(e, inside, shapeOf(value), [plan.axis]), value, scalar(e, x.type.dtype, style.extrapolation));
}

function tapsAt(o: number, plan: AxisPlan, style: Style): Taps {
  const at = sourceCoordinate(o, plan, style.transformation);
  const inside = style.transformation !== "tf_crop_and_resize" || (at >= 0 && at <= plan.from - 1);
  const clamp = (index: number): number => Math.min(Math.max(index, 0), plan.from - 1);
  if (style.mode === "nearest") return { indices: [clamp(round(at, style.rounding))], weights: [1], inside };
  const stretch = style.antialias && plan.scale < 1 ? 1 / plan.scale : 1;
  const kernel = style.mode === "linear" ? triangle : (distance: number): number => cubicKernel(distance, style.cubic);
  const reach = (style.mode === "linear" ? 1 : 2) * stretch;
  const first = Math.floor(at - reach) + 1;
  const indices = range(Math.max(Math.ceil(at + reach) - first, 1), first).filter((index) => Math.abs(index - at) < reach);
  const raw = indices.map((index) => (style.excludeOutside && index !== clamp(index) ? 0 : kernel(Math.abs(index - at) / stretch)));
  const total = style.antialias || style.excludeOutside ? raw.reduce((a, b) => a + b, 0) : 1;
  return { indices: indices.map(clamp), weights: raw.map((weight) => weight / total), inside };
}

function sourceCoordinate(o: number, plan: AxisPlan, transformation: Transformation): number {
  const { from, to, scale } = plan;
  switch (transformation) {
    case "half_pixel": return (o + 0.5) / scale - 0.5;
    case "half_pixel_symmetric": {
      const adjustment = to / (scale * from);
      return (from / 2) * (1 - adjustment) + (o + 0.5) / scale - 0.5;
    }
    case "pytorch_half_pixel": return to > 1 ? (o + 0.5) / scale - 0.5 : 0;
    case "align_corners": {
      // The standard's resized length is the exact one, before it is rounded down to a count of elements.
      const length = scale * from;
      return length === 1 ? 0 : (o * (from - 1)) / (length - 1);
    }
    case "asymmetric": return o / scale;
    case "tf_half_pixel_for_nn": return (o + 0.5) / scale;
    case "tf_crop_and_resize": {
      const [start, end] = plan.region;
      return to > 1 ? start * (from - 1) + (o * (end - start) * (from - 1)) / (to - 1) : 0.5 * (start + end) * (from - 1);
    }
  }
}

function round(at: number, rounding: (typeof roundings)[number]): number {
  switch (rounding) {
    case "floor": return Math.floor(at);
    case "ceil": return Math.ceil(at);
    case "round_prefer_floor": return Math.ceil(at - 0.5);
    case "round_prefer_ceil": return Math.floor(at + 0.5);
  }
}

const triangle = (distance: number): number => Math.max(1 - distance, 0);

/** The cubic convolution kernel with coefficient a. */
function cubicKernel(distance: number, a: number): number {
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a : 0;
}
