/**
 * @file Every operator on the device, on random shapes, attributes and data: the reference evaluator's numbers in every bit, and ONNX
 * Runtime's within tolerance. The import has the same cases against the evaluator alone.
 */
import { InputError, type Tensor } from "@systole/base";
import { evaluate } from "@systole/ir";
import { presets } from "@systole/isa";
import { compile, operatorTable, run, type Compiled } from "@systole/systole";
import { describe, expect, test } from "vitest";
import { randomOf, type Case } from "../packages/frontend-onnx/test/operatorCase.ts";
import { equations, operatorCases } from "../packages/frontend-onnx/test/operatorCases.ts";
import { nodeModel } from "../packages/frontend-onnx/test/support.ts";
import { mismatch, runOnnxRuntime } from "./onnxRuntime.ts";
import { difference } from "./support.ts";

const machine = presets["edge-16"];
const seeds = [1, 2, 3, 4, 5, 6];

/** What the import understands and the device cannot run yet. A message that stands here and does not come any more fails too. */
const refusals: Readonly<Record<string, readonly string[]>> = {};

/** `If` is no single node, Einsum has a test of its own, and ONNX Runtime does not know SwiGLU; the conformance suite has the others. */
const testedElsewhere = ["If", "Einsum", "SwiGLU"];

interface Outcome {
  readonly refusal?: string;
}

async function check(operator: string, c: Case): Promise<Outcome> {
  const { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] } = c;
  const bytes = nodeModel(operator, inputs, attributes, opset, fixed, result, outputs);
  const compiled = compiledOrRefusal(bytes);
  if (typeof compiled === "string") return { refusal: compiled };
  const free = new Map<string, Tensor>(Object.entries(inputs).filter(([name]) => !fixed.includes(name) && !name.startsWith("none")));
  const what = `${operator} ${JSON.stringify(attributes, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value))} ${Object.entries(inputs).map(([name, t]) => `${name}[${t.shape.join(",")}]`).join(" ")}`;
  const got = run(compiled.image, machine, free).outputs.get("y")!;
  expect(difference(got, evaluate(compiled.model.graph, free, "device").get("y")!), `${what}, evaluator`).toBeUndefined();
  expect(mismatch(got, (await runOnnxRuntime(bytes, free)).get("y")!, 1e-3, 1e-5), `${what}, ONNX Runtime`).toBeUndefined();
  return {};
}

function compiledOrRefusal(bytes: Uint8Array): Compiled | string {
  try {
    return compile(bytes, machine);
  } catch (error) {
    if (error instanceof InputError && error.diagnostic.code === "E0303") return error.diagnostic.message;
    throw error;
  }
}

describe("on the device", () => {
  for (const [operator, build] of Object.entries(operatorCases)) {
    test(operator, async () => {
      const outcomes: Outcome[] = [];
      for (const seed of seeds) outcomes.push(await check(operator, build(randomOf(seed * 104729 + operator.length))));
      const messages = new Set(outcomes.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal])));
      expect([...messages].sort()).toEqual(refusals[operator] ?? []);
    });
  }

  test("ConvTranspose with constant weights", async () => {
    for (const seed of seeds) expect(await check("ConvTranspose", { ...operatorCases["ConvTranspose"]!(randomOf(seed)), fixed: ["w"] })).toEqual({});
  });

  test("Einsum", async () => {
    const r = randomOf(5);
    for (const [equation, shapes] of equations) {
      expect(await check("Einsum", { inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, r.f32(shape)])), attributes: { equation } })).toEqual({});
    }
  });

  test("every operator of the table has cases", () => {
    expect(operatorTable.map(({ name }) => name).filter((name) => operatorCases[name] === undefined && !testedElsewhere.includes(name))).toEqual([]);
  });
});

test("sums of more than the data cache holds run on the smallest machine", () => {
  const x = randomOf(1).f32([1, 2, 300, 300]);
  for (const [operator, axes] of [["GlobalAveragePool", undefined], ["ReduceMean", [0, 1, 2, 3]], ["ReduceMean", [0, 2, 3]]] as const) {
    const compiled = compile(nodeModel(operator, { x }, axes === undefined ? {} : { axes }, 13, []), machine);
    const inputs = new Map([["x", x]]);
    expect(difference(run(compiled.image, machine, inputs).outputs.get("y")!, evaluate(compiled.model.graph, inputs, "device").get("y")!), operator).toBeUndefined();
  }
});
