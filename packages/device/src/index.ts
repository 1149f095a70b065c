export { boundOf, stallCauseNames, stallCauses, type Bound, type KernelCounters, type StallCause, type UnitCounters } from "./counters.ts";
export { Device, isDeviceFault, runImage } from "./device.ts";
export { defaultWatchdogCycles, type Run, type RunOptions } from "./run.ts";
export type { SubmoduleWork } from "./submodules.ts";
export type { TraceEvent } from "./trace.ts";
