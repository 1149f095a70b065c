/**
 * @file Losses as users give them: inside the model, at several outputs, with masks, class weights and ignored classes. Each form is compared with one that says the
 * same in another way, and the device with the evaluator.
 */
import { numbersOf, tensor, type Tensor } from "@systole/base";
import { evaluate } from "@systole/ir";
import { presets } from "@systole/isa";
import { Device, differentiate, InputError, signDirection, type Derivatives, type DifferentiateOptions } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { info, modelBytes, node, type AttributeInput } from "../packages/frontend-onnx/test/support.ts";
import { difference, randomTensor } from "./support.ts";

const [batch, features, classes] = [5, 4, 3];
const x = randomTensor("f32", [batch, features], 3);
const numbers = tensor("i64", [batch], [2, 0, 1, 1, 2]);
const classWeights = tensor("f32", [classes], [0.5, 2, 1.25]);
const initializers = { w1: randomTensor("f32", [features, 6], 1), b1: randomTensor("f32", [6], 2), w2: randomTensor("f32", [6, classes], 4), b2: randomTensor("f32", [classes], 5) };
const hidden = [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Tanh", ["a"], ["h"]), node("Gemm", ["h", "w2", "b2"], ["z"])];
const scoresOnly = modelBytes({ nodes: hidden, inputs: [info("x", "f32", [batch, features])], outputs: [info("z", "f32")], initializers });

/** What a program computes, by the evaluator; the device must give the same bits. */
function outputsOf(bytes: Uint8Array, given: ReadonlyMap<string, Tensor>, options: DifferentiateOptions): ReadonlyMap<string, Tensor> {
  const derivatives: Derivatives = differentiate(bytes, presets["edge-16"], { product: true, ...options });
  const inputs = new Map(derivatives.graph.inputs.map(({ name, value }) => [name, given.get(name) ?? signDirection(value.type.shape, Array.from(name).reduce((sum, letter) => sum + letter.charCodeAt(0), 0))]));
  const expected = evaluate(derivatives.graph, inputs, "device");
  const { outputs } = new Device(derivatives.image, presets["edge-16"]).run(inputs);
  for (const [name, value] of expected) expect(difference(outputs.get(name)!, value), name).toBeUndefined();
  return expected;
}

const lossTypes = (given: Readonly<Record<string, Tensor>>): DifferentiateOptions["lossTypes"] => new Map(Object.entries(given).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));

function codeOf(body: () => unknown): string {
  try {
    body();
    return "none";
  } catch (error) {
    if (error instanceof InputError) return error.diagnostic.code;
    throw error;
  }
}

/** Same loss, gradient and products up to rounding. */
function expectClose(got: ReadonlyMap<string, Tensor>, wanted: ReadonlyMap<string, Tensor>, names: readonly string[] = [...wanted.keys()].filter((name) => /^(loss|g\/|Gv\/)/.test(name)), scale = 1): void {
  for (const name of names) {
    const values = numbersOf(wanted.get(name)!);
    numbersOf(got.get(name)!).forEach((value, i) => expect(Math.abs(value - scale * values[i]!), `${name}[${i}]: ${value}, not ${scale * values[i]!}`).toBeLessThan(2e-6));
  }
}

