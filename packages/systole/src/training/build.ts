/**
 * @file ONNX bytes and the types of the data to a training program:
 *
 *     ONNX bytes -> network over a micro-batch, at its scores -> Problem -> ir.Program
 */
import { elementCount, fail, formatType, isFloat, tensor, type Tensor, type TensorType } from "@systole/base";
import { declaredInputs, dropoutInputs, importModel, type DropoutMasks, type ImportedModel, type ImportOptions } from "@systole/frontend-onnx";
import { isWeighed, totalWeight, type Program } from "@systole/ir";
import type { Problem, Profile } from "@systole/training";
import { attachLosses, hasClassNumbers, lossInputs, pieceOf, plainDivisorOf, type AttachedLoss, type LossChoice, type LossInputs } from "../lossPieces.ts";
import { trainedParameters } from "../trained.ts";
import { checkOptions, profileOf, programOf, type AlgorithmOptions } from "./algorithm.ts";
import { planBatches, type BatchOptions, type Batches } from "./batches.ts";

/** What a network, its loss and its data are. */
export interface ProblemOptions extends Omit<ImportOptions, "batch" | "shapes" | "dropout">, LossChoice {
  readonly freeze?: readonly string[];
  /** Which axis of an input, target or mask counts the samples; 0 when missing, of a mask that of its target. */
  readonly sampleAxes?: Readonly<Record<string, number>>;
}

export interface TrainingOptions extends ProblemOptions, AlgorithmOptions {}

export interface BuiltProblem {
  readonly model: ImportedModel;
  readonly problem: Problem;
  readonly batches: Batches;
  readonly losses: readonly TrainedLoss[];
  readonly notes: readonly string[];
}

export interface TrainedLoss extends AttachedLoss {
  /** What the loss of a micro-batch is divided by. Where masks or weights make samples differ it is the mean over all micro-batches: then the mean of the micro-batches' losses is that of all data. */
  readonly divisor: number;
}

/** Data by name. Types are enough, but where masks, class weights or an ignored class decide what takes part, elements are wanted. */
export type TrainingData = ReadonlyMap<string, TensorType | Tensor>;

export interface BuiltTraining extends BuiltProblem {
  readonly profile: Profile | undefined;
  readonly program: Program;
}

