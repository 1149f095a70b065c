/**
 * @file ONNX bytes and the types of the data to a training program:
 *
 *     ONNX bytes -> network over a micro-batch, at its scores -> Problem -> ir.Program
 */
import { elementCount, fail, formatType, isFloat, tensor, type Tensor, type TensorType } from "@systole/base";
import { declaredInputs, importModel, type ImportedModel, type ImportOptions } from "@systole/frontend-onnx";
import { buildLossNamed, trainableParameters, type LossPiece, type Program } from "@systole/ir";
import type { Problem, Profile } from "@systole/training";
import { atScores } from "../scores.ts";
import { checkOptions, profileOf, programOf, type AlgorithmOptions } from "./algorithm.ts";
import { planBatches, type BatchOptions, type Batches } from "./batches.ts";

/** What a network, its loss and its data are. */
export interface ProblemOptions extends Omit<ImportOptions, "batch" | "shapes"> {
  readonly loss: string;
  readonly freeze?: readonly string[];
  /** The output that the loss is taken at; the only one when missing. */
  readonly output?: string;
  /** Which axis of an input or of `target` counts the samples; 0 when missing. */
  readonly sampleAxes?: Readonly<Record<string, number>>;
}

export interface TrainingOptions extends ProblemOptions, AlgorithmOptions {}

export interface BuiltProblem {
  readonly model: ImportedModel;
  readonly problem: Problem;
  readonly batches: Batches;
  readonly notes: readonly string[];
}

export interface BuiltTraining extends BuiltProblem {
  readonly profile: Profile | undefined;
  readonly program: Program;
}

/** The name of the data set that holds what the network should say. */
export const targetName = "target";

