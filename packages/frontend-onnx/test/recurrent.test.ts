/** @file RNN, GRU and LSTM beyond the comparison with onnxruntime: layout 1, lengths, derivatives, limits. */
import { InputError, numbersOf, tensor, type Tensor } from "@systole/base";
import { evaluate, jvp, optimize, vjp } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { importModel } from "../src/index.ts";
import { randomOf } from "./operatorCase.ts";
import { f32, info, modelBytes, node, run, runNode, type AttributeInput } from "./support.ts";

type Attributes = Readonly<Record<string, AttributeInput>>;

const operators = [["RNN", 1], ["GRU", 3], ["LSTM", 4]] as const;
const [steps, batch, features, hidden] = [4, 2, 3, 2];

function operands(gates: number, directions = 2): { readonly x: Tensor; readonly w: Tensor; readonly r: Tensor; readonly b: Tensor } {
  const random = randomOf(gates);
  const rows = gates * hidden;
  return {
    x: random.f32([steps, batch, features]), w: random.f32([directions, rows, features], -1, 1),
    r: random.f32([directions, rows, hidden], -1, 1), b: random.f32([directions, 2 * rows], -1, 1),
  };
}

function permuted(x: Tensor, permutation: readonly number[]): Tensor {
  return runNode("Transpose", { x }, { perm: permutation });
}

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return "none";
}

