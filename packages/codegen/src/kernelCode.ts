/**
 * @file One kernel of the schedule as instructions: configuration first, then its loop nest. The nest is
 *
 *     parallel tile loops { ld epilogue operands; reduced tile loops { ld operands; engine }; epilogue; st }
 *
 * where a contraction repeats engine and epilogue over the column panels of the tile.
 */
import { bytesOf, dtypeNames, elementwiseNames, internal, isFloat, type Dtype } from "@systole/base";
import { reductionNames, type Instruction } from "@systole/isa";
import { initialOf, readsOf, startOf, strideAlong, type Access, type Buffer, type Chain, type Level, type Operand, type PlacedTensor, type Source, type TiledKernel } from "@systole/scheduler";
import { inPlaceOf, type InPlaceRegion } from "./inPlace.ts";
import { maskOf, Registers, type DimensionSpec } from "./registers.ts";
import { TensorPlaces, type Region } from "./tensorPlaces.ts";

type Tensors = ReadonlyMap<number, PlacedTensor>;

/** `registerOf` gives the register of a scalar that chooses a row. */
export function kernelCode(tiled: TiledKernel, tensors: Tensors, registerOf: (scalar: string) => number = noScalars): Instruction[] {
  const writer = new KernelWriter(tiled, new TensorPlaces(tiled.kernel, tensors, registerOf));
  const body = writer.nest();
  return [...writer.registers.configuration, ...body, { op: "ret" }];
}

function noScalars(scalar: string): never {
  return internal(`a row chosen by ${scalar} outside of a program`);
}

/** Where the vector unit writes: a buffer of tiles, or the tensor itself. */
type Target = { readonly buffer: number; readonly ring: Buffer } | Access;

/** A dimension of the kernel in the space of an instruction; `extent` points of it. */
interface SpaceDim {
  readonly dim: number;
  readonly extent: number;
}

class KernelWriter {
  readonly registers: Registers;
  readonly #t: TiledKernel;
  readonly #places: TensorPlaces;
  readonly #levels: readonly Level[];
  readonly #buffers = new Map<Buffer, number>();
  readonly #tensorBuffers = new Map<Region, number>();
  readonly #panel: readonly number[];
  /** Whether some access goes to its tensor itself. */
  readonly #direct: boolean;
  readonly #inPlace: InPlaceRegion | undefined;

  constructor(tiled: TiledKernel, places: TensorPlaces) {
    this.#t = tiled;
    this.#places = places;
    this.#levels = tiled.levels;
    this.registers = new Registers(tiled.kernel.name);
    this.#panel = this.#levelsOf("panel");
    this.#direct = [...readsOf(tiled.kernel), tiled.kernel.output].some((access) => access.direct === true);
    this.#inPlace = inPlaceOf(tiled, places);
  }

