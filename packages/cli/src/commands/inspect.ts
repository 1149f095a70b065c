/** @file `systole inspect`: what a model becomes, or what is in an image; as text for people, as data with --json. */
import { loadProgram, type Program } from "../compiling.ts";
import type { CompileFlags } from "../options.ts";
import { describeProgram } from "../inspect/data.ts";
import { renderProgram } from "../inspect/text.ts";
import { printJson, type Terminal } from "../terminal.ts";

export const inspectParts = ["model", "graph", "schedule", "image", "code"] as const;
export type InspectPart = (typeof inspectParts)[number];

export interface InspectFlags extends CompileFlags {
  readonly json?: boolean;
  readonly only?: InspectPart;
}

export function inspectCommand(terminal: Terminal, path: string, flags: InspectFlags): number {
  const program: Program = loadProgram(path, flags, terminal);
  const parts = flags.only === undefined ? inspectParts : [flags.only];
  if (flags.json === true) printJson(terminal, describeProgram(path, program, parts));
  else terminal.out(renderProgram(path, program, parts));
  return 0;
}
