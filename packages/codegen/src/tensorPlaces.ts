/**
 * @file The tensors of one kernel as buffers. In external memory each has one, and tensors of the same bytes share it. In the data cache tensors may be pieces of one
 * vector and overlap; there a buffer may not be used any more when another one covers it, so what overlaps shares a buffer.
 */
import { internal } from "@systole/base";
import { accessesOf, type Kernel, type PlacedTensor, type TensorMemory } from "@systole/scheduler";

export interface Region {
  readonly memory: TensorMemory;
  readonly address: number;
  readonly bytes: number;
}

/** Where a tensor lies in its region. */
export interface TensorPlace {
  readonly region: Region;
  readonly offset: number;
  readonly row?: { readonly register: number; readonly strideBytes: number; readonly count: number };
}

export class TensorPlaces {
  readonly #places = new Map<number, TensorPlace>();

  constructor(kernel: Kernel, tensors: ReadonlyMap<number, PlacedTensor>, registerOf: (scalar: string) => number) {
    const ids = new Set(accessesOf(kernel).map((access) => access.tensor.id));
    const used = [...ids].map((id) => tensors.get(id) ?? internal(`tensor ${id} of ${kernel.name} has no place`));
    const shared = merged(used.filter(({ memory }) => memory === "cache").map(regionOf));
    const external = new Map<string, Region>();
    const sameBytes = (own: Region): Region => {
      const key = `${own.address} ${own.bytes}`;
      const known = external.get(key) ?? own;
      external.set(key, known);
      return known;
    };
    for (const tensor of used) {
      const own = regionOf(tensor);
      const region = tensor.memory === "cache" ? shared.find((r) => r.address <= own.address && own.address + own.bytes <= r.address + r.bytes) ?? internal(`tensor ${tensor.name} lies in no region`) : sameBytes(own);
      const { row } = tensor;
      this.#places.set(tensor.id, {
        region, offset: own.address - region.address,
        ...(row === undefined ? {} : { row: { register: registerOf(row.scalar), strideBytes: row.strideBytes, count: row.count } }),
      });
    }
  }

  of(id: number): TensorPlace {
    return this.#places.get(id) ?? internal(`tensor ${id} has no place`);
  }
}

/** With all rows. */
function regionOf({ memory, address, bytes, row }: PlacedTensor): Region {
  return { memory: memory ?? "external", address, bytes: Math.max(1, bytes) + (row === undefined ? 0 : row.strideBytes * (row.count - 1)) };
}

function merged(regions: readonly Region[]): readonly Region[] {
  const result: Region[] = [];
  for (const region of [...regions].sort((a, b) => a.address - b.address)) {
    const last = result.at(-1);
    if (last === undefined || last.address + last.bytes <= region.address) result.push(region);
    else result[result.length - 1] = { ...last, bytes: Math.max(last.bytes, region.address + region.bytes - last.address) };
  }
  return result;
}
