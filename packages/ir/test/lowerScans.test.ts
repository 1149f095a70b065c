/** @file Scans as loops of a program: the interpreter's bits are the evaluator's, whatever is scanned, and wherever inputs and outputs lie. */
import { elementCount, isFloat, tensor, type Tensor } from "@systole/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { evaluate, graphProgram, GraphBuilder, jvp, lowerScans, parseProgram, printProgram, removeDeadCode, runProgram, verifyProgram, vjp, walkStatements, type Graph, type Program, type ProgramTensor, type Reference, type Value } from "../src/index.ts";
import { singleNode } from "./numeric.ts";
import { drawFrom, drawScan, drawTensor, type Draw } from "./samples.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;
const state = 3;

const spelled = ({ dtype, shape, data }: Tensor): string => `${dtype}[${shape.join()}] ${Array.from(data as ArrayLike<number | bigint>, (x) => (Object.is(x, -0) ? "-0" : String(x))).join(" ")}`;
const statementsOf = (program: Program) => program.routines.flatMap(({ body }) => [...walkStatements(body)]);

/** Lowered, verified, printed and read again. */
function lowered(program: Program): Program {
  const result = verifyProgram(lowerScans(verifyProgram(program)));
  expect(result.graphs.flatMap((graph) => graph.nodes.filter(({ op }) => op === "scan"))).toEqual([]);
  const text = printProgram(result);
  expect(printProgram(parseProgram(text))).toBe(text);
  return result;
}

function expectSame(graph: Graph, inputs: ReadonlyMap<string, Tensor>): void {
  const wanted = evaluate(graph, inputs);
  const program = lowered(graphProgram(graph));
  const done = runProgram(program, inputs);
  for (const [name, value] of wanted) expect(spelled(done.read({ tensor: `output ${name}` })), name).toBe(spelled(value));
}

/** One of the sequences or states of a pool. */
interface Pool {
  readonly states: Value[];
  readonly sequences: Value[];
}

/** A body over `roles`: two constants, `carries` states, `sequences` slices; a scan inside it now and then. */
function drawBody(d: Draw, carries: number, sequences: number, results: number, nested: boolean): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "body", operator: "Scan" });
  const matrix = b.input("m", f32(state, state));
  const inner = b.input("i", f32(2, state));
  const values = Array.from({ length: carries + sequences }, (_, i) => b.input(`v${i}`, f32(state)));
  values.push(b.apply("reduce", [inner], { kind: "sum", axes: [0], order: "sequential" }));
  const step = (x: Value): Value => d.pick([
    () => b.apply("dot", [matrix, x], { x: "ij", w: "j", out: "i", k: "j" }),
    () => b.apply("tanh", [x], {}),
    () => b.apply("add", [x, d.pick(values)], {}),
    () => b.apply("mul", [x, d.pick(values)], {}),
  ])();
  for (let i = d.int(1, 4); i > 0; i--) values.push(step(d.pick(values)));
  if (nested) {
    const [last, all] = b.applyAll("scan", [matrix, inner, d.pick(values), inner], { body: drawBody(d, 1, 1, 1, false), length: 2, reverse: d.int(0, 1) === 1, consts: 2, carries: 1 });
    values.push(last!, b.apply("reduce", [all!], { kind: "sum", axes: [0], order: "sequential" }));
  }
  for (let i = 0; i < carries + results; i++) b.output(`o${i}`, d.pick(values));
  return b.build("body");
}

