/**
 * @file Program schedule to image: the main part as macro-instructions behind the one that loads the text, routines of the program in their order,
 * then the routines of kernels, so that calls go to higher numbers only.
 */
import { allocate, elementCount, fail, internal, type Tensor } from "@systole/base";
import { ioNames, limits, machineHash, memoryNames, type Image, type Instruction, type Machine, type Routine, type TensorSymbol } from "@systole/isa";
import type { PlacedProgramTensor, ProgramSchedule, ScheduledStep } from "@systole/scheduler";
import { debugOf, kernelRoutines } from "../kernelRoutine.ts";
import { routineCode } from "./routineCode.ts";
import { ScalarRegisters } from "./scalars.ts";

/** Routine 0 is the main part. */
const firstRoutine = 1;

/** E0303 where scalars do not fit the registers. */
export function emitProgram(schedule: ProgramSchedule, machine: Machine): Image {
  const scalars = new ScalarRegisters(schedule.program, schedule.scalars);
  const byName = new Map(schedule.tensors.map((placed) => [placed.tensor.name, placed]));
  const firstKernel = firstRoutine + schedule.routines.length;
  const context = {
    scalars, workingBytes: schedule.workingBytes,
    tensor: (name: string) => byName.get(name) ?? internal(`no tensor ${name}`),
    routineNumber: (routine: number) => firstRoutine + routine, kernelNumber: (kernel: number) => firstKernel + kernel,
  };
  const codes = schedule.routines.map(({ name, body }) => routineCode(name, body, context));
  const routines = schedule.routines.map(({ name, owner }, i): Routine => ({ name, submodule: owner, instructions: codes[i]!.instructions }));
  const callees = [...routines, ...kernelRoutines(schedule.kernels, schedule.places, (scalar) => scalars.of(scalar))];
  const steps = mainSteps(schedule.main);
  const textBytes = limits.instructionBytes * callees.reduce((n, routine) => n + routine.instructions.length, 1 + steps.length);
  const textAddress = Math.max(schedule.externalBytes, ...callees.map(externalEnd));
  const main: Routine = { name: "main", submodule: "control", instructions: [{ op: "io", what: ioNames.indexOf("text"), external: textAddress, cache: 0, bytes: textBytes }, ...steps] };
  return {
    machineName: machine.name, machineHash: machineHash(machine), routines: [main, ...callees],
    segments: [
      ...schedule.tensors.flatMap(({ tensor: { initial }, address }) => (initial === undefined ? [] : [{ address, bytes: bytesOfTensor(initial) }])),
      ...schedule.constants.flatMap(({ address, data }) => (data === undefined ? [] : [{ address, bytes: data }])),
    ].filter(({ bytes }) => bytes.length > 0),
    externalBytes: textAddress + textBytes, textAddress,
    symbols: schedule.tensors.flatMap(symbolsOf),
    debug: { model: schedule.program, kernels: schedule.kernels.map((tiled) => debugOf(tiled, machine)), scalars: schedule.scalars, branches: codes.flatMap(({ branches }, i) => branches.map((branch) => ({ routine: firstRoutine + i, ...branch }))) },
  };
}

/** Where the buffers of a routine in external memory end: the last slot of a tensor that is overwritten tile by tile may be longer than what is left of it. */
function externalEnd({ instructions }: Routine): number {
  const ends = instructions.map((i) => (i.op === "buf" && i.memory === memoryNames.indexOf("external") ? Number(i.base) + Number(i.slots) * Number(i.slotBytes) : 0));
  return Math.ceil(Math.max(0, ...ends) / textAlignment) * textAlignment;
}

const textAlignment = 64;

/** Behind the instruction that loads the text. A program ends with a judgement, or halts. */
function mainSteps(steps: readonly ScheduledStep[]): Instruction[] {
  // A judgement ends the program wherever it stands: what follows is only reached from elsewhere.
  const starts: number[] = [];
  let length = 1;
  steps.forEach((step, i) => {
    starts.push(length);
    length += step.kind === "converge" && i < steps.length - 1 ? 2 : 1;
  });
  const code = steps.flatMap((step, i): Instruction[] => {
    switch (step.kind) {
      case "move": return [ioOf(step.from, step.to)];
      case "converge": return [{ op: "converge", routine: firstRoutine + step.routine, back: starts[step.back]! }, ...(i < steps.length - 1 ? [{ op: "halt" } as const] : [])];
      default: return [{ op: step.kind, routine: firstRoutine + step.routine }];
    }
  });
  return steps.at(-1)?.kind === "converge" ? code : [...code, { op: "halt" }];
}

function ioOf(from: PlacedProgramTensor, to: PlacedProgramTensor): Instruction {
  const { bytes } = from;
  if (from.memory === "external" && to.memory === "cache") return { op: "io", what: ioNames.indexOf("load"), external: from.address, cache: to.address, bytes };
  if (from.memory === "cache" && to.memory === "external") return { op: "io", what: ioNames.indexOf("store"), external: to.address, cache: from.address, bytes };
  if (from.memory === "external") return { op: "io", what: ioNames.indexOf("copy"), external: from.address, cache: to.address, bytes };
  return fail("E0303", `io of "${from.tensor.name}" to "${to.tensor.name}": both lie in the data cache`, {}, ["One of them must be external."]);
}

/** What the host may give and read: tensors in external memory that are no constants, by the names of their parts. */
function symbolsOf({ tensor: { name, kind, type, rows, parts }, memory, address }: PlacedProgramTensor): TensorSymbol[] {
  if (memory !== "external" || kind === "constant") return [];
  if (parts === undefined) return [{ name, kind, dtype: type.dtype, shape: rows === undefined ? type.shape : [rows, ...type.shape], address }];
  const width = allocate(type.dtype, 0).BYTES_PER_ELEMENT;
  return parts.map((part) => ({ name: part.name, kind, dtype: type.dtype, shape: part.shape, address: address + part.offset * width }));
}

/** In the element type's own encoding. */
function bytesOfTensor({ dtype, shape, data }: Tensor): Uint8Array {
  const own = allocate(dtype, elementCount(shape));
  if (own.constructor === data.constructor) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  (own as Float32Array).set(data as Float64Array);
  return new Uint8Array(own.buffer);
}
