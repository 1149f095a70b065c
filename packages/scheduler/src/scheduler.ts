/** @file Graph and machine to schedule: form kernels, collapse dimensions, choose tilings, place everything. */
import type { Machine } from "@systole/isa";
import type { Graph } from "@systole/ir";
import { collapseKernel } from "./collapse.ts";
import { formKernels } from "./form/form.ts";
import { readsOf } from "./kernel.ts";
import { planExternal, planOnChip } from "./memoryPlan.ts";
import type { Schedule } from "./schedule.ts";
import { TilingSearch, type SearchOptions } from "./search.ts";

export function schedule(graph: Graph, machine: Machine, options: SearchOptions = {}): Schedule {
  const formed = formKernels(graph);
  const kernels = formed.kernels.map(collapseKernel);
  const used = new Set(kernels.flatMap((kernel) => [kernel.output.tensor.id, ...readsOf(kernel).map((access) => access.tensor.id)]));
  const tensors = formed.tensors.filter((t) => t.kind === "input" || t.kind === "output" || used.has(t.id));
  const search = new TilingSearch(machine, options);
  const tiled = planOnChip(kernels.map((kernel) => search.choose(kernel)), machine);
  const external = planExternal(tensors, kernels, machine);
  return {
    machine: machine.name, model: graph.name, tensors: external.tensors, kernels: tiled, externalBytes: external.externalBytes,
    inputs: new Map([...formed.inputs].map(([name, t]) => [name, t.id])),
    outputs: new Map([...formed.outputs].map(([name, t]) => [name, t.id])),
  };
}
