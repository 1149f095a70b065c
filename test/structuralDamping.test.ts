/** @file Structural damping of recurrent networks as imported: oracle O8 by the evaluator and on the device, and what it must not change. */
import { numbersOf, tensor, type Tensor } from "@systole/base";
import { importModel } from "@systole/frontend-onnx";
import { evaluate, gaussNewtonGraph, lossGradient, optimizeTrainable, recurrentHeads, squaredError, structuralDamping, verifyGraph, type DampingKind, type Graph, type LossPiece } from "@systole/ir";
import { expect, describe, test } from "vitest";
import { info, modelBytes, node, type AttributeInput } from "../packages/frontend-onnx/test/support.ts";
import { difference, machines, randomTensor, runGraph } from "./support.ts";

const wrt = ["w_hh", "w_vh", "w_ho", "h0"];
const direction = [1, -1, 0.5, 2];
const one = (value: number, shape: readonly number[] = [1, 1, 1]): Tensor => tensor("f32", shape, [value]);

/** The scalar network of O8; `last` and `all` are its outputs, samples first. */
const scalar = importModel(modelBytes({
  nodes: [
    node("RNN", ["x", "w_vh", "w_hh", "", "", "h0"], ["Y", "Y_h"], { hidden_size: 1 }), node("Reshape", ["Y", "steps"], ["hs"]), node("MatMul", ["hs", "w_ho"], ["os"]), node("Reshape", ["os", "row"], ["all"]),
    node("Reshape", ["Y_h", "one"], ["h"]), node("MatMul", ["h", "w_ho"], ["last"]),
  ],
  inputs: [info("x", "f32", [3, 1, 1])], outputs: [info("last", "f32"), info("all", "f32")],
  initializers: { w_vh: one(1), w_hh: one(0.5), h0: one(0.1), w_ho: one(2, [1, 1]), steps: tensor("i64", [2], [3, 1]), row: tensor("i64", [2], [1, 3]), one: tensor("i64", [2], [1, 1]) },
})).graph;

const typeOf = (graph: Graph, output: string) => graph.outputs.find(({ name }) => name === output)!.value.type;

function lossAt(graph: Graph, output: string): LossPiece {
  return { output, loss: squaredError(typeOf(graph, output)) };
}

/** `kind`: instead of the head's own. */
function damped(network: Graph, pieces: readonly LossPiece[], divisor = 1, kind?: DampingKind): { readonly graph: Graph; readonly pieces: readonly LossPiece[] } {
  const { graph, heads } = recurrentHeads(network);
  return { graph, pieces: [...pieces, ...heads.map((head): LossPiece => ({ output: head.output, loss: structuralDamping({ scores: head.type, kind: kind ?? head.kind, divisor }), curvatureOnly: true }))] };
}

const inputs = (graph: Graph, output: string, scale: number): Map<string, Tensor> => new Map([
  ["x", tensor("f32", [3, 1, 1], [1, -1, 0.5])], ["target", randomTensor("f32", typeOf(scalar, output).shape, 5)], ["scale", one(scale, [])],
  ...wrt.map((name, i) => [`v/${name}`, one(direction[i]!, graph.parameters.find((p) => p.name === name)!.tensor.shape)] as const),
]);

function product(output: string, scale: number, of?: { readonly kind?: DampingKind; readonly damping?: boolean }): { readonly graph: Graph; readonly given: Map<string, Tensor>; readonly Gv: number[] } {
  const { graph, pieces } = of?.damping === false ? { graph: scalar, pieces: [lossAt(scalar, output)] } : damped(scalar, [lossAt(scalar, output)], 1, of?.kind);
  const whole = verifyGraph(gaussNewtonGraph(graph, pieces, wrt));
  const given = inputs(graph, output, scale);
  const wide = new Map([...given].map(([name, t]) => [name, { ...t, data: Float64Array.from(t.data as Float32Array) }]));
  // h0 = 0.1 is not a float32.
  const exact = { ...whole, parameters: whole.parameters.map((p) => (p.name === "h0" ? { ...p, tensor: { ...p.tensor, data: Float64Array.of(0.1) } } : p)) };
  const outputs = evaluate(exact, wide, "float64");
  return { graph: whole, given, Gv: wrt.flatMap((name) => numbersOf(outputs.get(`Gv/${name}`)!)) };
}

