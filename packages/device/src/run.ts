/** @file What a run takes and what it gives. */
import type { Tensor } from "@systole/base";
import type { SubmoduleName, UnitName } from "@systole/isa";
import type { KernelCounters, UnitCounters } from "./counters.ts";
import type { SubmoduleWork } from "./submodules.ts";
import type { TraceEvent } from "./trace.ts";

export interface RunOptions {
  /** Time without values: no memory is simulated, outputs stay empty. Branches on values need `control`. */
  readonly timingOnly?: boolean;
  /** Outcomes of the branches (`br` taken, `converge` going back) in order, from `Run.control` of a full run. */
  readonly control?: readonly boolean[];
  /** Milliseconds of some clock; progress is then told ten times a second and the run says how long it took. */
  readonly now?: () => number;
  /** Dynamic instructions done, and an estimate of all of them. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Keep a trace of at most so many events. */
  readonly maxTraceEvents?: number;
  /** A run of more cycles is a fault. */
  readonly watchdogCycles?: number;
  /** Go on with parameters and state as the run before left them. */
  readonly keepState?: boolean;
  /** Also copy out tensors of these kinds. */
  readonly readBack?: readonly ("parameter" | "state")[];
}

export const defaultWatchdogCycles = 1e12;

export interface Run {
  /** Tensors of kind output, by name, and those of the kinds in `readBack`. */
  readonly outputs: Map<string, Tensor>;
  readonly cycles: number;
  /** busy and all stalls add up to `cycles` for every unit. */
  readonly units: Readonly<Record<UnitName, UnitCounters>>;
  /** Bytes over the data port of external memory: in whole bursts, and those asked for. Instruction fetch has its own port. */
  readonly external: { readonly readBytes: number; readonly writeBytes: number; readonly usedReadBytes: number; readonly usedWriteBytes: number };
  /** Words taken by the controller; instructions of units that did work; lines that were not there when needed; bytes of lines filled. */
  readonly instructions: { readonly fetched: number; readonly executed: number; readonly cacheMisses: number; readonly fillBytes: number };
  readonly macs: number;
  /** By index into the image's kernels. */
  readonly kernels: readonly KernelCounters[];
  /** What belongs to no kernel; with `kernels` the cycles add up to `cycles`. */
  readonly outside: KernelCounters;
  /** Cycles by submodule; they add up to `cycles`. */
  readonly submodules: Readonly<Record<SubmoduleName, number>>;
  readonly submoduleWork: Readonly<Record<SubmoduleName, SubmoduleWork>>;
  /** Outcomes of the branches, for `RunOptions.control`. */
  readonly control: readonly boolean[];
  /** Time on the host, where `now` was given. */
  readonly hostMilliseconds?: number;
  readonly trace?: readonly TraceEvent[];
}
