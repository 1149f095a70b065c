/**
 * @file What Hessian-free training costs on the device: cycles of one step of conjugate gradients and of an outer step, traffic of its vectors beside the
 * floor, time to compile, length of the text. Values are computed on one machine; the others run without, with its decisions.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { arrangeData, compileTraining, Device, elementCount, presets, tensor, typesOf, type CompiledTraining, type Machine, type Run, type Tensor, type TrainingOptions } from "@systole/systole";
import { denseChain } from "./models.ts";
import { randomTensor } from "../test/support.ts";

export interface TrainingModel {
  readonly name: string;
  readonly note: string;
  readonly load: () => LoadedTrainingModel | undefined;
}

export interface LoadedTrainingModel {
  readonly bytes: Uint8Array;
  readonly data: ReadonlyMap<string, Tensor>;
  readonly options: TrainingOptions;
}

export interface TrainingMachineResult {
  readonly machine: string;
  /** ONNX bytes to image. */
  readonly compileMs: number;
  readonly textBytes: number;
  readonly outerCycles: number;
  readonly stepCycles: number;
  /** Of the step, those of the Gauss-Newton product. */
  readonly productCycles: number;
  /** External memory, whole bursts, of the kernels that only touch vectors as long as the parameters. */
  readonly vectorBytes: number;
  readonly floorBytes: number;
  /** Of the outer step with values, the best of several runs; where they were computed. */
  readonly outerHostMs?: number;
}

export interface TrainingResult {
  readonly name: string;
  readonly note: string;
  readonly parameters: number;
  readonly machines: readonly TrainingMachineResult[];
}

/** Steps of the two runs whose difference is taken; below ten no rule stops them early. */
const [fewSteps, manySteps] = [2, 4] as const;

/** A step reads x, r, p, the product and the preconditioner and, for the next direction, y; it writes all but the preconditioner. */
const floorVectors = 6 + 5;

const demo = join(import.meta.dirname, "../packages/cli/models/mnist-untrained.onnx");
const common = { optimizer: "hessian-free", profile: "martens", iterations: 1, weightDecay: 1e-5, seed: 1 } as const;

export const trainingModels: readonly TrainingModel[] = [
  {
    name: "mnist_mlp", note: "the network of `npm start`, 784-64-10, gradient on 1,000 and curvature on 500 samples, micro-batches of 500",
    load() {
      if (!existsSync(demo)) return undefined;
      const labels = tensor("i64", [1000], Array.from({ length: 1000 }, (_, i) => i % 10));
      return { bytes: readFileSync(demo), data: new Map([["image", randomTensor("f32", [1000, 784], 3)], ["target", labels]]), options: { ...common, loss: "cross-entropy", lambda: 0.1, microBatch: 500, curvatureBatch: 500 } };
    },
  },
  {
    name: "mnist_autoencoder", note: "784-1000-500-250-30 and back, 2,837,314 parameters, gradient and curvature on 100 samples in one micro-batch",
    load() {
      const x = randomTensor("f32", [100, 784], 3);
      const data = new Map([["x", x], ["target", tensor("f32", [100, 784], Array.from(x.data as Float32Array, (value) => 1 / (1 + Math.exp(-value))))]]);
      return { bytes: denseChain([784, 1000, 500, 250, 30, 250, 500, 1000, 784]), data, options: { ...common, loss: "binary-cross-entropy", lambda: 45, microBatch: 100, curvatureBatch: 100 } };
    },
  },
];

interface Measured {
  readonly compiled: CompiledTraining;
  readonly compileMs: number;
  readonly run: Run;
  /** Runs once more, with values; milliseconds. */
  readonly again: () => number;
}

export function measureTraining(model: TrainingModel, loaded: LoadedTrainingModel): TrainingResult {
  const machines = Object.values(presets);
  const withValues = machines.at(-1)!;
  const [few, many] = [fewSteps, manySteps].map((steps) => measure(loaded, withValues, steps));
  const results = machines.map((machine) => {
    if (machine === withValues) return { ...resultOf(machine, few!, many!), outerHostMs: bestMs(many!.again) };
    return resultOf(machine, measure(loaded, machine, fewSteps, few!.run.control), measure(loaded, machine, manySteps, many!.run.control));
  });
  return { name: model.name, note: model.note, parameters: parameterCount(few!.compiled), machines: results };
}

/** The first run does not count: kernels are compiled in it. */
function bestMs(again: () => number): number {
  let [best, spent] = [Infinity, 0];
  for (let round = 0; round < 2 || (round < 21 && spent < 2000); round++) {
    const ms = again();
    best = Math.min(best, ms);
    spent += ms;
  }
  return best;
}

/** With values, or with the decisions of a run with values. */
function measure({ bytes, data, options }: LoadedTrainingModel, machine: Machine, cgIterations: number, control?: readonly boolean[]): Measured {
  const now = () => performance.now();
  const begun = now();
  const compiled = compileTraining(bytes, machine, typesOf(data), { ...options, cgIterations });
  const compileMs = now() - begun;
  const device = new Device(compiled.image, machine);
  const withValues = () => device.run(arrangeData(compiled, data), { now });
  return { compiled, compileMs, run: control === undefined ? withValues() : device.run(new Map(), { timingOnly: true, control }), again: () => withValues().hostMilliseconds! };
}

function resultOf(machine: Machine, few: Measured, many: Measured): TrainingMachineResult {
  const perStep = (kernels: RegExp, count: (kernel: Run["kernels"][number]) => number) => {
    const sum = ({ compiled, run }: Measured) => run.kernels.reduce((total, kernel, i) => total + (kernels.test(compiled.image.debug.kernels[i]!.name) ? count(kernel) : 0), 0);
    return (sum(many) - sum(few)) / (manySteps - fewSteps);
  };
  return {
    machine: machine.name, compileMs: few.compileMs,
    textBytes: few.compiled.image.routines.reduce((sum, routine) => sum + routine.instructions.length * 16, 0),
    outerCycles: many.run.cycles,
    stepCycles: perStep(stepKernels, ({ cycles }) => cycles), productCycles: perStep(productKernels, ({ cycles }) => cycles),
    vectorBytes: perStep(vectorKernels, ({ readBytes, writeBytes }) => readBytes + writeBytes),
    floorBytes: floorVectors * 4 * parameterCount(few.compiled),
  };
}

/** Kernels are called by the graphs that they belong to. */
const productKernels = /^product\//;
const vectorKernels = /^(cg\.(step|direction|curvature)|product\.mean|damping\.term)\//;
const stepKernels = new RegExp(`${productKernels.source}|${vectorKernels.source}`);

function parameterCount({ problem }: CompiledTraining): number {
  const trained = new Set(problem.trained);
  return problem.network.parameters.reduce((sum, { name, value }) => sum + (trained.has(name) ? elementCount(value.type.shape) : 0), 0);
}
