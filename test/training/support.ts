/** @file Training programs on the device: compiled, run, and looked at from outside; beside them the reference interpreter. */
import { allocate, bytesOf, elementCount, type Tensor } from "@systole/base";
import { emitProgram } from "@systole/codegen";
import { Device, type JudgementView, type Run, type RunOptions } from "@systole/device";
import { runProgram, verifyProgram, type Program } from "@systole/ir";
import { readImage, writeImage, type Image, type Machine, type Routine } from "@systole/isa";
import { scheduleProgram, verifyProgramSchedule, type ProgramSchedule } from "@systole/scheduler";
import { expect } from "vitest";
import { readRecord, recordTensor, type TrainingRecord } from "@systole/training";
import type { Runner } from "../../packages/training/test/support.ts";

export interface Compiled {
  readonly program: Program;
  readonly schedule: ProgramSchedule;
  readonly machine: Machine;
  readonly image: Image;
}

export function compiled(program: Program, machine: Machine): Compiled {
  const schedule = scheduleProgram(verifyProgram(program), machine);
  verifyProgramSchedule(schedule, machine);
  return { program, schedule, machine, image: emitProgram(schedule, machine) };
}

/** The image with its routines changed, through the file and back: sealed anew. */
export function changed(image: Image, change: (routines: readonly Routine[]) => readonly Routine[]): Image {
  return readImage(writeImage({ ...image, routines: change(image.routines) }));
}

export interface Training {
  readonly run: Run;
  readonly device: Device;
  readonly records: readonly TrainingRecord[];
  /** The parameters in external memory, in the order of their symbols, behind each outer step. */
  readonly points: readonly Float32Array[];
  /** The parameters' bits and the record's, behind each outer step. */
  readonly bits: readonly string[];
}

/** Parameters one behind the other, as theta has them. */
export function parametersOf(image: Image, read: (name: string) => Tensor): Float32Array {
  return Float32Array.from(image.symbols.filter(({ kind }) => kind === "parameter").toSorted((a, b) => a.address - b.address).flatMap(({ name }) => Array.from(read(name).data as Float32Array)));
}

/** `judged` may also write into the device, by `pokeForTest`. */
export function trained(image: Image, machine: Machine, inputs: ReadonlyMap<string, Tensor>, options: RunOptions = {}, judged: (view: JudgementView, device: Device) => void = () => undefined): Training {
  const device = new Device(image, machine);
  const records: TrainingRecord[] = [];
  const points: Float32Array[] = [];
  const bits: string[] = [];
  const run = device.run(inputs, {
    ...options,
    onJudgement: (view) => {
      const row = view.read(recordTensor).data as Float64Array;
      records.push(readRecord(row));
      points.push(parametersOf(image, (name) => view.read(name)));
      bits.push(bitsOf(points.at(-1)!, row));
      judged(view, device);
    },
  });
  return { run, device, records, points, bits };
}

export function bitsOf(parameters: Float32Array, record: Float64Array): string {
  return [parameters, record].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength).toString("base64")).join(" ");
}

/** The interpreter's, to compare with `Training.bits`. */
export function interpretedBits(program: Program, inputs: ReadonlyMap<string, Tensor>): string[] {
  const bits: string[] = [];
  runProgram(program, inputs, { observer: { judgement: (_, state) => bits.push(bitsOf(state.read({ tensor: "theta" }).data as Float32Array, state.read({ tensor: recordTensor }).data as Float64Array)) } });
  return bits;
}

/** Runs a program without judgement on the device, with one at its end, where the scalar registers can be seen. */
export const onDevice = (machine: Machine): Runner => ({ program, inputs }) => {
  const watched = compiled({
    ...program, scalars: [...program.scalars, "done"], main: [...program.main, { kind: "converge", routine: "end", back: 0 }],
    routines: [...program.routines, { name: "end", owner: "control", body: [{ kind: "set", target: "done", value: 1 }] }],
  }, machine);
  const device = new Device(watched.image, machine);
  let registers: Float64Array = new Float64Array();
  device.run(inputs, { onJudgement: (view) => { registers = view.snapshot().registers; } });
  return {
    scalar: (name) => {
      const register = watched.schedule.scalars.indexOf(name);
      expect(register, name).toBeGreaterThanOrEqual(0);
      return registers[register]!;
    },
    numbers: (tensor, row = 0) => numbersOf(watched.schedule, device, tensor, row),
  };
};

/** One row of a tensor, in whatever memory it lies. */
function numbersOf({ tensors }: ProgramSchedule, device: Device, name: string, row: number): number[] {
  const { tensor: { type }, memory, address } = tensors.find(({ tensor }) => tensor.name === name)!;
  const data = allocate(type.dtype, elementCount(type.shape));
  const bytes = data.length * bytesOf(type.dtype);
  new Uint8Array(data.buffer).set(device.read(memory, address + row * bytes, bytes));
  return Array.from(data, Number);
}
