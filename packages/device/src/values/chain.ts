/**
 * @file The chain of the vector unit on one block: every stage runs over the whole block before the next. Stages
 * that have a kernel use it, all others go through `applyElementwise`; both compute the same row of the
 * elementwise table, so the result does not depend on the path.
 */
import { applyElementwise, bytesOf, elementwiseOps, internal, type Dtype, type NumericArray } from "@systole/base";
import type { ResolvedGenerator, ResolvedStage, ResolvedStep, StageSource } from "@systole/isa";
import { compareOperations, functionOperations, integerOperations, laneOperations } from "../kernels.ts";
import type { Memory } from "../memory.ts";
import { columnsOf, formOf, moveBlock, pitchOf, type Blocks, type Form, type Position } from "./walk.ts";

export type VectorStep = Extract<ResolvedStep, { kind: "vector" }>;

/** Scratch blocks: 0..5 streams, 8..15 stages, 16 sums and results, 17..19 operands of the general path, 20..23 coordinates. */
export const resultBlock = 16;
const generalBlock = 17;
const coordinateBlock = 20;

type Path = { readonly kind: "lanes" | "compare" | "functions" | "integers"; readonly code: number } | { readonly kind: "select" | "general" };

interface StagePlan {
  readonly stage: ResolvedStage;
  readonly path: Path;
  /** Element type of each operand. */
  readonly operandTypes: readonly Dtype[];
}

/** What is known of a step before it runs. */
export interface ChainPlan {
  readonly stages: readonly StagePlan[];
  /** Dimensions whose coordinates are read. */
  readonly coordinates: readonly number[];
  /** Type of the chain's result. */
  readonly dtype: Dtype;
}

/** A value of a block: elements at `address`, `step` bytes apart; step 0 is a broadcast (four copies stand there). */
interface Operand {
  readonly address: number;
  readonly step: number;
}

export function planChain(step: VectorStep): ChainPlan {
  const stages = step.stages.map((stage): StagePlan => {
    const operandTypes = stage.sources.map((_, i): Dtype => (stage.operation === "select" && i === 0 ? "bool" : stage.operands));
    return { stage, path: pathOf(stage), operandTypes };
  });
  const coordinates = step.stages.flatMap((stage) => stage.sources.flatMap((source) => (source.kind === "coordinate" ? [source.dimension] : [])));
  const dtype = step.stages.at(-1)?.dtype ?? step.streams[0]?.dtype ?? internal("vec without streams and stages");
  return { stages, coordinates: [...new Set(coordinates)], dtype };
}

/** Operations with a kernel, by the type of their operands and of their result. */
const kernelTables = [
  { kind: "lanes", operations: laneOperations, operands: "f32", dtype: "f32" },
  { kind: "functions", operations: functionOperations, operands: "f32", dtype: "f32" },
  { kind: "compare", operations: compareOperations, operands: "f32", dtype: "bool" },
  { kind: "integers", operations: integerOperations, operands: "i32", dtype: "i32" },
] as const;

function pathOf({ operation, operands, dtype }: ResolvedStage): Path {
  for (const table of kernelTables) {
    const code = table.operations.indexOf(operation);
    if (code >= 0 && operands === table.operands && dtype === table.dtype) return { kind: table.kind, code };
  }
  return { kind: operation === "select" && operands === "f32" ? "select" : "general" };
}

/** Everything one execution of a chain needs. */
export interface Chain {
  readonly memory: Memory;
  readonly step: VectorStep;
  readonly plan: ChainPlan;
  readonly blocks: Blocks;
  readonly position: Position;
  /** Linear address of point 0 per operand; the target is the last. */
  readonly bases: number[];
  readonly widths: readonly number[];
  /** Coordinate of point 0 per dimension of the space. */
  readonly starts: Float64Array;
  readonly forms: readonly Form[];
  /** Whether this step never writes to the buffer of a stream. */
  readonly untouched: readonly boolean[];
  /** Whether `runStraight` computes the chain. */
  readonly straight: boolean;
  /** Address whose block stands in the scratch block of a stream, -1 for none. */
  readonly held: number[];
  readonly heldCount: number[];
}

/** A chain for one shape of a step; `bases` and `starts` are set before each execution. */
export function newChain(memory: Memory, step: VectorStep, plan: ChainPlan, blocks: Blocks, position: Position, widths: readonly number[]): Chain {
  const bases = widths.map(() => 0);
  const starts = new Float64Array(8);
  const forms = bases.map((_, operand) => formOf(blocks, operand, widths[operand]!));
  const untouched = step.streams.map((stream) => !overlaps(stream, step.target));
  const straight = isStraight(plan) && inFours(blocks) && untouched.every(Boolean) && !forms.includes("strided") && forms.at(-1) !== "broadcast";
  return { memory, step, plan, blocks, position, bases, widths, starts, forms, untouched, straight, held: bases.map(() => -1), heldCount: bases.map(() => 0) };
}

