/** @file Rules of the vector unit: sources, element types by the elementwise table, reductions. */
import { dtypes, elementwiseOps, isFloat, isInteger, type Dtype, type ElementwiseOp } from "@systole/base";
import type { ReductionName } from "../instructions.ts";
import { limits, type Machine } from "../machine.ts";
import { demand, type Site } from "../refuse.ts";
import type { ResolvedStage, ResolvedStep, StageSource } from "../resolved.ts";
import type { Operand } from "./operands.ts";

type VectorStep = Extract<ResolvedStep, { kind: "vector" }>;

const onChip = ["cache", "accumulator"] as const;
const argumentReductions: readonly ReductionName[] = ["argmax", "argmin", "argmaxlast", "argminlast"];
const scans: readonly ReductionName[] = ["scan", "exclusivescan"];

export function vectorOperands(site: Site, machine: Machine, step: VectorStep): Operand[] {
  const { space, stages, streams } = step;
  const chained = machine.vector.chainedOperations;
  demand(stages.length <= chained, site, () => `${stages.length} stages; this machine chains ${chained}`);
  demand(streams.length > 0 || stages.length > 0, site, () => "neither a stream nor a stage");
  stages.forEach((stage, k) => checkStage({ routine: site.routine, address: site.address + (k + 1) * limits.instructionBytes }, step, stage, k));
  checkReduction(site, step, stages.at(-1)?.dtype ?? streams[0]!.dtype);
  return [
    ...streams.map((generator, k): Operand => ({ name: `stream ${k}`, space, generator, memories: onChip, inside: false, written: false })),
    { name: "target", space, generator: step.target, memories: onChip, inside: false, written: true },
  ];
}

function checkStage(site: Site, step: VectorStep, stage: ResolvedStage, at: number): void {
  const op: ElementwiseOp = elementwiseOps[stage.operation];
  const { operands, dtype, operation } = stage;
  const { kind } = dtypes[operands];
  const defined = kind === "float" ? op.float !== undefined : op.integer !== undefined && (kind === "integer" || op.boolean === true);
  demand(defined, site, () => `${operation} is not defined for ${operands}`);
  const wanted: Dtype = op.result === "bool" ? "bool" : operands;
  demand(operation === "convert" || dtype === wanted, site, () => `${operation} of ${operands} gives ${wanted}, not ${dtype}`);
  stage.sources.forEach((source, k) => {
    const expected = operation === "select" && k === 0 ? "bool" : operands;
    const type = sourceType(site, step, source, at, expected);
    demand(type === expected, site, () => `operand ${k} of ${operation} is ${type}, not ${expected}`);
  });
}

/** Immediates and coordinates take the type that is wanted of them, coordinates only an integer one. */
function sourceType(site: Site, step: VectorStep, source: StageSource, at: number, expected: Dtype): Dtype {
  switch (source.kind) {
    case "stream":
      demand(source.index < step.streams.length, site, () => `stream ${source.index} is not given; there are ${step.streams.length}`);
      return step.streams[source.index]!.dtype;
    case "stage":
      demand(source.index < at, site, () => `stage ${at} cannot take the result of stage ${source.index}`);
      return step.stages[source.index]!.dtype;
    case "coordinate":
      demand(source.dimension < step.space.dimensions.length, site, () => `dimension ${source.dimension} does not exist; the space has ${step.space.dimensions.length}`);
      return isInteger(expected) ? expected : "i64";
    case "immediate":
      return expected;
  }
}

function checkReduction(site: Site, step: VectorStep, value: Dtype): void {
  const { reduction, reduced, order, target, start } = step;
  const rank = step.space.dimensions.length;
  if (reduction === "none") {
    demand(reduced === 0 && order === "sequential" && start !== "never", site, () => "reduced dimensions, an order or a sum to continue without a reduction");
    demand(target.dtype === value, site, () => `the result is ${value}, the target ${target.dtype}`);
    return;
  }
  demand(reduced >= 1 && reduced <= rank, site, () => `${reduced} reduced dimensions; the space has ${rank}`);
  const indexes = argumentReductions.includes(reduction);
  const scan = scans.includes(reduction);
  if (indexes) demand(target.dtype === "i64" || target.dtype === "i32", site, () => `${reduction} gives i64 or i32, the target is ${target.dtype}`);
  else demand(target.dtype === value, site, () => `${reduction} gives ${value}, the target is ${target.dtype}`);
  demand(value !== "bool" || reduction === "max" || reduction === "min" || indexes, site, () => `${reduction} is not defined for bool`);
  demand(scan || target.strides.slice(rank - reduced).every((stride) => stride === 0), site, () => "the target of a reduction has a stride along a reduced dimension");
  demand(!(indexes || scan) || (start !== "never" && start.length === 0), site, () => `${reduction} cannot be continued: its start mask must be empty, and \`continues\` 0`);
  demand(order === "sequential" || (reduction === "sum" && isFloat(value)), site, () => `only a sum of floats has the blocked order, not ${reduction} of ${value}`);
  demand(order === "sequential" || start === "never" || start.length === 0, site, () => "a blocked sum cannot be cut in pieces: its start mask must be empty");
}