describe("a loss inside the model", () => {
  const entropy = (attributes: Readonly<Record<string, AttributeInput>>, more: readonly string[] = []) => [...hidden, node("SoftmaxCrossEntropyLoss", ["z", "t", ...more], ["l"], attributes)];
  const likelihood = (attributes: Readonly<Record<string, AttributeInput>>, more: readonly string[] = []) => [...hidden, node("LogSoftmax", ["z"], ["p"], { axis: 1 }), node("NegativeLogLikelihoodLoss", ["p", "t", ...more], ["l"], attributes)];
  const bytesOf = (nodes: ReturnType<typeof entropy>) => {
    const weights = nodes.some(({ input }) => input!.includes("weights")) ? { weights: classWeights } : {};
    return modelBytes({ nodes, inputs: [info("x", "f32", [batch, features]), info("t", "i64", [batch])], outputs: [info("l", "f32")], initializers: { ...initializers, ...weights } });
  };

  test.each([["SoftmaxCrossEntropyLoss", entropy], ["NegativeLogLikelihoodLoss", likelihood]] as const)("%s is the outside loss at its scores", (_name, build) => {
    const forms: readonly [Readonly<Record<string, AttributeInput>>, readonly string[], Partial<DifferentiateOptions>, number][] = [
      [{}, [], {}, 1], [{}, ["weights"], { classWeights }, 1], [{ ignore_index: 1 }, [], { ignoreIndex: 1 }, 1], [{ ignore_index: 2 }, ["weights"], { ignoreIndex: 2, classWeights }, 1], [{ reduction: "sum" }, [], {}, batch],
    ];
    for (const [attributes, more, options, scale] of forms) {
      const inside = outputsOf(bytesOf(build(attributes, more)), new Map([["x", x], ["t", numbers]]), { loss: "model" });
      const outside = outputsOf(scoresOnly, new Map([["x", x], ["target", numbers]]), { loss: "cross-entropy", target: numbers, ...options });
      expect([...inside.keys()].filter((name) => name.startsWith("g/"))).toEqual(["g/w1", "g/b1", "g/w2", "g/b2"]);
      expectClose(inside, outside, undefined, scale);
    }
  });

  test("gives the number that the model itself gives", () => {
    const bytes = bytesOf(entropy({ ignore_index: 1 }, ["weights"]));
    const { model, graph } = differentiate(bytes, presets["edge-16"], { loss: "model" });
    const given = new Map([["x", x], ["t", numbers]]);
    expect(numbersOf(evaluate(graph, given).get("loss")!)[0]).toBeCloseTo(numbersOf(evaluate(model.graph, given).get("l")!)[0]!, 6);
  });

  test("its target may be computed from inputs", () => {
    const bytes = modelBytes({
      nodes: [...hidden, node("Reshape", ["t2", "shape"], ["t1"]), node("Cast", ["t1"], ["t"], { to: 7 }), node("SoftmaxCrossEntropyLoss", ["z", "t"], ["l"])],
      inputs: [info("x", "f32", [batch, features]), info("t2", "i32", [batch, 1])], outputs: [info("l", "f32")], initializers: { ...initializers, shape: tensor("i64", [1], [batch]) },
    });
    const inside = outputsOf(bytes, new Map([["x", x], ["t2", tensor("i32", [batch, 1], numbersOf(numbers))]]), { loss: "model" });
    expectClose(inside, outputsOf(scoresOnly, new Map([["x", x], ["target", numbers]]), { loss: "cross-entropy", target: numbers }));
  });

  test("what cannot be split is a diagnostic", () => {
    const refused = (nodes: ReturnType<typeof entropy>, options: Partial<DifferentiateOptions> = {}) => codeOf(() => differentiate(bytesOf(nodes), presets["edge-16"], { loss: "model", ...options }));
    expect(refused(entropy({ reduction: "none" }))).toBe("E0603");
    expect(refused([...hidden, node("NegativeLogLikelihoodLoss", ["z", "t"], ["l"])])).toBe("E0603");
    expect(refused([...entropy({}).slice(0, -1), node("SoftmaxCrossEntropyLoss", ["z", "t"], ["s"]), node("Neg", ["s"], ["l"])])).toBe("E0603");
    expect(refused(entropy({}), { output: "nothing" })).toBe("E0601");
    expect(refused(entropy({}), { ignoreIndex: 0 })).toBe("E0603");
  });
});

describe("several outputs", () => {
  const two = modelBytes({
    nodes: [...hidden, node("Softmax", ["z"], ["p"], { axis: 1 }), node("Gemm", ["h", "w3"], ["y"])], inputs: [info("x", "f32", [batch, features])], outputs: [info("p", "f32"), info("y", "f32")],
    initializers: { ...initializers, w3: randomTensor("f32", [6, 2], 7) },
  });
  const y = randomTensor("f32", [batch, 2], 8);
  const given = new Map<string, Tensor>([["x", x], ["target.p", numbers], ["target.y", y], ["target", numbers]]);

  test("loss, gradient and product are the sums over the pieces", () => {
    const names = ["w1", "b1", "w2", "b2", "w3"];
    const both = outputsOf(two, given, { loss: [{ output: "p", loss: "cross-entropy" }, { output: "y", loss: "squared-error" }], lossTypes: lossTypes({ "target.p": numbers, "target.y": y }) });
    const first = outputsOf(two, given, { loss: "cross-entropy", output: "p", target: numbers });
    const second = outputsOf(two, new Map([...given, ["target", y]]), { loss: "squared-error", output: "y", target: y });
    for (const name of ["loss", ...names.flatMap((one) => [`g/${one}`, `Gv/${one}`])]) {
      const parts = [first, second].map((one) => numbersOf(one.get(name)!));
      numbersOf(both.get(name)!).forEach((value, i) => expect(Math.abs(value - parts[0]![i]! - parts[1]![i]!)).toBeLessThan(4e-6));
    }
    expect([both.has("Jv/p"), both.has("Jv/y")]).toEqual([true, true]);
  });

  test("what is missing or twice is a diagnostic", () => {
    const refused = (loss: DifferentiateOptions["loss"]) => codeOf(() => differentiate(two, presets["edge-16"], { loss, lossTypes: lossTypes({ "target.p": numbers }) }));
    expect(refused([{ output: "p", loss: "cross-entropy" }, { output: "y", loss: "squared-error" }])).toBe("E0601");
    expect(refused([{ output: "p", loss: "cross-entropy" }, { output: "p", loss: "cross-entropy" }])).toBe("E0603");
    expect(refused("cross-entropy")).toBe("E0603");
  });
});

