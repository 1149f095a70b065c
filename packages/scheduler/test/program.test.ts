/** @file Schedules of programs: what may be written in place, who stays in the data cache, what is shared, the text form. */
import { allocate, elementCount, InputError } from "@systole/base";
import { GraphBuilder, type Graph, type Program, type ProgramTensor, type Statement, type Value } from "@systole/ir";
import { presets, type Machine } from "@systole/isa";
import { expect, test } from "vitest";
import { collapseKernel, formKernels, printProgramSchedule, scheduleProgram, verifyProgramSchedule, type ProgramSchedule } from "../src/index.ts";
import { directForm } from "../src/direct.ts";
import { mapAccesses } from "../src/collapse.ts";
import { bindGraph, formGraph, type Piece } from "../src/program/application.ts";
import { statementWeights } from "../src/program/weights.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const edge = presets["edge-16"];

function graphOf(name: string, build: (b: GraphBuilder) => Readonly<Record<string, Value>>): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "Test" });
  Object.entries(build(b)).forEach(([output, value]) => b.output(output, value));
  return b.build(name);
}

const add = graphOf("add", (b) => ({ z: b.apply("add", [b.input("x", f32(8)), b.input("y", f32(8))], {}) }));
const state = (name: string, shape: readonly number[], place: ProgramTensor["place"] = "cache"): ProgramTensor => ({ name, kind: "state", type: f32(...shape), place });
const apply = (graph: string, inputs: Readonly<Record<string, string>>, outputs: Readonly<Record<string, string>>): Statement => ({
  kind: "apply", graph, inputs: Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, { tensor }])), outputs: Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, { tensor }])),
});
const programOf = (tensors: readonly ProgramTensor[], graphs: readonly Graph[], body: readonly Statement[], main: Program["main"] = [{ kind: "update", routine: "work" }]): Program => ({
  name: "p", tensors, scalars: ["done", "n"], graphs, routines: [{ name: "work", owner: "conjugate-gradient", body }], main,
});
const scheduled = (program: Program, machine: Machine = edge): ProgramSchedule => {
  const schedule = scheduleProgram(program, machine);
  verifyProgramSchedule(schedule, machine);
  return schedule;
};

const piece = (offset: number, count = 8, row?: string, rowElements = 16): Piece => ({ tensor: "t", offsetBytes: offset * 4, bytes: count * 4, dtype: "f32", ...(row === undefined ? {} : { row: { scalar: row, strideBytes: rowElements * 4, count: 4 } }) });
const scaledThenRead = graphOf("late", (b) => {
  const [x, y] = [b.input("x", f32(8)), b.input("y", f32(8))];
  const z = b.apply("add", [x, y], {});
  return { z, later: b.apply("mul", [z, x], {}) };
});
const turned = graphOf("turned", (b) => ({ z: b.apply("reverse", [b.input("x", f32(8))], { axes: [0] }) }));
const folded = graphOf("folded", (b) => ({ z: b.apply("dot", [b.input("w", f32(8, 8)), b.input("x", f32(8))], { x: "mk", w: "k", out: "m", k: "k" }) }));
const accumulated = graphOf("accumulated", (b) => ({ z: b.apply("add", [b.input("before", f32(8)), b.apply("dot", [b.input("w", f32(8, 8)), b.input("x", f32(8))], { x: "mk", w: "k", out: "m", k: "k" })], {}) }));

