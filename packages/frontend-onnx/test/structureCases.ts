/** @file Random cases of the operators that move, choose, convert and make values, and of the composed ones of transformers and losses. */
import { tensor, type Dtype } from "@systole/base";
import type { Case, Random } from "./operatorCase.ts";
import { i64, type AttributeInput } from "./support.ts";

/** ONNX's numbers of element types. */
const types = { f32: 1, i32: 6, i64: 7, bool: 9 } as const;

const bits = (opset: number, count: 1 | 2) => (r: Random): Case => ({
  opset, result: "i64", inputs: { a: r.i64([3, 4], -100, 100), ...(count === 2 ? { b: r.i64(r.pick([[3, 4], [4], [1]]), -100, 100) } : {}) },
});
const logic = (r: Random): Case => ({ inputs: { a: r.bool([3, 4]), b: r.bool(r.pick([[3, 4], [4], [3, 1]])) }, result: "bool" });

function cast(r: Random): Case {
  const to = r.pick(["f32", "i32", "i64", "bool"] as const);
  return { inputs: { x: r.pick([r.f32([3, 4]), r.i64([3, 4], -5, 5), r.bool([3, 4])]) }, attributes: { to: types[to] }, result: to };
}

function special(r: Random): Case["inputs"] {
  return { x: tensor("f32", [2, 3], Array.from({ length: 6 }, () => r.pick([NaN, Infinity, -Infinity, 0, 1, -2]))) };
}

function scatterElements(r: Random): Case {
  const axis = r.int(-2, 1);
  const x = r.f32([3, 4]);
  // Positions along the axis occur once each: of updates that meet, ONNX leaves open which one wins.
  const shape = axis === 0 || axis === -2 ? [2, 4] : [3, 2];
  const along = axis === 0 || axis === -2 ? 0 : 1;
  const extent = x.shape[along]!;
  const shift = r.int(0, extent - 1);
  const positions = Array.from({ length: shape[0]! * shape[1]! }, (_, i) => ((along === 0 ? Math.floor(i / shape[1]!) : i % shape[1]!) + shift) % extent);
  return { inputs: { x, i: i64(positions, shape), u: r.f32(shape) }, attributes: { axis }, fixed: ["i"] };
}

function split(r: Random): Case {
  const axis = r.int(-2, 1);
  const [opset, parts] = [r.pick([11, 13, 18]), [2, 1, 3]];
  const x = r.f32(axis === 0 || axis === -2 ? [6, 2] : [2, 6]);
  const outputs = ["y", "z", "w"];
  if (opset === 11) return { opset, inputs: { x }, attributes: { axis, split: parts }, outputs };
  if (r.int(0, 1) === 0) return { opset, inputs: { x, s: i64(parts) }, fixed: ["s"], attributes: { axis }, outputs };
  return { opset, inputs: { x }, attributes: { axis, ...(opset === 18 ? { num_outputs: 3 } : {}) }, outputs };
}

function attention(r: Random): Case {
  const [b, heads, q, k, width] = [r.int(1, 2), r.int(1, 3), r.int(1, 4), r.int(1, 5), r.int(1, 4)];
  const causal = r.int(0, 1);
  return {
    opset: 23, inputs: { q: r.f32([b, heads, q, width]), k: r.f32([b, heads, k, width]), v: r.f32([b, heads, k, width]), ...(causal === 0 && r.int(0, 1) === 1 ? { m: r.f32([q, k]) } : {}) },
    attributes: { is_causal: causal, ...(r.int(0, 1) === 1 ? { scale: { f: 0.25 } } : {}) },
  };
}

const loss = (r: Random): Case => {
  const [n, classes] = [r.int(1, 4), r.int(2, 5)];
  const deep = r.int(0, 1) === 1 ? [3] : [];
  return {
    opset: 13, inputs: { x: r.f32([n, classes, ...deep]), t: r.i64([n, ...deep], 0, classes - 1), ...(r.int(0, 1) === 1 ? { w: r.f32([classes], 0.1, 2) } : {}) },
    attributes: { reduction: r.pick(["mean", "sum", "none"]), ...(r.int(0, 1) === 1 ? { ignore_index: 0 } : {}) },
  };
};

const values: readonly (readonly [AttributeInput, Dtype])[] = [[{ t: tensor("f32", [1], [2.5]) }, "f32"], [{ t: tensor("i64", [1], [-3]) }, "i64"]];

