/** @file The schedule: every kernel with its tiles, loops, buffers and transfers. The value this package produces. */
import type { Access, Kernel, ScheduledTensor } from "./kernel.ts";

/** A hardware loop over tiles of one dimension; its position in `TiledKernel.levels` is its level. */
export interface Level {
  readonly dim: number;
  /** Points of the dimension per iteration. */
  readonly step: number;
  readonly count: number;
  /** `panel`: column panels inside a tile, for the array and the results. */
  readonly kind: "parallel" | "reduced" | "panel";
}

/** Part of a tensor that one tile needs, dense in the data cache. */
export interface Box {
  /** Per coordinate of the access: points in the box. */
  readonly extents: readonly number[];
  /** Per coordinate: bytes between points in the data cache. */
  readonly strides: readonly number[];
  readonly bytes: number;
}

export interface Buffer {
  readonly memory: "cache" | "accumulator";
  readonly slots: number;
  readonly slotBytes: number;
  /** Set by the memory plan. */
  readonly address: number;
  /** Slot factor per level. */
  readonly ring: readonly number[];
  /** Levels whose iterations have tiles of their own. */
  readonly dependent: readonly number[];
}

/** An access whose tiles are loaded into a buffer. */
export interface Operand {
  readonly role: "x" | "w" | "stream" | "result" | "index";
  /** Of x and w: whose factor it is. */
  readonly product?: number | undefined;
  readonly access: Access;
  readonly box: Box;
  readonly buffer: Buffer;
  /** Loads are executed only when these levels are at 0: the tile stays over their iterations. */
  readonly resident: readonly number[];
}

/** The decisions behind a tiling: with them and the kernel everything else follows. */
export interface TilingChoice {
  readonly tile: readonly number[];
  readonly panelColumns: number;
  readonly dataflow: "weight-stationary" | "output-stationary";
  readonly order: "rows-outer" | "columns-outer";
  readonly keepX: boolean;
  readonly keepW: boolean;
}

export interface TiledKernel {
  readonly kernel: Kernel;
  readonly choice: TilingChoice;
  readonly levels: readonly Level[];
  /** Points of each dimension inside one tile. */
  readonly tile: readonly number[];
  readonly dataflow: "weight-stationary" | "output-stationary";
  /** Columns of one gemm; 0 without contraction. */
  readonly panelColumns: number;
  readonly operands: readonly Operand[];
  /** Running sums: accumulators for a contraction, data cache for each fold of a reduction that is tiled or whose sum is not the result itself; rows as they were for a combining scatter. */
  readonly sums: readonly Buffer[];
  /** For each result: what is stored, one tile (contraction: one panel) a slot. */
  readonly staging: readonly Buffer[];
  readonly predicted: Prediction;
}

/** Everything that takes room on the chip. */
export function buffersOf({ operands, staging, sums }: TiledKernel): readonly Buffer[] {
  return [...operands.map(({ buffer }) => buffer), ...staging, ...sums];
}

/** Bytes of the data cache that the buffers take, of each buffer at most `slots` slots. */
export function cacheBytes(tiled: TiledKernel, slots = Infinity): number {
  return buffersOf(tiled).filter(({ memory }) => memory === "cache").reduce((bytes, buffer) => bytes + Math.min(slots, buffer.slots) * buffer.slotBytes, 0);
}

/** Cycles by unit, and the whole; from the analytic model alone. */
export interface Prediction {
  readonly cycles: number;
  readonly arrayCycles: number;
  readonly loadCycles: number;
  readonly storeCycles: number;
  readonly vectorCycles: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly boundBy: "array" | "load" | "store" | "vector";
}

/** A tensor with its byte address in its memory. */
export interface PlacedTensor extends ScheduledTensor {
  /** Of row 0, where a scalar chooses one of several rows. */
  readonly address: number;
  readonly bytes: number;
  readonly row?: Row;
}

/** Several tensors of one type, one behind the other: the address moves by a scalar of the program. */
export interface Row {
  readonly scalar: string;
  readonly strideBytes: number;
  readonly count: number;
}

export interface Schedule {
  readonly machine: string;
  readonly model: string;
  readonly tensors: readonly PlacedTensor[];
  readonly kernels: readonly TiledKernel[];
  readonly inputs: ReadonlyMap<string, number>;
  readonly outputs: ReadonlyMap<string, number>;
  /** External memory used by tensors, from address 0. */
  readonly externalBytes: number;
}
