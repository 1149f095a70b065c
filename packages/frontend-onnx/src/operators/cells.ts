/** @file One step of RNN, GRU and LSTM: the next state from the projected input of the step and the state before it. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastTo, elementwise, scalar, shapeOf, sliceAxis, withNumber } from "../lowering/values.ts";
import { exponential, hardSigmoid, leakyRelu, softsign, thresholdedRelu } from "./activations.ts";

/** Both [batch, hidden]. */
export interface State {
  readonly h: Value;
  /** The cell state, of LSTM alone. */
  readonly c?: Value;
}

export type Activation = (e: Emitter, x: Value) => Value;

/** What a cell of one direction is made of. */
export interface CellParts {
  readonly hidden: number;
  /** R of this direction, [gates * hidden, hidden]. */
  readonly recurrence: Value;
  /** The recurrent half of the bias, [gates * hidden]; it is part of `x` except where GRU needs it apart. */
  readonly recurrentBias: Value | undefined;
  /** P of this direction, [3 * hidden]. */
  readonly peepholes: Value | undefined;
  /** In the order of the standard: f, g, h; the clip is part of them. */
  readonly activations: readonly Activation[];
}

/** The weights of a cell, cut out once, and its step, which gets them as values of the body. `x` is the input times W' plus the bias, [batch, gates * hidden]. */
export interface Cell {
  readonly weights: readonly Value[];
  readonly step: (e: Emitter, weights: readonly Value[], x: Value, state: State) => State;
}

export function rnnCell(_e: Emitter, p: CellParts): Cell {
  const [f] = p.activations as [Activation];
  return { weights: [p.recurrence], step: (e, [recurrence], x, { h }) => ({ h: f(e, elementwise(e, "add", x, times(e, h, recurrence!))) }) };
}

/** Gates z, r, h. The reset gate acts before the product with R, or behind it: then that product is part of the one for z and r. */
export function gruCell(outer: Emitter, p: CellParts, resetAfter: boolean): Cell {
  const { hidden } = p;
  const [f, g] = p.activations as [Activation, Activation];
  const rows = (value: Value, from: number, to: number): Value => sliceAxis(outer, value, 0, from * hidden, to * hidden);
  const last = resetAfter ? p.recurrentBias && rows(p.recurrentBias, 2, 3) : rows(p.recurrence, 2, 3);
  const weights = [resetAfter ? p.recurrence : rows(p.recurrence, 0, 2), ...(last === undefined ? [] : [last])];
  const step: Cell["step"] = (e, [first, second], x, { h }) => {
    const gate = (value: Value, index: number): Value => gateOf(e, value, index, hidden);
    const product = times(e, h, first!);
    const gates = f(e, elementwise(e, "add", sliceAxis(e, x, 1, 0, 2 * hidden), sliceAxis(e, product, 1, 0, 2 * hidden)));
    const [z, r] = [gate(gates, 0), gate(gates, 1)];
    const candidate = (): Value => {
      if (!resetAfter) return times(e, elementwise(e, "mul", r, h), second!);
      const term = gate(product, 2);
      return elementwise(e, "mul", r, second === undefined ? term : elementwise(e, "add", term, broadcastTo(e, second, shapeOf(term))));
    };
    const next = g(e, elementwise(e, "add", gate(x, 2), candidate()));
    const kept = elementwise(e, "sub", scalar(e, z.type.dtype, 1), z);
    return { h: elementwise(e, "add", elementwise(e, "mul", kept, next), elementwise(e, "mul", z, h)) };
  };
  return { weights, step };
}

/** Gates i, o, f, c; the peepholes of i and f look at the old cell state, those of o at the new one. */
export function lstmCell(outer: Emitter, p: CellParts, coupled: boolean): Cell {
  const { hidden } = p;
  const [f, g, h] = p.activations as [Activation, Activation, Activation];
  const peepholes = p.peepholes === undefined ? [] : [0, 1, 2].map((index) => sliceAxis(outer, p.peepholes!, 0, index * hidden, (index + 1) * hidden));
  const step: Cell["step"] = (e, [recurrence, ...looks], x, state) => {
    const looking = (value: Value, cell: Value, index: number): Value => {
      const weights = looks[index];
      return weights === undefined ? value : elementwise(e, "add", value, elementwise(e, "mul", cell, broadcastTo(e, weights, shapeOf(cell))));
    };
    const old = state.c!;
    const gates = elementwise(e, "add", x, times(e, state.h, recurrence!));
    const gate = (index: number): Value => gateOf(e, gates, index, hidden);
    const i = f(e, looking(gate(0), old, 0));
    const forget = coupled ? elementwise(e, "sub", scalar(e, i.type.dtype, 1), i) : f(e, looking(gate(2), old, 2));
    const c = elementwise(e, "add", elementwise(e, "mul", forget, old), elementwise(e, "mul", i, g(e, gate(3))));
    const o = f(e, looking(gate(1), c, 1));
    return { h: elementwise(e, "mul", o, h(e, c)), c };
  };
  return { weights: [p.recurrence, ...peepholes], step };
}

