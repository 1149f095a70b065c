/**
 * @file Loss, gradient and Gauss-Newton product of a model as one program:
 *
 *     ONNX bytes -> network at its scores -> derived graph -> Schedule -> Image
 *
 * Inputs of the image are the model's inputs, `target` and, for a product, `v/PARAMETER`; its outputs `loss`, `g/PARAMETER` and
 * `Gv/PARAMETER`, `Jv`. Parameters stay parameters: nothing that depends on one is folded.
 */
import { fail, type TensorType } from "@systole/base";
import { emitImage } from "@systole/codegen";
import { importModel, type ImportedModel } from "@systole/frontend-onnx";
import { buildLossNamed, deriveLoss, lossGraph, optimizeTrainable, trainableParameters, verifyGraph, type Graph, type KeptResidual, type LossPiece } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { schedule, verifySchedule } from "@systole/scheduler";
import { atScores } from "./scores.ts";
import type { Compiled, CompileOptions } from "./stages.ts";

export interface DifferentiateOptions extends CompileOptions {
  readonly loss: string;
  readonly target: TensorType;
  /** The output that the loss is taken at; the only one when missing. */
  readonly output?: string;
  /** Parameters that stay as they are; `*` stands for any characters. */
  readonly freeze?: readonly string[];
  /** Also the Gauss-Newton product with a direction. */
  readonly product?: boolean;
}

export interface Derivatives extends Compiled {
  /** Names of the parameters that are differentiated, in the order of the model. */
  readonly parameters: readonly string[];
  /** The loss alone, for checks against differences. */
  readonly lossGraph: Graph;
  /** Type of the scores that the loss sees. */
  readonly scores: TensorType;
  /** What the backward part and the product read of the forward values. */
  readonly residuals: readonly KeptResidual[];
}

export function differentiate(bytes: Uint8Array, machine: Machine, options: DifferentiateOptions): Derivatives {
  const model = importModel(bytes, options);
  const output = options.output ?? onlyOutput(model);
  const network = atScores(model.graph, output, options.loss);
  const parameters = trainableParameters(network, options.freeze ?? []);
  if (parameters.length === 0) fail("E0209", "the model has no trainable parameters", {}, ["Trainable are float initializers except running statistics; --freeze takes some away."]);
  const scores = network.outputs[0]!.value.type;
  const pieces: readonly LossPiece[] = [{ output, loss: buildLossNamed(options.loss, { scores, target: options.target }) }];
  const { graph: derived, residuals } = deriveLoss(network, pieces, parameters, options.product === true);
  verifyGraph(derived);
  const graph = optimizeTrainable(derived, options.passes);
  verifyGraph(graph);
  const scheduled = schedule(graph, machine, { batch: model.inputs[0]?.type.shape[0] ?? 1, ...options });
  verifySchedule(scheduled, machine);
  return { model, graph, schedule: scheduled, image: emitImage(scheduled, machine), parameters, lossGraph: lossGraph(network, pieces), scores, residuals };
}

function onlyOutput(model: ImportedModel): string {
  const [first, ...others] = model.graph.outputs;
  if (first === undefined || others.length > 0) return fail("E0603", `the model has ${model.graph.outputs.length} outputs`, {}, [`Say which one the loss is taken at: ${model.graph.outputs.map(({ name }) => name).join(", ")}.`]);
  return first.name;
}
