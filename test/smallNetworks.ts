/** @file Whole small networks as ONNX bytes, made here: what the tests of tilings and the fuzzer start from. */
import { elementCount, tensor, type Tensor } from "@systole/base";
import { info, modelBytes, node, type ModelInput } from "../packages/frontend-onnx/test/support.ts";
import { hash } from "./support.ts";

export interface NetworkSize {
  readonly batch: number;
  /** Height and width of an image, features of a vector, or length of a sequence. */
  readonly side: number;
  readonly channels: number;
  readonly seed: number;
}

/** Weights in -1..1, scaled by the number of terms that a sum of them has. */
function weights(seed: number, shape: readonly number[], terms = 1): Tensor {
  const scale = Math.sqrt(3 / terms);
  return tensor("f32", shape, Array.from({ length: elementCount(shape) }, (_, i) => scale * (hash(seed, i) / 0x80000000 - 1)));
}

const positive = (seed: number, count: number): Tensor => tensor("f32", [count], Array.from({ length: count }, (_, i) => 0.5 + hash(seed, i) / 0x100000000));
const i64 = (values: readonly number[]): Tensor => tensor("i64", [values.length], values);

/** The shape of mnist_8: two convolutions with pooling, then a matrix product. */
function convolutional({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const pooled = Math.floor(Math.floor(side / 2) / 2);
  const features = 2 * channels * pooled * pooled;
  return {
    inputs: [info("x", "f32", [batch, 1, side, side])], outputs: [info("y", "f32", [batch, 10])],
    initializers: {
      w1: weights(seed, [channels, 1, 5, 5], 25), b1: weights(seed + 1, [channels, 1, 1]), w2: weights(seed + 2, [2 * channels, channels, 5, 5], 25 * channels), b2: weights(seed + 3, [2 * channels]),
      shape: i64([batch, features]), w3: weights(seed + 4, [features, 10], features), b3: weights(seed + 5, [1, 10]),
    },
    nodes: [
      node("Conv", ["x", "w1"], ["c1"], { kernel_shape: [5, 5], auto_pad: "SAME_UPPER" }), node("Add", ["c1", "b1"], ["a1"]), node("Relu", ["a1"], ["r1"]),
      node("MaxPool", ["r1"], ["p1"], { kernel_shape: [2, 2], strides: [2, 2] }), node("Conv", ["p1", "w2", "b2"], ["c2"], { pads: [2, 2, 2, 2] }), node("Relu", ["c2"], ["r2"]),
      node("MaxPool", ["r2"], ["p2"], { kernel_shape: [2, 2], strides: [2, 2] }), node("Reshape", ["p2", "shape"], ["f"]), node("MatMul", ["f", "w3"], ["m"]), node("Add", ["m", "b3"], ["z"]),
      node("Softmax", ["z"], ["y"], { axis: -1 }),
    ],
  };
}

/** A residual block with a strided shortcut, a depthwise convolution, global pooling and a classifier. */
function residual({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const wide = 2 * channels;
  const normal = (name: string, at: number) => ({ [`${name}s`]: positive(at, wide), [`${name}b`]: weights(at + 1, [wide]), [`${name}m`]: weights(at + 2, [wide]), [`${name}v`]: positive(at + 3, wide) });
  const normalize = (name: string, x: string, y: string) => node("BatchNormalization", [x, `${name}s`, `${name}b`, `${name}m`, `${name}v`], [y]);
  return {
    inputs: [info("x", "f32", [batch, channels, side, side])], outputs: [info("y", "f32", [batch, 5])],
    initializers: {
      w1: weights(seed, [wide, channels, 3, 3], 9 * channels), w2: weights(seed + 1, [wide, 1, 3, 3], 9), w3: weights(seed + 2, [wide, channels, 1, 1], channels), w4: weights(seed + 3, [5, wide], wide), b4: weights(seed + 4, [5]),
      ...normal("n1", seed + 10), ...normal("n2", seed + 20), ...normal("n3", seed + 30),
    },
    nodes: [
      node("Conv", ["x", "w1"], ["c1"], { pads: [1, 1, 1, 1], strides: [2, 2] }), normalize("n1", "c1", "d1"), node("Relu", ["d1"], ["r1"]),
      node("Conv", ["r1", "w2"], ["c2"], { pads: [1, 1, 1, 1], group: wide }), normalize("n2", "c2", "d2"), node("Conv", ["x", "w3"], ["c3"], { strides: [2, 2] }), normalize("n3", "c3", "d3"),
      node("Add", ["d2", "d3"], ["s"]), node("HardSwish", ["s"], ["r2"]), node("GlobalAveragePool", ["r2"], ["g"]), node("Flatten", ["g"], ["f"]), node("Gemm", ["f", "w4", "b4"], ["y"], { transB: 1 }),
    ],
  };
}

function perceptron({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const [features, hidden] = [side * 3, channels * 7];
  return {
    inputs: [info("x", "f32", [batch, features])], outputs: [info("y", "f32", [batch, 10]), info("best", "i64", [batch])],
    initializers: {
      w1: weights(seed, [features, hidden], features), b1: weights(seed + 1, [hidden]), w2: weights(seed + 2, [hidden, hidden], hidden), b2: weights(seed + 3, [hidden]), w3: weights(seed + 4, [10, hidden], hidden), b3: weights(seed + 5, [10]),
      s: positive(seed + 6, hidden), o: weights(seed + 7, [hidden]),
    },
    nodes: [
      node("Gemm", ["x", "w1", "b1"], ["h1"]), node("Tanh", ["h1"], ["t1"]), node("LayerNormalization", ["t1", "s", "o"], ["n1"]), node("Gemm", ["n1", "w2", "b2"], ["h2"], { alpha: { f: 0.5 } }),
      node("Sigmoid", ["h2"], ["t2"]), node("Gemm", ["t2", "w3", "b3"], ["z"], { transB: 1 }), node("LogSoftmax", ["z"], ["y"]), node("ArgMax", ["z"], ["best"], { axis: 1, keepdims: 0 }),
    ],
  };
}

/** One head of attention over looked-up rows, with concatenation and a slice behind it. */
function attention({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const width = 4 * channels;
  return {
    inputs: [info("x", "f32", [batch, side, width])], outputs: [info("y", "f32", [batch, side, width])],
    initializers: {
      q: weights(seed, [width, width], width), k: weights(seed + 1, [width, width], width), v: weights(seed + 2, [width, width], width), scale: tensor("f32", [], [1 / Math.sqrt(width)]),
      rows: i64(Array.from({ length: side }, (_, i) => (i * 3) % side)), starts: i64([width]), ends: i64([2 * width]), axes: i64([2]),
    },
    nodes: [
      node("Gather", ["x", "rows"], ["g"], { axis: 1 }), node("MatMul", ["g", "q"], ["gq"]), node("MatMul", ["x", "k"], ["xk"]), node("MatMul", ["x", "v"], ["xv"]), node("Transpose", ["xk"], ["kt"], { perm: [0, 2, 1] }),
      node("MatMul", ["gq", "kt"], ["e"]), node("Mul", ["e", "scale"], ["es"]), node("Softmax", ["es"], ["p"], { axis: -1 }), node("MatMul", ["p", "xv"], ["o"]), node("Erf", ["o"], ["oe"]),
      node("Concat", ["o", "oe"], ["c"], { axis: 2 }), node("Slice", ["c", "starts", "ends", "axes"], ["cs"]), node("Sub", ["cs", "g"], ["y"]),
    ],
  };
}

/** Down by strided convolutions and up again by transposed ones. */
function autoencoder({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const size = 4 * Math.max(1, Math.floor(side / 4));
  const wide = 2 * channels;
  return {
    inputs: [info("x", "f32", [batch, 1, size, size])], outputs: [info("y", "f32", [batch, 1, size, size])],
    initializers: {
      w1: weights(seed, [channels, 1, 3, 3], 9), b1: weights(seed + 1, [channels]), w2: weights(seed + 2, [wide, channels, 3, 3], 9 * channels), w3: weights(seed + 3, [wide, channels, 3, 3], 9 * wide), b3: weights(seed + 4, [channels]),
      w4: weights(seed + 5, [channels, 1, 2, 2], 4 * channels), b4: weights(seed + 6, [1]),
    },
    nodes: [
      node("Conv", ["x", "w1", "b1"], ["c1"], { pads: [1, 1, 1, 1], strides: [2, 2] }), node("Relu", ["c1"], ["r1"]), node("Conv", ["r1", "w2"], ["c2"], { pads: [1, 1, 1, 1], strides: [2, 2] }), node("Tanh", ["c2"], ["t2"]),
      node("ConvTranspose", ["t2", "w3", "b3"], ["c3"], { pads: [1, 1, 1, 1], strides: [2, 2], output_padding: [1, 1] }), node("Elu", ["c3"], ["r3"]), node("ConvTranspose", ["r3", "w4", "b4"], ["c4"], { strides: [2, 2] }),
      node("Sigmoid", ["c4"], ["y"]),
    ],
  };
}

/** Batch normalisation in training form: the statistics couple the samples. */
function normalized({ batch, side, channels, seed }: NetworkSize): ModelInput {
  return {
    inputs: [info("x", "f32", [batch, 2, side, side])], outputs: [info("y", "f32", [batch, 4]), info("rm", "f32", [channels]), info("rv", "f32", [channels])],
    initializers: {
      w1: weights(seed, [channels, 2, 3, 3], 18), s: positive(seed + 1, channels), b: weights(seed + 2, [channels]), m: weights(seed + 3, [channels]), v: positive(seed + 4, channels), w2: weights(seed + 5, [4, channels], channels), b2: weights(seed + 6, [4]),
    },
    nodes: [
      node("Conv", ["x", "w1"], ["c"], { pads: [1, 1, 1, 1] }), node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n", "rm", "rv"], { training_mode: 1 }), node("Relu", ["n"], ["r"]),
      node("GlobalAveragePool", ["r"], ["g"]), node("Flatten", ["g"], ["f"]), node("Gemm", ["f", "w2", "b2"], ["y"], { transB: 1 }),
    ],
  };
}

/** A gated recurrence in both directions, and a classifier on the last state. */
function recurrent({ batch, side, channels, seed }: NetworkSize): ModelInput {
  const [features, hidden] = [channels + 1, channels + 2];
  return {
    inputs: [info("x", "f32", [side, batch, features])], outputs: [info("y", "f32", [batch, 5])],
    initializers: {
      w: weights(seed, [2, 3 * hidden, features], features), r: weights(seed + 1, [2, 3 * hidden, hidden], 3 * hidden), b: weights(seed + 2, [2, 6 * hidden]),
      start: i64([0]), end: i64([1]), axis: i64([0]), w2: weights(seed + 3, [hidden, 5], hidden), b2: weights(seed + 4, [5]),
    },
    nodes: [
      node("GRU", ["x", "w", "r", "b"], ["", "h"], { hidden_size: hidden, direction: "bidirectional" }), node("Slice", ["h", "start", "end", "axis"], ["h0"]), node("Squeeze", ["h0", "axis"], ["hs"]),
      node("Gemm", ["hs", "w2", "b2"], ["y"]),
    ],
  };
}

export const smallNetworks = { convolutional, residual, perceptron, attention, autoencoder, normalized, recurrent } as const satisfies Record<string, (size: NetworkSize) => ModelInput>;
export type SmallNetworkName = keyof typeof smallNetworks;
export const smallNetworkNames = Object.keys(smallNetworks) as readonly SmallNetworkName[];

export function smallNetwork(name: SmallNetworkName, size: NetworkSize): Uint8Array {
  return modelBytes(smallNetworks[name](size));
}
