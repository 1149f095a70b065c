/** @file Trained models: the file as it was but for its parameters, and the same scores in ONNX Runtime as on the device. */
import { replaceParameters } from "@systole/frontend-onnx";
import { presets } from "@systole/isa";
import { arrangeData, compile, compileTraining, Device, run, typesOf, type Tensor, type TrainingOptions } from "@systole/systole";
import { expect, test } from "vitest";
import { messages } from "../../packages/frontend-onnx/test/support.ts";
import { mismatch, runOnnxRuntime } from "../onnxRuntime.ts";
import { convolution, perceptron, recurrence, type Trainable } from "./models.ts";

const machine = presets["train-32"];
const cases: Readonly<Record<string, { readonly model: Trainable; readonly input: readonly number[]; readonly options: Partial<TrainingOptions> }>> = {
  perceptron: { model: perceptron(), input: [48, 6], options: { lambda: 1, microBatch: 16 } },
  convolution: { model: convolution(), input: [16, 1, 6, 6], options: { optimizer: "adam", gradientBatch: 8, learningRate: 0.02, freeze: ["c"] } },
  recurrence: { model: recurrence(), input: [6, 60, 2], options: { profile: "rnn", microBatch: 6, curvatureBatch: 12, cgIterations: 10 } },
};

test.each(Object.keys(cases))("%s", async (name) => {
  const { model: { bytes, data, loss, sampleAxes = {} }, input, options } = cases[name]!;
  const compiled = compileTraining(bytes, machine, typesOf(data), { optimizer: "hessian-free", iterations: 3, loss, sampleAxes, ...options });
  const { outputs: parameters } = new Device(compiled.image, machine).run(arrangeData(compiled, data), { readBack: ["parameter"] });
  const trained = replaceParameters(bytes, parameters);

  const before = messages.ModelProto.decode(bytes).graph!.initializer!;
  const after = messages.ModelProto.decode(trained).graph!.initializer!;
  const changed = before.filter(({ rawData }, i) => Buffer.compare(rawData!, after[i]!.rawData!) !== 0).map(({ name: initializer }) => initializer!);
  expect(changed.toSorted()).toEqual([...compiled.problem.trained].toSorted());
  const rest = (model: Uint8Array): unknown => {
    const proto = messages.ModelProto.decode(model);
    return messages.ModelProto.toObject(messages.ModelProto.create({ ...proto, graph: { ...proto.graph, initializer: [] } }));
  };
  expect(rest(trained)).toEqual(rest(bytes));
  const originals = new Map([...parameters].map(([key, { dtype, shape }]): [string, Tensor] => {
    const { rawData } = before.find((proto) => proto.name === key)!;
    return [key, { dtype, shape, data: new Float32Array(rawData!.slice().buffer) }];
  }));
  expect(Buffer.from(replaceParameters(trained, originals)).equals(Buffer.from(replaceParameters(bytes, originals)))).toBe(true);
  expect(replaceParameters(bytes, originals).length).toBe(trained.length);

  const inputs = new Map([["x", data.get("x")!]]);
  const inference = compile(trained, machine, { shapes: { x: input } });
  const { outputs } = run(inference.image, machine, inputs);
  for (const [output, expected] of await runOnnxRuntime(trained, inputs)) expect(mismatch(outputs.get(output)!, expected, 1e-5, 1e-6)).toBeUndefined();
});
