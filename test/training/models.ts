/** @file Small ONNX models with data to train on. */
import { tensor, type Tensor } from "@systole/base";
import { info, modelBytes, node } from "../../packages/frontend-onnx/test/support.ts";
import { hash } from "../support.ts";

export interface Trainable {
  readonly bytes: Uint8Array;
  readonly data: ReadonlyMap<string, Tensor>;
  readonly loss: string;
  readonly sampleAxes?: Readonly<Record<string, number>>;
}

/** Uniform in -1..1. */
const noise = (seed: number, index: number): number => hash(seed, index) / 0x80000000 - 1;

function weights(seed: number, shape: readonly number[], fan: number): Tensor {
  return tensor("f32", shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sqrt(3 / fan) * noise(seed, i)));
}

const zeros = (count: number): Tensor => tensor("f32", [count], new Array<number>(count).fill(0));

function uniform(seed: number, shape: readonly number[]): Tensor {
  return weights(seed, shape, 3);
}

/** The class of a sample by the sign of its first two numbers. */
function quadrants(x: Tensor, samples: number): Tensor {
  const size = x.data.length / samples;
  return tensor("i64", [samples], Array.from({ length: samples }, (_, i) => (Number(x.data[i * size]) > 0 ? 2 : 0) + (Number(x.data[i * size + 1]) > 0 ? 1 : 0)));
}

/** tanh, then four classes by Softmax. */
export function perceptron({ features = 6, hidden = 10, samples = 48 } = {}): Trainable {
  const x = uniform(11, [samples, features]);
  return {
    bytes: modelBytes({
      nodes: [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Tanh", ["a"], ["h"]), node("Gemm", ["h", "w2", "b2"], ["z"], { transB: 1 }), node("Softmax", ["z"], ["classes"], { axis: -1 })],
      inputs: [info("x", "f32", ["N", features])], outputs: [info("classes", "f32", ["N", 4])],
      initializers: { w1: weights(1, [features, hidden], features), b1: zeros(hidden), w2: weights(2, [4, hidden], hidden), b2: zeros(4) },
    }),
    data: new Map([["x", x], ["target", quadrants(x, samples)]]), loss: "cross-entropy",
  };
}

/** Convolution, max pool, dense; its preconditioner needs random signs. */
export function convolution({ samples = 16 } = {}): Trainable {
  const x = uniform(12, [samples, 1, 6, 6]);
  return {
    bytes: modelBytes({
      nodes: [
        node("Conv", ["x", "k", "c"], ["a"], { pads: [1, 1, 1, 1] }), node("Relu", ["a"], ["r"]), node("MaxPool", ["r"], ["p"], { kernel_shape: [2, 2], strides: [2, 2] }),
        node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "w", "b"], ["z"]), node("Softmax", ["z"], ["classes"], { axis: -1 }),
      ],
      inputs: [info("x", "f32", ["N", 1, 6, 6])], outputs: [info("classes", "f32", ["N", 4])],
      initializers: { k: weights(3, [3, 1, 3, 3], 9), c: zeros(3), w: weights(4, [27, 4], 27), b: zeros(4) },
    }),
    data: new Map([["x", x], ["target", quadrants(x, samples)]]), loss: "cross-entropy",
  };
}

/** tanh recurrence over six steps, time first; adds up what it has seen. */
export function recurrence({ samples = 60, hidden = 8 } = {}): Trainable {
  const steps = 6;
  const x = uniform(13, [steps, samples, 2]);
  const sums = Array.from({ length: samples }, (_, i) => Array.from({ length: steps }, (__, t) => Number(x.data[(t * samples + i) * 2])).reduce((a, b) => a + b, 0) / steps);
  return {
    bytes: modelBytes({
      nodes: [node("RNN", ["x", "wx", "wh", "bh"], ["", "last"], { hidden_size: hidden }), node("Squeeze", ["last", "axis"], ["h"]), node("Gemm", ["h", "wo", "bo"], ["y"])],
      inputs: [info("x", "f32", [steps, "N", 2])], outputs: [info("y", "f32", ["N", 1])],
      initializers: { wx: weights(5, [1, hidden, 2], 2), wh: weights(6, [1, hidden, hidden], hidden), bh: tensor("f32", [1, 2 * hidden], new Array<number>(2 * hidden).fill(0)), wo: weights(7, [hidden, 1], hidden), bo: zeros(1), axis: tensor("i64", [1], [0]) },
    }),
    data: new Map([["x", x], ["target", tensor("f32", [samples, 1], sums)]]), loss: "squared-error", sampleAxes: { x: 1 },
  };
}

/** r = (10 (y - x^2), 1 - x): a model without data. */
export function rosenbrockModel(): Trainable {
  return {
    bytes: modelBytes({
      nodes: [
        node("Mul", ["x", "x"], ["xx"]), node("Sub", ["y", "xx"], ["d"]), node("Mul", ["d", "ten"], ["r1"]), node("Sub", ["one", "x"], ["r2"]), node("Concat", ["r1", "r2"], ["rs"], { axis: 0 }),
        node("Reshape", ["rs", "row"], ["r"]),
      ],
      inputs: [], outputs: [info("r", "f32", [1, 2])],
      initializers: { x: tensor("f32", [1], [-1.2]), y: tensor("f32", [1], [1]), ten: tensor("f32", [1], [10]), one: tensor("f32", [1], [1]), row: tensor("i64", [2], [1, 2]) },
    }),
    data: new Map(), loss: "squared-error",
  };
}
