/** @file Values of vec: the chain over all points, then nothing, a fold of the last dimensions, or a running sum along them. */
import { applyElementwise, bytesOf } from "@systole/base";
import type { ResolvedGenerator } from "@systole/isa";
import { placementOf, startAddress, startsAnew, type Placement } from "../geometry.ts";
import { laneOperations } from "../kernels.ts";
import { preparedPerMemory, type Memory } from "../memory.ts";
import { newChain, planChain, resultBlock, runChain, runStraight, viewAt, type Chain, type ChainPlan, type VectorStep } from "./chain.ts";
import { foldCodes, identityOf, newFold, newScan, type Fold, type FoldName } from "./fold.ts";
import { blocksOf, forEachBlock, forEachPoint, moveBlock, newPosition, walkOf, widthsOf, type Walk } from "./walk.ts";

/** A chain for certain extents. */
interface Shape {
  readonly extents: Int32Array;
  readonly byRows: boolean;
  readonly chain: Chain;
}

interface Prepared {
  readonly plan: ChainPlan;
  /** Streams, then the target. */
  readonly operands: readonly ResolvedGenerator[];
  readonly shapes: Shape[];
}

const preparedOf = preparedPerMemory<VectorStep, Prepared>((_, step) => ({ plan: planChain(step), operands: [...step.streams, step.target], shapes: [] }));
/** Full blocks and tails alternate; more shapes than this are planned anew each time. */
const shapesKept = 8;

export function executeVector(memory: Memory, step: VectorStep, indices: Int32Array, points = placementOf(step.space, indices)): void {
  const prepared = preparedOf(memory, step);
  const { chain, byRows } = shapeOf(memory, step, prepared, points);
  const { operands, plan } = prepared;
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i]!;
    chain.bases[i] = memory.linear(operand.buffer.memory, startAddress(operand, step.space, indices));
    chain.held[i] = -1;
  }
  for (const d of plan.coordinates) chain.starts[d] = points.starts[d]!;
  const start = startsAnew(step.start, indices);
  if (step.reduction === "none") mapBlocks(chain);
  else if (step.reduction === "scan" || step.reduction === "exclusivescan") scanBlocks(chain);
  else if (byRows) foldRows(chain, step.reduction as FoldName, start);
  else if (foldsWholeRuns(chain)) foldWholeRuns(chain, step.reduction as FoldName, start);
  else foldStream(chain, start);
}

function shapeOf(memory: Memory, step: VectorStep, { plan, operands, shapes }: Prepared, points: Placement): Shape {
  const { extents, rank } = points;
  for (const shape of shapes) {
    let same = true;
    for (let d = 0; d < rank; d++) if (shape.extents[d] !== extents[d]) same = false;
    if (same) return shape;
  }
  const walk = walkOf(points, step.reduction === "none" ? 0 : step.reduced, operands, plan.coordinates);
  const byRows = foldsRows(step, walk);
  const blocks = blocksOf(walk, byRows ? walk.kept : walk.rank);
  const shape: Shape = { extents: extents.slice(), byRows, chain: newChain(memory, step, plan, blocks, newPosition(walk), widthsOf(operands)) };
  if (shapes.length === shapesKept) shapes.pop();
  shapes.push(shape);
  return shape;
}

/** Whether the kept points lie side by side, so that whole runs of them are folded at once (pooling, bias gradients). */
function foldsRows(step: VectorStep, walk: Walk): boolean {
  if (walk.kept === 0 || step.order === "blocked") return false;
  if (!["sum", "prod", "max", "min"].includes(step.reduction)) return false;
  const last = walk.kept - 1;
  return walk.extents[last]! >= 4 && step.streams.some((stream, i) => walk.strides[i]![last] === bytesOf(stream.dtype));
}

const targetOf = (chain: Chain): number => chain.bases.length - 1;
const targetAddress = (chain: Chain): number => chain.bases[targetOf(chain)]! + chain.position.offsets[targetOf(chain)]!;

/** Runs `produce` with the address where the block's results shall stand, and takes them to the target. */
function deliver(chain: Chain, produce: (address: number) => void): void {
  const { memory, forms, position, blocks } = chain;
  const target = targetOf(chain);
  if (forms[target] === "adjacent") {
    produce(targetAddress(chain));
    return;
  }
  const scratch = memory.blockAddress(resultBlock);
  produce(scratch);
  moveBlock(memory, blocks, target, position.count, chain.widths[target]!, targetAddress(chain), scratch, "out");
}

function mapBlocks(chain: Chain): void {
  const { blocks, position } = chain;
  if (chain.straight) forEachBlock(blocks, position, () => runStraight(chain));
  else forEachBlock(blocks, position, () => deliver(chain, (address) => void runChain(chain, address)));
}

