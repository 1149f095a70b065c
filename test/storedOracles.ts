/** @file How oracle files keep arrays, and the rules that the scripts which make them state too. */
import { allocate, type Dtype, type Tensor } from "@systole/base";

export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Little-endian, in base64; as are all arrays. */
  readonly data: string;
}

/** Names and sizes; vectors over all parameters are in this order. */
export type Parameters = readonly (readonly [name: string, size: number])[];

type Floats = Float32Array | Float64Array;

export const bytesOfText = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

export function tensorOf({ dtype, shape, data }: StoredTensor): Tensor {
  const bytes = bytesOfText(data);
  const values = allocate(dtype, bytes.length / allocate(dtype, 1).BYTES_PER_ELEMENT);
  new Uint8Array(values.buffer).set(bytes);
  return { dtype, shape, data: values };
}

export const length = (values: Iterable<number>): number => Math.sqrt([...values].reduce((sum, x) => sum + x * x, 0));

export const distance = (values: Tensor["data"], wanted: Floats): number => length(wanted.map((x, i) => Number(values[i]) - x));

/** Each parameter with its part of a vector over all of them. */
export function parts(parameters: Parameters, whole: Floats): readonly (readonly [name: string, values: Floats])[] {
  let at = 0;
  return parameters.map(([name, size]) => [name, whole.subarray(at, (at += size))]);
}

/** The direction of the products: each parameter's part of it. */
export function directions(parameters: Parameters): ReadonlyMap<string, Floats> {
  const total = parameters.reduce((sum, [, size]) => sum + size, 0);
  return new Map(parts(parameters, Float64Array.from({ length: total }, (_, place) => (((7 * place + 3) % 11) - 5) / 4)));
}
