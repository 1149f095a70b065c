/** @file The image as a value; `elf.ts` writes and reads it as an ELF file. */
import type { Dtype, Phase } from "@systole/base";
import type { Instruction, SubmoduleName } from "./instructions.ts";

/** One routine: instructions that run in one submodule. Routine 0 is the main routine and belongs to `control`. */
export interface Routine {
  readonly name: string;
  readonly submodule: SubmoduleName;
  readonly instructions: readonly Instruction[];
  /** Index into `Image.debug.kernels`, where the routine is the code of a kernel. */
  readonly kernel?: number;
}

/** A tensor in external memory, row-major. */
export interface TensorSymbol {
  readonly name: string;
  /** A record is state that the host may look at while the program runs. */
  readonly kind: "input" | "output" | "parameter" | "state" | "record";
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Byte address in external memory. */
  readonly address: number;
}

/** A node of the model, and for which phase of a derived program its work is done. */
export interface NodeDebug {
  readonly node: string;
  readonly operator: string;
  readonly phase?: Phase;
}

/** One kernel of the schedule, for reports and faults: instruction -> kernel -> ONNX nodes. */
export interface KernelDebug {
  readonly name: string;
  /** ONNX nodes whose work this kernel does, main one first. */
  readonly nodes: readonly NodeDebug[];
  readonly macs: number;
  readonly predictedCycles: number;
  /** Lower bound of external traffic in bytes (docs: max(2MNK/sqrt(S) + MN, MK + KN + MN) words). */
  readonly lowerBoundBytes: number;
  /** One line that says how it was tiled. */
  readonly tiling: string;
}

/** For people: nothing of it changes what an image means. */
export interface ImageDebug {
  readonly model: string;
  readonly kernels: readonly KernelDebug[];
  /** What programs call the scalar registers, from register 0 on. */
  readonly scalars?: readonly string[];
  /** How branches on values go in runs without values, where a run is told how often loops repeat. */
  readonly branches?: readonly BranchDebug[];
}

/** A branch, by routine and index inside it. */
export interface BranchDebug {
  readonly routine: number;
  readonly instruction: number;
  /** Whether it is taken: to leave the loop, or, outside of a loop's exits, as a rule. */
  readonly taken: boolean;
  /** The loop that it leaves, and where that begins. The last exit of a loop leaves in the last iteration, others at the start of the one after. */
  readonly loop?: { readonly name: string; readonly head: number; readonly last: boolean };
}

export interface Image {
  /** Machine the image was compiled for, and the hash of all its numbers. */
  readonly machineName: string;
  readonly machineHash: string;
  readonly routines: readonly Routine[];
  /** Constants, placed in external memory before the run. */
  readonly segments: readonly { readonly address: number; readonly bytes: Uint8Array }[];
  /** Bytes of external memory the program uses, from address 0, text included. */
  readonly externalBytes: number;
  /** Where the text lies in external memory. */
  readonly textAddress: number;
  readonly symbols: readonly TensorSymbol[];
  readonly debug: ImageDebug;
}
