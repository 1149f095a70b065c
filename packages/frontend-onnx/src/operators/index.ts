/** @file THE table of operators: what the import understands, and what the documentation and `systole operators` say. */
import { activationOperators } from "./activations.ts";
import { attentionOperators } from "./attention.ts";
import { controlOperators } from "./control.ts";
import { convolutionOperators } from "./convolution.ts";
import { derivativeOf, type Derivative } from "./derivatives.ts";
import { elementwiseOperators } from "./elementwise.ts";
import { indexingOperators } from "./indexing.ts";
import { lossOperators } from "./losses.ts";
import { matmulOperators } from "./matmul.ts";
import { normalizationOperators } from "./normalization.ts";
import type { Operator } from "./operator.ts";
import { poolingOperators } from "./pooling.ts";
import { recurrentOperators } from "./recurrent.ts";
import { reductionOperators } from "./reductions.ts";
import { resizeOperators } from "./resize.ts";
import { schemas, type SchemaSpan } from "./schemas.ts";
import { shapeOperators } from "./shapes.ts";
import { sourceOperators } from "./sources.ts";

const operators: ReadonlyMap<string, Operator> = new Map(
  [
    activationOperators, attentionOperators, controlOperators, convolutionOperators, elementwiseOperators, indexingOperators, lossOperators, matmulOperators,
    normalizationOperators, poolingOperators, recurrentOperators, reductionOperators, resizeOperators, shapeOperators, sourceOperators,
  ].flat().map((one) => [one.name, one]),
);

/** One row of the documentation. */
export interface OperatorRow {
  readonly name: string;
  /** Empty: the default domain `ai.onnx`. */
  readonly domain: string;
  /** Versions of the operator that are told apart or known to mean the same. */
  readonly since: readonly number[];
  readonly constraints: string;
  /** Whether tangents, cotangents and Gauss-Newton products go through it. */
  readonly derivative: Derivative;
}

export const operatorTable: readonly OperatorRow[] = [...operators.values()]
  .map(({ name, constraints }) => ({ name, domain: "", since: (schemas[name] ?? []).flatMap((span) => span.since), constraints, derivative: derivativeOf(name) }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

export function findOperator(name: string): Operator | undefined {
  return operators.get(name);
}

/** What the standard says about the operator in this opset; undefined where it does not exist in it. */
export function schemaOf(name: string, opset: number): SchemaSpan | undefined {
  return schemas[name]?.findLast((span) => span.since[0]! <= opset);
}
