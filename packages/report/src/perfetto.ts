/**
 * @file A trace in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: one track per unit; one
 * cycle is shown as one microsecond. A unit that has several transfers in flight gets as many tracks as overlap.
 */
import type { Phase } from "@systole/base";
import { unitNames, type Image, type UnitName } from "@systole/isa";

export interface TraceEventLike {
  readonly unit: UnitName;
  /** Index into the image's kernels, -1 outside of kernels. */
  readonly kernel: number;
  /** Byte address of the instruction in .text. */
  readonly address: number;
  readonly startCycle: number;
  readonly endCycle: number;
}

export type PerfettoEvent =
  | { readonly ph: "M"; readonly name: "process_name" | "thread_name"; readonly pid: 1; readonly tid?: number; readonly args: { readonly name: string } }
  | { readonly ph: "M"; readonly name: "thread_sort_index"; readonly pid: 1; readonly tid: number; readonly args: { readonly sort_index: number } }
  | {
      readonly ph: "X"; readonly pid: 1; readonly tid: number; readonly name: string; readonly cat: string; readonly ts: number; readonly dur: number;
      readonly args: { readonly address: string; readonly routine: string; readonly layer: string; readonly nodes: string; readonly phase?: Phase };
    };

export interface PerfettoTrace {
  readonly displayTimeUnit: "ms";
  readonly otherData: { readonly schema: "systole.trace/1"; readonly model: string; readonly machine: string; readonly unit: "1 us = 1 cycle" };
  readonly traceEvents: readonly PerfettoEvent[];
}

/** Tracks kept free for the overlaps of one unit. */
const tracksPerUnit = 64;

export function perfettoTrace(events: readonly TraceEventLike[], image: Image): PerfettoTrace {
  const places = placesOf(image);
  const ends = new Map<UnitName, number[]>(unitNames.map((unit) => [unit, []]));
  const slices = [...events].sort((a, b) => a.startCycle - b.startCycle || b.endCycle - a.endCycle).map((event): PerfettoEvent => {
    const place = places.get(event.address);
    const kernel = image.debug.kernels[event.kernel];
    const phase = kernel?.nodes[0]?.phase;
    return {
      ph: "X", pid: 1, tid: trackOf(event, ends.get(event.unit)!), name: `${place?.operation ?? "?"} ${kernel?.name ?? place?.routine ?? ""}`.trimEnd(), cat: event.unit,
      ts: event.startCycle, dur: event.endCycle - event.startCycle,
      args: {
        address: `0x${event.address.toString(16)}`, routine: place?.routine ?? "", layer: kernel?.name ?? "",
        nodes: (kernel?.nodes ?? []).map((node) => `${node.operator} ${node.node}`).join(", "), ...(phase === undefined ? {} : { phase }),
      },
    };
  });
  return {
    displayTimeUnit: "ms",
    otherData: { schema: "systole.trace/1", model: image.debug.model, machine: image.machineName, unit: "1 us = 1 cycle" },
    traceEvents: [{ ph: "M", name: "process_name", pid: 1, args: { name: `${image.debug.model} on ${image.machineName}` } }, ...trackNames(ends), ...slices],
  };
}

/** The first track of the unit that is free at the event's start: slices of one track must not overlap. */
function trackOf(event: TraceEventLike, ends: number[]): number {
  const free = ends.findIndex((end) => end <= event.startCycle);
  const track = free >= 0 ? free : Math.min(ends.length, tracksPerUnit - 1);
  ends[track] = Math.max(ends[track] ?? 0, event.endCycle);
  return unitNames.indexOf(event.unit) * tracksPerUnit + track + 1;
}

function trackNames(ends: ReadonlyMap<UnitName, readonly number[]>): PerfettoEvent[] {
  return [...ends].flatMap(([unit, tracks], index) =>
    tracks.flatMap((_, track): PerfettoEvent[] => {
      const tid = index * tracksPerUnit + track + 1;
      return [
        { ph: "M", name: "thread_name", pid: 1, tid, args: { name: track === 0 ? unit : `${unit} (${track + 1})` } },
        { ph: "M", name: "thread_sort_index", pid: 1, tid, args: { sort_index: tid } },
      ];
    }));
}

function placesOf(image: Image): Map<number, { readonly routine: string; readonly operation: string }> {
  const places = new Map<number, { readonly routine: string; readonly operation: string }>();
  let address = 0;
  for (const routine of image.routines) {
    for (const instruction of routine.instructions) {
      places.set(address, { routine: routine.name, operation: instruction.op });
      address += 16;
    }
  }
  return places;
}
