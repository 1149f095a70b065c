/** @file What a run takes and what it gives. */
import type { Tensor } from "@systole/base";
import type { MacroName, SubmoduleName, UnitName } from "@systole/isa";
import type { KernelCounters, UnitCounters } from "./counters.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SubmoduleWork } from "./submodules.ts";
import type { Traffic } from "./symbolTraffic.ts";
import type { TraceEvent } from "./trace.ts";

export interface RunOptions {
  /** Time without values: no memory is simulated, outputs stay empty. Branches on values need `control`. */
  readonly timingOnly?: boolean;
  /** Outcomes of the branches (`br` taken, `converge` going back) in order, from `Run.control` of a full run. */
  readonly control?: readonly boolean[];
  /**
   * Without values and without `control`: how often loops run whose length depends on values, by the names of the image's debug map; `outer` is the number of
   * judgements. Other branches that depend on values go the way they go as a rule.
   */
  readonly assume?: ReadonlyMap<string, number>;
  /** Milliseconds of some clock; progress is then told ten times a second and the run says how long it took. */
  readonly now?: () => number;
  /** Dynamic instructions done, and an estimate of all of them. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Keep a trace of at most so many events. */
  readonly maxTraceEvents?: number;
  /** The main routine comes from a ROM of the controller: its words are not fetched. The same values and the same decisions. */
  readonly hardWired?: boolean;
  /**
   * Called at each `converge` with values, when its routine has run and before it decides. The host may look and take a snapshot, it cannot
   * write. An exception ends the run. Judgements that a resumed run has behind it are not told again.
   */
  readonly onJudgement?: (view: JudgementView) => void;
  /** Go on from a snapshot of a run of the same image with the same inputs: bits, cycles, counters and traces become those of a run without interruption. E0604 if it does not fit. */
  readonly resume?: Snapshot;
  /** A run of more cycles is a fault. */
  readonly watchdogCycles?: number;
  /** Go on with parameters and state as the run before left them. */
  readonly keepState?: boolean;
  /** Also copy out tensors of these kinds. */
  readonly readBack?: readonly ("parameter" | "state" | "record")[];
}

/** What the host sees at a convergence judgement. */
export interface JudgementView {
  /** The number of the judgement, the first one is 1. */
  readonly iteration: number;
  /** Cycles so far. */
  readonly cycles: number;
  /** A copy of a tensor in external memory, by the name of its symbol. */
  read(name: string): Tensor;
  snapshot(): Snapshot;
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
  /** Words that the controller took from the instruction cache; instructions of units that did work; macro-instructions among the words; lines that were not there when needed; bytes of lines filled. */
  readonly instructions: { readonly fetched: number; readonly executed: number; readonly macros: number; readonly cacheMisses: number; readonly fillBytes: number };
  /** The macro-instructions in the order in which they were decoded. */
  readonly macroTrace: readonly MacroName[];
  /** Bytes of external memory that transfers and blocks asked for, by the name of the symbol; what lies under none is `other`. Sums to the used bytes of `external`. */
  readonly traffic: ReadonlyMap<string, Traffic>;
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