/** Input pieces, output pieces, whether each output is written in its place. */
const cases: readonly { readonly name: string; readonly graph: Graph; readonly inputs: Readonly<Record<string, Piece>>; readonly outputs: Readonly<Record<string, Piece>>; readonly copies: readonly string[] }[] = [
  { name: "x = x + y", graph: add, inputs: { x: piece(0), y: piece(8) }, outputs: { z: piece(0) }, copies: [] },
  { name: "x = x + x", graph: add, inputs: { x: piece(0), y: piece(0) }, outputs: { z: piece(0) }, copies: [] },
  { name: "pieces that only touch", graph: add, inputs: { x: piece(0), y: piece(16) }, outputs: { z: piece(8) }, copies: [] },
  { name: "shifted by one", graph: add, inputs: { x: piece(1), y: piece(20) }, outputs: { z: piece(0) }, copies: ["add/z.copy"] },
  { name: "one operand in place, the other not", graph: add, inputs: { x: piece(0), y: piece(4) }, outputs: { z: piece(0) }, copies: ["add/z.copy"] },
  { name: "the same row", graph: add, inputs: { x: piece(0, 8, "i"), y: piece(8, 8, "j") }, outputs: { z: piece(0, 8, "i") }, copies: [] },
  { name: "rows that may be the same", graph: add, inputs: { x: piece(0, 8, "i"), y: piece(8, 8, "i") }, outputs: { z: piece(0, 8, "j") }, copies: ["add/z.copy"] },
  { name: "rows of other sizes may meet anywhere", graph: add, inputs: { x: piece(0, 8, "i"), y: piece(8, 8, "i") }, outputs: { z: piece(0, 8, "i", 8) }, copies: ["add/z.copy"] },
  { name: "rows that leave their place beside them", graph: add, inputs: { x: piece(8, 8, "i"), y: piece(8, 8, "j") }, outputs: { z: piece(0, 8, "k") }, copies: [] },
  { name: "the old content is read later", graph: scaledThenRead, inputs: { x: piece(0), y: piece(8) }, outputs: { z: piece(0), later: piece(16) }, copies: ["late/z.copy"] },
  { name: "the last one that reads it overwrites it", graph: scaledThenRead, inputs: { x: piece(0), y: piece(8) }, outputs: { z: piece(16), later: piece(0) }, copies: [] },
  { name: "outputs that overlap are copied in their order", graph: scaledThenRead, inputs: { x: piece(40), y: piece(48) }, outputs: { z: piece(0), later: piece(4) }, copies: ["late/z.copy", "late/later.copy"] },
  { name: "reversed", graph: turned, inputs: { x: piece(0) }, outputs: { z: piece(0) }, copies: ["turned/z.copy"] },
  { name: "over an operand of a contraction", graph: folded, inputs: { w: { ...piece(64, 64) }, x: piece(0) }, outputs: { z: piece(0) }, copies: ["folded/z.copy"] },
  { name: "sums that go on", graph: accumulated, inputs: { before: piece(0), w: { ...piece(64, 64) }, x: piece(8) }, outputs: { z: piece(0) }, copies: [] },
];

test.each(cases)("in place: $name", ({ graph, inputs, outputs, copies }) => {
  const application = bindGraph(formGraph(graph, new Set(Object.keys(outputs)), presets["edge-16"]), new Map(Object.entries(inputs)), new Map(Object.entries(outputs)));
  expect(application.kernels.filter(({ name }) => name.endsWith(".copy")).map(({ name }) => name)).toEqual(copies);
});

test("only what the named outputs need", () => {
  expect(formGraph(scaledThenRead, new Set(["z"]), presets["edge-16"]).kernels.length).toBe(1);
});

test("loops and calls weigh", () => {
  const [a, b, c]: Statement[] = [{ kind: "set", target: "n", value: 0 }, { kind: "set", target: "n", value: 1 }, { kind: "set", target: "n", value: 2 }];
  const program: Program = {
    ...programOf([], [], []), routines: [
      { name: "work", owner: "conjugate-gradient", body: [a!, { kind: "while", condition: 1, body: [b!, { kind: "call", routine: "inner" }] }, { kind: "call", routine: "inner" }] },
      { name: "inner", owner: "gradient", body: [{ kind: "while", condition: 1, body: [c!] }] },
    ],
  };
  const weights = statementWeights(program);
  expect([a, b, c].map((statement) => weights.get(statement!))).toEqual([1, 16, 16 * 17]);
});

test("the data cache holds what is used most for its size, and leaves a quarter to the kernels", () => {
  const count = 12_000;
  const big = graphOf("big", (b) => ({ z: b.apply("add", [b.input("x", f32(count)), b.input("y", f32(count))], {}) }));
  const names = ["a", "b", "c", "d", "e"];
  const uses = names.flatMap((name, i) => Array.from({ length: i + 1 }, () => apply("big", { x: name, y: name }, { z: name })));
  const { tensors, workingBytes } = scheduled(programOf(names.map((name) => state(name, [count])), [big], uses));
  // Each takes 48 000 of 262 144 bytes: four in three quarters. Kernels that are the same are one, but count as often as they run.
  expect(tensors.filter(({ memory }) => memory === "cache").map(({ tensor }) => tensor.name)).toEqual(["b", "c", "d", "e"]);
  expect(workingBytes).toBeGreaterThanOrEqual(edge.dataCache.bytes / 4);
  const benefits = tensors.map(({ benefit }) => benefit);
  expect(benefits).toEqual([...benefits].sort((x, y) => x - y));
});

