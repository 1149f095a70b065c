/** @file Words in, exit code out: 0 fine, 1 the input is at fault, 2 wrong usage, 70 our bug. */
import { InputError, renderDiagnostic } from "@systole/systole";
import { CommanderError } from "commander";
import { buildProgram } from "./program.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError } from "./usage.ts";

export const exitCodes = { fine: 0, inputAtFault: 1, wrongUsage: 2, ourBug: 70 } as const;

export interface CliOptions {
  /** Print the stack of an internal error: SYSTOLE_DEBUG=1. */
  readonly debug?: boolean;
}

/** `words` without the names of node and the program. */
export function runCli(words: readonly string[], terminal: Terminal, options: CliOptions = {}): number {
  let exitCode: number = exitCodes.fine;
  try {
    const program = buildProgram(terminal, (code) => { exitCode = code; });
    if (words.length === 0) {
      terminal.err(program.helpInformation());
      return exitCodes.wrongUsage;
    }
    program.parse(words, { from: "user" });
    return exitCode;
  } catch (error) {
    return explain(error, words, terminal, options);
  }
}

function explain(error: unknown, words: readonly string[], terminal: Terminal, options: CliOptions): number {
  // Commander has printed its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.wrongUsage;
  if (error instanceof UsageError) {
    terminal.err(`error: ${error.message}\n(systole help ${words[0] ?? ""} lists the options)\n`);
    return exitCodes.wrongUsage;
  }
  if (error instanceof InputError) {
    terminal.err(`${renderDiagnostic(error.diagnostic)}\n`);
    return exitCodes.inputAtFault;
  }
  const message = error instanceof Error ? error.message : String(error);
  terminal.err(`internal error: ${message.split("\n")[0]}\n  This is a bug of systole. Please report it with the command and the file; SYSTOLE_DEBUG=1 adds where it happened.\n`);
  if (options.debug === true && error instanceof Error) terminal.err(`${error.stack}\n`);
  return exitCodes.ourBug;
}
