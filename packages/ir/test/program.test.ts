/** @file The program language: what each statement does, what the verifier refuses, and the text form, which reads back exactly. */
import { InputError, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GraphBuilder, mapGraphs, optimize, parseProgram, printProgram, runProgram, scalarOperations, verifyProgram, type Graph, type Program, type ProgramTensor, type Reference, type ScalarExpression, type ScalarOperation, type Statement } from "../src/index.ts";
import { drawFrom, drawTensor, type Draw } from "./samples.ts";

const set = (target: string, value: ScalarExpression): Statement => ({ kind: "set", target, value });
const op = (name: ScalarOperation, ...args: ScalarExpression[]): ScalarExpression => ({ op: name, args });
const at = (name: string, more: Omit<Reference, "tensor"> = {}): Reference => ({ tensor: name, ...more });
const copy = (from: Reference, to: Reference): Statement => ({ kind: "copy", from, to });
const when = (condition: ScalarExpression, then: Statement[], otherwise: Statement[] = []): Statement => ({ kind: "if", condition, then, else: otherwise });
const loop = (condition: ScalarExpression, body: Statement[]): Statement => ({ kind: "while", condition, body });
const leave: Statement = { kind: "break" };

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const state = (name: string, shape: readonly number[], place: "cache" | "pinned" = "pinned"): ProgramTensor => ({ name, kind: "state", type: { dtype: "f32", shape }, place });

/** sum = x + y, difference = x - y, scaled = factor x. */
function arithmetic(): Graph {
  const b = new GraphBuilder();
  const [x, y, factor] = [b.input("x", f32(3)), b.input("y", f32(3)), b.input("factor", f32())];
  b.output("sum", b.apply("add", [x, y], {}));
  b.output("difference", b.apply("sub", [x, y], {}));
  b.output("scaled", b.apply("mul", [x, b.apply("broadcast", [factor], { shape: [3], axes: [] })], {}));
  return b.build("arithmetic");
}

const scalars = ["a", "b", "c", "i", "j", "done"];
const tensors: readonly ProgramTensor[] = [
  { name: "x", kind: "input", type: f32(3), place: "external" },
  { name: "theta", kind: "parameter", type: f32(3), place: "external", initial: tensor("f32", [3], [1, 2, 3]), parts: [{ name: "w", offset: 0, shape: [1, 2] }, { name: "bias", offset: 2, shape: [] }] },
  { name: "table", kind: "constant", type: { dtype: "i32", shape: [2] }, rows: 3, place: "external", initial: tensor("i32", [6], [10, 11, 12, 13, 14, 15]) },
  state("u", [3]), state("v", [3]), state("cached", [3], "cache"),
  { name: "rows", kind: "state", type: f32(3), rows: 4, place: "pinned" },
  { name: "numbers", kind: "state", type: { dtype: "f64", shape: [] }, rows: 8, place: "pinned" },
  { name: "whole", kind: "state", type: { dtype: "i64", shape: [2] }, place: "pinned" },
  { name: "pair", kind: "record", type: { dtype: "i32", shape: [2] }, place: "external" },
];

function program(body: readonly Statement[], more: Partial<Program> = {}): Program {
  return { name: "test", tensors, scalars, graphs: [arithmetic()], routines: [{ name: "run", owner: "control", body }], main: [{ kind: "assign", routine: "run" }], ...more };
}

const x: Tensor = tensor("f32", [3], [4, 5, 6]);

function run(body: readonly Statement[], more: Partial<Program> = {}) {
  return runProgram(verifyProgram(program(body, more)), new Map([["x", x]]), { precision: "float64", maxStatements: 10_000 });
}

const apply = (inputs: Readonly<Record<string, Reference | { scalar: string }>>, outputs: Readonly<Record<string, Reference>>): Statement => ({ kind: "apply", graph: "arithmetic", inputs, outputs });

