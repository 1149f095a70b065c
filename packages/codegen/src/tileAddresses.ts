/** @file Where the points of a tile lie: spaces of its dimensions, and address generators for its buffers and its tensors. */
import { bytesOf, type Dtype } from "@systole/base";
import { accessesOf, chainsOf, isScan, startOf, strideAlong, type Access, type Buffer, type Level, type Operand, type TiledKernel } from "@systole/scheduler";
import { inPlaceRegions, type InPlaceRegion } from "./inPlace.ts";
import { Registers, type DimensionSpec } from "./registers.ts";
import type { Region, TensorPlaces } from "./tensorPlaces.ts";

/** A dimension of the kernel in the space of an instruction; `extent` points of it. A dimension -1 has one point and moves nothing. */
export interface SpaceDim {
  readonly dim: number;
  readonly extent: number;
}

/** A buffer of dense tiles. */
export interface Tiles {
  readonly buffer: Buffer;
  readonly dtype: Dtype;
}

export class TileAddresses {
  readonly registers: Registers;
  readonly tiled: TiledKernel;
  readonly #places: TensorPlaces;
  readonly #levels: readonly Level[];
  readonly #buffers = new Map<Buffer, number>();
  readonly #tensorBuffers = new Map<Region, number>();
  /** Whether some access goes to its tensor itself. */
  readonly #direct: boolean;
  readonly #inPlace: readonly InPlaceRegion[];

  constructor(tiled: TiledKernel, places: TensorPlaces) {
    this.tiled = tiled;
    this.#places = places;
    this.#levels = tiled.levels;
    this.registers = new Registers(tiled.kernel.name);
    this.#direct = accessesOf(tiled.kernel).some((access) => access.direct === true);
    this.#inPlace = inPlaceRegions(tiled, places);
  }

  // ---- dimensions -------------------------------------------------------------------------------------------------

