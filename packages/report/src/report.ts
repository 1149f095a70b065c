/**
 * @file A run as one JSON value that other programs may rely on: fields are added, never renamed, while `schema` stays.
 * Bounds follow docs/timing-model.md: the array needs macs / (R C) cycles, the memory its bytes over its bandwidth.
 */
import { phaseNames, type Phase } from "@systole/base";
import { limits, type Image, type KernelDebug, type Machine, type SubmoduleName, type UnitName } from "@systole/isa";
import type { HostFacts, KernelCountersLike, RunLike, SubmoduleWorkLike, UnitCountersLike } from "./run.ts";

export const reportSchema = "systole.report/1";

export interface Report {
  readonly schema: typeof reportSchema;
  readonly model: string;
  readonly machine: string;
  readonly machineHash: string;
  readonly cycles: number;
  readonly macs: number;
  /** Multiply-accumulates done over those that the array could have done. */
  readonly arrayUtilization: number;
  /** Bytes over the data port in whole bursts; `used` are those asked for; the lower bound is the sum over the layers. */
  readonly dram: { readonly readBytes: number; readonly writeBytes: number; readonly usedReadBytes: number; readonly usedWriteBytes: number; readonly lowerBoundBytes: number };
  readonly instructions: {
    readonly fetched: number; readonly executed: number; readonly macros: number; readonly imageBytes: number; readonly textBytes: number; readonly cacheMisses: number; readonly fillBytes: number;
  };
  /** busy and all stalls of a unit add up to `cycles`. */
  readonly units: Readonly<Record<UnitName, UnitCountersLike>>;
  readonly layers: readonly LayerReport[];
  /** Sums over the layers of each phase of a derived program; empty for the forward pass alone. */
  readonly phases: readonly PhaseReport[];
  /** Of derived programs: what the point keeps for its derivatives. */
  readonly residuals?: ResidualReport;
  /** Cycles of what belongs to no layer; with those of the layers they add up to `cycles`. */
  readonly outsideCycles: number;
  /** Cycles by submodule; they add up to `cycles`. */
  readonly submodules: Readonly<Record<SubmoduleName, number>>;
  readonly submoduleWork: Readonly<Record<SubmoduleName, SubmoduleWorkLike>>;
  /** Bytes of external memory asked for, by tensor. */
  readonly traffic: Readonly<Record<string, { readonly readBytes: number; readonly writeBytes: number }>>;
  readonly host: { readonly compileMs: number; readonly runMs: number; readonly macsPerSecond: number };
}

export interface PhaseReport {
  readonly phase: Phase;
  readonly cycles: number;
  readonly macs: number;
  readonly readBytes: number;
  readonly writeBytes: number;
}

/** Values of the forward pass that the backward part or the product reads. */
export interface ResidualReport {
  readonly count: number;
  readonly bytes: number;
  /** Behind the passes: what lies between the phases as the program runs. */
  readonly keptBytes: number;
  /** The same by the node of the model that makes them. */
  readonly nodes: readonly { readonly node: string; readonly operator: string; readonly count: number; readonly bytes: number }[];
}

export interface LayerReport {
  readonly name: string;
  /** The main ONNX operator; `nodes` lists all that the layer does. */
  readonly operator: string;
  readonly nodes: KernelDebug["nodes"];
  /** That of the main node, in derived programs. */
  readonly phase?: Phase;
  readonly macs: number;
  readonly cycles: number;
  readonly predictedCycles: number;
  readonly utilization: number;
  readonly boundBy: string;
  readonly arrayBoundCycles: number;
  /** Cycles that the bytes moved need at full bandwidth, reading and writing at once. */
  readonly memoryBoundCycles: number;
  readonly lowerBoundBytes: number;
  readonly readBytes: number;
  readonly writeBytes: number;
  readonly tiling: string;
  readonly roofline: Roofline;
}

