/**
 * @file The stages, in order. Data flows one way:
 *
 *     ONNX bytes -> ir.Graph -> optimised Graph -> Schedule -> Image -> Run
 *
 * Every value on the way has a text form; nothing here touches a file. A graph with recurrences takes the way of programs (`lower.ts`).
 */
import type { PassObserver, Tensor } from "@systole/base";
import { runImage, type Run, type RunOptions } from "@systole/device";
import { importModel, type ImportedModel, type ImportOptions } from "@systole/frontend-onnx";
import { optimize, verifyGraph, type Graph } from "@systole/ir";
import type { Image, Machine } from "@systole/isa";
import type { SearchOptions } from "@systole/scheduler";
import { lowerGraph, type AnySchedule } from "./lower.ts";

export interface CompileOptions extends ImportOptions, SearchOptions {
  /** Watches the passes over the graph. */
  readonly passes?: PassObserver<Graph>;
}

export interface Compiled {
  readonly model: ImportedModel;
  readonly graph: Graph;
  readonly schedule: AnySchedule;
  readonly image: Image;
}

/** ONNX bytes to an instruction image for one machine. Throws an InputError where the model or the machine is at fault. */
export function compile(bytes: Uint8Array, machine: Machine, options: CompileOptions = {}): Compiled {
  const model = importModel(bytes, options);
  verifyGraph(model.graph);
  const graph = optimize(model.graph, options.passes);
  verifyGraph(graph);
  return { model, graph, ...lowerGraph(graph, machine, { batch: model.inputs[0]?.type.shape[0] ?? 1, ...options }) };
}

/** Runs an image on the simulated device; the device verifies the image first. */
export function run(image: Image, machine: Machine, inputs: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Run {
  return runImage(image, machine, inputs, options);
}
