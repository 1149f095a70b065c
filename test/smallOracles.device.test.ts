/** @file Oracles O1, O2 and O13 from an ONNX file to the device: 1e-5 of the numbers in float64, the same bits on all machines. */
import { numbersOf, tensor, type Tensor } from "@systole/base";
import { Device, differentiate } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { info, modelBytes, node } from "../packages/frontend-onnx/test/support.ts";
import { b1, directionOf, o1, o13, o2, w1, x } from "../packages/ir/test/oracles.ts";
import { difference, machines } from "./support.ts";

const f32 = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor => tensor("f32", shape, values);
const matrix = (rows: readonly (readonly number[])[]): Tensor => f32(rows.flat(), [rows.length, rows[0]!.length]);

/** Results of all machines, which must agree; `direction` in the order of the initializers. */
function derive(bytes: Uint8Array, loss: string, target: Tensor, inputs: Readonly<Record<string, Tensor>>, initializers: Readonly<Record<string, Tensor>>): (name: string) => readonly number[] {
  let position = 0;
  const v = directionOf(Object.values(initializers).reduce((sum, { data }) => sum + data.length, 0));
  const direction = Object.entries(initializers).map(([name, { shape, data }]): [string, Tensor] => [`v/${name}`, f32(v.slice(position, (position += data.length)), shape)]);
  const [first, ...others] = machines.map((machine) => {
    const { image } = differentiate(bytes, machine, { loss, target, product: true });
    return new Device(image, machine).run(new Map([...Object.entries(inputs), ["target", target], ...direction])).outputs;
  });
  for (const other of others) for (const [name, value] of first!) expect(difference(other.get(name)!, value), name).toBeUndefined();
  return (name) => (name.endsWith("/") ? Object.keys(initializers).flatMap((parameter) => numbersOf(first!.get(name + parameter)!)) : numbersOf(first!.get(name)!));
}

/** 1e-5 of the number, and of the largest beside it. */
function expectNear(got: readonly number[], wanted: readonly number[]): void {
  expect(got).toHaveLength(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  got.forEach((value, i) => expect(Math.abs(value - wanted[i]!), `element ${i}: ${value} instead of ${wanted[i]}`).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(wanted[i]!), 0.1 * largest)));
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

describe("on the device", () => {
  const dense = ({ w2, b2 }: typeof o1 | typeof o2, loss: string, target: Tensor) => {
    const initializers = { W1: matrix(w1), b1: f32(b1), W2: matrix(w2), b2: f32(b2) };
    const nodes = [node("Gemm", ["x", "W1", "b1"], ["a"], { transB: 1 }), node("Tanh", ["a"], ["h"]), node("Gemm", ["h", "W2", "b2"], ["z"], { transB: 1 }), ...(loss === "cross-entropy" ? [node("Softmax", ["z"], ["p"], { axis: -1 })] : [])];
    const bytes = modelBytes({ nodes, initializers, inputs: [info("x", "f32", [1, 2])], outputs: [info(loss === "cross-entropy" ? "p" : "z", "f32", [1, b2.length])] });
    return derive(bytes, loss, target, { x: f32(x, [1, 2]) }, initializers);
  };

  test("O1: 2-2-1, tanh, squared error", () => {
    const got = dense(o1, "squared-error", f32([1], [1, 1]));
    expectNear(got("loss"), [o1.loss]);
    expectNear(got("g/"), o1.gradient);
    expectNear(got("Jv"), o1.Jv);
    expectNear(got("Gv/"), o1.Gv);
    expectNear([dot(got("Gv/"), directionOf(9))], [o1.vGv]);
  });

  test("O2: 2-2-3, softmax", () => {
    const got = dense(o2, "cross-entropy", tensor("i64", [1], [1]));
    expectNear(got("loss"), [o2.loss]);
    expectNear(got("g/").slice(12), o2.biasGradient);
    expectNear(got("Jv"), o2.Jv);
    expectNear(got("Gv/"), o2.Gv);
  });

  test("O13: the chain of squares", () => {
    const initializers = { x: f32(o13.x) };
    const nodes = ["x", "a1", "a2"].map((from, i) => node("Mul", [from, from], [`a${i + 1}`]));
    const got = derive(modelBytes({ nodes, initializers, inputs: [], outputs: [info("a3", "f32", [3])] }), "squared-error", f32([0, 0, 0]), {}, initializers);
    expectNear(got("loss").map((value) => value * 3), [o13.loss]);
    got("g/").forEach((value, i) => expect(Math.abs((value * 3) / o13.gradient[i]! - 1)).toBeLessThanOrEqual(1e-5));
  });
});
