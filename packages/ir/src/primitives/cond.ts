/** @file `cond`: one of two bodies, by a condition. */
import { formatType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { outputTypes, requireBody, requireSignature } from "./body.ts";
import { require } from "./checks.ts";
import type { Primitive } from "./primitive.ts";

export interface CondParams {
  /** Both take all operands but the condition, and have results of the same types. */
  readonly onTrue: Graph;
  readonly onFalse: Graph;
}

export const cond: Primitive<CondParams> = {
  name: "cond",
  doc: "The results of `onTrue` where the condition is true, of `onFalse` where not; both take the other operands. Only the chosen body runs; the device computes both and selects.",
  operands: ["condition", "operands..."],
  infer(inputs, params) {
    const condition = inputs[0];
    require(condition !== undefined, () => "cond takes a condition");
    require(condition.dtype === "bool" && condition.shape.length === 0, () => `cond: the condition is ${formatType(condition)}, wanted bool[]`);
    requireBody("`onTrue` of cond", params.onTrue, inputs.slice(1));
    requireBody("`onFalse` of cond", params.onFalse, inputs.slice(1));
    requireSignature("results of `onFalse` of cond", outputTypes(params.onFalse), outputTypes(params.onTrue));
    return outputTypes(params.onTrue);
  },
  evaluate: ([condition, ...operands], params, _precision, run) => run(Number(condition!.data[0]) === 0 ? params.onFalse : params.onTrue, operands),
};
