/**
 * @file An optimised graph to an image. Without scans it is one list of kernels; with scans it is a program of one step, whose loops
 * run over the kernels of a body.
 */
import { emitImage, emitProgram } from "@systole/codegen";
import { graphProgram, lowerScans, verifyProgram, type Graph } from "@systole/ir";
import type { Image, Machine } from "@systole/isa";
import { printProgramSchedule, printSchedule, schedule, scheduleProgram, verifyProgramSchedule, verifySchedule, type ProgramSchedule, type Schedule, type SearchOptions } from "@systole/scheduler";

/** That of a program has routines. */
export type AnySchedule = Schedule | ProgramSchedule;

export interface Lowered {
  readonly schedule: AnySchedule;
  readonly image: Image;
}

export function lowerGraph(graph: Graph, machine: Machine, options: SearchOptions = {}): Lowered {
  const plain = graphProgram(graph);
  const program = lowerScans(plain);
  if (program === plain) {
    const scheduled = schedule(graph, machine, options);
    verifySchedule(scheduled, machine);
    return { schedule: scheduled, image: emitImage(scheduled, machine) };
  }
  const scheduled = scheduleProgram(verifyProgram(program), machine, options);
  verifyProgramSchedule(scheduled, machine);
  return { schedule: scheduled, image: emitProgram(scheduled, machine) };
}

export function printAnySchedule(scheduled: AnySchedule): string {
  return "routines" in scheduled ? printProgramSchedule(scheduled) : printSchedule(scheduled);
}
