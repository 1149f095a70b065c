/**
 * @file Proves, before a run, that an image can do no harm on a machine. Refusals are E0403 unless another code is named. The rules:
 *
 * - the image was compiled for these very numbers (hash, E0402); everything that `resolveImage` checks holds;
 * - text, constants and tensors lie in the image's external memory, the image's memory in the machine's; text and constants are disjoint, and no instruction writes text;
 * - a routine is not empty; the main routine belongs to control, every other one ends with ret; halt and converge stand only in the main routine, ret never;
 * - a call runs an existing routine of a higher number (no recursion), at most 64 deep; a macro-instruction runs a routine of a submodule that may own it;
 *   control may run all, gradient, damping, Gauss-Newton and conjugate gradient each other and basic, basic nobody;
 * - buffers lie in their memory; an on-chip buffer is not used any more after another buffer that overlaps it was declared;
 * - operands lie in a memory the unit reaches, are aligned to their element type, and over all points and iterations stay in a slot (external: in the buffer);
 * - coordinates below 0 occur in pad mode only;
 * - transfers do not convert; look-ups have one row number for every row, i32 or i64, and an absolute looked-up side; `io copy` does not overlap itself;
 * - gemm: dimensions are rows + contracted + 1; f32; x and w in the data cache, out in the accumulators; x does not move along columns, w not along rows, out not along contracted dimensions;
 * - vec: sources exist and earlier stages only; element types agree with the elementwise table; reductions as in `verify/vector.ts`; no longer chain than the machine has;
 * - instructions and points, loops multiplied out and calls added, stay below the watchdog's bounds (E0502). Branches back are not counted: their number is known in the run only.
 *
 * Not proved: that values are written before they are read, that the row in a scalar register exists and that the main routine ends with halt or a finished
 * judgement (the device checks all three); and that the operands of one vec, or both sides of a copy inside one buffer, overlap only where they are equal.
 */
import { fail } from "@systole/base";
import type { Image } from "./image.ts";
import { macroOwners, submoduleCallees } from "./instructions.ts";
import { limits, type Machine } from "./machine.ts";
import { machineHash } from "./machines.ts";
import { demand, refuse, type Site } from "./refuse.ts";
import { resolveImage } from "./resolve.ts";
import type { ResolvedBuffer, ResolvedGenerator, ResolvedProgram, ResolvedRoutine, ResolvedStep } from "./resolved.ts";
import { indexRanges } from "./verify/footprint.ts";
import { checkMemory, textBytes } from "./verify/memory.ts";
import { checkOperand, fillOperands, gemmOperands, loadOperands, lookupOperands, moveOperands, storeOperands, type Operand, type WrittenBytes } from "./verify/operands.ts";
import { vectorOperands } from "./verify/vector.ts";

export interface VerifyOptions {
  /** Most points of all instructions together. */
  readonly maxPoints?: number;
  /** Most instructions executed. */
  readonly maxInstructions?: number;
}

export const watchdogDefaults = { maxPoints: 2 ** 44, maxInstructions: 2 ** 32 } as const;
const deepestCall = 64;

/** What a routine and everything it calls costs at most. */
interface Cost {
  readonly instructions: number;
  readonly points: number;
  readonly depth: number;
}

interface Context {
  readonly image: Image;
  readonly machine: Machine;
  readonly text: WrittenBytes;
}

/** Returns the resolved program, so that nobody resolves it again. */
export function verifyImage(image: Image, machine: Machine, options: VerifyOptions = {}): ResolvedProgram {
  const hash = machineHash(machine);
  if (image.machineHash !== hash) fail("E0402", `the image was compiled for ${image.machineName} (${image.machineHash}); this machine is ${machine.name} (${hash})`);
  if (image.routines.length === 0 || image.routines.length > limits.routines) fail("E0403", `${image.routines.length} routines; an image has 1 to ${limits.routines}`);
  checkMemory(image, machine);
  const program = resolveImage(image);
  const context: Context = { image, machine, text: textBytes(image) };
  const costs: Cost[] = [];
  // Calls go to higher numbers, so what a routine calls is known when it is reached from the end.
  for (let index = program.routines.length - 1; index >= 0; index--) costs[index] = checkRoutine(context, program, index, costs);
  checkBound("points", costs[0]!.points, options.maxPoints ?? watchdogDefaults.maxPoints);
  checkBound("instructions", costs[0]!.instructions, options.maxInstructions ?? watchdogDefaults.maxInstructions);
  return program;
}

