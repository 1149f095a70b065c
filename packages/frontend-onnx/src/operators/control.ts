/** @file If, Scan and Loop: subgraphs become bodies of structured control; what they read of the graph around them becomes their constants. */
import { fail, numbersOf, tensor, type Tensor } from "@systole/base";
import { nextValueId, type Graph, type GraphInput, type Value } from "@systole/ir";
import { inverse, range, rankOf, reshape, scalar, shapeOf, transpose } from "../lowering/values.ts";
import type { Emitter } from "../lowering/emitter.ts";
import { axisOf, input, operator, requireDtype, requireRank, type Call, type ImportedBody, type Operator } from "./operator.ts";

export const controlOperators: readonly Operator[] = [
  operator("If", branch),
  operator("Scan", scan),
  operator("Loop", loop, "carried values keep their shapes; with scan outputs, or on the device, or for gradients, the number of steps must be known at import"),
];

/** Only the branch that is taken becomes part of the program, where the condition is known. */
function branch(c: Call): readonly Value[] {
  const [then, otherwise] = [c.attributes.graph("then_branch"), c.attributes.graph("else_branch")];
  const known = c.e.readable(input(c, 0));
  if (known !== undefined) return c.inline(numbersOf(known)[0] !== 0 ? then : otherwise);
  const bodies = [then, otherwise].map((graph) => c.body(graph, []));
  const operands = [...new Set(bodies.flatMap(({ captured }) => captured))];
  const [first, second] = bodies.map((body) => taking(body, operands)) as [Graph, Graph];
  return c.e.applyAll("cond", [flagOf(c, 0), ...operands], { onTrue: first, onFalse: second });
}

/** The body with an input for each of these values, whether it reads it or not, and its own behind them. */
function taking({ graph, captured }: ImportedBody, operands: readonly Value[]): Graph {
  let id = nextValueId(graph);
  const unread = operands.map(({ type }): Value => ({ id: id++, type }));
  const taken = operands.map((value, i): GraphInput => ({ name: `k${i}`, value: captured.includes(value) ? graph.inputs[captured.indexOf(value)]!.value : unread[i]! }));
  return { ...graph, inputs: [...taken, ...graph.inputs.slice(captured.length)] };
}

function flagOf(c: Call, index: number): Value {
  const value = input(c, index);
  requireDtype(value, ["bool"]);
  return reshape(c.e, value, []);
}

function scan(c: Call): readonly Value[] {
  const { e, attributes } = c;
  const count = attributes.int("num_scan_inputs", 0);
  const all = c.inputs.map((_, i) => input(c, i));
  if (!(count >= 1 && count <= all.length)) attributes.refuse("num_scan_inputs", `is ${count}`, `1 to ${all.length}`);
  const [states, given] = [all.slice(0, all.length - count), all.slice(all.length - count)];
  const graph = attributes.graph("body");
  const made = (graph.output ?? []).length - states.length;
  if (made < 0) fail("E0205", `a body with ${(graph.output ?? []).length} outputs for ${states.length} states`);
  const [axesIn, axesOut] = [listOf(c, "scan_input_axes", count), listOf(c, "scan_output_axes", made)];
  const [turnedIn, turnedOut] = [listOf(c, "scan_input_directions", count), listOf(c, "scan_output_directions", made)];
  const sequences = given.map((value, i) => {
    requireRank(value, 1);
    const axis = axisOf(axesIn[i]!, rankOf(value), "scan_input_axes");
    return turned(e, transpose(e, value, [axis, ...range(rankOf(value)).filter((one) => one !== axis)]), turnedIn[i]!);
  });
  const length = shapeOf(sequences[0]!)[0]!;
  const body = c.body(graph, [...states.map(({ type }) => type), ...sequences.map(({ type }) => ({ dtype: type.dtype, shape: type.shape.slice(1) }))]);
  const results = e.applyAll("scan", [...body.captured, ...states, ...sequences], { body: body.graph, length, reverse: false, consts: body.captured.length, carries: states.length });
  const stacks = results.slice(states.length).map((value, i) => {
    const axis = axisOf(axesOut[i]!, rankOf(value), "scan_output_axes");
    return transpose(e, turned(e, value, turnedOut[i]!), inverse([axis, ...range(rankOf(value)).filter((one) => one !== axis)]));
  });
  return [...results.slice(0, states.length), ...stacks];
}

