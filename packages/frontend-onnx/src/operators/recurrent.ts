/**
 * @file RNN, GRU and LSTM, unrolled over their steps (docs/decisions/0005-recurrences.md). The product of all inputs with W is one
 * contraction before the first step; a step adds the product of the state with R. Weights are sliced, never computed on.
 */
import { fail, numbersOf, sameShape } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastAxes, concat, convert, elementwise, filled, iota, range, reshape, shapeOf, sliceAxis, transpose } from "../lowering/values.ts";
import { activationsNamed, clipped, gruCell, lstmCell, rnnCell, type Activation, type CellParts, type State, type Step } from "./cells.ts";
import { input, operator, requireDtype, requireFloat, requireRank, type Call, type Operator } from "./operator.ts";

/** More steps, of all directions together, would be too long a program. */
const mostSteps = 512;
const restriction = `sequence length times directions at most ${mostSteps}`;

export const recurrentOperators: readonly Operator[] = [
  operator("RNN", (c) => recurrent(c, { gates: 1, activations: ["Tanh"], hasCell: false, biasApart: 0, cell: rnnCell }), restriction),
  operator("GRU", gru, restriction),
  operator("LSTM", lstm, restriction),
];

interface Kind {
  readonly gates: number;
  /** Defaults for one direction. */
  readonly activations: readonly string[];
  readonly hasCell: boolean;
  /** So many of the last gates add the recurrent half of their bias themselves. */
  readonly biasApart: number;
  readonly cell: (parts: CellParts) => Step;
}

function gru(c: Call): readonly (Value | undefined)[] {
  const resetAfter = c.attributes.int("linear_before_reset", 0) !== 0;
  return recurrent(c, { gates: 3, activations: ["Sigmoid", "Tanh"], hasCell: false, biasApart: resetAfter ? 1 : 0, cell: (parts) => gruCell(parts, resetAfter) });
}

