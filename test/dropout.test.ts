/** @file Dropout in training form: random bits on the device, statistics of the masks, what they depend on, and that they stay while the point stays. */
import { numbersOf, randomBits, tensor, type Tensor } from "@systole/base";
import { importModel } from "@systole/frontend-onnx";
import { evaluate, GraphBuilder, optimizeTrainable, runProgram, verifyGraph } from "@systole/ir";
import { presets } from "@systole/isa";
import { arrangeData, buildProblem, checkGradient, compileTraining, Device, differentiate, InputError, typesOf, type TrainingOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { info, modelBytes, node } from "../packages/frontend-onnx/test/support.ts";
import { differencesFromInterpreter } from "./programSupport.ts";
import { difference, machines, randomTensor, runGraph } from "./support.ts";

describe("random bits", () => {
  const [rows, columns] = [7, 33];
  const b = new GraphBuilder();
  b.setOrigin({ node: "bits", operator: "Test" });
  b.output("y", b.apply("random_bits", [b.input("seed", { dtype: "i64", shape: [] })], { shape: [rows, columns] }));
  const graph = b.build("bits");
  const lowered = verifyGraph(optimizeTrainable(graph));

  test.each([0n, 1n, -1n, 0x123456789abcdefn, -(2n ** 63n)])("seed %d: the operations of the vector unit give Threefry's bits, on every device", (seed) => {
    expect(lowered.nodes.some(({ op }) => op === "random_bits")).toBe(false);
    const inputs = new Map([["seed", tensor("i64", [], [seed])]]);
    const wanted = evaluate(graph, inputs).get("y")!;
    expect(Array.from(wanted.data)).toEqual(Array.from({ length: rows * columns }, (_, i) => randomBits(seed, i)));
    expect(difference(evaluate(lowered, inputs).get("y")!, wanted)).toBeUndefined();
    for (const machine of machines) expect(difference(runGraph(lowered, machine, inputs).outputs.get("y")!, wanted), machine.name).toBeUndefined();
  });
});

const [features, hidden] = [6, 40];
const initializers = {
  w1: randomTensor("f32", [features, hidden], 1), w2: randomTensor("f32", [hidden, 3], 2), ratio: tensor("f32", [], [0.25]), on: tensor("bool", [], [1]),
};
const model = (more: Readonly<Record<string, Tensor>> = {}) => modelBytes({
  nodes: [node("Gemm", ["x", "w1"], ["a"]), node("Tanh", ["a"], ["h"]), node("Dropout", ["x", "ratio", "on"], ["xd", "mx"]), node("Dropout", ["h", "ratio", "on"], ["d", "m"]), node("Gemm", ["d", "w2"], ["z"])],
  inputs: [info("x", "f32", ["N", features])], outputs: [info("z", "f32", ["N", 3])], initializers: { ...initializers, ...more },
});

describe("masks", () => {
  const samples = 50;
  const masks = (seed: bigint, nodes = 1): Tensor[] => {
    const bytes = modelBytes({
      nodes: Array.from({ length: nodes }, (_, i) => node("Dropout", ["x", "ratio", "on"], [`y${i}`, `m${i}`])), inputs: [info("x", "f32", [samples, 200])],
      outputs: Array.from({ length: nodes }, (_, i) => [info(`y${i}`, "f32"), info(`m${i}`, "bool")]).flat(), initializers: { ratio: initializers.ratio, on: initializers.on },
    });
    const { graph } = importModel(bytes, { dropout: { seed, varying: false } });
    return [...evaluate(graph, new Map([["x", tensor("f32", [samples, 200], new Array<number>(samples * 200).fill(1))]])).values()];
  };

  test("drop the part that the ratio says, row by row and column by column, and divide by the rest", () => {
    const [y, m] = masks(3n) as [Tensor, Tensor];
    const kept = numbersOf(m);
    const part = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    // Five standard deviations of a mean over so many draws.
    const near = (values: readonly number[]) => expect(Math.abs(part(values) - 0.75)).toBeLessThan(5 * Math.sqrt((0.25 * 0.75) / values.length));
    near(kept);
    for (let row = 0; row < samples; row++) near(kept.slice(row * 200, (row + 1) * 200));
    for (let column = 0; column < 200; column++) near(kept.filter((_, i) => i % 200 === column));
    expect(numbersOf(y)).toEqual(kept.map((one) => (one === 1 ? Math.fround(1 / 0.75) : 0)));
  });

  test("depend on seed and node, and on nothing else", () => {
    const [, first, , second] = masks(3n, 2);
    expect(difference(first!, masks(3n)[1]!)).toBeUndefined();
    for (const other of [second!, masks(4n)[1]!]) {
      const agree = numbersOf(first!).filter((value, i) => value === other.data[i]).length / first!.data.length;
      expect(agree).toBeGreaterThan(0.6);
      expect(agree).toBeLessThan(0.65);
    }
  });

  test("are drawn by nobody but training and derivatives", () => {
    expect(() => importModel(model(), { batch: 2 })).toThrow(InputError);
    expect(importModel(model(), { batch: 2, dropout: "off" }).graph.nodes.some(({ op }) => op === "random_bits")).toBe(false);
    expect(() => importModel(model({ ratio: tensor("f32", [], [1]) }), { batch: 2, dropout: "off" })).toThrow(/E0202: a ratio of 1/);
  });
});

test("derivatives are those at the mask: device = evaluator, gradient = central differences", () => {
  const [batch, seed] = [4, 9];
  const target = randomTensor("f32", [batch, 3], 8);
  const make = (of: number) => differentiate(model(), presets["edge-16"], { loss: "squared-error", target, batch, seed: of, product: true });
  const { graph, image, lossGraph, parameters } = make(seed);
  const inputs = new Map(graph.inputs.map(({ name, value }, i) => [name, name === "target" ? target : randomTensor("f32", value.type.shape, i)]));
  const wanted = evaluate(graph, inputs);
  const { outputs } = new Device(image, presets["edge-16"]).run(inputs);
  for (const [name, value] of wanted) expect(difference(outputs.get(name)!, value), name).toBeUndefined();
  expect(parameters).toEqual(["w1", "w2"]);
  for (const { parameter, relativeError } of checkGradient(lossGraph, inputs, new Map(parameters.map((name) => [name, wanted.get(`g/${name}`)!])))) expect(relativeError, parameter).toBeLessThan(1e-3);
  expect(evaluate(make(10).graph, inputs).get("loss")!.data[0]).not.toBe(wanted.get("loss")!.data[0]);
});

describe("in training", () => {
  const samples = 12;
  const data = new Map<string, Tensor>([["x", randomTensor("f32", [samples, features], 4)], ["target", randomTensor("f32", [samples, 3], 5)]]);
  const options: TrainingOptions = { optimizer: "hessian-free", iterations: 2, cgIterations: 4, loss: "squared-error", microBatch: 4, curvatureBatch: 8, lambda: 1, seed: 2 };
  const compiled = compileTraining(model(), presets["edge-16"], typesOf(data), options);
  const { program } = compiled;

  test("the masks of a sample are the same in every graph of an outer step, and others in the next", () => {
    const graphs = ["point", "loss"].map((name) => program.graphs.find((graph) => graph.name === name)!);
    const lossAt = (index: number, step: number, part: number): number => {
      const graph = graphs[index]!;
      const inputs = new Map(graph.inputs.map(({ name, value }): [string, Tensor] => {
        if (name === "dropout.step" || name === "dropout.part") return [name, tensor("f32", [], [name === "dropout.step" ? step : part])];
        return [name, name === "order" ? tensor("i32", [4], [3, 1, 2, 0]) : data.get(name) ?? initializers[name as "w1"] ?? randomTensor("f32", value.type.shape, 1)];
      }));
      return Number(evaluate(graph, inputs).get("loss")!.data[0]);
    };
    expect(graphs[0]!.inputs.map(({ name }) => name)).toEqual(expect.arrayContaining(["dropout.step", "dropout.part"]));
    expect(lossAt(0, 1, 2)).toBe(lossAt(1, 1, 2));
    expect(new Set([lossAt(1, 1, 2), lossAt(1, 1, 1), lossAt(1, 2, 2)]).size).toBe(3);
    // A product reads masks as values of the point.
    expect(program.graphs.find((graph) => graph.name === "product")!.inputs.map(({ name }) => name).filter((name) => name.startsWith("dropout."))).toEqual([]);
  });

  test.each<Partial<TrainingOptions>>([{}, { optimizer: "sgd" }])("the device gives the interpreter's bits: %j", (more) => {
    const { cgIterations: _cg, curvatureBatch: _curvature, lambda: _lambda, ...common } = options;
    const built = more.optimizer === "sgd" ? compileTraining(model(), presets["edge-16"], typesOf(data), { ...common, optimizer: "sgd" }) : compiled;
    const inputs = arrangeData(built, data);
    expect(differencesFromInterpreter(built.program, inputs, { on: [presets["edge-16"]], tilings: 1 })).toEqual([]);
    expect(runProgram(built.program, inputs).scalars.get("iteration")).toBe(2);
  });

  test("a network is judged without masks", () => {
    const { problem } = buildProblem(model(), data, options, {});
    expect(problem.network.nodes.some(({ op }) => op === "random_bits")).toBe(false);
  });
});