describe("statements", () => {
  const results: Readonly<Record<ScalarOperation, readonly (readonly [number[], number])[]>> = {
    add: [[[2, 3], 5]], sub: [[[2, 3], -1]], mul: [[[2, 3], 6], [[0, Infinity], NaN]], div: [[[3, 2], 1.5], [[1, 0], Infinity], [[0, 0], NaN]],
    max: [[[2, 3], 3], [[NaN, 3], NaN]], min: [[[2, 3], 2], [[2, NaN], NaN]], sqrt: [[[9], 3], [[-1], NaN]], floor: [[[-1.5], -2]],
    lt: [[[2, 3], 1], [[3, 3], 0], [[NaN, 1], 0], [[1, NaN], 0], [[-Infinity, 0], 1]],
    le: [[[3, 3], 1], [[4, 3], 0], [[NaN, NaN], 0], [[1, NaN], 0]],
    eq: [[[3, 3], 1], [[3, 4], 0], [[NaN, NaN], 0], [[0, -0], 1]],
  };
  test.each(Object.entries(results).flatMap(([name, cases]) => cases.map(([args, wanted]) => ({ name: name as ScalarOperation, args, wanted }))))("$name($args) = $wanted", ({ name, args, wanted }) => {
    expect(args).toHaveLength(scalarOperations[name]);
    expect(run([set("a", op(name, ...args))]).scalar("a")).toBe(wanted);
  });

  test("set takes what a scalar was", () => {
    expect(run([set("a", 1), set("a", op("add", "a", op("mul", "a", 4)))]).scalar("a")).toBe(5);
  });

  test("apply computes all outputs from what the inputs were, in place", () => {
    const done = run([copy(at("x"), at("u")), copy(at("theta"), at("v")), set("a", 10), apply({ x: at("u"), y: at("v"), factor: { scalar: "a" } }, { sum: at("v"), difference: at("u"), scaled: at("cached") })]);
    expect([...done.read(at("v")).data]).toEqual([5, 7, 9]);
    expect([...done.read(at("u")).data]).toEqual([3, 3, 3]);
    expect([...done.read(at("cached")).data]).toEqual([40, 50, 60]);
  });

  test("apply rounds a scalar to float32 on the device", () => {
    const body = [set("a", 0.1), apply({ x: at("x"), y: at("theta"), factor: { scalar: "a" } }, { scaled: at("u") })];
    expect(runProgram(program(body), new Map([["x", x]])).read(at("u")).data[0]).toBe(Math.fround(Math.fround(0.1) * 4));
    expect(run(body).read(at("u")).data[0]).toBe(0.1 * 4);
  });

  test("read, write and sum", () => {
    const done = run([
      copy(at("x"), at("u")), { kind: "write", to: at("u", { offset: 1, shape: [] }), value: op("mul", 2, 50) }, { kind: "sum", target: "a", of: at("u") },
      { kind: "read", target: "b", from: at("u", { offset: 2 , shape: [1] }) }, { kind: "write", to: at("whole"), value: -2.75 }, { kind: "read", target: "c", from: at("whole") },
    ]);
    expect([done.scalar("a"), done.scalar("b"), done.scalar("c")]).toEqual([110, 6, -2]);
  });

  test("copy moves pieces and changes their shape", () => {
    const done = run([copy(at("x"), at("u")), copy(at("theta", { offset: 1, shape: [2] }), at("u", { offset: 0, shape: [2, 1] }))]);
    expect([...done.read(at("u")).data]).toEqual([2, 3, 6]);
    expect(done.tensor(program([]), "w")).toMatchObject({ shape: [1, 2] });
    expect(done.tensor(program([]), "bias").data[0]).toBe(3);
  });

  test("rows are chosen by a scalar", () => {
    const done = run([set("i", 2), copy(at("x"), at("rows", { row: "i" })), set("j", 0), copy(at("theta"), at("rows", { row: "j" })), copy(at("table", { row: "i" }), at("pair"))]);
    expect([...done.read(at("rows", { row: "i" })).data]).toEqual([4, 5, 6]);
    expect([...done.read(at("rows", { row: "j" })).data]).toEqual([1, 2, 3]);
    expect([...done.read(at("pair")).data]).toEqual([14, 15]);
  });

  test.each([-1, 4, NaN, Infinity])("row %s does not exist", (row) => {
    expect(() => run([set("i", row), copy(at("x"), at("rows", { row: "i" }))])).toThrow(/E0501.*row .* of "rows", which has 4/);
  });

  test("if takes a branch; NaN is not 0", () => {
    expect(run([when(1, [set("a", 1)], [set("a", 2)]), when(0, [set("b", 1)], [set("b", 2)]), when(NaN, [set("c", 1)], [set("c", 2)])]).scalars).toEqual(new Map([["a", 1], ["b", 2], ["c", 1]]));
  });

  test("break leaves the innermost loop, through branches", () => {
    const inner = loop(1, [set("j", op("add", "j", 1)), when(op("lt", "i", "j"), [when(1, [leave])])]);
    const done = run([set("a", 0), set("i", 0), loop(op("lt", "i", 3), [set("j", 0), inner, set("a", op("add", "a", "j")), set("i", op("add", "i", 1))])]);
    expect([done.scalar("a"), done.scalar("i")]).toEqual([1 + 2 + 3, 3]);
  });

  test("call runs a routine that stands behind", () => {
    const routines = [{ name: "run", owner: "control" as const, body: [set("a", 1), { kind: "call" as const, routine: "twice" }, { kind: "call" as const, routine: "twice" }] }, { name: "twice", owner: "damping" as const, body: [set("a", op("mul", "a", 2))] }];
    expect(run([], { routines }).scalar("a")).toBe(4);
  });

  test("the main part goes back until done", () => {
    const seen: string[] = [];
    const judged: number[] = [];
    const body = [set("i", op("add", "i", 1)), set("done", op("le", 3, "i"))];
    const looping = program([], { routines: [{ name: "begin", owner: "control", body: [set("i", 0)] }, { name: "judge", owner: "control", body }], main: [{ kind: "assign", routine: "begin" }, { kind: "load", from: "theta", to: "u" }, { kind: "store", from: "u", to: "theta" }, { kind: "converge", routine: "judge", back: 1 }] });
    runProgram(verifyProgram(looping), new Map([["x", x]]), { observer: { step: ({ kind }) => seen.push(kind), judgement: (judgement, now) => judged.push(judgement, now.scalar("i")) } });
    expect(seen.join(" ")).toBe("assign load store converge load store converge load store converge");
    expect(judged).toEqual([0, 1, 1, 2, 2, 3]);
  });

  test.each<[string, Statement[], RegExp]>([
    ["a tensor", [copy(at("u"), at("v"))], /E0501.*"u" is read before it was written \(element 0\)/],
    ["an element", [{ kind: "write", to: at("u"), value: 1 }, copy(at("u"), at("v"))], /E0501.*element 1/],
    ["a row", [set("i", 0), copy(at("x"), at("rows", { row: "i" })), set("i", 1), copy(at("rows", { row: "i" }), at("u"))], /E0501.*"rows".*element 3/],
    ["a scalar", [set("a", "b")], /E0501.*scalar "b" is read before it was set/],
    ["a graph's input", [set("a", 1), apply({ x: at("v"), y: at("x"), factor: { scalar: "a" } }, { sum: at("u") })], /E0501.*"v"/],
  ])("%s that was never written cannot be read", (_, body, message) => {
    expect(() => run(body)).toThrow(message);
  });

  test("a missing input and an endless loop are errors", () => {
    expect(() => runProgram(program([]), new Map())).toThrow(/E0601.*input "x"/);
    expect(() => run([loop(1, [])])).toThrow(/E0502/);
    expect(() => run([]).tensor(program([]), "nothing")).toThrow(/E0601.*"nothing"/);
  });

  test("parameters are given by the names of their parts", () => {
    const done = runProgram(program([]), new Map([["x", x], ["bias", tensor("f32", [], [9])]]));
    expect([...done.read(at("theta")).data]).toEqual([1, 2, 9]);
  });
});

