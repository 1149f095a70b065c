/**
 * @file Dropout in training form: random bits on the device, statistics of the masks, what they depend on - seed, outer step, sample, node and nothing else, however samples are
 * cut into micro-batches and wherever a layout puts them - and that they stay while the point stays.
 */
import { elementCount, numbersOf, randomBits, tensor, type Tensor } from "@systole/base";
import { importModel } from "@systole/frontend-onnx";
import { evaluate, GraphBuilder, optimizeTrainable, runProgram, verifyGraph, type Graph } from "@systole/ir";
import { presets } from "@systole/isa";
import { arrangeData, buildProblem, checkGradient, compileTraining, Device, differentiate, InputError, typesOf, type TrainingOptions } from "@systole/systole";
import { gradientOfSamples, lossOfSamples, pointOfSamples } from "@systole/training";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { info, modelBytes, node, type AttributeInput } from "../packages/frontend-onnx/test/support.ts";
import { differencesFromInterpreter } from "./programSupport.ts";
import { difference, hash, machines, randomTensor, runGraph } from "./support.ts";

describe("random bits", () => {
  const bitsGraph = (seeds: readonly number[], shape: readonly number[]): Graph => {
    const b = new GraphBuilder();
    b.setOrigin({ node: "bits", operator: "Test" });
    b.output("y", b.apply("random_bits", [b.input("seeds", { dtype: "i64", shape: seeds })], { shape }));
    return b.build("bits");
  };
  const edges = [0n, 1n, -1n, 0x123456789abcdefn, -(2n ** 63n)];

  test.each<[readonly number[], readonly number[]]>([[[], [7, 33]], [[5], [5, 33]], [[5, 1], [5, 1, 3, 4]], [[5], [5]]])("seeds of shape [%s] for [%s]: the operations of the vector unit give Threefry's bits, on every device", (seeds, shape) => {
    const graph = bitsGraph(seeds, shape);
    const lowered = verifyGraph(optimizeTrainable(graph));
    expect(lowered.nodes.some(({ op }) => op === "random_bits")).toBe(false);
    for (const first of edges) {
      const keys = Array.from({ length: elementCount(seeds) }, (_, i) => BigInt.asIntN(64, first + BigInt(i)));
      const inputs = new Map([["seeds", tensor("i64", seeds, keys)]]);
      const wanted = evaluate(graph, inputs).get("y")!;
      const block = elementCount(shape.slice(seeds.length));
      expect(Array.from(wanted.data)).toEqual(keys.flatMap((key) => Array.from({ length: block }, (_, i) => randomBits(key, i))));
      expect(difference(evaluate(lowered, inputs).get("y")!, wanted)).toBeUndefined();
      for (const machine of machines) expect(difference(runGraph(lowered, machine, inputs).outputs.get("y")!, wanted), machine.name).toBeUndefined();
    }
  });

  test("written out they are the same for all shapes of seeds", () => {
    fc.assert(fc.property(fc.array(fc.nat(4), { maxLength: 4 }), fc.nat(4), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (shape, length, first) => {
      const seeds = shape.slice(0, length);
      const graph = bitsGraph(seeds, shape);
      const inputs = new Map([["seeds", tensor("i64", seeds, Array.from({ length: elementCount(seeds) }, (_, i) => BigInt.asIntN(64, first * BigInt(i + 1))))]]);
      expect(difference(evaluate(verifyGraph(optimizeTrainable(graph)), inputs).get("y")!, evaluate(graph, inputs).get("y")!)).toBeUndefined();
    }), { numRuns: 50 });
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

/** Forms in which a network may hold its samples where it drops: the input for n samples, what happens to it, and how far apart neighbouring samples of the result are. */
interface Form {
  readonly shape: (n: number) => readonly number[];
  readonly axis: number;
  readonly nodes: readonly ReturnType<typeof node>[];
  readonly initializers?: Readonly<Record<string, Tensor>>;
  readonly stride: number;
}

const [steps, width] = [4, 6];
const samplesFirst = { shape: (n: number) => [n, steps, width], axis: 0, stride: steps * width };
const stepsFirst = { shape: (n: number) => [steps, n, width], axis: 1, stride: width };
const step = (operator: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeInput>> = {}) => node(operator, inputs, ["v"], attributes);
const list = (...values: readonly number[]): Tensor => tensor("i64", [values.length], values);

const forms: Readonly<Record<string, Form>> = {
  "samples first": { ...samplesFirst, nodes: [step("Identity", ["x"])] },
  "steps first": { ...stepsFirst, nodes: [step("Identity", ["x"])] },
  "steps first, folded with the samples": { ...stepsFirst, nodes: [step("Reshape", ["x", "s"])], initializers: { s: list(-1, width) } },
  "samples first, folded with the steps": { ...samplesFirst, nodes: [step("Reshape", ["x", "s"])], initializers: { s: list(-1, width) } },
  "turned inside the network": { ...samplesFirst, stride: width, nodes: [step("Transpose", ["x"], { perm: [1, 0, 2] })] },
  "heads of attention": { ...samplesFirst, nodes: [node("Reshape", ["x", "s"], ["h"]), step("Transpose", ["h"], { perm: [0, 2, 1, 3] })], initializers: { s: list(0, steps, 2, width / 2) } },
  "scores of attention": { ...samplesFirst, stride: steps * steps, nodes: [node("Transpose", ["x"], ["k"], { perm: [0, 2, 1] }), node("MatMul", ["x", "k"], ["a"]), step("Softmax", ["a"], { axis: 2 })] },
  "behind statistics of the batch": { ...samplesFirst, nodes: [node("ReduceMean", ["x"], ["mean"], { axes: [0], keepdims: 1 }), step("Sub", ["x", "mean"])] },
  "behind a recurrent layer": {
    ...stepsFirst, stride: 5, nodes: [step("RNN", ["x", "W", "R"], { hidden_size: 5 })],
    initializers: { W: randomTensor("f32", [1, 5, width], 1), R: randomTensor("f32", [1, 5, 5], 2) },
  },
};

const drawn = ({ nodes, initializers: more, shape, axis }: Form, count: number, seed: bigint, varying: boolean): Graph => {
  const bytes = modelBytes({
    nodes: [...nodes, node("Dropout", ["v", "ratio", "on"], ["y", "m"]), node("Dropout", ["v", "ratio", "on"], ["y2", "m2"])], inputs: [info("x", "f32", shape(count))],
    outputs: [info("m", "bool"), info("m2", "bool")], initializers: { ratio: initializers.ratio, on: initializers.on, ...more },
  });
  return importModel(bytes, { dropout: { seed, varying, sampleAxes: { x: axis } } }).graph;
};

const maskInputs = (graph: Graph, at: number, samples: readonly number[]): Map<string, Tensor> => new Map(graph.inputs.map(({ name, value }) => [name, name === "dropout.step" ? tensor("f32", [], [at]) : name === "dropout.samples" ? tensor("i32", [samples.length], samples) : randomTensor("f32", value.type.shape, samples[0]!)]));

/** Numbers 0..count-1 in some order. */
const shuffledNumbers = (count: number, seed: number): number[] => Array.from({ length: count }, (_, i) => i).sort((a, b) => hash(seed, a) - hash(seed, b));

describe("the mask of a sample", () => {
  const samples = 12;
  /** Elements of each sample of the mask `output`, in their order, by the number of the sample. */
  const bySample = (form: Form, numbers: readonly number[], { seed = 7n, at = 3, output = "m", varying = true } = {}): Map<number, number[]> => {
    const graph = drawn(form, numbers.length, seed, varying);
    const mask = numbersOf(evaluate(graph, maskInputs(graph, at, numbers)).get(output)!);
    return new Map(numbers.map((number, place) => [number, mask.filter((_, i) => Math.floor(i / form.stride) % numbers.length === place)]));
  };
  const inOrder = shuffledNumbers(samples, 0).sort((a, b) => a - b);

  test.each(Object.entries(forms))("does not depend on micro-batch and place: %s", (_name, form) => {
    const wanted = bySample(form, inOrder);
    for (const microBatch of [1, 2, 4, 6, 12]) {
      const numbers = shuffledNumbers(samples, microBatch);
      for (let from = 0; from < samples; from += microBatch) {
        for (const [number, mask] of bySample(form, numbers.slice(from, from + microBatch))) expect(mask, `sample ${number} of ${microBatch}`).toEqual(wanted.get(number));
      }
    }
  });

  test.each(Object.entries(forms))("is another one for another sample, step, node and seed: %s", (_name, form) => {
    const whole = [...bySample(form, inOrder).values()];
    const agreeing = (others: readonly (readonly number[])[]): number => {
      const [a, b] = [whole.flat(), others.flat()];
      return a.filter((value, i) => value === b[i]).length / a.length;
    };
    const others = { sample: [...whole.slice(1), whole[0]!], step: bySample(form, inOrder, { at: 4 }).values(), node: bySample(form, inOrder, { output: "m2" }).values(), seed: bySample(form, inOrder, { seed: 8n }).values() };
    // Independent masks agree at 5/8 of the places: five standard deviations of the smallest form.
    for (const [what, masks] of Object.entries(others)) expect(Math.abs(agreeing([...masks]) - 0.625), what).toBeLessThan(5 * Math.sqrt((0.625 * 0.375) / whole.flat().length));
  });

  test("where nothing varies is that of its place in the batch, at step 0", () => {
    for (const form of Object.values(forms)) expect(bySample(form, inOrder, { varying: false })).toEqual(bySample(form, inOrder, { at: 0 }));
  });

  test.each(Object.entries(forms))("is the evaluator's on every device: %s", (_name, form) => {
    const graph = drawn(form, 4, 7n, true);
    const inputs = maskInputs(graph, 5, [11, 2, 7, 0]);
    const wanted = evaluate(graph, inputs);
    const lowered = verifyGraph(optimizeTrainable(graph));
    for (const machine of machines) {
      const { outputs } = runGraph(lowered, machine, inputs);
      for (const [name, value] of wanted) expect(difference(outputs.get(name)!, value), `${machine.name} ${name}`).toBeUndefined();
    }
  });
});

describe("masks that belong to no sample", () => {
  const dropped = (nodes: readonly ReturnType<typeof node>[], more: Readonly<Record<string, Tensor>> = {}, inputs = [info("x", "f32", ["N", 6])]) => modelBytes({
    nodes: [...nodes, node("Dropout", ["v", "ratio", "on"], ["y", "m"])], inputs, outputs: [info("m", "bool")], initializers: { ratio: initializers.ratio, on: initializers.on, ...more },
  });
  const importVarying = (bytes: Uint8Array, batch = 4) => importModel(bytes, { batch, dropout: { seed: 1n, varying: true } }).graph;

  test("those of weights depend on seed, step and node", () => {
    const bytes = dropped([step("Mul", ["w", "w"])], { w: randomTensor("f32", [20, 30], 1) });
    const [two, four] = [2, 4].map((batch) => importVarying(bytes, batch)) as [Graph, Graph];
    const masks = [[two, 1], [four, 1], [four, 2]].map(([graph, at]) => evaluate(graph as Graph, maskInputs(graph as Graph, at as number, [0])).get("m")!);
    expect(two.inputs.map(({ name }) => name)).toEqual(["x", "dropout.step"]);
    expect(difference(masks[0]!, masks[1]!)).toBeUndefined();
    expect(difference(masks[1]!, masks[2]!)).toBeDefined();
  });

  test.each<[string, readonly ReturnType<typeof node>[], Readonly<Record<string, Tensor>>, RegExp]>([
    ["samples in another order", [node("Gather", ["x", "i"], ["v"], { axis: 0 })], { i: list(3, 2, 1, 0) }, /E0202: training form on f32\[4,6\], in which the samples cannot be told apart: from node "v" \(Gather\) on/],
    ["samples with samples", [node("Transpose", ["x"], ["t"], { perm: [1, 0] }), node("MatMul", ["x", "t"], ["v"])], {}, /from node "v" \(MatMul\) on/],
    ["a statistic of the batch", [node("ReduceMean", ["x"], ["v"], { axes: [0] })], {}, /computed from all of them together/],
  ])("%s: a diagnostic", (_name, nodes, more, message) => {
    expect(() => importVarying(dropped(nodes, more))).toThrow(InputError);
    expect(() => importVarying(dropped(nodes, more))).toThrow(message);
    expect(() => importModel(dropped(nodes, more), { batch: 4, dropout: "off" })).not.toThrow();
  });

  test("inputs that disagree about the samples, and axes that do not exist, are diagnostics", () => {
    const two = [info("x", "f32", [3, 4]), info("z", "f32", [4, 2])];
    const bytes = dropped([step("MatMul", ["x", "z"])], {}, two);
    expect(() => importVarying(bytes)).toThrow(/E0203: the inputs of the model take 3 and 4 samples at a time/);
    const at = (sampleAxes: Readonly<Record<string, number>>) => importModel(bytes, { dropout: { seed: 1n, varying: false, sampleAxes } });
    expect(() => at({ x: 1 })).toThrow(/computed from all of them together/);
    expect(() => at({ w: 1 })).toThrow(/E0603: a sample axis is given for "w", which is no input/);
    expect(() => at({ x: 2 })).toThrow(/E0603: axis 2 of "x" shall count the samples, but is of rank 2/);
  });

  test("the axis of the samples is the one that a batch is bound to", () => {
    const masks = (inputs: Parameters<typeof dropped>[2], sampleAxes = {}) => [...evaluate(importModel(dropped([step("Identity", ["x"])], {}, inputs), { batch: 3, dropout: { seed: 1n, varying: false, sampleAxes } }).graph, new Map([["x", randomTensor("f32", [5, 3], 1)], ["z", randomTensor("f32", [7], 1)]])).values()][0]!;
    const second = masks([info("x", "f32", [5, 3])], { x: 1 });
    expect(difference(masks([info("x", "f32", [5, "batch"]), info("z", "f32", [7])]), second)).toBeUndefined();
    expect(difference(masks([info("x", "f32", [5, 3])]), second)).toBeDefined();
  });
});

describe("in training", () => {
  const samples = 12;
  const data = new Map<string, Tensor>([["x", randomTensor("f32", [samples, features], 4)], ["target", randomTensor("f32", [samples, 3], 5)]]);
  const options: TrainingOptions = { optimizer: "hessian-free", iterations: 2, cgIterations: 4, loss: "squared-error", microBatch: 4, curvatureBatch: 8, lambda: 1, seed: 2 };
  const compiled = compileTraining(model(), presets["edge-16"], typesOf(data), options);
  const { program } = compiled;

  /** Loss, gradient and product of all samples in float64, as means over micro-batches of samples in some order; losses by both graphs. */
  const means = (microBatch: number, order: readonly number[], { at = 1, seed = 2n } = {}): Map<string, number[]> => {
    const { problem } = buildProblem(model(), data, options, { microBatch }, { seed, varying: true });
    const { point, backward, product } = pointOfSamples(problem, { addGradient: false, addProduct: false });
    const sums = new Map<string, number[]>();
    const weights = problem.trained.flatMap((name, i) => ["", "v/"].map((prefix): [string, Tensor] => [`${prefix}${name}`, prefix === "" ? initializers[name as "w1"] : randomTensor("f32", initializers[name as "w1"].shape, 20 + i)]));
    for (let from = 0; from < samples; from += microBatch) {
      const rows = tensor("i32", [microBatch], order.slice(from, from + microBatch));
      const given = new Map<string, Tensor>([...data, ...weights, ["order", rows], ["dropout.step", tensor("f32", [], [at])]]);
      const atPoint = evaluate(point, given, "float64");
      const kept = new Map([...given, ...atPoint]);
      const results = [...atPoint.entries()].filter(([name]) => name === "loss").concat([...evaluate(backward, kept, "float64")], [...evaluate(product, kept, "float64")]);
      for (const [name, value] of evaluate(lossOfSamples(problem), given, "float64")) results.push([`search ${name}`, value]);
      for (const [name, value] of evaluate(gradientOfSamples(problem, false), given, "float64")) results.push([`first-order ${name}`, value]);
      for (const [name, value] of results) sums.set(name, numbersOf(value).map((x, i) => (sums.get(name)?.[i] ?? 0) + (x * microBatch) / samples));
    }
    return sums;
  };
  const farthest = (a: ReadonlyMap<string, readonly number[]>, b: ReadonlyMap<string, readonly number[]>): number => Math.max(...[...a].flatMap(([name, values]) => values.map((value, i) => Math.abs(value - b.get(name)![i]!))));

  test("loss, gradient and curvature of all samples do not depend on how they are cut", () => {
    const wanted = means(samples, shuffledNumbers(samples, 0).sort((a, b) => a - b));
    expect([...wanted.keys()]).toEqual(["loss", "g/w1", "g/w2", "Gv/w1", "Gv/w2", "search loss", "first-order loss", "first-order g/w1", "first-order g/w2"]);
    for (const microBatch of [1, 2, 4, 6]) expect(farthest(wanted, means(microBatch, shuffledNumbers(samples, microBatch))), `micro-batches of ${microBatch}`).toBeLessThan(1e-12);
    for (const other of [{ at: 2 }, { seed: 3n }]) expect(farthest(wanted, means(4, shuffledNumbers(samples, 4), other))).toBeGreaterThan(1e-2);
    expect(wanted.get("search loss")).toEqual(wanted.get("loss"));
  });

  test("the gradient of one batch is that of its micro-batches to rounding, in the interpreter", () => {
    const gradientOf = (microBatch: number): Tensor["data"] => {
      const built = compileTraining(model(), presets["edge-16"], typesOf(data), { ...options, iterations: 1, microBatch, curvatureBatch: samples });
      return runProgram(built.program, arrangeData(built, data)).storage("gradient").data;
    };
    const [one, several] = [gradientOf(samples), gradientOf(4)];
    expect(one.length).toBeGreaterThan(100);
    expect(Math.max(...Array.from(one, (x) => Math.abs(Number(x))))).toBeGreaterThan(0.1);
    for (let i = 0; i < one.length; i++) expect(Number(several[i])).toBeCloseTo(Number(one[i]), 5);
  });

  test("every graph of an outer step reads the masks of the point", () => {
    const inputsOf = (name: string): string[] => program.graphs.find((graph) => graph.name === name)!.inputs.map((input) => input.name).filter((input) => input === "order" || input.startsWith("dropout."));
    for (const name of ["point", "loss"]) expect(inputsOf(name), name).toEqual(["order", "dropout.step"]);
    // A product reads masks as values of the point.
    expect(inputsOf("product")).toEqual([]);
  });

  test.each<Partial<TrainingOptions>>([{}, { microBatch: 12, curvatureBatch: 12 }, { optimizer: "sgd" }])("the device gives the interpreter's bits: %j", (more) => {
    const { cgIterations: _cg, curvatureBatch: _curvature, lambda: _lambda, ...common } = options;
    const built = compileTraining(model(), presets["edge-16"], typesOf(data), more.optimizer === "sgd" ? { ...common, optimizer: "sgd" } : { ...options, ...more });
    const inputs = arrangeData(built, data);
    expect(differencesFromInterpreter(built.program, inputs, { tilings: 0 })).toEqual([]);
    expect(differencesFromInterpreter(built.program, inputs, { on: [presets["edge-16"]], tilings: 1 })).toEqual([]);
    expect(runProgram(built.program, inputs).scalars.get("iteration")).toBe(2);
  });

  test("a network is judged without masks", () => {
    const { problem } = buildProblem(model(), data, options, {});
    expect(problem.network.nodes.some(({ op }) => op === "random_bits")).toBe(false);
  });
});