  space(dims: readonly SpaceDim[]): number {
    return this.registers.space(dims.map((d) => this.#dimension(d)));
  }

  levelsOf(kind: Level["kind"]): number[] {
    return this.#levels.flatMap((l, i) => (l.kind === kind ? [i] : []));
  }

  /** Dimensions from..to of the kernel that have more than one point in a tile or are walked in panels, or whose index a chain reads; of loops over single points too where whole coordinates count. */
  dims(from: number, to: number): SpaceDim[] {
    const { kernel } = this.tiled;
    const indexed = (dim: number) => chainsOf(kernel).some((chain) => chain.stages.some((s) => s.sources.some((source) => source.kind === "index" && source.dim === dim)));
    // On an array of one column a panel is a single point of its tile.
    const inPanels = (dim: number) => this.#levels.some((level) => level.kind === "panel" && level.dim === dim);
    return kernel.dims.map((_, dim) => ({ dim, extent: this.#extent(dim) })).filter((d) => d.dim >= from && d.dim < to && (d.extent > 1 || inPanels(d.dim) || indexed(d.dim) || (this.#direct && this.#loopsOver(d.dim))));
  }

  /** For look-ups: row numbers are those of whole coordinates. */
  lookupDims(): SpaceDim[] {
    return this.tiled.kernel.dims.map((_, dim) => ({ dim, extent: this.tiled.tile[dim]! })).filter((d) => d.dim === 0 || d.extent > 1 || this.#loopsOver(d.dim));
  }

  isColumn(dim: number): boolean {
    const { engine } = this.tiled.kernel;
    return engine.kind === "contraction" && engine.classes[dim] === "column" && dim === engine.classes.lastIndexOf("column");
  }

  #extent(dim: number): number {
    return this.isColumn(dim) ? this.tiled.panelColumns : this.tiled.tile[dim]!;
  }

  #loopsOver(dim: number): boolean {
    return this.#levels.some((level) => level.dim === dim);
  }

  #dimension({ dim, extent }: SpaceDim): DimensionSpec {
    if (dim < 0) return { extent: 1, steps: [] };
    const steps = this.#levels.flatMap((level, i) => (level.dim === dim ? [{ level: i, step: level.step }] : []));
    return { extent, limit: this.tiled.kernel.dims[dim]!.extent, steps };
  }

  /** Parallel (for a scan: all) dimensions, over which the points of a result lie. */
  #movingDims(access: Access): SpaceDim[] {
    const { kernel } = this.tiled;
    return kernel.dims.flatMap((_, dim) => {
      const extent = this.#extent(dim);
      return (dim < kernel.parallel || strideAlong(access, dim) !== 0) && (extent > 1 || this.#loopsOver(dim)) ? [{ dim, extent }] : [];
    });
  }

  // ---- on the chip ------------------------------------------------------------------------------------------------

  /** A tile of results or sums; `kept` says which dimensions of the space move it. */
  tiles({ buffer, dtype }: Tiles, space: number, dims: readonly SpaceDim[], kept: (position: number) => boolean = () => true): number {
    const dense = this.#denseStrides(bytesOf(dtype));
    return this.registers.generator({ space, buffer: this.#onChip(buffer), dtype, strides: dims.map((d, i) => (kept(i) ? dense(d.dim) : 0)), ring: buffer });
  }

  operand({ access, box, buffer, resident }: Operand, space: number, dims: readonly SpaceDim[]): number {
    if (access.direct === true) return this.tensor(access, space, dims);
    const stride = (dim: number) => access.coordinates.reduce((sum, c, i) => sum + c.terms.reduce((s, t) => s + (t.dim === dim ? t.factor * box.strides[i]! : 0), 0), 0);
    // Levels whose tiles all lie in the buffer.
    const whole = resident.filter((level) => access.coordinates.some((c) => c.terms.some((t) => t.dim === this.#levels[level]!.dim)));
    const base = access.coordinates.reduce((sum, c, i) => sum + c.terms.reduce((s, t) => s + Math.max(0, -t.factor) * (this.tiled.tile[t.dim]! - 1) * box.strides[i]!, 0), 0);
    return this.registers.generator({ space, buffer: this.#onChip(buffer), dtype: access.tensor.type.dtype, levels: [...this.levelsOf("panel"), ...whole], base, strides: dims.map((d) => (d.dim < 0 ? 0 : stride(d.dim))), ring: buffer });
  }

  /** What one load brings: the box of an operand. */
  box({ access, box, buffer, resident }: Operand): { readonly onChip: number; readonly outside: number } {
    const { dtype } = access.tensor.type;
    const width = bytesOf(dtype);
    const order = access.coordinates.map((_, i) => i).sort((a, b) => access.coordinates[b]!.stride - access.coordinates[a]!.stride || a - b);
    const space = this.registers.space(order.map((i): DimensionSpec => {
      const c = access.coordinates[i]!;
      const backwards = c.terms.reduce((sum, t) => sum + Math.min(0, t.factor) * (this.tiled.tile[t.dim]! - 1), 0);
      const steps = this.#levels.flatMap((level, l) => {
        const factor = c.terms.find((t) => t.dim === level.dim)?.factor ?? 0;
        return level.kind === "panel" || factor === 0 || resident.includes(l) ? [] : [{ level: l, step: factor * level.step }];
      });
      return { extent: box.extents[i]!, offset: c.offset + backwards, limit: c.size, mode: c.padded || backwards < 0 ? "pad" : "cut", steps };
    }));
    const outside = this.#tensor(access, { space, base: access.base * width, strides: order.map((i) => access.coordinates[i]!.stride * width) });
    return { outside, onChip: this.registers.generator({ space, buffer: this.#onChip(buffer), dtype, strides: order.map((i) => box.strides[i]!), ring: buffer }) };
  }

  /** The points of one tile of results, in a tensor and dense on the chip. */
  result(access: Access, buffer: Buffer): { readonly onChip: number; readonly outside: number } {
    const { dtype } = access.tensor.type;
    const width = bytesOf(dtype);
    const stride = (dim: number) => strideAlong(access, dim);
    const moving = this.#movingDims(access).sort((a, b) => Math.abs(stride(b.dim)) - Math.abs(stride(a.dim)) || a.dim - b.dim);
    const space = this.space(moving);
    const dense = this.#denseStrides(width);
    const onChip = this.registers.generator({ space, buffer: this.#onChip(buffer), dtype, strides: moving.map((d) => (d.extent > 1 ? dense(d.dim) : 0)), ring: buffer });
    return { onChip, outside: this.#tensor(access, { space, base: startOf(access) * width, strides: moving.map((d) => stride(d.dim) * width) }) };
  }

  /** Byte strides of a dense tile in the order of the kernel's dimensions: sums, staging. */
  #denseStrides(width: number): (dim: number) => number {
    const { kernel } = this.tiled;
    const scan = isScan(kernel.engine);
    const strides = new Map<number, number>();
    let bytes = width;
    for (let dim = (scan ? kernel.dims.length : kernel.parallel) - 1; dim >= 0; dim--) {
      strides.set(dim, bytes);
      bytes *= this.#extent(dim);
    }
    return (dim) => strides.get(dim) ?? 0;
  }

  #onChip(buffer: Buffer): number {
    const id = this.#buffers.get(buffer) ?? this.registers.buffer(buffer.memory, buffer.address, buffer.slotBytes, buffer.slots);
    this.#buffers.set(buffer, id);
    return id;
  }

  // ---- tensors ----------------------------------------------------------------------------------------------------

  /** The tensor itself, at the whole coordinates of the kernel's dimensions. */
  tensor(access: Access, space: number, dims: readonly SpaceDim[]): number {
    const width = bytesOf(access.tensor.type.dtype);
    return this.#tensor(access, { space, base: startOf(access) * width, strides: dims.map((d) => (d.dim < 0 ? 0 : strideAlong(access, d.dim) * width)) });
  }

  /** Rows that an index names, along dimension 0. */
  rows(access: Access, space: number, dims: readonly SpaceDim[]): number {
    const width = bytesOf(access.tensor.type.dtype);
    return this.#tensor(access, { space, base: startOf(access) * width, strides: dims.map((d) => (d.dim === 0 ? rowStride(access) : strideAlong(access, d.dim)) * width) });
  }

  /** Points of a tensor, by their whole coordinates; of one that is overwritten, in the slot of the tile. */
  #tensor(access: Access, at: { readonly space: number; readonly base: number; readonly strides: readonly number[] }): number {
    const { tensor } = access;
    const { region, offset, row } = this.#places.of(tensor.id);
    const inPlace = this.#inPlace.find((one) => one.region === region);
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

/** Elements between looked-up rows: the product of everything inside the first axis. */
function rowStride(access: Access): number {
  const row = access.coordinates.find((c) => c.terms.some((t) => t.dim === 0));
  if (row !== undefined) return row.stride;
  return access.tensor.type.shape.slice(1).reduce((a, b) => a * b, 1);
}
