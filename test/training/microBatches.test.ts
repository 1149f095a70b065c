/**
 * @file Accumulation over micro-batches goes on with the running sums: a gradient or a curvature batch gives the same bits in whatever micro-batches it is computed.
 * Sizes are powers of two, so that the mean of a micro-batch is rounded nowhere.
 */
import { runProgram } from "@systole/ir";
import { presets } from "@systole/isa";
import { arrangeData, typesOf, type TrainingOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { buildTraining } from "../../packages/systole/src/training/build.ts";
import { info, modelBytes, node } from "../../packages/frontend-onnx/test/support.ts";
import { randomTensor } from "../support.ts";
import { convolution, perceptron, type Trainable } from "./models.ts";
import { compiled, interpretedBits, trained } from "./support.ts";

const samples = 32;

/** An embedding and Dropout: rows added to rows, masks by sample. */
function embedding(): Trainable {
  const f32 = (shape: readonly number[], seed: number) => randomTensor("f32", shape, seed);
  return {
    bytes: modelBytes({
      nodes: [
        node("Gather", ["table", "x"], ["e"], { axis: 0 }), node("Tanh", ["e"], ["h"]), node("MatMul", ["h", "w"], ["a"]), node("Tanh", ["a"], ["t"]), node("Dropout", ["t", "ratio", "on"], ["d"]),
        node("MatMul", ["d", "u"], ["b"]), node("ReduceMean", ["b"], ["m"], { axes: [1], keepdims: 0 }), node("Add", ["m", "bias"], ["y"]),
      ],
      inputs: [info("x", "i64", ["N", 4])], outputs: [info("y", "f32", ["N", 6])],
      initializers: {
        table: f32([5, 6], 1), w: f32([6, 6], 2), u: f32([6, 6], 6), bias: f32([6], 3), ratio: { dtype: "f32", shape: [], data: Float32Array.of(0.25) }, on: { dtype: "bool", shape: [], data: Uint8Array.of(1) },
      },
    }),
    data: new Map([["x", { dtype: "i64", shape: [samples, 4], data: BigInt64Array.from({ length: samples * 4 }, (_, i) => BigInt((i * i + (i >> 3)) % 5)) }], ["target", f32([samples, 6], 4)]]), loss: "squared-error",
  };
}

interface Case {
  readonly model: Trainable;
  readonly options: Partial<TrainingOptions>;
  /** Tensors of the program that say what was computed. */
  readonly compared: readonly string[];
}

const steps: Omit<Case, "model"> = { options: { optimizer: "sgd", iterations: 3, gradientBatch: 16, learningRate: 0.05, weightDecay: 1e-3, seed: 5 }, compared: ["theta", "velocity"] };
// Random signs, where there are no exact squares, are drawn for each micro-batch. The mean loss of a micro-batch is rounded, so that the iterate that is taken in the end may be another one.
const curved: Omit<Case, "model"> = { options: { optimizer: "hessian-free", iterations: 1, lambda: 1, gradientBatch: 32, curvatureBatch: 16, cgIterations: 8, seed: 5, preconditioner: false }, compared: ["gradient", "delta", "iterates", "phi.history"] };

const cases: Readonly<Record<string, Case>> = {
  "perceptron, sgd": { model: perceptron({ samples }), ...steps },
  "convolution, sgd": { model: convolution({ samples }), ...steps },
  "embedding and Dropout, sgd": { model: embedding(), ...steps },
  "perceptron, Hessian-free with exact squares": { model: perceptron({ samples }), options: { ...curved.options, preconditioner: true }, compared: [...curved.compared, "squares", "preconditioner"] },
  "convolution, Hessian-free": { model: convolution({ samples }), ...curved },
  "embedding and Dropout, Hessian-free": { model: embedding(), ...curved },
};

describe.each(Object.entries(cases))("%s", (_, { model: { bytes, data, loss, sampleAxes = {} }, options, compared }) => {
  const built = (microBatch: number) => buildTraining(bytes, typesOf(data), { optimizer: "sgd", loss, sampleAxes, ...options, microBatch } as TrainingOptions);
  const bitsOf = (microBatch: number): readonly string[] => {
    const one = built(microBatch);
    const state = runProgram(one.program, arrangeData(one, data));
    return compared.map((name) => `${name}: ${Array.from(state.read({ tensor: name }).data as Float32Array, (x) => (Object.is(x, -0) ? "-0" : String(x))).join(" ")}`);
  };
  const wanted = bitsOf(16);

  test.each([8, 4, 2])("micro-batches of %d give the bits of one of 16", (microBatch) => {
    expect(bitsOf(microBatch)).toEqual(wanted);
  });

  test("on the device as in the interpreter", () => {
    const one = built(4);
    const machine = presets["edge-16"];
    expect(trained(compiled(one.program, machine).image, machine, arrangeData(one, data)).bits).toEqual(interpretedBits(one.program, arrangeData(one, data)));
  });
});
