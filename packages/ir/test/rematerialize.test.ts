import { tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emit, evaluate, gaussNewtonGraph, GraphBuilder, keptBytes, optimizeTrainable, rematerialize, squaredError, verifyGraph, type Graph, type Value } from "../src/index.ts";

const activations = ["tanh", "logistic", "softplus", "relu", "square", "none"] as const;

function network(layers: readonly (typeof activations)[number][], widths: readonly number[], batch: number): { graph: Graph; inputs: Map<string, Tensor> } {
  const b = new GraphBuilder();
  const wave = (shape: readonly number[], seed: number): Tensor => tensor("f32", shape, Array.from({ length: shape.reduce((x, y) => x * y, 1) }, (_, i) => Math.sin(1.7 * i + seed)));
  let h: Value = b.input("x", { dtype: "f32", shape: [batch, widths[0]!] });
  layers.forEach((activation, l) => {
    const w = b.parameter(`w${l}`, wave([widths[l]!, widths[l + 1]!], l));
    const z = b.apply("dot", [h, w], { x: "ni", w: "io", out: "no", k: "i" });
    h = activation === "none" ? z : activation === "square" ? emit.mul(b, z, z) : activation === "relu" ? emit.binary(b, "max", z, emit.zeros(b, z.type)) : emit.unary(b, activation, z);
  });
  b.output("y", h);
  const scores = h.type;
  const names = layers.map((_, l) => `w${l}`);
  const graph = optimizeTrainable(gaussNewtonGraph(b.build("net"), [{ output: "y", loss: squaredError(scores) }], names));
  const directions = names.map((name, l): [string, Tensor] => [`v/${name}`, wave([widths[l]!, widths[l + 1]!], 10 + l)]);
  return { graph, inputs: new Map([["x", wave([batch, widths[0]!], 3)], ["target", wave(scores.shape, 5)], ...directions]) };
}

function sameBits(a: ReadonlyMap<string, Tensor>, b: ReadonlyMap<string, Tensor>): boolean {
  return a.size === b.size && [...a].every(([name, { data }]) => data.every((x, i) => Object.is(x, b.get(name)!.data[i])));
}

describe("rematerialize", () => {
  test("no bit changes, and no more is kept than before", () => {
    fc.assert(fc.property(
      fc.array(fc.constantFrom(...activations), { minLength: 1, maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 5, maxLength: 5 }), fc.integer({ min: 1, max: 4 }),
      (layers, widths, batch) => {
        const { graph, inputs } = network(layers, widths, batch);
        const again = verifyGraph(rematerialize.run(graph));
        expect(keptBytes(again)).toBeLessThanOrEqual(keptBytes(graph));
        expect(sameBits(evaluate(again, inputs), evaluate(graph, inputs))).toBe(true);
      },
    ), { numRuns: 60 });
  });

  test("1 - h^2 of a tanh layer is not kept beside h; tanh itself is not computed twice", () => {
    const { graph } = network(["tanh", "tanh", "tanh"], [4, 4, 4, 4, 4], 2);
    const again = rematerialize.run(graph);
    expect(keptBytes(again)).toBeLessThan(0.75 * keptBytes(graph));
    const count = (g: Graph, op: string): number => g.nodes.filter((node) => node.op === op).length;
    expect(count(again, "tanh")).toBe(count(graph, "tanh"));
    expect(count(again, "dot")).toBe(count(graph, "dot"));
  });

  test("a graph without phases stays as it is", () => {
    const b = new GraphBuilder();
    const x = b.input("x", { dtype: "f32", shape: [3] });
    b.output("y", emit.mul(b, x, x));
    const graph = b.build("plain");
    expect(rematerialize.run(graph)).toBe(graph);
  });
});
