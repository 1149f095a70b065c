/** @file The part of the benchmark's document that is about training. */
import { grouped, milliseconds, table } from "./markdown.ts";
import type { TrainingResult } from "./training.ts";

export function trainingSections(results: readonly TrainingResult[], missing: readonly string[]): string[] {
  return [
    "## Hessian-free training",
    "",
    "One outer step with four steps of conjugate gradients; the cost of one step is half of what four take more than two.",
    "",
    ...results.map((r) => `- ${r.name}: ${r.note}`),
    ...missing.map((name) => `- ${name}: left out, its file is not there`),
    "",
    table(["model", "machine", "compile ms", "text KiB", "outer step cycles", "CG step cycles", "of which product", "host ms, outer step"], results.flatMap((r) => r.machines.map((m) => [
      r.name, m.machine, milliseconds(m.compileMs), (m.textBytes / 1024).toFixed(1), grouped(m.outerCycles), grouped(m.stepCycles), grouped(m.productCycles), m.outerHostMs === undefined ? "" : milliseconds(m.outerHostMs),
    ]))),
    "",
    "External traffic of what touches vectors alone, in a step: directions, updates, dot products, damping and decay, without the contractions of the product. The",
    "floor reads x, r, p, y, the product and the preconditioner once and writes all but the last once; what lies in the data cache moves nothing.",
    "",
    table(["model", "machine", "bytes", "floor", "bytes / floor"], results.flatMap((r) => r.machines.map((m) => [r.name, m.machine, grouped(m.vectorBytes), grouped(m.floorBytes), (m.vectorBytes / m.floorBytes).toFixed(2)]))),
    "",
  ];
}