  nest(): Instruction[] {
    const { kernel } = this.#t;
    const engine = kernel.engine;
    const epilogueLoads = this.#loads((o) => o.role === "epilogue");
    const engineLoads = this.#loads((o) => o.role !== "epilogue");
    const parallel = this.#levelsOf("parallel");
    const reduced = this.#levelsOf("reduced");
    const initial = initialOf(engine).map((access) => this.#loadSums(access));
    const inner = this.#engineAndOut();
    // All panels' sums at once: the first panel may be stored where the next one's still lie.
    const sums = this.#loop(this.#panel, initial);
    const compute = engine.kind === "contraction" && reduced.length === 0
      ? [...sums, ...engineLoads, ...this.#loop(this.#panel, [...inner.engine, ...inner.out])]
      : [...sums, ...this.#loop(reduced, [...engineLoads, ...this.#loop(this.#panel, inner.engine)]), ...this.#loop(this.#panel, inner.out)];
    return this.#loop(parallel, [...epilogueLoads, ...compute]);
  }

  #levelsOf(kind: Level["kind"]): number[] {
    return this.#levels.flatMap((l, i) => (l.kind === kind ? [i] : []));
  }

  #loop(levels: readonly number[], body: readonly Instruction[]): Instruction[] {
    if (body.length === 0) return [];
    return [...levels.map((level): Instruction => ({ op: "loop", level, count: this.#levels[level]!.count })), ...body, ...[...levels].reverse().map((level): Instruction => ({ op: "endloop", level }))];
  }

  // ---- engine, epilogue, store --------------------------------------------------------------------------------------

  #engineAndOut(): { engine: Instruction[]; out: Instruction[] } {
    const { kernel, staging, sums } = this.#t;
    const engine = kernel.engine;
    if (engine.kind === "gather") return this.#gather();
    if (engine.kind === "scatter") return this.#scatter();
    const direct = kernel.output.direct === true;
    const result: Target = direct ? kernel.output : { buffer: this.#onChip(staging), ring: staging };
    const store = "buffer" in result ? [this.#store(result.buffer)] : [];
    const parallelDims = this.#spaceDims(0, kernel.parallel);
    if (engine.kind === "none") {
      return { engine: [], out: [...this.#vector(kernel.epilogue, parallelDims, this.#roleOperands("epilogue"), result), ...store] };
    }
    if (engine.kind === "contraction") {
      const sumsBuffer = this.#onChip(sums ?? internal("a contraction has sums"));
      return {
        engine: [this.#gemm(sumsBuffer)],
        out: [...this.#vector(kernel.epilogue, parallelDims, this.#roleOperands("epilogue"), result, { buffer: sumsBuffer, ring: sums!, dtype: "f32" }), ...store],
      };
    }
    const reducedDims = this.#spaceDims(kernel.parallel, kernel.dims.length);
    const scan = engine.reduction.includes("scan");
    const folded = sums === undefined ? undefined : { buffer: this.#onChip(sums), ring: sums };
    const reduction = {
      kind: reductionNames.indexOf(engine.reduction), order: engine.order === "blocked" ? 1 : 0, dtype: engine.dtype, scan,
      dims: reducedDims.length > 0 ? reducedDims : [{ dim: -1, extent: 1 }], ...this.#sumsStart(),
    };
    const fold = this.#vector(engine.chain, parallelDims, this.#roleOperands("stream"), folded ?? result, undefined, reduction);
    if (folded === undefined) return { engine: fold, out: store };
    return { engine: fold, out: [...this.#vector(kernel.epilogue, parallelDims, this.#roleOperands("epilogue"), result, { ...folded, dtype: engine.dtype }), ...store] };
  }

  #gemm(sumsBuffer: number): Instruction {
    const { kernel, operands, sums, dataflow } = this.#t;
    if (kernel.engine.kind !== "contraction") return internal("gemm without contraction");
    const classes = kernel.engine.classes;
    const all = this.#spaceDims(0, kernel.dims.length);
    const ofClass = (name: string) => all.filter((d) => classes[d.dim] === name);
    const orDummy = (dims: readonly SpaceDim[]) => (dims.length > 0 ? dims : [{ dim: -1, extent: 1 }]);
    const rows = orDummy(ofClass("row"));
    // Loops over single points of batch and outer columns move both operands, as a contracted dimension of one point does.
    const outer = all.filter((d) => classes[d.dim] === "batch" || (classes[d.dim] === "column" && !this.#isColumn(d.dim)));
    const contracted = orDummy([...outer, ...ofClass("contracted")]);
    const columns = orDummy(ofClass("column").filter((d) => this.#isColumn(d.dim)));
    const dims = [...rows, ...contracted, ...columns];
    const space = this.registers.space(dims.map((d) => this.#dimension(d)));
    const x = this.#operandGenerator(operands.find((o) => o.role === "x")!, space, dims);
    const w = this.#operandGenerator(operands.find((o) => o.role === "w")!, space, dims);
    const dense = this.#denseStrides(4);
    const out = this.registers.generator({ space, buffer: sumsBuffer, dtype: "f32", strides: dims.map((d) => (outer.includes(d) ? 0 : dense(d.dim))), ring: sums! });
    return { op: "gemm", x, w, out, rows: rows.length, contracted: contracted.length, dataflow: dataflow === "output-stationary" ? 1 : 0, ...this.#sumsStart(), first: 0, last: 0 };
  }

  /** Sums start at the first of the reduced tiles, or never: then they go on from what was loaded. */
  #sumsStart(): { readonly start: number; readonly continues: number } {
    const continues = initialOf(this.#t.kernel.engine).length > 0;
    return continues ? { start: 0, continues: 1 } : { start: maskOf(this.#levelsOf("reduced")), continues: 0 };
  }

  /** A vec with its vops. `engine` is where the chain finds the engine's result. */
  #vector(
    chain: Chain, dims: readonly SpaceDim[], operands: readonly Operand[], target: Target,
    engine?: { buffer: number; ring: Buffer; dtype: Chain["dtype"] },
    reduction?: { kind: number; order: number; dtype: Chain["dtype"]; scan: boolean; dims: readonly SpaceDim[]; start: number; continues: number },
  ): Instruction[] {
    const all = [...dims, ...(reduction?.dims ?? [])];
    const space = this.registers.space(all.map((d) => this.#dimension(d)));
    const streams = operands.map((o) => this.#operandGenerator(o, space, all));
    if (engine !== undefined) {
      const dense = this.#denseStrides(bytesOf(engine.dtype));
      streams.push(this.registers.generator({ space, buffer: engine.buffer, dtype: engine.dtype, strides: all.map((d) => dense(d.dim)), ring: engine.ring }));
    }
    const resultType = reduction?.dtype ?? chain.dtype;
    const dense = this.#denseStrides(bytesOf(resultType));
    const isReduced = (i: number) => reduction !== undefined && !reduction.scan && i >= dims.length;
    const targetGenerator = "buffer" in target
      ? this.registers.generator({ space, buffer: target.buffer, dtype: resultType, strides: all.map((d, i) => (isReduced(i) ? 0 : dense(d.dim))), ring: target.ring })
      : this.#directGenerator(target, space, all);
    const stream = (i: number) => streams[i] ?? 0;
    const vec: Instruction = {
      op: "vec", target: targetGenerator, streams: streams.length, s0: stream(0), s1: stream(1), s2: stream(2), s3: stream(3), s4: stream(4), s5: stream(5),
      stages: chain.stages.length, reduction: reduction?.kind ?? 0, reduced: reduction?.dims.length ?? 0, order: reduction?.order ?? 0, start: reduction?.start ?? 0, continues: reduction?.continues ?? 0, first: 0, last: 0,
    };
    const spaceIndex = (dim: number) => all.findIndex((d) => d.dim === dim);
    return [vec, ...chain.stages.map((stage): Instruction => {
      const immediate = stage.sources.find((s) => s.kind === "immediate");
      const code = (s: Source | undefined) => (s === undefined ? 0 : sourceCode(s, operands.length, spaceIndex));
      const operandType = stage.operands;
      return {
        op: "vop", operation: elementwiseNames.indexOf(stage.operation), a: code(stage.sources[0]), b: code(stage.sources[1]), c: code(stage.sources[2]),
        operands: dtypeNames.indexOf(operandType), dtype: dtypeNames.indexOf(stage.dtype), immediate: immediate === undefined ? 0n : immediateBits(immediate.value, operandType),
      };
    })];
  }

  #store(stagingBuffer: number): Instruction {
    const { kernel, staging } = this.#t;
    const { onChip: source, outside: target } = this.#resultTile(kernel.output, stagingBuffer, staging);
    return { op: "st", target, source, first: 0, last: 0 };
  }

  /** Brings what the sums of one tile go on from. */
  #loadSums(access: Access): Instruction {
    const sums = this.#t.sums ?? internal("an engine with initial values has sums");
    const { onChip: target, outside: source } = this.#resultTile(access, this.#onChip(sums), sums);
    return { op: "ld", target, source, fill: 0, first: 0, last: 0 };
  }

  /** The points of one tile of results, in a tensor and dense on the chip. */
  #resultTile(access: Access, buffer: number, ring: Buffer): { readonly onChip: number; readonly outside: number } {
    const { dtype } = access.tensor.type;
    const width = bytesOf(dtype);
    const place = affine(access);
    const moving = this.#movingDims(access).sort((a, b) => Math.abs(place.stride(b.dim)) - Math.abs(place.stride(a.dim)) || a.dim - b.dim);
    const space = this.registers.space(moving.map((d) => this.#dimension(d)));
    const dense = this.#denseStrides(width);
    const onChip = this.registers.generator({ space, buffer, dtype, strides: moving.map((d) => (d.extent > 1 ? dense(d.dim) : 0)), ring });
    const outside = this.#tensorGenerator(access, { space, base: place.base * width, strides: moving.map((d) => place.stride(d.dim) * width) });
    return { onChip, outside };
  }

  #gather(): { engine: Instruction[]; out: Instruction[] } {
    const { kernel, staging, operands } = this.#t;
    if (kernel.engine.kind !== "gather") return internal("gather without gather");
    const { rows, rowCount } = kernel.engine;
    const width = bytesOf(rows.tensor.type.dtype);
    const dims = kernel.dims.map((_, dim) => ({ dim, extent: this.#t.tile[dim]! })).filter((d) => d.dim === 0 || d.extent > 1 || this.#levelOf(d.dim).length > 0);
    const space = this.registers.space(dims.map((d) => this.#dimension(d)));
    const place = affine(rows);
    const dense = this.#denseStrides(width);
    const source = this.#tensorGenerator(rows, { space, base: place.base * width, strides: dims.map((d) => (d.dim === 0 ? rowStride(rows) : place.stride(d.dim)) * width) });
    const gatherTo = (target: number): Instruction => ({ op: "gather", target, source, index: this.#indexGenerator(operands), rows: rowCount, first: 0, last: 0 });
    if (kernel.output.direct === true) return { engine: [gatherTo(this.#directGenerator(kernel.output, space, dims))], out: [] };
    const stagingBuffer = this.#onChip(staging);
    const target = this.registers.generator({ space, buffer: stagingBuffer, dtype: rows.tensor.type.dtype, strides: dims.map((d) => dense(d.dim)), ring: staging });
    return { engine: [gatherTo(target)], out: [this.#store(stagingBuffer)] };
  }

  #scatter(): { engine: Instruction[]; out: Instruction[] } {
    const { kernel, operands } = this.#t;
    if (kernel.engine.kind !== "scatter") return internal("scatter without scatter");
    const output = kernel.output;
    const width = bytesOf(output.tensor.type.dtype);
    const dims = kernel.dims.map((_, dim) => ({ dim, extent: this.#t.tile[dim]! })).filter((d) => d.dim === 0 || d.extent > 1 || this.#levelOf(d.dim).length > 0);
    const space = this.registers.space(dims.map((d) => this.#dimension(d)));
    const place = affine(output);
    const target = this.#tensorGenerator(output, { space, base: place.base * width, strides: dims.map((d) => (d.dim === 0 ? rowStride(output) : place.stride(d.dim)) * width) });
    const updates = this.#operandGenerator(operands.find((o) => o.role === "stream")!, space, dims);
    const index = this.#indexGenerator(operands);
    const rows = kernel.engine.rowCount;
    const { combine } = kernel.engine;
    if (combine === undefined) return { engine: [], out: [{ op: "scatter", target, source: updates, index, rows, first: 0, last: 0 }] };
    // The row as it is, combined with the update, goes back to its place.
    const dtype = dtypeNames.indexOf(output.tensor.type.dtype);
    const dense = this.#denseStrides(width);
    const local = (buffer: Buffer) => this.registers.generator({ space, buffer: this.#onChip(buffer), dtype: output.tensor.type.dtype, strides: dims.map((d) => dense(d.dim)), ring: buffer });
    const old = local(this.#t.sums ?? internal("a combining scatter has a buffer for the rows as they are"));
    const result = local(this.#t.staging);
    return { engine: [], out: [
      { op: "gather", target: old, source: target, index, rows, first: 0, last: 0 },
      { op: "vec", target: result, streams: 2, s0: old, s1: updates, s2: 0, s3: 0, s4: 0, s5: 0, stages: 1, reduction: 0, reduced: 0, order: 0, start: 0, continues: 0, first: 0, last: 0 },
      { op: "vop", operation: elementwiseNames.indexOf(combine), a: 0, b: 1, c: 0, operands: dtype, dtype, immediate: 0n },
      { op: "scatter", target, source: result, index, rows, first: 0, last: 0 },
    ] };
  }

  #indexGenerator(operands: readonly Operand[]): number {
    const index = operands.find((o) => o.role === "index") ?? internal("gather and scatter have an index");
    const dims = [{ dim: 0, extent: this.#t.tile[0]! }];
    const space = this.registers.space(dims.map((d) => this.#dimension(d)));
    return this.#operandGenerator(index, space, dims);
  }

  // ---- loads ------------------------------------------------------------------------------------------------------

  #loads(select: (operand: Operand) => boolean): Instruction[] {
    return this.#t.operands.filter((operand) => select(operand) && operand.access.direct !== true).map((operand) => this.#load(operand));
  }

  #load(operand: Operand): Instruction {
    const { access, box, buffer } = operand;
    const width = bytesOf(access.tensor.type.dtype);
    const order = access.coordinates.map((_, i) => i).sort((a, b) => access.coordinates[b]!.stride - access.coordinates[a]!.stride || a - b);
    const space = this.registers.space(order.map((i): DimensionSpec => {
      const c = access.coordinates[i]!;
      const backwards = c.terms.reduce((sum, t) => sum + Math.min(0, t.factor) * (this.#t.tile[t.dim]! - 1), 0);
      const steps = this.#levels.flatMap((level, l) => {
        const factor = c.terms.find((t) => t.dim === level.dim)?.factor ?? 0;
        return level.kind === "panel" || factor === 0 || operand.resident.includes(l) ? [] : [{ level: l, step: factor * level.step }];
      });
      return { extent: box.extents[i]!, offset: c.offset + backwards, limit: c.size, mode: c.padded || backwards < 0 ? "pad" : "cut", steps };
    }));
    const source = this.#tensorGenerator(access, { space, base: access.base * width, strides: order.map((i) => access.coordinates[i]!.stride * width) });
    const target = this.registers.generator({ space, buffer: this.#onChip(operand.buffer), dtype: access.tensor.type.dtype, strides: order.map((i) => box.strides[i]!), ring: buffer });
    return { op: "ld", target, source, fill: access.fill, first: maskOf(operand.resident), last: 0 };
  }

  // ---- spaces and generators --------------------------------------------------------------------------------------

  #roleOperands(role: Operand["role"]): readonly Operand[] {
    return this.#t.operands.filter((o) => o.role === role);
  }

  #levelOf(dim: number): number[] {
    return this.#levels.flatMap((l, i) => (l.dim === dim ? [i] : []));
  }

  /** Dimensions from..to of the kernel that have more than one point in a tile, or whose index a chain reads; of loops over single points too where whole coordinates count. */
  #spaceDims(from: number, to: number): SpaceDim[] {
    const { kernel } = this.#t;
    const chains = kernel.engine.kind === "reduction" ? [kernel.engine.chain, kernel.epilogue] : [kernel.epilogue];
    const indexed = (dim: number) => chains.some((chain) => chain.stages.some((s) => s.sources.some((source) => source.kind === "index" && source.dim === dim)));
    return kernel.dims.map((_, dim) => ({ dim, extent: this.#extentInInstruction(dim) })).filter((d) => d.dim >= from && d.dim < to && (d.extent > 1 || indexed(d.dim) || (this.#direct && this.#levelOf(d.dim).length > 0)));
  }

  #extentInInstruction(dim: number): number {
    return this.#isColumn(dim) ? this.#t.panelColumns : this.#t.tile[dim]!;
  }

  #isColumn(dim: number): boolean {
    const engine = this.#t.kernel.engine;
    if (engine.kind !== "contraction") return false;
    return engine.classes[dim] === "column" && dim === engine.classes.lastIndexOf("column");
  }

  #dimension(d: SpaceDim): DimensionSpec {
    if (d.dim < 0) return { extent: 1, steps: [] };
    const extent = this.#t.kernel.dims[d.dim]!.extent;
    const steps = this.#levelOf(d.dim).map((level) => ({ level, step: this.#levels[level]!.step }));
    return { extent: d.extent, limit: extent, steps };
  }

  /** Parallel (for a scan: all) dimensions, over which the points of a result lie. */
  #movingDims(access: Access): SpaceDim[] {
    const place = affine(access);
    return this.#t.kernel.dims.flatMap((_, dim) => {
      const extent = this.#extentInInstruction(dim);
      return (dim < this.#t.kernel.parallel || place.stride(dim) !== 0) && (extent > 1 || this.#levelOf(dim).length > 0) ? [{ dim, extent }] : [];
    });
  }

  /** Byte strides of a dense tile in the order of the kernel's dimensions: sums, staging. */
  #denseStrides(width: number): (dim: number) => number {
    const { kernel } = this.#t;
    const scan = kernel.engine.kind === "reduction" && kernel.engine.reduction.includes("scan");
    const strides = new Map<number, number>();
    let bytes = width;
    for (let dim = (scan ? kernel.dims.length : kernel.parallel) - 1; dim >= 0; dim--) {
      strides.set(dim, bytes);
      bytes *= this.#extentInInstruction(dim);
    }
    return (dim) => strides.get(dim) ?? 0;
  }

  #operandGenerator(operand: Operand, space: number, dims: readonly SpaceDim[]): number {
    const { access, box, buffer } = operand;
    if (access.direct === true) return this.#directGenerator(access, space, dims);
    const stride = (dim: number) => access.coordinates.reduce((sum, c, i) => sum + c.terms.reduce((s, t) => s + (t.dim === dim ? t.factor * box.strides[i]! : 0), 0), 0);
    // Levels whose tiles all lie in the buffer.
    const whole = operand.resident.filter((level) => access.coordinates.some((c) => c.terms.some((t) => t.dim === this.#levels[level]!.dim)));
    const base = access.coordinates.reduce((sum, c, i) => sum + c.terms.reduce((s, t) => s + Math.max(0, -t.factor) * (this.#t.tile[t.dim]! - 1) * box.strides[i]!, 0), 0);
    return this.registers.generator({ space, buffer: this.#onChip(operand.buffer), dtype: access.tensor.type.dtype, levels: [...this.#panel, ...whole], base, strides: dims.map((d) => (d.dim < 0 ? 0 : stride(d.dim))), ring: buffer });
  }

  /** The tensor itself, at the whole coordinates of the kernel's dimensions. */
  #directGenerator(access: Access, space: number, dims: readonly SpaceDim[]): number {
    const width = bytesOf(access.tensor.type.dtype);
    const place = affine(access);
    return this.#tensorGenerator(access, { space, base: place.base * width, strides: dims.map((d) => (d.dim < 0 ? 0 : place.stride(d.dim) * width)) });
  }

  #onChip(buffer: Buffer): number {
    const id = this.#buffers.get(buffer) ?? this.registers.buffer(buffer.memory, buffer.address, buffer.slotBytes, buffer.slots);
    this.#buffers.set(buffer, id);
    return id;
  }

  /** Points of a tensor, by their whole coordinates; of one that is overwritten, in the slot of the tile. */
  #tensorGenerator(access: Access, at: { readonly space: number; readonly base: number; readonly strides: readonly number[] }): number {
    const { tensor } = access;
    const { region, offset, row } = this.#places.of(tensor.id);
    const inPlace = this.#inPlace?.region === region ? this.#inPlace : undefined;
    const known = this.#tensorBuffers.get(region);
    const buffer = known ?? this.registers.buffer(region.memory, region.address, inPlace?.slotBytes ?? region.bytes, inPlace?.slots ?? 1);
    this.#tensorBuffers.set(region, buffer);
    if (inPlace !== undefined) {
      const inside = this.#levels.flatMap((_, level) => (level === inPlace.level ? [] : [level]));
      const ring = { ring: this.#levels.map((_, level) => (level === inPlace.level ? 1 : 0)), dependent: [inPlace.level] };
      return this.registers.generator({ ...at, buffer, dtype: tensor.type.dtype, levels: inside, base: startOf(access) * bytesOf(tensor.type.dtype), ring });
    }
    return this.registers.generator({ ...at, buffer, dtype: tensor.type.dtype, absolute: true, base: at.base + offset, ...(row === undefined ? {} : { row }) });
  }
}

/** An access without padding as base + sum of stride * dimension, in elements. */
function affine(access: Access): { base: number; stride: (dim: number) => number } {
  return { base: startOf(access), stride: (dim) => strideAlong(access, dim) };
}

/** Elements between looked-up rows: the product of everything inside the first axis. */
function rowStride(access: Access): number {
  const row = access.coordinates.find((c) => c.terms.some((t) => t.dim === 0));
  if (row !== undefined) return row.stride;
  return access.tensor.type.shape.slice(1).reduce((a, b) => a * b, 1);
}

function sourceCode(source: Source, streams: number, spaceIndex: (dim: number) => number): number {
  switch (source.kind) {
    case "stream": return source.index;
    case "engine": return streams;
    case "stage": return 8 + source.index;
    case "index": return 16 + spaceIndex(source.dim);
    case "immediate": return 24;
  }
}

function immediateBits(value: number | bigint, dtype: Dtype): bigint {
  if (isFloat(dtype)) return new BigUint64Array(new Float64Array([Number(value)]).buffer)[0]!;
  return BigInt.asUintN(64, BigInt(value));
}
