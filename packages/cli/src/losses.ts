/** @file What the command line says about losses, for the commands that take derivatives. */
import { fail, isFloat, type LossChoice } from "@systole/systole";
import { InvalidArgumentError, Option, type Command } from "commander";
import { readTensorFile } from "./files/tensorFile.ts";
import { collectLoss, lossChoices, wholeNumber, wholeNumberOfEitherSign, type OfOutput } from "./options.ts";
import { UsageError } from "./usage.ts";

export interface LossFlags {
  readonly loss: readonly OfOutput[];
  readonly lossOutput?: string;
  readonly classWeights?: string;
  readonly ignoreIndex?: number;
  readonly classAxis?: number;
}

export function addLossOptions(command: Command, purpose: string): Command {
  return command
    .addOption(new Option("--loss <[OUTPUT=]name>", `${purpose}: ${lossChoices.join(", ")} (a loss that the model holds itself); once for each output where there are several`).argParser(collectLoss).makeOptionMandatory())
    .option("--loss-output <name>", "the output that the loss is taken at, where there are several")
    .option("--class-weights <FILE.npy>", "of cross-entropy: one weight for each class")
    .option("--ignore-index <n>", "of cross-entropy: a class number that does not take part", wholeNumberOfEitherSign)
    .option("--class-axis <n>", "of cross-entropy: the axis of the classes (default: 1)", positiveAxis);
}

function positiveAxis(text: string): number {
  const axis = wholeNumber(text);
  if (axis < 1) throw new InvalidArgumentError("a whole number from 1 is wanted; axis 0 counts the samples.");
  return axis;
}

export function lossChoice({ loss, lossOutput, classWeights, ignoreIndex, classAxis }: LossFlags): LossChoice {
  const [first] = loss;
  const unnamed = loss.filter(({ output }) => output === undefined);
  if (loss.length > 1 && (unnamed.length > 0 || lossOutput !== undefined)) throw new UsageError("several losses are given as --loss OUTPUT=NAME each");
  if (first!.output !== undefined && lossOutput !== undefined) throw new UsageError("--loss names the output already; --loss-output is too much");
  const output = first!.output ?? lossOutput;
  return {
    loss: loss.length === 1 ? first!.value : loss.map(({ output: at, value }) => ({ output: at!, loss: value })), ...(loss.length > 1 || output === undefined ? {} : { output }),
    ...(classWeights === undefined ? {} : { classWeights: weightsOf(classWeights) }), ...(ignoreIndex === undefined ? {} : { ignoreIndex }), ...(classAxis === undefined ? {} : { classAxis }),
  };
}

function weightsOf(file: string): NonNullable<LossChoice["classWeights"]> {
  const weights = readTensorFile(file);
  const data = Float32Array.from(weights.data as ArrayLike<number>, Number);
  if (!isFloat(weights.dtype) || data.some((x) => !(x >= 0 && x < Infinity))) fail("E0602", "class weights are float numbers from 0", { file });
  return { dtype: "f32", shape: weights.shape, data };
}
