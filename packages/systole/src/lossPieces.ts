/**
 * @file From what a user says about losses to pieces: which output, which loss, where its target and mask come from. A loss inside the model
 * (`model`) is split at its scores, so that curvature is taken there and not at the number that comes out.
 */
import { fail, type Tensor, type TensorType } from "@systole/base";
import type { ImportedModel, ModelLoss } from "@systole/frontend-onnx";
import { buildLossNamed, isClassNumbers, isNode, plainDivisor, removeDeadCode, targetFrom, type Graph, type LossPiece, type Value, type WeighedLoss } from "@systole/ir";
import { logitsBehind, withOutput, withScores } from "./scores.ts";

/** The name for the loss that the model itself holds: SoftmaxCrossEntropyLoss or NegativeLogLikelihoodLoss as the node that makes the output. */
export const modelLoss = "model";

export interface LossAt {
  readonly output: string;
  /** A loss by name, or `model`. */
  readonly loss: string;
}

export interface LossChoice {
  /** One loss, or one for each of several outputs: they are added up. */
  readonly loss: string | readonly LossAt[];
  /** The output that one loss is taken at; the only one when missing. */
  readonly output?: string;
  /** These are for cross-entropy: one weight for each class, a class number that does not take part, the axis of the classes (1 when missing). */
  readonly classWeights?: Tensor;
  readonly ignoreIndex?: number;
  readonly classAxis?: number;
  /** Name of the masks, `mask` when missing. */
  readonly targetMask?: string;
}

/** What a loss reads beside the scores; of several losses each name ends in `.OUTPUT`. */
export interface LossInputs {
  readonly loss: string;
  readonly output: string | undefined;
  /** Undefined where the model has its own. */
  readonly target: string | undefined;
  readonly mask: string | undefined;
}

/** The name of the data set that holds what the network should say, and of the one that says where that counts. */
export const targetName = "target";
export const maskName = "mask";

export function lossInputs({ loss, output, targetMask }: LossChoice): readonly LossInputs[] {
  const all: readonly { readonly loss: string; readonly output: string | undefined }[] = typeof loss === "string" ? [{ loss, output }] : loss;
  if (all.length === 0) fail("E0603", "no loss is given");
  const twice = all.find((one, i) => all.findIndex((other) => other.output === one.output) !== i);
  if (twice !== undefined) fail("E0603", `output "${twice.output}" has two losses`);
  const named = (name: string, at: string | undefined): string => (all.length === 1 ? name : `${name}.${at}`);
  return all.map((one) => ({ ...one, ...(one.loss === modelLoss ? { target: undefined, mask: undefined } : { target: named(targetName, one.output), mask: named(targetMask ?? maskName, one.output) }) }));
}

/** One loss at one output of the network. */
export interface AttachedLoss extends WeighedLoss {
  readonly output: string;
  readonly axis: number;
  /** Names of the inputs that hold target and mask; a target that the model computes has none. */
  readonly targetInput: string | undefined;
  readonly maskInput: string | undefined;
  /** A loss inside the model. */
  readonly own: ModelLoss | undefined;
  /** Not divided at all. */
  readonly isSum: boolean;
}

export interface NetworkWithLosses {
  /** The model cut off at the scores of its losses. */
  readonly network: Graph;
  readonly losses: readonly AttachedLoss[];
}

/** Types of targets and masks by name; a mask that has none is not there. */
type TypeOf = (name: string) => TensorType | undefined;

export function attachLosses(model: ImportedModel, choice: LossChoice, typeOf: TypeOf): NetworkWithLosses {
  const wanted = lossInputs(choice);
  checkClassOptions(choice, wanted);
  const begin: NetworkWithLosses = { network: { ...model.graph, outputs: [] }, losses: [] };
  return withoutClassWeights(wanted.reduce(({ network, losses }, one): NetworkWithLosses => {
    const attached = one.loss === modelLoss ? attachOwn(model, network, one.output) : attachNamed(model, network, one, choice, typeOf);
    return { network: attached.network, losses: [...losses, attached.loss] };
  }, begin));
}

