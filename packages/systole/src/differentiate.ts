/**
 * @file Loss, gradient and Gauss-Newton product of a model as one program:
 *
 *     ONNX bytes -> network at its scores -> derived graph -> Schedule -> Image
 *
 * Inputs of the image are the model's inputs, `target` (of several losses `target.OUTPUT`), where there is one `mask`, and, for a product, `v/PARAMETER`; its
 * outputs `loss`, `g/PARAMETER` and `Gv/PARAMETER`, `Jv` (of several losses `Jv/OUTPUT`). Parameters stay parameters: nothing that depends on one is folded.
 */
import type { TensorType } from "@systole/base";
import { importModel } from "@systole/frontend-onnx";
import { deriveLoss, keptBytes, lossGraph, optimizeTrainable, rematerialize, verifyGraph, type Graph, type KeptResidual } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { attachLosses, pieceOf, targetName, type AttachedLoss, type LossChoice } from "./lossPieces.ts";
import { lowerGraph } from "./lower.ts";
import type { Compiled, CompileOptions } from "./stages.ts";
import { trainedParameters } from "./trained.ts";

export interface DifferentiateOptions extends CompileOptions, LossChoice {
  /** Of one loss; a loss inside the model has its own. */
  readonly target?: TensorType;
  /** Masks, and targets of several losses, by the names that `lossInputs` says. */
  readonly lossTypes?: ReadonlyMap<string, TensorType>;
  /** Parameters that stay as they are; `*` stands for any characters. */
  readonly freeze?: readonly string[];
  /** Of the masks of Dropout in training form. */
  readonly seed?: number;
  /** For masks: which axis of an input counts the samples, where it is not the one that a batch is bound to. */
  readonly sampleAxes?: Readonly<Record<string, number>>;
  /** Also the Gauss-Newton product with a direction. */
  readonly product?: boolean;
  /** Cheap values of the forward pass are computed again where derivatives read them instead of being kept; no bit changes. */
  readonly rematerialize?: boolean;
}

export interface Derivatives extends Compiled {
  /** Names of the parameters that are differentiated, in the order of the model. */
  readonly parameters: readonly string[];
  /** The loss alone, for checks against differences. */
  readonly lossGraph: Graph;
  readonly losses: readonly AttachedLoss[];
  /** For the user: of the import, and of options that have no effect. */
  readonly notes: readonly string[];
  /** What the backward part and the product read of the forward values. */
  readonly residuals: readonly KeptResidual[];
  /** Bytes of values that one phase makes and a later one reads, as the program runs. */
  readonly keptBytes: number;
}

export function differentiate(bytes: Uint8Array, machine: Machine, options: DifferentiateOptions): Derivatives {
  const model = importModel(bytes, { dropout: { seed: BigInt(options.seed ?? 0), varying: false, ...(options.sampleAxes === undefined ? {} : { sampleAxes: options.sampleAxes }) }, ...options });
  const { network, losses } = attachLosses(model, options, (name) => options.lossTypes?.get(name) ?? (name === targetName ? options.target : undefined));
  const { trained: parameters, notes } = trainedParameters(network, options.freeze);
  const pieces = losses.map((loss) => pieceOf(model, loss, undefined));
  const { graph: derived, residuals } = deriveLoss(network, pieces, parameters, options.product === true);
  verifyGraph(derived);
  const optimized = optimizeTrainable(derived, options.passes);
  const graph = options.rematerialize === true ? rematerialize.run(optimized) : optimized;
  verifyGraph(graph);
  return { model, notes: [...model.warnings, ...notes], graph, ...lowerGraph(graph, machine, { ...options, batch: 1 }), parameters, lossGraph: lossGraph(network, pieces), losses, residuals, keptBytes: keptBytes(graph) };
}
