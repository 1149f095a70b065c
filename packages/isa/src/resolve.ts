/**
 * @file Applies a routine's configuration: instructions in, a tree of loops with spaces, generators and buffers as values out.
 *
 * Rules, E0403 otherwise: register numbers exist and are set before use, and are unset after a call and at a branch target;
 * loops nest, a level is open once, every loop is closed in its routine; loop bodies hold no configuration, call, branch, return,
 * fence, halt, io or macro; `vop` words stand behind their `vec`, as many as it says; branch targets are instructions
 * outside loops; the generators of an instruction share one space, but for the index of gather and scatter. A space and a buffer are taken as they are
 * when the instruction uses them. A level that is not open has index 0 and one iteration. The element of an smov does not move inside its slot:
 * its resolved generator has no dimensions, the offset is part of its base.
 */
import { dtypeNames, elementwiseNames, elementwiseOps, isFloat, type Dtype } from "@systole/base";
import type { Image, Routine } from "./image.ts";
import { immediateRegister, ioNames, reductionNames, scalarOperationNames, type Instruction, type InstructionOf } from "./instructions.ts";
import { limits } from "./machine.ts";
import { forget, newRegisters, scalarRegister, setBuffer, setDimension, setGenerator, setRing, setRow, setSteps, setStrides, useGenerator, type Registers, type UsedGenerator } from "./registers.ts";
import { demand, refuse, type Site } from "./refuse.ts";
import type { ResolvedGenerator, ResolvedProgram, ResolvedRoutine, ResolvedStage, ResolvedStep, StageSource, Start } from "./resolved.ts";
import { fieldBits, fieldNumber as n, float64OfBits, levelsOfMask } from "./values.ts";

export function resolveImage(image: Image): ResolvedProgram {
  let address = 0;
  const routines = image.routines.map((routine) => {
    const resolved = resolveRoutine(routine, address);
    address += routine.instructions.length * limits.instructionBytes;
    return resolved;
  });
  return { routines };
}

/** One routine; `address` is where its first instruction lies in .text. */
export function resolveRoutine(routine: Routine, address: number): ResolvedRoutine {
  const { instructions } = routine;
  const registers = newRegisters();
  const stepAt = new Map<number, number>();
  const targets = branchTargets(routine);
  const body: ResolvedStep[] = [];
  const open: { readonly site: Site; readonly level: number; readonly count: number; readonly body: ResolvedStep[] }[] = [];
  for (let index = 0; index < instructions.length; index++) {
    const i = instructions[index]!;
    const site: Site = { routine: routine.name, address: address + index * limits.instructionBytes };
    const current = open.at(-1)?.body ?? body;
    if (open.length === 0) stepAt.set(index, body.length);
    else demand(!outsideLoopsOnly.has(i.op), site, () => `${i.op} inside a loop`);
    if (targets.has(index)) forget(registers);
    switch (i.op) {
      case "loop": {
        const level = n(i.level);
        demand(open.every((loop) => loop.level !== level), site, () => `loop level ${level} is already open`);
        demand(n(i.count) >= 1, site, () => "loop with 0 iterations");
        open.push({ site, level, count: n(i.count), body: [] });
        break;
      }
      case "endloop": {
        const loop = open.pop() ?? refuse(site, "endloop without a loop");
        demand(loop.level === n(i.level), site, () => `endloop of level ${i.level}, but the innermost loop has level ${loop.level}`);
        (open.at(-1)?.body ?? body).push({ kind: "loop", address: loop.site.address, level: loop.level, count: loop.count, body: loop.body });
        break;
      }
      case "vec": {
        const count = n(i.stages);
        demand(count <= limits.stages, site, () => `${count} stages; a chain has at most ${limits.stages}`);
        const stages = instructions.slice(index + 1, index + 1 + count).map((word) => (word.op === "vop" ? word : refuse(site, `vec announces ${count} vop words, but ${word.op} follows`)));
        demand(stages.length === count, site, () => `vec announces ${count} vop words; the routine ends before`);
        current.push(resolveVector(registers, site, i, stages));
        index += count;
        break;
      }
      default:
        current.push(resolveOne(registers, site, i, open.map((loop) => loop.level)));
    }
  }
  const unclosed = open.at(-1);
  if (unclosed !== undefined) refuse(unclosed.site, `loop of level ${unclosed.level} is not closed`);
  targets.forEach((from, target) => {
    const site: Site = { routine: routine.name, address: address + from * limits.instructionBytes };
    demand(stepAt.has(target), site, () => `branch target ${target} is not an instruction outside loops of this routine`);
  });
  return { name: routine.name, submodule: routine.submodule, kernel: routine.kernel ?? -1, address, length: instructions.length, body, stepAt };
}

