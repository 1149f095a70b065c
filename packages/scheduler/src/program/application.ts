/**
 * @file A graph applied to pieces of program tensors: its kernels, and which of its tensors are pieces, temporaries or constants.
 *
 * A graph is applied as a whole, so an output may lie where an input lies. It is written there at once where nothing that reads the
 * old content comes later: other kernels read it before, the writing kernel reads point by point what it overwrites. Elsewhere
 * the output is a temporary that is copied when all kernels have run.
 */
import { bytesOf, type Dtype } from "@systole/base";
import { removeDeadCode, type Graph } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { collapseKernel } from "../collapse.ts";
import { copyKernel } from "../copyKernel.ts";
import { formKernels } from "../form/form.ts";
import { joinKernels } from "../join/join.ts";
import { quickestOn } from "../join/quickest.ts";
import { sumProducts } from "../join/sumProducts.ts";
import { accessesOf, outputsOf, readsOf, strideAlong, type Access, type Kernel, type ScheduledTensor } from "../kernel.ts";
import type { Row } from "../schedule.ts";

/** Bytes of a program tensor, in row 0 where a scalar chooses the row. */
export interface Piece {
  readonly tensor: string;
  readonly offsetBytes: number;
  readonly bytes: number;
  readonly dtype: Dtype;
  readonly row?: Row;
}

/** The kernels of a graph, before anything is bound. */
export interface Formed {
  readonly name: string;
  readonly kernels: readonly Kernel[];
  readonly tensors: readonly ScheduledTensor[];
  readonly inputs: ReadonlyMap<string, ScheduledTensor>;
  readonly outputs: ReadonlyMap<string, ScheduledTensor>;
}

export interface Application {
  readonly name: string;
  readonly kernels: readonly Kernel[];
  /** By the id of the graph's tensor. */
  readonly pieces: ReadonlyMap<number, Piece>;
  readonly temporaries: readonly ScheduledTensor[];
  readonly constants: readonly ScheduledTensor[];
}

/** An application and how often it is expected to run. */
export interface Weighted {
  readonly application: Application;
  readonly weight: number;
}

/** Only what the named outputs need. */
export function formGraph(graph: Graph, outputs: ReadonlySet<string>, machine: Machine): Formed {
  const formed = formKernels(removeDeadCode({ ...graph, outputs: graph.outputs.filter(({ name }) => outputs.has(name)) }));
  const quickest = quickestOn(machine);
  const kernels = joinKernels(sumProducts(formed.kernels, quickest), machine, quickest).map((kernel) => collapseKernel({ ...kernel, name: `${graph.name}/${kernel.name}` }));
  return { ...formed, name: graph.name, kernels };
}

/** No graph has this name. */
export const copyName = "(copy)";

/** The graph that copies `count` elements. */
export function formCopy(dtype: Dtype, count: number): Formed {
  const tensor = (id: number, kind: "input" | "output"): ScheduledTensor => ({ id, name: kind, kind, type: { dtype, shape: [count] } });
  const [from, to] = [tensor(0, "input"), tensor(1, "output")];
  return { name: copyName, kernels: count === 0 ? [] : [copyKernel(copyName, from, to)], tensors: [from, to], inputs: new Map([["from", from]]), outputs: new Map([["to", to]]) };
}

