/** @file Losses: values and closed-form gradients against naive formulas, limits, masks, weights, diagnostics. */
import { numbersOf, tensor, type Tensor, type TensorType } from "@systole/base";
import { describe, expect, test } from "vitest";
import { binaryCrossEntropy, buildLossNamed, checkClassNumbers, crossEntropy, evaluate, gradient, jvp, plainDivisor, squaredError, totalWeight, verifyGraph, type Graph } from "../src/index.ts";
import { evaluate64, tensor64, type Tensors } from "./numeric.ts";

const f64 = (...shape: number[]): TensorType => ({ dtype: "f64", shape });
const i64 = (...shape: number[]): TensorType => ({ dtype: "i64", shape });

function run(loss: Graph, scores: Tensor, target: Tensor): Map<string, Tensor> {
  return evaluate64(verifyGraph(loss), new Map([["scores", scores], ["target", target]]));
}

/** H v at the scores. */
function curvature(loss: Graph, scores: Tensor, target: Tensor, v: readonly number[]): number[] {
  const graph = verifyGraph(jvp(loss, { wrt: ["scores"], of: ["gradient"] }));
  return numbersOf(evaluate64(graph, new Map([["scores", scores], ["target", target], ["d.scores", tensor64(scores.shape, v)]])).get("d.gradient")!);
}

/** The gradient in closed form is the derivative of the value. */
function expectConsistent(loss: Graph, scores: Tensor, target: Tensor): void {
  const inputs: Tensors = new Map([["scores", scores], ["target", target]]);
  const derived = numbersOf(evaluate64(verifyGraph(gradient(loss, ["scores"], "loss")), inputs).get("g/scores")!);
  const closed = numbersOf(run(loss, scores, target).get("gradient")!);
  closed.forEach((value, i) => expect(value).toBeCloseTo(derived[i]!, 12));
}

/** Loss, each number of the gradient and of H v in float32 against float64, relative to the number itself. */
function expectExact(loss: (dtype: "f32" | "f64") => Graph, shape: readonly number[], scores: readonly number[], target: (dtype: "f32" | "f64") => Tensor, v: readonly number[]): void {
  const graph = (dtype: "f32" | "f64"): Graph => verifyGraph(jvp(loss(dtype), { wrt: ["scores"], of: ["gradient"] }));
  const inputs = (dtype: "f32" | "f64"): Tensors => new Map([["scores", tensor(dtype, shape, scores)], ["target", target(dtype)], ["d.scores", tensor(dtype, shape, v)]]);
  const [got, exact] = [evaluate(graph("f32"), inputs("f32"), "device"), evaluate64(graph("f64"), inputs("f64"))];
  for (const name of ["loss", "gradient", "d.gradient"]) {
    const wanted = numbersOf(exact.get(name)!);
    numbersOf(got.get(name)!).forEach((value, i) => expect(Math.abs(value - wanted[i]!), `${name}[${i}]: ${value}, not ${wanted[i]!}`).toBeLessThanOrEqual(1e-6 * Math.abs(wanted[i]!)));
  }
}

const z = tensor64([2, 3], [1, 2, 3, -0.5, 0.25, 4]);

describe("squared error", () => {
  const loss = squaredError(f64(2, 3));
  const t = tensor64([2, 3], [0, 1, 1, -1, 0, 0]);
  test("half the sum, divided by the batch; samples first", () => {
    const got = run(loss, z, t);
    expect(numbersOf(got.get("samples")!)).toEqual([3, (0.25 + 0.0625 + 16) / 2]);
    expect(numbersOf(got.get("loss")!)[0]).toBe((3 + (0.25 + 0.0625 + 16) / 2) / 2);
    expect(numbersOf(got.get("gradient")!)).toEqual([0.5, 0.5, 1, 0.25, 0.125, 2]);
    expectConsistent(loss, z, t);
    expect(curvature(loss, z, t, [1, 2, 3, 4, 5, 6])).toEqual([0.5, 1, 1.5, 2, 2.5, 3]);
  });
});

