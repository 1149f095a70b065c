/**
 * @file A kernel: one loop nest of the program before it is cut into tiles. Machine-independent.
 *
 * Every access is affine: each *coordinate* of a tensor is a sum of factor * dimension plus an offset. Movement (transpose, slice,
 * pad, broadcast, reverse, most reshapes) has been folded into accesses; elementwise operations into chains.
 */
import type { Dtype, ElementwiseName, TensorType } from "@systole/base";
import type { Origin } from "@systole/ir";

/** Where tensors lie: in external memory, or in the part of the data cache that is kept for them. */
export type TensorMemory = "external" | "cache";

/** A tensor, row-major in `type.shape` unless a kernel's output strides say otherwise. */
export interface ScheduledTensor {
  readonly id: number;
  readonly name: string;
  readonly kind: "input" | "output" | "constant" | "temporary";
  readonly type: TensorType;
  /** Bytes of a constant, in the element type's own encoding. */
  readonly data?: Uint8Array;
  /** Once it is decided; external memory when missing. */
  readonly memory?: TensorMemory;
}

/** c = offset + sum of factor * index[dim]; the address moves by `stride` elements per unit of c. */
export interface Coordinate {
  readonly terms: readonly { readonly dim: number; readonly factor: number }[];
  readonly offset: number;
  /** Values of c that exist: 0 <= c < size. */
  readonly size: number;
  /** Elements per unit of c. */
  readonly stride: number;
  /** Whether c may leave 0..size-1: the access then reads the fill value. */
  readonly padded: boolean;
}

export interface Access {
  readonly tensor: ScheduledTensor;
  /** Element offset of coordinate zero. */
  readonly base: number;
  readonly coordinates: readonly Coordinate[];
  /** Value outside a padded coordinate, as the low 32 bits of the element. */
  readonly fill: number;
  /** Array and vector unit work on the tensor where it lies in the data cache; nothing is loaded or stored. */
  readonly direct?: true;
}

export interface Dimension {
  readonly name: string;
  readonly extent: number;
}

/** Operand of a stage: a stream, an earlier stage, what the engine made (of several folds: which), an earlier result of the kernel, the index along a dimension, a constant. */
export type Source =
  | { readonly kind: "stream"; readonly index: number }
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "engine"; readonly index: number }
  | { readonly kind: "result"; readonly index: number }
  | { readonly kind: "index"; readonly dim: number }
  | { readonly kind: "immediate"; readonly value: number | bigint };

export interface Stage {
  readonly operation: ElementwiseName;
  readonly sources: readonly Source[];
  readonly operands: Dtype;
  readonly dtype: Dtype;
}

/** At most 8 chained stages; the value is the last stage, or the only stream or what the engine made where there is none. */
export interface Chain {
  readonly streams: readonly Access[];
  readonly stages: readonly Stage[];
  readonly dtype: Dtype;
}

export type Reduction = "sum" | "prod" | "max" | "min" | "argmax" | "argmin" | "argmaxlast" | "argminlast" | "scan" | "exclusivescan";

/** What is made of the points of the reduced dimensions. */
export interface Fold {
  readonly reduction: Reduction;
  readonly order: "sequential" | "blocked";
  readonly chain: Chain;
  readonly dtype: Dtype;
}

/** At each point of a kernel. */
export interface Product {
  readonly x: Access;
  readonly w: Access;
}

export type Engine =
  | { readonly kind: "none" }
  /**
   * On the array: the sum of a product, then of the next one. `classes[dim]`: batch, row, column, contracted. `initial`: what the sums go on from, over the
   * parallel dimensions; +0 without.
   */
  | { readonly kind: "contraction"; readonly products: readonly Product[]; readonly initial?: Access; readonly classes: readonly ("batch" | "row" | "column" | "contracted")[] }
  /** On the vector unit, over the dimensions `parallel..`, each point once for all folds. A scan stands alone, and so does a sum with `initial`, as for contractions. */
  | { readonly kind: "reduction"; readonly folds: readonly Fold[]; readonly initial?: Access }
  /** Rows of `rows` looked up by `index`: dimension 0 is the row of the result. */
  | { readonly kind: "gather"; readonly rows: Access; readonly index: Access; readonly rowCount: number }
  /** Rows of the output, looked up by `index` over dimension 0, are overwritten by updates or combined with them one after the other. */
  | { readonly kind: "scatter"; readonly updates: Access; readonly index: Access; readonly rowCount: number; readonly combine?: "add" | "mul" | "max" | "min" };

/** A value at every point: over the parallel dimensions; for scans over all. */
export interface Result {
  readonly chain: Chain;
  /** Missing where only later results of the kernel read it. */
  readonly output?: Access;
}

