/** @file What a report needs to know of a run. Structural, so that this package need not import the device. */
import type { SubmoduleName, UnitName } from "@systole/isa";

export interface UnitCountersLike {
  readonly busy: number;
  readonly stalls: Readonly<Record<string, number>>;
}

export interface KernelCountersLike {
  readonly cycles: number;
  readonly macs: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly boundBy: string;
}

export interface RunLike {
  readonly cycles: number;
  readonly macs: number;
  readonly units: Readonly<Record<UnitName, UnitCountersLike>>;
  readonly external: { readonly readBytes: number; readonly writeBytes: number; readonly usedReadBytes: number; readonly usedWriteBytes: number };
  readonly instructions: { readonly fetched: number; readonly executed: number; readonly macros: number; readonly cacheMisses: number; readonly fillBytes: number };
  /** By index into the image's kernels. */
  readonly kernels: readonly KernelCountersLike[];
  readonly outside: KernelCountersLike;
  /** Cycles by submodule. */
  readonly submodules: Readonly<Record<SubmoduleName, number>>;
  readonly submoduleWork: Readonly<Record<SubmoduleName, SubmoduleWorkLike>>;
  /** Bytes asked for, by the name of the tensor; what has none is `other`. */
  readonly traffic: ReadonlyMap<string, { readonly readBytes: number; readonly writeBytes: number }>;
}

export interface SubmoduleWorkLike {
  readonly calls: number;
  /** Words taken, and instructions handed to units. */
  readonly instructions: number;
  readonly microOperations: number;
  readonly dmaRequests: number;
  /** Whole bursts. */
  readonly readBytes: number;
  readonly writeBytes: number;
  /** With the basic operations that it asked for. */
  readonly asked: { readonly cycles: number; readonly readBytes: number; readonly writeBytes: number };
}

/** What only the caller knows: it has the clock and the file. */
export interface HostFacts {
  readonly compileMs: number;
  readonly runMs: number;
  /** Size of the ELF file. */
  readonly imageBytes: number;
}
