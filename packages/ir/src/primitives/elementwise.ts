/** @file The elementwise primitives, one per row of the table in base; `convert` has a file of its own. */
import { applyElementwise, elementwiseDefined, elementwiseNames, elementwiseOps, elementwiseResult, formatType, type ElementwiseName, type Tensor, type TensorType } from "@systole/base";
import { require, requireDtype, requireOperands, requireSameDtype, requireShape, type NoParams } from "./checks.ts";
import { elementwiseDerivatives } from "./elementwiseDerivatives.ts";
import type { Precision, Primitive } from "./primitive.ts";
import { tensorLike } from "./strided.ts";

/** `copy` is a stage of the vector unit and, as a primitive, the identity. */
export type ElementwisePrimitiveName = Exclude<ElementwiseName, "convert">;

const operandNames = [["x"], ["a", "b"], ["condition", "a", "b"]] as const;

function infer(name: ElementwisePrimitiveName, inputs: readonly TensorType[]): readonly TensorType[] {
  requireOperands(name, inputs, elementwiseOps[name].arity);
  const values = name === "select" ? inputs.slice(1) : inputs;
  const first = values[0]!;
  if (name === "select") requireDtype(name, "the condition", inputs[0]!, ["bool"]);
  require(elementwiseDefined(name, first.dtype), () => `${name} is not defined for ${formatType(first)}`);
  for (const value of values) requireSameDtype(name, first, value);
  for (const value of inputs) requireShape(name, "an operand", value.shape, first.shape);
  return [{ dtype: elementwiseResult(name, first.dtype), shape: first.shape }];
}

function evaluate(name: ElementwisePrimitiveName, inputs: readonly Tensor[], precision: Precision): readonly Tensor[] {
  const value = inputs.at(-1)!;
  const result = tensorLike(value.shape, elementwiseResult(name, value.dtype), precision);
  applyElementwise(name, value.dtype, result.dtype, inputs.map((x) => x.data), result.data, precision);
  return [result];
}

function elementwise(name: ElementwisePrimitiveName): Primitive<NoParams> {
  const { doc, arity } = elementwiseOps[name];
  return {
    name,
    doc: `Elementwise: ${doc}.`,
    operands: operandNames[arity - 1]!,
    infer: (inputs) => infer(name, inputs),
    evaluate: (inputs, _params, precision) => evaluate(name, inputs, precision),
    ...elementwiseDerivatives(name),
  };
}

export const elementwisePrimitiveNames = elementwiseNames.filter((name): name is ElementwisePrimitiveName => name !== "convert");

export const elementwisePrimitives = Object.fromEntries(
  elementwisePrimitiveNames.map((name) => [name, elementwise(name)]),
) as Readonly<Record<ElementwisePrimitiveName, Primitive<NoParams>>>;

export function isElementwise(op: string): op is ElementwisePrimitiveName {
  return Object.hasOwn(elementwisePrimitives, op);
}
