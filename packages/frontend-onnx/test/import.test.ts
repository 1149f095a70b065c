import { InputError, numbersOf, tensor, type Tensor } from "@systole/base";
import { evaluate, jvp, optimize, verifyGraph, vjp } from "@systole/ir";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkExternalLocation, decodeTensor, encodeTensor, importModel, operatorTable } from "../src/index.ts";
import { f32, i64, info, messages, modelBytes, modelProto, node, run, runNode, tensorProto } from "./support.ts";

function codeOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.diagnostic.code;
    throw error;
  }
  return "none";
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

describe("inputs, parameters and constants", () => {
  const linear = (shape: readonly (number | string)[]) =>
    modelBytes({
      nodes: [node("Gemm", ["x", "w", "b"], ["y"], { transB: 1 })],
      inputs: [info("x", "f32", shape), info("w", "f32", [2, 3])],
      outputs: [info("y", "f32")],
      initializers: { w: f32([2, 3], [1, 2, 3, 4, 5, 6]), b: f32([2], [10, 20]) },
    });

  test("an initializer that is also an input is a parameter", () => {
    const model = importModel(linear([1, 3]));
    expect(model.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(model.graph.parameters.map(({ name }) => name)).toEqual(["w", "b"]);
    expect(numbersOf(run(linear([1, 3]), { x: f32([1, 3], [1, 1, 1]) }).get("y")!)).toEqual([16, 35]);
  });

  test("symbolic dimensions are bound by batch, by shape, or refused", () => {
    expect(importModel(linear(["N", 3]), { batch: 4 }).outputs[0]!.type.shape).toEqual([4, 2]);
    expect(importModel(linear(["rows", 3]), { shapes: { x: [5, 3] } }).outputs[0]!.type.shape).toEqual([5, 2]);
    expect(codeOf(() => importModel(linear(["rows", 3])))).toBe("E0204");
    expect(codeOf(() => importModel(linear(["rows", 3]), { shapes: { x: [5, 4] } }))).toBe("E0203");
    expect(codeOf(() => importModel(linear(["rows", 3]), { shapes: { z: [5, 4] } }))).toBe("E0601");
    expect(importModel(linear(["rows", 3]), { batch: 2 }).inputs[0]!.stated).toBe("[rows, 3]");
  });

  test("a shape computed from a shape is known at import", () => {
    const bytes = modelBytes({
      nodes: [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "rest"], ["shape"], { axis: 0 }), node("Reshape", ["x", "shape"], ["y"]),
      ],
      inputs: [info("x", "f32", ["N", 2, 3])], outputs: [info("y", "f32")],
      initializers: { zero: i64([0], []), axes: i64([0]), rest: i64([-1]) },
    });
    expect(importModel(bytes, { batch: 7 }).outputs[0]!.type.shape).toEqual([7, 6]);
  });

  test("a slice up to the largest integer, given as a list of integers", () => {
    const end = node("Constant", [], ["end"], { value_ints: [] });
    // The largest integer as protobufjs writes it.
    Object.assign(end.attribute![0]!, { ints: [{ low: -1, high: 0x7fffffff, unsigned: false }] });
    const bytes = modelBytes({
      nodes: [end, node("Slice", ["x", "one", "end"], ["y"])], inputs: [info("x", "f32", [4])], outputs: [info("y", "f32")], initializers: { one: i64([1]) },
    });
    expect(importModel(bytes).outputs[0]!.type.shape).toEqual([3]);
  });

  test("what must be known and is not gives E0206, unless it is settled by an option", () => {
    const bytes = modelBytes({
      nodes: [node("Reshape", ["x", "shape"], ["y"])], inputs: [info("x", "f32", [6]), info("shape", "i64", [2])], outputs: [info("y", "f32")],
    });
    expect(codeOf(() => importModel(bytes))).toBe("E0206");
    const fixed = importModel(bytes, { fixedInputs: { shape: i64([2, 3]) } });
    expect(fixed.outputs[0]!.type.shape).toEqual([2, 3]);
    expect(fixed.inputs.map(({ name }) => name)).toEqual(["x"]);
  });
});

