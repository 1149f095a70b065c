/**
 * @file Trained parameters back into a model: the initializers of these names are written anew, every other byte of the file stays as it is, also
 * what our message classes do not know.
 */
import { fail, formatType, sameShape, type Tensor } from "@systole/base";
import { decodeModelProto, decodeTensorProto } from "./proto.ts";
import { encodeTensor, tensorTypeOf } from "./tensors.ts";

/** Field numbers of the standard's messages. */
const graphField = 7;
const initializerField = 5;

const lengthDelimited = 2;

/** E0601 for a name that is no initializer, E0602 for another type than the model has. External data becomes part of the file. */
export function replaceParameters(model: Uint8Array, parameters: ReadonlyMap<string, Tensor>): Uint8Array {
  decodeModelProto(model);
  const missing = new Set(parameters.keys());
  const written = rewrite(model, graphField, (graph) =>
    rewrite(graph, initializerField, (bytes) => {
      const proto = decodeTensorProto(bytes);
      const tensor = parameters.get(proto.name ?? "");
      if (tensor === undefined) return bytes;
      const type = tensorTypeOf(proto);
      if (tensor.dtype !== type.dtype || !sameShape(tensor.shape, type.shape)) fail("E0602", `parameter "${proto.name}" is ${formatType(type)}, given is ${formatType(tensor)}`, { value: proto.name ?? "" });
      missing.delete(proto.name ?? "");
      return encodeTensor(tensor, proto.name ?? "");
    }),
  );
  for (const name of missing) fail("E0601", `the model has no initializer "${name}"`, { value: name });
  return written;
}

/** The message with every field number `wanted` changed; all others keep their bytes and their order. */
function rewrite(message: Uint8Array, wanted: number, change: (content: Uint8Array) => Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < message.length; ) {
    const begin = at;
    const key = readVarint(message, at);
    at = key.end;
    const wire = key.value % 8;
    if (wire === lengthDelimited) {
      const length = readVarint(message, at);
      at = length.end + length.value;
      if (Math.floor(key.value / 8) === wanted) {
        const content = change(message.subarray(length.end, at));
        parts.push(message.subarray(begin, key.end), varint(content.length), content);
        continue;
      }
    } else if (wire === 0) at = readVarint(message, at).end;
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else fail("E0102", `field of wire type ${wire}`);
    parts.push(message.subarray(begin, at));
  }
  return joined(parts);
}

function readVarint(bytes: Uint8Array, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let scale = 1;
  for (let at = from; at < bytes.length; at++) {
    value += (bytes[at]! & 0x7f) * scale;
    scale *= 128;
    if (bytes[at]! < 0x80) return { value, end: at + 1 };
  }
  return fail("E0102", "the file ends inside a number");
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