const last = [0.329634870701, -0.272809408101, -0.149080774416, -0.043213280915];
const all = [2.92542786189, -2.481695817634, -1.014574615403, 0.449452452967];
const preActivation = [1.122248549309, -1.067537995294, 0, 0.129500610705];
const postActivation = [0.81438224317, -0.785054693359, 0, 0.081850586423];
const combined = [0.433375699199, -0.376367868085, -0.099080774416, 0.157218387788];

function expectClose(got: readonly number[], wanted: readonly number[], tolerance: number): void {
  got.forEach((value, i) => expect(Math.abs(value - wanted[i]!), `element ${i}: ${value} instead of ${wanted[i]}`).toBeLessThanOrEqual(tolerance));
}

describe("oracle O8", () => {
  test("the Gauss-Newton product, in the last step and in all", () => {
    expectClose(product("last", 0, { damping: false }).Gv, last, 1e-7);
    expectClose(product("all", 0, { damping: false }).Gv, all, 1e-7);
    expectClose(product("last", 0).Gv, last, 1e-7);
  });

  test("the curvature of the distance alone, at the pre-activations and behind the function", () => {
    const minus = (a: readonly number[], b: readonly number[]) => a.map((x, i) => x - b[i]!);
    const alone = product("last", 1).Gv;
    expectClose(minus(alone, product("last", 0).Gv), preActivation, 1e-7);
    expect(alone[2]).toBe(product("last", 0).Gv[2]);
    const { graph, heads } = recurrentHeads(scalar);
    expect(heads).toEqual([{ node: "Y", output: "recurrent/Y.a", type: { dtype: "f32", shape: [3, 1, 1] }, kind: "tanh" }]);
    expect(graph.outputs.map(({ name }) => name)).toEqual(["last", "all", "recurrent/Y.a"]);
  });

  test("squared distance of what stands behind the function", () => {
    const pieces: readonly LossPiece[] = [lossAt(scalar, "last"), { output: "Y", loss: structuralDamping({ scores: typeOf(withY, "Y"), kind: "squared", divisor: 1 }), curvatureOnly: true }];
    const run = (scale: number) => {
      const whole = gaussNewtonGraph(withY, pieces, wrt);
      const wide = new Map([...inputs(withY, "last", scale)].map(([name, t]) => [name, { ...t, data: Float64Array.from(t.data as Float32Array) }]));
      const exact = { ...whole, parameters: whole.parameters.map((p) => (p.name === "h0" ? { ...p, tensor: { ...p.tensor, data: Float64Array.of(0.1) } } : p)) };
      const outputs = evaluate(exact, wide, "float64");
      return wrt.flatMap((name) => numbersOf(outputs.get(`Gv/${name}`)!));
    };
    expectClose(run(1).map((value, i) => value - run(0)[i]!), postActivation, 1e-7);
  });

  test("with Tikhonov damping, on the evaluator and on every device", () => {
    const [lambda, mu] = [0.1, 1 / 30];
    const { graph, given, Gv } = product("last", lambda * mu);
    const withTikhonov = (values: readonly number[]) => values.map((value, i) => value + lambda * direction[i]!);
    expectClose(withTikhonov(Gv), combined, 1e-7);
    const program = optimizeTrainable(graph);
    const wanted = evaluate(graph, given);
    for (const machine of machines) {
      const { outputs } = runGraph(program, machine, given);
      for (const [name, value] of wanted) expect(difference(outputs.get(name)!, value), `${machine.name} ${name}`).toBeUndefined();
      expectClose(withTikhonov(wrt.flatMap((name) => numbersOf(outputs.get(`Gv/${name}`)!))), combined, 1e-5);
    }
  });
});

/** The scalar network with the states of all steps as an output. */
const withY: Graph = { ...scalar, outputs: [...scalar.outputs, { name: "Y", value: scalar.nodes.find((one) => one.op === "scan")!.outputs[1]! }] };