function lstm(c: Call): readonly (Value | undefined)[] {
  const coupled = c.attributes.int("input_forget", 0) !== 0;
  return recurrent(c, { gates: 4, activations: ["Sigmoid", "Tanh", "Tanh"], hasCell: true, biasApart: 0, cell: (parts) => lstmCell(parts, coupled) });
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

/** Which of the sequences are still running: of all steps as [steps, batch], and in short for each step. */
interface Lengths {
  readonly running: Value;
  readonly of: (step: number) => "all" | "some" | "none";
}

function recurrent(c: Call, kind: Kind): readonly (Value | undefined)[] {
  const { e } = c;
  const sizes = sizesOf(c, kind.gates);
  const { steps, batch, hidden, reversed, batchFirst } = sizes;
  const directions = reversed.length;
  const activations = activationsOf(c, kind, directions);
  const biases = biasesOf(c, kind.gates, sizes);
  const inputs = splitFirst(e, projection(c, kind, sizes, biases));
  const lengths = lengthsOf(c, sizes);
  const [h, cell] = [initialStates(c, sizes, 5), kind.hasCell ? initialStates(c, sizes, 6) : undefined];
  const results = reversed.map((backwards, d) => {
    const parts: CellParts = {
      e, hidden, activations: activations[d]!,
      recurrence: direction(e, input(c, 2), d),
      recurrentBias: biases === undefined ? undefined : reshape(e, sliceAxis(e, sliceAxis(e, biases, 0, d, d + 1), 1, 1, 2), [kind.gates * hidden]),
      peepholes: c.inputs[7] === undefined ? undefined : direction(e, c.inputs[7], d),
    };
    const projected = (t: number): Value => reshape(e, sliceAxis(e, inputs[t]!, 2, d, d + 1), [batch, kind.gates * hidden]);
    const first: State = { h: h[d]!, ...(cell === undefined ? {} : { c: cell[d]! }) };
    return unroll(e, kind.cell(parts), projected, first, { steps, backwards, lengths });
  });
  const last = (values: readonly Value[]): Value => {
    const parts = values.map((value) => reshape(e, value, batchFirst ? [batch, 1, hidden] : [1, batch, hidden]));
    return concat(e, parts, batchFirst ? 1 : 0);
  };
  return [
    c.wanted[0] === true ? sequence(e, results.map((one) => one.states), sizes, lengths) : undefined,
    c.wanted[1] === true ? last(results.map((one) => one.last.h)) : undefined,
    c.wanted[2] === true && kind.hasCell ? last(results.map((one) => one.last.c!)) : undefined,
  ].slice(0, kind.hasCell ? 3 : 2);
}

interface Course {
  readonly steps: number;
  readonly backwards: boolean;
  readonly lengths: Lengths | undefined;
}

/**
 * All steps of one direction. Beyond the end of a sequence the state stays as it is: backwards that is the initial state until the
 * last element of the sequence has come, so no sequence needs to be turned round.
 */
function unroll(e: Emitter, step: Step, projected: (t: number) => Value, first: State, course: Course): { states: readonly Value[]; last: State } {
  const { steps, backwards, lengths } = course;
  const states: Value[] = [];
  let state = first;
  for (const t of backwards ? range(steps).reverse() : range(steps)) {
    const running = lengths?.of(t) ?? "all";
    if (running === "all") state = step(projected(t), state);
    if (running === "some") state = chosen(e, sliceAxis(e, lengths!.running, 0, t, t + 1), step(projected(t), state), state);
    states[t] = state.h;
  }
  return { states, last: state };
}

function chosen(e: Emitter, running: Value, next: State, old: State): State {
  const shape = shapeOf(old.h);
  const condition = broadcastAxes(e, reshape(e, running, [shape[0]!]), shape, [0]);
  const pick = (a: Value, b: Value): Value => e.apply("select", [condition, a, b], {});
  return { h: pick(next.h, old.h), ...(next.c === undefined ? {} : { c: pick(next.c, old.c!) }) };
}

/** Y: the states of all steps and directions, 0 beyond the end of a sequence. */
function sequence(e: Emitter, states: readonly (readonly Value[])[], sizes: Sizes, lengths: Lengths | undefined): Value {
  const { steps, batch, hidden, reversed, batchFirst } = sizes;
  const dtype = states[0]?.[0]?.type.dtype ?? "f32";
  const shape = [steps, reversed.length, batch, hidden];
  if (steps === 0) return filled(e, dtype, 0, batchFirst ? [batch, 0, reversed.length, hidden] : shape);
  const parts = states.map((one) => concat(e, one.map((h) => reshape(e, h, [1, 1, batch, hidden])), 0));
  const all = concat(e, parts, 1);
  const whole = lengths === undefined || range(steps).every((t) => lengths.of(t) === "all");
  const y = whole ? all : e.apply("select", [broadcastAxes(e, lengths.running, shape, [0, 2]), all, filled(e, dtype, 0, shape)], {});
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

/**
 * The parts of extent 1 of the first axis, by halving. The slices are one level deep once simplified, but in a derivative every part is
 * padded to the length of its half only: T log T elements to add up instead of T squared.
 */
function splitFirst(e: Emitter, value: Value): Value[] {
  const extent = shapeOf(value)[0]!;
  if (extent <= 1) return extent === 0 ? [] : [value];
  const middle = Math.ceil(extent / 2);
  return [...splitFirst(e, sliceAxis(e, value, 0, 0, middle)), ...splitFirst(e, sliceAxis(e, value, 0, middle, extent))];
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

/** Masks; lengths that are known at import spare the steps in which no sequence runs, and the masks where all run. */
function lengthsOf(c: Call, { steps, batch }: Sizes): Lengths | undefined {
  const { e } = c;
  const value = c.inputs[4];
  if (value === undefined) return undefined;
  const shape = [steps, batch];
  const running = elementwise(e, "lt", iota(e, "i32", shape, 0), broadcastAxes(e, convert(e, value, "i32"), shape, [1]));
  const known = e.readable(value);
  if (known === undefined) return { running, of: () => "some" };
  const lengths = numbersOf(known);
  const strange = lengths.find((length) => length < 0 || length > steps);
  if (strange !== undefined) fail("E0203", `a sequence of ${strange} steps in an input of ${steps}`);
  return { running, of: (t) => (lengths.every((length) => t < length) ? "all" : lengths.some((length) => t < length) ? "some" : "none") };
}

/**
 * One list per direction. The clip bounds what goes into the functions of the gates; the function of the cell state in the output gets the
 * state as it is, which is how ONNX Runtime reads "the input of activations".
 */
function activationsOf(c: Call, kind: Kind, directions: number): Activation[][] {
  const { e, attributes } = c;
  const count = kind.activations.length;
  const names = attributes.strings("activations") ?? range(directions).flatMap(() => [...kind.activations]);
  if (names.length !== count * directions) attributes.refuse("activations", `has ${names.length} entries`, `${count * directions} entries`);
  const clip = attributes.has("clip") ? attributes.float("clip", 0) : undefined;
  if (clip !== undefined && !(clip >= 0)) attributes.refuse("clip", `is ${clip}`, "a threshold of at least 0");
  const all = activationsNamed(e, names, attributes.floats("activation_alpha") ?? [], attributes.floats("activation_beta") ?? []);
  const ofGates = kind.hasCell ? count - 1 : count;
  return range(directions).map((d) => {
    return all.slice(d * count, (d + 1) * count).map((one, i) => (clip === undefined || i >= ofGates ? one : clipped(e, one, clip)));
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
  if (steps * directions > mostSteps) {
    fail("E0202", `a sequence of ${steps} steps in ${directions === 1 ? "one direction" : "two directions"}`, {}, [`recurrences are unrolled; sequence length times directions may be at most ${mostSteps}`]);
  }
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
