/**
 * @file Tensors that a kernel loads and overwrites. As one piece such a tensor would make every load wait for the store of the tile before; cut in slots,
 * each as long as the steps of one level reach, loads run ahead as long as the next tile has another slot. What the vector unit reads where it lies it
 * overwrites in order.
 */
import { byteCount, bytesOf } from "@systole/base";
import { readsOf, strideAlong, type Access, type Kernel } from "./kernel.ts";
import type { Level } from "./schedule.ts";

/** A slot for each iteration of `level`. */
export interface InPlace {
  readonly level: number;
  readonly slots: number;
  readonly slotBytes: number;
}

/** What the kernel loads of the tensor that an output overwrites. */
export function overwrittenReads(kernel: Kernel, output: Access): readonly Access[] {
  return readsOf(kernel).filter((access) => access.direct !== true && access.tensor.id === output.tensor.id);
}

/** Undefined where nothing is overwritten, or where the tiles of no single level lie one behind the other. In the data cache the last slot may not reach beyond the tensor. */
export function inPlaceSlots(kernel: Kernel, output: Access, levels: readonly Level[], read: readonly Access[] = overwrittenReads(kernel, output)): InPlace | undefined {
  const { engine } = kernel;
  if (read.length === 0 || engine.kind === "gather" || engine.kind === "scatter") return undefined;
  if (!read.every((access) => alike(access, output, kernel.dims.length))) return undefined;
  const level = outermostStride(output, levels);
  if (level === undefined) return undefined;
  const { dim, step, count } = levels[level]!;
  const stride = strideAlong(output, dim);
  // All points of the other dimensions lie inside one step of this one.
  const others = kernel.dims.reduce((sum, { extent }, d) => (d === dim ? sum : sum + strideAlong(output, d) * (extent - 1)), startOf(output));
  const negative = kernel.dims.some((_, d) => strideAlong(output, d) < 0);
  const slotBytes = stride * step * bytesOf(output.tensor.type.dtype);
  const leaves = output.tensor.memory === "cache" && count * slotBytes > byteCount(output.tensor.type);
  return negative || others >= stride || leaves ? undefined : { level, slots: count, slotBytes };
}

/** Elements from the start of the tensor to the first point. */
export function startOf({ base, coordinates }: Access): number {
  return coordinates.reduce((sum, c) => sum + c.offset * c.stride, base);
}

function alike(a: Access, b: Access, rank: number): boolean {
  const plain = [a, b].every(({ coordinates }) => coordinates.every((c) => !c.padded && c.terms.every(({ factor }) => factor > 0)));
  return plain && bytesOf(a.tensor.type.dtype) === bytesOf(b.tensor.type.dtype) && startOf(a) === startOf(b)
    && Array.from({ length: rank }, (_, dim) => dim).every((dim) => strideAlong(a, dim) === strideAlong(b, dim));
}

/** The only level of its dimension, and of those the one with the largest stride. */
function outermostStride(output: Access, levels: readonly Level[]): number | undefined {
  const alone = levels.flatMap(({ dim, kind, count }, i) => (kind === "parallel" && count > 1 && levels.every((other, k) => k === i || other.dim !== dim) ? [i] : []));
  return alone.reduce<number | undefined>((best, i) => (best === undefined || strideAlong(output, levels[i]!.dim) > strideAlong(output, levels[best]!.dim) ? i : best), undefined);
}