describe.each<[string, number, Readonly<Record<string, AttributeInput>>, readonly string[]]>([
  ["RNN", 1, { activations: { ss: ["Sigmoid"] } }, ["logistic"]],
  ["RNN", 1, { activations: { ss: ["Relu"] } }, ["squared"]],
  ["RNN", 1, { direction: "bidirectional" }, ["tanh", "tanh"]],
  ["GRU", 3, {}, ["squared"]],
  ["LSTM", 4, {}, ["squared", "squared"]],
])("%s", (operator, gates, attributes, kinds) => {
  const directions = attributes["direction"] === undefined ? 1 : 2;
  const [steps, batch, features, hidden] = [4, 3, 2, 2];
  const { graph } = importModel(modelBytes({
    nodes: [node(operator, ["x", "w", "r", "b", "lengths"], ["y"], { hidden_size: hidden, ...attributes })],
    inputs: [info("x", "f32", [steps, batch, features]), info("lengths", "i32", [batch])], outputs: [info("y", "f32")],
    initializers: { w: randomTensor("f32", [directions, gates * hidden, features], 1), r: randomTensor("f32", [directions, gates * hidden, hidden], 2), b: randomTensor("f32", [directions, 2 * gates * hidden], 3) },
  }));
  const names = ["w", "r", "b"];
  const loss = [lossAt(graph, "y")];
  const with_ = damped(graph, loss, batch);
  const given = (scale: number, seed = 0): Map<string, Tensor> => new Map([
    ["x", randomTensor("f32", [steps, batch, features], 7)], ["lengths", tensor("i32", [batch], [4, 2, 3])], ["target", randomTensor("f32", typeOf(graph, "y").shape, 9)], ["scale", one(scale, [])],
    ...names.map((name, i) => [`v/${name}`, randomTensor("f32", graph.parameters.find((p) => p.name === name)!.tensor.shape, seed + i)] as const),
  ]);
  const whole = verifyGraph(gaussNewtonGraph(with_.graph, with_.pieces, names));
  const run = (scale: number, seed = 0) => evaluate(whole, new Map([...given(scale, seed)].map(([name, t]) => [name, t.dtype === "f32" ? { ...t, data: Float64Array.from(t.data as Float32Array) } : t])), "float64");
  const vector = (outputs: ReadonlyMap<string, Tensor>, prefix: string) => names.flatMap((name) => numbersOf(outputs.get(prefix + name)!));
  const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

  test("takes the values that belong to the function", () => {
    expect(recurrentHeads(graph).heads.map(({ kind }) => kind)).toEqual(kinds);
  });

  test("neither loss nor gradient changes in a bit, and without scale the product is that of the loss", () => {
    const plain = evaluate(lossGradient(graph, loss, names), given(0));
    const more = evaluate(whole, given(1));
    for (const [name, value] of plain) expect(difference(more.get(name)!, value), name).toBeUndefined();
    const product = evaluate(gaussNewtonGraph(graph, loss, names), given(0));
    expect(vector(run(0), "Gv/").map(Math.fround).every((value, i) => Math.abs(value - vector(product, "Gv/")[i]!) < 1e-5)).toBe(true);
    expect(more.has("Jv")).toBe(true);
  });

  test("the curvature is linear in the scale, symmetric, positive, and blind to what stands behind the end of a sequence", () => {
    const only = (seed: number) => vector(run(2, seed), "Gv/").map((value, i) => (value - vector(run(0, seed), "Gv/")[i]!) / 2);
    const direct = (seed: number) => vector(given(0, seed), "v/");
    const [Gu, Gv] = [only(0), only(50)];
    expect(inner(direct(50), Gu)).toBeCloseTo(inner(direct(0), Gv), 9);
    expect(inner(direct(0), Gu)).toBeGreaterThan(0);
    const moved = new Map([...given(2)].map(([name, t]) => [name, t.dtype === "f32" ? { ...t, data: Float64Array.from(t.data as Float32Array, (x, i) => (name === "x" && Math.floor(i / features) % batch === 1 && i >= 2 * batch * features ? x + 5 : x)) } : t]));
    expect(vector(evaluate(whole, moved, "float64"), "Gv/")).toEqual(vector(run(2), "Gv/"));
  });

  test("the device gives the evaluator's bits", () => {
    const [machine] = machines;
    const { outputs } = runGraph(optimizeTrainable(whole), machine!, given(0.5));
    for (const [name, value] of evaluate(whole, given(0.5))) expect(difference(outputs.get(name)!, value), name).toBeUndefined();
  });
});
