/** @file Operators against onnxruntime on random shapes, attributes and data. */
import { numbersOf, type Dtype } from "@systole/base";
import { evaluate } from "@systole/ir";
import * as ort from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { importModel } from "../src/index.ts";
import { randomOf, type Case } from "./operatorCase.ts";
import { alongAxis, equations, operatorCases } from "./operatorCases.ts";
import { nodeModel } from "./support.ts";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

const ortTypes: Readonly<Record<Dtype, ort.Tensor.Type>> = { f32: "float32", f64: "float64", i64: "int64", i32: "int32", i8: "int8", u8: "uint8", bool: "bool" };

/** Runs both sides; the models that onnxruntime refuses are no cases. */
async function compare(operator: string, c: Case): Promise<void> {
  const { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] } = c;
  const bytes = nodeModel(operator, inputs, attributes, opset, fixed, result, outputs);
  const free = Object.entries(inputs).filter(([name]) => !fixed.includes(name) && !name.startsWith("none"));
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const wanted = (await session.run(Object.fromEntries(free.map(([name, value]) => [name, new ort.Tensor(ortTypes[value.dtype], value.data as Float32Array, value.shape)]))))["y"]!;
  const got = evaluate(importModel(bytes).graph, new Map(free)).get("y")!;
  const what = `${operator} ${JSON.stringify(attributes, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value))} ${Object.entries(inputs).map(([name, value]) => `${name}[${value.shape.join(",")}]`).join(" ")}`;
  expect(got.shape, what).toEqual([...wanted.dims]);
  const expected = Array.from(wanted.data as ArrayLike<number | bigint>, Number);
  const actual = numbersOf(got);
  const bad = actual.findIndex((value, i) => !(Object.is(value, expected[i]) || value === expected[i] || Math.abs(value - expected[i]!) <= 1e-5 + 1e-3 * Math.abs(expected[i]!)));
  expect(bad < 0 ? "" : `${what}: element ${bad} is ${actual[bad]}, onnxruntime has ${expected[bad]}`).toBe("");
  await session.release();
}

const runs = 6;

describe("onnxruntime agrees", () => {
  for (const [operator, build] of Object.entries(operatorCases)) {
    test(operator, async () => {
      for (let seed = 1; seed <= runs; seed++) await compare(operator, build(randomOf(seed * 7919 + operator.length)));
    });
  }

  test("Einsum", async () => {
    const r = randomOf(5);
    for (const [equation, shapes] of equations) {
      await compare("Einsum", { inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, r.f32(shape)])), attributes: { equation } });
    }
  });

  test("Softmax before opset 13", async () => {
    for (let seed = 1; seed <= runs; seed++) await compare("Softmax", alongAxis(11)(randomOf(seed)));
  });
});