describe("binary cross-entropy", () => {
  const one = (score: number, t: number): Map<string, Tensor> => run(binaryCrossEntropy(f64(1)), tensor64([1], [score]), tensor64([1], [t]));
  const numbers = (score: number, t: number): number[] => ["loss", "gradient"].map((name) => numbersOf(one(score, t).get(name)!)[0]!);
  test.each([
    [0, 1, Math.LN2, -0.5, 0.25],
    [0, 0, Math.LN2, 0.5, 0.25],
    [0.5, 1, Math.log1p(Math.exp(-0.5)), 1 / (1 + Math.exp(-0.5)) - 1, 0.235003712202],
    [100, 1, Math.exp(-100), 0, 0],
    [100, 0, 100, 1, 0],
    [-100, 0, Math.exp(-100), Math.exp(-100), Math.exp(-100)],
    [-100, 1, 100, -1, Math.exp(-100)],
  ])("at z = %f, t = %f", (score, t, value, slope, second) => {
    const [loss, derivative] = numbers(score, t);
    expect(loss).toBeCloseTo(value, 12);
    expect(derivative).toBeCloseTo(slope, 12);
    expect(curvature(binaryCrossEntropy(f64(1)), tensor64([1], [score]), tensor64([1], [t]), [1])[0]).toBeCloseTo(second, 11);
  });
  test.each([[-20, 0], [-20, 1], [20, 0], [20, 1], [3, 0.25], [-3, 0.25]])("nothing cancels in float32 at z = %f, t = %f", (score, t) => {
    const loss = (dtype: "f32" | "f64"): Graph => binaryCrossEntropy({ dtype, shape: [1] });
    expectExact(loss, [1], [score], (dtype) => tensor(dtype, [1], [t]), [1]);
  });
  test("a masked logit is certain", () => {
    expect(numbers(-Infinity, 0)).toEqual([0, 0]);
    expect(numbers(Infinity, 1)).toEqual([0, 0]);
  });
  test("the sum is divided by the batch only", () => {
    const t = tensor64([2, 3], [0, 1, 1, 0.25, 0, 0]);
    expectConsistent(binaryCrossEntropy(f64(2, 3)), z, t);
    const wanted = numbersOf(z).map((x, i) => (Math.log1p(Math.exp(x)) - x * (t.data[i] as number)) / 2).reduce((a, b) => a + b);
    expect(numbersOf(run(binaryCrossEntropy(f64(2, 3)), z, t).get("loss")!)[0]).toBeCloseTo(wanted, 12);
  });
});