function overlaps(a: ResolvedGenerator, b: ResolvedGenerator): boolean {
  const end = (g: ResolvedGenerator): number => g.buffer.base + g.buffer.slots * g.buffer.slotBytes;
  return a.buffer.memory === b.buffer.memory && a.buffer.base < end(b) && b.buffer.base < end(a);
}

/**
 * Computes the chain for the block at the current position. The result lies at the returned address, adjacent: at `target`
 * if given, else anywhere (maybe in the memory of a stream).
 */
export function runChain(chain: Chain, target?: number): number {
  const { memory, plan, step, position } = chain;
  const count = position.count;
  if (plan.stages.length === 0) {
    const value = streamOperand(chain, 0, step.streams[0]!);
    return settle(memory, value, plan.dtype, count, target);
  }
  const results: Operand[] = [];
  const last = plan.stages.length - 1;
  for (let i = 0; i <= last; i++) {
    const stagePlan = plan.stages[i]!;
    const { sources, dtype } = stagePlan.stage;
    const operands: Operand[] = [];
    for (let slot = 0; slot < sources.length; slot++) {
      operands.push(operandOf(chain, sources[slot]!, stagePlan.operandTypes[slot]!, results, i * 3 + slot));
    }
    const out = i === last && target !== undefined ? target : memory.blockAddress(8 + i);
    runStage(memory, stagePlan, operands, out, count);
    results.push({ address: out, step: bytesOf(dtype) });
  }
  return results[last]!.address;
}

function runStage(memory: Memory, plan: StagePlan, operands: readonly Operand[], out: number, count: number): void {
  const { stage, path } = plan;
  const a = operands[0]!;
  const b = operands[1] ?? a;
  switch (path.kind) {
    case "lanes": memory.kernels.lanes(path.code, out, a.address, a.step, b.address, b.step, count); return;
    case "compare": memory.kernels.compare(path.code, out, a.address, a.step, b.address, b.step, count); return;
    case "functions": memory.kernels.functions(path.code, out, a.address, a.step, count); return;
    case "integers": memory.kernels.integers(path.code, out, a.address, a.step, b.address, b.step, count); return;
    case "select": {
      const c = operands[2]!;
      memory.kernels.select(out, a.address, a.step, b.address, b.step, c.address, c.step, count);
      return;
    }
    case "general": {
      const arrays = operands.slice(0, elementwiseOps[stage.operation].arity).map((operand, i) => arrayOf(memory, operand, plan.operandTypes[i]!, count, generalBlock + i));
      applyElementwise(stage.operation, stage.operands, stage.dtype, arrays, viewAt(memory, stage.dtype, out, count));
    }
  }
}

/** Whether every stage has a float32 kernel and takes the result of the one before first, and no other result. */
function isStraight({ stages }: ChainPlan): boolean {
  return stages.length > 0 && stages.every(({ path, stage: { sources } }, i) => {
    const outside = i === 0 ? sources : sources.slice(1);
    const first = sources[0];
    return path.kind === "lanes" && (i === 0 || (first?.kind === "stage" && first.index === i - 1)) && outside.every(({ kind }) => kind === "stream" || kind === "immediate");
  });
}

/** Whether rows, or else all blocks, are whole groups of four elements. */
function inFours(blocks: Blocks): boolean {
  const { walk, split, chunk, inner } = blocks;
  const columns = columnsOf(blocks);
  if (columns > 0) return columns % 4 === 0;
  return split < 0 ? inner % 4 === 0 : (chunk * inner) % 4 === 0 && (walk.extents[split]! * inner) % 4 === 0;
}

/** A straight chain for the block at the current position, from the operands as they lie to `target` as it lies. */
export function runStraight(chain: Chain): void {
  const { memory, plan, blocks, position } = chain;
  const inRows = columnsOf(blocks) > 0;
  const columns = inRows ? columnsOf(blocks) : position.count;
  const words = memory.i32;
  const start = memory.chainAddress / 4;
  const target = chain.bases.length - 1;
  words[start] = plan.stages.length;
  words[start + 1] = chain.bases[target]! + position.offsets[target]!;
  words[start + 2] = inRows ? pitchOf(blocks, target) : 0;
  const describe = (source: StageSource, slot: number, at: number): void => {
    const inStream = source.kind === "stream";
    const broadcast = !inStream || chain.forms[source.index] === "broadcast";
    words[at] = inStream && !broadcast ? chain.bases[source.index]! + position.offsets[source.index]! : operandOf(chain, source, "f32", [], slot).address;
    words[at + 1] = broadcast ? 0 : 16;
    words[at + 2] = broadcast || !inRows ? 0 : pitchOf(blocks, source.index);
  };
  plan.stages.forEach(({ path, stage: { sources } }, i) => {
    if (path.kind !== "lanes") return;
    const at = start + 6 + i * 4;
    words[at] = path.code;
    if (i === 0) describe(sources[0]!, 0, start + 3);
    // Operations of one operand read any address.
    describe(sources[1] ?? { kind: "immediate", value: 0 }, i * 3 + 1, at + 1);
  });
  memory.kernels.chainOfRows(memory.chainAddress, position.count / columns, columns);
}

