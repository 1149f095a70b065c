export { boundOf, stallCauseNames, stallCauses, type Bound, type KernelCounters, type StallCause, type UnitCounters } from "./counters.ts";
export { Device, isDeviceFault, runImage } from "./device.ts";
export { defaultWatchdogCycles, type JudgementView, type Run, type RunOptions } from "./run.ts";
export { snapshotFromBytes, snapshotToBytes, snapshotVersion, type Snapshot } from "./snapshot.ts";
export type { SubmoduleWork } from "./submodules.ts";
export { otherTraffic, type Traffic } from "./symbolTraffic.ts";
export type { TraceEvent } from "./trace.ts";
