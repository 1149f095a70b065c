import { allocate, dtypes, elementCount, InputError, tensor, type Dtype, type Tensor } from "@systole/systole";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readNpy, writeNpy } from "../src/index.ts";

const anyTensor: fc.Arbitrary<Tensor> = fc.record({
  dtype: fc.constantFrom(...(Object.keys(dtypes) as Dtype[])),
  shape: fc.array(fc.nat(4), { maxLength: 4 }),
  seed: fc.nat(),
}).map(({ dtype, shape, seed }) => {
  const data = allocate(dtype, elementCount(shape));
  for (let i = 0; i < data.length; i++) {
    const value = (seed + i * 7) % (dtype === "bool" ? 2 : 100);
    if (data instanceof BigInt64Array) data[i] = BigInt(value);
    else data[i] = value;
  }
  return { dtype, shape, data };
});

/** A file as NumPy 2 writes it. */
function fileOf(header: string, elements: Uint8Array, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = version === 1 ? [text.length & 0xff, text.length >> 8] : [text.length & 0xff, text.length >> 8, 0, 0];
  return new Uint8Array([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...length, ...text, ...elements]);
}

describe(".npy files", () => {
  it("round-trip", () => {
    fc.assert(fc.property(anyTensor, (t) => {
      const bytes = writeNpy(t);
      expect(readNpy(bytes, "x.npy")).toEqual(t);
      // NumPy maps files whose elements begin at a multiple of 64.
      expect((bytes.length - t.data.byteLength) % 64).toBe(0);
    }));
  });

  it("are read in Fortran order and in versions 2 and 3", () => {
    const elements = new Uint8Array(Float32Array.of(1, 4, 2, 5, 3, 6).buffer);
    for (const version of [2, 3]) {
      const read = readNpy(fileOf("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", elements, version), "x.npy");
      expect(read).toEqual(tensor("f32", [2, 3], [1, 2, 3, 4, 5, 6]));
    }
  });

  it("of other kinds are refused with what would be accepted", () => {
    const refused = (bytes: Uint8Array): string => {
      try {
        readNpy(bytes, "x.npy");
      } catch (error) {
        if (error instanceof InputError) return error.message;
        throw error;
      }
      return "read";
    };
    const plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
    expect(refused(fileOf(plain.replace("<f4", ">f4"), new Uint8Array(8)))).toContain("elements of type \">f4\"");
    expect(refused(fileOf(plain, new Uint8Array(7)))).toContain("7 bytes of elements");
    expect(refused(fileOf(plain, new Uint8Array(8), 4))).toContain("format version 4");
    expect(refused(new Uint8Array(3))).toContain("not a .npy file");
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => refused(fileOf(plain, new Uint8Array(8)).map((byte, i) => byte ^ (noise[i] ?? 0))) !== ""));
  });
});
