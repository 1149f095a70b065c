/** @file Cycles of the vector unit for one tile, by the rule of docs/timing-model.md: innermost runs of points, packed in groups of lanes. */
import { bytesOf, elementwiseOps } from "@systole/base";
import type { Machine } from "@systole/isa";
import { strideAlong, type Access, type Chain, type Reduction } from "../kernel.ts";
import type { Operand } from "../schedule.ts";

/** Strides of one operand of a pass, in bytes per dimension of the kernel. */
export type Strides = (dim: number) => number;

export function operandStrides(operand: Operand): Strides {
  if (operand.access.direct === true) return directStrides(operand.access);
  return (dim) => operand.access.coordinates.reduce((sum, c, i) => sum + c.terms.reduce((s, t) => s + (t.dim === dim ? t.factor * operand.box.strides[i]! : 0), 0), 0);
}

export function directStrides(access: Access): Strides {
  const width = bytesOf(access.tensor.type.dtype);
  return (dim) => strideAlong(access, dim) * width;
}

/** A tile of results stored densely, dimensions 0..count-1; others do not move it. */
export function denseStrides(tile: readonly number[], count: number, width: number): Strides {
  const strides = new Array<number>(tile.length).fill(0);
  let bytes = width;
  for (let dim = count - 1; dim >= 0; dim--) {
    strides[dim] = bytes;
    bytes *= tile[dim]!;
  }
  return (dim) => strides[dim] ?? 0;
}

export interface VectorPass {
  readonly operands: readonly Strides[];
  readonly tile: readonly number[];
  /** Dimensions before this one are kept, the others up to `to` are folded. */
  readonly kept: number;
  readonly to: number;
  readonly chain: Chain;
  readonly reduction?: Reduction;
  readonly blocked?: boolean;
}

/** Cycles of one pass over a whole tile. */
export function passCycles(pass: VectorPass, machine: Machine): number {
  const points = pass.tile.slice(0, pass.to).reduce((a, b) => a * b, 1);
  const turns = (run: number) => {
    const group = Math.min(16, machine.vector.lanes);
    return Math.ceil(((points / run) * Math.ceil(run / group) * group) / machine.vector.lanes);
  };
  let cycles = turns(innermostRun(pass, 0, pass.kept));
  const either = pass.blocked === true || (pass.reduction !== undefined && /max|min/.test(pass.reduction));
  if (either) cycles = Math.min(cycles, turns(innermostRun(pass, pass.kept, pass.to)));
  return cycles * laneCycles(pass.chain) * Math.max(1, Math.ceil(pass.chain.stages.length / machine.vector.chainedOperations));
}

export function laneCycles(chain: Chain): number {
  return chain.stages.reduce((most, stage) => Math.max(most, elementwiseOps[stage.operation].laneCycles), 1);
}

/** Points of the innermost dimensions from..to-1 that every operand walks with one stride. */
function innermostRun(pass: VectorPass, from: number, to: number): number {
  let run = 1;
  let inner = -1;
  for (let dim = to - 1; dim >= from; dim--) {
    if (pass.tile[dim] === 1) continue;
    if (inner >= 0 && !pass.operands.every((stride) => stride(dim) === stride(inner) * pass.tile[inner]!)) break;
    run *= pass.tile[dim]!;
    inner = dim;
  }
  return run;
}
