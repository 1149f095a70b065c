/**
 * @file Where an instruction may reach: the smallest and largest byte over all its points and all iterations.
 *
 * Interval arithmetic over loop indices. Loops a guard fixes count with that one index; limits cut coordinates off; a generator that moves by rows may be at any of them. What is
 * proved is never less than what happens; it can be more, where two dimensions are never extreme together.
 */
import { bytesOf } from "@systole/base";
import { demand, refuse, type Site } from "../refuse.ts";
import type { ResolvedDimension, ResolvedGenerator, ResolvedSpace } from "../resolved.ts";

/** Smallest and largest value of something. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Bytes relative to the start of a slot, the end excluded, and the slots. */
export interface Footprint {
  readonly low: number;
  readonly end: number;
  readonly slots: Range;
}

/** For every level the indices at which the instruction runs, or undefined if its guards exclude each other. */
export function indexRanges(counts: readonly number[], first: readonly number[], last: readonly number[]): readonly Range[] | undefined {
  const ranges = counts.map((count, level) => ({ low: last.includes(level) ? count - 1 : 0, high: first.includes(level) ? 0 : count - 1 }));
  return ranges.some((range) => range.low > range.high) ? undefined : ranges;
}

/**
 * `inside`: only points inside the limits are touched, as on the external side of a transfer; elsewhere points of a padded dimension all exist.
 * `rows` replaces dimension 0 by looked-up rows 0..rows-1. Undefined: there is no point.
 */
export function footprint(site: Site, space: ResolvedSpace, g: ResolvedGenerator, indices: readonly Range[], options: { inside: boolean; rows?: number }): Footprint | undefined {
  const rows = g.row === undefined ? 0 : exact(site, g.row.stride * (g.row.count - 1));
  let low = g.base + Math.min(0, rows);
  let high = g.base + Math.max(0, rows);
  for (let d = 0; d < space.dimensions.length; d++) {
    const q = options.rows !== undefined && d === 0 ? { low: 0, high: options.rows - 1 } : placeRange(site, space.dimensions[d]!, g, indices, options.inside);
    if (q === undefined) return undefined;
    const [a, b] = [q.low * g.strides[d]!, q.high * g.strides[d]!];
    low += exact(site, Math.min(a, b));
    high += exact(site, Math.max(a, b));
  }
  return { low: exact(site, low), end: exact(site, high) + bytesOf(g.dtype), slots: slotRange(g, indices) };
}

/** The footprint stays in its slot, the unit of hand-over. */
export function demandContained(site: Site, name: string, g: ResolvedGenerator, f: Footprint): void {
  const { slotBytes, slots, memory, id } = g.buffer;
  demand(f.low >= 0 && f.end <= slotBytes, site, () =>
    `${name} reaches bytes ${f.low} to ${f.end - 1} of a slot; buffer ${id} in ${memory} has ${slots} slot${slots === 1 ? "" : "s"} of ${slotBytes} bytes`);
}

export function demandAligned(site: Site, name: string, g: ResolvedGenerator): void {
  const bytes = bytesOf(g.dtype);
  const aligned = (value: number): boolean => value % bytes === 0;
  demand(aligned(g.buffer.base) && (g.buffer.slots === 1 || aligned(g.buffer.slotBytes)), site, () => `${name}: buffer ${g.buffer.id} is not aligned to ${g.dtype}, ${bytes} bytes`);
  demand(aligned(g.base) && aligned(g.row?.stride ?? 0) && g.strides.every(aligned), site, () => `${name}: base or a stride is no multiple of ${g.dtype}, ${bytes} bytes`);
}

/** Range of q[d], the part of the coordinate that moves the address. */
function placeRange(site: Site, d: ResolvedDimension, g: ResolvedGenerator, indices: readonly Range[], inside: boolean): Range | undefined {
  // c = offset + moving + resting + x; a relative generator places moving + x.
  const absolute = g.mode === "absolute";
  const moving = stepRange(site, d, indices, (level) => absolute || g.levels[level] === true);
  const resting = stepRange(site, d, indices, (level) => !absolute && g.levels[level] !== true);
  const smallest = d.offset + moving.low + resting.low;
  const largest = d.offset + d.extent - 1 + moving.high + resting.high;
  demand(d.mode === "pad" || smallest >= 0, site, () => `coordinates go down to ${smallest}; below 0 there is nothing but in pad mode`);
  const clampsTop = d.limit > 0 && (d.mode === "cut" || inside);
  const clampsBottom = d.mode === "pad" && inside;
  if ((clampsTop && smallest >= d.limit) || (clampsBottom && largest < 0)) return undefined;
  const shift = absolute ? d.offset : 0;
  const top = clampsTop ? d.limit - 1 - (absolute ? 0 : d.offset + resting.low) : Infinity;
  const bottom = clampsBottom ? -(absolute ? 0 : d.offset + resting.high) : -Infinity;
  const range = { low: Math.max(shift + moving.low, bottom), high: Math.min(shift + d.extent - 1 + moving.high, top) };
  return range.low > range.high ? undefined : range;
}

function stepRange(site: Site, d: ResolvedDimension, indices: readonly Range[], counts: (level: number) => boolean): Range {
  let low = 0;
  let high = 0;
  d.steps.forEach((step, level) => {
    if (step === 0 || !counts(level)) return;
    const range = indices[level]!;
    low += Math.min(step * range.low, step * range.high);
    high += Math.max(step * range.low, step * range.high);
  });
  return { low: exact(site, low), high: exact(site, high) };
}

function slotRange(g: ResolvedGenerator, indices: readonly Range[]): Range {
  const sum = (end: "low" | "high"): number => g.ring.reduce((total, factor, level) => total + factor * indices[level]![end], 0);
  return sum("high") < g.buffer.slots ? { low: sum("low"), high: sum("high") } : { low: 0, high: g.buffer.slots - 1 };
}

/** Beyond 2^50 sums of eight terms would no longer be exact; no memory is that large. */
function exact(site: Site, value: number): number {
  return Math.abs(value) <= 2 ** 50 ? value : refuse(site, "coordinates or addresses leave every memory");
}
