/**
 * @file Hands out the controller's registers for one routine and collects the configuration that sets them. What is asked for twice in the same
 * form, a space or a generator, is set once.
 */
import { bytesOf, dtypeNames, fail, type Dtype } from "@systole/base";
import { limits, memoryNames, type Instruction, type MemoryName } from "@systole/isa";

/** A dimension as `dim` and `step` set it; steps by level. */
export interface DimensionSpec {
  readonly extent: number;
  readonly offset?: number;
  readonly limit?: number;
  readonly mode?: "cut" | "pad";
  readonly steps: readonly { readonly level: number; readonly step: number }[];
}

export interface GeneratorSpec {
  readonly space: number;
  readonly buffer: number;
  readonly dtype: Dtype;
  readonly absolute?: boolean;
  /** Levels that move the address inside a slot. */
  readonly levels?: readonly number[];
  readonly base?: number;
  readonly strides: readonly number[];
  /** Slot factor per level, and the levels that have one. */
  readonly ring?: { readonly ring: readonly number[]; readonly dependent: readonly number[] };
  /** The address also moves by a scalar register. */
  readonly row?: { readonly register: number; readonly strideBytes: number; readonly count: number };
}

export function maskOf(levels: readonly number[]): number {
  return levels.reduce((mask, level) => mask | (1 << level), 0);
}

export class Registers {
  readonly configuration: Instruction[] = [];
  readonly #kernel: string;
  #buffers = 0;
  #spaces = 0;
  #generators = 0;
  readonly #known = new Map<string, number>();

  constructor(kernel: string) {
    this.#kernel = kernel;
  }

  buffer(memory: MemoryName, base: number, slotBytes: number, slots: number): number {
    const id = this.#take("buffers", this.#buffers++, limits.buffers);
    this.configuration.push({ op: "buf", id, memory: memoryNames.indexOf(memory), slots, base, slotBytes });
    return id;
  }

  space(dimensions: readonly DimensionSpec[]): number {
    const all = dimensions.map(({ extent, offset = 0, limit = 0, mode = "cut", steps }) => [extent, offset, limit, mode, steps.filter(({ step }) => step !== 0).map(({ level, step }) => [level, step])]);
    return this.#once(["space", all], () => this.#newSpace(dimensions));
  }

  generator(spec: GeneratorSpec): number {
    const { space, buffer, dtype, absolute = false, levels = [], base = 0, strides, ring, row } = spec;
    return this.#once(["generator", space, buffer, dtype, absolute, levels, base, strides, ring?.ring, ring?.dependent, row], () => this.#newGenerator(spec));
  }

  #once(what: unknown, make: () => number): number {
    const key = JSON.stringify(what);
    const id = this.#known.get(key) ?? make();
    this.#known.set(key, id);
    return id;
  }

  #newSpace(dimensions: readonly DimensionSpec[]): number {
    const space = this.#take("spaces", this.#spaces++, limits.spaces);
    if (dimensions.length > limits.dimensions) this.#refuse("dimensions of a space", dimensions.length, limits.dimensions);
    const all = dimensions.length === 0 ? [{ extent: 1, steps: [] }] : dimensions;
    all.forEach((d: DimensionSpec, index) => {
      const steps = d.steps.filter((s) => s.step !== 0);
      const first = steps[0] ?? { level: 0, step: 0 };
      this.configuration.push({ op: "dim", space, index, extent: d.extent, offset: d.offset ?? 0, limit: d.limit ?? 0, mode: d.mode === "pad" ? 1 : 0, level: first.level, step: first.step });
      for (let i = 1; i < steps.length; i += 3) {
        const [a, b, c] = [steps[i]!, steps[i + 1] ?? { level: 0, step: 0 }, steps[i + 2] ?? { level: 0, step: 0 }];
        this.configuration.push({ op: "step", space, index, levelA: a.level, stepA: a.step, levelB: b.level, stepB: b.step, levelC: c.level, stepC: c.step });
      }
    });
    return space;
  }

  #newGenerator(spec: GeneratorSpec): number {
    const id = this.#take("address generators", this.#generators++, limits.generators);
    const { strides, ring } = spec;
    const dense = strides.lastIndexOf(bytesOf(spec.dtype));
    const other = strides.findIndex((stride, dim) => stride !== 0 && dim !== dense && Math.abs(stride) < 2 ** 31);
    // The innermost level counts slots one by one. Factors that happen to be 0 are set like others: the number of words follows from the structure alone.
    const levels = [...(ring?.dependent ?? [])];
    const level = levels.pop();
    this.configuration.push({
      op: "agu", id, space: spec.space, buffer: spec.buffer, dtype: dtypeNames.indexOf(spec.dtype), mode: spec.absolute === true ? 1 : 0,
      levels: maskOf(spec.levels ?? []), base: spec.base ?? 0, stride: strides[other] ?? 0, along: Math.max(0, other), dense: dense + 1, level: level ?? 0, factor: level === undefined ? 0 : ring!.ring[level]!,
    });
    for (let index = 0; index < strides.length; index += 3) {
      const [s0, s1, s2] = [strides[index]!, strides[index + 1] ?? 0, strides[index + 2] ?? 0];
      const said = (at: number) => at === dense || at === other || (strides[at] ?? 0) === 0;
      if (![index, index + 1, index + 2].every(said)) this.configuration.push({ op: "stride", id, index, s0, s1, s2 });
    }
    for (let i = 0; i < levels.length; i += 4) {
      const at = (k: number) => { const one = levels[i + k]; return one === undefined ? { level: 0, factor: 0 } : { level: one, factor: ring!.ring[one]! }; };
      this.configuration.push({ op: "ring", id, levelA: at(0).level, factorA: at(0).factor, levelB: at(1).level, factorB: at(1).factor, levelC: at(2).level, factorC: at(2).factor, levelD: at(3).level, factorD: at(3).factor });
    }
    if (spec.row !== undefined) this.configuration.push({ op: "base", id, register: spec.row.register, stride: spec.row.strideBytes, count: spec.row.count });
    return id;
  }

  #take(what: string, next: number, most: number): number {
    if (next >= most) this.#refuse(what, next + 1, most);
    return next;
  }

  #refuse(what: string, wanted: number, most: number): never {
    return fail("E0303", `needs ${wanted} ${what}, the controller has ${most}`, { kernel: this.#kernel });
  }
}
