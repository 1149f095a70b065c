/**
 * @file Gradient and Gauss-Newton product of one tiny network per operator against JAX in float64 (`scripts/makeOperatorOracles.py` makes the
 * file): the evaluator in float64 precision, and the device.
 */
import { readFileSync } from "node:fs";
import { Device, differentiate, evaluate, InputError, presets, tensor, type Derivatives, type Tensor } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { bytesOfText, directions, distance, length, parts, tensorOf, type Parameters, type StoredTensor } from "./storedOracles.ts";

interface Oracle {
  readonly name: string;
  readonly operator: string;
  readonly loss: string;
  readonly model: string;
  readonly inputs: Readonly<Record<string, StoredTensor>>;
  readonly target: StoredTensor;
  readonly parameters: Parameters;
  readonly value: number;
  readonly gradient: string;
  readonly product: string;
}

const oracles = JSON.parse(readFileSync(new URL("golden/operatorOracles.json", import.meta.url), "utf8")) as readonly Oracle[];
const machine = presets["edge-16"];

/** What has no derivative, and the code that says so. */
const refused: Readonly<Record<string, string>> = { "ScatterElements mul": "E0208", "ScatterElements max": "E0208" };

const doubles = (text: string): Float64Array => new Float64Array(bytesOfText(text).buffer);

function inputsOf(oracle: Oracle, { graph }: Derivatives): ReadonlyMap<string, Tensor> {
  const v = directions(oracle.parameters);
  return new Map(
    graph.inputs.map(({ name, value }) => {
      if (name === "target") return [name, tensorOf(oracle.target)];
      if (name.startsWith("v/")) return [name, tensor("f32", value.type.shape, [...v.get(name.slice(2))!])];
      return [name, tensorOf(oracle.inputs[name]!)];
    }),
  );
}

const derive = (oracle: Oracle): Derivatives => differentiate(bytesOfText(oracle.model), machine, { loss: oracle.loss, target: tensorOf(oracle.target), product: true });

function refusal(oracle: Oracle): string | undefined {
  try {
    derive(oracle);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.diagnostic.code;
    throw error;
  }
}

const lossError = ({ value }: Oracle, outputs: ReadonlyMap<string, Tensor>): number => Math.abs(Number(outputs.get("loss")!.data[0]) - value) / Math.abs(value);

/** For every parameter: the distance from the oracle, and the lengths of the oracle's part and of its whole vector. */
function distances(oracle: Oracle, outputs: ReadonlyMap<string, Tensor>) {
  const kinds = [["g/", doubles(oracle.gradient)], ["Gv/", doubles(oracle.product)]] as const;
  return kinds.flatMap(([kind, whole]) =>
    parts(oracle.parameters, whole).map(([name, wanted]) => {
      const { data } = outputs.get(kind + name)!;
      expect(data.length, kind + name).toBe(wanted.length);
      return { name: kind + name, distance: distance(data, wanted), part: length(wanted), whole: length(whole) };
    }),
  );
}

describe("derivatives against JAX in float64", () => {
  test.each(oracles.filter(({ name }) => !(name in refused)))("$name", (oracle) => {
    const derivatives = derive(oracle);
    expect(derivatives.parameters.toSorted()).toEqual(oracle.parameters.map(([name]) => name).toSorted());
    const inputs = inputsOf(oracle, derivatives);
    const exact = evaluate(derivatives.graph, inputs, "float64");
    expect(lossError(oracle, exact)).toBeLessThanOrEqual(1e-6);
    for (const { name, distance, part, whole } of distances(oracle, exact)) expect(distance, `${name}, evaluator in float64`).toBeLessThanOrEqual(1e-6 * part + 1e-12 * whole);
    const { outputs } = new Device(derivatives.image, machine).run(inputs);
    expect(lossError(oracle, outputs)).toBeLessThanOrEqual(1e-5);
    for (const { name, distance, part, whole } of distances(oracle, outputs)) expect(distance, `${name}, device`).toBeLessThanOrEqual(1e-5 * part + 1e-6 * whole);
  });
});

test("what has no derivative says so", () => {
  const found = oracles.filter(({ name }) => name in refused).map((oracle) => [oracle.name, refusal(oracle)] as const);
  expect(Object.fromEntries(found)).toEqual(refused);
});

test("there are oracles for at least 40 operators that train", () => {
  const operators = new Set(oracles.filter(({ name }) => !(name in refused)).map(({ operator }) => operator));
  expect(operators.size).toBeGreaterThanOrEqual(40);
});
