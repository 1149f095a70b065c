/** @file The controller's registers while a routine is walked: buffers, spaces and generators, as values when an instruction uses them. */
import { bytesOf, dtypeNames } from "@systole/base";
import { immediateRegister, memoryNames, type InstructionOf } from "./instructions.ts";
import { limits } from "./machine.ts";
import { demand, refuse, type Site } from "./refuse.ts";
import type { ResolvedBuffer, ResolvedDimension, ResolvedGenerator, ResolvedSpace } from "./resolved.ts";
import { fieldNumber as n } from "./values.ts";

interface Space {
  readonly dimensions: (ResolvedDimension | undefined)[];
  /** An instruction has used it: the next `dim` 0 starts a new space. */
  used: boolean;
  resolved: ResolvedSpace | undefined;
}

interface Generator {
  readonly id: number;
  readonly space: number;
  readonly buffer: number;
  readonly dtype: ResolvedGenerator["dtype"];
  readonly mode: ResolvedGenerator["mode"];
  readonly levels: readonly boolean[];
  readonly base: number;
  readonly strides: number[];
  readonly ring: number[];
  row: ResolvedGenerator["row"];
  /** The value for the space and buffer it was made for. */
  resolved: { readonly space: ResolvedSpace; readonly buffer: ResolvedBuffer; readonly value: ResolvedGenerator } | undefined;
}

/** What an instruction gets when it names a generator. */
export interface UsedGenerator {
  readonly spaceId: number;
  readonly space: ResolvedSpace;
  readonly generator: ResolvedGenerator;
}

export interface Registers {
  readonly buffers: Map<number, ResolvedBuffer>;
  readonly spaces: Map<number, Space>;
  readonly generators: Map<number, Generator>;
}

export function newRegisters(): Registers {
  return { buffers: new Map(), spaces: new Map(), generators: new Map() };
}

/** After a call and at a branch target nothing is known. */
export function forget(r: Registers): void {
  r.buffers.clear();
  r.spaces.clear();
  r.generators.clear();
}

export function setBuffer(r: Registers, site: Site, i: InstructionOf<"buf">): ResolvedBuffer {
  const id = index(site, "buffer", i.id, limits.buffers);
  const memory = memoryNames[n(i.memory)] ?? refuse(site, `memory ${i.memory} does not exist`);
  demand(n(i.slots) >= 1, site, () => `buffer ${id} has no slots`);
  demand(n(i.slotBytes) >= 1, site, () => `buffer ${id} has slots of 0 bytes`);
  const buffer: ResolvedBuffer = { id, memory, base: n(i.base), slotBytes: n(i.slotBytes), slots: n(i.slots) };
  r.buffers.set(id, buffer);
  return buffer;
}

export function setDimension(r: Registers, site: Site, i: InstructionOf<"dim">): void {
  const id = index(site, "space", i.space, limits.spaces);
  const at = index(site, "dimension", i.index, limits.dimensions);
  demand(n(i.extent) >= 1, site, () => `dimension ${at} of space ${id} has extent 0`);
  const space = spaceOf(r, id);
  if (at === 0 && space.used) {
    space.dimensions.length = 0;
    space.used = false;
  }
  const steps = Array.from({ length: limits.levels }, () => 0);
  addStep(site, steps, i.level, i.step);
  put(space, at, { extent: n(i.extent), offset: n(i.offset), limit: n(i.limit), mode: n(i.mode) === 0 ? "cut" : "pad", steps });
}

export function setSteps(r: Registers, site: Site, i: InstructionOf<"step">): void {
  const id = index(site, "space", i.space, limits.spaces);
  const at = index(site, "dimension", i.index, limits.dimensions);
  const space = spaceOf(r, id);
  const dimension = space.dimensions[at] ?? refuse(site, `step before dim: dimension ${at} of space ${id} is not set`);
  const steps = [...dimension.steps];
  addStep(site, steps, i.levelA, i.stepA);
  addStep(site, steps, i.levelB, i.stepB);
  addStep(site, steps, i.levelC, i.stepC);
  put(space, at, { ...dimension, steps });
}

export function setGenerator(r: Registers, site: Site, i: InstructionOf<"agu">): void {
  const id = index(site, "generator", i.id, limits.generators);
  const absolute = n(i.mode) === 1;
  const mask = n(i.levels);
  const dtype = dtypeNames[n(i.dtype)] ?? refuse(site, `element type ${i.dtype} does not exist`);
  const strides = Array.from({ length: limits.dimensions }, () => 0);
  strides[index(site, "dimension", i.along, limits.dimensions)] = n(i.stride);
  if (n(i.dense) !== 0) strides[index(site, "dimension", n(i.dense) - 1, limits.dimensions)] = bytesOf(dtype);
  const ring = Array.from({ length: limits.levels }, () => 0);
  addStep(site, ring, i.level, i.factor);
  r.generators.set(id, {
    id,
    space: index(site, "space", i.space, limits.spaces),
    buffer: index(site, "buffer", i.buffer, limits.buffers),
    dtype,
    mode: absolute ? "absolute" : "relative",
    levels: Array.from({ length: limits.levels }, (_, level) => absolute || ((mask >> level) & 1) === 1),
    base: n(i.base),
    strides,
    ring,
    row: undefined,
    resolved: undefined,
  });
}

