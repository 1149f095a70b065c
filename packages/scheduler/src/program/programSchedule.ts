/** @file The schedule of a program: where its tensors lie, the kernels of its graphs, its routines with places instead of names. */
import type { Dtype } from "@systole/base";
import type { ProgramTensor, RoutineOwner, ScalarExpression } from "@systole/ir";
import type { TensorMemory } from "../kernel.ts";
import type { PlacedTensor, Row, TiledKernel } from "../schedule.ts";

/** A tensor of the program in its memory. */
export interface PlacedProgramTensor {
  readonly tensor: ProgramTensor;
  readonly memory: TensorMemory;
  readonly address: number;
  /** Of all rows. */
  readonly bytes: number;
  /** Bytes that kernels read and write there, each counted as often as its loops suggest, over the bytes it takes. */
  readonly benefit: number;
}

/** A piece of a program tensor. */
export interface Place {
  readonly tensor: string;
  readonly memory: TensorMemory;
  /** Of its first element, in row 0. */
  readonly address: number;
  readonly bytes: number;
  readonly dtype: Dtype;
  readonly row?: Row;
}

export type ScheduledStatement =
  | { readonly kind: "set"; readonly target: string; readonly value: ScalarExpression }
  /** Scalars are written to their places, then kernels run in turn. */
  | { readonly kind: "run"; readonly graph: string; readonly scalars: readonly { readonly scalar: string; readonly to: Place }[]; readonly kernels: readonly number[] }
  | { readonly kind: "read"; readonly target: string; readonly from: Place }
  | { readonly kind: "write"; readonly to: Place; readonly value: ScalarExpression }
  | { readonly kind: "sum"; readonly target: string; readonly of: Place }
  | { readonly kind: "call"; readonly routine: number }
  | { readonly kind: "if"; readonly condition: ScalarExpression; readonly then: readonly ScheduledStatement[]; readonly else: readonly ScheduledStatement[] }
  | { readonly kind: "while"; readonly name?: string; readonly condition: ScalarExpression; readonly body: readonly ScheduledStatement[] }
  | { readonly kind: "break" };

export interface ScheduledRoutine {
  readonly name: string;
  readonly owner: RoutineOwner;
  readonly body: readonly ScheduledStatement[];
}

export type ScheduledStep =
  | { readonly kind: "move"; readonly from: PlacedProgramTensor; readonly to: PlacedProgramTensor }
  | { readonly kind: "assign" | "estimate" | "transfer" | "update"; readonly routine: number }
  | { readonly kind: "converge"; readonly routine: number; readonly back: number };

export interface ProgramSchedule {
  readonly machine: string;
  readonly program: string;
  /** The one that ends the program at a judgement first. */
  readonly scalars: readonly string[];
  /** The program's tensors in its order, then one for scalars that are operands of graphs, if there are any. */
  readonly tensors: readonly PlacedProgramTensor[];
  /** Constants of graphs, each content once. */
  readonly constants: readonly PlacedTensor[];
  /** Those that the first ASSIGN brings into the data cache. */
  readonly residentConstants: readonly PlacedTensor[];
  /** What kernels access. */
  readonly places: readonly PlacedTensor[];
  /** Applications of the same graph to the same places share their kernels. */
  readonly kernels: readonly TiledKernel[];
  readonly routines: readonly ScheduledRoutine[];
  readonly main: readonly ScheduledStep[];
  /** Of the data cache, from address 0: buffers of kernels. Temporaries of graphs and tensors that stay follow. */
  readonly workingBytes: number;
  readonly cachedTemporaryBytes: number;
  /** External memory used by tensors, from address 0. */
  readonly externalBytes: number;
}
