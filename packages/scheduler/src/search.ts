/** @file Picks a tiling: the one with the fewest predicted cycles, or a legal one at random for tests of the number rules. */
import { fail } from "@systole/base";
import type { Machine } from "@systole/isa";
import { mapAccesses } from "./collapse.ts";
import { directForm } from "./direct.ts";
import { factorsOf, foldStreams, macsOf, outputsOf, resultStreams, type Access, type Chain, type Coordinate, type Kernel, type Product, type ScheduledTensor, type Stage } from "./kernel.ts";
import { buffersOf, cacheBytes, type TiledKernel } from "./schedule.ts";
import type { TilingContext } from "./tiling/choices.ts";
import { contractionTilings, realiseContraction } from "./tiling/contraction.ts";
import { mappingTilings, realiseMapping } from "./tiling/mapping.ts";

export interface SearchOptions {
  /** Take a random legal tiling instead of the best one: results must not change. */
  readonly tilingSeed?: number;
  /** Samples in the batch. From 2 to `canonicalBatch` tilings are chosen for that many samples, so that the code does not depend on the batch; larger batches have their own. */
  readonly batch?: number;
}

/** Tilings of a batch up to this size are searched for this many samples. */
export const canonicalBatch = 64;

/** Legal tilings of a kernel; those whose busiest unit alone takes longer than the context accepts may be left out. */
export function tilingsOf(kernel: Kernel, machine: Machine, context: TilingContext = { worthwhile: () => true }): Generator<TiledKernel> {
  return kernel.engine.kind === "contraction" ? contractionTilings(kernel, machine, context) : mappingTilings(kernel, machine, context);
}

export class TilingSearch {
  readonly #machine: Machine;
  readonly #seed: number | undefined;
  readonly #batch: number;
  readonly #known = new Map<string, { readonly tiled: TiledKernel; readonly form: number }>();
  readonly #fitting = new Map<string, boolean>();
  readonly #canonical = new Map<string, TiledKernel | undefined>();
  #drawn = 0;

  constructor(machine: Machine, options: SearchOptions) {
    this.#machine = machine;
    this.#seed = options.tilingSeed;
    this.#batch = options.batch ?? 1;
  }

  /** E0302 where not even the smallest tile fits. */
  choose(kernel: Kernel): TiledKernel {
    return this.#find(kernel) ?? refuse(kernel, this.#machine);
  }

  /** As it would be chosen for the canonical batch: what is decided on it does not depend on the batch. */
  representative(kernel: Kernel): TiledKernel {
    const canonical = this.#seed === undefined && this.scales(kernel) ? this.#formsOf(kernel).flatMap((form) => this.#canonicalBest(form) ?? []) : [];
    return canonical.sort((a, b) => a.predicted.cycles - b.predicted.cycles)[0] ?? this.choose(kernel);
  }