export function typesOf(data: ReadonlyMap<string, Tensor>): Map<string, TensorType> {
  return new Map([...data].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
}

export function buildTraining(bytes: Uint8Array, data: ReadonlyMap<string, TensorType>, options: TrainingOptions): BuiltTraining {
  checkOptions(options);
  const profile = profileOf(options);
  const built = buildProblem(bytes, data, options, { ...batchDefaults(profile), ...pick(options, ["microBatch", "gradientBatch", "curvatureBatch"]) });
  return { ...built, profile, ...programOf(built.problem, built.batches, options) };
}

/** Undefined: an algorithm of mini-batches. */
function batchDefaults(profile: Profile | undefined): Pick<BatchOptions, "curvaturePart" | "defaultBatch"> {
  if (profile === undefined) return { curvaturePart: 1, defaultBatch: 64 };
  return { curvaturePart: { "device-text": 1, rnn: 1 / 10 }[profile.name] ?? 1 / 8 };
}

/** `cuts` says how batches are chosen. */
export function buildProblem(bytes: Uint8Array, data: ReadonlyMap<string, TensorType>, options: ProblemOptions, cuts: Partial<BatchOptions>): BuiltProblem {
  const declared = declaredInputs(bytes, options.fileName);
  const axes = options.sampleAxes ?? {};
  const axisOf = (name: string): number => axes[name] ?? 0;
  checkNames(declared.map(({ name }) => name), data, axes);
  const counted = sampleCountOf(data, axisOf);
  const fixed = declared.flatMap(({ name, extents }) => extents?.[axisOf(name)] ?? []);
  if (new Set(fixed).size > 1) fail("E0203", `the inputs of the model take ${[...new Set(fixed)].join(" and ")} samples at a time`, {}, ["Say with --sample-axis which axis counts them."]);
  // Without data inputs there is one sample: the parameters themselves.
  const batches = planBatches({ curvaturePart: 1, ...cuts, sampleCount: counted ?? 1, ...(fixed[0] === undefined ? {} : { fixed: fixed[0] }) });
  const microType = (name: string, { dtype, shape }: TensorType): TensorType => ({ dtype, shape: shape.map((extent, axis) => (axis === axisOf(name) ? batches.microBatch : extent)) });
  const shapes = Object.fromEntries(declared.map(({ name }) => [name, microType(name, data.get(name)!).shape]));
  const model = importModel(bytes, { ...options, shapes });
  checkTypes(model, data);
  const network = atScores(model.graph, options.output ?? onlyOutput(model), options.loss);
  const output = network.outputs[0]!;
  const trained = trainableParameters(network, options.freeze ?? []);
  if (trained.length === 0) fail("E0209", "the model has no trainable parameters", {}, ["Trainable are float initializers except running statistics; --freeze takes some away."]);
  const target = microType(targetName, data.get(targetName) ?? output.value.type);
  const pieces: readonly LossPiece[] = [{ output: output.name, loss: buildLossNamed(options.loss, { scores: output.value.type, target }) }];
  const problem: Problem = {
    name: network.name === "" ? "network" : network.name, network, pieces, trained, sampleCount: batches.sampleCount, microBatch: batches.microBatch,
    samples: [...model.inputs.map(({ name, type }) => ({ name, type, axis: axisOf(name) })), { name: targetName, type: target, axis: axisOf(targetName) }],
  };
  return { model, problem, batches, notes: [...model.warnings, ...batches.notes] };
}

/**
 * Data as the device takes it, sample axis first and only as many samples as are used; a target that is missing is 0 (for models without inputs, such as
 * a sum of squares to be made small).
 */
export function arrangeData({ problem }: BuiltProblem, data: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map(problem.samples.map(({ name, type, axis }) => {
    const shape = [problem.sampleCount, ...type.shape.filter((_, a) => a !== axis)];
    const given = data.get(name);
    if (given === undefined) return [name, tensor(type.dtype, shape, new Float64Array(elementCount(shape)))];
    return [name, samplesFirst(given, axis, problem.sampleCount)];
  }));
}

function samplesFirst(given: Tensor, axis: number, count: number): Tensor {
  const shape = [count, ...given.shape.filter((_, a) => a !== axis)];
  const [outer, all, inner] = [elementCount(given.shape.slice(0, axis)), given.shape[axis]!, elementCount(given.shape.slice(axis + 1))];
  if (axis === 0) return { dtype: given.dtype, shape, data: given.data.subarray(0, count * inner) as Tensor["data"] };
  const data = given.data.slice(0, outer * count * inner);
  for (let sample = 0; sample < count; sample++) {
    for (let o = 0; o < outer; o++) (data as Float64Array).set((given.data as Float64Array).subarray((o * all + sample) * inner, (o * all + sample + 1) * inner), (sample * outer + o) * inner);
  }
  return { dtype: given.dtype, shape, data };
}

/** E0602 with the sample where a float of the data is not a number. */
export function refuseNaN(data: ReadonlyMap<string, Tensor>, sampleAxes: Readonly<Record<string, number>> = {}): void {
  for (const [name, { dtype, shape, data: elements }] of data) {
    if (!isFloat(dtype)) continue;
    const at = (elements as Float32Array).findIndex((x) => !Number.isFinite(x));
    if (at < 0) continue;
    const axis = sampleAxes[name] ?? 0;
    const inner = elementCount(shape.slice(axis + 1));
    fail("E0602", `element ${at} of "${name}" is ${elements[at]}, in sample ${Math.floor(at / Math.max(1, inner)) % Math.max(1, shape[axis] ?? 1)}`, { value: name });
  }
}

function checkNames(declared: readonly string[], data: ReadonlyMap<string, TensorType>, axes: Readonly<Record<string, number>>): void {
  const known = [...declared, targetName];
  const wanted = `The model wants ${declared.map((name) => `"${name}"`).join(", ") || "no inputs"}${declared.length > 0 ? ` and "${targetName}"` : ` and, where the loss does not tend to 0, "${targetName}"`}.`;
  for (const name of data.keys()) if (!known.includes(name)) fail("E0601", `the data holds "${name}", which the model does not take`, { value: name }, [wanted]);
  for (const name of declared.length === 0 ? [] : known) if (!data.has(name)) fail("E0601", `the data holds no "${name}"`, { value: name }, [wanted]);
  for (const [name, axis] of Object.entries(axes)) {
    const shape = data.get(name)?.shape ?? fail("E0603", `--sample-axis names "${name}", which the data does not hold`);
    if (axis >= shape.length) fail("E0603", `--sample-axis ${name}=${axis}: "${name}" is of rank ${shape.length}`);
  }
}

function sampleCountOf(data: ReadonlyMap<string, TensorType>, axisOf: (name: string) => number): number | undefined {
  const counts = [...data].map(([name, { shape }]) => [name, shape[axisOf(name)] ?? fail("E0602", `"${name}" is a single number; the first axis counts the samples`, { value: name })] as const);
  const [first] = counts;
  const other = counts.find(([, count]) => count !== first![1]);
  if (other !== undefined) fail("E0602", `"${first![0]}" holds ${first![1]} samples, "${other[0]}" ${other[1]}`, {}, ["All data sets hold the same samples; --sample-axis NAME=AXIS says which axis counts them."]);
  return first?.[1];
}

function checkTypes({ inputs }: ImportedModel, data: ReadonlyMap<string, TensorType>): void {
  for (const { name, type } of inputs) {
    const given = data.get(name)!;
    if (given.dtype !== type.dtype) fail("E0602", `input "${name}" is ${type.dtype}, the data is ${formatType(given)}`, { value: name });
  }
}

function onlyOutput(model: ImportedModel): string {
  const [first, ...others] = model.outputs;
  if (first === undefined || others.length > 0) return fail("E0603", `the model has ${model.outputs.length} outputs`, {}, [`Say which one the loss is taken at: ${model.outputs.map(({ name }) => name).join(", ")}.`]);
  return first.name;
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Partial<Pick<T, K>>;
}