function gateOf(e: Emitter, gates: Value, index: number, hidden: number): Value {
  return sliceAxis(e, gates, 1, index * hidden, (index + 1) * hidden);
}

/** h times the transposed weights. */
function times(e: Emitter, h: Value, weights: Value): Value {
  return e.apply("dot", [h, weights], { x: "bh", w: "gh", out: "bg", k: "h" });
}

interface Kind {
  /** Defaults; missing: the function has no such number. `needed`: it has one and the standard gives no default. */
  readonly alpha?: number | "needed";
  readonly beta?: number | "needed";
  readonly apply: (e: Emitter, x: Value, alpha: number, beta: number) => Value;
}

const scaled = (e: Emitter, x: Value, factor: number): Value => (factor === 1 ? x : withNumber(e, "mul", x, factor));

/** Under lower-case names: exporters spell them either way. */
const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["tanh", { apply: (e, x) => elementwise(e, "tanh", x) }],
  ["sigmoid", { apply: (e, x) => elementwise(e, "logistic", x) }],
  ["relu", { apply: (e, x) => withNumber(e, "max", x, 0) }],
  ["affine", { alpha: 1, beta: 0, apply: (e, x, alpha, beta) => withNumber(e, "add", scaled(e, x, alpha), beta) }],
  ["leakyrelu", { alpha: Math.fround(0.01), apply: (e, x, alpha) => leakyRelu(e, x, scalar(e, x.type.dtype, alpha)) }],
  ["thresholdedrelu", { alpha: 1, apply: (e, x, alpha) => thresholdedRelu(e, x, alpha) }],
  ["scaledtanh", { alpha: "needed", beta: "needed", apply: (e, x, alpha, beta) => scaled(e, elementwise(e, "tanh", scaled(e, x, beta)), alpha) }],
  ["hardsigmoid", { alpha: Math.fround(0.2), beta: 0.5, apply: (e, x, alpha, beta) => hardSigmoid(e, x, alpha, beta) }],
  ["elu", { alpha: 1, apply: (e, x, alpha) => exponential(e, x, alpha, 1) }],
  ["softsign", { apply: (e, x) => softsign(e, x) }],
  ["softplus", { apply: (e, x) => elementwise(e, "softplus", x) }],
]);

/** The functions by name; each that has an alpha (a beta) takes the next one of the list, and its default behind the end of it. */
export function activationsNamed(names: readonly string[], alphas: readonly number[], betas: readonly number[]): Activation[] {
  const used = { alpha: 0, beta: 0 };
  const functions = names.map((name): Activation => {
    const kind = kinds.get(name.toLowerCase()) ?? fail("E0202", `activation "${name}"`, { attribute: "activations" }, [`accepted: ${[...kinds.keys()].join(", ")}`]);
    const next = (what: "alpha" | "beta", values: readonly number[]): number => {
      const fallback = kind[what];
      if (fallback === undefined) return 0;
      const value = values[used[what]++] ?? fallback;
      return value === "needed" ? fail("E0202", `activation "${name}" without ${what}`, { attribute: `activation_${what}` }, ["there is no default"]) : value;
    };
    const alpha = next("alpha", alphas);
    const beta = next("beta", betas);
    return (e, x) => kind.apply(e, x, alpha, beta);
  });
  for (const [what, values] of [["alpha", alphas], ["beta", betas]] as const) {
    if (values.length > used[what]) fail("E0202", `${values.length} values`, { attribute: `activation_${what}` }, [`the activations ${names.join(", ")} take ${used[what]}`]);
  }
  return functions;
}

/** The same function of operands brought into [-limit, limit]. */
export function clipped(activation: Activation, limit: number): Activation {
  return (e, x) => activation(e, withNumber(e, "min", withNumber(e, "max", x, -limit), limit));
}
