/** @file How many targets take part: what a mean over all data divides by where masks, class weights or an ignored class make batches differ. */
import { elementCount, fail, numbersOf, type Tensor } from "@systole/base";
import { checkClassNumbers, checkClassWeights, isClassNumbers } from "./crossEntropy.ts";
import type { LossOptions } from "./index.ts";
import { placesOf } from "./loss.ts";

export interface WeighedLoss extends Omit<LossOptions, "divisor"> {
  readonly name: string;
}

/** The loss's own divisor for scores of this shape without masks, weights and ignored classes. */
export function plainDivisor({ name, scores, axis = 1 }: Pick<WeighedLoss, "name" | "scores" | "axis">): number {
  return name === "cross-entropy" ? Math.max(1, elementCount(placesOf({ classAxis: axis }, scores.shape))) : Math.max(1, scores.shape[0]!);
}

/** Whether the divisor depends on data. */
export function isWeighed({ mask, weights, ignoreIndex }: WeighedLoss): boolean {
  return mask !== undefined || weights !== undefined || ignoreIndex !== undefined;
}

/**
 * The sum of the weights of all places of any number of samples, whose first axis counts them: of cross-entropy the places (with class numbers the weights of
 * their classes), of other losses the elements of the mask that are not 0. `loss` has the types for one batch. E0602 where nothing takes part, where the mask
 * holds anything but 0 and 1, or the target a number that is no class.
 */
export function totalWeight(loss: WeighedLoss, target: Tensor | undefined, mask: Tensor | undefined): number {
  if (mask !== undefined) checkZerosAndOnes(mask);
  const sum = weightOf(loss, target, mask);
  return sum > 0 ? sum : fail("E0602", `no target of ${loss.name} takes part: all are masked, ignored or of weight 0`, { value: mask === undefined ? "target" : "mask" });
}

function weightOf(loss: WeighedLoss, target: Tensor | undefined, mask: Tensor | undefined): number {
  const { name, scores, axis = 1, weights, ignoreIndex } = loss;
  if (name !== "cross-entropy") return mask === undefined ? plainDivisor(loss) : numbersOf(mask).reduce((sum, x) => sum + x, 0);
  const numbers = target !== undefined && isClassNumbers(loss.target, scores, axis) ? target.data : undefined;
  if (numbers !== undefined) checkClassNumbers(target!, scores.shape[axis]!, ignoreIndex, mask);
  if (weights !== undefined) checkClassWeights(weights, scores.shape[axis]!);
  const places = target === undefined ? plainDivisor(loss) : target.data.length / (numbers === undefined ? scores.shape[axis]! : 1);
  let sum = 0;
  for (let place = 0; place < places; place++) {
    if (mask !== undefined && Number(mask.data[Math.floor((place * mask.data.length) / places)]) === 0) continue;
    const number = numbers === undefined ? undefined : Number(numbers[place]);
    if (number !== undefined && number === ignoreIndex) continue;
    sum += number === undefined || weights === undefined ? 1 : Number(weights.data[number]);
  }
  return sum;
}

function checkZerosAndOnes(mask: Tensor): void {
  const at = mask.data.findIndex((x: number | bigint) => Number(x) !== 0 && Number(x) !== 1);
  if (at >= 0) fail("E0602", `element ${at} of the mask is ${mask.data[at]}`, { value: "mask" }, ["A mask holds 1 where a target takes part and 0 where not."]);
}
