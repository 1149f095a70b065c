/** @file Values of ld, st, gather, scatter, fill and io blocks. */
import { bytesOf } from "@systole/base";
import type { ResolvedGenerator, ResolvedSpace, ResolvedStep } from "@systole/isa";
import { DeviceFault } from "../faults.ts";
import { extentsOf, newPlacement, placementOf, reachesOutside, startAddress, type Placement } from "../geometry.ts";
import type { Memory } from "../memory.ts";
import { addDimension, copyBox, fillBox, newBox } from "./box.ts";

type StepOf<K extends ResolvedStep["kind"]> = Extract<ResolvedStep, { kind: K }>;
export type LoadStep = StepOf<"load">;
export type StoreStep = StepOf<"store">;
export type GatherStep = StepOf<"gather" | "scatter">;
export type FillStep = StepOf<"fill">;
export type IoStep = StepOf<"io">;

/** Thrown by gather and scatter: entry `row` of the index list asks for row `index` of `rows`. */
export class RowFault extends DeviceFault {
  readonly row: number;
  readonly index: bigint;
  readonly rows: number;
  constructor(row: number, index: bigint, rows: number) {
    super(`gather or scatter index out of range: row ${index} of ${rows} asked for by entry ${row}`);
    this.name = "RowFault";
    this.row = row;
    this.index = index;
    this.rows = rows;
  }
}

const indexPlacement = newPlacement();
const box = newBox();

export function executeLoad(memory: Memory, step: LoadStep, indices: Int32Array, points = placementOf(step.space, indices)): void {
  const target = linearStart(memory, step.target, step.space, indices);
  const source = linearStart(memory, step.source, step.space, indices);
  if (reachesOutside(points)) fillPoints(memory, points, step.target, target, step.fill, false);
  copyInside(memory, points, step.target, step.source, target, source);
}

export function executeStore(memory: Memory, step: StoreStep, indices: Int32Array, points = placementOf(step.space, indices)): void {
  const target = linearStart(memory, step.target, step.space, indices);
  copyInside(memory, points, step.target, step.source, target, linearStart(memory, step.source, step.space, indices));
}

export function executeFill(memory: Memory, step: FillStep, indices: Int32Array, points = placementOf(step.space, indices)): void {
  fillPoints(memory, points, step.target, linearStart(memory, step.target, step.space, indices), step.value, true);
}

/** io load, store and copy; `text` has no values. */
export function executeIo(memory: Memory, step: IoStep): void {
  const external = memory.linear("external", step.external);
  const other = memory.linear(step.what === "copy" ? "external" : "cache", step.cache);
  if (step.what === "load") memory.u8.copyWithin(other, external, external + step.bytes);
  if (step.what === "store") memory.u8.copyWithin(external, other, other + step.bytes);
  if (step.what === "copy") memory.u8.copyWithin(other, external, external + step.bytes);
}

/** Returns the number of rows moved; throws RowFault before the first bad row is touched. */
export function executeGather(memory: Memory, step: GatherStep, indices: Int32Array, points = placementOf(step.space, indices)): number {
  extentsOf(step.indexSpace, indices, indexPlacement);
  const looked = step.kind === "gather" ? step.source : step.target;
  const target = linearStart(memory, step.target, step.space, indices);
  const source = linearStart(memory, step.source, step.space, indices);
  // The looked-up side has no coordinate of its own along dimension 0.
  const ownRows = looked.mode === "absolute" ? (looked.strides[0] ?? 0) * points.starts[0]! : 0;
  const list = memory.elements(step.index.dtype);
  const width = bytesOf(step.index.dtype);
  let at = linearStart(memory, step.index, step.indexSpace, indices);
  const rowBox = outsideFirst(step.target, step.source, points);
  const elementBytes = bytesOf(step.target.dtype);
  for (let row = 0; row < points.extents[0]!; row++, at += step.index.strides[0] ?? 0) {
    const index = list[at / width]!;
    if (index < 0 || index >= step.rows) throw new RowFault(row, BigInt(index), step.rows);
    const lookedOffset = (looked.strides[0] ?? 0) * Number(index) - ownRows;
    const from = step.kind === "gather" ? source + lookedOffset : source + (step.source.strides[0] ?? 0) * row;
    const to = step.kind === "gather" ? target + (step.target.strides[0] ?? 0) * row : target + lookedOffset;
    copyBox(memory, rowBox, elementBytes, to, from);
  }
  return points.extents[0]!;
}

/** The box of one row: all dimensions but the first. */
function outsideFirst(target: ResolvedGenerator, source: ResolvedGenerator, points: Placement): typeof box {
  box.rank = 0;
  for (let d = 1; d < points.rank; d++) addDimension(box, points.extents[d]!, target.strides[d] ?? 0, source.strides[d] ?? 0);
  return box;
}

function linearStart(memory: Memory, generator: ResolvedGenerator, space: ResolvedSpace, indices: Int32Array): number {
  return memory.linear(generator.buffer.memory, startAddress(generator, space, indices));
}

/** Copies the points that lie inside the tensor. */
function copyInside(memory: Memory, points: Placement, target: ResolvedGenerator, source: ResolvedGenerator, targetStart: number, sourceStart: number): void {
  let to = targetStart;
  let from = sourceStart;
  box.rank = 0;
  for (let d = 0; d < points.rank; d++) {
    const low = points.low[d]!;
    const count = points.high[d]! - low;
    if (count <= 0) return;
    const targetStride = target.strides[d] ?? 0;
    const sourceStride = source.strides[d] ?? 0;
    to += low * targetStride;
    from += low * sourceStride;
    addDimension(box, count, targetStride, sourceStride);
  }
  copyBox(memory, box, bytesOf(target.dtype), to, from);
}

/** The 32-bit pattern in every point, or in those inside the tensor; i64 extends its sign. */
function fillPoints(memory: Memory, points: Placement, target: ResolvedGenerator, start: number, value: number, insideOnly: boolean): void {
  let to = start;
  box.rank = 0;
  for (let d = 0; d < points.rank; d++) {
    const low = insideOnly ? points.low[d]! : 0;
    const count = (insideOnly ? points.high[d]! : points.extents[d]!) - low;
    if (count <= 0) return;
    to += low * (target.strides[d] ?? 0);
    addDimension(box, count, target.strides[d] ?? 0, target.strides[d] ?? 0);
  }
  fillBox(memory, box, bytesOf(target.dtype), to, value | 0, target.dtype === "i64" && (value | 0) < 0 ? -1 : 0);
}