describe("diagnostics name the node", () => {
  const one = (opType: string, attributes = {}, opset = 17) => () =>
    importModel(modelBytes({ opset, nodes: [node(opType, ["x"], ["y"], attributes)], inputs: [info("x", "f32", [2, 3])], outputs: [info("y", "f32")] }));

  test("unknown operators, attributes and opsets", () => {
    expect(codeOf(one("Frobnicate"))).toBe("E0201");
    expect(codeOf(one("Gelu"))).toBe("E0201"); // since opset 20
    expect(codeOf(one("Relu", { alpha: 1 }))).toBe("E0202");
    expect(codeOf(one("Relu", {}, 6))).toBe("E0104");
    expect(codeOf(one("Relu", {}, 99))).toBe("E0104");
    expect(messageOf(one("Elu", { alpha: 1 }))).toContain('node "y" (Elu, opset 17), attribute "alpha"');
  });

  test("graphs that are not well formed", () => {
    const graph = (nodes: Parameters<typeof modelBytes>[0]["nodes"]) => () => importModel(modelBytes({ nodes, inputs: [info("x", "f32", [2])], outputs: [info("y", "f32")] }));
    expect(codeOf(graph([node("Relu", ["z"], ["y"])]))).toBe("E0205");
    expect(codeOf(graph([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]))).toBe("E0205");
    expect(codeOf(graph([node("Relu", ["x", "x"], ["y"])]))).toBe("E0205");
    expect(codeOf(graph([node("MatMul", ["x"], ["y"])]))).toBe("E0205");
  });

  test("shapes that do not fit name both sides", () => {
    const bytes = modelBytes({ nodes: [node("Add", ["a", "b"], ["y"])], inputs: [info("a", "f32", [2, 3]), info("b", "f32", [4])], outputs: [info("y", "f32")] });
    expect(messageOf(() => importModel(bytes))).toMatch(/E0203.*\[2,3\] and \[4\]/);
  });
});

describe("functions and branches", () => {
  const scaled = {
    name: "Scaled", domain: "local", input: ["a", "b"], output: ["r"], attribute: ["slope"], opsetImport: [{ domain: "", version: 17 }],
    node: [node("LeakyRelu", ["a"], ["t"], { alpha: { ref: "slope", type: 1 } }), node("Sum", ["t", "a"], ["r"])],
  };

  test("a function is inlined with its attributes", () => {
    const bytes = modelBytes({
      nodes: [node("Scaled", ["x"], ["y"], { slope: { f: 0.5 } }, "local")], inputs: [info("x", "f32", [2])], outputs: [info("y", "f32")], functions: [scaled], domains: ["local"],
    });
    expect(numbersOf(run(bytes, { x: f32([2], [-2, 3]) }).get("y")!)).toEqual([-3, 6]);
  });

  test("functions that call themselves end with a diagnostic", () => {
    const loop = { ...scaled, name: "Loop", attribute: [], opsetImport: [{ domain: "local", version: 1 }], node: [node("Loop", ["a"], ["r"], {}, "local")] };
    const bytes = modelBytes({ nodes: [node("Loop", ["x"], ["y"], {}, "local")], inputs: [info("x", "f32", [2])], outputs: [info("y", "f32")], functions: [loop], domains: ["local"] });
    expect(codeOf(() => importModel(bytes))).toBe("E0205");
  });

  test("the branch of a known condition is taken", () => {
    const branch = (op: string) => ({ g: { name: op, node: [node(op, ["x"], ["r"])], output: [info("r", "f32")] } });
    const bytes = modelBytes({
      nodes: [node("If", ["c"], ["y"], { then_branch: branch("Neg"), else_branch: branch("Abs") })],
      inputs: [info("x", "f32", [1])], outputs: [info("y", "f32")], initializers: { c: tensor("bool", [], [1]) },
    });
    expect(numbersOf(run(bytes, { x: f32([1], [3]) }).get("y")!)).toEqual([-3]);
  });
});

