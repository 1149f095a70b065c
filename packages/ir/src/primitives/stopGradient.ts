/** @file `stop_gradient`: the identity, whose derivative is 0. */
import { requireOperands, type NoParams } from "./checks.ts";
import { noTangents, type Primitive } from "./primitive.ts";

export const stopGradient: Primitive<NoParams> = {
  name: "stop_gradient",
  doc: "x, whose derivative counts as 0.",
  operands: ["x"],
  infer(inputs) {
    requireOperands("stop_gradient", inputs, 1);
    return [inputs[0]!];
  },
  evaluate: ([x]) => [x!],
  jvp: noTangents,
};
