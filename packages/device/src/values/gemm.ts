/**
 * @file Values of gemm. Rows become a table of byte offsets, k becomes a table of segments along which both
 * operands advance evenly; both tables are kept per step as long as the extents stay the same (docs/decisions/0003-kernels.md).
 */
import type { ResolvedStep } from "@systole/isa";
import { placementOf, startAddress, startsAnew, type Placement } from "../geometry.ts";
import { preparedPerMemory, type Memory } from "../memory.ts";

export type GemmStep = Extract<ResolvedStep, { kind: "gemm" }>;

/** What does not change while the extents stay the same. */
interface Tables {
  readonly extents: Int32Array;
  readonly rows: number;
  readonly contracted: number;
  readonly inPlace: boolean;
  /** Linear addresses: the words of `Block` in assembly/gemm.ts, and the tables it points to. */
  readonly descriptor: number;
}

const tablesKept = preparedPerMemory<GemmStep, Tables[]>(() => []);
/** Full blocks and the tails of some dimensions alternate; more shapes than this share the last entry. */
const shapesKept = 8;

/** Rows of w further apart than this in all are packed, so that they do not fall on the same lines of the first cache. */
const inPlaceBytes = 16384;
/** With fewer rows packing costs more than it brings. */
const fewRows = 16;
/** Interleaved rows of one chunk in assembly/gemm.ts. */
const chunkBytes = 1 << 17;

export function executeGemm(memory: Memory, step: GemmStep, indices: Int32Array, points = placementOf(step.space, indices)): void {
  const columns = points.extents[step.rows + step.contracted]!;
  const tables = tablesOf(memory, step, points);
  if (tables.rows === 0 || columns === 0) return;
  const start = startsAnew(step.start, indices) ? 1 : 0;
  const x = linear(memory, step, "x", indices);
  const w = linear(memory, step, "w", indices);
  const out = linear(memory, step, "out", indices);
  const { contracted, inPlace } = tables;
  const scratch = memory.pack(Math.max(chunkBytes, 8 * contracted) + (inPlace ? 0 : Math.ceil(columns / 16) * 64 * contracted));
  memory.kernels.gemm(tables.descriptor, x, w, out, columns, start, scratch);
}

function linear(memory: Memory, step: GemmStep, operand: "x" | "w" | "out", indices: Int32Array): number {
  const generator = step[operand];
  return memory.linear(generator.buffer.memory, startAddress(generator, step.space, indices));
}

/** Tables for the current extents, from the cache or new. */
function tablesOf(memory: Memory, step: GemmStep, { extents }: Placement): Tables {
  const known = tablesKept(memory, step);
  const dimensions = step.rows + step.contracted;
  for (const tables of known) {
    let same = true;
    for (let d = 0; d < dimensions; d++) if (tables.extents[d] !== extents[d]) same = false;
    if (same) return tables;
  }
  const spare = known.length < shapesKept ? undefined : known.pop();
  const tables = buildTables(memory, step, extents.slice(), spare);
  known.push(tables);
  return tables;
}

const descriptorBytes = 64;

/** Builds in fresh scratch, large enough for any extents of the step, or over `reuse`. */
function buildTables(memory: Memory, step: GemmStep, extents: Int32Array, reuse: Tables | undefined): Tables {
  const full = step.space.dimensions;
  const most = (from: number, to: number): number => full.slice(from, to).reduce((product, d) => product * d.extent, 1);
  const mostRows = Math.ceil(most(0, step.rows) / 2) * 2;
  const mostContracted = most(step.rows, step.rows + step.contracted);
  const descriptor = reuse?.descriptor ?? memory.reserve(descriptorBytes + mostRows * 8 + mostContracted * 8);
  const rowTable = descriptor + descriptorBytes;
  const rows = fillRows(memory, step, rowTable, extents);
  let contracted = 1;
  for (let d = 0; d < step.contracted; d++) contracted *= extents[step.rows + d]!;
  const s = fillSegments(memory, step, rowTable + mostRows * 8, mostContracted, extents);
  const columnDimension = step.rows + step.contracted;
  const wColumn = step.w.strides[columnDimension] ?? 0;
  const outColumn = step.out.strides[columnDimension] ?? 0;
  const inPlace = s.wEven && wColumn === 4 && (rows < fewRows || Math.abs(s.wStride) * contracted <= inPlaceBytes);
  memory.i32.set(
    [rows, rowTable, s.xTable, s.wTable, s.count, s.length, s.xStride, s.wStride, wColumn, outColumn, contracted, inPlace ? 1 : 0, memory.spareAddress], descriptor / 4);
  return { extents, rows, contracted, inPlace, descriptor };
}

/** k as `count` segments of `length` elements; two tables of offsets. */
interface Segments {
  readonly xTable: number;
  readonly wTable: number;
  readonly count: number;
  readonly length: number;
  readonly xStride: number;
  readonly wStride: number;
  /** Every k of w is `wStride` further, across segments as well: w can be read in place. */
  readonly wEven: boolean;
}

/** Pairs (offset in x, offset in out), the last one repeated up to an even count. Returns the number of rows. */
function fillRows(memory: Memory, step: GemmStep, table: number, extents: Int32Array): number {
  let rows = 1;
  for (let d = 0; d < step.rows; d++) rows *= extents[d]!;
  let at = table / 4;
  forEachPoint(extents, 0, step.rows, step.x.strides, step.out.strides, (xOffset, outOffset) => {
    memory.u32[at++] = xOffset;
    memory.u32[at++] = outOffset;
  });
  for (let row = rows; row % 2 !== 0; row++, at += 2) {
    memory.u32[at] = memory.u32[at - 2]!;
    memory.u32[at + 1] = memory.u32[at - 1]!;
  }
  return rows;
}

function fillSegments(memory: Memory, step: GemmStep, table: number, capacity: number, extents: Int32Array): Segments {
  const first = step.rows;
  let inner = first + step.contracted;
  let length = 1;
  let xStride = 0;
  let wStride = 0;
  // The innermost dimensions form one run as long as both operands advance evenly through them.
  while (inner > first) {
    const extent = extents[inner - 1]!;
    const xNext = step.x.strides[inner - 1] ?? 0;
    const wNext = step.w.strides[inner - 1] ?? 0;
    if (length !== 1 && extent !== 1 && (xNext !== xStride * length || wNext !== wStride * length)) break;
    if (length === 1) [xStride, wStride] = [xNext, wNext];
    length *= extent;
    inner--;
  }
  let count = 0;
  let wEven = true;
  const wTable = table + capacity * 4;
  if (length > 0) {
    forEachPoint(extents, first, inner, step.x.strides, step.w.strides, (xOffset, wOffsetOfSegment) => {
      memory.u32[table / 4 + count] = xOffset;
      memory.u32[wTable / 4 + count] = wOffsetOfSegment;
      wEven &&= wOffsetOfSegment === count * length * wStride;
      count++;
    });
  }
  return { xTable: table, wTable, count, length, xStride, wStride, wEven };
}

/** Visits the points of dimensions [from, to) in row-major order with the offsets of two generators. */
function forEachPoint(
  extents: Int32Array, from: number, to: number, a: readonly number[], b: readonly number[], visit: (a: number, b: number) => void,
): void {
  const walk = (d: number, aOffset: number, bOffset: number): void => {
    if (d === to) {
      visit(aOffset, bOffset);
      return;
    }
    for (let x = 0; x < extents[d]!; x++) walk(d + 1, aOffset + x * (a[d] ?? 0), bOffset + x * (b[d] ?? 0));
  };
  walk(from, 0, 0);
}
