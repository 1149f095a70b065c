/**
 * @file A routine with its configuration applied: loops as a tree, every instruction with the space, generators and
 * buffers it uses as values. Configuration is set outside loops, so this is known before a run. The verifier proves its
 * rules on this form, the device executes it, `inspect` prints it.
 */
import type { Dtype, ElementwiseName } from "@systole/base";
import type { IoName, MemoryName, ReductionName, SubmoduleName } from "./instructions.ts";

export interface ResolvedDimension {
  readonly extent: number;
  readonly offset: number;
  /** 0: none. */
  readonly limit: number;
  readonly mode: "cut" | "pad";
  /** Step per loop level, 8 entries. */
  readonly steps: readonly number[];
}

export interface ResolvedSpace {
  readonly dimensions: readonly ResolvedDimension[];
}

export interface ResolvedBuffer {
  readonly id: number;
  readonly memory: MemoryName;
  readonly base: number;
  readonly slotBytes: number;
  readonly slots: number;
}

export interface ResolvedGenerator {
  readonly buffer: ResolvedBuffer;
  readonly dtype: Dtype;
  readonly mode: "relative" | "absolute";
  /** Relative: for each level, whether it moves the address inside the slot. Absolute: all true. 8 entries. */
  readonly levels: readonly boolean[];
  readonly base: number;
  /** Bytes per dimension, as many as the space has dimensions. */
  readonly strides: readonly number[];
  /** Slot factor per level, 8 entries. */
  readonly ring: readonly number[];
  /** The address goes on by stride * trunc(scalar[register]), a row number 0..count-1. */
  readonly row?: { readonly register: number; readonly stride: number; readonly count: number };
}

interface ResolvedBase {
  /** Byte address in .text: instruction index over all routines times 16. */
  readonly address: number;
  readonly first: readonly number[];
  readonly last: readonly number[];
  /** The generators of the instruction that move by rows. */
  readonly rowed: readonly ResolvedGenerator[];
}

/** Where a stage of the vector chain takes an operand. */
export type StageSource =
  | { readonly kind: "stream"; readonly index: number }
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "coordinate"; readonly dimension: number }
  | { readonly kind: "immediate"; readonly value: number | bigint };

/** The levels at whose first iterations a sum starts anew; with none of them always. */
export type Start = readonly number[] | "never";

export interface ResolvedStage {
  readonly operation: ElementwiseName;
  readonly sources: readonly StageSource[];
  readonly operands: Dtype;
  readonly dtype: Dtype;
}

export type ResolvedStep =
  | { readonly kind: "loop"; readonly address: number; readonly level: number; readonly count: number; readonly body: readonly ResolvedStep[] }
  | { readonly kind: "configure"; readonly address: number }
  | { readonly kind: "buffer"; readonly address: number; readonly buffer: ResolvedBuffer }
  | { readonly kind: "call"; readonly address: number; readonly macro: "call" | "assign" | "estimate" | "transfer" | "update"; readonly routine: number }
  | { readonly kind: "converge"; readonly address: number; readonly routine: number; readonly back: number }
  | { readonly kind: "branch"; readonly address: number; readonly register: number; readonly when: boolean; readonly target: number }
  | { readonly kind: "return" | "fence" | "halt"; readonly address: number }
  | { readonly kind: "io"; readonly address: number; readonly what: IoName; readonly external: number; readonly cache: number; readonly bytes: number }
  | (ResolvedBase & { readonly kind: "load"; readonly space: ResolvedSpace; readonly target: ResolvedGenerator; readonly source: ResolvedGenerator; readonly fill: number })
  | (ResolvedBase & { readonly kind: "store"; readonly space: ResolvedSpace; readonly target: ResolvedGenerator; readonly source: ResolvedGenerator })
  | (ResolvedBase & { readonly kind: "gather" | "scatter"; readonly space: ResolvedSpace; readonly target: ResolvedGenerator; readonly source: ResolvedGenerator; readonly index: ResolvedGenerator; readonly indexSpace: ResolvedSpace; readonly rows: number })
  | (ResolvedBase & { readonly kind: "fill"; readonly space: ResolvedSpace; readonly target: ResolvedGenerator; readonly value: number })
  | (ResolvedBase & {
      readonly kind: "gemm"; readonly space: ResolvedSpace; readonly x: ResolvedGenerator; readonly w: ResolvedGenerator; readonly out: ResolvedGenerator;
      readonly rows: number; readonly contracted: number; readonly dataflow: "weight-stationary" | "output-stationary"; readonly start: Start;
    })
  | (ResolvedBase & {
      readonly kind: "vector"; readonly space: ResolvedSpace; readonly streams: readonly ResolvedGenerator[]; readonly target: ResolvedGenerator; readonly stages: readonly ResolvedStage[];
      readonly reduction: ReductionName; readonly reduced: number; readonly order: "sequential" | "blocked"; readonly start: Start;
    })
  | { readonly kind: "scalar"; readonly address: number; readonly operation: string; readonly target: number; readonly a: number; readonly b: number; readonly immediate: number }
  | { readonly kind: "move"; readonly address: number; readonly register: number; readonly generator: ResolvedGenerator; readonly rowed: readonly ResolvedGenerator[]; readonly direction: "to-register" | "to-memory" };

export interface ResolvedRoutine {
  readonly name: string;
  readonly submodule: SubmoduleName;
  /** Index into the image's kernels, or -1. */
  readonly kernel: number;
  /** Address of the first instruction and number of instructions (loops and vops included). */
  readonly address: number;
  readonly length: number;
  /** Top level of the routine; branch targets are indices of instructions, `stepAt` maps them to an index here. */
  readonly body: readonly ResolvedStep[];
  readonly stepAt: ReadonlyMap<number, number>;
}

export interface ResolvedProgram {
  readonly routines: readonly ResolvedRoutine[];
}