function checkBound(what: string, cost: number, bound: number): void {
  if (!(cost <= bound)) fail("E0502", `the image may run ${cost} ${what}; the bound is ${bound}`);
}

function checkRoutine(context: Context, program: ResolvedProgram, index: number, costs: readonly Cost[]): Cost {
  const routine = program.routines[index]!;
  const lastSite: Site = { routine: routine.name, address: routine.address + Math.max(0, routine.length - 1) * limits.instructionBytes };
  demand(routine.kernel < context.image.debug.kernels.length, lastSite, () => `the routine belongs to kernel ${routine.kernel}, which does not exist`);
  demand(index > 0 || routine.submodule === "control", lastSite, () => `the main routine belongs to control, not ${routine.submodule}`);
  const last = routine.body.at(-1)?.kind;
  demand(index === 0 ? last !== undefined : last === "return", lastSite, () => (index === 0 ? "the main routine is empty" : "a routine like this ends with ret"));
  const buffers = newLiveBuffers();
  const places = branchPlaces(routine);
  const total = { instructions: 0, points: 0, depth: 1 };
  routine.body.forEach((step, at) => {
    const site: Site = { routine: routine.name, address: step.address };
    if (places.has(at)) buffers.forget();
    if (step.kind === "buffer") checkBuffer(context, site, step.buffer, buffers);
    const callee = calleeOf(program, index, site, step);
    if (callee !== undefined) buffers.forget();
    const called = callee === undefined ? undefined : costs[callee]!;
    const own = checkStep(context, routine, index, step, Array.from({ length: limits.levels }, () => 1), buffers);
    total.instructions += own.instructions + (called?.instructions ?? 0);
    total.points += own.points + (called?.points ?? 0);
    total.depth = Math.max(total.depth, 1 + (called?.depth ?? 0));
    demand(total.depth <= deepestCall, site, () => `calls are more than ${deepestCall} deep`);
  });
  return total;
}

/** Which routine a step runs, its number and owner checked. */
function calleeOf(program: ResolvedProgram, caller: number, site: Site, step: ResolvedStep): number | undefined {
  if (step.kind !== "call" && step.kind !== "converge") return undefined;
  const callee = program.routines[step.routine] ?? refuse(site, `routine ${step.routine} does not exist; there are ${program.routines.length}`);
  demand(step.routine > caller, site, () => `routine ${caller} may only run routines of higher numbers, not ${step.routine}`);
  const { submodule } = program.routines[caller]!;
  demand(submoduleCallees[submodule].includes(callee.submodule), site, () =>
    (submodule === "basic" ? "basic operations call nobody" : `a routine of ${submodule} cannot run one of ${callee.submodule}; ${submoduleCallees[submodule].join(", ")} can be run`));
  const macro = step.kind === "converge" ? "converge" : step.macro;
  const owners = macroOwners[macro];
  demand(owners === undefined || owners.includes(callee.submodule), site, () => `${macro} runs a routine of ${owners?.join(" or ")}, not of ${callee.submodule}`);
  return step.routine;
}

/** Places in the body where a branch arrives. */
function branchPlaces(routine: ResolvedRoutine): ReadonlySet<number> {
  const targets = routine.body.flatMap((step) => (step.kind === "branch" ? [step.target] : step.kind === "converge" ? [step.back] : []));
  return new Set(targets.map((target) => routine.stepAt.get(target)!));
}

function checkStep(context: Context, routine: ResolvedRoutine, index: number, step: ResolvedStep, counts: readonly number[], buffers: LiveBuffers): { instructions: number; points: number } {
  const site: Site = { routine: routine.name, address: step.address };
  switch (step.kind) {
    case "loop": {
      const inner = counts.map((count, level) => (level === step.level ? step.count : count));
      const total = { instructions: 0, points: 0 };
      for (const child of step.body) {
        const cost = checkStep(context, routine, index, child, inner, buffers);
        total.instructions += cost.instructions;
        total.points += cost.points;
      }
      return { instructions: 1 + step.count * (total.instructions + 1), points: step.count * total.points };
    }
    case "halt":
    case "converge":
      demand(index === 0, site, () => `${step.kind} stands only in the main routine`);
      return single;
    case "return":
      demand(index > 0, site, () => "ret in the main routine; halt or a judgement ends it");
      return single;
    case "io":
      checkIo(context, site, step);
      return single;
    case "configure":
    case "buffer":
    case "call":
    case "branch":
    case "fence":
    case "scalar":
      return single;
    default: {
      const guards = "first" in step ? step : { first: [], last: [] };
      const indices = indexRanges(counts, guards.first, guards.last);
      for (const operand of operandsOf(context, site, step)) {
        demand(!buffers.isDead(operand.generator), site, () => `${operand.name}: a buffer declared later overlaps buffer ${operand.generator.buffer.id}`);
        const written = indices === undefined ? undefined : checkOperand(site, operand, indices);
        if (written !== undefined) demandNoText(context.text, site, written);
      }
      // A look-up of the row numbers, the stages of a chain and so on take no more than a constant factor.
      return { instructions: 1, points: "space" in step ? step.space.dimensions.reduce((product, d) => product * d.extent, 1) : 1 };
    }
  }
}

