/** @file A generator of random cases for each operator. Shared by the tests of the import and of the device, and by the fuzzer. */
import { tensor, type Dtype, type Tensor } from "@systole/base";
import type { Case, Random } from "./operatorCase.ts";
import { recurrentCases } from "./recurrentCases.ts";
import { controlCases } from "./controlCases.ts";
import { structureCases } from "./structureCases.ts";
import { i64, type AttributeInput } from "./support.ts";

const unary = (low = -3, high = 3) => (r: Random): Case => ({ inputs: { x: r.f32([r.int(1, 4), r.int(1, 5)], low, high) } });
const floats = (names: readonly string[]) => (r: Random): Case => ({
  inputs: { x: r.f32([2, r.int(1, 5)]) }, attributes: Object.fromEntries(names.map((name) => [name, { f: r.int(1, 20) / 8 }])),
});

function broadcastPair(r: Random): { a: Tensor; b: Tensor } {
  const shape = [r.int(1, 3), r.int(1, 4), r.int(1, 3)];
  const narrow = (): number[] => shape.slice(r.int(0, 2)).map((extent) => (r.int(0, 2) === 0 ? 1 : extent));
  return r.int(0, 1) === 0 ? { a: r.f32(shape), b: r.f32(narrow()) } : { a: r.f32(narrow()), b: r.f32(shape) };
}
const binary = (result: Dtype = "f32") => (r: Random): Case => ({ inputs: broadcastPair(r), result });

