/** @file Loss, gradient and Gauss-Newton product of the oracle networks, computed by the device of every preset, against values made in float64 by another framework. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeTensor, Device, differentiate, InputError, presets, type Machine, type Tensor } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { readNpz } from "../../packages/cli/src/files/npz.ts";
import { difference } from "../support.ts";
import { data } from "./zoo.ts";

const folder = join(data, "oracle");
const machines: readonly Machine[] = Object.values(presets);
/** The archive names the loss in a text entry, which is no tensor of ours. */
const lossOf: Readonly<Record<string, string>> = { mlp_tanh_mse_8_16_16_3: "squared-error" };

const length = (values: ArrayLike<number | bigint>) => Math.sqrt(Array.from(values, (x) => Number(x) ** 2).reduce((a, b) => a + b, 0));

describe.skipIf(!existsSync(folder))("oracles", () => {
  for (const name of existsSync(folder) ? readdirSync(folder).sort() : []) {
    test(name, (context) => {
      const path = (file: string) => join(folder, name, file);
      const stored = readNpz(path("oracle.npz"));
      const target = decodeTensor(readFileSync(path("target.pb")));
      const input = decodeTensor(readFileSync(path("test_data_set_0/input_0.pb")));
      let first: ReadonlyMap<string, Tensor> | undefined;
      for (const machine of machines) {
        const derivatives = compileOrSkip(readFileSync(path("model.onnx")), machine, lossOf[name] ?? "cross-entropy", target, context.skip);
        const inputs = new Map(derivatives.graph.inputs.map((one) => [one.name, one.name === "target" ? target : stored.get(one.name) ?? input]));
        const { outputs } = new Device(derivatives.image, machine).run(inputs);
        for (const kind of ["g/", "Gv/"]) {
          const names = derivatives.parameters.map((parameter) => kind + parameter);
          const whole = length(names.flatMap((one) => Array.from(stored.get(one)!.data, Number)));
          for (const one of names) {
            const wanted = stored.get(one)!;
            const wrong = length(Array.from(outputs.get(one)!.data, (x, i) => Number(x) - Number(wanted.data[i])));
            expect(wrong, `${machine.name} ${one}`).toBeLessThanOrEqual(1e-5 * length(wanted.data) + 1e-6 * whole);
          }
        }
        expect(Number(outputs.get("loss")!.data[0])).toBeCloseTo(Number(stored.get("loss")!.data[0]), 5);
        first ??= outputs;
        for (const [one, value] of first) expect(difference(outputs.get(one)!, value), `${machine.name} ${one}`).toBeUndefined();
      }
    });
  }
});

function compileOrSkip(model: Uint8Array, machine: Machine, loss: string, target: Tensor, skip: (note: string) => never) {
  try {
    return differentiate(model, machine, { loss, target, product: true });
  } catch (error) {
    if (error instanceof InputError && error.diagnostic.code === "E0201") return skip(error.diagnostic.message);
    throw error;
  }
}