describe("cross-entropy", () => {
  const softmax = (row: readonly number[]): number[] => {
    const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
    return row.map((x) => Math.exp(x) / total);
  };
  const p = [softmax([1, 2, 3]), softmax([-0.5, 0.25, 4])];

  test("class numbers, one-hot and soft targets", () => {
    const numbers = crossEntropy({ scores: f64(2, 3), target: i64(2) });
    const got = run(numbers, z, tensor("i64", [2], [2, 0]));
    const value = (-Math.log(p[0]![2]!) - Math.log(p[1]![0]!)) / 2;
    expect(numbersOf(got.get("loss")!)[0]).toBeCloseTo(value, 12);
    const wanted = [p[0]![0]!, p[0]![1]!, p[0]![2]! - 1, p[1]![0]! - 1, p[1]![1]!, p[1]![2]!].map((x) => x / 2);
    numbersOf(got.get("gradient")!).forEach((x, i) => expect(x).toBeCloseTo(wanted[i]!, 12));
    for (const target of [tensor("i64", [2, 3], [0, 0, 1, 1, 0, 0]), tensor64([2, 3], [0, 0, 1, 1, 0, 0])]) {
      const hot = run(crossEntropy({ scores: f64(2, 3), target }), z, target);
      expect(numbersOf(hot.get("loss")!)[0]).toBeCloseTo(value, 12);
      numbersOf(hot.get("gradient")!).forEach((x, i) => expect(x).toBeCloseTo(wanted[i]!, 12));
    }
    expectConsistent(crossEntropy({ scores: f64(2, 3), target: f64(2, 3) }), z, tensor64([2, 3], [0.2, 0.3, 0.5, 0.1, 0.1, 0.7]));
  });
  test("the Hessian of softmax", () => {
    const got = curvature(crossEntropy({ scores: f64(1, 3), target: i64(1) }), tensor64([1, 3], [1, 2, 3]), tensor("i64", [1], [1]), [1, 0, -1]);
    [0.14181709361, 0.14077035747, -0.282587451079].forEach((wanted, i) => expect(got[i]).toBeCloseTo(wanted, 10));
  });
  test("ignored places and class weights", () => {
    const target = tensor("i64", [2, 2], [2, -1, 0, 1]);
    const scores = tensor64([2, 3, 2], Array.from({ length: 12 }, (_, i) => Math.sin(i)));
    const weights = tensor("f32", [3], [1, 2, 4]);
    const loss = crossEntropy({ scores: f64(2, 3, 2), target, ignoreIndex: -1, weights });
    const column = (n: number, j: number): number[] => softmax([0, 1, 2].map((c) => Math.sin(n * 6 + c * 2 + j)));
    const terms = [-4 * Math.log(column(0, 0)[2]!), -1 * Math.log(column(1, 0)[0]!) - 2 * Math.log(column(1, 1)[1]!)];
    const got = run(loss, scores, target);
    numbersOf(got.get("samples")!).forEach((value, i) => expect(value).toBeCloseTo(terms[i]!, 12));
    expect(numbersOf(got.get("loss")!)[0]).toBeCloseTo((terms[0]! + terms[1]!) / 7, 12);
    expectConsistent(loss, scores, target);
    expect(numbersOf(got.get("gradient")!).filter((_, i) => i === 1 || i === 3 || i === 5).map(Math.abs)).toEqual([0, 0, 0]);
  });
  test("nothing takes part", () => {
    const target = tensor("i64", [2], [-1, -1]);
    const got = run(crossEntropy({ scores: f64(2, 3), target, ignoreIndex: -1 }), z, target);
    expect([...numbersOf(got.get("loss")!), ...numbersOf(got.get("gradient")!)].map(Math.abs)).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });
  test("masked and large logits", () => {
    const scores = tensor64([1, 3], [100, -Infinity, -100]);
    for (const target of [tensor("i64", [1], [0]), tensor64([1, 3], [1, 0, 0])]) {
      const loss = crossEntropy({ scores: f64(1, 3), target });
      const got = run(loss, scores, target);
      expect(numbersOf(got.get("loss")!)[0]).toBeCloseTo(0, 12);
      numbersOf(got.get("gradient")!).forEach((x) => expect(x).toBeCloseTo(0, 12));
      curvature(loss, scores, target, [1, 1, 1]).forEach((x) => expect(x).toBeCloseTo(0, 12));
    }
  });
  test.each([["right", 1], ["wrong", 0]])("nothing cancels in float32 where nearly all probability is at one class, which is %s", (_which, right) => {
    const hot = [0, 1, 2, 3].map((c) => (c === right ? 1 : 0));
    for (const targetOf of [() => tensor("i64", [1], [right]), (dtype: "f32" | "f64") => tensor(dtype, [1, 4], hot)]) {
      const loss = (dtype: "f32" | "f64"): Graph => crossEntropy({ scores: { dtype, shape: [1, 4] }, target: targetOf(dtype) });
      expectExact(loss, [1, 4], [1, 13, -2.5, 0.5], targetOf, [0.75, -1.5, 1, 0.25]);
      expectConsistent(loss("f64"), tensor64([1, 4], [1, 13, -2.5, 0.5]), targetOf("f64"));
    }
  });
  test("several largest logits", () => {
    for (const scores of [tensor64([1, 3], [2, 2, -9]), tensor64([1, 3], [2, 2, 2])]) expectConsistent(crossEntropy({ scores: f64(1, 3), target: i64(1) }), scores, tensor("i64", [1], [1]));
  });
  test("classes on the last axis", () => {
    const target = tensor("i32", [1, 2], [2, 0]);
    const loss = crossEntropy({ scores: f64(1, 2, 3), target, axis: 2 });
    const scores = { ...z, shape: [1, 2, 3] };
    expect(numbersOf(run(loss, scores, target).get("loss")!)[0]).toBeCloseTo((-Math.log(p[0]![2]!) - Math.log(p[1]![0]!)) / 2, 12);
    expectConsistent(loss, scores, target);
  });
  test("float32 on the device stays close", () => {
    const loss = crossEntropy({ scores: { dtype: "f32", shape: [2, 3] }, target: i64(2) });
    const inputs = new Map([["scores", tensor("f32", [2, 3], numbersOf(z))], ["target", tensor("i64", [2], [2, 0])]]);
    const exact = run(crossEntropy({ scores: f64(2, 3), target: i64(2) }), z, tensor("i64", [2], [2, 0]));
    for (const [name, t] of evaluate(loss, inputs, "device")) numbersOf(t).forEach((x, i) => expect(Math.abs(x - (exact.get(name)!.data[i] as number))).toBeLessThan(1e-6));
  });
});