  /** Whether the kernel's work grows with the batch. */
  scales(kernel: Kernel): boolean {
    return carriesBatch(kernel, this.#batch);
  }

  /** Whether decisions have to hold for other batches too. */
  get isBatched(): boolean {
    return this.#batch >= 2;
  }

  /** How much larger than the batch the canonical one is. */
  get canonicalFactor(): number {
    return this.#batch < 2 ? 1 : Math.max(canonicalBatch, this.#batch) / this.#batch;
  }

  /** Whether there is a tiling at all; quicker than to find the best one. */
  fits(kernel: Kernel): boolean {
    const signature = signatureOf(kernel);
    const known = this.#fitting.get(signature);
    if (known !== undefined) return known;
    const fits = this.#formsOf(kernel).flatMap(quickForms).some((form) => tilingsOf(form, this.#machine).next().done === false);
    this.#fitting.set(signature, fits);
    return fits;
  }

  /**
   * The ways to run a kernel. On the vector unit a depthwise convolution, any contraction with a batch dimension (groups, heads), does not leave the array
   * nearly empty, and a small one does not wait until the array is filled.
   */
  #formsOf(kernel: Kernel): readonly Kernel[] {
    const { engine } = kernel;
    if (engine.kind !== "contraction") return [kernel];
    const small = !carriesBatch(kernel, this.#batch) && isSmall(kernel, this.#machine);
    const [product, ...others] = engine.products;
    return others.length === 0 && (small || engine.classes.includes("batch")) ? [kernel, onVectorUnit(kernel, product!, engine.initial)] : [kernel];
  }

  #find(kernel: Kernel): TiledKernel | undefined {
    if (this.#seed !== undefined) return this.#random(this.#formsOf(kernel).flatMap((form) => [form, directForm(form) ?? form]));
    const forms = this.#formsOf(kernel).flatMap(quickForms);
    const signature = signatureOf(kernel);
    const known = this.#known.get(signature);
    if (known !== undefined) return transplant(known.tiled, forms[known.form]!);
    const candidates = forms.flatMap((form, i) => {
      const tiled = this.#forBatch(form) ?? this.#best(form, this.#batchContext(form)) ?? this.#best(form, {});
      return tiled === undefined ? [] : [{ tiled, form: i }];
    });
    const chosen = candidates.sort((a, b) => a.tiled.predicted.cycles - b.tiled.predicted.cycles)[0];
    if (chosen === undefined) return undefined;
    this.#known.set(signature, chosen);
    return chosen.tiled;
  }

  #batchContext(kernel: Kernel): { readonly batchDim?: number } {
    return carriesBatch(kernel, this.#batch) ? { batchDim: 0 } : {};
  }

  /** Decides for the canonical batch, then applies the decisions to this one. */
  #forBatch(kernel: Kernel): TiledKernel | undefined {
    if (!carriesBatch(kernel, this.#batch)) return undefined;
    const best = this.#canonicalBest(kernel);
    if (best === undefined) return undefined;
    const choice = { ...best.choice, tile: best.choice.tile.map((t, dim) => Math.min(t, kernel.dims[dim]!.extent)) };
    const context = { worthwhile: () => true, batchDim: 0 };
    return kernel.engine.kind === "contraction" ? realiseContraction(kernel, this.#machine, choice, context) : realiseMapping(kernel, this.#machine, choice.tile, context);
  }

  #canonicalBest(kernel: Kernel): TiledKernel | undefined {
    const canonical = canonicalKernel(kernel, this.#batch);
    const signature = signatureOf(kernel);
    if (!this.#canonical.has(signature)) this.#canonical.set(signature, this.#best(canonical, { batchDim: 0 }));
    const known = this.#canonical.get(signature);
    return known === undefined ? undefined : transplant(known, canonical);
  }

/** Of the tilings that are as fast as the fastest, the one with the fewest instructions, then the least traffic. */
  #best(kernel: Kernel, context: { readonly batchDim?: number }): TiledKernel | undefined {
    let fastest = Infinity;
    let candidates: TiledKernel[] = [];
    let most = 256;
    const promise = (cycles: number) => { fastest = Math.min(fastest, cycles); };
    for (const tiled of tilingsOf(kernel, this.#machine, { ...context, promise, worthwhile: (cycles) => cycles <= fastest * asFast })) {
      if (tiled.predicted.cycles > fastest * asFast) continue;
      fastest = Math.min(fastest, tiled.predicted.cycles);
      candidates.push(tiled);
      if (candidates.length > most) {
        candidates = candidates.filter((t) => t.predicted.cycles <= fastest * asFast);
        most = Math.max(most, 2 * candidates.length);
      }
    }
    return candidates.filter((t) => t.predicted.cycles <= fastest * asFast).reduce<TiledKernel | undefined>((best, t) => (best === undefined || better(t, best) ? t : best), undefined);
  }

  #random(forms: readonly Kernel[]): TiledKernel | undefined {
    const all = forms.flatMap((kernel) => [...tilingsOf(kernel, this.#machine)]).filter((t) => t.levels.reduce((n, l) => n * l.count, 1) <= 4096);
    if (all.length === 0) return this.#best(forms[0]!, {});
    // A linear congruential step per kernel: deterministic for a seed.
    const state = (Math.imul((this.#seed ?? 0) + 1, 2654435761) + Math.imul(++this.#drawn, 40503)) >>> 0;
    return all[(Math.imul(state ^ (state >>> 15), 2246822519) >>> 0) % all.length];
  }
}

/** A contraction as a sum of products on the vector unit: in the same order, and so with the same bits. */
function onVectorUnit(kernel: Kernel, { x, w }: Product, initial: Access | undefined): Kernel {
  const product: Stage = { operation: "mul", sources: [{ kind: "stream", index: 0 }, { kind: "stream", index: 1 }], operands: "f32", dtype: "f32" };
  const chain: Chain = { streams: [x, w], stages: [product], dtype: "f32" };
  return { ...kernel, engine: { kind: "reduction", folds: [{ reduction: "sum", order: "sequential", chain, dtype: "f32" }], ...(initial === undefined ? {} : { initial }) }, multiplies: true };
}

/** Whether the vector unit is done long before a row has crossed the array, even where short runs leave lanes empty. */
function isSmall(kernel: Kernel, { array, vector }: Machine): boolean {
  return (4 * macsOf(kernel)) / vector.lanes < array.rows / array.weightRowsPerCycle + array.rows + array.columns;
}

/** Tensors in the data cache are used where they lie; the vector unit may be quicker with a copy in another order. */
function quickForms(kernel: Kernel): readonly Kernel[] {
  const direct = directForm(kernel);
  if (direct === undefined) return [kernel];
  return kernel.engine.kind === "contraction" ? [direct] : [direct, kernel];
}

/** Whether the outermost dimension runs over samples: it is a multiple of the batch and no column. */
function carriesBatch(kernel: Kernel, batch: number): boolean {
  const first = kernel.dims[0];
  if (batch < 2 || first === undefined || kernel.parallel === 0 || first.extent % batch !== 0) return false;
  return kernel.engine.kind !== "contraction" || kernel.engine.classes[0] === "row";
}

/** The kernel for as many samples as decide for every batch of this size or less. */
export function canonicalKernel(kernel: Kernel, batch: number): Kernel {
  return carriesBatch(kernel, batch) ? withBatch(kernel, batch, Math.max(canonicalBatch, batch)) : kernel;
}

/** The same kernel for another number of samples. */
function withBatch(kernel: Kernel, from: number, to: number): Kernel {
  const scale = (n: number) => (n / from) * to;
  const dims = kernel.dims.map((d, i) => (i === 0 ? { ...d, extent: scale(d.extent) } : d));
  const samples = kernel.dims[0]!.extent;
  const coordinate = (c: Coordinate): Coordinate => (c.terms.some((t) => t.dim === 0) && c.size % samples === 0 ? { ...c, size: scale(c.size) } : c);
  return mapAccesses({ ...kernel, dims }, (access) => ({ ...access, coordinates: access.coordinates.map(coordinate) }));
}

/** Predictions closer than this are the same: the model is not that good. */
const asFast = 1.0025;

function better(a: TiledKernel, b: TiledKernel): boolean {
  const instructions = (t: TiledKernel) => t.levels.reduce((n, l) => n * l.count, 1);
  const bytes = (t: TiledKernel) => t.predicted.readBytes + t.predicted.writeBytes;
  return instructions(a) !== instructions(b) ? instructions(a) < instructions(b) : bytes(a) < bytes(b);
}

/** Kernels of the same shape and access pattern share a tiling: only tensors differ, except where one is overwritten. */
function signatureOf(kernel: Kernel): string {
  const over = new Set(outputsOf(kernel).map(({ tensor }) => tensor));
  return JSON.stringify({ ...kernel, name: "", origins: [] }, (key, value: unknown) => {
    if (key === "tensor") return `${placeSignature(value as ScheduledTensor)}${over.has(value as ScheduledTensor) ? " overwritten" : ""}`;
    if (key === "base" || key === "name") return 0;
    return typeof value === "bigint" ? String(value) : value;
  });
}

function placeSignature({ type, memory }: ScheduledTensor): string {
  return memory === "cache" ? `${type.dtype} in the cache` : type.dtype;
}

function transplant(tiled: TiledKernel, kernel: Kernel): TiledKernel {
  const engine = kernel.engine;
  const own = engine.kind === "contraction" ? factorsOf(engine)
    : engine.kind === "reduction" ? foldStreams(engine)
    : engine.kind === "gather" ? [engine.index]
    : engine.kind === "scatter" ? [engine.index, engine.updates] : [];
  const accesses = [...own, ...resultStreams(kernel)];
  return { ...tiled, kernel, operands: tiled.operands.map((operand, i) => ({ ...operand, access: accesses[i]! })) };
}

/** The smallest tile that the kernel could have, against what the machine has. */
function refuse(kernel: Kernel, machine: Machine): never {
  const origin = kernel.origins[0];
  const where = { kernel: kernel.name, ...(origin === undefined ? {} : { node: origin.node, operator: origin.operator }) };
  const roomy: Machine = { ...machine, dataCache: { ...machine.dataCache, bytes: Number.MAX_SAFE_INTEGER }, accumulators: { ...machine.accumulators, bytes: Number.MAX_SAFE_INTEGER } };
  let required = { cache: Infinity, accumulator: Infinity };
  for (const tiled of tilingsOf(kernel, roomy)) {
    const need = onChipBytes(tiled);
    if (need.cache + need.accumulator < required.cache + required.accumulator) required = need;
  }
  const dims = kernel.dims.map((d) => `${d.name}=${d.extent}`).join(" ");
  if (required.cache === Infinity) return fail("E0303", `kernel "${kernel.name}" (${dims}) needs more than 8 loop levels`, where);
  const missing = (need: number, have: number) => `required ${need}, available ${have}, missing ${Math.max(0, need - have)} bytes`;
  return fail("E0302", `the smallest tile of kernel "${kernel.name}" (${dims}) does not fit: data cache ${missing(required.cache, machine.dataCache.bytes)}; accumulators ${missing(required.accumulator, machine.accumulators.bytes)}`, where,
    ["Take a machine with larger memories, or split the operator."]);
}

function onChipBytes(tiled: TiledKernel): { cache: number; accumulator: number } {
  // Two slots each, or one where there is one tile, is the least that the search accepts.
  return { cache: cacheBytes(tiled, 2), accumulator: buffersOf(tiled).filter(({ memory }) => memory === "accumulator").reduce((sum, b) => sum + Math.min(2, b.slots) * b.slotBytes, 0) };
}
