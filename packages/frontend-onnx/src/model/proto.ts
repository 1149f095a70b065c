/** @file The protobuf messages of ONNX and their decoding. Whatever the bytes hold, the outcome is a message or E0102. */
import { fail, InputError } from "@systole/base";
// CommonJS whose names Node cannot detect: the default import is the module object in Node and under Vite.
import proto from "onnx-proto";
import type { onnx as Onnx } from "onnx-proto";

export type ModelProto = Onnx.IModelProto;
export type GraphProto = Onnx.IGraphProto;
export type NodeProto = Onnx.INodeProto;
export type TensorProto = Onnx.ITensorProto;
export type AttributeProto = Onnx.IAttributeProto;
export type ValueInfoProto = Onnx.IValueInfoProto;
export type FunctionProto = Onnx.IFunctionProto;
/** protobufjs gives 64-bit integers as Long objects. */
export type Integer64 = number | { readonly low: number; readonly high: number };

export const messages = proto.onnx;

/** The numbers of AttributeProto.type. */
export const attributeTypes = { undefined: 0, float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8, sparse: 11 } as const;

export function decodeModelProto(bytes: Uint8Array, file?: string): ModelProto {
  const model = decode("ONNX model", () => messages.ModelProto.decode(bytes), file);
  const where = file === undefined ? {} : { file };
  if (Number(longToBigInt(model.irVersion ?? 0)) < 1) fail("E0102", "the file has no ir_version; it is not an ONNX model", where);
  if (model.graph === null || model.graph === undefined) fail("E0102", "the model has no graph", where);
  return model;
}

export function decodeTensorProto(bytes: Uint8Array): TensorProto {
  return decode("ONNX tensor", () => messages.TensorProto.decode(bytes));
}

export function longToBigInt(value: Integer64): bigint {
  if (typeof value === "number") return BigInt(Number.isFinite(value) ? Math.trunc(value) : 0);
  return (BigInt(value.high | 0) << 32n) | BigInt(value.low >>> 0);
}

/** As a plain number; exact up to 2^53, and what lies beyond is refused or clamped by the reader. */
export function longToNumber(value: Integer64): number {
  return Number(longToBigInt(value));
}

export function textOf(bytes: Uint8Array): string {
  // Decoded by hand: packages below the command line assume no host beyond ECMAScript.
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i++]!;
    const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let point = more === 0 ? first : first & (0x3f >> more);
    for (let k = 0; k < more; k++) point = (point << 6) | ((bytes[i++] ?? 0) & 0x3f);
    text += String.fromCodePoint(point <= 0x10ffff ? point : 0xfffd);
  }
  return text;
}

/**
 * The default values of a function's attributes (FunctionProto field 11), which the message classes at hand are too old to know.
 * Keyed by the function's place in the model.
 */
export function functionDefaults(model: Uint8Array): ReadonlyMap<number, readonly AttributeProto[]> {
  const result = new Map<number, readonly AttributeProto[]>();
  let index = 0;
  for (const functionBytes of fields(model, 25)) {
    const defaults = [...fields(functionBytes, 11)].map((bytes) => decode("ONNX function", () => messages.AttributeProto.decode(bytes)));
    result.set(index++, defaults);
  }
  return result;
}

/** The length-delimited fields with number `wanted` of a message, in order. */
function* fields(bytes: Uint8Array, wanted: number): Generator<Uint8Array> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return value;
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key % 8;
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = varint();
      if (Math.floor(key / 8) === wanted) yield bytes.subarray(at, at + length);
      at += length;
    } else return;
  }
}

function decode<T>(what: string, body: () => T, file?: string): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof InputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return fail("E0102", `not a valid ${what}: ${reason}`, file === undefined ? {} : { file });
  }
}