/** Adjacent elements as an array; a broadcast is written out. */
function arrayOf(memory: Memory, operand: Operand, dtype: Dtype, count: number, block: number): NumericArray {
  if (operand.step !== 0) return viewAt(memory, dtype, operand.address, count);
  const view = viewAt(memory, dtype, memory.blockAddress(block), count);
  view.fill(viewAt(memory, dtype, operand.address, 1)[0] as never);
  return view;
}

/** `count` elements from a linear address. */
export function viewAt(memory: Memory, dtype: Dtype, address: number, count: number): NumericArray {
  const index = address / bytesOf(dtype);
  return memory.elements(dtype).subarray(index, index + count);
}

function operandOf(chain: Chain, source: StageSource, dtype: Dtype, results: readonly Operand[], slot: number): Operand {
  switch (source.kind) {
    case "stream": return streamOperand(chain, source.index, chain.step.streams[source.index]!);
    case "stage": return results[source.index] ?? internal("a stage reads a later one");
    case "immediate": return splat(chain.memory, slot, dtype, source.value);
    case "coordinate": return coordinateOperand(chain, source.dimension, dtype, slot);
  }
}

function streamOperand(chain: Chain, index: number, generator: ResolvedGenerator): Operand {
  const { memory, forms, blocks, position } = chain;
  const width = chain.widths[index]!;
  const address = chain.bases[index]! + position.offsets[index]!;
  switch (forms[index]!) {
    case "adjacent": return { address, step: width };
    case "broadcast": return splat(memory, 32 + index, generator.dtype, memory.elements(generator.dtype)[address / width]!);
    case "rows":
    case "strided": {
      const scratch = memory.blockAddress(index);
      // Blocks of an operand that repeats (a bias along rows) are copied once, unless this step may write there.
      const known = chain.held[index] === address && chain.heldCount[index] === position.count && chain.untouched[index]!;
      if (!known) moveBlock(memory, blocks, index, position.count, width, address, scratch, "in");
      chain.held[index] = address;
      chain.heldCount[index] = position.count;
      return { address: scratch, step: width };
    }
  }
}

function coordinateOperand(chain: Chain, dimension: number, dtype: Dtype, slot: number): Operand {
  const { memory, blocks, position, starts } = chain;
  const { walk } = blocks;
  const d = walk.dimensionOf[dimension]!;
  const start = starts[dimension]! + (d < 0 ? 0 : position.at[d]!);
  if (d < Math.max(0, blocks.split) || d >= blocks.high) return splat(memory, slot, dtype, start);
  let run = 1;
  for (let e = d + 1; e < blocks.high; e++) run *= walk.extents[e]!;
  const period = d === blocks.split ? position.count / blocks.inner : walk.extents[d]!;
  const address = memory.blockAddress(coordinateBlock + (slot % 3));
  const view = viewAt(memory, dtype, address, position.count);
  let at = 0;
  for (let x = 0; at < view.length; x = x + 1 === period ? 0 : x + 1) {
    view.fill((dtype === "i64" ? BigInt(start + x) : start + x) as never, at, at + run);
    at += run;
  }
  return { address, step: bytesOf(dtype) };
}

/** Writes a broadcast value four times. */
function splat(memory: Memory, slot: number, dtype: Dtype, value: number | bigint): Operand {
  const address = memory.splatAddress + slot * 16;
  if (dtype === "f32") {
    const at = address / 4;
    for (let i = 0; i < 4; i++) memory.f32[at + i] = Number(value);
    return { address, step: 0 };
  }
  const view = memory.elements(dtype);
  const index = address / view.BYTES_PER_ELEMENT;
  const element = dtype === "i64" ? BigInt(value) : Number(value);
  view.fill(element as never, index, index + 16 / view.BYTES_PER_ELEMENT);
  return { address, step: 0 };
}

/** Makes an operand adjacent, at `target` if given. */
function settle(memory: Memory, value: Operand, dtype: Dtype, count: number, target: number | undefined): number {
  if (value.step !== 0 && target === undefined) return value.address;
  const to = target ?? memory.blockAddress(8);
  if (value.step !== 0) memory.u8.copyWithin(to, value.address, value.address + count * bytesOf(dtype));
  else viewAt(memory, dtype, to, count).fill(viewAt(memory, dtype, value.address, 1)[0] as never);
  return to;
}