interface Attached {
  /** With the scores as one more output. */
  readonly network: Graph;
  readonly loss: AttachedLoss;
}

function checkClassOptions({ classWeights, ignoreIndex, classAxis }: LossChoice, wanted: readonly LossInputs[]): void {
  const given = Object.entries({ "--class-weights": classWeights, "--ignore-index": ignoreIndex, "--class-axis": classAxis }).find(([, value]) => value !== undefined);
  if (given === undefined || wanted.some(({ loss }) => loss === "cross-entropy")) return;
  fail("E0603", `${given[0]} is for cross-entropy`, {}, ["A loss inside the model says these things itself."]);
}

function attachNamed(model: ImportedModel, before: Graph, { loss: name, output: at, target: targetInput, mask: maskInput }: LossInputs, { classWeights, ignoreIndex, classAxis }: LossChoice, typeOf: TypeOf): Attached {
  const output = at ?? onlyOutput(model);
  const network = withScores(before, model.graph, { output, loss: name, ...(classAxis === undefined ? {} : { classAxis }) });
  const scores = network.outputs.at(-1)!.value.type;
  const target = typeOf(targetInput!) ?? (model.inputs.length === 0 ? scores : fail("E0601", `there is no "${targetInput}"`, { value: targetInput! }, [`${name} compares output "${output}" with it.`]));
  const mask = typeOf(maskInput!);
  const classes = name === "cross-entropy" ? { ...(classWeights === undefined ? {} : { weights: classWeights }), ...(ignoreIndex === undefined ? {} : { ignoreIndex }) } : {};
  return {
    network,
    loss: { name, output, scores, target, axis: classAxis ?? 1, ...classes, ...(mask === undefined ? {} : { mask }), targetInput, maskInput: mask === undefined ? undefined : maskInput, own: undefined, isSum: false },
  };
}

function attachOwn(model: ImportedModel, before: Graph, wanted: string | undefined): Attached {
  const { output, loss } = ownLoss(model, wanted);
  const network = cutAt(before, model.graph, output, loss);
  return { network, loss: ofModel(model.graph, output, loss, network.outputs.at(-1)!.value.type) };
}

/** What only a loss inside the model reads is no parameter of the network. */
function withoutClassWeights({ network, losses }: NetworkWithLosses): NetworkWithLosses {
  const weights = losses.flatMap(({ own }) => own?.weights?.value ?? []);
  if (weights.length === 0) return { network, losses };
  const live = removeDeadCode(network);
  const read = new Set(live.nodes.flatMap((node) => node.inputs));
  return { network: { ...live, parameters: live.parameters.filter(({ value }) => !weights.includes(value) || read.has(value)) }, losses };
}

/** The piece of a loss; `divisor` in place of its own. */
export function pieceOf(model: ImportedModel, loss: AttachedLoss, divisor: number | undefined): LossPiece {
  const { name, output, axis, targetInput, maskInput, own, isSum, ...types } = loss;
  const by = isSum ? 1 : divisor;
  const graph = buildLossNamed(name, { ...types, axis, ...(by === undefined ? {} : { divisor: by }) });
  if (own !== undefined) return { output, loss: targetFrom(model.graph, own.target, graph) };
  const names: Readonly<Record<string, string | undefined>> = { target: targetInput, mask: maskInput };
  return { output, loss: { ...graph, inputs: graph.inputs.map((input) => ({ ...input, name: names[input.name] ?? input.name })) } };
}

/** What the loss divides by where neither masks nor weights make a difference. */
export function plainDivisorOf(loss: AttachedLoss): number {
  return loss.isSum ? 1 : plainDivisor(loss);
}