/** Scans in a row and side by side, with plain nodes between them. */
function drawNetwork(d: Draw): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "network", operator: "Scan" });
  const length = d.int(1, 4);
  const matrix = d.pick([() => b.input("m", f32(state, state)), () => b.parameter("m", drawTensor(d, "f32", [state, state])), () => b.constant(drawTensor(d, "f32", [state, state]))])();
  const inner = b.input("inner", f32(2, state));
  const flat = b.input("flat", f32(length * state));
  const wide = b.apply("neg", [b.input("wide", f32(length, 2, 5))], {});
  const piece = (axis: number, start: number): Value => {
    const [starts, limits] = [[0, 0, 0], [length, 2, 5]];
    const cut = b.apply("slice", [wide], { starts: starts.with(1, axis).with(2, start), limits: limits.with(1, axis + 1).with(2, start + state), strides: [1, 1, 1] });
    return b.apply("reshape", [cut], { shape: [length, state] });
  };
  const pool: Pool = { states: [b.input("s", f32(state)), b.constant(tensor("f32", [state], [0, 0, 0]))], sequences: [b.input("x", f32(length, state)), b.parameter("p", drawTensor(d, "f32", [length, state])), b.apply("reshape", [flat], { shape: [length, state] }), piece(d.int(0, 1), d.int(0, 2))] };
  for (let scans = d.int(1, 3); scans > 0; scans--) {
    const [carries, sequences, results] = [d.int(0, 2), d.int(0, 2), d.int(0, 2)];
    const operands = [d.pick([matrix, b.apply("transpose", [matrix], { permutation: [1, 0] })]), inner, ...Array.from({ length: carries }, () => d.pick(pool.states)), ...Array.from({ length: sequences }, () => d.pick(pool.sequences))];
    const body = drawBody(d, carries, sequences, results, d.int(0, 3) === 0);
    const made = b.applyAll("scan", operands, { body, length, reverse: d.int(0, 1) === 1, consts: 2, carries });
    pool.states.push(...made.slice(0, carries));
    pool.sequences.push(...made.slice(carries));
    pool.states.push(b.apply("neg", [d.pick(pool.states)], {}));
    pool.sequences.push(d.pick([
      (x: Value) => b.apply("neg", [x], {}),
      (x: Value) => b.apply("reverse", [x], { axes: [0] }),
      (x: Value) => b.apply("reshape", [b.apply("abs", [b.apply("reshape", [x], { shape: [length * state] })], {})], { shape: [length, state] }),
    ])(d.pick(pool.sequences)));
  }
  [...pool.states, ...pool.sequences].filter(() => d.int(0, 2) > 0).forEach((value, i) => b.output(`o${i}`, value));
  b.output("last", pool.sequences.at(-1)!);
  return b.build("network");
}

const drawInputs = (d: Draw, graph: Graph): Map<string, Tensor> => new Map(graph.inputs.map(({ name, value }) => [name, drawTensor(d, value.type.dtype, value.type.shape)]));

test("a scan of any kind, its tangent and its cotangent", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const { inputs, params } = drawScan(d);
    const graph = singleNode("scan", inputs, params);
    const wrt = inputs.flatMap((t, i) => (isFloat(t.dtype) ? [`x${i}`] : []));
    for (const derived of [graph, jvp(graph, { wrt }), vjp(graph, { wrt })]) {
      expectSame(derived, new Map(derived.inputs.map(({ name, value }) => [name, inputs[Number(/^x(\d+)$/.exec(name)?.[1] ?? -1)] ?? drawTensor(d, value.type.dtype, value.type.shape)])));
    }
  }), { numRuns: 40 });
});

test("scans in a row, side by side and inside each other", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const graph = drawNetwork(d);
    expectSame(graph, drawInputs(d, graph));
  }), { numRuns: 150 });
});