describe("masks", () => {
  const rows = (t: Tensor, kept: readonly number[]): Tensor => {
    const size = t.data.length / batch;
    return { ...t, shape: [kept.length, ...t.shape.slice(1)], data: t.dtype === "i64" ? tensor("i64", [kept.length], kept.map((row) => Number(t.data[row]))).data : Float32Array.from(kept.flatMap((row) => numbersOf(t).slice(row * size, (row + 1) * size))) };
  };
  const kept = [0, 2, 3];
  const mask = tensor("f32", [batch], [1, 0, 1, 1, 0]);
  const smaller = modelBytes({ nodes: hidden, inputs: [info("x", "f32", [kept.length, features])], outputs: [info("z", "f32")], initializers });
  const y = randomTensor("f32", [batch, classes], 9);

  test.each([["cross-entropy", numbers], ["cross-entropy", y], ["squared-error", y], ["binary-cross-entropy", y]] as const)("%s: a masked sample might as well not be there", (loss, target) => {
    const wild = { ...x, data: Float32Array.from(x.data as Float32Array, (value, i) => (Math.floor(i / features) === 1 ? 1e38 : value)) };
    const masked = outputsOf(scoresOnly, new Map([["x", wild], ["target", target], ["mask", mask]]), { loss, target, lossTypes: lossTypes({ mask }) });
    const without = outputsOf(smaller, new Map([["x", rows(x, kept)], ["target", rows(target, kept)]]), { loss, target: rows(target, kept) });
    expectClose(masked, without);
  });

  test("a mask of ones changes nothing in a bit", () => {
    const ones = tensor("i64", [batch], [1, 1, 1, 1, 1]);
    const masked = outputsOf(scoresOnly, new Map([["x", x], ["target", numbers], ["mask", ones]]), { loss: "cross-entropy", target: numbers, lossTypes: lossTypes({ mask: ones }) });
    for (const [name, value] of outputsOf(scoresOnly, new Map([["x", x], ["target", numbers]]), { loss: "cross-entropy", target: numbers })) expect(difference(masked.get(name)!, value), name).toBeUndefined();
  });

  test("a mask for single numbers divides by how many there are", () => {
    const some = tensor("bool", [batch, classes], Array.from({ length: batch * classes }, (_, i) => (i % 4 === 0 ? 1 : 0)));
    const outputs = outputsOf(scoresOnly, new Map([["x", x], ["target", y], ["mask", some]]), { loss: "squared-error", target: y, lossTypes: lossTypes({ mask: some }) });
    const scores = numbersOf(outputs.get("y/z")!);
    const wanted = scores.reduce((sum, score, i) => sum + (i % 4 === 0 ? (score - Number(y.data[i])) ** 2 / 2 : 0), 0) / 4;
    expect(numbersOf(outputs.get("loss")!)[0]).toBeCloseTo(wanted, 5);
  });

  test("a mask that does not fit is a diagnostic", () => {
    for (const shape of [[batch, 2], [batch + 1], [batch, classes, 1], []]) {
      expect(codeOf(() => differentiate(scoresOnly, presets["edge-16"], { loss: "squared-error", target: y, lossTypes: new Map([["mask", { dtype: "f32", shape }]]) }))).toBe("E0203");
    }
  });
});

test("logits are seen through a change of shape, where the classes stay the classes", () => {
  const model = (shape: readonly number[], axis: number) => modelBytes({
    nodes: [...hidden, node("Reshape", ["z", "s4"], ["z4"]), node("Softmax", ["z4"], ["p4"], { axis }), node("Reshape", ["p4", "s2"], ["p"])], inputs: [info("x", "f32", [batch, features])], outputs: [info("p", "f32")],
    initializers: { ...initializers, s4: tensor("i64", [shape.length], shape), s2: tensor("i64", [2], [batch, classes]) },
  });
  const plain = outputsOf(scoresOnly, new Map([["x", x], ["target", numbers]]), { loss: "cross-entropy", target: numbers });
  expectClose(outputsOf(model([batch, classes, 1, 1], 1), new Map([["x", x], ["target", numbers]]), { loss: "cross-entropy", target: numbers }), plain);
  expect(codeOf(() => differentiate(model([batch, classes, 1, 1], 0), presets["edge-16"], { loss: "cross-entropy", target: numbers }))).toBe("E0603");
});
