/** @file `systole compile`: a model to an image file, or to the text of a stage on the way. */
import { disassembleRoutines, printAnySchedule, printGraph, writeImage, type Compiled } from "@systole/systole";
import { bytesText, grouped, textBytesOf } from "@systole/report";
import { loadProgram } from "../compiling.ts";
import { writeWhole } from "../files/files.ts";
import type { CompileFlags } from "../options.ts";
import { printJson, type Terminal } from "../terminal.ts";
import { UsageError } from "../usage.ts";

export const compileSchema = "systole.compile/1";
export const emitted = ["ir", "schedule", "asm"] as const;

export interface CompileCommandFlags extends CompileFlags {
  readonly out?: string;
  readonly emit?: (typeof emitted)[number];
  readonly json?: boolean;
}

export function compileCommand(terminal: Terminal, path: string, flags: CompileCommandFlags): number {
  if (flags.out === undefined && flags.emit === undefined) throw new UsageError("compile needs -o OUT.elf, or --emit to print a stage");
  const { compiled, compileMs } = loadProgram(path, flags, terminal);
  if (compiled === undefined) throw new UsageError(`"${path}" is an image already; compile takes a model`);
  if (flags.emit !== undefined) {
    const text = textOf(compiled, flags.emit, flags.out === undefined);
    if (flags.out === undefined) terminal.out(text);
    else writeWhole(flags.out, text);
    return 0;
  }
  const bytes = writeImage(compiled.image);
  writeWhole(flags.out!, bytes);
  const { image } = compiled;
  const summary = {
    schema: compileSchema, file: flags.out!, machine: image.machineName, model: image.debug.model, imageBytes: bytes.length, textBytes: textBytesOf(image),
    externalBytes: image.externalBytes, kernels: image.debug.kernels.length, macs: sum(image.debug.kernels.map((k) => k.macs)), predictedCycles: sum(image.debug.kernels.map((k) => k.predictedCycles)), compileMs,
  };
  if (flags.json === true) printJson(terminal, summary);
  else terminal.out(`${summary.file}: ${bytesText(summary.imageBytes)}, text ${bytesText(summary.textBytes)}, ${summary.kernels} kernels, ${grouped(summary.macs)} MAC, ${grouped(summary.predictedCycles)} cycles predicted on ${summary.machine}\n`);
  return 0;
}

/** In a file the text is complete, so that it can be parsed again; on a terminal long tensors are left out. */
function textOf(compiled: Compiled, stage: (typeof emitted)[number], elideTensors: boolean): string {
  switch (stage) {
    case "ir": return printGraph(compiled.graph, { elideTensors });
    case "schedule": return printAnySchedule(compiled.schedule);
    case "asm": return `${disassembleRoutines(compiled.image.routines)}\n`;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