describe("the verifier refuses", () => {
  const bound = { x: at("u"), y: at("v"), factor: { scalar: "a" } };
  const replaced = (name: string, change: Partial<ProgramTensor>): Program => program([], { tensors: tensors.map((one) => (one.name === name ? { ...one, ...change } : one)) });
  const twice = <T>(list: readonly T[]): T[] => [...list, list[0]!];
  const both = (routine: string, body: Statement[] = []): Partial<Program> => ({ routines: [{ name: "run", owner: "control", body }, { name: routine, owner: "control", body: [] }] });
  const cases: Readonly<Record<string, Program>> = {
    'tensor "x" is declared twice': program([], { tensors: twice(tensors) }),
    'name of the host "x" is declared twice': replaced("theta", { parts: [{ name: "x", offset: 0, shape: [3] }] }),
    'graph "arithmetic" is declared twice': program([], { graphs: twice([arithmetic()]) }),
    'scalar "a" is declared twice': program([], { scalars: twice(scalars) }),
    'routine "run" is declared twice': program([], both("run")),
    'no routine "away"': program([], { main: [{ kind: "update", routine: "away" }] }),
    "a judgement goes back to an earlier step, not to 1": program([], { main: [{ kind: "converge", routine: "run", back: 1 }] }),
    'a judgement needs the scalar "done"': program([], { scalars: [], main: [{ kind: "converge", routine: "run", back: 0 }] }),
    'tensor "rows" has 0 rows': replaced("rows", { rows: 0 }),
    'input "x" is for the host and so must be external': replaced("x", { place: "cache" }),
    'constant "table" has no content': replaced("table", { initial: undefined as never }),
    'state "u" has content before the run': replaced("u", { initial: x }),
    '"theta" of f32[3] begins as f32[2]': replaced("theta", { initial: tensor("f32", [2], [0, 0]) }),
    'part "bias" leaves "theta"': replaced("theta", { parts: [{ name: "bias", offset: 3, shape: [] }] }),
    'routine "run": break outside of a loop': program([when(1, [leave])]),
    "nothing can stand behind a break": program([loop(1, [leave, set("a", 1)])]),
    'sum of "numbers", which has not rank 1': program([{ kind: "sum", target: "a", of: at("numbers", { row: "i" }) }]),
    'sum of a part: scalar statements need "x" to be pinned': program([{ kind: "sum", target: "a", of: at("x") }]),
    'read: scalar statements need "cached" to be pinned': program([{ kind: "read", target: "a", from: at("cached") }]),
    'write: scalar statements need "cached" to be pinned': program([{ kind: "write", to: at("cached"), value: 0 }]),
    'no routine "none"': program([{ kind: "call", routine: "none" }]),
    'calls "run", which does not stand behind it': program([{ kind: "call", routine: "run" }]),
    'no graph "none"': program([{ kind: "apply", graph: "none", inputs: {}, outputs: {} }]),
    'graph "arithmetic" has no input "z"': program([apply({ ...bound, z: at("u") }, {})]),
    'nothing is bound to input "y" of graph "arithmetic"': program([apply({ x: at("u"), factor: { scalar: "a" } }, {})]),
    'graph "arithmetic" has no output "z"': program([apply(bound, { z: at("u") })]),
    'E0203: scalar "a" is bound to input "y" of "arithmetic" of f32[3]': program([apply({ ...bound, y: { scalar: "a" } }, {})]),
    'E0203: "whole" as i64[2] is bound to input "y" of "arithmetic" of f32[3]': program([apply({ ...bound, y: at("whole") }, {})]),
    'E0203: "u" as f32[1,3] is bound to output "sum" of "arithmetic" of f32[3]': program([apply(bound, { sum: at("u", { shape: [1, 3] }) })]),
    'input "x" is written': program([copy(at("u"), at("x"))]),
    'constant "table" is written': program([set("i", 0), copy(at("pair"), at("table", { row: "i" }))]),
    'output: input "x" is written': program([apply(bound, { sum: at("x") })]),
    'no tensor "none"': program([copy(at("none"), at("u"))]),
    'a reference to "rows" must name a row': program([copy(at("rows"), at("u"))]),
    'a reference to "u" cannot name a row': program([copy(at("u", { row: "i" }), at("v"))]),
    'elements 2 to 3 of "u", which has 3': program([copy(at("u", { offset: 2, shape: [2] }), at("v", { shape: [2] }))]),
    '"u" and "whole" have 12 and 16 bytes': program([copy(at("u"), at("whole"))]),
    'no scalar "none"': program([set("none", 1)]),
    'operand: no scalar "none"': program([set("a", op("sqrt", "none"))]),
    "sqrt of 2 operands": program([set("a", op("sqrt", "b", "c"))]),
  };
  // What stands before a colon tells the cases apart; the message is what follows, E-codes included.
  test.each(Object.keys(cases))("%s", (title) => {
    const [, prefix, message] = /^(?:(E0203|output|operand|read|write|sum of a part): )?(.*)$/.exec(title)!;
    const code = prefix === "E0203" ? "E0203" : "E0205";
    try {
      verifyProgram(cases[title]!);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).toContain(message!);
      expect((error as Error).message).toContain(code);
    }
  });

  test("but not a program that is right", () => {
    expect(verifyProgram(program([]))).toEqual(program([]));
    expect(mapGraphs(program([]), optimize).graphs.map(({ name }) => name)).toEqual(["arithmetic"]);
  });
});