describe("control", () => {
  const branch = (op: string) => ({ g: { name: op, node: [node(op, ["x"], ["t"]), node("Mul", ["t", "w"], ["r"])], output: [info("r", "f32")] } });
  const branching = (opset = 17) => modelBytes({
    opset, nodes: [node("If", ["c"], ["y"], { then_branch: branch("Neg"), else_branch: branch("Exp") })],
    inputs: [info("c", "bool", [1]), info("x", "f32", [2])], outputs: [info("y", "f32")], initializers: { w: f32([2], [2, 3]) },
  });

  test("a condition of the run chooses a branch; both see the graph around them", () => {
    const graph = verifyGraph(importModel(branching()).graph);
    expect(graph.nodes.map(({ op }) => op)).toEqual(["reshape", "cond"]);
    const inputs = (c: number) => new Map([["c", tensor("bool", [1], [c])], ["x", f32([2], [1, 2])]]);
    expect(numbersOf(evaluate(graph, inputs(1)).get("y")!)).toEqual([-2, -6]);
    expect(numbersOf(evaluate(graph, inputs(0)).get("y")!)[0]).toBeCloseTo(2 * Math.E, 5);
    expect(numbersOf(evaluate(optimize(graph), inputs(1)).get("y")!)).toEqual([-2, -6]);
    const back = (c: number) => numbersOf(evaluate(vjp(graph, { wrt: ["w", "x"] }), new Map([...inputs(c), ["c.y", f32([2], [1, 1])]])).get("c.w")!);
    expect(back(1)).toEqual([-1, -2]);
    expect(back(0)[1]).toBeCloseTo(Math.exp(2), 5);
  });

  /** Doubles until the sum is above `most`, at most `limit` times. */
  const doubling = (more: string, options: { readonly limit?: boolean; readonly scanned?: boolean } = {}) => modelBytes({
    nodes: [node("Loop", [options.limit === true ? "limit" : "", "", "x"], options.scanned === true ? ["y", "all"] : ["y"], { body: { g: {
      name: "body", input: [info("i", "i64", []), info("c", "bool", []), info("v", "f32", [2])], output: [info(more, "bool", []), info("n", "f32", [2]), ...(options.scanned === true ? [info("n", "f32", [2])] : [])],
      node: [node("Add", ["v", "v"], ["n"]), node("ReduceSum", ["n"], ["s"], { keepdims: 0 }), node("Less", ["s", "most"], ["less"])],
    } } })],
    inputs: [info("x", "f32", [2]), info("most", "f32", []), ...(options.limit === true ? [info("limit", "i64", [1])] : [])], outputs: [info("y", "f32", [2])],
  });

  test("a loop that the data ends runs in the evaluator, has a tangent, and nothing else", () => {
    const { graph } = importModel(doubling("less", { limit: true }));
    const inputs = (limit: number) => new Map<string, Tensor>([["x", f32([2], [1, 2])], ["most", f32([], [20])], ["limit", i64([limit])]]);
    for (const [limit, wanted] of [[0, [1, 2]], [2, [4, 8]], [9, [8, 16]]] as const) expect(numbersOf(evaluate(graph, inputs(limit)).get("y")!)).toEqual(wanted);
    expect(numbersOf(evaluate(jvp(graph, { wrt: ["x"] }), new Map([...inputs(9), ["d.x", f32([2], [1, -1])]])).get("d.y")!)).toEqual([8, -8]);
    expect(codeOf(() => vjp(graph, { wrt: ["x"] }))).toBe("E0208");
    expect(codeOf(() => optimize(graph))).toBe("E0303");
    expect(codeOf(() => importModel(doubling("less", { scanned: true })))).toBe("E0202");
  });

  test("a loop without end is not run at import", () => {
    const body = { g: { name: "body", input: [info("i", "i64", []), info("c", "bool", []), info("v", "i64", [1])], output: [info("c2", "bool", []), info("n", "i64", [1])], node: [node("Greater", ["i", "least"], ["c2"]), node("Add", ["v", "v"], ["n"])] } };
    const bytes = modelBytes({
      nodes: [node("Loop", ["", "", "one"], ["shape"], { body }), node("Reshape", ["x", "shape"], ["y"])],
      inputs: [info("x", "f32", [1])], outputs: [info("y", "f32")], initializers: { one: i64([1]), least: i64([-1], []) },
    });
    expect(codeOf(() => importModel(bytes))).toBe("E0206");
  });

  test("what does not fit is a diagnostic", () => {
    const loop = (attributes: Parameters<typeof node>[3], inputs = ["x", "x"]) => codeOf(() => importModel(modelBytes({ nodes: [node("Scan", inputs, ["y"], attributes)], inputs: [info("x", "f32", [2])], outputs: [info("y", "f32")] })));
    const body = (...names: string[]) => ({ g: { name: "b", input: names.map((name) => info(name, "f32", [])), output: [info("r", "f32", [])], node: [node("Neg", [names[0]!], ["r"])] } });
    expect(loop({ body: body("a"), num_scan_inputs: 1 })).toBe("E0205");
    expect(loop({ body: body("a", "b"), num_scan_inputs: 3 })).toBe("E0202");
    expect(loop({ body: body("a", "b"), num_scan_inputs: 2, scan_input_axes: [0] })).toBe("E0202");
    expect(loop({ body: body("a", "b"), num_scan_inputs: 2, scan_input_axes: [0, 1] })).toBe("E0203");
    expect(loop({ body: body("slice", "state"), num_scan_inputs: 1 })).toBe("none");
    const reshaped = { g: { ...body("a", "b").g, node: [node("Neg", ["b"], ["r"])] } };
    expect(loop({ body: reshaped, num_scan_inputs: 1 })).toBe("E0203");
  });
});