function convolution(r: Random): Case {
  const n = r.int(1, 3);
  const group = r.pick([1, 1, 2, 3]);
  const perGroup = r.int(1, 2);
  const kernel = Array.from({ length: n }, () => r.int(1, 3));
  const spatial = kernel.map(() => r.int(5, 7));
  const auto = r.pick(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const outputs = group * r.int(1, 2);
  return {
    inputs: { x: r.f32([r.int(1, 2), group * perGroup, ...spatial]), w: r.f32([outputs, perGroup, ...kernel]), ...(r.int(0, 1) === 1 ? { b: r.f32([outputs]) } : {}) },
    attributes: {
      group, auto_pad: auto, strides: kernel.map(() => r.int(1, 3)), dilations: kernel.map(() => (auto.startsWith("SAME") ? 1 : r.int(1, 2))),
      ...(auto === "NOTSET" ? { pads: [...kernel, ...kernel].map((k) => r.int(0, k)) } : {}),
    },
  };
}

function transposedConvolution(r: Random): Case {
  const n = r.int(1, 2);
  const group = r.pick([1, 2]);
  const kernel = Array.from({ length: n }, () => r.int(1, 3));
  const strides = kernel.map(() => r.int(1, 3));
  return {
    inputs: { x: r.f32([1, group * 2, ...kernel.map(() => r.int(3, 5))]), w: r.f32([group * 2, r.int(1, 2), ...kernel]) },
    attributes: { group, strides, dilations: kernel.map(() => r.int(1, 2)), pads: [...kernel, ...kernel].map((k) => r.int(0, k - 1)), output_padding: strides.map((s) => r.int(0, s - 1)) },
  };
}

const pool = (extra: (r: Random) => Readonly<Record<string, AttributeInput>>, opset: number, dilated: boolean) => (r: Random): Case => {
  const n = r.int(1, 3);
  const kernel = Array.from({ length: n }, () => r.int(1, 3));
  const auto = r.pick(["NOTSET", "NOTSET", "SAME_UPPER", "VALID"]);
  return {
    opset,
    inputs: { x: r.f32([r.int(1, 2), 2, ...kernel.map(() => r.int(5, 8))]) },
    attributes: {
      kernel_shape: kernel, strides: kernel.map((k) => r.int(1, k)), auto_pad: auto, ...(dilated ? { dilations: kernel.map(() => (auto === "NOTSET" ? r.int(1, 2) : 1)) } : {}),
      ...(auto === "NOTSET" ? { pads: [...kernel, ...kernel].map((k) => r.int(0, k - 1)) } : {}), ...extra(r),
    },
  };
};

const reduction = (low: number, opset: number) => (r: Random): Case => {
  const rank = r.int(1, 4);
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter(() => r.int(0, 1) === 1);
  const list = axes.map((axis) => (r.int(0, 1) === 1 ? axis : axis - rank));
  const x = r.f32(Array.from({ length: rank }, () => r.int(1, 5)), low, 3);
  const keep = { keepdims: r.int(0, 1) };
  if (opset < 18) return { opset, inputs: { x }, attributes: { ...keep, ...(list.length > 0 ? { axes: list } : {}) } };
  return { opset, inputs: { x, axes: i64(list) }, fixed: ["axes"], attributes: keep };
};

export const alongAxis = (opset: number) => (r: Random): Case => ({ opset, inputs: { x: r.f32([r.int(1, 3), r.int(1, 4), r.int(1, 5)]) }, attributes: { axis: r.int(-3, 2) } });

function matrices(r: Random): Case {
  const [m, k, n] = [r.int(1, 4), r.int(1, 5), r.int(1, 4)];
  const batch = [r.int(1, 3), r.int(1, 3)];
  const some = (): number[] => batch.slice(r.int(0, 2)).map((extent) => (r.int(0, 1) === 0 ? 1 : extent));
  return r.pick([
    { inputs: { a: r.f32([...some(), m, k]), b: r.f32([...batch, k, n]) } }, { inputs: { a: r.f32([...batch, m, k]), b: r.f32([...some(), k, n]) } },
    { inputs: { a: r.f32([k]), b: r.f32([...some(), k, n]) } }, { inputs: { a: r.f32([...batch, m, k]), b: r.f32([k]) } }, { inputs: { a: r.f32([k]), b: r.f32([k]) } },
  ]);
}

function gemm(r: Random): Case {
  const [m, k, n, transA, transB] = [r.int(1, 4), r.int(1, 5), r.int(1, 4), r.int(0, 1), r.int(0, 1)];
  const c = r.pick([[m, n], [n], [1, n], [m, 1], []]);
  return {
    inputs: { a: r.f32(transA === 1 ? [k, m] : [m, k]), b: r.f32(transB === 1 ? [n, k] : [k, n]), ...(r.int(0, 3) > 0 ? { c: r.f32(c) } : {}) },
    attributes: { transA, transB, alpha: { f: r.pick([1, 0.5]) }, beta: { f: r.pick([1, 2, 0]) } },
  };
}

export const equations: readonly [string, readonly (readonly number[])[]][] = [
  ["ij,jk->ik", [[2, 3], [3, 4]]], ["bij,bjk->bik", [[2, 2, 3], [2, 3, 4]]], ["...ij,...jk->...ik", [[4, 2, 3], [4, 3, 2]]], ["ii->i", [[3, 3]]], ["ii", [[3, 3]]],
  ["ij->ji", [[2, 3]]], ["ij->", [[2, 3]]], ["i,j->ij", [[2], [3]]], ["ij,ij->ij", [[2, 3], [2, 3]]], ["ab,bc,cd->ad", [[2, 3], [3, 4], [4, 2]]], ["bhwc,hkc->bhwk", [[2, 2, 3, 4], [2, 3, 4]]],
  ["iij->ij", [[2, 2, 3]]], ["ij,k->j", [[2, 3], [4]]],
];

function slice(r: Random): Case {
  const shape = [r.int(1, 6), r.int(1, 6)];
  const axes = r.pick([[0], [1], [0, 1], [-1], [1, 0]]);
  const list = (least: number, most: number): Tensor => i64(axes.map(() => r.int(least, most)));
  const steps = i64(axes.map(() => r.pick([1, 2, -1, -2])));
  return { inputs: { x: r.f32(shape), starts: list(-8, 8), ends: list(-8, 8), axes: i64(axes), steps }, fixed: ["starts", "ends", "axes", "steps"] };
}

function padding(r: Random): Case {
  const mode = r.pick(["constant", "reflect", "edge"]);
  return {
    inputs: { x: r.f32([r.int(3, 5), r.int(3, 5)]), pads: i64([0, 0, 0, 0].map(() => r.int(mode === "constant" ? -1 : 0, 2))), v: tensor("f32", [], [r.int(-3, 3)]) },
    attributes: { mode }, fixed: ["pads"],
  };
}

function resize(r: Random): Case {
  const mode = r.pick(["nearest", "linear", "cubic"]);
  const coordinate = r.pick(["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners"]);
  const shape = [1, 2, r.int(2, 5), r.int(2, 5)];
  const sizes = i64([1, 2, r.int(2, 9), r.int(2, 9)]);
  return {
    inputs: { x: r.f32(shape), none1: tensor("f32", [0], []), none2: tensor("f32", [0], []), sizes }, fixed: ["sizes"],
    attributes: { mode, coordinate_transformation_mode: coordinate, ...(mode === "nearest" ? { nearest_mode: r.pick(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]) } : {}) },
  };
}

