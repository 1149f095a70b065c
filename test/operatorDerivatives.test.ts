/** @file Gradient and Gauss-Newton product through every operator on the device: the reference evaluator's numbers in every bit. */
import { isFloat, tensor, type Tensor } from "@systole/base";
import { Device } from "@systole/device";
import { evaluate, gaussNewtonGraph, optimizeTrainable, squaredError } from "@systole/ir";
import { presets } from "@systole/isa";
import { lowerGraph, operatorTable } from "@systole/systole";
import { expect, test } from "vitest";
import { networksOf, withBatch, type Network } from "../packages/frontend-onnx/test/derivativeCases.ts";
import { difference, hash } from "./support.ts";

const machine = presets["edge-16"];
const seeds = [1, 2];

function check({ graph, wrt, of, inputs }: Network, name: string): void {
  const batched = withBatch(graph);
  const pieces = batched.outputs.filter(({ value }) => isFloat(value.type.dtype)).map((output) => ({ output: output.name, loss: squaredError(output.value.type), prefix: of.length === 1 ? "" : `${output.name}.` }));
  const derived = optimizeTrainable(gaussNewtonGraph(batched, pieces, wrt));
  const direction = (shape: readonly number[], seed: number): number[] => Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, k) => (hash(seed, k) % 9) / 4 - 1);
  const given = new Map(derived.inputs.map(({ name: input, value }, i): [string, Tensor] => [input, inputs[input] ?? tensor(value.type.dtype, value.type.shape, direction(value.type.shape, i))]));
  const { outputs } = new Device(lowerGraph(derived, machine, { batch: 1 }).image, machine).run(given);
  for (const [output, value] of evaluate(derived, given, "device")) expect(difference(outputs.get(output)!, value), `${name} ${output}`).toBeUndefined();
}

test.each(operatorTable.filter(({ derivative }) => derivative.kind !== "none").map(({ name }) => name))("%s", (name) => {
  for (const network of networksOf(name, seeds)) if (network.wrt.length > 0 && network.of.length > 0) check(network, name);
});
