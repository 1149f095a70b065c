/** @file Recurrences on the device are loops of a program: the evaluator's bits on every machine, any number of steps, and code that does not grow with them. */
import { elementCount, tensor, type Tensor } from "@systole/base";
import { Device } from "@systole/device";
import { evaluate } from "@systole/ir";
import { presets, type Image } from "@systole/isa";
import { compile, differentiate, type CompileOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { info, modelBytes, node, type AttributeInput } from "../packages/frontend-onnx/test/support.ts";
import { difference, hash, machines, randomTensor } from "./support.ts";

const [batch, features, hidden] = [2, 3, 5];
const gatesOf = { RNN: 1, GRU: 3, LSTM: 4 } as const;
type Operator = keyof typeof gatesOf;

const weights = (seed: number, shape: readonly number[]): Tensor => tensor("f32", shape, Array.from({ length: elementCount(shape) }, (_, i) => 0.5 * (hash(seed, i) / 0x80000000 - 1)));

interface Network {
  readonly operator: Operator;
  readonly steps: number;
  readonly direction?: "forward" | "reverse" | "bidirectional";
  /** Sequences of several lengths, given at run time. */
  readonly lengths?: boolean;
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
}

const directionsOf = ({ direction }: Network): number => (direction === "bidirectional" ? 2 : 1);

/** All hidden states, and the last one. */
function recurrent(network: Network): Uint8Array {
  const { operator, steps, lengths, attributes } = network;
  const [gates, directions] = [gatesOf[operator], directionsOf(network)];
  return modelBytes({
    inputs: [info("x", "f32", [steps, batch, features]), ...(lengths === true ? [info("lengths", "i32", [batch])] : [])],
    outputs: [info("y", "f32", [steps, directions, batch, hidden]), info("last", "f32", [directions, batch, hidden])],
    initializers: { w: weights(1, [directions, gates * hidden, features]), r: weights(2, [directions, gates * hidden, hidden]), b: weights(3, [directions, 2 * gates * hidden]) },
    nodes: [node(operator, ["x", "w", "r", "b", ...(lengths === true ? ["lengths"] : [])], ["y", "last"], { hidden_size: hidden, direction: network.direction ?? "forward", ...attributes })],
  });
}

const gradientOf = (network: Network, machine = machines[0]!, options: CompileOptions = {}) =>
  differentiate(recurrent(network), machine, { ...options, loss: "squared-error", output: "y", target: { dtype: "f32", shape: [network.steps, directionsOf(network), batch, hidden] }, product: true });

const textBytes = (image: Image): number => image.routines.reduce((sum, { instructions }) => sum + 16 * instructions.length, 0);

function inputsOf({ inputs }: { readonly inputs: readonly { readonly name: string; readonly value: { readonly type: { readonly dtype: Tensor["dtype"]; readonly shape: readonly number[] } } }[] }, steps: number): Map<string, Tensor> {
  return new Map(inputs.map(({ name, value: { type } }, i) => [name, name === "lengths" ? tensor("i32", [batch], [steps - 2, steps]) : randomTensor(type.dtype, type.shape, 40 + i)]));
}

const networks: readonly Network[] = [
  ...(["RNN", "GRU", "LSTM"] as const).flatMap((operator): Network[] => [{ operator, steps: 6 }, { operator, steps: 5, direction: "bidirectional", lengths: true }]),
  { operator: "RNN", steps: 5, direction: "reverse", attributes: { activations: { ss: ["Relu"] } } }, { operator: "GRU", steps: 2, attributes: { linear_before_reset: 1 } }, { operator: "LSTM", steps: 1 },
];

describe.each(networks)("$operator, $steps steps, $direction", (network) => {
  test("forward, gradient and product are the evaluator's on every machine and under random tilings", () => {
    for (const build of [(machine: (typeof machines)[number], options: CompileOptions) => compile(recurrent(network), machine, options), (machine: (typeof machines)[number], options: CompileOptions) => gradientOf(network, machine, options)]) {
      let expected: ReadonlyMap<string, Tensor> | undefined;
      for (const machine of machines) {
        for (const options of [{}, { tilingSeed: 3 }]) {
          const { graph, image } = build(machine, options);
          const inputs = inputsOf(graph, network.steps);
          expected ??= evaluate(graph, inputs, "device");
          const device = new Device(image, machine);
          // The second run finds the memories as the first one left them.
          for (const { outputs } of [device.run(inputs), device.run(inputs)]) {
            expect([...outputs.keys()].sort()).toEqual([...expected.keys()].sort());
            for (const [name, value] of expected) expect(difference(outputs.get(name)!, value), `${machine.name} ${name}`).toBeUndefined();
          }
        }
      }
    }
  });
});

test("the code does not grow with the number of steps, the time about in proportion", () => {
  const machine = presets["edge-16"];
  const measured = [600, 1200].map((steps) => {
    const { image } = gradientOf({ operator: "LSTM", steps });
    return { bytes: textBytes(image), kernels: image.debug.kernels.length, cycles: new Device(image, machine).run(new Map(), { timingOnly: true }).cycles };
  });
  const [short, long] = measured as [(typeof measured)[number], (typeof measured)[number]];
  expect(long.kernels).toBe(short.kernels);
  expect(Math.abs(long.bytes - short.bytes)).toBeLessThan(0.1 * short.bytes);
  expect(long.cycles).toBeLessThan(2.5 * short.cycles);
});

test("the time is known without values, and the layers are those of the model", () => {
  const machine = presets["edge-16"];
  const { graph, image } = gradientOf({ operator: "GRU", steps: 40 });
  const full = new Device(image, machine).run(inputsOf(graph, 40));
  expect(new Device(image, machine).run(new Map(), { timingOnly: true }).cycles).toBe(full.cycles);
  const inLoops = full.kernels.reduce((sum, { cycles }, i) => sum + (image.debug.kernels[i]!.nodes[0]!.operator === "GRU" ? cycles : 0), 0);
  expect(inLoops).toBeGreaterThan(0.7 * full.cycles);
});