const outsideLoopsOnly: ReadonlySet<string> = new Set([
  "buf", "dim", "step", "agu", "stride", "ring", "base", "call", "ret", "br", "fence", "halt", "io", "assign", "estimate", "transfer", "update", "converge",
] satisfies Instruction["op"][]);

/** Target -> the instruction that branches there. */
function branchTargets(routine: Routine): Map<number, number> {
  const targets = new Map<number, number>();
  routine.instructions.forEach((i, index) => {
    if (i.op === "br") targets.set(n(i.target), index);
    if (i.op === "converge") targets.set(n(i.back), index);
  });
  return targets;
}

type Simple = Exclude<Instruction, { op: "loop" | "endloop" | "vec" }>;

function resolveOne(r: Registers, site: Site, i: Simple, openLevels: readonly number[]): ResolvedStep {
  const { address } = site;
  const used = (field: number | bigint): UsedGenerator => useGenerator(r, site, field);
  switch (i.op) {
    case "buf": return { kind: "buffer", address, buffer: setBuffer(r, site, i) };
    case "dim": setDimension(r, site, i); return { kind: "configure", address };
    case "step": setSteps(r, site, i); return { kind: "configure", address };
    case "agu": setGenerator(r, site, i); return { kind: "configure", address };
    case "stride": setStrides(r, site, i); return { kind: "configure", address };
    case "ring": setRing(r, site, i); return { kind: "configure", address };
    case "base": setRow(r, site, i); return { kind: "configure", address };
    case "call":
    case "assign":
    case "estimate":
    case "transfer":
    case "update":
      forget(r);
      return { kind: "call", address, macro: i.op, routine: n(i.routine) };
    case "converge":
      forget(r);
      return { kind: "converge", address, routine: n(i.routine), back: n(i.back) };
    case "br": return { kind: "branch", address, register: scalarRegister(site, i.register, immediateRegister - 1), when: n(i.when) === 1, target: n(i.target) };
    case "ret": return { kind: "return", address };
    case "fence": return { kind: "fence", address };
    case "halt": return { kind: "halt", address };
    case "io": return { kind: "io", address, what: ioNames[n(i.what)] ?? refuse(site, `io ${i.what} does not exist`), external: n(i.external), cache: n(i.cache), bytes: n(i.bytes) };
    case "ld": {
      const target = used(i.target);
      const source = sameSpace(site, target, used(i.source));
      return { kind: "load", ...base(site, i, [target.generator, source]), space: target.space, target: target.generator, source, fill: n(i.fill) };
    }
    case "st": {
      const target = used(i.target);
      const source = sameSpace(site, target, used(i.source));
      return { kind: "store", ...base(site, i, [target.generator, source]), space: target.space, target: target.generator, source };
    }
    case "gather":
    case "scatter": {
      const target = used(i.target);
      const source = sameSpace(site, target, used(i.source));
      const index = used(i.index);
      return { kind: i.op, ...base(site, i, [target.generator, source, index.generator]), space: target.space, target: target.generator, source, index: index.generator, indexSpace: index.space, rows: n(i.rows) };
    }
    case "fill": {
      const target = used(i.target);
      return { kind: "fill", ...base(site, i, [target.generator]), space: target.space, target: target.generator, value: n(i.value) };
    }
    case "gemm": {
      const x = used(i.x);
      const [w, out] = [sameSpace(site, x, used(i.w)), sameSpace(site, x, used(i.out))];
      return {
        kind: "gemm", ...base(site, i, [x.generator, w, out]), space: x.space, x: x.generator, w, out, rows: n(i.rows), contracted: n(i.contracted),
        dataflow: n(i.dataflow) === 0 ? "weight-stationary" : "output-stationary", start: startOf(site, i),
      };
    }
    case "vop": return refuse(site, "vop without a vec before it");
    case "sop": {
      const operation = scalarOperationNames[n(i.operation)] ?? refuse(site, `scalar operation ${i.operation} does not exist`);
      return { kind: "scalar", address, operation, target: scalarRegister(site, i.target, immediateRegister - 1), a: scalarRegister(site, i.a, immediateRegister), b: scalarRegister(site, i.b, immediateRegister), immediate: float64OfBits(fieldBits(i.immediate)) };
    }
    case "smov": {
      const generator = elementOf(site, used(i.generator), openLevels);
      return { kind: "move", address, register: scalarRegister(site, i.register, immediateRegister - 1), generator, rowed: rowedOf([generator]), direction: n(i.direction) === 0 ? "to-register" : "to-memory" };
    }
  }
}