export interface Kernel {
  readonly name: string;
  /** ONNX nodes whose work this is, the engine's first. */
  readonly origins: readonly Origin[];
  /** Parallel dimensions in row-major order of the result, then reduced or contracted ones in the order of the sum. */
  readonly dims: readonly Dimension[];
  readonly parallel: number;
  readonly engine: Engine;
  /** At least one. */
  readonly results: readonly Result[];
  /** A contraction that the vector unit computes, as a sum of products. */
  readonly multiplies?: true;
}

/** A copy from external memory to the place of a tensor in the data cache: one load, and nothing else. */
export function isFetch({ engine, results: [first, ...others] }: Kernel): boolean {
  if (engine.kind !== "none" || first === undefined || others.length > 0 || first.chain.stages.length > 0) return false;
  const [from] = first.chain.streams;
  return first.output?.direct === true && from !== undefined && from.tensor.memory !== "cache" && !from.coordinates.some(({ padded }) => padded);
}

/** Results that wait for earlier ones of the same tile. */
export function waitingResults({ results }: Kernel): number {
  return results.filter(({ chain }) => chain.stages.some(({ sources }) => sources.some(({ kind }) => kind === "result"))).length;
}

/** Whether what the engine made is the result as it is. */
export function isPlain({ engine, results }: Kernel): boolean {
  return (engine.kind !== "reduction" || engine.folds.length === 1) && results.length === 1 && results[0]!.chain.stages.length === 0 && results[0]!.chain.streams.length === 0;
}

/** Multiply-accumulates of a contraction, 0 for everything else. */
export function macsOf(kernel: Kernel): number {
  const products = kernel.engine.kind === "contraction" ? kernel.engine.products.length : kernel.multiplies === true ? 1 : 0;
  return kernel.dims.reduce((macs, dim) => macs * dim.extent, products);
}

/** What the sums of an engine go on from: one access or none. */
export function initialOf(engine: Engine): readonly Access[] {
  return (engine.kind === "contraction" || engine.kind === "reduction") && engine.initial !== undefined ? [engine.initial] : [];
}

/** How often the reduced tiles are walked: once for each product of a contraction. */
export function passesOf({ engine }: Kernel): number {
  return engine.kind === "contraction" ? engine.products.length : 1;
}

/** x and w of each product. */
export function factorsOf({ products }: Extract<Engine, { kind: "contraction" }>): readonly Access[] {
  return products.flatMap(({ x, w }) => [x, w]);
}

/** What the folds read, each access once. */
export function foldStreams({ folds }: Extract<Engine, { kind: "reduction" }>): readonly Access[] {
  return eachOnce(folds.map(({ chain }) => chain));
}

/** Whether the result has a point for every point that is read. */
export function isScan(engine: Engine): boolean {
  return engine.kind === "reduction" && engine.folds.some(({ reduction }) => reduction.includes("scan"));
}

/** What the engine reads, one entry per access. */
export function engineReads(engine: Engine): readonly Access[] {
  switch (engine.kind) {
    case "none": return [];
    case "contraction": return [...factorsOf(engine), ...initialOf(engine)];
    case "reduction": return [...foldStreams(engine), ...initialOf(engine)];
    case "gather": return [engine.rows, engine.index];
    case "scatter": return [engine.updates, engine.index];
  }
}

/** All tensors a kernel reads, one entry per access. */
export function readsOf(kernel: Kernel): readonly Access[] {
  return [...engineReads(kernel.engine), ...resultStreams(kernel)];
}

/** What the chains of the results read, each access once. */
export function resultStreams({ results }: Kernel): readonly Access[] {
  return eachOnce(results.map(({ chain }) => chain));
}

function eachOnce(chains: readonly Chain[]): readonly Access[] {
  const all = chains.flatMap(({ streams }) => streams);
  return chains.length === 1 ? all : all.filter((access, i) => all.findIndex((other) => sameAccess(access, other)) === i);
}

/** The engine's chain, then those of the results. */
export function chainsOf({ engine, results }: Kernel): readonly Chain[] {
  return [...(engine.kind === "reduction" ? engine.folds : []), ...results].map(({ chain }) => chain);
}

/** What a kernel writes, one entry per result that has a place. */
export function outputsOf({ results }: Kernel): readonly Access[] {
  return results.flatMap(({ output }) => output ?? []);
}

/** Everything a kernel touches. */
export function accessesOf(kernel: Kernel): readonly Access[] {
  return [...readsOf(kernel), ...outputsOf(kernel)];
}

export function sameAccess(a: Access, b: Access): boolean {
  return a === b || (a.tensor === b.tensor && a.base === b.base && a.fill === b.fill && a.direct === b.direct && JSON.stringify(a.coordinates) === JSON.stringify(b.coordinates));
}

/** Elements by which an access without padding moves along a dimension. */
export function strideAlong({ coordinates }: Access, dim: number): number {
  return coordinates.reduce((sum, c) => sum + c.stride * c.terms.reduce((s, t) => s + (t.dim === dim ? t.factor : 0), 0), 0);
}