/** A list with one entry each; zeros when missing. */
function listOf(c: Call, name: string, count: number): readonly number[] {
  const list = c.attributes.ints(name) ?? Array<number>(count).fill(0);
  return list.length === count ? list : c.attributes.refuse(name, `has ${list.length} entries`, `${count} entries`);
}

function turned(e: Emitter, value: Value, direction: number): Value {
  return direction === 0 ? value : e.apply("reverse", [value], { axes: [0] });
}

const yes: Tensor = tensor("bool", [], [1]);
const counter = { dtype: "i64", shape: [] } as const;

function loop(c: Call): readonly Value[] {
  const { e } = c;
  const graph = c.attributes.graph("body");
  const states = c.inputs.slice(2).map((_, i) => input(c, i + 2));
  const types = states.map(({ type }) => type);
  const steps = knownSteps(c);
  if (steps !== undefined) {
    const body = c.body(graph, [counter, yes, ...types], (inner, _inputs, [more, ...results]) => {
      const known = more && inner.fixed(more);
      return known === undefined || numbersOf(known)[0] === 0 ? undefined : results;
    });
    if (body !== undefined) {
      const iterations = e.apply("iota", [], { dtype: "i64", shape: [steps], axis: 0 });
      return e.applyAll("scan", [...body.captured, ...states, iterations], { body: behindStates(body, states.length), length: steps, reverse: false, consts: body.captured.length, carries: states.length });
    }
  }
  if ((graph.output ?? []).length > states.length + 1) fail("E0202", "scan outputs of a loop whose number of steps depends on data", {}, ["Their shape would not be known."]);
  return dynamicLoop(c, states);
}

/** The number of steps where it is known at import, unless the body ends the loop before. */
function knownSteps(c: Call): number | undefined {
  const first = c.inputs[1] === undefined ? yes : c.e.readable(c.inputs[1]);
  if (first !== undefined && numbersOf(first)[0] === 0) return 0;
  const limit = c.inputs[0] === undefined ? undefined : c.e.readable(c.inputs[0]);
  return first === undefined || limit === undefined ? undefined : Math.max(0, numbersOf(limit)[0]!);
}

/** Scans have their sequences, here the number of the step, behind the carries. */
function behindStates({ graph, captured }: ImportedBody, states: number): Graph {
  const [own, iteration, carried] = [graph.inputs.slice(0, captured.length), graph.inputs[captured.length]!, graph.inputs.slice(captured.length + 1, captured.length + 1 + states)];
  return { ...graph, inputs: [...own, ...carried, iteration] };
}

function dynamicLoop(c: Call, states: readonly Value[]): readonly Value[] {
  const { e } = c;
  const types = states.map(({ type }) => type);
  const carried = [counter, yes, ...types].map(({ dtype, shape }) => ({ dtype, shape }));
  const body = c.body(c.attributes.graph("body"), carried, (inner, [iteration], [more, ...results]) => [inner.apply("add", [iteration!, scalar(inner, "i64", 1)], {}), reshape(inner, more!, []), ...results])!;
  const limit = c.inputs[0] === undefined ? [] : [reshape(e, c.inputs[0], [])];
  const consts = [...body.captured, ...limit];
  const test = e.forBody();
  const given = [...consts.map(({ type }) => type), ...carried].map((type, i) => test.input(`i${i}`, type));
  const [iteration, more] = [given[consts.length]!, given[consts.length + 1]!];
  test.output("more", limit.length === 0 ? more : test.apply("and", [more, test.apply("lt", [iteration, given[consts.length - 1]!], {})], {}));
  const first = c.inputs[1] === undefined ? e.constant(yes) : flagOf(c, 1);
  const results = e.applyAll("while", [...consts, scalar(e, "i64", 0), first, ...states], { condition: test.build("condition"), body: taking(body, consts), consts: consts.length });
  return results.slice(2);
}
