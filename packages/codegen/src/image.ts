/** @file Schedule to image: a main routine of macro-instructions, one routine per kernel, constants, symbols, debug map. */
import { fail, internal } from "@systole/base";
import { fieldProblem, limits, machineHash, type Image, type Instruction, type KernelDebug, type Machine, type Routine, type TensorSymbol } from "@systole/isa";
import { lowerBoundBytes, macsOf, type PlacedTensor, type Schedule, type TiledKernel } from "@systole/scheduler";
import { kernelCode } from "./kernelCode.ts";

const forward = 1;
const firstKernel = 2;

export function emitImage(schedule: Schedule, machine: Machine): Image {
  const tensors = new Map(schedule.tensors.map((t) => [t.id, t]));
  const kernels = schedule.kernels.map((tiled, kernel): Routine => ({ name: tiled.kernel.name, submodule: "basic", instructions: encodable(tiled, kernelCode(tiled, tensors)), kernel }));
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

/** Paddings, steps and the like come from the model: they may be larger than any field of an instruction. */
function encodable({ kernel }: TiledKernel, code: readonly Instruction[]): readonly Instruction[] {
  for (const instruction of code) {
    const problem = fieldProblem(instruction);
    const origin = kernel.origins[0];
    if (problem !== undefined) fail("E0303", `kernel "${kernel.name}": ${problem}`, { kernel: kernel.name, ...(origin === undefined ? {} : { node: origin.node, operator: origin.operator }) });
  }
  return code;
}

function named(names: ReadonlyMap<string, number>, tensors: ReadonlyMap<number, PlacedTensor>, kind: "input" | "output"): TensorSymbol[] {
  return [...names].map(([name, id]) => {
    const t = tensors.get(id) ?? internal(`${kind} ${name} has no place`);
    return { name, kind, dtype: t.type.dtype, shape: t.type.shape, address: t.address };
  });
}

function debugOf(tiled: TiledKernel, machine: Machine): KernelDebug {
  const { kernel } = tiled;
  const tile = kernel.dims.map((d, i) => `${d.name}:${tiled.tile[i]}/${d.extent}`).join(" ");
  const panels = kernel.engine.kind === "contraction" ? ` panel:${tiled.panelColumns} ${tiled.dataflow}` : "";
  return {
    name: kernel.name, nodes: kernel.origins, macs: macsOf(kernel), predictedCycles: tiled.predicted.cycles,
    lowerBoundBytes: lowerBoundBytes(kernel, machine), tiling: `${tile}${panels}`,
  };
}