describe("diagnostics", () => {
  test.each<[string, () => unknown, RegExp]>([
    ["unknown loss", () => buildLossNamed("hinge", { scores: f64(2, 3), target: f64(2, 3) }), /E0603: no loss "hinge"/],
    ["target of another shape", () => squaredError(f64(2, 3), f64(2, 4)), /E0203: squared-error: a target of f64\[2,4\] for scores of f64\[2,3\]/],
    ["class numbers of another shape", () => crossEntropy({ scores: f64(2, 3), target: i64(3) }), /E0203: cross-entropy: a target of i64\[3\][^]*class numbers i64\[2\] or i32\[2\], or one number for each score f64\[2,3\]/],
    ["weights", () => crossEntropy({ scores: f64(2, 3), target: i64(2), weights: tensor("f32", [2], [1, 1]) }), /E0203: cross-entropy: weights of f32\[2\] for 3 classes/],
    ["ignore_index of a distribution", () => crossEntropy({ scores: f64(2, 3), target: f64(2, 3), ignoreIndex: 0 }), /ignore_index needs class numbers/],
    ["axis", () => crossEntropy({ scores: f64(3), target: i64() }), /E0203: cross-entropy: axis 1/],
    ["integer scores", () => squaredError(i64(2)), /E0207/],
    ["a class number", () => checkClassNumbers(tensor("i64", [2, 2], [0, 1, 2, 3]), 3), /E0602: class 3 in sample 1; there are 3 classes/],
  ])("%s", (_name, body, message) => expect(body).toThrow(message));
  test("ignored numbers are no classes", () => expect(() => checkClassNumbers(tensor("i64", [2], [0, -100]), 3, -100)).not.toThrow());
});