describe.each(operators)("%s", (operator, gates) => {
  const { x, w, r, b } = operands(gates);
  const both: Attributes = { direction: "bidirectional", hidden_size: hidden };
  const outputs = operator === "LSTM" ? ["Y", "Y_h", "Y_c"] : ["Y", "Y_h"];

  function all(inputs: Readonly<Record<string, Tensor>>, attributes: Attributes, fixed: readonly string[] = ["w", "r", "b"]): ReadonlyMap<string, Tensor> {
    const free = Object.entries(inputs).filter(([name]) => !fixed.includes(name));
    const bytes = modelBytes({
      nodes: [node(operator, Object.keys(inputs), outputs, attributes)],
      inputs: free.map(([name, value]) => info(name, value.dtype, value.shape)),
      outputs: outputs.map((name) => info(name, "f32")),
      initializers: Object.fromEntries(Object.entries(inputs).filter(([name]) => fixed.includes(name))),
    });
    return run(bytes, Object.fromEntries(free));
  }

  test("layout 1 is layout 0 with the batch in front", () => {
    const h = randomOf(9).f32([2, batch, hidden]);
    const lengths = tensor("i32", [batch], [2, 4]);
    const plain = all({ x, w, r, b, lengths, h }, both);
    const turned = all({ x: permuted(x, [1, 0, 2]), w, r, b, lengths, h: permuted(h, [1, 0, 2]) }, { ...both, layout: 1 });
    expect(turned.get("Y")).toEqual(permuted(plain.get("Y")!, [2, 0, 1, 3]));
    for (const name of outputs.slice(1)) expect(turned.get(name)).toEqual(permuted(plain.get(name)!, [1, 0, 2]));
  });

  test("lengths known at import give what masks give", () => {
    for (const values of [[1, 3], [4, 4], [2, 2], [0, 4], [0, 0]]) {
      const inputs = { x, w, r, b, lengths: tensor("i32", [batch], values) };
      expect(all(inputs, both, ["w", "r", "b", "lengths"])).toEqual(all(inputs, both));
    }
  });

  test("a short sequence ends with the state of its last step, whatever stands behind it", () => {
    const lengths = tensor("i32", [batch], [2, 2]);
    const long = all({ x, w, r, b, lengths }, both);
    const short = all({ x: f32([2, batch, features], numbersOf(x).slice(0, 2 * batch * features)), w, r, b }, both);
    for (const name of outputs.slice(1)) expect(long.get(name)).toEqual(short.get(name));
    const half = 2 * 2 * batch * hidden;
    expect(numbersOf(long.get("Y")!).slice(0, half)).toEqual(numbersOf(short.get("Y")!));
    expect(new Set(numbersOf(long.get("Y")!).slice(half))).toEqual(new Set([0]));
  });

  test("no steps at all give the initial state", () => {
    const h = randomOf(9).f32([2, batch, hidden]);
    const got = all({ x: f32([0, batch, features], []), w, r, b, lengths: tensor("i32", [batch], [0, 0]), h }, both);
    expect(got.get("Y")!.shape).toEqual([0, 2, batch, hidden]);
    expect(got.get("Y_h")).toEqual(h);
  });

  test("derivatives with respect to every parameter are those of finite differences", () => {
    const wide = (value: Tensor): Tensor => tensor("f64", value.shape, numbersOf(value));
    const parameters = { w: wide(w), r: wide(r), b: wide(b) };
    const lengths = tensor("i32", [batch], [2, 4]);
    const graphWith = (values: Readonly<Record<string, Tensor>>) => importModel(modelBytes({
      nodes: [node(operator, ["x", "w", "r", "b", "lengths"], ["Y"], both)],
      inputs: [info("x", "f64", x.shape), info("lengths", "i32", [batch])], outputs: [info("Y", "f64")], initializers: values,
    })).graph;
    const names = ["w", "r", "b"] as const;
    const random = randomOf(77);
    const v = Object.fromEntries(names.map((name) => [name, wide(random.f32(parameters[name].shape, -1, 1))]));
    const inputs = new Map<string, Tensor>([["x", wide(x)], ["lengths", lengths]]);
    const moved = (step: number) => {
      const values = Object.fromEntries(names.map((name) => [name, tensor("f64", parameters[name].shape, numbersOf(parameters[name]).map((p, i) => p + step * numbersOf(v[name]!)[i]!))]));
      return numbersOf(evaluate(graphWith(values), inputs).get("Y")!);
    };
    const step = 1e-5;
    const [above, below] = [moved(step), moved(-step)];
    const tangents = names.map((name) => [`d.${name}`, v[name]!] as const);
    const forward = numbersOf(evaluate(jvp(graphWith(parameters), { wrt: names }), new Map([...inputs, ...tangents])).get("d.Y")!);
    forward.forEach((value, i) => expect(value).toBeCloseTo((above[i]! - below[i]!) / (2 * step), 7));
    const c = wide(random.f32([steps, 2, batch, hidden]));
    const back = evaluate(vjp(graphWith(parameters), { wrt: names }), new Map([...inputs, ["c.Y", c] as const]));
    const inner = (a: Tensor, other: readonly number[]): number => numbersOf(a).reduce((sum, value, i) => sum + value * other[i]!, 0);
    expect(names.reduce((sum, name) => sum + inner(v[name]!, numbersOf(back.get(`c.${name}`)!)), 0)).toBeCloseTo(inner(c, forward), 9);
  });

  test("one contraction takes the inputs of all steps and directions, and no parameter is computed on", () => {
    const { graph } = importModel(modelBytes({
      nodes: [node(operator, ["x", "w", "r", "b"], ["Y"], both)], inputs: [info("x", "f32", x.shape)], outputs: [info("Y", "f32")], initializers: { w, r, b },
    }));
    const fromX = graph.nodes.filter((one) => one.op === "dot" && one.inputs[0]!.name === "x");
    expect(fromX.map((one) => one.outputs[0]!.type.shape)).toEqual([[steps, batch, 2, gates * hidden]]);
    const taken = new Set(graph.parameters.map(({ value }) => value));
    const moves = ["slice", "reshape"];
    for (const one of graph.nodes) if (moves.includes(one.op) && taken.has(one.inputs[0]!)) taken.add(one.outputs[0]!);
    const operations = new Set(graph.nodes.filter((one) => !moves.includes(one.op) && one.inputs.some((value) => taken.has(value))).map(({ op }) => op));
    expect([...operations].filter((op) => !["dot", "add", "concat", "scan"].includes(op))).toEqual([]);
  });
});

