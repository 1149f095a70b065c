/**
 * @file One kernel of the schedule as instructions: configuration first, then its loop nest. The nest is
 *
 *     parallel tile loops { ld operands of the results; reduced tile loops { ld operands; engine }; results; st }
 *
 * where a contraction has reduced loops for each of its products, and repeats engine and results over the column panels of the tile.
 */
import { dtypeNames, internal, isFloat, elementwiseNames, type Dtype } from "@systole/base";
import { reductionNames, type Instruction } from "@systole/isa";
import { initialOf, isFetch, passesOf, streamOperand, type Access, type Chain, type Engine, type Fold, type Operand, type PlacedTensor, type Source, type TiledKernel } from "@systole/scheduler";
import { gatherCode, scatterCode } from "./lookups.ts";
import { maskOf } from "./registers.ts";
import { TensorPlaces } from "./tensorPlaces.ts";
import { TileAddresses, type SpaceDim, type Tiles } from "./tileAddresses.ts";

type Tensors = ReadonlyMap<number, PlacedTensor>;
type Contraction = Extract<Engine, { kind: "contraction" }>;

/** `registerOf` gives the register of a scalar that chooses a row. */
export function kernelCode(tiled: TiledKernel, tensors: Tensors, registerOf: (scalar: string) => number = noScalars): Instruction[] {
  const at = new TileAddresses(tiled, new TensorPlaces(tiled.kernel, tensors, registerOf));
  const body = new KernelWriter(at).nest();
  return [...at.registers.configuration, ...body, { op: "ret" }];
}

function noScalars(scalar: string): never {
  return internal(`a row chosen by ${scalar} outside of a program`);
}

/** Where the vector unit reads and writes: tiles, or a tensor itself. */
type Place = Tiles | Access;

class KernelWriter {
  readonly #at: TileAddresses;
  readonly #t: TiledKernel;

  constructor(at: TileAddresses) {
    this.#at = at;
    this.#t = at.tiled;
  }

