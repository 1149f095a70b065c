/**
 * @file Lower bounds of a kernel's external traffic. Compulsory: every tensor once. A contraction without windows also obeys Hong and Kung
 * (1981) with the constant of COSMA (SC'19): 2MNK/sqrt(S) + MN words, S = data cache and accumulators in words; a convolution reuses
 * its input through the window, so only the compulsory part holds for it, as for a contraction with an operand in the data cache.
 * Tensors in the data cache cost no traffic.
 */
import { bytesOf } from "@systole/base";
import type { Machine } from "@systole/isa";
import { factorsOf, macsOf, outputsOf, readsOf, type Access, type Coordinate, type Kernel } from "./kernel.ts";

export function lowerBoundBytes(kernel: Kernel, machine: Machine): number {
  const resident = (access: Access) => access.tensor.memory === "cache";
  const tensors = new Map(readsOf(kernel).filter((access) => !resident(access)).map((access) => [access.tensor.id, access]));
  const read = [...tensors.values()].reduce((sum, access) => sum + touchedBytes(kernel, access), 0);
  const written = outputsOf(kernel).filter((access) => !resident(access)).reduce((sum, access) => sum + touchedBytes(kernel, access), 0);
  const compulsory = read + written;
  if (kernel.engine.kind !== "contraction" || factorsOf(kernel.engine).some(resident) || kernel.engine.products.some(({ x }) => hasWindow(x))) return compulsory;
  const words = (machine.dataCache.bytes + machine.accumulators.bytes) / 4;
  return Math.max(compulsory, Math.ceil((2 * macsOf(kernel)) / Math.sqrt(words)) * 4 + written);
}

function hasWindow(access: Access): boolean {
  return access.coordinates.some((c) => c.terms.length > 1);
}

/** Distinct elements an access touches, in bytes, whatever memory they lie in: of each coordinate no more than exist, than its range spans, than there are points. */
export function touchedBytes(kernel: Kernel, access: Access): number {
  const extent = (dim: number) => kernel.dims[dim]!.extent;
  const values = (c: Coordinate) => Math.min(c.size, c.terms.reduce((span, t) => span + Math.abs(t.factor) * (extent(t.dim) - 1), 1), c.terms.reduce((points, t) => points * extent(t.dim), 1));
  return access.coordinates.reduce((n, c) => n * (c.stride === 0 ? 1 : values(c)), 1) * bytesOf(access.tensor.type.dtype);
}
