/**
 * @file Loss, gradient, Gauss-Newton product and Jv of small networks of many kinds, exported by PyTorch, against JAX in float64
 * (`scripts/makeNetworkOracles.py` makes the file): the evaluator in float64 precision, and the device of every preset, with the same bits.
 */
import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { Device, differentiate, evaluate, presets, tensor, type Derivatives, type Machine, type Tensor } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { bytesOfText, directions, distance, length, parts, tensorOf, type Parameters, type StoredTensor } from "./storedOracles.ts";
import { difference } from "./support.ts";

interface Oracle {
  readonly name: string;
  readonly loss: string;
  /** What the command is told besides. */
  readonly options: { readonly "class-axis"?: number; readonly freeze?: string };
  /** Deflated. */
  readonly model: string;
  readonly input: StoredTensor;
  readonly target: StoredTensor;
  readonly parameters: Parameters;
  readonly value: number;
  readonly gradient: string;
  readonly product: string;
  readonly jv: string;
}

const oracles = JSON.parse(readFileSync(new URL("golden/networkOracles.json", import.meta.url), "utf8")) as readonly Oracle[];

const floats = (text: string): Float32Array => new Float32Array(bytesOfText(text).buffer);

function derive(oracle: Oracle, machine: Machine): Derivatives {
  const { "class-axis": classAxis, freeze } = oracle.options;
  return differentiate(inflateSync(bytesOfText(oracle.model)), machine, {
    loss: oracle.loss, target: tensorOf(oracle.target), product: true, freeze: freeze === undefined ? [] : [freeze], ...(classAxis === undefined ? {} : { classAxis }),
  });
}

function inputsOf(oracle: Oracle, { graph }: Derivatives): ReadonlyMap<string, Tensor> {
  const v = directions(oracle.parameters);
  return new Map(
    graph.inputs.map(({ name, value }) => {
      if (name === "target") return [name, tensorOf(oracle.target)];
      if (name.startsWith("v/")) return [name, tensor("f32", value.type.shape, [...v.get(name.slice(2))!])];
      return [name, tensorOf(oracle.input)];
    }),
  );
}

/** Every parameter's parts of gradient and product are as near as asked: relative to the part, and to the whole vector. */
function expectNear(oracle: Oracle, outputs: ReadonlyMap<string, Tensor>, ofPart: number, ofWhole: number, where: string): void {
  expect(Math.abs(Number(outputs.get("loss")!.data[0]) - oracle.value), `loss, ${where}`).toBeLessThanOrEqual(ofPart * Math.abs(oracle.value));
  for (const [kind, whole] of [["g/", floats(oracle.gradient)], ["Gv/", floats(oracle.product)]] as const) {
    for (const [name, wanted] of parts(oracle.parameters, whole)) {
      const { data } = outputs.get(kind + name)!;
      expect(data.length, kind + name).toBe(wanted.length);
      expect(distance(data, wanted), `${kind}${name}, ${where}`).toBeLessThanOrEqual(ofPart * length(wanted) + ofWhole * length(whole));
    }
  }
  const jv = floats(oracle.jv);
  expect(distance(outputs.get("Jv")!.data, jv), `Jv, ${where}`).toBeLessThanOrEqual(ofPart * length(jv));
}

describe("derivatives of whole networks against JAX in float64", () => {
  test.each(oracles)("$name", (oracle) => {
    let first: ReadonlyMap<string, Tensor> | undefined;
    for (const machine of Object.values(presets)) {
      const derivatives = derive(oracle, machine);
      const inputs = inputsOf(oracle, derivatives);
      if (first === undefined) {
        expect(derivatives.parameters.toSorted()).toEqual(oracle.parameters.map(([name]) => name).toSorted());
        expectNear(oracle, evaluate(derivatives.graph, inputs, "float64"), 1e-6, 1e-7, "evaluator in float64");
      }
      const { outputs } = new Device(derivatives.image, machine).run(inputs);
      expectNear(oracle, outputs, 1e-5, 1e-6, machine.name);
      first ??= outputs;
      for (const [name, value] of first) expect(difference(outputs.get(name)!, value), `${machine.name} ${name}`).toBeUndefined();
    }
  });
});