export function setStrides(r: Registers, site: Site, i: InstructionOf<"stride">): void {
  const generator = generatorOf(r, site, i.id);
  const first = index(site, "dimension", i.index, limits.dimensions);
  [n(i.s0), n(i.s1), n(i.s2)].forEach((stride, k) => {
    if (first + k < limits.dimensions) generator.strides[first + k] = stride;
    else demand(stride === 0, site, () => `stride of dimension ${first + k}: a space has ${limits.dimensions} dimensions`);
  });
  generator.resolved = undefined;
}

export function setRing(r: Registers, site: Site, i: InstructionOf<"ring">): void {
  const generator = generatorOf(r, site, i.id);
  addStep(site, generator.ring, i.levelA, i.factorA);
  addStep(site, generator.ring, i.levelB, i.factorB);
  addStep(site, generator.ring, i.levelC, i.factorC);
  addStep(site, generator.ring, i.levelD, i.factorD);
  generator.resolved = undefined;
}

export function setRow(r: Registers, site: Site, i: InstructionOf<"base">): void {
  const generator = generatorOf(r, site, i.id);
  demand(n(i.count) >= 1, site, () => `generator ${generator.id} has no rows`);
  generator.row = { register: scalarRegister(site, i.register, immediateRegister - 1), stride: n(i.stride), count: n(i.count) };
  generator.resolved = undefined;
}

export function scalarRegister(site: Site, field: number | bigint, highest: number): number {
  demand(n(field) <= highest, site, () => `scalar register ${field} cannot stand here; 0 to ${highest} can`);
  return n(field);
}

/** A generator as an instruction sees it: with its space and its buffer as they are now. */
export function useGenerator(r: Registers, site: Site, field: number | bigint): UsedGenerator {
  const g = generatorOf(r, site, field);
  const register = r.spaces.get(g.space) ?? refuse(site, `generator ${g.id} places points of space ${g.space}, which is not set here`);
  const buffer = r.buffers.get(g.buffer) ?? refuse(site, `generator ${g.id} points into buffer ${g.buffer}, which is not set here`);
  register.used = true;
  const space = (register.resolved ??= { dimensions: Array.from(register.dimensions, (d) => d ?? single) });
  if (g.resolved?.space !== space || g.resolved.buffer !== buffer) {
    const rank = space.dimensions.length;
    demand(g.strides.slice(rank).every((stride) => stride === 0), site, () => `generator ${g.id} has a stride beyond the ${rank} dimensions of space ${g.space}`);
    const value: ResolvedGenerator = {
      buffer, dtype: g.dtype, mode: g.mode, levels: g.levels, base: g.base, strides: g.strides.slice(0, rank), ring: [...g.ring], ...(g.row === undefined ? {} : { row: g.row }),
    };
    g.resolved = { space, buffer, value };
  }
  return { spaceId: g.space, space, generator: g.resolved.value };
}

/** A dimension that is never set. */
const single: ResolvedDimension = { extent: 1, offset: 0, limit: 0, mode: "cut", steps: Array.from({ length: limits.levels }, () => 0) };

function spaceOf(r: Registers, id: number): Space {
  const found = r.spaces.get(id);
  if (found !== undefined) return found;
  const space: Space = { dimensions: [], used: false, resolved: undefined };
  r.spaces.set(id, space);
  return space;
}

function generatorOf(r: Registers, site: Site, field: number | bigint): Generator {
  const id = index(site, "generator", field, limits.generators);
  return r.generators.get(id) ?? refuse(site, `generator ${id} is not set here`, ["Registers are undefined after a call and at a branch target."]);
}

function put(space: Space, at: number, dimension: ResolvedDimension): void {
  space.dimensions[at] = dimension;
  space.resolved = undefined;
}

/** Entries of 0 are ignored, so that unused fields of a word change nothing. */
function addStep(site: Site, steps: number[], level: number | bigint, step: number | bigint): void {
  if (n(step) !== 0) steps[index(site, "level", level, limits.levels)] = n(step);
}

function index(site: Site, what: string, field: number | bigint, count: number): number {
  const value = n(field);
  demand(Number.isInteger(value) && value >= 0 && value < count, site, () => `${what} ${value} does not exist; there are ${count}`);
  return value;
}
