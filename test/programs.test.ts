/** @file Programs on the device equal the interpreter bit for bit: control, scalars, places, rows, in-place results. */
import { elementCount, tensor } from "@systole/base";
import { crossEntropy, GraphBuilder, lossGradient, optimizeTrainable, parametersAsInputs, type Program, type ProgramTensor, type ScalarExpression, type Statement, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import fc from "fast-check";
import { expect, test } from "vitest";
import { differencesFromInterpreter, graphOf, programOfGraph, runOnDevice } from "./programSupport.ts";
import { machines, randomTensor } from "./support.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const f64 = (...shape: number[]) => ({ dtype: "f64", shape }) as const;
const op = (name: Exclude<ScalarExpression, string | number>["op"], ...args: ScalarExpression[]): ScalarExpression => ({ op: name, args });
const set = (target: string, value: ScalarExpression): Statement => ({ kind: "set", target, value });
const copy = (from: string, to: string): Statement => ({ kind: "copy", from: { tensor: from }, to: { tensor: to } });
const state = (name: string, type: ProgramTensor["type"], place: ProgramTensor["place"] = "cache", rows?: number): ProgramTensor => ({ name, kind: "state", type, place, ...(rows === undefined ? {} : { rows }) });
const record = (name: string, type: ProgramTensor["type"], rows?: number): ProgramTensor => ({ name, kind: "record", type, place: "external", ...(rows === undefined ? {} : { rows }) });
const input = (name: string, type: ProgramTensor["type"]): ProgramTensor => ({ name, kind: "input", type, place: "external" });

/** One routine of the conjugate-gradient submodule, run `steps` times; `n` counts the judgements. */
function programOf(parts: Pick<Program, "tensors"> & Partial<Pick<Program, "graphs">> & { readonly scalars?: readonly string[]; readonly start?: readonly Statement[]; readonly body: readonly Statement[]; readonly steps?: number }): Program {
  return {
    name: "test", tensors: parts.tensors, scalars: ["done", "n", ...(parts.scalars ?? [])], graphs: parts.graphs ?? [],
    routines: [
      { name: "start", owner: "control", body: [set("n", 0), ...(parts.start ?? [])] },
      { name: "judge", owner: "control", body: [set("n", op("add", "n", 1)), set("done", op("le", parts.steps ?? 1, "n"))] },
      { name: "work", owner: "conjugate-gradient", body: parts.body },
    ],
    main: [{ kind: "assign", routine: "start" }, { kind: "update", routine: "work" }, { kind: "converge", routine: "judge", back: 1 }],
  };
}

test("scalars: Fibonacci, a loop with a break, branches, NaN", () => {
  const program = programOf({
    tensors: [state("out", f64(6), "pinned"), record("seen", f64(6))], scalars: ["a", "b", "t", "i", "nan"],
    body: [
      set("a", 0), set("b", 1), set("i", 0),
      { kind: "while", condition: 1, body: [
        { kind: "if", condition: op("lt", 30, "i"), then: [{ kind: "break" }], else: [set("i", op("add", "i", 1))] },
        set("t", op("add", "a", "b")), set("a", "b"), set("b", "t"),
      ] },
      { kind: "write", to: { tensor: "out", shape: [] }, value: "a" },
      set("nan", op("div", 0, op("sub", "i", "i"))),
      { kind: "if", condition: op("eq", "nan", "nan"), then: [set("t", 1)], else: [set("t", 2)] },
      { kind: "write", to: { tensor: "out", offset: 1, shape: [] }, value: op("add", "t", op("mul", 0.25, op("floor", op("sqrt", op("max", 17, op("min", "i", 3)))))) },
      set("i", 5), { kind: "while", condition: op("lt", 0, "i"), body: [set("i", op("sub", "i", 2))] },
      { kind: "write", to: { tensor: "out", offset: 2, shape: [] }, value: op("sub", 1, op("mul", "i", "i")) },
      { kind: "read", target: "t", from: { tensor: "out", offset: 1, shape: [] } },
      { kind: "write", to: { tensor: "out", offset: 3, shape: [] }, value: op("div", op("add", "t", "a"), op("sub", "b", op("add", 1, 2))) },
      { kind: "write", to: { tensor: "out", offset: 4, shape: [] }, value: op("le", op("lt", 1, 2), op("eq", 3, 3)) },
      { kind: "write", to: { tensor: "out", offset: 5, shape: [] }, value: -0 },
      copy("out", "seen"),
    ],
  });
  expect(differencesFromInterpreter(program, new Map(), { tilings: 0 })).toEqual([]);
});

test("axpy in place on a flat vector, scalars as operands, pieces that do not overlap", () => {
  const axpy = graphOf("axpy", (b) => {
    const [x, p, a] = [b.input("x", f32(300)), b.input("p", f32(300)), b.input("a", f32())];
    return { y: b.apply("add", [x, b.apply("mul", [b.apply("broadcast", [a], { shape: [300], axes: [] }), p], {})], {}) };
  });
  const program = programOf({
    tensors: [input("v", f32(1000)), state("u", f32(1000)), record("seen", f32(1000))], graphs: [axpy], scalars: ["alpha"], steps: 3,
    start: [copy("v", "u"), set("alpha", 0.75)],
    body: [
      { kind: "apply", graph: "axpy", inputs: { x: { tensor: "u", offset: 100, shape: [300] }, p: { tensor: "u", offset: 400, shape: [300] }, a: { scalar: "alpha" } }, outputs: { y: { tensor: "u", offset: 100, shape: [300] } } },
      { kind: "apply", graph: "axpy", inputs: { x: { tensor: "u", offset: 3, shape: [300] }, p: { tensor: "u", offset: 100, shape: [300] }, a: { scalar: "alpha" } }, outputs: { y: { tensor: "u", offset: 50, shape: [300] } } },
      set("alpha", op("mul", "alpha", -0.5)), copy("u", "seen"),
    ],
  });
  expect(differencesFromInterpreter(program, new Map([["v", randomTensor("f32", [1000], 1)]]))).toEqual([]);
  const { schedule } = runOnDevice(program, presets["train-32"], new Map([["v", randomTensor("f32", [1000], 1)]]));
  // In place where it is legal, through a temporary where the result would overwrite what later tiles read.
  expect(schedule.kernels.filter(({ kernel }) => kernel.name.includes("copy")).length).toBe(3);
});

test("rows: history by a dynamic row, sums, gather of samples", () => {
  const step = graphOf("step", (b) => {
    const [x, rows, index] = [b.input("x", f32(8)), b.input("data", f32(20, 8)), b.input("index", { dtype: "i32", shape: [4] })];
    const chosen = b.apply("gather", [rows, index], {});
    const mean = b.apply("reduce", [chosen], { kind: "sum", axes: [0], order: "sequential" });
    return { x: b.apply("add", [b.apply("tanh", [x], {}), mean], {}), parts: b.apply("convert", [b.apply("mul", [x, x], {})], { dtype: "f64" }) };
  });
  const program = programOf({
    tensors: [
      input("data", f32(20, 8)), { ...input("order", { dtype: "i32", shape: [4] }), rows: 5 }, state("x", f32(8)), state("parts", f64(8), "pinned"), state("phis", f64(), "pinned", 5), state("lists", f64(8), "pinned", 5),
      record("history", f32(8), 5), record("sums", f64(), 5),
    ],
    graphs: [step], scalars: ["phi", "other"], steps: 5, start: [{ kind: "copy", from: { tensor: "data", shape: [8] }, to: { tensor: "x" } }],
    body: [
      { kind: "apply", graph: "step", inputs: { x: { tensor: "x" }, data: { tensor: "data" }, index: { tensor: "order", row: "n" } }, outputs: { x: { tensor: "x" }, parts: { tensor: "parts" } } },
      { kind: "copy", from: { tensor: "x" }, to: { tensor: "history", row: "n" } },
      { kind: "sum", target: "phi", of: { tensor: "parts" } },
      { kind: "copy", from: { tensor: "parts" }, to: { tensor: "lists", row: "n" } },
      { kind: "sum", target: "other", of: { tensor: "lists", row: "n", offset: 2, shape: [5] } },
      { kind: "write", to: { tensor: "phis", row: "n" }, value: op("add", "phi", "other") },
      { kind: "read", target: "other", from: { tensor: "phis", row: "n" } },
      { kind: "copy", from: { tensor: "phis", row: "n" }, to: { tensor: "sums", row: "n" } },
      { kind: "apply", graph: "step", inputs: { x: { tensor: "history", row: "n" }, data: { tensor: "data" }, index: { tensor: "order", row: "n" } }, outputs: { x: { tensor: "x" } } },
    ],
  });
  const order = tensor("i32", [5, 4], Array.from({ length: 20 }, (_, i) => (i * 7) % 20));
  expect(differencesFromInterpreter(program, new Map([["data", randomTensor("f32", [20, 8], 2)], ["order", order]]))).toEqual([]);
});

test("gradient steps of a network whose parameters are pieces of one vector", () => {
  const batch = 5;
  const b = new GraphBuilder();
  const parameters = { w1: [6, 7], b1: [7], w2: [7, 3], b2: [3] };
  const [w1, b1, w2, b2] = Object.entries(parameters).map(([name, shape], i) => b.parameter(name, randomTensor("f32", shape, 10 + i))) as [Value, Value, Value, Value];
  const layer = (x: Value, w: Value, c: Value) => { const y = b.apply("dot", [x, w], { x: "ni", w: "io", out: "no", k: "i" }); return b.apply("add", [y, b.apply("broadcast", [c], { shape: y.type.shape, axes: [1] })], {}); };
  b.output("z", layer(b.apply("tanh", [layer(b.input("x", f32(batch, 6)), w1, b1)], {}), w2, b2));
  const network = b.build("mlp");
  const names = Object.keys(parameters);
  const loss = crossEntropy({ scores: f32(batch, 3), target: { dtype: "i64", shape: [batch] } });
  const gradient = { ...optimizeTrainable(parametersAsInputs(lossGradient(network, [{ output: "z", loss }], names), names)), name: "gradient" };
  let offset = 0;
  const parts = Object.entries(parameters).map(([name, shape]) => { const part = { name, shape, offset }; offset += elementCount(shape); return part; });
  const elements = offset;
  const pieces = (vector: string, prefix = "") => Object.fromEntries(parts.map((part) => [prefix + part.name, { tensor: vector, offset: part.offset, shape: part.shape }]));
  const step = graphOf("step", (g) => {
    const [x, d, rate] = [g.input("x", f32(elements)), g.input("g", f32(elements)), g.input("rate", f32())];
    return { x: g.apply("sub", [x, g.apply("mul", [d, g.apply("broadcast", [rate], { shape: [elements], axes: [] })], {})], {}) };
  });
  const initial = tensor("f32", [elements], parts.flatMap(({ name, shape }) => [...randomTensor("f32", shape, names.indexOf(name)).data as Float32Array]));
  const program: Program = {
    name: "sgd", scalars: ["done", "n", "f", "previous"], graphs: [gradient, step],
    tensors: [
      input("x", f32(batch, 6)), input("target", { dtype: "i64", shape: [batch] }), { name: "theta", kind: "parameter", type: f32(elements), place: "external", initial, parts }, state("work", f32(elements)), state("g", f32(elements)),
      state("f", f32(), "pinned"), record("losses", f32(), 4),
    ],
    routines: [
      { name: "assign", owner: "control", body: [set("n", 0), set("previous", Infinity)] },
      { name: "estimate", owner: "gradient", body: [
        { kind: "apply", graph: "gradient", inputs: { ...pieces("work"), x: { tensor: "x" }, target: { tensor: "target" } }, outputs: { loss: { tensor: "f" }, ...pieces("g", "g/") } },
        { kind: "read", target: "f", from: { tensor: "f" } }, { kind: "copy", from: { tensor: "f" }, to: { tensor: "losses", row: "n" } },
      ] },
      { name: "update", owner: "conjugate-gradient", body: [set("n", op("add", "n", 1)), set("previous", op("mul", "n", 0.125)), { kind: "apply", graph: "step", inputs: { x: { tensor: "work" }, g: { tensor: "g" }, rate: { scalar: "previous" } }, outputs: { x: { tensor: "work" } } }] },
      { name: "judge", owner: "control", body: [set("done", op("le", 4, "n"))] },
    ],
    main: [
      { kind: "assign", routine: "assign" }, { kind: "load", from: "theta", to: "work" }, { kind: "estimate", routine: "estimate" }, { kind: "update", routine: "update" },
      { kind: "store", from: "work", to: "theta" }, { kind: "converge", routine: "judge", back: 1 },
    ],
  };
  const inputs = new Map([["x", randomTensor("f32", [batch, 6], 5)], ["target", tensor("i64", [batch], [0, 2, 1, 1, 0])]]);
  expect(differencesFromInterpreter(program, inputs)).toEqual([]);
  // Everything fits: outside of steps, only constants of graphs and the data move.
  const { schedule, device } = runOnDevice(program, presets["cloud-128"], inputs);
  expect(schedule.tensors.filter(({ tensor: { place }, memory }) => place !== "external" && memory === "external")).toEqual([]);
  expect(device.tensor("w2").shape).toEqual([7, 3]);
  const trained = [...device.tensor("losses").data as Float32Array];
  expect(trained).toEqual([...trained].sort((a, c) => c - a));
});

test("what does not fit the data cache is external, what is pinned and does not fit is refused", () => {
  const program = programOf({
    tensors: [input("v", f32(100_000)), state("u", f32(100_000)), state("small", f32(10)), record("seen", f32(100_000))],
    body: [copy("v", "u"), { kind: "copy", from: { tensor: "u", shape: [10] }, to: { tensor: "small" } }, { kind: "copy", from: { tensor: "small" }, to: { tensor: "u", offset: 50, shape: [10] } }, copy("u", "seen")],
  });
  const edge = presets["edge-16"];
  const inputs = new Map([["v", randomTensor("f32", [100_000], 3)]]);
  expect(differencesFromInterpreter(program, inputs, { tilings: 0 })).toEqual([]);
  const memories = Object.fromEntries(runOnDevice(program, edge, inputs).schedule.tensors.map(({ tensor: { name }, memory }) => [name, memory]));
  expect(memories).toEqual({ v: "external", u: "external", small: "cache", seen: "external" });
  const pinned = { ...program, tensors: program.tensors.map((t) => (t.name === "u" ? { ...t, place: "pinned" as const } : t)) };
  expect(() => runOnDevice(pinned, edge, inputs)).toThrow(/pinned tensors do not fit the data cache of machine "edge-16": required 400\d+, available 196608, missing 203\d+ bytes/);
});

test("scalars that do not fit the registers are a diagnostic", () => {
  const scalars = Array.from({ length: 70 }, (_, i) => `s${i}`);
  expect(() => runOnDevice(programOf({ tensors: [], scalars, body: scalars.map((name) => set(name, 1)) }), presets["edge-16"], new Map())).toThrow(/E0303.*72 scalar registers, the scalar unit has 63/);
});

/** Programs over two vectors and a pinned list, made of choices: pieces that meet, scalars, loops, rows, in any order. */
test("random programs", () => {
  const length = 40;
  const graphs = [
    graphOf("blend", (b) => { const [x, y, a] = [b.input("x", f32(12)), b.input("y", f32(12)), b.input("a", f32())]; return { z: b.apply("sub", [b.apply("mul", [x, b.apply("broadcast", [a], { shape: [12], axes: [] })], {}), y], {}), top: b.apply("max", [x, y], {}) }; }),
    graphOf("turn", (b) => { const x = b.input("x", f32(3, 4)); return { t: b.apply("transpose", [x], { permutation: [1, 0] }), r: b.apply("reverse", [x], { axes: [1] }) }; }),
    graphOf("product", (b) => { const [x, w] = [b.input("x", f32(3, 4)), b.input("w", f32(4, 4))]; const y = b.apply("dot", [x, w], { x: "mk", w: "kn", out: "mn", k: "k" }); return { y: b.apply("add", [y, x], {}), s: b.apply("reduce", [y], { kind: "sum", axes: [0], order: "sequential" }) }; }),
  ];
  const at = fc.tuple(fc.constantFrom("u", "v"), fc.integer({ min: 0, max: length - 16 })).map(([name, offset]) => (shape: readonly number[]) => ({ tensor: name, offset, shape }));
  const scalar = fc.constantFrom("a", "b");
  const leaf = fc.oneof(scalar, fc.constantFrom(0, 0.5, -1.25, 3));
  const value: fc.Arbitrary<ScalarExpression> = fc.oneof(leaf, fc.tuple(fc.constantFrom("add", "mul", "sub", "max", "lt", "eq" as const), leaf, fc.oneof(leaf, fc.tuple(leaf, leaf).map(([a, b]) => op("min", a, b)))).map(([name, a, b]) => op(name as "add", a, b)));
  const element = fc.integer({ min: 0, max: 5 }).map((offset) => ({ tensor: "list", offset, shape: [] }));
  const simple: fc.Arbitrary<Statement> = fc.oneof(
    fc.tuple(scalar, value).map(([target, v]) => set(target, v)),
    fc.tuple(at, at, at, at, scalar).map(([x, y, z, top, a]): Statement => ({ kind: "apply", graph: "blend", inputs: { x: x([12]), y: y([12]), a: { scalar: a } }, outputs: { z: z([12]), top: top([12]) } })),
    fc.tuple(at, at, at).map(([x, t, r]): Statement => ({ kind: "apply", graph: "turn", inputs: { x: x([3, 4]) }, outputs: { t: t([4, 3]), r: r([3, 4]) } })),
    fc.tuple(at, at, at, at).map(([x, w, y, s]): Statement => ({ kind: "apply", graph: "product", inputs: { x: x([3, 4]), w: w([4, 4]) }, outputs: { y: y([3, 4]), s: s([4]) } })),
    fc.tuple(at, at).map(([from, to]): Statement => ({ kind: "copy", from: from([9]), to: to([9]) })),
    fc.tuple(element, value).map(([to, v]): Statement => ({ kind: "write", to, value: v })),
    fc.tuple(scalar, element).map(([target, from]): Statement => ({ kind: "read", target, from })),
    scalar.map((target): Statement => ({ kind: "sum", target, of: { tensor: "list" } })),
    fc.constant<Statement>({ kind: "apply", graph: "turn", inputs: { x: { tensor: "rows", row: "i", shape: [3, 4] } }, outputs: { t: { tensor: "rows", row: "j", offset: 4, shape: [4, 3] } } }),
    at.map((to): Statement => ({ kind: "copy", from: { tensor: "rows", row: "j", offset: 2, shape: [7] }, to: to([7]) })),
  );
  const statements = (inner: fc.Arbitrary<Statement>) => fc.array(inner, { maxLength: 4 });
  const nested: fc.Arbitrary<Statement> = fc.oneof({ weight: 4, arbitrary: simple },
    { weight: 1, arbitrary: fc.tuple(value, statements(simple), statements(simple)).map(([condition, then, otherwise]): Statement => ({ kind: "if", condition, then, else: otherwise })) },
    { weight: 1, arbitrary: fc.tuple(fc.integer({ min: 1, max: 3 }), statements(simple), statements(simple), value).map(([times, body, rest, leave]): Statement => ({ kind: "while", condition: op("lt", "i", times), body: [...body, set("i", op("add", "i", 1)), { kind: "if", condition: leave, then: [{ kind: "break" }], else: rest }] })) });
  fc.assert(fc.property(fc.array(nested, { minLength: 1, maxLength: 7 }), fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 }), fc.constantFrom<ProgramTensor["place"]>("external", "cache", "pinned"), fc.integer({ min: 0, max: 99 }), (body, i, j, place, seed) => {
    const program = programOf({
      tensors: [input("given", f32(length)), state("u", f32(length), place), state("v", f32(length)), state("rows", f32(16), "cache", 4), state("list", f32(6), "pinned"), record("seen", f32(length))],
      graphs, scalars: ["a", "b", "i", "j"], steps: 2,
      start: [set("a", 0.5), set("b", -2), set("j", j), copy("given", "u"), copy("given", "v"), ...[0, 1, 2, 3].flatMap((row): Statement[] => [set("i", row), { kind: "copy", from: { tensor: "given", offset: row, shape: [16] }, to: { tensor: "rows", row: "i" } }]), { kind: "copy", from: { tensor: "given", shape: [6] }, to: { tensor: "list" } }],
      body: [set("i", i), ...body, set("i", 0), copy("u", "seen")],
    });
    const machine = { ...presets[seed % 2 === 0 ? "edge-16" : "train-32"] };
    expect(differencesFromInterpreter(program, new Map([["given", randomTensor("f32", [length], seed)]]), { tilings: 1, on: [machine] })).toEqual([]);
  }), { numRuns: 60, seed: 4 });
});

