/** @file Conv and ConvTranspose: channels last around one general convolution, bias as a separate addition. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, elementwise, inverse, product, range, rankOf, reshape, shapeOf, transpose } from "../lowering/values.ts";
import { input, operator, requireRank, type Call, type Operator } from "./operator.ts";
import { autoPads, perAxis, windowOf } from "./window.ts";

export const convolutionOperators: readonly Operator[] = [
  operator("Conv", conv, "1 to 3 spatial axes"),
  operator("ConvTranspose", convTranspose, "1 to 3 spatial axes"),
];

interface Geometry {
  readonly strides: readonly number[];
  readonly padding: readonly (readonly [number, number])[];
  readonly lhsDilation: readonly number[];
  readonly rhsDilation: readonly number[];
}

function conv(c: Call): Value {
  const [x, w] = [input(c, 0), input(c, 1)];
  const { group, spatial } = operands(c, x, w);
  const [outputs, perGroup, ...kernel] = shapeOf(w) as [number, number, ...number[]];
  if (perGroup * group !== shapeOf(x)[1]) fail("E0203", `${shapeOf(x)[1]} input channels, but the weights take ${perGroup} in ${group} groups`);
  if (outputs % group !== 0) fail("E0203", `${outputs} output channels in ${group} groups`);
  const window = windowOf(c, spatial, kernelShape(c, kernel), false);
  const n = spatial.length;
  const split = reshape(c.e, w, [group, outputs / group, perGroup, ...kernel]);
  const weights = transpose(c.e, split, [0, ...range(n, 3), 2, 1]);
  const y = convolve(c.e, x, weights, group, {
    strides: window.strides, padding: window.padding, lhsDilation: range(n).map(() => 1), rhsDilation: window.dilations,
  });
  return addBias(c, y);
}

/** The transposed convolution: the input is dilated by the strides and the kernel turned round. */
function convTranspose(c: Call): Value {
  const [x, w] = [input(c, 0), input(c, 1)];
  const { group, spatial } = operands(c, x, w);
  const [inputs, perGroup, ...extents] = shapeOf(w) as [number, number, ...number[]];
  if (inputs !== shapeOf(x)[1]) fail("E0203", `${shapeOf(x)[1]} input channels, but the weights take ${inputs}`);
  if (inputs % group !== 0) fail("E0203", `${inputs} input channels in ${group} groups`);
  const n = spatial.length;
  const kernel = kernelShape(c, extents);
  const strides = perAxis(c, "strides", n, 1);
  const dilations = perAxis(c, "dilations", n, 1);
  const padding = transposedPadding(c, spatial, kernel, strides, dilations);
  const split = reshape(c.e, w, [group, inputs / group, perGroup, ...kernel]);
  const turned = c.e.apply("reverse", [transpose(c.e, split, [0, ...range(n, 3), 1, 2])], { axes: range(n, 1) });
  const y = convolve(c.e, x, turned, group, { strides: range(n).map(() => 1), padding, lhsDilation: strides, rhsDilation: dilations });
  return addBias(c, y);
}

function transposedPadding(c: Call, spatial: readonly number[], kernel: readonly number[], strides: readonly number[], dilations: readonly number[]): [number, number][] {
  const n = spatial.length;
  const extra = c.attributes.ints("output_padding") ?? range(n).map(() => 0);
  const pads = c.attributes.ints("pads") ?? range(2 * n).map(() => 0);
  const shape = c.attributes.ints("output_shape");
  const auto = c.attributes.choice("auto_pad", autoPads, "NOTSET");
  if (extra.length !== n || extra.some((value) => value < 0)) c.attributes.refuse("output_padding", `is [${extra.join(",")}]`, `${n} entries of at least 0`);
  if (pads.length !== 2 * n) c.attributes.refuse("pads", `has ${pads.length} entries`, `${2 * n} entries`);
  if (shape !== undefined && shape.length < n) c.attributes.refuse("output_shape", `has ${shape.length} entries`, `${n} entries`);
  return spatial.map((extent, a) => {
    const reach = dilations[a]! * (kernel[a]! - 1);
    const same = auto === "SAME_UPPER" || auto === "SAME_LOWER";
    const wanted = shape?.slice(-n)[a] ?? (same ? extent * strides[a]! : undefined);
    if (wanted === undefined) {
      const [low, high] = auto === "VALID" ? [0, 0] : [pads[a]!, pads[a + n]!];
      return [reach - low, reach - high + extra[a]!];
    }
    const total = strides[a]! * (extent - 1) + extra[a]! + reach + 1 - wanted;
    // An output larger than the whole result is filled up with zeros behind it.
    if (total < 0) return [reach, reach - total + extra[a]!];
    const low = auto === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
    return [reach - low, reach - (total - low) + extra[a]!];
  });
}

/** x is NC..., weights are g01io; the result is NC... again. */
function convolve(e: Emitter, x: Value, weights: Value, group: number, geometry: Geometry): Value {
  const n = rankOf(x) - 2;
  const digits = range(n).join("");
  const [batch, channels, ...spatial] = shapeOf(x) as [number, number, ...number[]];
  const last = [0, ...range(n, 2), 1];
  const channelsLast = transpose(e, x, last);
  const [, ...inner] = shapeOf(weights);
  const outputs = shapeOf(weights).at(-1)! * group;
  const params = { k: `${digits}i`, ...geometry, padding: geometry.padding.map(([low, high]) => [low, high] as const) };
  const toFirst = inverse(last);
  if (group === 1) {
    const y = e.apply("conv", [channelsLast, reshape(e, weights, inner)], { x: `n${digits}i`, w: `${digits}io`, out: `n${digits}o`, ...params });
    return transpose(e, y, toFirst);
  }
  const grouped = reshape(e, channelsLast, [batch, ...spatial, group, channels / group]);
  const y = e.apply("conv", [grouped, weights], { x: `n${digits}gi`, w: `g${digits}io`, out: `n${digits}go`, ...params });
  return transpose(e, reshape(e, y, [...shapeOf(y).slice(0, n + 1), outputs]), toFirst);
}

function addBias(c: Call, y: Value): Value {
  const bias = c.inputs[2];
  if (bias === undefined) return y;
  requireRank(bias, 1, 1);
  if (shapeOf(bias)[0] !== shapeOf(y)[1]) fail("E0203", `a bias of ${product(shapeOf(bias))} elements for ${shapeOf(y)[1]} channels`);
  return elementwise(c.e, "add", y, broadcastAxes(c.e, bias, shapeOf(y), [1]));
}

function operands(c: Call, x: Value, w: Value): { group: number; spatial: readonly number[] } {
  requireRank(x, 3, 5);
  requireRank(w, rankOf(x), rankOf(x));
  const group = c.attributes.int("group", 1);
  if (group < 1) c.attributes.refuse("group", `is ${group}`, "a positive integer");
  return { group, spatial: shapeOf(x).slice(2) };
}

function kernelShape(c: Call, extents: readonly number[]): readonly number[] {
  const given = c.attributes.ints("kernel_shape");
  if (given !== undefined && given.join() !== extents.join()) {
    fail("E0203", `kernel_shape [${given.join(",")}] but weights of [${extents.join(",")}]`, { attribute: "kernel_shape" });
  }
  return extents;
}