describe("masks", () => {
  const scores = tensor64([2, 3, 2], [0.5, Infinity, -1, -Infinity, 2, NaN, 1, 0, -0.5, 3, 0.25, -2]);
  const v = Array.from({ length: 12 }, (_, i) => (i % 4 === 1 ? Infinity : 1 + i));
  const cases: readonly [string, (mask: TensorType) => Graph, Tensor][] = [
    ["class numbers", (mask) => crossEntropy({ scores: f64(2, 3, 2), target: i64(2, 2), mask }), tensor("i64", [2, 2], [2, 77, 0, 1])],
    ["distributions", (mask) => crossEntropy({ scores: f64(2, 3, 2), target: f64(2, 3, 2), mask }), tensor64([2, 3, 2], Array.from({ length: 12 }, (_, i) => (i % 2 === 1 && i < 6 ? NaN : 1 / 3)))],
  ];
  test.each(cases)("%s: what is masked has no part in anything, whatever it holds", (_name, make, target) => {
    const mask = tensor("i64", [2, 2], [1, 0, 1, 1]);
    const loss = make(mask);
    const finite = numbersOf(scores).map((x, i) => (i % 2 === 1 && i < 6 ? 0 : x));
    const inputs = (values: readonly number[], of: Tensor) => new Map([["scores", tensor64([2, 3, 2], values)], ["target", of], ["mask", mask]]);
    const clean = target.dtype === "i64" ? tensor("i64", [2, 2], [2, 0, 0, 1]) : tensor64([2, 3, 2], numbersOf(target).map((x) => (Number.isNaN(x) ? 1 / 3 : x)));
    const graph = verifyGraph(jvp(loss, { wrt: ["scores"], of: ["loss", "gradient"] }));
    const got = evaluate64(graph, new Map([...inputs(numbersOf(scores), target), ["d.scores", tensor64([2, 3, 2], v.map((x, i) => (i % 2 === 1 && i < 6 ? x : i)))]]));
    const wanted = evaluate64(graph, new Map([...inputs(finite, clean), ["d.scores", tensor64([2, 3, 2], v.map((_, i) => (i % 2 === 1 && i < 6 ? 0 : i)))]]));
    for (const [name, values] of wanted) expect(numbersOf(got.get(name)!).map((x) => x + 0), name).toEqual(numbersOf(values).map((x) => x + 0));
    for (const name of ["gradient", "d.gradient"]) for (const i of [1, 3, 5]) expect(Math.abs(numbersOf(got.get(name)!)[i]!)).toBe(0);
    // Three places are left.
    expect(numbersOf(got.get("samples")!).reduce((a, b) => a + b) / 3).toBeCloseTo(numbersOf(got.get("loss")!)[0]!, 12);
    expect(numbersOf(got.get("loss")!)[0]).toBeGreaterThan(0);
  });

  test.each([["squared-error", 1], ["binary-cross-entropy", 1], ["cross-entropy", 2]] as const)("%s: a given divisor stands in place of its own", (name, own) => {
    const types = { scores: f64(1, 3, 2), target: f64(1, 3, 2) };
    const inputs = new Map([["scores", tensor64([1, 3, 2], [1, 2, 3, 4, 5, 6])], ["target", tensor64([1, 3, 2], [0, 1, 0, 0, 1, 0])]]);
    const [plain, divided] = [buildLossNamed(name, types), buildLossNamed(name, { ...types, divisor: 8 * own })].map((loss) => evaluate64(verifyGraph(loss), inputs));
    for (const output of ["loss", "gradient"]) numbersOf(divided!.get(output)!).forEach((x, i) => expect(8 * x).toBeCloseTo(numbersOf(plain!.get(output)!)[i]!, 12));
  });

  test("the weight of all targets", () => {
    const numbers = { name: "cross-entropy", scores: f64(2, 3), target: i64(2), axis: 1 };
    const t = tensor("i64", [5], [0, 1, 2, 2, -1]);
    const mask = tensor("bool", [5], [1, 0, 1, 1, 1]);
    expect(totalWeight({ ...numbers, ignoreIndex: -1 }, t, undefined)).toBe(4);
    expect(totalWeight({ ...numbers, ignoreIndex: -1, weights: tensor("f32", [3], [0.5, 8, 2]), mask }, t, mask)).toBe(4.5);
    expect(totalWeight({ name: "squared-error", scores: f64(2, 3), target: f64(2, 3), mask }, undefined, mask)).toBe(4);
    expect(() => totalWeight(numbers, t, undefined)).toThrow(/E0602: class -1 in sample 4/);
    expect(() => totalWeight({ ...numbers, ignoreIndex: 2 }, tensor("i64", [2], [2, 2]), undefined)).toThrow(/E0602: no target of cross-entropy takes part/);
    expect([plainDivisor(numbers), plainDivisor({ name: "squared-error", scores: f64(4, 3) }), plainDivisor({ name: "cross-entropy", scores: f64(4, 3, 5) })]).toEqual([2, 4, 20]);
  });
});
