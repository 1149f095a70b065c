/** @file Constants: bits of a fill value, splats, finiteness. */
import { allocate, bytesOf, fail, type Dtype, type Tensor } from "@systole/base";
import type { Origin } from "@systole/ir";

/** The low 32 bits of a value in its element type, as `ld` takes them. */
export function bitsOf(value: number | bigint, dtype: Dtype, origin: Origin): number {
  const array = allocate(dtype, 1);
  (array as { [index: number]: number | bigint })[0] = dtype === "i64" ? BigInt(value) : Number(value);
  const bytes = new Uint8Array(8);
  bytes.set(new Uint8Array(array.buffer));
  const view = new DataView(bytes.buffer);
  if (bytesOf(dtype) === 8 && view.getInt32(4, true) !== (dtype === "i64" ? view.getInt32(0, true) >> 31 : 0)) {
    return fail("E0303", `the fill value ${value} of type ${dtype} does not fit a load instruction`, { node: origin.node, operator: origin.operator });
  }
  return view.getUint32(0, true);
}

/** The value whose low 32 bits these are. */
export function valueOfBits(bits: number, dtype: Dtype): number | bigint {
  if (dtype === "f32") return new Float32Array(new Uint32Array([bits]).buffer)[0]!;
  return dtype === "i64" ? BigInt(bits | 0) : bits | 0;
}

export function isSplat(t: Tensor): boolean {
  const bytes = new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
  const width = bytesOf(t.dtype);
  for (let i = width; i < bytes.length; i++) if (bytes[i] !== bytes[i - width]) return false;
  return true;
}

export function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
