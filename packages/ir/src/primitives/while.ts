/** @file `while`: a body applied as long as a condition holds. */
import { formatType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { outputTypes, requireBody, requireCount, requireSignature } from "./body.ts";
import { require } from "./checks.ts";
import type { Primitive } from "./primitive.ts";

export interface WhileParams {
  /** Takes constants and carries; one result, bool[]. */
  readonly condition: Graph;
  /** Takes constants and carries; results: the next carries. */
  readonly body: Graph;
  /** How many operands are the same in every step; they come first, the others are carried. */
  readonly consts: number;
}

export const whileLoop: Primitive<WhileParams> = {
  name: "while",
  doc: "Applies `body` to constants and carries as long as `condition` of them holds; results: the last carries. Has a tangent but cannot be turned round, and the device does not run it: the number of steps depends on data.",
  operands: ["operands..."],
  infer(inputs, { condition, body, consts }) {
    requireCount("while: consts", consts, inputs.length);
    requireBody("the condition of while", condition, inputs);
    const results = outputTypes(condition);
    require(results.length === 1 && results[0]!.dtype === "bool" && results[0]!.shape.length === 0, () => `while: the condition gives ${results.map(formatType).join(", ")}, wanted bool[]`);
    requireBody("the body of while", body, inputs);
    requireSignature("carries out of the body of while", outputTypes(body), inputs.slice(consts));
    return inputs.slice(consts);
  },
  evaluate(inputs, { condition, body, consts }, _precision, run) {
    const fixed = inputs.slice(0, consts);
    let carries = inputs.slice(consts);
    while (Number(run(condition, [...fixed, ...carries])[0]!.data[0]) !== 0) carries = [...run(body, [...fixed, ...carries])];
    return carries;
  },
};
