import { InputError, isFloat, tensor, elementCount, numbersOf, type Tensor } from "@systole/base";
import { evaluate, jvp, vjp, gaussNewtonGraph, squaredError, optimizeTrainable, type Graph } from "@systole/ir";
import { importModel } from "@systole/frontend-onnx";
import { presets } from "@systole/isa";
import { schedule } from "@systole/scheduler";
import { test } from "vitest";
import { randomOf } from "../packages/frontend-onnx/test/operatorCase.ts";
import { operatorCases } from "../packages/frontend-onnx/test/operatorCases.ts";
import { nodeModel } from "../packages/frontend-onnx/test/support.ts";
import { writeFileSync } from "node:fs";

function attempt(f: () => string): string {
  try { return f(); } catch (e) { if (e instanceof InputError) return `${e.diagnostic.code} ${e.diagnostic.message}`; return `CRASH ${(e as Error).message}`; }
}
const dev = process.env["DEV"] === "1";
test("x", () => {
  const lines: string[] = [];
  for (const [op, build] of Object.entries(operatorCases)) {
    const seen = new Map<string, number>();
    const t0 = performance.now();
    for (let seed = 1; seed <= 6; seed++) {
      const { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] } = build(randomOf(seed * 7919 + op.length));
      const graph = importModel(nodeModel(op, inputs, attributes, opset, fixed, result, outputs)).graph;
      const wrt = graph.inputs.filter((i) => isFloat(i.value.type.dtype)).map((i) => i.name);
      const of = graph.outputs.filter((o) => isFloat(o.value.type.dtype)).map((o) => o.name);
      if (wrt.length === 0 || of.length === 0) { seen.set("none", (seen.get("none") ?? 0) + 1); continue; }
      const run = (g: Graph, prefix: string) => {
        const given = new Map<string, Tensor>(g.inputs.map(({ name, value }, i) => [name, inputs[name] ?? tensor(value.type.dtype, value.type.shape, Array.from({ length: elementCount(value.type.shape) }, (_, k) => 0.3 + 0.1 * ((k * 7 + i) % 5)))]));
        const out = evaluate(g, given, "float64");
        return [...out].filter(([n]) => n.startsWith(prefix)).some(([, t]) => numbersOf(t).some((x) => x !== 0)) ? "yes" : "zero";
      };
      const j = attempt(() => run(jvp(graph, { wrt, of }), "d."));
      const v = attempt(() => run(vjp(graph, { wrt, of }), "c."));
      const y = graph.outputs.find((o) => o.name === "y")!.value.type;
      const g = attempt(() => {
        if (!isFloat(y.dtype)) return "int";
        if (y.shape.length === 0) return "scalar";
        const gg = gaussNewtonGraph(graph, [{ output: "y", loss: squaredError(y) }], wrt);
        const r = run(gg, "Gv/");
        if (dev) return r + " " + attempt(() => (schedule(optimizeTrainable(gg), presets["edge-16"], { batch: 1 }), "dev"));
        return r;
      });
      const key = `${j}|${v}|${g}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    lines.push(`${op} ${(performance.now() - t0).toFixed(0)}ms: ${[...seen].map(([k, n]) => `${n}x ${k}`).join("; ")}`);
  }
  writeFileSync("/tmp/zz.txt", lines.join("\n"));
}, 300000);