test("inputs and outputs that lie on each other, in rows and behind each other", () => {
  fc.assert(fc.property(fc.gen(), (gen) => {
    const d = drawFrom(gen);
    const graph = removeDeadCode(drawNetwork(d));
    const room = 48;
    // Rows of a few vectors; inputs anywhere in them, outputs where no other output is.
    const tensors: ProgramTensor[] = [{ name: "a", kind: "state", type: f32(room), rows: 2, place: "cache" }, { name: "b", kind: "state", type: f32(10 * room), place: "cache" }];
    const begin: ProgramTensor[] = tensors.map((t) => ({ ...t, name: `${t.name}0`, kind: "input", place: "external" }));
    const anywhere = (shape: readonly number[]): Reference => d.pick([
      (): Reference => ({ tensor: "a", row: "r", offset: d.int(0, room - elementCount(shape)), shape }), (): Reference => ({ tensor: "b", offset: d.int(0, 2 * room), shape }),
    ])();
    const inputs = Object.fromEntries(graph.inputs.map(({ name, value }) => [name, anywhere(value.type.shape)]));
    let used = 0;
    const outputs = Object.fromEntries(graph.outputs.filter(() => d.int(0, 4) > 0).map(({ name, value }): [string, Reference] => {
      const offset = used;
      used += elementCount(value.type.shape);
      return [name, used > room || d.int(0, 1) === 1 ? { tensor: "b", offset, shape: value.type.shape } : { tensor: "a", row: "r", offset, shape: value.type.shape }];
    }));
    if (used > 10 * room) return;
    const program: Program = {
      name: "test", tensors: [...begin, ...tensors], scalars: ["r"], graphs: [graph],
      routines: [
        { name: "start", owner: "control", body: [
          ...[0, 1].flatMap((r): Program["routines"][number]["body"] => [{ kind: "set", target: "r", value: r }, { kind: "copy", from: { tensor: "a0", row: "r" }, to: { tensor: "a", row: "r" } }]),
          { kind: "copy", from: { tensor: "b0" }, to: { tensor: "b" } }, { kind: "set", target: "r", value: d.int(0, 1) },
        ] },
        { name: "work", owner: "gradient", body: [{ kind: "apply", graph: graph.name, inputs, outputs }, { kind: "apply", graph: graph.name, inputs, outputs }] },
      ],
      main: [{ kind: "assign", routine: "start" }, { kind: "estimate", routine: "work" }],
    };
    const given = new Map([["a0", drawTensor(d, "f32", [2, room])], ["b0", drawTensor(d, "f32", [10 * room])]]);
    const start: Program = { ...program, tensors: program.tensors.map((t) => (t.name === "a0" ? { ...t, parts: [{ name: "a0", offset: 0, shape: [2, room] }] } : t)) };
    const [direct, looped] = [runProgram(start, given), runProgram(lowered(start), given)];
    for (const { name } of tensors) expect([...looped.storage(name).data as Float32Array]).toEqual([...direct.storage(name).data as Float32Array]);
  }), { numRuns: 150 });
});

test("a chain of steps has nothing but the step in its loop, and no copies of sequences", () => {
  const cell = new GraphBuilder();
  const [r, h, x] = [cell.input("r", f32(state, state)), cell.input("h", f32(state)), cell.input("x", f32(state))];
  const next = cell.apply("tanh", [cell.apply("add", [x, cell.apply("dot", [r, h], { x: "ij", w: "j", out: "i", k: "j" })], {})], {});
  cell.output("h", next);
  cell.output("y", next);
  const b = new GraphBuilder();
  const made = b.applyAll("scan", [b.input("r", f32(state, state)), b.input("h", f32(state)), b.input("x", f32(600, state))], { body: cell.build("cell"), length: 600, reverse: true, consts: 1, carries: 1 });
  b.output("y", b.apply("reshape", [made[1]!], { shape: [600, 1, state] }));
  const program = lowered(graphProgram(b.build("rnn")));
  expect(statementsOf(program).map(({ kind }) => kind)).toEqual(["apply", "set", "while", "apply", "set"]);
  expect(program.tensors.map(({ name }) => name)).toEqual(["r", "h", "x", "output y", "rnn/step0.s0"]);
  expect(program.graphs.map(({ nodes }) => nodes.map(({ op }) => op))).toEqual([["copy"], ["dot", "add", "tanh", "copy"]]);
});

test("a program without scans stays as it is", () => {
  const b = new GraphBuilder();
  b.output("y", b.apply("neg", [b.input("x", f32(2))], {}));
  const program = graphProgram(b.build("plain"));
  expect(lowerScans(program)).toBe(program);
});
