/**
 * @file Derivatives on the device: every small network under every loss that fits it gives the evaluator's bits on all machines and under random
 * tilings, and its gradient agrees with central differences of the loss in float64.
 */
import { tensor, type Tensor } from "@systole/base";
import { evaluate } from "@systole/ir";
import { presets, type Machine } from "@systole/isa";
import { checkGradient, checkSymmetry, Device, differentiate, importModel, InputError, signDirection, type Derivatives, type DifferentiateOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { smallNetwork, type SmallNetworkName } from "./smallNetworks.ts";
import { difference, hash, randomTensor } from "./support.ts";

const machines: readonly Machine[] = Object.values(presets);

interface Case {
  readonly network: SmallNetworkName;
  readonly loss: string;
  readonly output: string;
  readonly target: (scores: readonly number[]) => Tensor;
}

const classNumbers = (scores: readonly number[]) => tensor("i64", [scores[0]!], Array.from({ length: scores[0]! }, (_, i) => hash(3, i) % scores[1]!));
const zerosAndOnes = (scores: readonly number[]) => tensor("f32", scores, Array.from({ length: scores.reduce((a, b) => a * b, 1) }, (_, i) => hash(4, i) % 2));

const cases: readonly Case[] = [
  { network: "convolutional", loss: "cross-entropy", output: "y", target: classNumbers },
  { network: "residual", loss: "cross-entropy", output: "y", target: classNumbers },
  { network: "residual", loss: "binary-cross-entropy", output: "y", target: zerosAndOnes },
  { network: "perceptron", loss: "cross-entropy", output: "y", target: classNumbers },
  { network: "perceptron", loss: "squared-error", output: "y", target: (scores) => randomTensor("f32", scores, 5) },
  { network: "autoencoder", loss: "binary-cross-entropy", output: "y", target: zerosAndOnes },
  { network: "normalized", loss: "cross-entropy", output: "y", target: classNumbers },
  { network: "recurrent", loss: "cross-entropy", output: "y", target: classNumbers },
  { network: "attention", loss: "squared-error", output: "y", target: (scores) => randomTensor("f32", scores, 6) },
];

const size = { batch: 2, side: 8, channels: 3, seed: 11 };

function derive(row: Case, machine: Machine, extra: Partial<DifferentiateOptions> = {}): { derivatives: Derivatives; inputs: Map<string, Tensor> } {
  const bytes = smallNetwork(row.network, size);
  const scores = importModel(bytes).graph.outputs.find(({ name }) => name === row.output)!.value.type;
  const target = row.target(scores.shape);
  const derivatives = differentiate(bytes, machine, { loss: row.loss, output: row.output, target, product: true, ...extra });
  const inputs = new Map(derivatives.graph.inputs.map(({ name, value }, i) => [name, name === "target" ? target : name.startsWith("v/") ? signDirection(value.type.shape, i) : randomTensor(value.type.dtype, value.type.shape, 20 + i)]));
  return { derivatives, inputs };
}

const named = (outputs: ReadonlyMap<string, Tensor>, prefix: string, parameters: readonly string[]) => new Map(parameters.map((name) => [name, outputs.get(prefix + name)!]));

describe.each(cases)("$network under $loss", (row) => {
  test("gives the evaluator's bits on every machine and under random tilings", () => {
    let expected: ReadonlyMap<string, Tensor> | undefined;
    for (const machine of machines) {
      for (const extra of [{}, { tilingSeed: 5 }]) {
        const { derivatives, inputs } = derive(row, machine, extra);
        expected ??= evaluate(derivatives.graph, inputs, "device");
        // What brings constants into the data cache serves all phases.
        for (const kernel of derivatives.image.debug.kernels) if (!kernel.name.startsWith("(constants)")) expect(kernel.nodes[0]?.phase, kernel.name).toBeDefined();
        const { outputs } = new Device(derivatives.image, machine).run(inputs);
        for (const [name, value] of expected) expect(difference(outputs.get(name)!, value), `${machine.name} ${name}`).toBeUndefined();
      }
    }
  });

  test("agrees with central differences, and the Gauss-Newton matrix is symmetric", () => {
    const { derivatives, inputs } = derive(row, machines[0]!);
    const { parameters, graph, lossGraph } = derivatives;
    const run = (given: ReadonlyMap<string, Tensor>) => new Device(derivatives.image, machines[0]!).run(given).outputs;
    const outputs = run(inputs);
    const rows = checkGradient(lossGraph, inputs, named(outputs, "g/", parameters));
    for (const { parameter, relativeError } of rows) expect(relativeError, parameter).toBeLessThan(1e-3);
    const u = new Map([...inputs].map(([name, value], i) => [name, name.startsWith("v/") ? signDirection(value.shape, 100 + i) : value]));
    const directions = (from: ReadonlyMap<string, Tensor>) => new Map(parameters.filter((p) => from.has(`v/${p}`)).map((p) => [p, from.get(`v/${p}`)!]));
    const symmetry = checkSymmetry(directions(u), directions(inputs), named(run(u), "Gv/", parameters), named(outputs, "Gv/", parameters));
    expect(symmetry.relativeError).toBeLessThan(1e-4);
    expect(symmetry.vGv).toBeGreaterThanOrEqual(0);
    expect(graph.outputs.map(({ name }) => name)).toContain("loss");
  });
});

test("no Jacobian is ever built: no tensor of the derived program is much larger than the largest of the network", () => {
  for (const row of cases) {
    const elements = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
    const { graph } = importModel(smallNetwork(row.network, size));
    const values = [...graph.inputs, ...graph.parameters].map(({ value }) => value).concat(graph.nodes.flatMap((node) => node.outputs));
    const largest = Math.max(...values.map((value) => elements(value.type.shape)));
    const { derivatives } = derive(row, machines[0]!);
    for (const t of "routines" in derivatives.schedule ? derivatives.schedule.places : derivatives.schedule.tensors) expect(elements(t.type.shape), `${row.network}: ${t.name}`).toBeLessThanOrEqual(2 * largest);
  }
});

test("what cannot be differentiated is a diagnostic", () => {
  const bytes = smallNetwork("perceptron", size);
  const code = (options: Partial<DifferentiateOptions>) => {
    try {
      differentiate(bytes, presets["edge-16"], { loss: "squared-error", output: "y", target: { dtype: "f32", shape: [1, 1] }, ...options });
      return "none";
    } catch (error) {
      if (error instanceof InputError) return error.diagnostic.code;
      throw error;
    }
  };
  expect(code({})).toBe("E0203");
  expect(code({ loss: "cross-entropy", target: { dtype: "i64", shape: [77] } })).toBe("E0203");
  expect(code({ loss: "no-such-loss" })).toBe("E0603");
  expect(code({ loss: "binary-cross-entropy", target: { dtype: "f32", shape: [2, 10] } })).toBe("E0603");
  expect(code({ output: "no such output" })).toBe("E0601");
  expect(code({ freeze: ["*"] })).toBe("E0209");
});

