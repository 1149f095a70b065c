/** @file `systole inspect`: what a model becomes, or what is in an image; as text for people, as data with --json. */
import { fail } from "@systole/systole";
import { loadProgram, type Program } from "../compiling.ts";
import type { CompileFlags } from "../options.ts";
import { describeProgram } from "../inspect/data.ts";
import { renderProgram } from "../inspect/text.ts";
import { printJson, type Terminal } from "../terminal.ts";

/** Shown together when none is chosen. A ladder takes a derivative, which not every model has: it is shown only when asked for. */
const usualParts = ["model", "graph", "schedule", "image", "code"] as const;
export const inspectParts = [...usualParts, "ladder"] as const;
export type InspectPart = (typeof inspectParts)[number];

export interface InspectFlags extends CompileFlags {
  readonly json?: boolean;
  readonly only?: InspectPart;
}

export function inspectCommand(terminal: Terminal, path: string, flags: InspectFlags): number {
  const program: Program = loadProgram(path, flags, terminal);
  const parts = flags.only === undefined ? usualParts : [flags.only];
  if (flags.only === "ladder" && program.compiled === undefined) fail("E0603", "an image has no ladder", { file: path }, ["Give the model that it was compiled from."]);
  if (flags.json === true) printJson(terminal, describeProgram(path, program, parts));
  else terminal.out(renderProgram(path, program, parts));
  return 0;
}
