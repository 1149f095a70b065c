/** @file Boxes and buffers: what a tile needs of an access, how long it stays, how many slots that takes. */
import { bytesOf, internal } from "@systole/base";
import { sameAccess, type Access } from "../kernel.ts";
import type { Box, Buffer, Level, Operand } from "../schedule.ts";

const alignment = 64;

export function align(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** The range of each coordinate over one tile, laid out densely in `order` (positions into the coordinates, outermost first). */
export function boxOf(access: Access, tile: readonly number[], order: readonly number[]): Box {
  const width = bytesOf(access.tensor.type.dtype);
  const extents = access.coordinates.map((c) => c.terms.reduce((extent, t) => extent + Math.abs(t.factor) * (tile[t.dim]! - 1), 1));
  const strides = new Array<number>(extents.length);
  let bytes = width;
  for (let i = order.length - 1; i >= 0; i--) {
    strides[order[i]!] = bytes;
    bytes *= extents[order[i]!]!;
  }
  return { extents, strides, bytes: align(bytes) };
}

/** Coordinates in the order of the external memory: largest stride first. */
export function externalOrder(access: Access): number[] {
  return access.coordinates.map((_, i) => i).sort((a, b) => access.coordinates[b]!.stride - access.coordinates[a]!.stride || a - b);
}

/** Coordinates in the order of the kernel's dimensions: the innermost dimension gets the innermost coordinate. */
export function kernelOrder(access: Access): number[] {
  const position = (i: number) => access.coordinates[i]!.terms.reduce((last, t) => Math.max(last, t.dim), -1);
  return access.coordinates.map((_, i) => i).sort((a, b) => position(a) - position(b) || access.coordinates[b]!.stride - access.coordinates[a]!.stride);
}

export function dependsOn(access: Access, dim: number): boolean {
  return access.coordinates.some((c) => c.terms.some((t) => t.dim === dim));
}

/**
 * The buffer of tiles that change with `dependent` levels. A level in `kept` keeps its tiles although it lies outside of dependent levels: all
 * tiles inside it then have slots. Otherwise two slots, so that a tile loads while the one before is read.
 */
export function bufferOf(slotBytes: number, levels: readonly Level[], dependent: readonly number[], kept: readonly number[], minimumSlots: number, memory: Buffer["memory"]): Buffer {
  const outermostKept = kept.length === 0 ? levels.length : Math.min(...kept);
  const inside = dependent.filter((level) => level > outermostKept).reduce((n, level) => n * levels[level]!.count, 1);
  const sequence = dependent.reduce((n, level) => n * levels[level]!.count, 1);
  const moving = dependent.some((level) => level < outermostKept && levels[level]!.count > 1);
  const slots = Math.max(1, Math.min(sequence, kept.length > 0 ? inside * (moving ? 2 : 1) : Math.max(2, minimumSlots)));
  return { memory, slots, slotBytes, address: 0, ring: ringOf(levels, dependent, slots), dependent };
}

/** Of what is read or written where it lies. */
export function noBuffer(levels: readonly Level[]): Buffer {
  return { memory: "cache", slots: 1, slotBytes: 0, address: 0, ring: levels.map(() => 0), dependent: [] };
}

/** Slot = running index over the dependent levels, modulo the number of slots. */
export function ringOf(levels: readonly Level[], dependent: readonly number[], slots: number): number[] {
  const ring = levels.map(() => 0);
  let factor = 1;
  for (let level = levels.length - 1; level >= 0; level--) {
    if (!dependent.includes(level)) continue;
    ring[level] = factor % slots;
    factor *= levels[level]!.count;
  }
  return ring;
}

export interface Residence {
  readonly dependent: readonly number[];
  readonly free: readonly number[];
  readonly optional: readonly number[];
}

/** How an operand can be kept: never reloaded inside a level it does not depend on where no dependent level lies inside; others on choice. */
export function residency(access: Access, levels: readonly Level[], scope: readonly number[]): Residence {
  const dependent = scope.filter((level) => dependsOn(access, levels[level]!.dim));
  const others = scope.filter((level) => !dependent.includes(level));
  const free = others.filter((level) => !dependent.some((d) => d > level && levels[d]!.count > 1));
  return { dependent, free, optional: others.filter((level) => !free.includes(level)) };
}

/** Levels around an operand's load: engine operands sit inside the reduced loops, those of the results outside; panels never. */
export function scopeOf(role: Operand["role"], levels: readonly Level[]): number[] {
  return levels.map((_, i) => i).filter((i) => levels[i]!.kind === "parallel" || (levels[i]!.kind === "reduced" && role !== "result"));
}

export function makeOperand(role: Operand["role"], access: Access, tile: readonly number[], levels: readonly Level[], keep: boolean, order: readonly number[], slots: number): Operand {
  return operandOf({ role, access }, boxOf(access, tile, order), levels, residency(access, levels, scopeOf(role, levels)), keep, slots);
}

/** With what depends on the tile alone, and on the levels alone, already known. */
export function operandOf(of: Pick<Operand, "role" | "product" | "access">, box: Box, levels: readonly Level[], { dependent, free, optional }: Residence, keep: boolean, slots: number): Operand {
  const { role, product, access } = of;
  if (access.direct === true) return { role, product, access, box, buffer: noBuffer(levels), resident: [] };
  const kept = keep ? optional : [];
  return { role, product, access, box, buffer: bufferOf(box.bytes, levels, dependent, kept, slots, "cache"), resident: [...free, ...kept].sort((a, b) => a - b) };
}

/** The operand of a stream of a fold or of a result. */
export function streamOperand(operands: readonly Operand[], role: "stream" | "result", access: Access): Operand {
  return operands.find((operand) => operand.role === role && sameAccess(operand.access, access)) ?? internal(`${access.tensor.name} is no operand`);
}

/** How often the operand is loaded. */
export function loadCount(operand: Operand, levels: readonly Level[]): number {
  return scopeOf(operand.role, levels).filter((level) => !operand.resident.includes(level)).reduce((n, level) => n * levels[level]!.count, 1);
}