test("graphs whose tensors all lie in the data cache, used where they lie", () => {
  const labels = [
    { x: "mk", w: "kn", out: "mn", k: "k" }, { x: "km", w: "nk", out: "mn", k: "k" }, { x: "bmk", w: "bkn", out: "bmn", k: "k" }, { x: "bmk", w: "bnk", out: "bnm", k: "k" },
    { x: "mkl", w: "lkn", out: "mn", k: "lk" }, { x: "k", w: "kn", out: "n", k: "k" }, { x: "mk", w: "k", out: "m", k: "k" }, { x: "bhmk", w: "bhkn", out: "bmhn", k: "k" },
  ];
  const check = (build: (b: GraphBuilder) => Readonly<Record<string, Value>>, seed: number, machine: number) => {
    const program = programOfGraph(graphOf("g", build));
    const inputs = new Map(program.tensors.filter(({ kind }) => kind === "input").map(({ name, type }, i) => [name, randomTensor(type.dtype, type.shape, seed * 17 + i)]));
    expect(differencesFromInterpreter(program, inputs, { tilings: 2, on: [machines[machine]!] })).toEqual([]);
  };
  const seeds = fc.integer({ min: 0, max: 999 });
  const which = fc.integer({ min: 0, max: 2 });
  fc.assert(fc.property(fc.constantFrom(...labels), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 3 }), seeds, which, (l, k, m, n, batch, seed, machine) => {
    const extent: Record<string, number> = { k, m, n, b: batch, l: 3, h: 2 };
    const shape = (s: string) => [...s].map((letter) => extent[letter]!);
    check((g) => {
      const y = g.apply("dot", [g.input("x", f32(...shape(l.x))), g.input("w", f32(...shape(l.w)))], l);
      const bias = g.apply("broadcast", [g.input("b", f32(y.type.shape.at(-1)!))], { shape: y.type.shape, axes: [y.type.shape.length - 1] });
      const sum = g.apply("add", [y, bias], {});
      return { sum, turned: g.apply("transpose", [g.apply("tanh", [sum], {})], { permutation: sum.type.shape.map((_, i) => sum.type.shape.length - 1 - i) }) };
    }, seed, machine);
  }), { numRuns: 12, seed: 1 });
  fc.assert(fc.property(fc.constantFrom(1, 2), fc.constantFrom(1, 3), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 2 }), fc.integer({ min: 0, max: 1 }), seeds, which, (spatial, groups, channels, stride, pad, seed, machine) => {
    const digits = "01".slice(0, spatial);
    const kernel = [3, 2].slice(0, spatial);
    check((g) => ({ y: g.apply("conv", [g.input("x", f32(2, ...[7, 6].slice(0, spatial), groups, channels)), g.input("w", f32(groups, ...kernel, channels, 4))], {
      x: `n${digits}gi`, w: `g${digits}io`, out: `n${digits}go`, k: `${digits}i`, strides: kernel.map(() => stride), rhsDilation: kernel.map(() => 1), lhsDilation: kernel.map(() => 1), padding: kernel.map(() => [pad, 0] as const),
    }) }), seed, machine);
  }), { numRuns: 8, seed: 2 });
  fc.assert(fc.property(fc.constantFrom("sum", "max", "blocked", "argmax", "cumsum"), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 90 }), fc.constantFrom([0], [1], [2], [0, 2], [0, 1, 2]), fc.boolean(), seeds, which, (kind, a, b, c, axes, flag, seed, machine) => {
    check((g) => {
      const x = g.apply("mul", [g.input("x", f32(a, b, c)), g.apply("transpose", [g.input("z", f32(c, b, a))], { permutation: [2, 1, 0] })], {});
      const y = kind === "cumsum" ? g.apply("cumsum", [x], { axis: axes[0]!, exclusive: flag, reverse: a > 4 })
        : kind === "argmax" ? g.apply("argreduce", [x], { kind: "max", axis: axes[0]!, dtype: "i64", last: flag })
        : g.apply("reduce", [x], { kind: kind === "blocked" ? "sum" : kind as "sum", axes, order: kind === "blocked" ? "blocked" : "sequential" });
      return { y: flag && kind !== "argmax" ? g.apply("abs", [y], {}) : y };
    }, seed, machine);
  }), { numRuns: 12, seed: 3 });
});
