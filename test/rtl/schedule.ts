/**
 * @file Blocks of the array and the passes they fall into, at the cycles that the device's own clock gives them. Nothing here knows a formula
 * of the time: starts, intervals and completions are read off what the clock answers.
 */
import type { Machine } from "@systole/isa";
import { ArrayClock, type GemmTime } from "../../packages/device/src/timing/arrayTiming.ts";

/** One `gemm`: rows x contracted times contracted x columns into a slot of the accumulators. */
export interface Block {
  readonly rows: number;
  readonly columns: number;
  readonly contracted: number;
  readonly dataflow: "weight-stationary" | "output-stationary";
  /** The sums go on from what stands in the slot. */
  readonly continues?: boolean;
  readonly slot?: number;
  /** Cycles in which the instruction is dispatched and its x is there, else 0. */
  readonly dispatched?: number;
  readonly x?: number;
}

/** One pass of the array. */
export interface Pass {
  readonly block: number;
  readonly rowTile: number;
  readonly panel: number;
  readonly kTile: number;
  readonly continues: boolean;
  /** Cycle in which the weights, or the sums that are preloaded, begin to enter; else `stream`. */
  readonly load: number;
  /** Cycle in which the first row, or the first k, enters. */
  readonly stream: number;
  /** Rows, or k. */
  readonly length: number;
}

export interface Timed {
  readonly passes: readonly Pass[];
  /** Of each block, as the device claims: the last sum is in the accumulators. */
  readonly complete: readonly number[];
}

/** All operands are on chip, blocks follow each other as closely as the device lets them. */
export function timed(machine: Machine, blocks: readonly Block[]): Timed {
  const clock = new ArrayClock(machine);
  const written = new Map<number, number>();
  const passes: Pass[] = [];
  const complete: number[] = [];
  blocks.forEach((block, index) => {
    const slot = block.slot ?? 0;
    const { dispatched = 0, x = 0, continues = false } = block;
    const time = clock.schedule(
      { rows: block.rows, columns: block.columns, contracted: block.contracted, weightStationary: block.dataflow === "weight-stationary", continues },
      { dispatched, x, w: 0, sumsWritten: written.get(slot) ?? 0, sumsRead: 0, slot });
    written.set(slot, time.complete);
    passes.push(...(block.dataflow === "weight-stationary" ? weightsStay : outputsStay)(machine, block, index, time));
    complete.push(time.complete);
  });
  return { passes, complete };
}

/** Panels inside each tile of k. Weights load as early as they may: from the start of the pass before. */
function weightsStay(machine: Machine, block: Block, index: number, time: GemmTime): Pass[] {
  const panels = Math.ceil(block.columns / machine.array.columns);
  const starts = startsOf(time, panels * Math.ceil(block.contracted / machine.array.rows), block.rows);
  return starts.map((stream, i) => ({
    block: index, rowTile: 0, panel: i % panels, kTile: Math.floor(i / panels), continues: block.continues === true || i >= panels,
    load: i === 0 ? time.begin : starts[i - 1]!, stream, length: block.rows,
  }));
}

function outputsStay(machine: Machine, block: Block, index: number, time: GemmTime): Pass[] {
  const panels = Math.ceil(block.columns / machine.array.columns);
  const preload = block.continues === true ? machine.array.rows : 0;
  return startsOf(time, panels * Math.ceil(block.rows / machine.array.rows), block.contracted + preload).map((load, i) => ({
    block: index, rowTile: Math.floor(i / panels), panel: i % panels, kTile: 0, continues: preload > 0,
    load, stream: load + preload, length: block.contracted,
  }));
}

/** From `start` to the pass that has streamed at `streamed`, evenly. */
function startsOf(time: GemmTime, passes: number, length: number): number[] {
  const interval = passes === 1 ? 0 : (time.streamed - length - time.start) / (passes - 1);
  if (!Number.isInteger(interval)) throw new Error(`${passes} passes of ${length} cycles do not fill [${time.start}, ${time.streamed})`);
  return Array.from({ length: passes }, (_, i) => time.start + i * interval);
}

/** Which part of a pass comes one cycle early. With `both` and `stream` everything behind it does too, so that one interval alone is too short. */
export interface Early {
  readonly pass: number;
  readonly part: "load" | "stream" | "both";
}

export function withEarly(passes: readonly Pass[], early: Early): Pass[] {
  return passes.map((pass, i) => {
    if (i < early.pass || (i > early.pass && early.part === "load")) return pass;
    const [load, stream] = i > early.pass || early.part === "both" ? [1, 1] : early.part === "load" ? [1, 0] : [0, 1];
    return { ...pass, load: pass.load - load, stream: pass.stream - stream };
  });
}