function gatherElements(r: Random): Case {
  const shape = [r.int(2, 4), r.int(2, 4)];
  const axis = r.int(-2, 1);
  const extent = shape.at(axis)!;
  return { inputs: { x: r.f32(shape), i: i64(Array.from({ length: shape[0]! * shape[1]! }, () => r.int(-extent, extent - 1)), shape) }, attributes: { axis } };
}

export const operatorCases: Readonly<Record<string, (r: Random) => Case>> = {
  Abs: unary(), Acos: unary(-1, 1), Acosh: unary(1, 9), Asin: unary(-1, 1), Asinh: unary(), Atan: unary(), Atanh: unary(-0.9, 0.9), Ceil: unary(), Cos: unary(), Cosh: unary(), Erf: unary(), Exp: unary(),
  Floor: unary(), Log: unary(0.1, 9), Neg: unary(), Reciprocal: unary(1, 4), Round: unary(), Sigmoid: unary(-20, 20), Sign: unary(), Sin: unary(), Sinh: unary(), Softplus: unary(-20, 20), Softsign: unary(),
  Sqrt: unary(0, 9), Tan: unary(-1, 1), Tanh: unary(), Relu: unary(), HardSwish: unary(-6, 6), Mish: (r) => ({ ...unary()(r), opset: 18 }),
  Gelu: (r) => ({ ...unary()(r), opset: 20, attributes: { approximate: r.pick(["none", "tanh"]) } }),
  LeakyRelu: floats(["alpha"]), Elu: floats(["alpha"]), Celu: floats(["alpha"]), ThresholdedRelu: floats(["alpha"]), Selu: floats(["alpha", "gamma"]), HardSigmoid: floats(["alpha", "beta"]), Shrink: floats(["bias", "lambd"]),
  PRelu: (r) => ({ inputs: { x: r.f32([2, 3, 4]), s: r.f32(r.pick([[3, 1], [4], [1]])) } }),
  Clip: (r) => ({ inputs: { x: r.f32([3, 4]), ...r.pick([{ lo: tensor("f32", [], [-1]) }, { none1: tensor("f32", [], [0]), hi: tensor("f32", [], [1]) }, { lo: tensor("f32", [], [2]), hi: tensor("f32", [], [1]) }]) } }),
  Add: binary(), Sub: binary(), Mul: binary(), Div: binary(), Max: binary(), Min: binary(), Sum: binary(), Mean: binary(), Greater: binary("bool"), Less: binary("bool"), GreaterOrEqual: binary("bool"), LessOrEqual: binary("bool"), Equal: binary("bool"),
  Mod: (r) => ({ inputs: { a: i64([-7, 7, -6, 5]), b: i64(r.pick([[3, -3, 3, 5], [2, 2, -4, -7]])) }, attributes: { fmod: r.int(0, 1) }, result: "i64" }),
  Pow: (r) => ({ inputs: { a: r.f32([2, 3], 0.1, 3), b: r.pick([r.f32([3]), tensor("i64", [], [3]), tensor("f32", [], [2])]) } }),
  Conv: convolution, ConvTranspose: transposedConvolution, MatMul: matrices, Gemm: gemm,
  MaxPool: pool((r) => ({ ceil_mode: r.int(0, 1) }), 12, true),
  AveragePool: pool((r) => ({ count_include_pad: r.int(0, 1) }), 11, false),
  LpPool: pool((r) => ({ p: r.int(1, 3) }), 11, false),
  GlobalAveragePool: (r) => ({ inputs: { x: r.f32([2, 3, r.int(1, 9), r.int(1, 9)]) } }), GlobalMaxPool: (r) => ({ inputs: { x: r.f32([2, 3, r.int(1, 9)]) } }),
  BatchNormalization: (r) => ({ inputs: { x: r.f32([2, 3, r.int(1, 4)]), s: r.f32([3]), b: r.f32([3]), m: r.f32([3]), v: r.f32([3], 0.1, 2) }, opset: r.pick([9, 15]), attributes: { epsilon: { f: 0.01 } } }),
  InstanceNormalization: (r) => ({ inputs: { x: r.f32([2, 3, r.int(2, 9)]), s: r.f32([3]), b: r.f32([3]) } }),
  LayerNormalization: (r) => ({ inputs: { x: r.f32([2, 3, 5]), s: r.f32([5]), b: r.f32([5]) } }),
  LRN: (r) => ({ inputs: { x: r.f32([1, 6, 2, 3]) }, attributes: { size: r.pick([1, 3, 5]), alpha: { f: 0.5 }, beta: { f: 0.75 }, bias: { f: 2 } } }),
  GlobalLpPool: (r) => ({ inputs: { x: r.f32([2, 3, r.int(1, 5), r.int(1, 5)]) }, attributes: { p: r.int(1, 3) } }),
  GroupNormalization: (r) => ({ opset: 21, inputs: { x: r.f32([2, 6, r.int(1, 4), 3]), s: r.f32([6]), b: r.f32([6]) }, attributes: { num_groups: r.pick([1, 2, 3, 6]) } }),
  RMSNormalization: (r) => ({ opset: 23, inputs: { x: r.f32([2, 3, r.int(1, 9)]), s: r.f32([1]) }, attributes: { axis: r.pick([-1, 1]), epsilon: { f: 0.01 } } }),
  Swish: (r) => ({ opset: 24, inputs: { x: r.f32([2, 5]) }, attributes: { alpha: { f: r.pick([1, 0.5]) } } }),
  LpNormalization: (r) => ({ inputs: { x: r.f32([2, 3]) }, attributes: { axis: r.int(-2, 1), p: r.int(1, 2) } }),
  MeanVarianceNormalization: (r) => ({ inputs: { x: r.f32([2, 3, 4, 2]) } }),
  Softmax: alongAxis(13), LogSoftmax: alongAxis(13), Hardmax: alongAxis(13),
  ReduceSum: (r) => (r.int(0, 1) === 0 ? reduction(-3, 11)(r) : reduction(-3, 18)(r)), ReduceMean: reduction(-3, 18), ReduceMax: reduction(-3, 13), ReduceMin: reduction(-3, 18), ReduceProd: reduction(-3, 11), ReduceL1: reduction(-3, 18), ReduceL2: reduction(-3, 13),
  ReduceLogSum: reduction(0.1, 18), ReduceLogSumExp: reduction(-3, 13), ReduceSumSquare: reduction(-3, 18),
  ArgMax: (r) => ({ inputs: { x: r.f32([3, 4, 2]) }, attributes: { axis: r.int(-3, 2), keepdims: r.int(0, 1), select_last_index: r.int(0, 1) }, result: "i64" }),
  ArgMin: (r) => ({ inputs: { x: tensor("f32", [3, 4], Array.from({ length: 12 }, () => r.int(-2, 2))) }, attributes: { axis: r.int(-2, 1), keepdims: r.int(0, 1), select_last_index: r.int(0, 1) }, result: "i64" }),
  CumSum: (r) => ({ inputs: { x: r.f32([3, 4]), axis: i64([r.int(-2, 1)], []) }, fixed: ["axis"], attributes: { exclusive: r.int(0, 1), reverse: r.int(0, 1) } }),
  TopK: (r) => ({ inputs: { x: r.f32([3, 5]), k: i64([r.int(1, 3)]) }, fixed: ["k"], attributes: { axis: r.int(-2, 1), largest: r.int(0, 1) }, outputs: ["y", "positions"] }),
  Transpose: (r) => ({ inputs: { x: r.f32([2, 3, 4]) }, attributes: { perm: r.pick([[0, 2, 1], [2, 0, 1], [1, 2, 0]]) } }),
  Flatten: (r) => ({ inputs: { x: r.f32([2, 3, 4]) }, attributes: { axis: r.int(-3, 3) } }),
  Tile: (r) => ({ inputs: { x: r.f32([2, 3]), n: i64([r.int(1, 3), r.int(1, 3)]) }, fixed: ["n"] }),
  Expand: (r) => ({ inputs: { x: r.f32([3, 1]), s: i64(r.pick([[2, 1, 4], [3, 2], [1]])) }, fixed: ["s"] }),
  Slice: slice, Pad: padding, Resize: resize, GatherElements: gatherElements,
  Gather: (r) => ({ inputs: { x: r.f32([3, 4, 2]), i: i64(r.pick([[0], [-1, 1], [1, 0, -2]])) }, attributes: { axis: r.int(-3, 2) }, fixed: r.pick([[], ["i"]]) }),
  DepthToSpace: (r) => ({ inputs: { x: r.f32([1, 8, 2, 3]) }, attributes: { blocksize: 2, mode: r.pick(["DCR", "CRD"]) } }),
  Trilu: (r) => ({ inputs: { x: r.f32([2, 3, 4]), k: i64([r.int(-3, 4)], []) }, fixed: ["k"], attributes: { upper: r.int(0, 1) } }),
  ...structureCases,
  ...recurrentCases,
  ...controlCases,
};