/** Decides for every output whether it is written in its place. `outputs` in the order in which they are written. */
export function bindGraph(formed: Formed, inputs: ReadonlyMap<string, Piece>, outputs: ReadonlyMap<string, Piece>): Application {
  const pieces = new Map([...inputs].map(([name, piece]) => [formed.inputs.get(name)!.id, piece]));
  const read = [...pieces];
  const temporaries = formed.tensors.filter((t) => t.kind === "temporary");
  const copies: Kernel[] = [];
  for (const [name, piece] of outputs) {
    const tensor = formed.outputs.get(name)!;
    const old = new Set(read.filter(([, other]) => overlap(piece, other)).map(([id]) => id));
    const alone = [...outputs].every(([other, place]) => other === name || !overlap(piece, place));
    const samePlace = (id: number) => { const other = pieces.get(id)!; return sameRow(other, piece) ? other.offsetBytes - piece.offsetBytes : undefined; };
    if (alone && mayOverwrite(formed.kernels, tensor, old, samePlace)) {
      pieces.set(tensor.id, piece);
      continue;
    }
    temporaries.push({ ...tensor, kind: "temporary" });
    const target: ScheduledTensor = { ...tensor, id: formed.tensors.length + copies.length };
    pieces.set(target.id, piece);
    const writer = formed.kernels.find((kernel) => writes(kernel, tensor));
    copies.push(copyKernel(`${formed.name}/${name}.copy`, tensor, target, writer?.origins));
  }
  const kernels = [...formed.kernels, ...copies];
  const used = new Set(kernels.flatMap((kernel) => accessesOf(kernel).map((access) => access.tensor.id)));
  return { name: formed.name, kernels, pieces, temporaries: temporaries.filter((t) => used.has(t.id)), constants: formed.tensors.filter((t) => t.kind === "constant" && used.has(t.id)) };
}

/** Whether two pieces always move together. */
function sameRow({ row: a }: Piece, { row: b }: Piece): boolean {
  return a?.scalar === b?.scalar && a?.strideBytes === b?.strideBytes;
}

/** Pieces in different rows may be the same row: scalars are not known here. Where rows are of the same size, pieces that stay inside them are compared inside a row. */
function overlap(a: Piece, b: Piece): boolean {
  if (a.tensor !== b.tensor) return false;
  const end = ({ offsetBytes, bytes }: Piece) => offsetBytes + bytes;
  const inside = (one: Piece) => one.row === undefined || end(one) <= one.row.strideBytes;
  const alike = sameRow(a, b) || (a.row?.strideBytes === b.row?.strideBytes && inside(a) && inside(b));
  const last = (one: Piece) => end(one) + (alike || one.row === undefined ? 0 : one.row.strideBytes * (one.row.count - 1));
  return a.offsetBytes < last(b) && b.offsetBytes < last(a);
}

/** Whether kernels may write `output` over the inputs `old`. `distanceBytes`: from the output to an input, where both lie in one row. */
function mayOverwrite(kernels: readonly Kernel[], output: ScheduledTensor, old: ReadonlySet<number>, distanceBytes: (id: number) => number | undefined): boolean {
  if (old.size === 0) return true;
  const writers = kernels.flatMap((kernel, position) => (writes(kernel, output) ? [position] : []));
  const first = writers[0] ?? kernels.length;
  return kernels.every((kernel, position) => readsOf(kernel).every((access) => {
    if (!old.has(access.tensor.id) || position < first) return true;
    if (position > first || writers.length > 1) return false;
    const distance = distanceBytes(access.tensor.id);
    const over = kernel.results.findIndex((result) => result.output?.tensor.id === output.id);
    const readAgain = kernel.results.slice(over + 1).some(({ chain }) => chain.streams.some((other) => other.tensor === access.tensor));
    return distance !== undefined && !readAgain && readsWhatItOverwrites(kernel, kernel.results[over]!.output!, access, distance);
  }));
}

function writes(kernel: Kernel, { id }: ScheduledTensor): boolean {
  return outputsOf(kernel).some(({ tensor }) => tensor.id === id);
}

/** Point by point, so that a tile reads nothing that another tile writes. */
function readsWhatItOverwrites(kernel: Kernel, output: Access, access: Access, distanceBytes: number): boolean {
  if (kernel.engine.kind === "gather" || kernel.engine.kind === "scatter" || access.coordinates.some((c) => c.padded)) return false;
  const width = bytesOf(access.tensor.type.dtype);
  const start = ({ base, coordinates }: Access) => coordinates.reduce((sum, c) => sum + c.offset * c.stride, base);
  return bytesOf(output.tensor.type.dtype) === width
    && start(access) * width + distanceBytes === start(output) * width
    && kernel.dims.every((_, dim) => strideAlong(access, dim) === strideAlong(output, dim));
}
