/**
 * @file The two claims of the device text in numbers: few instructions are decoded, because one macro-instruction stands for a whole routine; and few words cross the
 * border of the chip, because the data cache keeps what a step uses again.
 */
import { emitProgram } from "@systole/codegen";
import { Device, type Run } from "@systole/device";
import type { Machine } from "@systole/isa";
import { scheduleProgram } from "@systole/scheduler";
import type { CompiledTraining } from "./compile.ts";

export interface Claims {
  /** Macro-instructions that the controller decoded, instructions of routines that sequencers ran, micro-operations that units did. */
  readonly macroInstructions: number;
  readonly routineInstructions: number;
  readonly microOperations: number;
  /** Words of 4 bytes that the program asked of external memory: as it is, and with nothing kept in the data cache between kernels. */
  readonly offChipWords: number;
  readonly offChipWordsWithoutCache: number;
}

const wordBytes = 4;

/** The second figure is that of the same program, scheduled without residents, on the same course: its time and traffic need no values. */
export function claimsOf({ program }: Pick<CompiledTraining, "program">, machine: Machine, run: Run): Claims {
  const image = emitProgram(scheduleProgram(program, machine, { residents: false }), machine);
  const without = new Device(image, machine).run(new Map(), { timingOnly: true, control: run.control });
  const words = ({ external }: Run): number => (external.usedReadBytes + external.usedWriteBytes) / wordBytes;
  const work = Object.values(run.submoduleWork);
  return {
    macroInstructions: run.macroTrace.length, routineInstructions: work.reduce((sum, { instructions }) => sum + instructions, 0) - run.macroTrace.length, microOperations: run.instructions.executed,
    offChipWords: words(run), offChipWordsWithoutCache: words(without),
  };
}
