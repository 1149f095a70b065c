/**
 * @file RNN, GRU and LSTM as scans (docs/decisions/0005-recurrences.md). The product of all inputs with W is one
 * contraction before the scan; a step adds the product of the state with R. Weights are sliced, never computed on.
 */
import { fail, numbersOf, sameShape } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { scan } from "../lowering/scan.ts";
import { broadcastAxes, concat, convert, elementwise, filled, iota, range, reshape, scalar, shapeOf, sliceAxis, transpose } from "../lowering/values.ts";
import { activationsNamed, clipped, gruCell, lstmCell, rnnCell, type Activation, type Cell, type CellParts, type State } from "./cells.ts";
import { input, operator, requireDtype, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

export const recurrentOperators: readonly Operator[] = [
  operator("RNN", (c) => recurrent(c, { gates: 1, activations: ["Tanh"], hasCell: false, biasApart: 0, cell: rnnCell })),
  operator("GRU", gru),
  operator("LSTM", lstm),
];

interface Kind {
  readonly gates: number;
  /** Defaults for one direction. */
  readonly activations: readonly string[];
  readonly hasCell: boolean;
  /** So many of the last gates add the recurrent half of their bias themselves. */
  readonly biasApart: number;
  readonly cell: (e: Emitter, parts: CellParts) => Cell;
}

function gru(c: Call): readonly (Value | undefined)[] {
  const resetAfter = c.attributes.int("linear_before_reset", 0) !== 0;
  return recurrent(c, { gates: 3, activations: ["Sigmoid", "Tanh"], hasCell: false, biasApart: resetAfter ? 1 : 0, cell: (e, parts) => gruCell(e, parts, resetAfter) });
}

function lstm(c: Call): readonly (Value | undefined)[] {
  const coupled = c.attributes.int("input_forget", 0) !== 0;
  return recurrent(c, { gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"], hasCell: true, biasApart: 0, cell: (e, parts) => lstmCell(e, parts, coupled) });
}

interface Sizes {
  readonly steps: number;
  readonly batch: number;
  readonly hidden: number;
  /** One entry per direction: whether it runs from the last step to the first. */
  readonly reversed: readonly boolean[];
  /** X, Y and states have the batch before all other axes. */
  readonly batchFirst: boolean;
}

/** Which steps there are to run. */
interface Course {
  /** Behind these no sequence runs. */
  readonly steps: number;
  /** Which of the sequences are still running, [steps, batch]; missing where all are. */
  readonly running: Value | undefined;
}

function recurrent(c: Call, kind: Kind): readonly (Value | undefined)[] {
  const { e } = c;
  const sizes = sizesOf(c, kind.gates);
  const { batch, hidden, reversed, batchFirst } = sizes;
  const activations = activationsOf(c, kind, reversed.length);
  const biases = biasesOf(c, kind.gates, sizes);
  const course = courseOf(c, sizes);
  const projected = sliceAxis(e, projection(c, kind, sizes, biases), 0, 0, course.steps);
  const [h, cell] = [initialStates(c, sizes, 5), kind.hasCell ? initialStates(c, sizes, 6) : undefined];
  const results = reversed.map((backwards, d) => {
    const made = kind.cell(e, {
      hidden, activations: activations[d]!,
      recurrence: direction(e, input(c, 2), d),
      recurrentBias: biases === undefined ? undefined : reshape(e, sliceAxis(e, sliceAxis(e, biases, 0, d, d + 1), 1, 1, 2), [kind.gates * hidden]),
      peepholes: c.inputs[7] === undefined ? undefined : direction(e, c.inputs[7], d),
    });
    const x = reshape(e, sliceAxis(e, projected, 2, d, d + 1), [course.steps, batch, kind.gates * hidden]);
    return overSteps(e, c.operator, made, x, { h: h[d]!, ...(cell === undefined ? {} : { c: cell[d]! }) }, course, backwards);
  });
  const last = (values: readonly Value[]): Value => {
    const parts = values.map((value) => reshape(e, value, batchFirst ? [batch, 1, hidden] : [1, batch, hidden]));
    return concat(e, parts, batchFirst ? 1 : 0);
  };
  return [
    c.wanted[0] === true ? sequence(e, results.map((one) => one.states), sizes, course) : undefined,
    c.wanted[1] === true ? last(results.map((one) => one.last.h)) : undefined,
    c.wanted[2] === true && kind.hasCell ? last(results.map((one) => one.last.c!)) : undefined,
  ].slice(0, kind.hasCell ? 3 : 2);
}

/**
 * All steps of one direction; `states` is [steps, batch, hidden]. Beyond the end of a sequence the state stays as it is: backwards that is the
 * initial state until the last element of the sequence has come, so no sequence needs to be turned round.
 */
function overSteps(e: Emitter, name: string, { weights, step }: Cell, x: Value, first: State, { steps, running }: Course, backwards: boolean): { readonly states: Value; readonly last: State } {
  const carried = ({ h, c }: State): readonly Value[] => (c === undefined ? [h] : [h, c]);
  const stateOf = ([h, c]: readonly Value[]): State => ({ h: h!, ...(c === undefined ? {} : { c }) });
  const operands = { length: steps, reverse: backwards, consts: weights, carries: carried(first), sequences: running === undefined ? [x] : [x, running] };
  const { carries, results } = scan(e, name, operands, (inner, given) => {
    const [slice, runs] = given.sequences as [Value, Value | undefined];
    const old = stateOf(given.carries);
    const next = step(inner, given.consts, slice, old);
    const state = runs === undefined ? next : chosen(inner, runs, next, old);
    return { carries: carried(state), results: [state.h] };
  });
  return { states: results[0]!, last: stateOf(carries) };
}

function chosen(e: Emitter, running: Value, next: State, old: State): State {
  const condition = broadcastAxes(e, running, shapeOf(old.h), [0]);
  const pick = (a: Value, b: Value): Value => e.apply("select", [condition, a, b], {});
  return { h: pick(next.h, old.h), ...(next.c === undefined ? {} : { c: pick(next.c, old.c!) }) };
}

/** Y: the states of all steps and directions, 0 beyond the end of a sequence. */
function sequence(e: Emitter, states: readonly Value[], sizes: Sizes, course: Course): Value {
  const { steps, batch, hidden, reversed, batchFirst } = sizes;
  const dtype = states[0]!.type.dtype;
  const shape = [course.steps, reversed.length, batch, hidden];
  if (course.steps === 0) return filled(e, dtype, 0, batchFirst ? [batch, steps, reversed.length, hidden] : [steps, reversed.length, batch, hidden]);
  const all = concat(e, states.map((one) => reshape(e, one, [course.steps, 1, batch, hidden])), 1);
  const cleared = course.running === undefined ? all : e.apply("select", [broadcastAxes(e, course.running, shape, [0, 2]), all, filled(e, dtype, 0, shape)], {});
  const y = course.steps === steps ? cleared : e.apply("pad", [cleared, scalar(e, dtype, 0)], { low: [0, 0, 0, 0], high: [steps - course.steps, 0, 0, 0], interior: [0, 0, 0, 0] });
  return batchFirst ? transpose(e, y, [2, 0, 1, 3]) : y;
}

/** X times W' of all directions plus the bias, [steps, batch, directions, gates * hidden]. */
function projection(c: Call, kind: Kind, sizes: Sizes, biases: Value | undefined): Value {
  const { e } = c;
  const { hidden, reversed, batchFirst } = sizes;
  const product = e.apply("dot", [input(c, 0), input(c, 1)], { x: batchFirst ? "bti" : "tbi", w: "dgi", out: "tbdg", k: "i" });
  if (biases === undefined) return product;
  const width = kind.gates * hidden;
  const half = (index: number, from: number, to: number): Value => {
    const rows = reshape(e, sliceAxis(e, biases, 1, index, index + 1), [reversed.length, width]);
    return sliceAxis(e, rows, 1, from, to);
  };
  const together = width - kind.biasApart * hidden;
  const bias = concat(e, [
    elementwise(e, "add", half(0, 0, together), half(1, 0, together)),
    ...(together === width ? [] : [half(0, together, width)]),
  ], 1);
  return elementwise(e, "add", product, broadcastAxes(e, bias, shapeOf(product), [2, 3]));
}

/** [directions, 2, gates * hidden]: the half that belongs to W and the half that belongs to R. */
function biasesOf(c: Call, gates: number, { hidden, reversed }: Sizes): Value | undefined {
  const bias = c.inputs[3];
  return bias === undefined ? undefined : reshape(c.e, bias, [reversed.length, 2, gates * hidden]);
}

/** The part of one direction, without the axis of directions. */
function direction(e: Emitter, value: Value, d: number): Value {
  return reshape(e, sliceAxis(e, value, 0, d, d + 1), shapeOf(value).slice(1));
}

/** One state [batch, hidden] per direction; 0 where the input is missing. */
function initialStates(c: Call, { batch, hidden, reversed, batchFirst }: Sizes, index: number): Value[] {
  const { e } = c;
  const value = c.inputs[index];
  const none = value === undefined ? filled(e, input(c, 0).type.dtype, 0, [batch, hidden]) : undefined;
  const axis = batchFirst ? 1 : 0;
  return reversed.map((_, d) => none ?? reshape(e, sliceAxis(e, value!, axis, d, d + 1), [batch, hidden]));
}

/** Lengths that are known at import spare the steps in which no sequence runs, and the mask where all run. */
function courseOf(c: Call, { steps, batch }: Sizes): Course {
  const { e } = c;
  const value = c.inputs[4];
  if (value === undefined) return { steps, running: undefined };
  const mask = (count: number): Value => {
    const shape = [count, batch];
    return elementwise(e, "lt", iota(e, "i32", shape, 0), broadcastAxes(e, convert(e, value, "i32"), shape, [1]));
  };
  const known = e.readable(value);
  if (known === undefined) return { steps, running: mask(steps) };
  const lengths = numbersOf(known);
  const strange = lengths.find((length) => length < 0 || length > steps);
  if (strange !== undefined) fail("E0203", `a sequence of ${strange} steps in an input of ${steps}`);
  const longest = Math.max(0, ...lengths);
  return { steps: longest, running: lengths.every((length) => length === longest) ? undefined : mask(longest) };
}

/**
 * One list per direction. The clip bounds what goes into the functions of the gates; the function of the cell state in the output gets the
 * state as it is, which is how ONNX Runtime reads "the input of activations".
 */
function activationsOf(c: Call, kind: Kind, directions: number): Activation[][] {
  const { attributes } = c;
  const count = kind.activations.length;
  const names = attributes.strings("activations") ?? range(directions).flatMap(() => [...kind.activations]);
  if (names.length !== count * directions) attributes.refuse("activations", `has ${names.length} entries`, `${count * directions} entries`);
  const clip = attributes.has("clip") ? attributes.float("clip", 0) : undefined;
  if (clip !== undefined && !(clip >= 0)) attributes.refuse("clip", `is ${clip}`, "a threshold of at least 0");
  const all = activationsNamed(names, attributes.floats("activation_alpha") ?? [], attributes.floats("activation_beta") ?? []);
  const ofGates = kind.hasCell ? count - 1 : count;
  return range(directions).map((d) => {
    return all.slice(d * count, (d + 1) * count).map((one, i) => (clip === undefined || i >= ofGates ? one : clipped(one, clip)));
  });
}

const directionNames = { forward: [false], reverse: [true], bidirectional: [false, true] } as const;

/** Reads the sizes off X and R and checks every operand against them. */
function sizesOf(c: Call, gates: number): Sizes {
  const [x, w, r] = [input(c, 0), input(c, 1), input(c, 2)];
  for (const value of [x, w, r]) requireRank(value, 3, 3);
  requireFloat(x);
  const reversed = directionNames[c.attributes.choice("direction", ["forward", "reverse", "bidirectional"], "forward")];
  const batchFirst = c.attributes.flag("layout", false);
  const [first, second, features] = shapeOf(x) as [number, number, number];
  const [steps, batch] = batchFirst ? [second, first] : [first, second];
  const hidden = shapeOf(r)[2]!;
  const stated = c.attributes.int("hidden_size", hidden);
  if (stated !== hidden) fail("E0203", `hidden_size is ${stated}, but R is [${shapeOf(r).join(",")}]`, { attribute: "hidden_size" });
  const directions = reversed.length;
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  const wanted: readonly (readonly [name: string, shape: readonly number[]])[] = [
    ["X", shapeOf(x)], ["W", [directions, gates * hidden, features]], ["R", [directions, gates * hidden, hidden]],
    ["B", [directions, 2 * gates * hidden]], ["sequence_lens", [batch]], ["initial_h", state], ["initial_c", state], ["P", [directions, 3 * hidden]],
  ];
  c.inputs.forEach((value, i) => {
    const [name, shape] = wanted[i]!;
    if (value === undefined) return;
    if (!sameShape(shapeOf(value), shape)) fail("E0203", `${name} is [${shapeOf(value).join(",")}] where [${shape.join(",")}] is wanted`);
    requireDtype(value, name === "sequence_lens" ? ["i32"] : [x.type.dtype]);
  });
  return { steps, batch, hidden, reversed, batchFirst };
}