export const structureCases: Readonly<Record<string, (r: Random) => Case>> = {
  And: logic, Or: logic, Xor: logic, Not: (r) => ({ inputs: { a: r.bool([2, 3]) }, result: "bool" }),
  BitwiseAnd: bits(18, 2), BitwiseOr: bits(18, 2), BitwiseXor: bits(18, 2), BitwiseNot: bits(18, 1),
  BitShift: (r) => ({ inputs: { a: tensor("u8", [4], [1, 6, 200, 255]), b: tensor("u8", [4], [r.int(0, 7), 1, r.int(0, 7), 0]) }, attributes: { direction: r.pick(["LEFT", "RIGHT"]) }, result: "u8" }),
  Cast: cast, CastLike: (r) => ({ opset: 19, inputs: { x: r.f32([3]), like: r.i64([1], 0, 1) }, result: "i64" }),
  IsNaN: (r) => ({ inputs: special(r), result: "bool" }), IsInf: (r) => ({ inputs: special(r), attributes: { detect_negative: r.int(0, 1), detect_positive: r.int(0, 1) }, result: "bool" }),
  Identity: (r) => ({ inputs: { x: r.f32([2, 3]) } }), Dropout: (r) => ({ inputs: { x: r.f32([2, 3]) } }),
  Concat: (r) => ({ inputs: { a: r.f32([2, 3]), b: r.f32([2, 3]), c: r.f32([2, 3]) }, attributes: { axis: r.int(-2, 1) } }),
  Split: split,
  Reshape: (r) => ({ inputs: { x: r.f32([2, 3, 4]), s: i64(r.pick([[4, 6], [0, -1], [-1], [2, 0, 2, 2], [6, 4, 1]])) }, fixed: ["s"] }),
  Squeeze: (r) => ({ inputs: { x: r.f32([1, 3, 1]), ...r.pick([{}, { a: i64([0]) }, { a: i64([-1]) }]) }, fixed: ["a"] }),
  Unsqueeze: (r) => ({ inputs: { x: r.f32([2, 3]), a: i64(r.pick([[0], [-1], [1, 3]])) }, fixed: ["a"] }),
  SpaceToDepth: (r) => ({ inputs: { x: r.f32([1, 2, 4, 6]) }, attributes: { blocksize: 2 } }),
  ReverseSequence: (r) => ({ inputs: { x: r.f32([4, 3]), l: i64([r.int(1, 4), r.int(1, 4), r.int(1, 4)]) }, attributes: { batch_axis: 1, time_axis: 0 }, fixed: ["l"] }),
  Upsample: (r) => ({ opset: 9, inputs: { x: r.f32([1, 2, 3, 2]), s: tensor("f32", [4], [1, 1, r.int(1, 3), r.int(1, 3)]) }, attributes: { mode: "nearest" }, fixed: ["s"] }),
  Where: (r) => ({ inputs: { c: r.bool([3, 4]), a: r.f32([3, 4]), b: r.f32(r.pick([[4], [1], [3, 1]])) } }),
  OneHot: (r) => ({ inputs: { i: r.i64([3], 0, 3), d: i64([4]), v: tensor("f32", [2], [-1, 2]) }, attributes: { axis: r.pick([-1, 0]) }, fixed: ["d"] }),
  EyeLike: (r) => ({ inputs: { x: r.f32([3, 4]) }, attributes: { k: r.int(-2, 3) } }),
  Range: (r) => ({ inputs: { a: i64([r.int(-3, 3)], []), b: i64([9], []), c: i64([r.int(1, 4)], []) }, fixed: ["a", "b", "c"], result: "i64" }),
  Shape: (r) => ({ inputs: { x: r.f32([2, r.int(1, 5), 3]) }, result: "i64" }), Size: (r) => ({ inputs: { x: r.f32([2, r.int(1, 5)]) }, result: "i64" }),
  ConstantOfShape: (r) => {
    const [value, result] = r.pick(values);
    return { inputs: { s: i64([2, r.int(1, 4)]) }, fixed: ["s"], attributes: { value }, result };
  },
  Constant: (r) => ({ inputs: {}, attributes: { value: { t: r.f32([2, 3]) } } }),
  GatherND: (r) => ({ inputs: { x: r.f32([3, 4, 2]), i: i64(r.pick([[0, 1, 2, 3], [-1, 0, 1, -2]]), [2, 2]) } }),
  Scatter: (r) => ({ ...scatterElements(r), opset: 10 }), ScatterElements: scatterElements,
  ScatterND: (r) => ({ inputs: { x: r.f32([4, 3]), i: i64(r.pick([[0, 2], [3, 1]]), [2, 1]), u: r.f32([2, 3]) }, fixed: ["i"] }),
  Attention: attention,
  RotaryEmbedding: (r) => ({ opset: 23, inputs: { x: r.f32([1, 2, 3, 4]), c: r.f32([1, 3, 2]), s: r.f32([1, 3, 2]) }, attributes: { interleaved: r.int(0, 1) } }),
  NegativeLogLikelihoodLoss: loss, SoftmaxCrossEntropyLoss: loss,
};