describe("tensors", () => {
  test("every storage form gives the same values", () => {
    const forms = [
      { dataType: 1, floatData: [1, 2] }, { dataType: 11, doubleData: [1, 2] }, { dataType: 7, int64Data: [1, 2] }, { dataType: 6, int32Data: [1, 2] },
      { dataType: 3, int32Data: [1, 2] }, { dataType: 2, int32Data: [1, 2] }, tensorProto(i64([1, 2])),
    ];
    for (const form of forms) expect(numbersOf(decodeTensor(messages.TensorProto.encode({ dims: [2], ...form }).finish()))).toEqual([1, 2]);
    expect(numbersOf(decodeTensor(messages.TensorProto.encode({ dims: [2], dataType: 9, int32Data: [0, 7] }).finish()))).toEqual([0, 1]);
  });

  test("64-bit integers keep all bits", () => {
    const value = tensor("i64", [2], [-(2n ** 63n), 2n ** 63n - 1n]);
    expect(decodeTensor(encodeTensor(value)).data).toEqual(value.data);
  });

  test("sizes that the data does not have are refused", () => {
    const code = (form: object) => codeOf(() => decodeTensor(messages.TensorProto.encode({ dataType: 1, ...form }).finish()));
    expect(code({ dims: [1e12], floatData: [1] })).toBe("E0102");
    expect(code({ dims: [-1], floatData: [] })).toBe("E0102");
    expect(code({ dims: [3], rawData: new Uint8Array(4) })).toBe("E0102");
    expect(code({ dims: [1], dataType: 8 })).toBe("E0207");
    expect(code({ dims: [1], dataType: 10, rawData: new Uint8Array(2) })).toBe("E0207");
  });

  test("round trip of any float tensor", () => {
    fc.assert(fc.property(fc.array(fc.float()), (values) => {
      expect(decodeTensor(encodeTensor(f32([values.length], values), "t"))).toEqual({ ...f32([values.length], values), name: "t" });
    }));
  });
});

describe("external data", () => {
  const bytes = (location: string) => {
    const m = modelProto({ nodes: [node("Add", ["x", "w"], ["y"])], inputs: [info("x", "f32", [2])], outputs: [info("y", "f32")] });
    const external = [{ key: "location", value: location }, { key: "offset", value: "4" }, { key: "length", value: "8" }];
    m.graph!.initializer = [{ name: "w", dims: [2], dataType: 1, dataLocation: 1, externalData: external }];
    return messages.ModelProto.encode(m).finish();
  };

  test("is read at its offset", () => {
    const readExternal = (location: string, offset: number, length: number | undefined) => {
      expect([location, offset, length]).toEqual(["weights.bin", 4, 8]);
      return new Uint8Array(new Float32Array([1, 2]).buffer);
    };
    expect(numbersOf(importModel(bytes("weights.bin"), { readExternal }).graph.parameters[0]!.tensor)).toEqual([1, 2]);
  });

  test("is confined to the model's folder", () => {
    for (const location of ["", "/etc/passwd", "../w", "a/../../w", "a\\w", "w\0", "C:w"]) expect(codeOf(() => checkExternalLocation(location))).toBe("E0103");
    for (const location of ["w", "a/b..c/w.bin", "./w"]) expect(codeOf(() => checkExternalLocation(location))).toBe("none");
    const readExternal = (): Uint8Array => { throw new Error("must not be called"); };
    expect(codeOf(() => importModel(bytes("../w"), { readExternal }))).toBe("E0103");
    expect(codeOf(() => importModel(bytes("w")))).toBe("E0103");
  });
});