test("temporaries stay in the data cache beside tensors, those of different applications in the same place", () => {
  const deep = (name: string) => graphOf(name, (b) => {
    const y = b.apply("dot", [b.input("x", f32(20, 20)), b.input("w", f32(20, 20))], { x: "mk", w: "kn", out: "mn", k: "k" });
    return { z: b.apply("dot", [y, y], { x: "mk", w: "kn", out: "mn", k: "k" }) };
  });
  const { places, cachedTemporaryBytes, workingBytes } = scheduled(programOf([state("x", [20, 20]), state("z", [20, 20])], [deep("one"), deep("two")], [apply("one", { x: "x", w: "x" }, { z: "z" }), apply("two", { x: "z", w: "x" }, { z: "z" })]));
  const temporaries = places.filter(({ kind }) => kind === "temporary");
  expect(temporaries.map(({ memory, address }) => [memory, address])).toEqual([["cache", workingBytes]]);
  expect(cachedTemporaryBytes).toBe(1600);
});

test("the same work on the same places is one kernel, constants of the same content are one", () => {
  const table = { dtype: "f32" as const, shape: [8], data: Float32Array.from({ length: 8 }, (_, i) => i) };
  const withTable = (name: string) => graphOf(name, (b) => ({ z: b.apply("add", [b.input("x", f32(8)), b.constant({ ...table, data: table.data.slice() })], {}) }));
  const program = programOf([state("x", [8]), state("y", [8])], [withTable("g"), withTable("h")], [
    apply("g", { x: "x" }, { z: "x" }), apply("g", { x: "x" }, { z: "x" }), apply("g", { x: "y" }, { z: "y" }), apply("h", { x: "x" }, { z: "x" }),
  ]);
  const schedule = scheduled(program);
  expect(schedule.kernels.map(({ kernel }) => kernel.name)).toEqual(["g/0.g", "g/0.g#2", "h/0.h"]);
  expect(schedule.routines[0]!.body.map((s) => (s.kind === "run" ? s.kernels : []))).toEqual([[0], [0], [1], [2]]);
  expect(schedule.constants.length).toBe(1);
});

test("constants that are worth it are brought into the data cache by an ASSIGN that runs once", () => {
  const looked = graphOf("g", (b) => ({ z: b.apply("add", [b.input("x", f32(8)), b.constant({ dtype: "f32", shape: [8], data: Float32Array.from({ length: 8 }, (_, i) => i) })], {}) }));
  const program = (back: number): Program => ({
    ...programOf([state("x", [8])], [looked], [apply("g", { x: "x" }, { z: "x" })]),
    routines: [{ name: "start", owner: "control", body: [] }, { name: "work", owner: "conjugate-gradient", body: [apply("g", { x: "x" }, { z: "x" })] }],
    main: [{ kind: "assign", routine: "start" }, { kind: "update", routine: "work" }, { kind: "converge", routine: "start", back }],
  });
  const once = scheduled(program(1));
  expect(once.residentConstants.length).toBe(1);
  expect(once.routines[0]!.body.map((s) => (s.kind === "run" ? s.kernels.map((k) => once.kernels[k]!.kernel.name) : []))).toEqual([["(constants)/constant1"]]);
  expect(once.kernels.map(({ predicted }) => predicted.readBytes)).toEqual([64, 0]);
  const repeated = scheduled(program(0));
  expect([repeated.residentConstants, repeated.routines[0]!.body]).toEqual([[], []]);
});

test("a kernel that needs more than a quarter of the data cache gets it", () => {
  const blocks = graphOf("blocks", (b) => ({ z: b.apply("reduce", [b.apply("mul", [b.input("x", f32(4, 8192)), b.input("y", f32(4, 8192))], {})], { kind: "sum", axes: [1], order: "blocked" }) }));
  const external = (name: string): ProgramTensor => state(name, [4, 8192], "external");
  const program = programOf([external("x"), external("y"), state("z", [4]), state("u", [20_000]), state("v", [20_000])], [blocks, graphOf("same", (b) => ({ z: b.apply("neg", [b.input("x", f32(20_000))], {}) }))], [
    apply("blocks", { x: "x", y: "y" }, { z: "z" }), apply("same", { x: "u" }, { z: "v" }),
  ]);
  expect(scheduled(program).workingBytes).toBeGreaterThanOrEqual(4 * 8192 * 4);
});

