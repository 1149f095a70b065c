/** @file The ladder: cells of small networks, what they store, and what they cost. */
import { tensor } from "@systole/base";
import { expect, test } from "vitest";
import { GraphBuilder, ladder, linearize, printLadder, residualBytes, type Graph } from "../src/index.ts";

const zeros = (...shape: number[]) => tensor("f32", shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));

/** 5 -> 4 tanh -> 3 for two samples. */
function network(): Graph {
  const b = new GraphBuilder();
  const at = (node: string, operator: string): void => b.setOrigin({ node, operator });
  const x = b.input("x", { dtype: "f32", shape: [2, 5] });
  at("fc1", "Gemm");
  const hidden = b.apply("dot", [x, b.parameter("W1", zeros(4, 5))], { x: "mk", w: "nk", out: "mn", k: "k" });
  const shifted = b.apply("add", [hidden, b.apply("broadcast", [b.parameter("b1", zeros(4))], { shape: [2, 4], axes: [1] })], {});
  at("act", "Tanh");
  const active = b.apply("tanh", [shifted], {}, "h");
  at("fc2", "MatMul");
  b.output("z", b.apply("dot", [active, b.parameter("W2", zeros(4, 3))], { x: "mk", w: "kn", out: "mn", k: "k" }));
  return b.build("small");
}

test("one rung a layer, each with f, A, R and b", () => {
  const wrt = ["W1", "b1", "W2"];
  const { rungs, storedBytes } = ladder(network(), wrt);
  expect(rungs.map(({ node, operator, takes }) => [node, operator, takes])).toEqual([["fc1", "Gemm", ["x"]], ["act", "Tanh", ["fc1"]], ["fc2", "MatMul", ["act"]]]);
  // A dense layer: one contraction forward; two each way for its weight and its operand, one in the first layer.
  expect(rungs.map(({ forward, tangent, backward }) => [forward.macs, tangent.macs, backward.macs])).toEqual([[40, 40, 40], [0, 0, 0], [24, 48, 48]]);
  expect(rungs[0]!.reads).toEqual(["x"]);
  expect(rungs[1]!.stores.length).toBeGreaterThan(0);
  expect(rungs[2]!.reads).toContain("W2");
  expect(storedBytes).toBe(residualBytes(linearize(network(), { wrt }).residuals));
  expect(storedBytes).toBe(rungs.reduce((sum, { stores }) => sum + stores.reduce((all, { bytes }) => all + bytes, 0), 0));
});

test("the chain of squares: every backward cell reads the activation below it", () => {
  const b = new GraphBuilder();
  let a = b.input("x", { dtype: "f64", shape: [3] });
  for (let i = 1; i <= 3; i++) {
    b.setOrigin({ node: `f${i}`, operator: "Mul" });
    a = b.apply("mul", [a, a], {}, `A${i}`);
  }
  b.output("y", a);
  const chain = b.build("squares");
  const { rungs } = ladder(chain, ["x"]);
  expect(rungs.map(({ stores }) => stores.map(({ bytes }) => bytes))).toEqual([[24], [24], []]);
  expect(rungs.map(({ reads }) => reads)).toEqual([["x"], [rungs[0]!.stores[0]!.name], [rungs[1]!.stores[0]!.name]]);
  expect(printLadder(chain, ["x"])).toMatchInlineSnapshot(`
    "ladder of "squares": 3 layers, with respect to x
       layer   f: A down  stores               reads  R: dA down  b: B up
    1  f1 Mul  mul <- x   r.0 f64[3] 24 bytes  x      2*mul add   2*mul add
    2  f2 Mul  mul        r.1 f64[3] 24 bytes  r.0    2*mul add   2*mul add
    3  f3 Mul  mul        .                    r.1    2*mul add   2*mul add
       all     0 macs     48 bytes             .      0 macs      0 macs
    "
  `);
});

test("skip connections are wires that do not come from the rung above", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [2] });
  const layer = (node: string, make: () => ReturnType<typeof b.apply>) => {
    b.setOrigin({ node, operator: "Op" });
    return make();
  };
  const first = layer("first", () => b.apply("tanh", [x], {}));
  const second = layer("second", () => b.apply("exp", [first], {}));
  b.output("y", layer("sum", () => b.apply("add", [second, first], {})));
  const graph = b.build("skip");
  expect(ladder(graph, ["x"]).rungs.map(({ takes }) => takes)).toEqual([["x"], ["first"], ["second", "first"]]);
  expect(printLadder(graph, ["x"])).toContain("add <- second first");
});