/** Williams, Waterman and Patterson (CACM 2009): what can be reached at this intensity, and what was. In MAC and MAC a cycle. */
export interface Roofline {
  readonly macsPerByte: number;
  readonly attainable: number;
  readonly achieved: number;
}

export function buildReport(image: Image, machine: Machine, run: RunLike, host: HostFacts, residuals?: ResidualReport): Report {
  const layers = image.debug.kernels.map((kernel, index) => layerReport(kernel, run.kernels[index] ?? nothing, machine));
  return {
    schema: reportSchema,
    model: image.debug.model,
    machine: machine.name,
    machineHash: image.machineHash,
    cycles: run.cycles,
    macs: run.macs,
    arrayUtilization: ratio(run.macs, run.cycles * peakOf(machine)),
    dram: { ...run.external, lowerBoundBytes: layers.reduce((sum, layer) => sum + layer.lowerBoundBytes, 0) },
    instructions: { ...run.instructions, imageBytes: host.imageBytes, textBytes: textBytesOf(image) },
    units: run.units,
    layers,
    phases: phaseReports(layers),
    ...(residuals === undefined ? {} : { residuals }),
    outsideCycles: run.outside.cycles,
    submodules: run.submodules,
    submoduleWork: run.submoduleWork,
    traffic: Object.fromEntries(run.traffic),
    host: { compileMs: host.compileMs, runMs: host.runMs, macsPerSecond: Math.round(ratio(run.macs, host.runMs / 1000)) },
  };
}

export function textBytesOf(image: Image): number {
  return image.routines.reduce((sum, routine) => sum + routine.instructions.length * limits.instructionBytes, 0);
}

/** Multiply-accumulates of the array in a cycle. */
export function peakOf(machine: Machine): number {
  return machine.array.rows * machine.array.columns;
}

const nothing: KernelCountersLike = { cycles: 0, macs: 0, readBytes: 0, writeBytes: 0, boundBy: "nothing" };

function layerReport(kernel: KernelDebug, counters: KernelCountersLike, machine: Machine): LayerReport {
  const { cycles, macs, readBytes, writeBytes, boundBy } = counters;
  const { readBytesPerCycle, writeBytesPerCycle } = machine.external;
  const memoryBoundCycles = Math.ceil(Math.max(readBytes / readBytesPerCycle, writeBytes / writeBytesPerCycle));
  return {
    name: kernel.name,
    operator: kernel.nodes[0]?.operator ?? "",
    nodes: kernel.nodes,
    ...(kernel.nodes[0]?.phase === undefined ? {} : { phase: kernel.nodes[0].phase }),
    macs,
    cycles,
    predictedCycles: kernel.predictedCycles,
    utilization: ratio(macs, cycles * peakOf(machine)),
    boundBy,
    arrayBoundCycles: Math.ceil(macs / peakOf(machine)),
    memoryBoundCycles,
    lowerBoundBytes: kernel.lowerBoundBytes,
    readBytes,
    writeBytes,
    tiling: kernel.tiling,
    roofline: {
      macsPerByte: ratio(macs, readBytes + writeBytes),
      attainable: memoryBoundCycles === 0 ? peakOf(machine) : Math.min(peakOf(machine), macs / memoryBoundCycles),
      achieved: ratio(macs, cycles),
    },
  };
}

function phaseReports(layers: readonly LayerReport[]): PhaseReport[] {
  return phaseNames.flatMap((phase) => {
    const own = layers.filter((layer) => layer.phase === phase);
    const total = (field: "cycles" | "macs" | "readBytes" | "writeBytes"): number => own.reduce((sum, layer) => sum + layer[field], 0);
    return own.length === 0 ? [] : [{ phase, cycles: total("cycles"), macs: total("macs"), readBytes: total("readBytes"), writeBytes: total("writeBytes") }];
  });
}

/** 0 where there is nothing to divide by: JSON has no infinity. */
function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}
