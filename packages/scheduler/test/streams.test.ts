/** @file Kernels that stream: tensors that are overwritten tile by tile, look-ups, padding around elementwise work, small contractions. */
import { tensor } from "@systole/base";
import { GraphBuilder, type Graph, type Program, type ProgramTensor, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { expect, test } from "vitest";
import { formKernels, inPlaceSlots, outputsOf, schedule, scheduleProgram, type Access, type Kernel, type Level } from "../src/index.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const edge = presets["edge-16"];

function graphOf(name: string, build: (b: GraphBuilder) => Value): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "Test" });
  b.output("z", build(b));
  return b.build(name);
}

const sum = (shape: readonly number[]) => graphOf("sum", (b) => b.apply("add", [b.input("x", f32(...shape)), b.input("y", f32(...shape))], {}));
const state = (name: string, shape: readonly number[]): ProgramTensor => ({ name, kind: "state", type: f32(...shape), place: "external" });

/** z = x + y, where z may be x itself. */
function kernelOf(shape: readonly number[], z: "x" | "z") {
  const program: Program = {
    name: "p", tensors: ["x", "y", "z"].map((name) => state(name, shape)), scalars: [], graphs: [sum(shape)], main: [{ kind: "update", routine: "work" }],
    routines: [{ name: "work", owner: "conjugate-gradient", body: [{ kind: "apply", graph: "sum", inputs: { x: { tensor: "x" }, y: { tensor: "y" } }, outputs: { z: { tensor: z } } }] }],
  };
  return scheduleProgram(program, edge).kernels[0]!;
}

const outputOf = (kernel: Kernel): Access => outputsOf(kernel)[0]!;
const level = (dim: number, step: number, extent: number): Level => ({ dim, step, count: Math.ceil(extent / step), kind: "parallel" });

test("a tensor that is overwritten has a slot for each tile of the level with the largest stride", () => {
  const { kernel } = kernelOf([1000], "x");
  expect(inPlaceSlots(kernel, outputOf(kernel), [level(0, 64, 1000)])).toEqual({ level: 0, slots: 16, slotBytes: 256 });
  expect(inPlaceSlots(kernel, outputOf(kernel), [])).toBeUndefined();
  const { kernel: elsewhere } = kernelOf([1000], "z");
  expect(inPlaceSlots(elsewhere, outputOf(elsewhere), [level(0, 64, 1000)])).toBeUndefined();
});

test("in two dimensions a slot holds whole rows; neighbours in a row share it", () => {
  const { kernel } = kernelOf([1000], "x");
  const [dimension] = kernel.dims;
  const twice = { ...kernel, dims: [{ name: "row", extent: 20 }, { ...dimension!, extent: 50 }], parallel: 2 };
  const access = (a: Access) => ({ ...a, coordinates: [{ ...a.coordinates[0]!, terms: [{ dim: 0, factor: 50 }, { dim: 1, factor: 1 }] }] });
  const matrix = { ...twice, results: kernel.results.map(({ chain, output }) => ({ chain: { ...chain, streams: chain.streams.map(access) }, output: access(output!) })) };
  expect(inPlaceSlots(matrix, outputOf(matrix), [level(0, 8, 20), level(1, 16, 50)])).toEqual({ level: 0, slots: 3, slotBytes: 8 * 50 * 4 });
  // Columns of all rows are no piece of memory.
  expect(inPlaceSlots(matrix, outputOf(matrix), [level(1, 16, 50)])).toBeUndefined();
});

test("overwriting costs no more than writing elsewhere", () => {
  expect(kernelOf([100_000], "x").predicted.cycles).toBe(kernelOf([100_000], "z").predicted.cycles);
});

const folded = (operation: "div" | "add" | "mul", more: (b: GraphBuilder, v: Value) => Value = (_, v) => v) => formKernels(graphOf(operation, (b) => {
  const zero = b.constant(tensor("f32", [], [0]));
  const value = more(b, b.apply(operation, [b.input("x", f32(10)), b.input("y", f32(10))], {}));
  const padded = b.apply("pad", [value, zero], { low: [0], high: [6], interior: [0] });
  return b.apply("reduce", [padded], { kind: "sum", axes: [0], order: "blocked" });
})).kernels;

test("padding goes to the operands where some borders make its value", () => {
  for (const operation of ["div", "add", "mul"] as const) {
    const [kernel, ...others] = folded(operation);
    expect(others).toEqual([]);
    expect(kernel!.engine.kind === "reduction" && kernel!.engine.folds[0]!.chain.streams.every(({ coordinates }) => coordinates.some(({ padded }) => padded))).toBe(true);
  }
  const one = new Uint8Array(Float32Array.of(1).buffer);
  const [division] = folded("div");
  expect(division!.engine.kind === "reduction" && division!.engine.folds[0]!.chain.streams.map(({ fill }) => fill)).toEqual([0, new DataView(one.buffer).getInt32(0, true)]);
});

test("not where the border would be another value, a negative zero for one", () => {
  expect(folded("add", (b, v) => b.apply("exp", [v], {}))).toHaveLength(2);
  expect(folded("add", (b, v) => b.apply("neg", [v], {}))).toHaveLength(2);
});

test("row numbers are loaded once for all tiles of a look-up, and its prediction counts the rows", () => {
  const graph = graphOf("gather", (b) => b.apply("gather", [b.input("x", f32(4000, 784)), b.input("i", { dtype: "i64", shape: [500] })], {}));
  const [tiled] = schedule(graph, edge).kernels;
  const [index] = tiled!.operands;
  expect(tiled!.levels.length).toBeGreaterThan(0);
  expect([index!.box.extents, index!.buffer.slots, index!.resident.length]).toEqual([[500], 1, tiled!.levels.length]);
  expect(tiled!.predicted.loadCycles).toBeGreaterThan((500 * 784 * 4) / edge.external.readBytesPerCycle);
});

test("a contraction that would not fill a large array goes to the vector unit", () => {
  const dot = graphOf("dot", (b) => b.apply("dot", [b.input("x", f32(12, 8)), b.input("w", f32(8, 3))], { x: "mk", w: "kn", out: "mn", k: "k" }));
  const engines = Object.values(presets).map((machine) => schedule(dot, machine).kernels[0]!.kernel.engine.kind);
  expect(engines).toEqual(["contraction", "reduction", "reduction"]);
});
