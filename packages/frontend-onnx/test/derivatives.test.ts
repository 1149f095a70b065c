/** @file What the table says of the derivative of every operator, against what differentiation does with it. */
import { InputError, isFloat, numbersOf, tensor, type Tensor } from "@systole/base";
import { evaluate, gaussNewtonGraph, jvp, squaredError, vjp, type Graph } from "@systole/ir";
import { describe, expect, test } from "vitest";
import { operatorTable } from "../src/index.ts";
import { networkOf, networksOf, refusedCases, withBatch, type Network } from "./derivativeCases.ts";

const seeds = [1, 2, 3, 4, 5, 6];

type Outcome = "yes" | "zero" | "none" | "refused";

/** How often anything but zero came out decides between `yes` and `zero`: slices can be empty and clips wide. */
function together(outcomes: readonly Outcome[]): Outcome {
  return (["refused", "yes", "zero"] as const).find((one) => outcomes.includes(one)) ?? "none";
}

/** Evaluates the derived graph on the case's own inputs; directions are no multiples of anything in particular. */
function isNonzero(graph: Graph, inputs: Network["inputs"], prefix: string): boolean {
  const direction = (shape: readonly number[], seed: number): number[] => Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, k) => 0.3 + 0.1 * ((k * 7 + seed) % 5));
  const given = graph.inputs.map(({ name, value }, i): [string, Tensor] => [name, inputs[name] ?? tensor(value.type.dtype, value.type.shape, direction(value.type.shape, i))]);
  const outputs = evaluate(graph, new Map(given), "float64");
  return [...outputs].some(([name, value]) => name.startsWith(prefix) && numbersOf(value).some((x) => x !== 0));
}

const kinds: Readonly<Record<string, (n: Network) => boolean>> = {
  jvp: ({ graph, wrt, of, inputs }) => isNonzero(jvp(graph, { wrt, of }), inputs, "d."),
  vjp: ({ graph, wrt, of, inputs }) => isNonzero(vjp(graph, { wrt, of }), inputs, "c."),
  gaussNewton: ({ graph, wrt, of, inputs }) => {
    const batched = withBatch(graph);
    const pieces = batched.outputs.filter(({ value }) => isFloat(value.type.dtype)).map(({ name, value }) => ({ output: name, loss: squaredError(value.type), prefix: of.length === 1 ? "" : `${name}.` }));
    return isNonzero(gaussNewtonGraph(batched, pieces, wrt), inputs, "Gv/");
  },
};

function outcome(network: Network, isThere: (n: Network) => boolean): Outcome {
  if (network.wrt.length === 0 || network.of.length === 0) return "none";
  try {
    return isThere(network) ? "yes" : "zero";
  } catch (error) {
    if (error instanceof InputError && error.diagnostic.code === "E0208") return "refused";
    throw error;
  }
}

describe("the derivative of every operator is as the table says", () => {
  test.each(operatorTable.map((row) => [row.name, row.derivative] as const))("%s", (name, { kind, only }) => {
    const networks = networksOf(name, seeds);
    expect(networks.length).toBeGreaterThan(0);
    const all = Object.entries(kinds).map(([which, isThere]) => [which, networks.map((network) => outcome(network, isThere))] as const);
    for (const [which, outcomes] of all) {
      expect(together(outcomes), which).toBe(kind);
      // A restriction without a form that it keeps out would be none; where the branches decide there is no such form.
      if (only !== undefined && name !== "If") expect(outcomes, which).toContain("none");
    }
  });
});

test("the forms without derivative, and no others, are refused in every direction", () => {
  expect(operatorTable.filter(({ derivative }) => derivative.refused !== undefined).map(({ name }) => name)).toEqual(Object.keys(refusedCases));
  for (const [name, cases] of Object.entries(refusedCases)) {
    for (const c of cases) {
      for (const [which, isThere] of Object.entries(kinds)) expect(outcome(networkOf(name, c), isThere), `${name} ${JSON.stringify(c.attributes)} ${which}`).toBe("refused");
    }
    const listed = operatorTable.find((row) => row.name === name)!.derivative.refused!;
    for (const { attributes } of cases) expect(listed).toContain(attributes!["reduction"] as string);
  }
});