const single = { instructions: 1, points: 0 } as const;

type MemoryStep = Extract<ResolvedStep, { kind: "load" | "store" | "gather" | "scatter" | "fill" | "gemm" | "vector" | "move" }>;

function operandsOf(context: Context, site: Site, step: MemoryStep): Operand[] {
  switch (step.kind) {
    case "load": return loadOperands(site, step);
    case "store": return storeOperands(site, step);
    case "gather":
    case "scatter": return lookupOperands(site, step);
    case "fill": return fillOperands(step);
    case "gemm": return gemmOperands(site, step);
    case "vector": return vectorOperands(site, context.machine, step);
    case "move": return moveOperands(step);
  }
}

function checkIo({ image, machine, text }: Context, site: Site, step: Extract<ResolvedStep, { kind: "io" }>): void {
  demand(step.external + step.bytes <= image.externalBytes, site, () => `io reaches external byte ${step.external + step.bytes}; the image has ${image.externalBytes}`);
  if (step.what === "copy") {
    demand(step.cache + step.bytes <= image.externalBytes, site, () => `io reaches external byte ${step.cache + step.bytes}; the image has ${image.externalBytes}`);
    demand(Math.abs(step.external - step.cache) >= step.bytes, site, () => "io copy overlaps itself");
    if (step.bytes > 0) demandNoText(text, site, { low: step.cache, end: step.cache + step.bytes });
    return;
  }
  demand(step.what === "text" || step.cache + step.bytes <= machine.dataCache.bytes, site, () => `io reaches data cache byte ${step.cache + step.bytes}; there are ${machine.dataCache.bytes}`);
  if (step.what === "store" && step.bytes > 0) demandNoText(text, site, { low: step.external, end: step.external + step.bytes });
}

function demandNoText(text: WrittenBytes, site: Site, written: WrittenBytes): void {
  demand(written.end <= text.low || written.low >= text.end, site, () => `bytes ${written.low} to ${written.end - 1} are written; the text lies at ${text.low} to ${text.end - 1}`);
}

function checkBuffer({ image, machine }: Context, site: Site, buffer: ResolvedBuffer, buffers: LiveBuffers): void {
  const available = buffer.memory === "external" ? image.externalBytes : buffer.memory === "cache" ? machine.dataCache.bytes : machine.accumulators.bytes;
  const end = endOf(buffer);
  demand(end <= available, site, () => `buffer ${buffer.id} ends at byte ${end} of the ${buffer.memory} memory, which has ${available}`);
  buffers.declare(buffer);
}

interface LiveBuffers {
  readonly declare: (buffer: ResolvedBuffer) => void;
  readonly forget: () => void;
  readonly isDead: (generator: ResolvedGenerator) => boolean;
}

/** A new buffer takes over the ready times of what it overlaps; using the older one afterwards would escape the scoreboard. */
function newLiveBuffers(): LiveBuffers {
  const live = new Map<number, ResolvedBuffer>();
  const dead = new Set<ResolvedBuffer>();
  return {
    declare: (buffer) => {
      live.delete(buffer.id);
      for (const other of live.values()) {
        if (buffer.memory !== "external" && other.memory === buffer.memory && other.base < endOf(buffer) && buffer.base < endOf(other)) {
          dead.add(other);
          live.delete(other.id);
        }
      }
      live.set(buffer.id, buffer);
    },
    forget: () => live.clear(),
    isDead: (generator) => dead.has(generator.buffer),
  };
}

function endOf(buffer: ResolvedBuffer): number {
  return buffer.base + buffer.slots * buffer.slotBytes;
}