/** acc[j] = fold(acc[j], v[j]) for a block of kept points, reduced points ascending. */
function foldRows(chain: Chain, operation: FoldName, start: boolean): void {
  const { memory, blocks, position, step } = chain;
  const { walk } = blocks;
  const dtype = step.target.dtype;
  const name = operation === "sum" ? "add" : operation === "prod" ? "mul" : operation;
  const code = laneOperations.indexOf(name);
  const width = bytesOf(dtype);
  const target = targetOf(chain);
  forEachBlock(blocks, position, () => {
    const count = position.count;
    const sums = memory.blockAddress(resultBlock);
    const to = targetAddress(chain);
    const takesFirst = start && (operation === "max" || operation === "min");
    if (!start) moveBlock(memory, blocks, target, count, width, to, sums, "in");
    else if (!takesFirst) viewAt(memory, dtype, sums, count).fill(identityOf(operation, dtype) as never);
    forEachPoint(walk, blocks.high, walk.rank, position, (first) => {
      if (first && takesFirst) {
        runChain(chain, sums);
        return;
      }
      const value = runChain(chain);
      if (dtype === "f32") {
        memory.kernels.lanes(code, sums, sums, 4, value, 4, count);
        return;
      }
      const view = viewAt(memory, dtype, sums, count);
      // max and min of bytes 0 and 1 are those of unsigned bytes.
      const numbers = dtype === "bool" ? "u8" : dtype;
      applyElementwise(name, numbers, numbers, [view, viewAt(memory, dtype, value, count)], view);
    });
    moveBlock(memory, blocks, target, count, width, to, sums, "out");
  });
}

/** Whether each block holds all points of its kept ones, and a kernel folds them. */
function foldsWholeRuns({ blocks, plan, step }: Chain): boolean {
  return blocks.split < blocks.walk.kept && plan.dtype === "f32" && step.target.dtype === "f32" && step.order === "sequential" && Object.hasOwn(foldCodes, step.reduction);
}

function foldWholeRuns(chain: Chain, operation: FoldName, start: boolean): void {
  const { memory, blocks, position } = chain;
  const { walk, split, chunk, inner } = blocks;
  const length = lengthOf(walk);
  const keptBlocks = { walk, high: walk.kept, split, chunk, inner: inner / length };
  const target = targetOf(chain);
  const results = memory.blockAddress(resultBlock);
  forEachBlock(blocks, position, () => {
    const runs = position.count / length;
    const values = runChain(chain);
    if (!start) moveBlock(memory, keptBlocks, target, runs, 4, targetAddress(chain), results, "in");
    memory.kernels.foldRuns(foldCodes[operation], results, values, length, runs, start ? 1 : 0);
    moveBlock(memory, keptBlocks, target, runs, 4, targetAddress(chain), results, "out");
  });
}

/** Points that a kept one stands for. */
function lengthOf(walk: Walk): number {
  let length = 1;
  for (let d = walk.kept; d < walk.rank; d++) length *= walk.extents[d]!;
  return length;
}

/** Folds the stream of all points in row-major order, one kept point after the other. */
function foldStream(chain: Chain, start: boolean): void {
  const { memory, blocks, position, step, plan } = chain;
  const { walk } = blocks;
  const length = lengthOf(walk);
  const fold: Fold = newFold(memory, step.reduction, plan.dtype, step.order === "blocked");
  const kept = newPosition(walk);
  const out = memory.elements(step.target.dtype);
  const width = bytesOf(step.target.dtype);
  const elementBytes = bytesOf(plan.dtype);
  const base = chain.bases[targetOf(chain)]!;
  let done = 0;
  const continued = !start && !step.reduction.startsWith("arg");
  forEachBlock(blocks, position, () => {
    const values = runChain(chain);
    for (let at = 0; at < position.count; ) {
      const address = (base + kept.offsets[targetOf(chain)]!) / width;
      if (done === 0) fold.begin(continued ? out[address] : undefined);
      const take = Math.min(length - done, position.count - at);
      fold.add(values + at * elementBytes, take);
      at += take;
      done += take;
      if (done < length) continue;
      const result = fold.end();
      out[address] = (out instanceof BigInt64Array ? BigInt(result) : Number(result)) as never;
      done = 0;
      advance(walk, kept);
    }
  });
}

/** To the next kept point. */
function advance(walk: Walk, kept: { readonly at: number[]; readonly offsets: number[] }): void {
  for (let d = walk.kept - 1; d >= 0; d--) {
    const atEnd = kept.at[d]! + 1 === walk.extents[d]!;
    const by = atEnd ? -kept.at[d]! : 1;
    kept.at[d]! += by;
    for (let o = 0; o < kept.offsets.length; o++) kept.offsets[o]! += by * walk.strides[o]![d]!;
    if (!atEnd) return;
  }
}

/** Running sums along the reduced dimensions; every kept point starts from +0. */
function scanBlocks(chain: Chain): void {
  const { blocks, position, memory, step, plan } = chain;
  const length = lengthOf(blocks.walk);
  const scan = newScan(memory, plan.dtype, step.reduction === "exclusivescan");
  const elementBytes = bytesOf(plan.dtype);
  let done = 0;
  forEachBlock(blocks, position, () => {
    deliver(chain, (address) => {
      runChain(chain, address);
      for (let at = 0; at < position.count; ) {
        if (done === 0) scan.begin();
        const take = Math.min(length - done, position.count - at);
        scan.add(address + at * elementBytes, take);
        at += take;
        done = (done + take) % length;
      }
    });
  });
}
