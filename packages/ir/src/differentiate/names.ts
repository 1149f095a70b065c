/**
 * @file How derived graphs name what they add: `d.NAME` is the tangent of the input, parameter or output NAME, `c.NAME` its
 * cotangent; `r.0`, `r.1`, ... are residuals, values of the point that its linear map needs.
 */
import { fail, formatType, isFloat } from "@systole/base";
import type { Graph, GraphOutput, Value } from "../graph.ts";
import { uses } from "../graph.ts";

export const tangentName = (name: string): string => `d.${name}`;
export const cotangentName = (name: string): string => `c.${name}`;

/** A tangent's name becomes that of the cotangent and back. */
export function turnedName(name: string): string {
  if (name.startsWith("d.")) return `c.${name.slice(2)}`;
  return name.startsWith("c.") ? `d.${name.slice(2)}` : cotangentName(name);
}

/** What a derivative is taken of, and with respect to what. */
export interface DerivativeOptions {
  /** Inputs and parameters by name. */
  readonly wrt: readonly string[];
  /** Outputs by name; all float outputs when missing. */
  readonly of?: readonly string[];
}

/** The inputs and parameters that are named; E0601 for an unknown name, E0207 for one without tangent, E0209 for none. */
export function sourcesOf(graph: Graph, wrt: readonly string[]): readonly { readonly name: string; readonly value: Value }[] {
  if (wrt.length === 0) fail("E0209", `nothing is named that "${graph.name}" could be differentiated with respect to`);
  const all = [...graph.inputs, ...graph.parameters];
  return wrt.map((name) => {
    const found = all.find((one) => one.name === name);
    if (found === undefined) fail("E0601", `"${graph.name}" has no input or parameter "${name}"`, { value: name }, [`there are: ${all.map((one) => one.name).join(", ")}`]);
    if (!isFloat(found.value.type.dtype)) fail("E0207", `"${name}" is ${formatType(found.value.type)} and has no tangent`, { value: name });
    return { name, value: found.value };
  });
}

export function targetsOf(graph: Graph, of: readonly string[] | undefined): readonly GraphOutput[] {
  if (of === undefined) return graph.outputs.filter(({ value }) => isFloat(value.type.dtype));
  return of.map((name) => {
    const found = graph.outputs.find((output) => output.name === name);
    if (found === undefined) fail("E0601", `"${graph.name}" has no output "${name}"`, { value: name }, [`there are: ${graph.outputs.map((output) => output.name).join(", ")}`]);
    if (!isFloat(found.value.type.dtype)) fail("E0207", `output "${name}" is ${formatType(found.value.type)} and has no tangent`, { value: name });
    return found;
  });
}

/**
 * The parameters that training may change: floats that no pattern of `freeze` names (`*` stands for any characters) and that
 * are not held fixed by the model itself (every use is a stop_gradient, such as running statistics).
 */
export function trainableParameters(graph: Graph, freeze: readonly string[] = []): readonly string[] {
  const used = uses(graph);
  const held = (value: Value): boolean => (used.get(value)?.length ?? 0) > 0 && used.get(value)!.every((node) => node.op === "stop_gradient");
  const patterns = freeze.map(expressionOf);
  return graph.parameters
    .filter(({ name, value }) => isFloat(value.type.dtype) && !held(value) && !patterns.some((pattern) => pattern.test(name)))
    .map(({ name }) => name);
}

/** Patterns that name no parameter at all: misspelt, as a rule. */
export function idlePatterns(graph: Graph, freeze: readonly string[]): readonly string[] {
  return freeze.filter((pattern) => !graph.parameters.some(({ name }) => expressionOf(pattern).test(name)));
}

/** `*` stands for any characters, everything else for itself. */
function expressionOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.split("*").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "s");
}