/** Whether the target holds class numbers. */
export function hasClassNumbers(loss: AttachedLoss): boolean {
  return loss.name === "cross-entropy" && isClassNumbers(loss.target, loss.scores, loss.axis);
}

function onlyOutput({ outputs }: ImportedModel): string {
  const [first, ...others] = outputs;
  if (first === undefined || others.length > 0) return fail("E0603", `the model has ${outputs.length} outputs`, {}, [`Say which one the loss is taken at: ${outputs.map(({ name }) => name).join(", ")}.`]);
  return first.name;
}

// ---- losses inside the model ---------------------------------------------------------------------------------------

function ownLoss({ graph, losses }: ImportedModel, wanted: string | undefined): { readonly output: string; readonly loss: ModelLoss } {
  const made = graph.outputs.flatMap(({ name, value }) => losses.filter(({ result }) => result === value).map((loss) => ({ output: name, loss })));
  const names = made.map(({ output }) => output).join(", ");
  if (wanted !== undefined && graph.outputs.some(({ name }) => name === wanted)) {
    return made.find(({ output }) => output === wanted) ?? fail("E0603", `output "${wanted}" is no loss of the model`, { value: wanted }, [`${modelLoss} wants an output that SoftmaxCrossEntropyLoss or NegativeLogLikelihoodLoss makes${names === "" ? "" : `: ${names}`}.`]);
  }
  if (wanted !== undefined) return fail("E0601", `the model has no output "${wanted}"`, { value: wanted }, [`It has ${graph.outputs.map(({ name }) => name).join(", ")}.`]);
  if (made.length === 1) return made[0]!;
  return fail("E0603", made.length === 0 ? "no output of the model is made by a loss" : `${made.length} outputs of the model are losses`, {}, [
    made.length === 0 ? "SoftmaxCrossEntropyLoss or NegativeLogLikelihoodLoss must be the node that makes the output." : `Say which one with --loss-output, or all that are to be added up with --loss OUTPUT=${modelLoss}: ${names}.`,
  ]);
}

/** The network up to the logits of the loss. */
function cutAt(network: Graph, whole: Graph, output: string, loss: ModelLoss): Graph {
  const where = { node: loss.node.node, operator: loss.node.operator };
  const logits = loss.kind === "logits" ? loss.scores : logitsBehind(whole, loss.scores, "cross-entropy") ?? fail("E0603", "the scores of this loss do not come from LogSoftmax", where, ["Curvature is taken at the logits; use SoftmaxCrossEntropyLoss, or LogSoftmax over axis 1 before it."]);
  return withOutput(network, output, logits, loss.scores.type.shape);
}

function ofModel(graph: Graph, output: string, loss: ModelLoss, scores: TensorType): AttachedLoss {
  const where = { node: loss.node.node, operator: loss.node.operator };
  if (loss.reduction === "none") fail("E0603", `a loss with reduction "none" is not one number`, where, [`accepted: "mean", "sum"`]);
  const weights = loss.weights === undefined ? undefined : loss.weights.tensor ?? fail("E0603", "class weights that depend on data of the run", where, ["They must be an initializer or a constant."]);
  return {
    name: "cross-entropy", output, scores, target: loss.target.type, axis: 1, ...(weights === undefined ? {} : { weights }), ...(loss.ignoreIndex === undefined ? {} : { ignoreIndex: loss.ignoreIndex }),
    targetInput: inputBehind(graph, loss.target), maskInput: undefined, own: loss, isSum: loss.reduction === "sum",
  };
}

/** The name of the input whose elements are those of the value, one for one. */
function inputBehind(graph: Graph, value: Value): string | undefined {
  const input = graph.inputs.find((one) => one.value === value);
  if (input !== undefined) return input.name;
  const node = graph.nodes.find(({ outputs }) => outputs.includes(value));
  return isNode(node, "reshape") || isNode(node, "convert") ? inputBehind(graph, node.inputs[0]!) : undefined;
}
