/** @file Which kernels become one, and what that saves. */
import { tensor } from "@systole/base";
import { GraphBuilder, type Graph, type Origin, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { describe, expect, test } from "vitest";
import { outputsOf, printKernel, schedule, type TiledKernel } from "../src/index.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const edge = presets["edge-16"];

function graphOf(build: (b: GraphBuilder) => Readonly<Record<string, Value>>): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "n", operator: "Test" });
  for (const [name, value] of Object.entries(build(b))) b.output(name, value);
  return b.build("joined");
}

/** For each kernel: what its results are written to, and their operations. */
const shapeOf = (kernels: readonly TiledKernel[]) => kernels.map(({ kernel }) => kernel.results.map(({ chain, output }) => `${output?.tensor.name ?? "-"}: ${chain.stages.map(({ operation }) => operation).join(" ")}`));
const kernelsOf = (build: (b: GraphBuilder) => Readonly<Record<string, Value>>, machine = edge) => shapeOf(schedule(graphOf(build), machine).kernels);

const product = (b: GraphBuilder, m = 40, n = 30, k = 50): Value => b.apply("dot", [b.input("x", f32(m, k)), b.input("w", f32(k, n))], { x: "mk", w: "kn", out: "mn", k: "k" });
const spread = (b: GraphBuilder, value: number, shape: readonly number[]): Value => b.apply("broadcast", [b.constant(tensor("f32", [], [value]))], { shape, axes: [] });

describe("elementwise work on a value with several readers", () => {
  test("is done where the value is made", () => {
    expect(kernelsOf((b) => {
      const y = product(b);
      return { y, neg: b.apply("neg", [y], {}), max: b.apply("max", [y, spread(b, 0, [40, 30])], {}) };
    })).toEqual([["y: ", "neg: neg", "max: max"]]);
  });

  test("leaves nothing of a value that is no output", () => {
    expect(kernelsOf((b) => {
      const y = product(b);
      return { neg: b.apply("neg", [y], {}), abs: b.apply("abs", [y], {}) };
    })).toEqual([["neg: neg", "abs: abs"]]);
  });

  test("joins across an axis order of its own", () => {
    const [kernel, ...others] = schedule(graphOf((b) => {
      const y = product(b);
      return { y, turned: b.apply("transpose", [b.apply("neg", [y], {})], { permutation: [1, 0] }) };
    }), edge).kernels;
    expect(others).toEqual([]);
    expect(outputsOf(kernel!.kernel).map(({ tensor: { name, type } }) => [name, type.shape])).toEqual([["y", [40, 30]], ["turned", [30, 40]]]);
  });

  test("takes operands along that were there before", () => {
    expect(kernelsOf((b) => {
      const bias = b.apply("tanh", [b.input("b", f32(40, 30))], {});
      const y = product(b);
      return { y, sum: b.apply("add", [y, bias], {}), bias };
    })).toEqual([["bias: tanh"], ["y: ", "sum: add"]]);
  });

  test("waits for operands that come later", () => {
    expect(kernelsOf((b) => {
      const y = product(b);
      const total = b.apply("reduce", [y], { kind: "sum", axes: [1], order: "sequential" });
      return { y, total, ratio: b.apply("div", [y, b.apply("broadcast", [total], { shape: [40, 30], axes: [0] })], {}) };
    }).length).toBe(3);
  });

  test("keeps a kernel of its own where the points are others", () => {
    expect(kernelsOf((b) => {
      const y = product(b);
      return { y, part: b.apply("neg", [b.apply("slice", [y], { starts: [0, 0], limits: [20, 30], strides: [1, 1] })], {}), rows: b.apply("reverse", [b.apply("abs", [y], {})], { axes: [0] }) };
    })).toEqual([["y: "], ["part: neg"], ["rows: abs"]]);
  });
});

