/** @file A training program to an image: graphs of the program to kernels, routines to routines. */
import { emitProgram } from "@systole/codegen";
import type { Image, Machine } from "@systole/isa";
import { scheduleProgram, verifyProgramSchedule, type ProgramSchedule } from "@systole/scheduler";
import { buildTraining, type BuiltTraining, type TrainingData, type TrainingOptions } from "./build.ts";

export interface CompiledTraining extends BuiltTraining {
  readonly schedule: ProgramSchedule;
  readonly image: Image;
}

export function compileTraining(bytes: Uint8Array, machine: Machine, data: TrainingData, options: TrainingOptions): CompiledTraining {
  const built = buildTraining(bytes, data, options);
  const schedule = scheduleProgram(built.program, machine);
  verifyProgramSchedule(schedule, machine);
  return { ...built, schedule, image: emitProgram(schedule, machine) };
}
