export { exitCodes, runCli, type CliOptions } from "./cli.ts";
export { buildProgram, version } from "./program.ts";
export { readNpy, writeNpy } from "./files/npy.ts";
export { difference, suiteTolerance, type Tolerance } from "./conform/compare.ts";
export type { Terminal } from "./terminal.ts";
