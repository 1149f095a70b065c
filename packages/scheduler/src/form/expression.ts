/** @file What a value is before it has a place, and questions about it. */
import { type Dtype, type ElementwiseName } from "@systole/base";
import type { Origin } from "@systole/ir";
import { mapEngine } from "../collapse.ts";
import { engineReads, type Dimension, type Engine, type ScheduledTensor, type Source, type Stage } from "../kernel.ts";
import type { View } from "../view.ts";

export const maximumStages = 8;
export const maximumStreams = 6;

/** What a value is before it is given a place: a view of a tensor, a constant, or work that is still to be put into a kernel. */
export type Expression =
  | { readonly kind: "view"; readonly view: View }
  | { readonly kind: "immediate"; readonly value: number | bigint }
  | { readonly kind: "index"; readonly axis: number }
  | { readonly kind: "apply"; readonly operation: ElementwiseName; readonly operands: Dtype; readonly dtype: Dtype; readonly args: readonly Expression[]; readonly origin: Origin }
  | { readonly kind: "engine"; readonly pending: PendingEngine };

/** An engine with its loop nest; the parallel dimensions are the axes of its result. */
export interface PendingEngine {
  readonly origin: Origin;
  readonly dims: readonly Dimension[];
  readonly parallel: number;
  readonly engine: Engine;
  /** Kernels that were formed for its operands' chains carry their origins here. */
  readonly origins: readonly Origin[];
}

export function isPending(e: Expression): boolean {
  return e.kind === "apply" || e.kind === "engine";
}

export function containsEngine(e: Expression): boolean {
  return findEngine(e) !== undefined;
}

export function findEngine(e: Expression): PendingEngine | undefined {
  if (e.kind === "engine") return e.pending;
  if (e.kind !== "apply") return undefined;
  for (const arg of e.args) {
    const found = findEngine(arg);
    if (found !== undefined) return found;
  }
  return undefined;
}

export function originsOf(e: Expression): readonly Origin[] {
  if (e.kind === "engine") return [e.pending.origin, ...e.pending.origins];
  if (e.kind !== "apply") return [];
  return uniqueOrigins([e.origin, ...e.args.flatMap(originsOf)]);
}

export function uniqueOrigins(origins: readonly Origin[]): Origin[] {
  return origins.filter((o, i) => origins.findIndex((other) => other.node === o.node && other.operator === o.operator && other.phase === o.phase) === i);
}

export function count(e: Expression): { stages: number; streams: number; engines: number } {
  if (e.kind === "view") return { stages: 0, streams: 1, engines: 0 };
  if (e.kind === "engine") return { stages: 0, streams: 1, engines: 1 };
  if (e.kind !== "apply") return { stages: 0, streams: 0, engines: 0 };
  const own = { stages: 1 + e.args.filter((arg, i) => needsStage(e, e.args, arg, i)).length, streams: 0, engines: 0 };
  return e.args.map(count).reduce((a, b) => ({ stages: a.stages + b.stages, streams: a.streams + b.streams, engines: a.engines + b.engines }), own);
}

/** A vop holds one immediate, of the type of its operands: further ones, and the condition of a select, take a stage of their own. */
export function needsStage(e: { readonly operation: ElementwiseName }, args: readonly { readonly kind: string }[], arg: { readonly kind: string }, position: number): boolean {
  if (arg.kind !== "immediate") return false;
  const condition = e.operation === "select" && position === 0;
  const first = args.findIndex((other, i) => other.kind === "immediate" && !(e.operation === "select" && i === 0));
  return condition || position !== first;
}

export function separateImmediates(e: { readonly operation: ElementwiseName; readonly operands: Dtype }, sources: readonly Source[], stages: Stage[]): Source[] {
  return sources.map((source, i) => {
    if (!needsStage(e, sources, source, i)) return source;
    const dtype = e.operation === "select" && i === 0 ? "bool" : e.operands;
    stages.push({ operation: "copy", sources: [source], operands: dtype, dtype });
    return { kind: "stage", index: stages.length - 1 };
  });
}

export function fits(e: Expression): boolean {
  const c = count(e);
  return c.stages <= maximumStages && c.streams <= maximumStreams && c.engines <= 1;
}

export function weight(e: Expression): number {
  const c = count(e);
  return c.stages + c.streams;
}

export function readsTensor(e: Expression, t: ScheduledTensor): boolean {
  if (e.kind === "view") return e.view.tensor === t;
  if (e.kind === "apply") return e.args.some((arg) => readsTensor(arg, t));
  return e.kind === "engine" && engineReads(e.pending.engine).some((access) => access.tensor === t);
}

export function renameIn(e: Expression, old: ScheduledTensor, renamed: ScheduledTensor): Expression {
  if (e.kind === "view") return e.view.tensor === old ? { kind: "view", view: { ...e.view, tensor: renamed } } : e;
  if (e.kind === "apply") return { ...e, args: e.args.map((arg) => renameIn(arg, old, renamed)) };
  if (e.kind === "engine") return { ...e, pending: { ...e.pending, engine: mapEngine(e.pending.engine, (access) => (access.tensor === old ? { ...access, tensor: renamed } : access)) } };
  return e;
}