describe("the text form", () => {
  const wide = program([
    set("a", 1e30), set("b", op("max", op("sub", "a", -Infinity), NaN)),
    when(op("lt", "a", 0.25), [copy(at("x"), at("rows", { row: "i", offset: 0, shape: [3] }))], [{ kind: "read", target: "c", from: at("numbers", { row: "j" }) }]),
    loop(1, [{ kind: "sum", target: "a", of: at("u") }, { kind: "write", to: at("u", { offset: 1, shape: [] }), value: -0 }, leave]),
    apply({ x: at("u"), y: at("theta"), factor: { scalar: "a" } }, { sum: at("v") }),
  ], { main: [{ kind: "load", from: "theta", to: "u" }, { kind: "update", routine: "run" }, { kind: "store", from: "u", to: "theta" }, { kind: "converge", routine: "run", back: 1 }] });

  test("for people", () => {
    expect(printProgram(wide)).toMatchInlineSnapshot(`
      "program "test" {
        input x : f32[3] external
        parameter theta : f32[3] external parts (w+0:[1,2], bias+2:[]) = f32[3] [1, 2, 3]
        constant table : i32[2] rows 3 external = i32[6] [10, 11, 12, 13, 14, 15]
        state u : f32[3] pinned
        state v : f32[3] pinned
        state cached : f32[3] cache
        state rows : f32[3] rows 4 pinned
        state numbers : f64[] rows 8 pinned
        state whole : i64[2] pinned
        record pair : i32[2] external
        scalar a, b, c, i, j, done
        graph "arithmetic" {
          input "x" %0 : f32[3]
          input "y" %1 : f32[3]
          input "factor" %2 : f32[]
          %3 = add(%0, %1) : f32[3]
          %4 = sub(%0, %1) : f32[3]
          %5 = broadcast(%2) {shape=[3], axes=[]} : f32[3]
          %6 = mul(%0, %5) : f32[3]
          output "sum" %3
          output "difference" %4
          output "scaled" %6
        }
        routine run control {
          a = 1e+30
          b = max(sub(a, -inf), nan)
          if lt(a, 0.25) {
            copy x -> rows[i]+0:[3]
          } else {
            c = read numbers[j]
          }
          while 1 {
            a = sum u
            write u+1:[] = -0
            break
          }
          apply "arithmetic" (x=u, y=theta, factor=scalar a) -> ("sum"=v)
        }
        main {
          load theta -> u
          update run
          store u -> theta
          converge run back 1
        }
      }
      "
    `);
  });

  test("reads back", () => {
    expect(parseProgram(printProgram(wide))).toEqual(wide);
  });

  test("names that are not words, or words of the language, stand in quotes", () => {
    const odd = ["if", "x y", "0", "-a", "a-b", "", "näme", "break", "inf", 'q"', "breaker", "max", "a/b.c", "info"];
    const p = program(odd.map((name): Statement => set(name, name)), { scalars: odd });
    const text = printProgram(p);
    expect(parseProgram(text)).toEqual(p);
    expect(text).toContain('"if" = "if"');
    expect(text).toContain("a-b = a-b");
  });

  test("long tensors can be left out for people", () => {
    const long = program([], { tensors: [{ name: "order", kind: "constant", type: { dtype: "i32", shape: [20] }, place: "external", initial: tensor("i32", [20], Array.from({ length: 20 }, (_, i) => i)) }], graphs: [] });
    expect(parseProgram(printProgram(long))).toEqual(long);
    expect(printProgram(long, { elideTensors: true })).toContain("= i32[20] ...");
    expect(() => parseProgram(printProgram(long, { elideTensors: true }))).toThrow(/E0106/);
  });

  const lines: Readonly<Record<string, readonly [number, string]>> = {
    "": [0, `"program" expected in an empty text`],
    'program "p" {\n  tensor x': [2, "input, parameter, constant, state, record, output, scalar, graph, routine or main expected"],
    'program "p" {\n  state u : f32[3]': [2, "external, cache, pinned expected at the end of the line"],
    'program "p" {\n  routine r sorting {': [2, 'control, gradient, damping, gauss-newton, conjugate-gradient expected before " sorting {"'],
    'program "p" {\n  routine r control {\n    a 1': [3, '"=" expected before " 1"'],
    'program "p" {\n  routine r control {\n    a = add(1': [3, '")" expected'],
    'program "p" {\n  routine r control {\n    copy a': [3, '"->" expected'],
    'program "p" {\n  routine r control {\n    while 1 {': [3, '"}" expected'],
    'program "p" {\n  routine r control {\n    apply "g" (x=u, x=v) -> ()': [3, 'another name than "x"'],
    'program "p" {\n  main {\n    converge r': [3, '"back" and the number of a step expected'],
    'program "p" {\n  main {\n    update r back 1': [3, "the end of the line expected"],
    'program "p" {\n}\nmain': [3, "the end of the text expected"],
  };
  test.each(Object.entries(lines))("%j is wrong", (text, [line, message]) => {
    try {
      parseProgram(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).toContain(message);
      if (line > 0) expect((error as InputError).diagnostic.where.line).toBe(line);
    }
  });

  test("any program reads back", () => {
    fc.assert(fc.property(fc.gen(), (gen) => {
      const p = drawProgram(drawFrom(gen));
      expect(parseProgram(printProgram(p))).toEqual(p);
    }), { numRuns: 150 });
  });

  test("a damaged text is refused, or is another program", () => {
    const text = printProgram(wide);
    fc.assert(fc.property(fc.nat(text.length - 1), fc.nat(3), fc.constantFrom("", "0", "-", "[", "}", "\n", " copy ", "1e9", '"', "="), (at, removed, added) => {
      try {
        parseProgram(text.slice(0, at) + added + text.slice(at + removed));
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }), { numRuns: 1500 });
  });
});

/** A program that the verifier takes; nobody runs it. */
function drawProgram(d: Draw): Program {
  const names = ["a", "while", "b.c", "i j", "k-1"];
  const types = [[3], [2, 2], []] as const;
  const made: ProgramTensor[] = types.map((shape, i) => ({ name: d.pick(["t", "read", "q w"]) + i, kind: d.pick(["state", "record"] as const), type: { dtype: "f32", shape }, place: "pinned", ...(d.int(0, 1) === 1 ? { rows: d.int(1, 5) } : {}) }));
  const constant: ProgramTensor = { name: "constant", kind: "constant", type: { dtype: d.pick(["f32", "i64", "f64"] as const), shape: [d.int(0, 20)] }, place: "external" };
  const whole = [...made, { ...constant, initial: drawTensor(d, constant.type.dtype, constant.type.shape) }];
  const reference = (one: ProgramTensor, piece: boolean): Reference => ({
    tensor: one.name, ...(one.rows === undefined ? {} : { row: d.pick(names) }), ...(piece ? { offset: 0, shape: [] } : d.int(0, 1) === 1 ? { offset: 0 } : {}),
  });
  const expression = (depth: number): ScalarExpression => {
    const choice = d.int(0, depth > 0 ? 3 : 1);
    if (choice === 0) return d.pick(names);
    if (choice === 1) return d.pick([0, -0, 1, -1.5, 0.1, 1e-300, 5e30, Infinity, -Infinity, NaN]);
    const operation = d.pick(Object.keys(scalarOperations) as ScalarOperation[]);
    return op(operation, ...Array.from({ length: scalarOperations[operation] }, () => expression(depth - 1)));
  };
  const list = (depth: number, inLoop: boolean): Statement[] => [...Array.from({ length: d.int(0, 4) }, () => statement(depth, inLoop)), ...(inLoop && d.int(0, 2) === 0 ? [leave] : [])];
  const statement = (depth: number, inLoop: boolean): Statement => {
    const one = d.pick(made);
    switch (d.int(0, depth > 0 ? 7 : 5)) {
      case 0: return set(d.pick(names), expression(3));
      case 1: return { kind: "read", target: d.pick(names), from: reference(one, true) };
      case 2: return { kind: "write", to: reference(one, true), value: expression(2) };
      case 3: return copy(reference(one, false), reference(one, false));
      case 4: return { kind: "sum", target: d.pick(names), of: reference(made[0]!, false) };
      case 5: return apply({ x: reference(made[0]!, false), y: reference(made[0]!, false), factor: { scalar: d.pick(names) } }, d.int(0, 1) === 1 ? { sum: reference(made[0]!, false) } : {});
      case 6: return when(expression(2), list(depth - 1, inLoop), d.int(0, 1) === 1 ? list(depth - 1, inLoop) : []);
      default: return loop(expression(2), list(depth - 1, true));
    }
  };
  return { name: d.pick(["p", 'a "b"\n']), tensors: whole, scalars: names, graphs: [arithmetic()], routines: [{ name: "run", owner: "damping", body: list(3, false) }], main: [{ kind: "transfer", routine: "run" }] };
}
