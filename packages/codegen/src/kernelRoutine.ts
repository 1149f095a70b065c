/** @file Routines of kernels, and what the image remembers of a kernel. */
import { fail } from "@systole/base";
import { fieldProblem, type Instruction, type KernelDebug, type Machine, type Routine } from "@systole/isa";
import { lowerBoundBytes, macsOf, type PlacedTensor, type TiledKernel } from "@systole/scheduler";
import { kernelCode } from "./kernelCode.ts";

/** The routines of kernels in their order; `registerOf` gives the register of a scalar that chooses a row. */
export function kernelRoutines(kernels: readonly TiledKernel[], tensors: readonly PlacedTensor[], registerOf?: (scalar: string) => number): Routine[] {
  const byId = new Map(tensors.map((tensor) => [tensor.id, tensor]));
  return kernels.map((tiled, kernel) => ({ name: tiled.kernel.name, submodule: "basic", instructions: encodable(tiled, kernelCode(tiled, byId, registerOf)), kernel }));
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

export function debugOf(tiled: TiledKernel, machine: Machine): KernelDebug {
  const { kernel } = tiled;
  const tile = kernel.dims.map((d, i) => `${d.name}:${tiled.tile[i]}/${d.extent}`).join(" ");
  const panels = kernel.engine.kind === "contraction" ? ` panel:${tiled.panelColumns} ${tiled.dataflow}` : "";
  return {
    name: kernel.name, nodes: kernel.origins, macs: macsOf(kernel), predictedCycles: tiled.predicted.cycles,
    lowerBoundBytes: lowerBoundBytes(kernel, machine), tiling: `${tile}${panels}`,
  };
}
