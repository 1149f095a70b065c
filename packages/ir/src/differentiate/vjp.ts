/** @file The VJP and the gradient: a linearization, turned round, behind its point. */
import { fail, formatType, tensor } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import type { Graph, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { Declarations, inline, signature, type Bindings } from "./inline.ts";
import { linearize, type Linearized } from "./linearize.ts";
import { cotangentName, targetsOf, type DerivativeOptions } from "./names.ts";
import { forwardAndBackward } from "./phases.ts";
import { transposeLinear } from "./transpose.ts";

/**
 * The graph with a further input `c.NAME` for each output in `of`, and a further output `c.NAME` for each name in `wrt`. What does not
 * influence the outputs gets zeros.
 */
export function vjp(graph: Graph, options: DerivativeOptions): Graph {
  const targets = targetsOf(graph, options.of);
  const linearized = linearize(graph, options);
  const b = new GraphBuilder();
  const { values, readable } = inlinePoint(b, linearized);
  for (const { name } of graph.outputs) b.output(name, values.get(name)!);
  const cotangents = targets.map(({ name, value }) => [cotangentName(name), b.input(cotangentName(name), value.type)] as const);
  const transposed = inline(b, transposeLinear(linearized.linear, linearized.tangents), new Map([...readable, ...cotangents]));
  for (const name of options.wrt) b.output(cotangentName(name), transposed.get(cotangentName(name))!);
  return phased(graph, removeDeadCode(b.build(`${graph.name}.vjp`)));
}

/** The graph with a further output `g/NAME` for each name in `wrt`: the gradient of the scalar output `of`. */
export function gradient(graph: Graph, wrt: readonly string[], of: string): Graph {
  const { value } = targetsOf(graph, [of])[0]!;
  if (value.type.shape.length !== 0) fail("E0203", `the gradient of "${of}", which is ${formatType(value.type)}; a scalar is wanted`, { value: of });
  const linearized = linearize(graph, { wrt, of: [of] });
  const b = new GraphBuilder();
  const { values, readable } = inlinePoint(b, linearized);
  for (const { name } of graph.outputs) b.output(name, values.get(name)!);
  const seed = b.constant(tensor(value.type.dtype, [], [1]));
  const transposed = inline(b, transposeLinear(linearized.linear, linearized.tangents), new Map([...readable, [cotangentName(of), seed]]));
  for (const name of wrt) b.output(`g/${name}`, transposed.get(cotangentName(name))!);
  return phased(graph, removeDeadCode(b.build(`${graph.name}.gradient`)));
}

function phased(original: Graph, derived: Graph): Graph {
  const names = new Set(original.outputs.map(({ name }) => name));
  return forwardAndBackward(derived, (name) => names.has(name));
}

export interface InlinedPoint {
  /** Outputs of the point by name. */
  readonly values: ReadonlyMap<string, Value>;
  /** What the linear map may read: inputs, parameters and residuals. */
  readonly readable: Bindings;
}

/** Adds the point of a linearization; inputs and parameters are declared unless they are bound. */
export function inlinePoint(b: GraphBuilder, { point, residuals }: Linearized, declarations = new Declarations(b), bound: Bindings = new Map()): InlinedPoint {
  const bindings = declarations.of(point, bound);
  const values = inline(b, point, bindings);
  const own = signature(point).map(({ name }) => [name, bindings.get(name)!] as const);
  return { values, readable: new Map([...own, ...residuals.map(({ name }) => [name, values.get(name)!] as const)]) };
}
