/** @file What every operand must satisfy, and the rules of transfers and of the array. */
import type { Dtype } from "@systole/base";
import type { MemoryName } from "../instructions.ts";
import { demand, type Site } from "../refuse.ts";
import type { ResolvedDimension, ResolvedGenerator, ResolvedSpace, ResolvedStep } from "../resolved.ts";
import { demandAligned, demandContained, footprint, type Range } from "./footprint.ts";

/** One memory operand of an instruction. */
export interface Operand {
  readonly name: string;
  readonly space: ResolvedSpace;
  readonly generator: ResolvedGenerator;
  readonly memories: readonly MemoryName[];
  readonly inside: boolean;
  readonly written: boolean;
  readonly rows?: number;
}

/** Bytes of external memory that an instruction may write. */
export interface WrittenBytes {
  readonly low: number;
  readonly end: number;
}

export function checkOperand(site: Site, o: Operand, indices: readonly Range[]): WrittenBytes | undefined {
  const { buffer } = o.generator;
  demand(o.memories.includes(buffer.memory), site, () => `${o.name} lies in the ${buffer.memory} memory; ${o.memories.join(" or ")} can hold it`);
  demandAligned(site, o.name, o.generator);
  const reach = footprint(site, o.space, o.generator, indices, o.rows === undefined ? { inside: o.inside } : { inside: o.inside, rows: o.rows });
  if (reach === undefined) return undefined;
  demandContained(site, o.name, o.generator, reach);
  if (!o.written || buffer.memory !== "external") return undefined;
  return { low: buffer.base + reach.slots.low * buffer.slotBytes + reach.low, end: buffer.base + reach.slots.high * buffer.slotBytes + reach.end };
}

type StepOf<K extends ResolvedStep["kind"]> = Extract<ResolvedStep, { kind: K }>;

const cache = ["cache"] as const;
/** The outer side of a transfer: a copy inside the data cache has both sides there. */
const outer = ["external", "cache"] as const;
/** A load may also bring the sums that a contraction continues. */
const inner = ["cache", "accumulator"] as const;

export function loadOperands(site: Site, step: StepOf<"load">): Operand[] {
  const { space } = step;
  demandSameType(site, step.target, step.source);
  return [
    { name: "target", space, generator: step.target, memories: inner, inside: false, written: true },
    { name: "source", space, generator: step.source, memories: outer, inside: true, written: false },
  ];
}

export function storeOperands(site: Site, step: StepOf<"store">): Operand[] {
  const { space } = step;
  demandSameType(site, step.target, step.source);
  return [
    { name: "target", space, generator: step.target, memories: outer, inside: true, written: true },
    { name: "source", space, generator: step.source, memories: cache, inside: true, written: false },
  ];
}

export function fillOperands(step: StepOf<"fill">): Operand[] {
  return [{ name: "target", space: step.space, generator: step.target, memories: outer, inside: true, written: true }];
}

export function lookupOperands(site: Site, step: StepOf<"gather" | "scatter">): Operand[] {
  const { space, rows } = step;
  const gathers = step.kind === "gather";
  const [table, list] = gathers ? [step.source, step.target] : [step.target, step.source];
  demandSameType(site, table, list);
  demand(rows >= 1, site, () => "no rows to look up");
  demand(table.mode === "absolute", site, () => "the looked-up side must be absolute");
  demand(isOneOf(step.index.dtype, ["i32", "i64"]), site, () => `row numbers are i32 or i64, not ${step.index.dtype}`);
  demand(step.indexSpace.dimensions.length === 1, site, () => `the space of the row numbers has ${step.indexSpace.dimensions.length} dimensions, not 1`);
  const [looked, numbers] = [space.dimensions[0]!, step.indexSpace.dimensions[0]!];
  demand(looked.mode === "cut", site, () => "the looked-up dimension cannot be padded");
  demand(sameDimension(looked, numbers) || (numbers.limit === 0 && numbers.extent >= looked.extent), site, () => "there must be a row number for every point of the looked-up dimension");
  return [
    { name: gathers ? "source" : "target", space, generator: table, memories: outer, inside: true, written: !gathers, rows },
    { name: gathers ? "target" : "source", space, generator: list, memories: cache, inside: !gathers, written: gathers },
    { name: "index", space: step.indexSpace, generator: step.index, memories: cache, inside: false, written: false },
  ];
}

export function gemmOperands(site: Site, step: StepOf<"gemm">): Operand[] {
  const { space, rows, contracted } = step;
  const rank = space.dimensions.length;
  demand(rank === rows + contracted + 1, site, () => `${rows} row, ${contracted} contracted and 1 column dimension make ${rows + contracted + 1}; the space has ${rank}`);
  for (const [name, g] of [["x", step.x], ["w", step.w], ["out", step.out]] as const) demand(g.dtype === "f32", site, () => `${name} is ${g.dtype}; the array computes in f32`);
  demand(step.x.strides[rank - 1] === 0, site, () => "x has a stride along the columns");
  demand(step.w.strides.slice(0, rows).every(isZero), site, () => "w has a stride along the rows");
  demand(step.out.strides.slice(rows, rows + contracted).every(isZero), site, () => "out has a stride along a contracted dimension");
  const operand = (name: string, generator: ResolvedGenerator, memories: readonly MemoryName[], written: boolean): Operand => ({ name, space, generator, memories, inside: false, written });
  return [operand("x", step.x, cache, false), operand("w", step.w, cache, false), operand("out", step.out, ["accumulator"], true)];
}

/** The resolved generator of an element has no dimensions. */
export function moveOperands(step: StepOf<"move">): Operand[] {
  return [{ name: "generator", space: { dimensions: [] }, generator: step.generator, memories: cache, inside: false, written: step.direction === "to-memory" }];
}

function demandSameType(site: Site, target: ResolvedGenerator, source: ResolvedGenerator): void {
  demand(target.dtype === source.dtype, site, () => `a transfer converts nothing; target is ${target.dtype}, source is ${source.dtype}`);
}

function sameDimension(a: ResolvedDimension, b: ResolvedDimension): boolean {
  return a.extent === b.extent && a.offset === b.offset && a.limit === b.limit && a.mode === b.mode && a.steps.every((step, level) => step === b.steps[level]);
}

function isZero(stride: number): boolean {
  return stride === 0;
}

function isOneOf(dtype: Dtype, accepted: readonly Dtype[]): boolean {
  return accepted.includes(dtype);
}