describe("what is refused", () => {
  const model = (attributes: Attributes, x = [3, 1, 2], extra: Readonly<Record<string, Tensor>> = {}, directions = 1) => () => {
    const inputs = { x: f32(x, Array(x.reduce((a, b) => a * b)).fill(0)), w: f32([directions, 4, 2], Array(8 * directions).fill(0)), r: f32([directions, 4, 4], Array(16 * directions).fill(0)), ...extra };
    return runNode("RNN", inputs, attributes, 17, ["w", "r", ...Object.keys(extra)]);
  };
  const lengths = (value: number) => ({ noneb: f32([0], []), lengths: tensor("i32", [1], [value]) });

  test("no number of steps", () => {
    const bytes = (steps: number) => modelBytes({
      nodes: [node("RNN", ["x", "w", "r"], ["y"])], inputs: [info("x", "f32", [steps, 1, 2])], outputs: [info("y", "f32")],
      initializers: { w: f32([1, 4, 2], Array(8).fill(0.1)), r: f32([1, 4, 4], Array(16).fill(0.1)) },
    });
    expect(run(bytes(5000), { x: f32([5000, 1, 2], Array(10_000).fill(1)) }).get("y")!.shape).toEqual([5000, 1, 1, 4]);
    const scans = (steps: number): number => optimize(importModel(bytes(steps)).graph).nodes.filter((one) => one.op === "scan").length;
    expect([scans(5000), scans(2), scans(1)]).toEqual([1, 1, 0]);
  });

  test("activations that do not exist or do not fit", () => {
    expect(messageOf(model({ activations: { ss: ["Gelu"] } }))).toMatch(/E0202: activation "Gelu"[^]*attribute "activations"[^]*softplus/);
    expect(messageOf(model({ activations: { ss: ["Tanh", "Tanh"] } }))).toMatch(/E0202.*has 2 entries[^]*accepted: 1/);
    expect(messageOf(model({ activations: { ss: ["ScaledTanh"] } }))).toMatch(/E0202: activation "ScaledTanh" without alpha/);
    expect(messageOf(model({ activation_alpha: { fs: [1] } }))).toMatch(/E0202: 1 values[^]*take 0/);
    expect(messageOf(model({ clip: { f: -1 } }))).toMatch(/E0202.*"clip" is -1/);
    expect(messageOf(model({ direction: "sideways" }))).toMatch(/E0202.*"direction" is "sideways"/);
  });

  test("operands that do not fit", () => {
    expect(messageOf(model({ hidden_size: 5 }))).toMatch(/E0203: hidden_size is 5, but R is \[1,4,4\]/);
    expect(messageOf(model({}, [3, 1, 3]))).toMatch(/E0203: W is \[1,4,2\] where \[1,4,3\] is wanted/);
    expect(messageOf(model({ direction: "bidirectional" }))).toMatch(/E0203: W is \[1,4,2\] where \[2,4,2\] is wanted/);
    expect(messageOf(model({}, [3, 1, 2], lengths(4)))).toMatch(/E0203: a sequence of 4 steps in an input of 3/);
    expect(messageOf(model({ layout: 1 }))).toBe("none");
  });
});

test("activations take the alphas and betas in turn, defaults behind the end of the lists; spelling does not matter", () => {
  const one = f32([1, 1, 1], [1]);
  const wide = (gates: number, value: number): Tensor => f32([1, gates, 1], Array(gates).fill(value));
  // GRU of one element from h = 0: y = (1 - f(x)) g(x) with f of z and r, g of h.
  const y = (attributes: Attributes): number => numbersOf(runNode("GRU", { x: one, w: wide(3, -2), r: wide(3, 0) }, attributes))[0]!;
  expect(y({ activations: { ss: ["LeakyRelu", "elu"] }, activation_alpha: { fs: [0.5] } })).toBeCloseTo(2 * Math.expm1(-2), 6);
  expect(y({ activations: { ss: ["affine", "LEAKYRELU"] }, activation_alpha: { fs: [0.5, 0.25] }, activation_beta: { fs: [3] } })).toBeCloseTo((1 - 2) * -0.5, 6);
  expect(y({ activations: { ss: ["HardSigmoid", "Affine"] } })).toBeCloseTo(0.9 * -2, 6);
});
