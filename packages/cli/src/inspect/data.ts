/** @file What `inspect` shows, as data: model, graph, schedule, memory plan, image, code; each piece of code with its ONNX nodes. */
import {
  ladder, ladderSources, type Cell,
  disassembleInstruction, limits, parseElf, trainableParameters, writeImage, type Compiled, type Graph, type Image, type KernelDebug, type Routine, type AnySchedule, type Tensor, type TiledKernel,
} from "@systole/systole";
import { textBytesOf } from "@systole/report";
import type { InspectPart } from "../commands/inspect.ts";
import type { Program } from "../compiling.ts";

export const inspectSchema = "systole.inspect/1";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export function describeProgram(file: string, program: Program, parts: readonly InspectPart[]): Json {
  const { compiled, image } = program;
  const shows = (part: InspectPart): boolean => parts.includes(part);
  return {
    schema: inspectSchema, file, kind: compiled === undefined ? "image" : "model", machine: program.machine.name, model: image.debug.model,
    ...(compiled !== undefined && shows("model")
      ? {
          opset: compiled.model.opset,
          inputs: compiled.model.inputs.map(({ name, type, stated }) => ({ name, ...typeData(type), stated })),
          outputs: compiled.model.outputs.map(({ name, type, stated }) => ({ name, ...typeData(type), stated })),
          parameters: describeParameters(compiled).map(({ name, tensor, trainable }) => ({ name, ...typeData(tensor), trainable })),
        }
      : {}),
    ...(compiled !== undefined && shows("graph") ? { graph: graphData(compiled.graph) } : {}),
    ...(compiled !== undefined && shows("schedule") ? { schedule: scheduleData(compiled.schedule) } : {}),
    ...(compiled !== undefined && shows("ladder") ? { ladder: ladderData(compiled.model.graph) } : {}),
    ...(shows("image") ? { image: imageData(image) } : {}),
    ...(shows("code") ? { routines: routineData(image) } : {}),
  };
}

/** The parameters of the model, and whether training may change them. */
export function describeParameters({ model: { graph } }: Compiled): readonly { readonly name: string; readonly tensor: Tensor; readonly trainable: boolean }[] {
  const trainable = new Set(trainableParameters(graph));
  return graph.parameters.map(({ name, tensor }) => ({ name, tensor, trainable: trainable.has(name) }));
}

function typeData(type: { readonly dtype: string; readonly shape: readonly number[] }): { readonly dtype: string; readonly shape: readonly number[] } {
  return { dtype: type.dtype, shape: type.shape };
}

function graphData(graph: Graph): Json {
  return {
    inputs: graph.inputs.map(({ name, value }) => ({ name, value: value.id, ...typeData(value.type) })),
    nodes: graph.nodes.map((node) => ({
      op: node.op, inputs: node.inputs.map((value) => value.id), outputs: node.outputs.map((value) => ({ value: value.id, ...typeData(value.type) })),
      params: plain(node.params), ...node.origin,
    })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: value.id })),
  };
}

function ladderData(network: Graph): Json {
  const { wrt, rungs, storedBytes } = ladder(network, ladderSources(network));
  const cell = (one: Cell): Json => ({ operations: one.operations, macs: one.macs });
  return {
    wrt, storedBytes,
    layers: rungs.map((rung) => ({
      node: rung.node, operator: rung.operator, takes: rung.takes, forward: cell(rung.forward),
      stores: rung.stores.map(({ name, type, bytes }) => ({ name, ...typeData(type), bytes })), reads: rung.reads, tangent: cell(rung.tangent), backward: cell(rung.backward),
    })),
  };
}

/** Elements of tensors are left out: they are in the model. */
function plain(value: unknown): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return value.toString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  return null;
}

/** Of a program, tensors are the places that kernels access. */
function scheduleData(schedule: AnySchedule): Json {
  return {
    externalBytes: schedule.externalBytes,
    tensors: ("routines" in schedule ? schedule.places : schedule.tensors).map((t) => ({ id: t.id, name: t.name, kind: t.kind, ...typeData(t.type), address: t.address, bytes: t.bytes })),
    kernels: schedule.kernels.map(kernelData),
  };
}

function kernelData(tiled: TiledKernel): Json {
  const { kernel } = tiled;
  return {
    name: kernel.name, nodes: kernel.origins.map((origin) => ({ ...origin })), engine: kernel.engine.kind,
    dims: kernel.dims.map((dim, i) => ({ name: dim.name, extent: dim.extent, tile: tiled.tile[i] ?? 1, parallel: i < kernel.parallel })),
    levels: tiled.levels.map((level) => ({ dim: kernel.dims[level.dim]?.name ?? "", step: level.step, count: level.count, kind: level.kind })),
    dataflow: tiled.dataflow, panelColumns: tiled.panelColumns,
    operands: tiled.operands.map((o) => ({ role: o.role, ...(o.product === undefined ? {} : { product: o.product }), tensor: o.access.tensor.name, tensorId: o.access.tensor.id, extents: o.box.extents, buffer: plain(o.buffer), resident: o.resident })),
    sums: tiled.sums.map(plain),
    results: kernel.results.map(({ chain, output }, i) => ({ stages: chain.stages.map((stage) => stage.operation), output: output?.tensor.name ?? null, staging: plain(tiled.staging[i]!) })), predicted: plain(tiled.predicted),
  };
}

export interface SectionData {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly bytes: number;
}

export function sectionsOf(image: Image): SectionData[] {
  const parsed = parseElf(writeImage(image));
  if (typeof parsed === "string") return [];
  return parsed.sections.map(({ name, header }) => ({ name, type: header.type, address: header.address, offset: header.offset, bytes: header.size })).filter((section) => section.name !== "");
}

function imageData(image: Image): Json {
  return {
    machine: image.machineName, machineHash: image.machineHash, externalBytes: image.externalBytes, textAddress: image.textAddress, textBytes: textBytesOf(image),
    sections: sectionsOf(image).map((section) => ({ ...section })),
    symbols: image.symbols.map((s) => ({ name: s.name, kind: s.kind, ...typeData(s), address: s.address })),
    kernels: image.debug.kernels.map((k) => ({ name: k.name, nodes: k.nodes.map((n) => ({ ...n })), macs: k.macs, predictedCycles: k.predictedCycles, lowerBoundBytes: k.lowerBoundBytes, tiling: k.tiling })),
  };
}

function routineData(image: Image): Json {
  let address = 0;
  return image.routines.map((routine) => {
    const start = address;
    address += routine.instructions.length * limits.instructionBytes;
    return {
      name: routine.name, submodule: routine.submodule, address: start, kernel: routine.kernel ?? null, nodes: nodesOf(image, routine).map((n) => ({ ...n })),
      instructions: routine.instructions.map((instruction, i) => ({ address: start + i * limits.instructionBytes, text: disassembleInstruction(instruction) })),
    };
  });
}

/** The ONNX nodes whose work a routine does. */
export function nodesOf(image: Image, routine: Routine): KernelDebug["nodes"] {
  return routine.kernel === undefined ? [] : (image.debug.kernels[routine.kernel]?.nodes ?? []);
}