test("what cannot be in the data cache is refused with bytes; a copy converts nothing", () => {
  const refused = (program: Program) => { try { scheduleProgram(program, edge); } catch (error) { if (error instanceof InputError) return `${error.diagnostic.code} ${error.diagnostic.message}`; throw error; } return "accepted"; };
  expect(refused(programOf([state("p", [60_000], "pinned")], [], []))).toMatch(/^E0302 pinned tensors .*required 240000, available 196608, missing 43392 bytes/);
  const numbers: ProgramTensor = { name: "n", kind: "state", type: { dtype: "i32", shape: [8] }, place: "cache" };
  expect(refused(programOf([numbers, state("x", [8])], [], [{ kind: "copy", from: { tensor: "n" }, to: { tensor: "x" } }]))).toBe('E0203 a copy converts nothing: "n" is i32, "x" is f32');
});

test("units work on tensors in the data cache directly, not through padding, not where a fold would write while it reads", () => {
  const direct = (build: (b: GraphBuilder) => Value) => {
    const kernel = collapseKernel(formKernels(graphOf("g", (b) => ({ z: build(b) }))).kernels[0]!);
    const form = directForm(mapAccesses(kernel, (access) => ({ ...access, tensor: { ...access.tensor, memory: "cache" } })));
    const marks: boolean[] = [];
    if (form !== undefined) mapAccesses(form, (access) => { marks.push(access.direct === true); return access; });
    return marks;
  };
  const zero = (b: GraphBuilder) => b.constant({ dtype: "f32", shape: [], data: allocate("f32", elementCount([])) });
  expect(direct((b) => b.apply("neg", [b.input("x", f32(4, 5))], {}))).toEqual([true, true]);
  expect(direct((b) => b.apply("neg", [b.apply("pad", [b.input("x", f32(4)), zero(b)], { low: [1], high: [0], interior: [0] })], {}))).toEqual([false, true]);
  expect(direct((b) => b.apply("reduce", [b.input("x", f32(4, 5))], { kind: "sum", axes: [1], order: "sequential" }))).toEqual([true, false]);
  expect(direct((b) => b.apply("abs", [b.apply("reduce", [b.input("x", f32(4, 5))], { kind: "sum", axes: [1], order: "sequential" })], {}))).toEqual([true, true]);
  expect(direct((b) => b.apply("dot", [b.input("x", f32(4, 5)), b.input("w", f32(5, 6))], { x: "mk", w: "kn", out: "nm", k: "k" }))).toEqual([true, true, true]);
  expect(direct((b) => b.apply("gather", [b.input("x", f32(4, 5)), b.input("i", { dtype: "i32", shape: [3] })], {}))).toEqual([false, false, true]);
});

test("the text form", () => {
  const program: Program = {
    ...programOf([{ name: "given", kind: "input", type: f32(8), place: "external" }, state("x", [8]), { ...state("rows", [8], "external"), rows: 3 }], [add], [
      { kind: "while", condition: { op: "lt", args: ["n", 3] }, body: [
        apply("add", { x: "x", y: "given" }, { z: "x" }), { kind: "copy", from: { tensor: "x" }, to: { tensor: "rows", row: "n" } }, { kind: "set", target: "n", value: { op: "add", args: ["n", 0.5] } },
        { kind: "if", condition: "done", then: [{ kind: "break" }], else: [] },
      ] },
    ]),
    main: [{ kind: "load", from: "given", to: "x" }, { kind: "update", routine: "work" }],
  };
  expect(printProgramSchedule(scheduled(program))).toMatchInlineSnapshot(`
    "schedule of program "p" for edge-16

    data cache:
      0x00000000     262080 bytes  buffers of kernels
      0x0003ffc0         32 bytes  state     cache    benefit     48.0  f32[8] x

    external memory: 256 bytes
      0x00000000         32 bytes  input     external benefit     16.0  f32[8] given
      0x00000040         96 bytes  state     external benefit      5.3  3 x f32[8] rows

    main:
      0: io given -> x
      1: update work

    routine work (conjugate-gradient):
      while lt(n, 3):
        run add: add/0.add
        run (copy): (copy)
        n = add(n, 0.5)
        if done:
          break

    kernel add/0.add  (Test "add")
      dims d0=8
      predicted 130 cycles, bound by load: array 0, load 2, store 0, vector 2; reads 64, writes 0 bytes
      in place x[d0]
      load given[d0] -> cache[0x0, 1 x 64]
      s0 = add(x, given)
      written in place x[d0]

    kernel (copy)  ((copy))
      dims i=8
      predicted 122 cycles, bound by vector: array 0, load 0, store 2, vector 2; reads 0, writes 64 bytes
      in place x[i]
      store cache[0x3ff80, 1 x 64] -> rows@n[i]
    "
  `);
});
