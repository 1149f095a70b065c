/** @file Element types. Widths are counted in bytes everywhere; the table below is the only place they stand. */

/** One element type: how wide it is, what kind of number it holds and which typed array stores it. */
export interface DtypeInfo {
  readonly bytes: number;
  readonly kind: "float" | "integer" | "boolean";
  readonly doc: string;
}

export const dtypes = {
  f32: { bytes: 4, kind: "float", doc: "IEEE 754 binary32; the format of activations and weights" },
  f64: { bytes: 8, kind: "float", doc: "IEEE 754 binary64; scalar registers and the block sums of long reductions" },
  i64: { bytes: 8, kind: "integer", doc: "64-bit two's complement, wraps" },
  i32: { bytes: 4, kind: "integer", doc: "32-bit two's complement, wraps" },
  i8: { bytes: 1, kind: "integer", doc: "8-bit two's complement, wraps" },
  u8: { bytes: 1, kind: "integer", doc: "8-bit unsigned, wraps" },
  bool: { bytes: 1, kind: "boolean", doc: "one byte, 0 or 1" },
} as const satisfies Record<string, DtypeInfo>;

export type Dtype = keyof typeof dtypes;

/** The element types in the order of their codes in an image. */
export const dtypeNames = Object.keys(dtypes) as readonly Dtype[];

export type NumericArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array;

export function bytesOf(dtype: Dtype): number {
  return dtypes[dtype].bytes;
}

export function isFloat(dtype: Dtype): boolean {
  return dtypes[dtype].kind === "float";
}

export function isInteger(dtype: Dtype): boolean {
  return dtypes[dtype].kind === "integer";
}

export function isDtype(text: string): text is Dtype {
  return Object.hasOwn(dtypes, text);
}

/** A zeroed array of `length` elements. */
export function allocate(dtype: Dtype, length: number): NumericArray {
  switch (dtype) {
    case "f32": return new Float32Array(length);
    case "f64": return new Float64Array(length);
    case "i64": return new BigInt64Array(length);
    case "i32": return new Int32Array(length);
    case "i8": return new Int8Array(length);
    case "u8":
    case "bool": return new Uint8Array(length);
  }
}

/** A typed view of `length` elements at `byteOffset`, which must be a multiple of the element's width. */
export function viewOf(dtype: Dtype, buffer: ArrayBufferLike, byteOffset: number, length: number): NumericArray {
  switch (dtype) {
    case "f32": return new Float32Array(buffer, byteOffset, length);
    case "f64": return new Float64Array(buffer, byteOffset, length);
    case "i64": return new BigInt64Array(buffer, byteOffset, length);
    case "i32": return new Int32Array(buffer, byteOffset, length);
    case "i8": return new Int8Array(buffer, byteOffset, length);
    case "u8":
    case "bool": return new Uint8Array(buffer, byteOffset, length);
  }
}
