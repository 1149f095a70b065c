/** @file Schedule to image: a main routine of macro-instructions, one routine per kernel, constants, symbols, debug map. */
import { internal } from "@systole/base";
import { limits, machineHash, type Image, type Instruction, type Machine, type Routine, type TensorSymbol } from "@systole/isa";
import type { PlacedTensor, Schedule } from "@systole/scheduler";
import { debugOf, kernelRoutines } from "./kernelRoutine.ts";

const forward = 1;
const firstKernel = 2;

export function emitImage(schedule: Schedule, machine: Machine): Image {
  const tensors = new Map(schedule.tensors.map((t) => [t.id, t]));
  const kernels = kernelRoutines(schedule.kernels, schedule.tensors);
  const calls = kernels.map((_, i): Instruction => ({ op: "call", routine: firstKernel + i }));
  const forwardRoutine: Routine = { name: "forward", submodule: "gradient", instructions: [...calls, { op: "ret" }] };
  const mainLength = 3;
  const textBytes = limits.instructionBytes * [forwardRoutine, ...kernels].reduce((n, r) => n + r.instructions.length, mainLength);
  const textAddress = schedule.externalBytes;
  const main: Routine = {
    name: "main", submodule: "control",
    instructions: [{ op: "io", what: 0, external: textAddress, cache: 0, bytes: textBytes }, { op: "estimate", routine: forward }, { op: "halt" }],
  };
  return {
    machineName: machine.name, machineHash: machineHash(machine), routines: [main, forwardRoutine, ...kernels],
    segments: schedule.tensors.flatMap((t) => (t.data === undefined ? [] : [{ address: t.address, bytes: t.data }])),
    externalBytes: textAddress + textBytes, textAddress,
    symbols: [...named(schedule.inputs, tensors, "input"), ...named(schedule.outputs, tensors, "output")],
    debug: { model: schedule.model, kernels: schedule.kernels.map((tiled) => debugOf(tiled, machine)) },
  };
}

function named(names: ReadonlyMap<string, number>, tensors: ReadonlyMap<number, PlacedTensor>, kind: "input" | "output"): TensorSymbol[] {
  return [...names].map(([name, id]) => {
    const t = tensors.get(id) ?? internal(`${kind} ${name} has no place`);
    return { name, kind, dtype: t.type.dtype, shape: t.type.shape, address: t.address };
  });
}