export function typesOf(data: ReadonlyMap<string, Tensor>): Map<string, TensorType> {
  return new Map([...data].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
}

export function buildTraining(bytes: Uint8Array, data: TrainingData, options: TrainingOptions): BuiltTraining {
  checkOptions(options);
  const profile = profileOf(options);
  const built = buildProblem(bytes, data, options, { ...batchDefaults(profile), ...pick(options, ["microBatch", "gradientBatch", "curvatureBatch"]) }, { seed: BigInt(options.seed ?? 0), varying: true });
  return { ...built, profile, ...programOf(built.problem, built.losses[0]!.divisor, built.batches, options) };
}

/** Undefined: an algorithm of mini-batches. */
function batchDefaults(profile: Profile | undefined): Pick<BatchOptions, "curvaturePart" | "defaultBatch"> {
  if (profile === undefined) return { curvaturePart: 1, defaultBatch: 64 };
  return { curvaturePart: { "device-text": 1, rnn: 1 / 10 }[profile.name] ?? 1 / 8 };
}

/** `cuts` says how batches are chosen. Dropout in training form is left out where nothing else is said. */
export function buildProblem(bytes: Uint8Array, data: TrainingData, options: ProblemOptions, cuts: Partial<BatchOptions>, dropout: "off" | DropoutMasks = "off"): BuiltProblem {
  const declared = declaredInputs(bytes, options.fileName);
  const names = declared.map(({ name }) => name);
  const wanted = lossInputs(options);
  const axes = options.sampleAxes ?? {};
  const targetOf = (name: string): string => wanted.find(({ mask }) => mask === name)?.target ?? name;
  const axisOf = (name: string): number => axes[name] ?? axes[targetOf(name)] ?? 0;
  checkNames(names, wanted, options.targetMask !== undefined, data, axes);
  const counted = sampleCountOf(data, axisOf);
  const fixed = declared.flatMap(({ name, extents }) => extents?.[axisOf(name)] ?? []);
  if (new Set(fixed).size > 1) fail("E0203", `the inputs of the model take ${[...new Set(fixed)].join(" and ")} samples at a time`, {}, ["Say with --sample-axis which axis counts them."]);
  // Without data inputs there is one sample: the parameters themselves.
  const batches = planBatches({ curvaturePart: 1, ...cuts, sampleCount: counted ?? 1, ...(fixed[0] === undefined ? {} : { fixed: fixed[0] }) });
  const microType = (name: string): TensorType => {
    const { dtype, shape } = data.get(name)!;
    return { dtype, shape: shape.map((extent, axis) => (axis === axisOf(name) ? batches.microBatch : extent)) };
  };
  const masks = dropout === "off" ? dropout : { ...dropout, sampleAxes: Object.fromEntries(names.map((name) => [name, axisOf(name)])) };
  const model = importModel(bytes, { ...options, dropout: masks, shapes: Object.fromEntries(names.map((name) => [name, microType(name).shape])) });
  checkTypes(model, data);
  const { network, losses: attached } = attachLosses(model, options, (name) => (data.has(name) && (!names.includes(name) || wanted.some(({ target }) => target === name)) ? microType(name) : undefined));
  const { trained, notes } = trainedParameters(network, options.freeze);
  const losses = attached.map((loss): TrainedLoss => ({ ...loss, divisor: divisorOf(loss, (name) => firstSamples(data.get(name), axisOf(name), batches.sampleCount), batches) }));
  const ofLoss = losses.flatMap(({ target, targetInput, mask, maskInput, own }) => [
    ...(own !== undefined || targetInput === undefined || names.includes(targetInput) ? [] : [{ name: targetInput, type: target, axis: axisOf(targetInput) }]), ...(mask === undefined ? [] : [{ name: maskInput!, type: mask, axis: axisOf(maskInput!) }]),
  ]);
  const problem: Problem = {
    name: network.name === "" ? "network" : network.name, network, pieces: losses.map((loss) => pieceOf(model, loss, isWeighed(loss) ? loss.divisor : undefined)), trained, sampleCount: batches.sampleCount,
    microBatch: batches.microBatch, masks: dropoutInputs, samples: [...model.inputs.map(({ name, type }) => ({ name, type, axis: axisOf(name) })), ...ofLoss],
  };
  return { model, problem, batches, losses, notes: [...model.warnings, ...notes, ...batches.notes] };
}

/** Also refuses class numbers that are none, and data of which nothing takes part. `samplesOf`: the samples that are used, counted by the first axis. */
function divisorOf(loss: AttachedLoss, samplesOf: (name: string) => TensorType | Tensor | undefined, { sampleCount, microBatch }: Batches): number {
  const [target, mask] = [loss.targetInput, loss.maskInput].map((name) => (name === undefined ? undefined : samplesOf(name)));
  const known = (one: TensorType | Tensor | undefined): one is Tensor | undefined => one === undefined || "data" in one;
  const complete = known(target) && known(mask) && (target !== undefined || !hasClassNumbers(loss));
  if (complete && (isWeighed(loss) || hasClassNumbers(loss))) {
    const sum = totalWeight(loss, target, mask);
    return isWeighed(loss) && !loss.isSum ? (sum * microBatch) / sampleCount : plainDivisorOf(loss);
  }
  if (isWeighed(loss) && !loss.isSum) fail("E0601", `the target of output "${loss.output}" must be at hand: masks, class weights or an ignored class decide how many of its places count`, { value: loss.targetInput ?? loss.output });
  return plainDivisorOf(loss);
}

function firstSamples(given: TensorType | Tensor | undefined, axis: number, count: number): TensorType | Tensor | undefined {
  return given !== undefined && "data" in given ? samplesFirst(given, axis, count) : given;
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

function checkNames(declared: readonly string[], losses: readonly LossInputs[], maskWanted: boolean, data: ReadonlyMap<string, TensorType>, axes: Readonly<Record<string, number>>): void {
  const targets = losses.flatMap(({ target }) => target ?? []);
  const masks = losses.flatMap(({ mask }) => mask ?? []);
  const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
  const wanted = declared.length > 0
    ? `The model and its loss want ${quoted([...declared, ...targets])}${masks.length > 0 ? `, and may have ${quoted(masks)}` : ""}.`
    : `The model wants no inputs and, where the loss does not tend to 0, ${quoted(targets)}.`;
  const known = [...declared, ...targets, ...masks];
  const taken = maskWanted ? masks.find((name) => declared.includes(name)) : undefined;
  if (taken !== undefined) fail("E0603", `--target-mask ${taken}: that is an input of the model`, { value: taken });
  for (const name of data.keys()) if (!known.includes(name)) fail("E0601", `the data holds "${name}", which the model does not take`, { value: name }, [wanted]);
  for (const name of [...(declared.length === 0 ? [] : [...declared, ...targets]), ...(maskWanted ? masks : [])]) if (!data.has(name)) fail("E0601", `the data holds no "${name}"`, { value: name }, [wanted]);
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

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Partial<Pick<T, K>>;
}
