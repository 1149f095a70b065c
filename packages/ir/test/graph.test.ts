/** @file The text form reads back exactly; the verifier finds corruption; the evaluator checks its inputs. */
import { InputError, tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluate, GraphBuilder, optimize, parseGraph, printGraph, verifyGraph, type Graph, type Node, type Value } from "../src/index.ts";
import { drawGraph, drawInputs, outputBits } from "./randomGraph.ts";
import { drawFrom, drawSample, drawTensor, sampledPrimitives } from "./samples.ts";

function small(): Graph {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [2, 3] });
  const w = b.parameter("w", tensor("f32", [3, 2], [0.1, -0, 1e-40, Infinity, 5, 1 / 3]));
  b.setOrigin({ node: 'fc "1"\n', operator: "Gemm" });
  const y = b.apply("dot", [x, w], { x: "mk", w: "kn", out: "mn", k: "k" }, "hidden");
  b.setOrigin({ node: "top", operator: "TopK" });
  const [keys, positions] = b.applyAll("sort", [y], { axis: 1, descending: true });
  b.output("keys", keys!);
  b.output("positions", positions!);
  return b.build("small");
}

test("the text form", () => {
  expect(printGraph(small())).toMatchInlineSnapshot(`
    "graph "small" {
      input "x" %0 : f32[2,3]
      parameter "w" %1 : f32[3,2] = [0.1, -0, 1e-40, inf, 5, 0.33333334]
      %2 = dot(%0, %1) {x="mk", w="kn", out="mn", k="k"} : f32[2,2] name(%2 "hidden") loc("fc \\"1\\"\\n" "Gemm")
      %3, %4 = sort(%2) {axis=1, descending=true} : f32[2,2], i64[2,2] loc("top" "TopK")
      output "keys" %3
      output "positions" %4
    }
    "
  `);
});

describe("round trip", () => {
  test("of a small graph", () => {
    const text = printGraph(small());
    expect(printGraph(parseGraph(text))).toBe(text);
    expect(parseGraph(text)).toEqual(small());
  });

  test("of phases, also where a node has no other origin", () => {
    const [first, ...others] = small().nodes;
    const graph: Graph = { ...small(), nodes: [{ ...first!, origin: { node: "", operator: "", phase: "forward" } }, ...others.map((node) => ({ ...node, origin: { ...node.origin, phase: "product" as const } }))] };
    const text = printGraph(graph);
    expect(text).toContain('loc("" "" forward)\n');
    expect(text).toContain('loc("top" "TopK" product)\n');
    expect(printGraph(parseGraph(text))).toBe(text);
    expect(parseGraph(text).nodes.map(({ origin }) => origin)).toEqual(graph.nodes.map(({ origin }) => origin));
    expect(() => parseGraph(text.replace("product", "sideways"))).toThrow(/a phase: forward, backward, product/);
  });

  test("of random graphs, raw and optimized", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const d = drawFrom(gen);
      const graph = drawGraph(d);
      const inputs = drawInputs(graph, d);
      for (const g of [graph, optimize(graph)]) {
        const back = parseGraph(printGraph(g));
        expect(printGraph(back)).toBe(printGraph(g));
        expect(outputBits(back, inputs)).toBe(outputBits(g, inputs));
      }
    }), { numRuns: 60 });
  });

  test.each(sampledPrimitives)("of %s with random parameters", (op) => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const { inputs, params } = drawSample(op, drawFrom(gen));
      const b = new GraphBuilder();
      const operands = inputs.map((x, i) => b.input(`x${i}`, x));
      b.applyAll(op, operands, params).forEach((value, i) => b.output(`y${i}`, value));
      const graph = b.build(op);
      expect(parseGraph(printGraph(graph))).toEqual(graph);
    }), { numRuns: 20 });
  });

  test.each(["f32", "f64", "i64", "i32", "i8", "u8", "bool"] as const)("of %s tensors, short and long", (dtype) => {
    fc.assert(fc.property(fc.gen(), fc.integer({ min: 0, max: 40 }), (gen, length) => {
      const b = new GraphBuilder();
      b.output("y", b.constant(drawTensor(drawFrom(gen), dtype, [length])));
      const graph = b.build("constant");
      expect(parseGraph(printGraph(graph))).toEqual(graph);
    }), { numRuns: 60 });
  });

  test("keeps the bits of NaN", () => {
    const b = new GraphBuilder();
    const data = new Float32Array(new Uint32Array([0x7fc00001, 0xffc00000]).buffer);
    b.output("y", b.constant({ dtype: "f32", shape: [2], data }));
    const [node] = parseGraph(printGraph(b.build("nan"))).nodes as readonly Node<"constant">[];
    expect([...new Uint32Array(node!.params.value.data.buffer)]).toEqual([0x7fc00001, 0xffc00000]);
  });
});