  nest(): Instruction[] {
    const { engine } = this.#t.kernel;
    const resultLoads = this.#loads((o) => o.role === "result");
    const passes = passesOf(this.#t.kernel);
    const engineLoads = Array.from({ length: passes }, (_, product) => this.#loads((o) => o.role !== "result" && (o.product ?? 0) === product));
    const [parallel, reduced, panel] = [this.#at.levelsOf("parallel"), this.#at.levelsOf("reduced"), this.#at.levelsOf("panel")];
    const initial = initialOf(engine).map((access) => this.#loadSums(access));
    const inner = this.#engineAndOut();
    // All panels' sums at once: the first panel may be stored where the next one's still lie.
    const sums = this.#loop(panel, initial);
    const compute = engine.kind === "contraction" && reduced.length === 0
      ? [...sums, ...engineLoads.flat(), ...this.#loop(panel, [...inner.engine.flat(), ...inner.out])]
      : [...sums, ...inner.engine.flatMap((code, pass) => this.#loop(reduced, [...engineLoads[pass]!, ...this.#loop(panel, code)])), ...this.#loop(panel, inner.out)];
    return this.#loop(parallel, [...resultLoads, ...compute]);
  }

  #loop(levels: readonly number[], body: readonly Instruction[]): Instruction[] {
    if (body.length === 0) return [];
    return [...levels.map((level): Instruction => ({ op: "loop", level, count: this.#t.levels[level]!.count })), ...body, ...[...levels].reverse().map((level): Instruction => ({ op: "endloop", level }))];
  }

  // ---- engine, results, stores --------------------------------------------------------------------------------------

  /** What the engine does in each pass over the reduced tiles: one for each product of a contraction. */
  #engineAndOut(): { readonly engine: readonly (readonly Instruction[])[]; readonly out: readonly Instruction[] } {
    const { kernel, sums } = this.#t;
    const { engine } = kernel;
    switch (engine.kind) {
      case "none": return { engine: [[]], out: isFetch(kernel) ? this.#fetch() : this.#results() };
      case "contraction": {
        const made = { buffer: sums[0] ?? internal("a contraction has sums"), dtype: "f32" as const };
        return { engine: engine.products.map((_, product) => [this.#gemm(engine, product, made)]), out: this.#results([made]) };
      }
      case "reduction": {
        if (sums.length === 0) return { engine: [engine.folds.flatMap((fold) => this.#fold(fold, this.#placeOf(0)))], out: this.#store(0) };
        const made = engine.folds.map(({ dtype }, i) => ({ buffer: sums[i]!, dtype }));
        return { engine: [engine.folds.flatMap((fold, i) => this.#fold(fold, made[i]!))], out: this.#results(made) };
      }
      case "gather": return { engine: [gatherCode(this.#at)], out: this.#store(0) };
      case "scatter": return { engine: [[]], out: scatterCode(this.#at) };
    }
  }

  /** Straight into the tensor's place. */
  #fetch(): Instruction[] {
    const { kernel } = this.#t;
    const { chain, output } = kernel.results[0]!;
    const dims = this.#at.dims(0, kernel.parallel);
    const space = this.#at.space(dims);
    return [{ op: "ld", target: this.#at.tensor(output!, space, dims), source: this.#at.tensor(chain.streams[0]!, space, dims), fill: 0, first: 0, last: 0 }];
  }

  #gemm({ classes }: Contraction, product: number, sums: Tiles): Instruction {
    const { kernel, operands, dataflow } = this.#t;
    const all = this.#at.dims(0, kernel.dims.length);
    const ofClass = (name: string) => all.filter((d) => classes[d.dim] === name);
    const orDummy = (dims: readonly SpaceDim[]) => (dims.length > 0 ? dims : [{ dim: -1, extent: 1 }]);
    const rows = orDummy(ofClass("row"));
    // Loops over single points of batch and outer columns move both operands, as a contracted dimension of one point does.
    const outer = all.filter((d) => classes[d.dim] === "batch" || (classes[d.dim] === "column" && !this.#at.isColumn(d.dim)));
    const contracted = orDummy([...outer, ...ofClass("contracted")]);
    const columns = orDummy(ofClass("column").filter((d) => this.#at.isColumn(d.dim)));
    const dims = [...rows, ...contracted, ...columns];
    const space = this.#at.space(dims);
    const [x, w] = (["x", "w"] as const).map((role) => this.#at.operand(operands.find((o) => o.role === role && o.product === product)!, space, dims)) as [number, number];
    const out = this.#at.tiles(sums, space, dims, (position) => !outer.includes(dims[position]!));
    return { op: "gemm", x, w, out, rows: rows.length, contracted: contracted.length, dataflow: dataflow === "output-stationary" ? 1 : 0, ...this.#sumsStart(product > 0), first: 0, last: 0 };
  }

  /** Sums start at the first of the reduced tiles, or never: then they go on from what was loaded or made before. */
  #sumsStart(behindOthers = false): { readonly start: number; readonly continues: number } {
    const continues = behindOthers || initialOf(this.#t.kernel.engine).length > 0;
    return continues ? { start: 0, continues: 1 } : { start: maskOf(this.#at.levelsOf("reduced")), continues: 0 };
  }

  #fold({ chain, reduction, order, dtype }: Fold, target: Place): Instruction[] {
    const { kernel, operands } = this.#t;
    const kept = this.#at.dims(0, kernel.parallel);
    const reduced = this.#at.dims(kernel.parallel, kernel.dims.length);
    const folded = reduced.length > 0 ? reduced : [{ dim: -1, extent: 1 }];
    const dims = [...kept, ...folded];
    const space = this.#at.space(dims);
    const streams = chain.streams.map((access) => this.#at.operand(streamOperand(operands, "stream", access), space, dims));
    const moves = (position: number) => reduction.includes("scan") || position < kept.length;
    const to = "buffer" in target ? this.#at.tiles({ buffer: target.buffer, dtype }, space, dims, moves) : this.#at.tensor(target, space, dims);
    return this.#vec(chain, dims, streams, { stream: (i) => i, engine: () => streams.length, result: () => streams.length }, to, { reduction: reductionNames.indexOf(reduction), reduced: folded.length, order: order === "blocked" ? 1 : 0, ...this.#sumsStart() });
  }

  /** Every result of a tile, and its store. `made` is what the engine made: of a reduction, by each of its folds. */
  #results(made: readonly Tiles[] = []): Instruction[] {
    const { kernel, operands } = this.#t;
    const dims = this.#at.dims(0, kernel.parallel);
    const space = this.#at.space(dims);
    const generator = (place: Place) => ("buffer" in place ? this.#at.tiles(place, space, dims) : this.#at.tensor(place, space, dims));
    return kernel.results.flatMap(({ chain }, i) => {
      const sources = chain.stages.flatMap((stage) => stage.sources);
      const streams = chain.streams.map((access) => this.#at.operand(streamOperand(operands, "result", access), space, dims));
      const firstMade = streams.length;
      const used = chain.stages.length === 0 && made.length > 0 ? [0] : [...new Set(sources.flatMap((source) => (source.kind === "engine" ? [source.index] : [])))];
      streams.push(...used.map((index) => generator(made[index]!)));
      const earlier = [...new Set(sources.flatMap((source) => (source.kind === "result" ? [source.index] : [])))];
      const firstResult = streams.length;
      streams.push(...earlier.map((index) => generator(this.#placeOf(index))));
      return [...this.#vec(chain, dims, streams, { stream: (k) => k, engine: (k) => firstMade + used.indexOf(k), result: (k) => firstResult + earlier.indexOf(k) }, generator(this.#placeOf(i)), {}), ...this.#store(i)];
    });
  }

  /** A vec with its vops. `positions`: where in `streams` a source stands. */
  #vec(chain: Chain, dims: readonly SpaceDim[], streams: readonly number[], positions: Positions, target: number, reduction: Partial<Record<"reduction" | "reduced" | "order" | "start" | "continues", number>>): Instruction[] {
    const stream = (i: number) => streams[i] ?? 0;
    const vec: Instruction = {
      op: "vec", target, streams: streams.length, s0: stream(0), s1: stream(1), s2: stream(2), s3: stream(3), s4: stream(4), s5: stream(5),
      stages: chain.stages.length, reduction: 0, reduced: 0, order: 0, start: 0, continues: 0, ...reduction, first: 0, last: 0,
    };
    return [vec, ...chain.stages.map(({ operation, sources, operands, dtype }): Instruction => {
      const immediate = sources.find((s) => s.kind === "immediate");
      const [a, b, c] = [0, 1, 2].map((i) => (sources[i] === undefined ? 0 : sourceCode(sources[i], positions, dims))) as [number, number, number];
      return {
        op: "vop", operation: elementwiseNames.indexOf(operation), a, b, c,
        operands: dtypeNames.indexOf(operands), dtype: dtypeNames.indexOf(dtype), immediate: immediate === undefined ? 0n : immediateBits(immediate.value, operands),
      };
    })];
  }

  // ---- loads and stores -------------------------------------------------------------------------------------------

  /** Where the vector unit writes a result. */
  #placeOf(result: number): Place {
    const { chain, output } = this.#t.kernel.results[result]!;
    return output?.direct === true ? output : { buffer: this.#t.staging[result]!, dtype: chain.dtype };
  }

  #store(result: number): Instruction[] {
    const { output } = this.#t.kernel.results[result]!;
    if (output === undefined || output.direct === true) return [];
    const { onChip: source, outside: target } = this.#at.result(output, this.#t.staging[result]!);
    return [{ op: "st", target, source, first: 0, last: 0 }];
  }

  #loads(select: (operand: Operand) => boolean): Instruction[] {
    return this.#t.operands.filter((operand) => select(operand) && operand.access.direct !== true).map((operand) => {
      const { onChip: target, outside: source } = this.#at.box(operand);
      return { op: "ld", target, source, fill: operand.access.fill, first: maskOf(operand.resident), last: 0 };
    });
  }

  /** Brings what the sums of one tile go on from. */
  #loadSums(access: Access): Instruction {
    const { onChip: target, outside: source } = this.#at.result(access, this.#t.sums[0] ?? internal("an engine with initial values has sums"));
    return { op: "ld", target, source, fill: 0, first: 0, last: 0 };
  }
}

interface Positions {
  readonly stream: (index: number) => number;
  readonly engine: (index: number) => number;
  readonly result: (index: number) => number;
}

function sourceCode(source: Source, positions: Positions, dims: readonly SpaceDim[]): number {
  switch (source.kind) {
    case "stream": return positions.stream(source.index);
    case "engine": return positions.engine(source.index);
    case "result": return positions.result(source.index);
    case "stage": return 8 + source.index;
    case "index": return 16 + dims.findIndex(({ dim }) => dim === source.dim);
    case "immediate": return 24;
  }
}

function immediateBits(value: number | bigint, dtype: Dtype): bigint {
  if (isFloat(dtype)) return new BigUint64Array(new Float64Array([Number(value)]).buffer)[0]!;
  return BigInt.asUintN(64, BigInt(value));
}
