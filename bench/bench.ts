/**
 * @file Speed of compiler and device beside ONNX Runtime Web, cost of derivatives: `npm run bench [-- --only NAME] [--runs N]`. All
 * machines and ONNX Runtime take turns within one process, so that whatever else the host does falls on all of them; medians are told.
 * Writes bench/latest.md, with `--only` to the terminal alone. With SYSTOLE_JAX_PYTHON=PYTHON derivatives stand beside JAX.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { Device, compile, presets, writeImage, type Graph, type Image, type Machine, type Run, type Tensor } from "@systole/systole";
import * as ort from "onnxruntime-web";
import { randomTensor } from "../test/support.ts";
import { derivativeModels, measureDerivatives, type DerivativeModel, type DerivativeResult, type LoadedDerivativeModel } from "./derivatives.ts";
import { derivativeSections } from "./derivativeTables.ts";
import { models, type BenchModel } from "./models.ts";
import { measureTraining, trainingModels, type LoadedTrainingModel, type TrainingModel, type TrainingResult } from "./training.ts";
import { trainingSections } from "./trainingTables.ts";
import { document, type MachineResult, type ModelResult } from "./tables.ts";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

interface Subject {
  readonly machine: Machine;
  readonly image: Image;
  readonly imageBytes: number;
  readonly device: Device;
  readonly compileMs: number;
  readonly runMs: number[];
  readonly timingMs: number[];
}

const now = (): number => performance.now();
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

function prepare(bytes: Uint8Array, machine: Machine): { readonly subject: Subject; readonly graph: Graph } {
  const begun = now();
  const { graph, image } = compile(bytes, machine, { batch: 1 });
  const compileMs = now() - begun;
  const subject: Subject = { machine, image, imageBytes: writeImage(image).length, device: new Device(image, machine), compileMs, runMs: [], timingMs: [] };
  return { subject, graph };
}

function timed<T>(into: number[], body: () => T): T {
  const begun = now();
  const value = body();
  into.push(now() - begun);
  return value;
}

function feedsOf(inputs: ReadonlyMap<string, Tensor>): Record<string, ort.Tensor> {
  return Object.fromEntries([...inputs].map(([name, { dtype, data, shape }]) => {
    if (dtype !== "f32") throw new Error(`input ${name} of the benchmark is ${dtype}`);
    return [name, new ort.Tensor("float32", data as Float32Array, shape)];
  }));
}

/** The largest error over what is allowed: 1e-4 relative + 1e-5 absolute. */
function worstError(run: Run, expected: ort.InferenceSession.OnnxValueMapType): number {
  let worst = 0;
  for (const [name, tensor] of run.outputs) {
    const wanted = expected[name]!.data as Float32Array;
    wanted.forEach((value, i) => (worst = Math.max(worst, Math.abs(Number(tensor.data[i]) - value) / (1e-4 * Math.abs(value) + 1e-5))));
  }
  return worst;
}

async function measure(model: BenchModel, bytes: Uint8Array, runs: number): Promise<ModelResult> {
  const prepared = Object.values(presets).map((machine) => prepare(bytes, machine));
  const inputs = new Map(prepared[0]!.graph.inputs.map(({ name, value }, i) => [name, randomTensor(value.type.dtype, value.type.shape, 5 + i)]));
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const feeds = feedsOf(inputs);
  const ortMs: number[] = [];
  let last: readonly { readonly subject: Subject; readonly run: Run; readonly error: number }[] = [];
  // The first round is not counted: kernels are compiled in it.
  for (let round = 0; round <= runs; round++) {
    const begun = now();
    const expected = await session.run(feeds);
    ortMs.push(now() - begun);
    last = prepared.map(({ subject }) => {
      const run = timed(subject.runMs, () => subject.device.run(inputs));
      timed(subject.timingMs, () => subject.device.run(inputs, { timingOnly: true }));
      return { subject, run, error: round === runs ? worstError(run, expected) : 0 };
    });
  }
  await session.release();
  return { name: model.name, note: model.note, runs, macs: last[0]!.run.macs, ortMs: median(ortMs.slice(1)), bestOrtMs: Math.min(...ortMs.slice(1)), machines: last.map(resultOf) };
}

function resultOf({ subject, run, error }: { readonly subject: Subject; readonly run: Run; readonly error: number }): MachineResult {
  const { machine, image } = subject;
  return {
    machine: machine.name,
    runMs: median(subject.runMs.slice(1)),
    bestRunMs: Math.min(...subject.runMs.slice(1)),
    timingMs: median(subject.timingMs.slice(1)),
    compileMs: subject.compileMs,
    imageBytes: subject.imageBytes,
    textBytes: image.routines.reduce((sum, routine) => sum + routine.instructions.length * 16, 0),
    cycles: run.cycles,
    predictedCycles: image.debug.kernels.reduce((sum, kernel) => sum + kernel.predictedCycles, 0),
    utilization: run.macs / (run.cycles * machine.array.rows * machine.array.columns),
    error,
  };
}

const { values: options } = parseArgs({ options: { only: { type: "string" }, runs: { type: "string" } } });
const isChosen = ({ name }: { readonly name: string }): boolean => options.only === undefined || name.includes(options.only);
const runsOf = (model: { readonly runs: number }): number => (options.runs === undefined || model.runs === 0 ? model.runs : Math.max(1, Number(options.runs)));
const chosen = models.filter(isChosen);
const chosenDerivatives = derivativeModels.filter(isChosen);
const chosenTraining = trainingModels.filter(isChosen);
if (chosen.length + chosenDerivatives.length + chosenTraining.length === 0) {
  const names = new Set([...models, ...derivativeModels, ...trainingModels].map(({ name }) => name));
  process.stderr.write(`no model is called ${options.only}; there are ${[...names].join(", ")}\n`);
  process.exit(2);
}

/** Measures the models whose files are there and tells which are not. */
async function measureAll<M extends { readonly name: string; readonly load: () => L | undefined }, L, R>(all: readonly M[], body: (model: M, loaded: L) => R | Promise<R>): Promise<{ readonly results: R[]; readonly missing: string[] }> {
  const results: R[] = [];
  const missing: string[] = [];
  for (const model of all) {
    const loaded = model.load();
    if (loaded === undefined) {
      missing.push(model.name);
      continue;
    }
    const begun = now();
    results.push(await body(model, loaded));
    process.stderr.write(`${model.name}: ${((now() - begun) / 1000).toFixed(1)} s\n`);
  }
  return { results, missing };
}

const forward = await measureAll<BenchModel, Uint8Array, ModelResult>(chosen, (model, bytes) => measure(model, bytes, runsOf(model)));
const derived = await measureAll<DerivativeModel, LoadedDerivativeModel, DerivativeResult>(chosenDerivatives, (model, loaded) => measureDerivatives(model, loaded, runsOf(model)));
const trained = await measureAll<TrainingModel, LoadedTrainingModel, TrainingResult>(chosenTraining, (model, loaded) => measureTraining(model, loaded));
const text = document(forward.results, forward.missing, [
  ...(chosenDerivatives.length === 0 ? [] : derivativeSections(derived.results, derived.missing)),
  ...(chosenTraining.length === 0 ? [] : trainingSections(trained.results, trained.missing)),
]);
if (options.only === undefined) writeFileSync(join(import.meta.dirname, "latest.md"), text);
process.stdout.write(text);