function resolveVector(r: Registers, site: Site, i: InstructionOf<"vec">, words: readonly InstructionOf<"vop">[]): ResolvedStep {
  const target = useGenerator(r, site, i.target);
  const count = n(i.streams);
  demand(count <= limits.streams, site, () => `${count} streams; a vec has at most ${limits.streams}`);
  const streams = [i.s0, i.s1, i.s2, i.s3, i.s4, i.s5].slice(0, count).map((field) => sameSpace(site, target, useGenerator(r, site, field)));
  const stages = words.map((word, k) => resolveStage({ routine: site.routine, address: site.address + (k + 1) * limits.instructionBytes }, word));
  return {
    kind: "vector", ...base(site, i, [...streams, target.generator]), space: target.space, streams, target: target.generator, stages,
    reduction: reductionNames[n(i.reduction)] ?? refuse(site, `reduction ${i.reduction} does not exist`),
    reduced: n(i.reduced), order: n(i.order) === 0 ? "sequential" : "blocked", start: startOf(site, i),
  };
}

function startOf(site: Site, { start, continues }: InstructionOf<"gemm"> | InstructionOf<"vec">): Start {
  if (n(continues) === 0) return levelsOfMask(start);
  demand(n(start) === 0, site, () => "a sum that continues in any case has a start mask; it must be empty");
  return "never";
}

function resolveStage(site: Site, word: InstructionOf<"vop">): ResolvedStage {
  const operation = elementwiseNames[n(word.operation)] ?? refuse(site, `elementwise operation ${word.operation} does not exist`);
  const operands = dtypeNames[n(word.operands)] ?? refuse(site, `element type ${word.operands} does not exist`);
  const dtype = dtypeNames[n(word.dtype)] ?? refuse(site, `element type ${word.dtype} does not exist`);
  const sources = [word.a, word.b, word.c].slice(0, elementwiseOps[operation].arity).map((code, k) =>
    stageSource(site, n(code), fieldBits(word.immediate), operation === "select" && k === 0 ? "bool" : operands));
  return { operation, sources, operands, dtype };
}

function stageSource(site: Site, code: number, immediate: bigint, dtype: Dtype): StageSource {
  if (code < 8) return { kind: "stream", index: code };
  if (code < 16) return { kind: "stage", index: code - 8 };
  if (code < 24) return { kind: "coordinate", dimension: code - 16 };
  if (code === 24) return { kind: "immediate", value: isFloat(dtype) ? float64OfBits(immediate) : BigInt.asIntN(64, immediate) };
  return refuse(site, `source ${code} does not exist`);
}

function base(site: Site, i: { readonly first: number | bigint; readonly last: number | bigint }, generators: readonly ResolvedGenerator[]) {
  return { address: site.address, first: levelsOfMask(i.first), last: levelsOfMask(i.last), rowed: rowedOf(generators) };
}

function rowedOf(generators: readonly ResolvedGenerator[]): readonly ResolvedGenerator[] {
  return generators.filter((generator) => generator.row !== undefined);
}

function sameSpace(site: Site, a: UsedGenerator, b: UsedGenerator): UsedGenerator["generator"] {
  demand(a.spaceId === b.spaceId, site, () => `the generators of one instruction share a space; here are ${a.spaceId} and ${b.spaceId}`);
  return b.generator;
}

/** Point 0 as a generator without dimensions: the offset goes into the base; only the ring may walk, from slot to slot. */
function elementOf(site: Site, { space, generator: g }: UsedGenerator, openLevels: readonly number[]): UsedGenerator["generator"] {
  const walks = space.dimensions.some((d, at) => g.strides[at] !== 0 && openLevels.some((level) => d.steps[level] !== 0 && g.levels[level]));
  demand(!walks, site, () => "the element of an smov cannot move inside its slot; a ring can take it from slot to slot");
  const offset = g.mode === "absolute" ? space.dimensions.reduce((sum, d, at) => sum + d.offset * g.strides[at]!, 0) : 0;
  return { ...g, mode: "relative", base: g.base + offset, strides: [] };
}