describe("damaged files", () => {
  const good = modelBytes({
    nodes: [node("Conv", ["x", "w"], ["c"], { pads: [1, 1, 1, 1] }), node("Relu", ["c"], ["y"])],
    inputs: [info("x", "f32", [1, 1, 4, 4])], outputs: [info("y", "f32")], initializers: { w: f32([1, 1, 3, 3], Array(9).fill(1)) },
  });
  const safely = (bytes: Uint8Array): void => {
    expect(codeOf(() => importModel(bytes))).toMatch(/^(none|E0[12]\d\d)$/);
  };

  test("every truncation is refused with a diagnostic", () => {
    for (let length = 0; length < good.length; length++) safely(good.subarray(0, length));
  });

  test("flipped bytes and noise never give anything but a diagnostic", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }), (flips) => {
      const damaged = Uint8Array.from(good);
      for (const [at, mask] of flips) damaged[at] = damaged[at]! ^ mask;
      safely(damaged);
    }), { numRuns: 300 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), safely), { numRuns: 200 });
  });
});

test("every operator of the table has versions", () => {
  expect(operatorTable.length).toBeGreaterThan(130);
  expect(operatorTable.filter(({ since }) => since.length === 0)).toEqual([]);
});

test("empty tensors pass through", () => {
  expect(runNode("Relu", { x: f32([0, 3], []) }).shape).toEqual([0, 3]);
  expect(numbersOf(runNode("ReduceSum", { x: f32([0, 2], []), axes: i64([0]) }, { keepdims: 0 }, 17, ["axes"]))).toEqual([0, 0]);
});

describe("batch normalisation in training form", () => {
  const shape = [16, 3, 16, 16];
  const x = f32(shape, Array.from({ length: 16 * 3 * 256 }, (_, i) => 1 + Math.sin(i * i)));
  const bytes = (opset: number, outputs: readonly string[], attributes: Readonly<Record<string, number>>): Uint8Array =>
    modelBytes({
      nodes: [node("BatchNormalization", ["x", "s", "b", "m", "v"], outputs, attributes)],
      inputs: [info("x", "f32", shape)], outputs: outputs.map((name) => info(name, "f32")), opset,
      initializers: { s: f32([3], [1, 2, 3]), b: f32([3], [4, 5, 6]), m: f32([3], [7, 8, 9]), v: f32([3], [1, 2, 3]) },
    });

  test("before opset 14 it is the form with several outputs", () => {
    const [old, now] = [run(bytes(13, ["y", "m1", "v1", "batch mean", "batch variance"], {}), { x }), run(bytes(15, ["y", "m1", "v1"], { training_mode: 1 }), { x })];
    for (const [name, value] of now) expect(old.get(name), name).toEqual(value);
    const [mean, running] = [numbersOf(old.get("batch mean")!), numbersOf(old.get("m1")!)];
    mean.forEach((one, channel) => expect(running[channel]).toBeCloseTo(0.9 * (7 + channel) + 0.1 * one, 5));
    expect(numbersOf(run(bytes(13, ["y"], {}), { x }).get("y")!)).toEqual(numbersOf(run(bytes(15, ["y"], {}), { x }).get("y")!));
    expect(codeOf(() => importModel(bytes(15, ["y", "m1", "v1"], {})))).toBe("E0202");
  });

  test("its statistics are as exact as a sum over places, then over samples", () => {
    const { graph } = importModel(bytes(15, ["y", "m1", "v1"], { training_mode: 1 }));
    const [wanted, got] = [evaluate(graph, new Map([["x", x]]), "float64"), evaluate(graph, new Map([["x", x]]), "device")];
    const [exact, rounded] = [numbersOf(wanted.get("y")!), numbersOf(got.get("y")!)];
    const squares = exact.reduce((sum, y, i) => sum + (rounded[i]! - y) ** 2, 0);
    expect(Math.sqrt(squares / exact.length)).toBeLessThan(5e-7);
  });
});
