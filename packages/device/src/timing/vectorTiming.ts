/**
 * @file Cycles of one pass of the vector unit: the lanes take, in groups of 16, innermost runs of points that all operands cover with
 * one stride each; docs/timing-model.md says which run that is for each reduction.
 */
import { elementwiseOps } from "@systole/base";
import type { Machine, ReductionName, ResolvedGenerator, ResolvedStep } from "@systole/isa";
import type { Placement } from "../geometry.ts";

export type VectorStep = Extract<ResolvedStep, { kind: "vector" }>;

/** Which dimensions may fill the lanes: with a strict order only kept ones, where the order is free or interleaved also reduced ones. */
const lanesFilledBy: Readonly<Record<ReductionName, "kept" | "either">> = {
  none: "kept", sum: "kept", prod: "kept", scan: "kept", exclusivescan: "kept",
  max: "either", min: "either", argmax: "either", argmin: "either", argmaxlast: "either", argminlast: "either",
};

export class VectorCost {
  readonly #lanes: number;
  readonly #chained: number;
  readonly #known = new Map<VectorStep, Map<number, number>>();

  constructor(machine: Machine) {
    this.#lanes = machine.vector.lanes;
    this.#chained = machine.vector.chainedOperations;
  }

  /** Cycles for which the instruction occupies the unit. */
  cycles(step: VectorStep, placement: Placement): number {
    let key = 0;
    let radix = 1;
    for (let d = 0; d < placement.rank; d++) {
      const extent = step.space.dimensions[d]!.extent + 1;
      key = key * extent + placement.extents[d]!;
      radix *= extent;
    }
    if (radix > Number.MAX_SAFE_INTEGER) return this.#count(step, placement);
    let known = this.#known.get(step);
    if (known === undefined) this.#known.set(step, (known = new Map()));
    let cycles = known.get(key);
    if (cycles === undefined) known.set(key, (cycles = this.#count(step, placement)));
    return cycles;
  }

  #count(step: VectorStep, placement: Placement): number {
    let points = 1;
    for (let d = 0; d < placement.rank; d++) points *= placement.extents[d]!;
    const kept = placement.rank - (step.reduction === "none" ? 0 : step.reduced);
    const operands = [...step.streams, step.target];
    let turns = turnsOf(points, innermostRun(operands, placement, 0, kept), this.#lanes);
    const either = step.order === "blocked" || lanesFilledBy[step.reduction] === "either";
    if (either && step.reduction !== "none") turns = Math.min(turns, turnsOf(points, innermostRun(operands, placement, kept, placement.rank), this.#lanes));
    const laneCycles = step.stages.reduce((most, stage) => Math.max(most, elementwiseOps[stage.operation].laneCycles), 1);
    return turns * laneCycles * Math.max(1, Math.ceil(step.stages.length / this.#chained));
  }
}

/** Lanes that share an address: one access to a bank. Runs are packed into the unit in whole groups. */
const groupLanes = 16;

function turnsOf(points: number, run: number, lanes: number): number {
  const group = Math.min(groupLanes, lanes);
  return Math.ceil(((points / run) * Math.ceil(run / group) * group) / lanes);
}

/** Points of the innermost dimensions from..to that merge into one run: each operand's stride goes on from one dimension to the next outer one. */
function innermostRun(operands: readonly ResolvedGenerator[], placement: Placement, from: number, to: number): number {
  let run = 1;
  let inner = -1;
  for (let d = to - 1; d >= from; d--) {
    const extent = placement.extents[d]!;
    if (extent === 1) continue;
    const merges = inner < 0 || operands.every((g) => (g.strides[d] ?? 0) === (g.strides[inner] ?? 0) * placement.extents[inner]!);
    if (!merges) break;
    run *= extent;
    inner = d;
  }
  return run;
}