describe("reductions", () => {
  const sum = (b: GraphBuilder, x: Value, axes: readonly number[] = [1], kind: "sum" | "max" = "sum") => b.apply("reduce", [x], { kind, axes, order: "sequential" });
  const foldsOf = (build: (b: GraphBuilder, x: Value, y: Value) => Readonly<Record<string, Value>>) =>
    schedule(graphOf((b) => build(b, b.input("x", f32(64, 500)), b.input("y", f32(64, 500)))), edge).kernels.flatMap(({ kernel: { engine } }) => (engine.kind === "reduction" ? [engine.folds.map(({ chain, reduction }) => [...chain.stages.map(({ operation }) => operation), reduction].join(" "))] : []));

  test("of what both read are one kernel, each operand is loaded once", () => {
    const kernels = schedule(graphOf((b) => {
      const [x, y] = [b.input("x", f32(64, 500)), b.input("y", f32(64, 500))];
      return { sum: sum(b, x), dot: sum(b, b.apply("mul", [x, y], {})), most: b.apply("neg", [sum(b, x, [1], "max")], {}) };
    }), edge).kernels;
    expect(shapeOf(kernels)).toEqual([["sum: ", "dot: copy", "most: neg"]]);
    expect(kernels[0]!.operands.map(({ access }) => access.tensor.name)).toEqual(["x", "y"]);
    const text = printKernel(kernels[0]!).join("\n");
    expect(text).toContain("fold 1: sum sequential");
    expect(text).toContain("s0 = neg(fold2)");
  });

  test("of other things stay apart where they are large", () => {
    expect(foldsOf((b, x, y) => ({ a: sum(b, x), b: sum(b, y) }))).toEqual([["sum"], ["sum"]]);
  });

  test("of other things are one kernel where they are over before a latency is", () => {
    expect(foldsOf((b, x, y) => {
      const few = (value: Value) => b.apply("slice", [value], { starts: [0, 0], limits: [8, 10], strides: [1, 1] });
      return { a: sum(b, few(x)), b: sum(b, few(y)) };
    })).toEqual([["sum", "sum"]]);
  });

  test("stay apart where together they leave too little of the data cache", () => {
    const rows = (b: GraphBuilder) => {
      const [x, y] = [b.input("x", f32(7, 8192)), b.input("y", f32(7, 8192))];
      const blocked = (value: Value) => b.apply("reduce", [value], { kind: "sum", axes: [1], order: "blocked" });
      return { sum: blocked(x), dot: blocked(b.apply("mul", [x, y], {})) };
    };
    expect(kernelsOf(rows)).toEqual([["sum: "], ["dot: "]]);
    expect(kernelsOf(rows, presets["train-32"])).toEqual([["sum: ", "dot: copy"]]);
  });

  test("over other axes stay apart", () => {
    expect(foldsOf((b, x) => ({ a: sum(b, x), b: sum(b, x, [0]) }))).toEqual([["sum"], ["sum"]]);
  });

  test("that need each other stay apart", () => {
    expect(foldsOf((b, x) => {
      const most = sum(b, x, [1], "max");
      return { most, total: sum(b, b.apply("sub", [x, b.apply("broadcast", [most], { shape: [64, 500], axes: [0] })], {})) };
    })).toEqual([["max"], ["sub sum"]]);
  });
});

test("what overlaps is written in its order: an image into its padding", () => {
  const written = kernelsOf((b) => {
    const y = product(b);
    const padded = b.apply("pad", [b.apply("tanh", [y], {}), b.constant(tensor("f32", [], [1]))], { low: [2, 2], high: [2, 2], interior: [1, 1] });
    return { y, padded };
  }).flat().map((result) => result.split(":")[0]);
  expect(written.filter((name) => name === "padded").length).toBe(2);
  expect(written.indexOf("padded")).toBeGreaterThan(written.indexOf("y"));
});

test("work of different phases stays apart, so that reports can tell what each costs", () => {
  const b = new GraphBuilder();
  const at = (phase: NonNullable<Origin["phase"]>) => { b.setOrigin({ node: "n", operator: "Test", phase }); };
  at("forward");
  const y = product(b);
  b.output("y", y);
  at("backward");
  b.output("z", b.apply("neg", [y], {}));
  expect(schedule(b.build("phases"), edge).kernels.length).toBe(2);
});

test("a long chain reads the value from its tile, where the work is large", () => {
  const long = (b: GraphBuilder) => {
    const y = b.apply("tanh", [product(b, 512, 512, 64)], {});
    let z = y;
    for (let i = 0; i < 8; i++) z = b.apply(i % 2 === 0 ? "mul" : "add", [z, y], {});
    return { y, z };
  };
  const [tiled, ...others] = schedule(graphOf(long), edge).kernels;
  expect(others).toEqual([]);
  expect(tiled!.kernel.results[1]!.chain.stages.some(({ sources }) => sources.some(({ kind }) => kind === "result"))).toBe(true);
  expect(printKernel(tiled!).join("\n")).toContain("mul(result0, result0)");
});

test.each([["edge-16", 20], ["edge-16", 300], ["cloud-128", 4000]] as const)("what is joined does not depend on the batch: %s, width %i", (name, width) => {
  const joined = (batch: number) => shapeOf(schedule(graphOf((b) => {
    const y = product(b, batch, width);
    let z = b.apply("logistic", [y], {});
    for (let i = 0; i < 5; i++) z = b.apply("mul", [z, b.apply("tanh", [y], {})], {});
    return { y, z, again: b.apply("tanh", [z], {}), last: b.apply("add", [z, y], {}) };
  }), presets[name], { batch }).kernels);
  for (const batch of [3, 16, 64]) expect(joined(batch)).toEqual(joined(2));
});
