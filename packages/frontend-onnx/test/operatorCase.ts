/** @file A case of one operator, and where the random parts of cases come from. */
import { elementCount, tensor, type Dtype, type Tensor } from "@systole/base";
import { i64, randomSource, type AttributeInput } from "./support.ts";

export interface Random {
  readonly int: (least: number, most: number) => number;
  readonly pick: <T>(options: readonly T[]) => T;
  readonly f32: (shape: readonly number[], low?: number, high?: number) => Tensor;
  readonly bool: (shape: readonly number[]) => Tensor;
  readonly i64: (shape: readonly number[], least: number, most: number) => Tensor;
}

export interface Case {
  /** Those whose names begin with "none" are left out in the middle. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  readonly opset?: number;
  /** Inputs that are initializers. */
  readonly fixed?: readonly string[];
  /** Element type of the output "y". */
  readonly result?: Dtype;
  readonly outputs?: readonly string[];
}

export function randomOf(seed: number): Random {
  const next = randomSource(seed);
  const int = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  return {
    int,
    pick: (options) => options[int(0, options.length - 1)]!,
    f32: (shape, low = -3, high = 3) => tensor("f32", shape, Array.from({ length: elementCount(shape) }, () => low + (high - low) * next())),
    bool: (shape) => tensor("bool", shape, Array.from({ length: elementCount(shape) }, () => int(0, 1))),
    i64: (shape, least, most) => i64(Array.from({ length: elementCount(shape) }, () => int(least, most)), shape),
  };
}