test.each([
  ["", /"graph" expected/],
  ['graph "g" {\n  %0 = nothing() : f32[]\n}', /name of a primitive instead of "nothing".*\n.*line 2/],
  ['graph "g" {\n  input "x" %0 : f33[]\n}', /an element type expected.*\n.*line 2/],
  ['graph "g" {\n  %1 = neg(%0) : f32[]\n}', /a definition of %0 further up/],
  ['graph "g" {\n  input "x" %0 : f32[2]\n  %1 = neg(%0) : f32[3]\n}', /neg gives f32\[2\], but %1 is f32\[3\]/],
  ['graph "g" {\n  input "x" %0 : f32[2]\n  input "y" %0 : f32[2]\n}', /defined already/],
  ['graph "g" {\n  %0 = constant() {value=f32[2] [1]} : f32[2]\n}', /2 elements expected/],
  ['graph "g" {\n  %0 = constant() {value=f32[2] base64 "AAAA"} : f32[2]\n}', /base64 of 8 bytes expected/],
  ['graph "g" {\n  input "x" %0 : f32[2] garbage\n}', /the end of the line expected before " garbage"/],
])("the parser says what is wrong with %j", (text, message) => {
  expect(() => parseGraph(text)).toThrow(InputError);
  expect(() => parseGraph(text)).toThrow(message);
});

describe("the verifier refuses", () => {
  const graph = small();
  const [dot, sort] = graph.nodes as readonly [Node, Node];
  const other: Value = { id: 99, type: { dtype: "f32", shape: [2, 2] } };
  const cases: readonly (readonly [string, Graph, RegExp])[] = [
    ["use before definition", { ...graph, nodes: [sort, dot] }, /uses %2 before its definition/],
    ["a second definition", { ...graph, nodes: [dot, dot, sort] }, /second time/],
    ["one id for two values", { ...graph, nodes: [{ ...dot, outputs: [{ ...dot.outputs[0]!, id: 0 }] }] , outputs: [] }, /both carry the id %0/],
    ["a foreign operand", { ...graph, nodes: [dot, { ...sort, inputs: [other] }] }, /uses %99/],
    ["an output that nothing defines", { ...graph, outputs: [{ name: "y", value: other }] }, /output "y" is %99/],
    ["a wrong result type", { ...graph, nodes: [{ ...dot, outputs: [{ ...dot.outputs[0]!, type: { dtype: "f64", shape: [2, 2] } }] }], outputs: [] }, /dot gives f32\[2,2\], but %2 is f64\[2,2\]/],
    ["parameters that do not fit", { ...graph, nodes: [{ ...dot, params: { x: "mk", w: "nk", out: "mn", k: "k" } }, sort] }, /"k" is 3/],
    ["a missing result", { ...graph, nodes: [dot, { ...sort, outputs: sort.outputs.slice(0, 1) }], outputs: [] }, /sort has 2 results, the node has 1/],
    ["two inputs of one name", { ...graph, inputs: [...graph.inputs, { name: "w", value: other }] }, /two input or parameters are named "w"/],
    ["two outputs of one name", { ...graph, outputs: [graph.outputs[0]!, graph.outputs[0]!] }, /two outputs are named "keys"/],
    ["a parameter of another type", { ...graph, parameters: [{ ...graph.parameters[0]!, tensor: tensor("f32", [6], [1, 2, 3, 4, 5, 6]) }] }, /parameter "w" is f32\[3,2\], its tensor f32\[6\]/],
  ];
  test.each(cases)("%s", (_what, corrupted, message) => {
    expect(() => verifyGraph(corrupted)).toThrow(InputError);
    expect(() => verifyGraph(corrupted)).toThrow(message);
  });
});

test("the evaluator refuses missing and wrong inputs and names the node of a fault", () => {
  expect(() => evaluate(small(), new Map())).toThrow(/E0601: no tensor given for input "x"/);
  expect(() => evaluate(small(), new Map([["x", tensor("f32", [3, 2], [1, 2, 3, 4, 5, 6])]]))).toThrow(/E0602: input "x" is f32\[3,2\], wanted f32\[2,3\]/);
  const b = new GraphBuilder();
  b.setOrigin({ node: "lookup", operator: "Gather" });
  b.output("y", b.apply("gather", [b.input("x", { dtype: "f32", shape: [2] }), b.constant(tensor("i64", [1], [5]))], {}));
  expect(() => evaluate(b.build("g"), new Map([["x", tensor("f32", [2], [1, 2])]]))).toThrow(/node "lookup" \(Gather\)/);
});

test("float64 evaluation rounds nothing to f32", () => {
  const b = new GraphBuilder();
  const x = b.input("x", { dtype: "f32", shape: [1] });
  b.output("y", b.apply("div", [b.apply("exp", [x], {}), b.constant(tensor("f32", [1], [3]))], {}));
  const inputs = new Map([["x", tensor("f32", [1], [1])]]);
  expect(evaluate(b.build("g"), inputs, "float64").get("y")!.data[0]).toBe(Math.E / 3);
  expect(evaluate(b.build("g"), inputs, "device").get("y")!.data[0]).toBe(Math.fround(Math.fround(Math.E) / 3));
});
