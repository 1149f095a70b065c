/**
 * @file The Hessian product of the oracle networks, which is the tangent of the gradient, in float64, against values of another framework. No sample lies
 * on a kink, so the networks with Relu and maxima have one too.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { importModel } from "@systole/frontend-onnx";
import { buildLossNamed, evaluate, jvp, lossGradient, trainableParameters } from "@systole/ir";
import { decodeTensor, type Tensor } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { readNpz } from "../../packages/cli/src/files/npz.ts";
import { withScores } from "../../packages/systole/src/scores.ts";
import { data } from "./zoo.ts";

const folder = join(data, "oracle");

/** The archive names the loss in a text entry, which is no tensor of ours. */
const lossOf: Readonly<Record<string, string>> = { mlp_tanh_mse_8_16_16_3: "squared-error" };

const length = (values: ArrayLike<number | bigint>) => Math.sqrt(Array.from(values, (x) => Number(x) ** 2).reduce((a, b) => a + b, 0));
const wide = (t: Tensor): Tensor => (t.dtype === "f32" || t.dtype === "f64" ? { dtype: "f32", shape: t.shape, data: Float64Array.from(t.data as Float64Array) } : t);

describe.skipIf(!existsSync(folder))("Hessian products", () => {
  for (const name of existsSync(folder) ? readdirSync(folder).sort() : []) {
    test(name, () => {
      const loss = lossOf[name] ?? "cross-entropy";
      const stored = readNpz(join(folder, name, "oracle.npz"));
      const target = decodeTensor(readFileSync(join(folder, name, "target.pb")));
      const { graph, inputs, outputs: [output] } = importModel(readFileSync(join(folder, name, "model.onnx")));
      const network = withScores({ ...graph, outputs: [] }, graph, { output: output!.name, loss });
      const parameters = trainableParameters(network);
      const piece = buildLossNamed(loss, { scores: network.outputs[0]!.value.type, target });
      const gradients = lossGradient(network, [{ output: output!.name, loss: piece }], parameters);
      const product = jvp(gradients, { wrt: parameters, of: parameters.map((parameter) => `g/${parameter}`) });
      const given = new Map<string, Tensor>([
        [inputs[0]!.name, wide(decodeTensor(readFileSync(join(folder, name, "test_data_set_0/input_0.pb"))))], ["target", wide(target)],
        ...parameters.map((parameter) => [`d.${parameter}`, wide(stored.get(`v/${parameter}`)!)] as const),
      ]);
      const results = evaluate(product, given, "float64");
      const whole = length(parameters.flatMap((parameter) => Array.from(stored.get(`Hv/${parameter}`)!.data, Number)));
      for (const parameter of parameters) {
        const [got, wanted] = [results.get(`d.g/${parameter}`)!, stored.get(`Hv/${parameter}`)!];
        const wrong = length(Array.from(got.data, (x, i) => Number(x) - Number(wanted.data[i])));
        // They are stored in float32.
        expect(wrong, parameter).toBeLessThanOrEqual(2 ** -24 * length(wanted.data) + 1e-9 * whole);
      }
    });
  }
});
