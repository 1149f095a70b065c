/**
 * @file The controller: walks the routines in program order, runs the hardware loops, dispatches to the units and
 * hands control to submodules. Values (if any) are computed at dispatch, time is kept by the machine clock; the two
 * meet only where a branch asks for a scalar register.
 */
import { fail, internal, type Place } from "@systole/base";
import { limits, submoduleCallees, type BranchDebug, type KernelDebug, type Machine, type MacroName, type ResolvedGenerator, type ResolvedProgram, type ResolvedStep, type UnitName } from "@systole/isa";
import { newKernelCounters, type MutableKernelCounters } from "./counters.ts";
import { extentsOf, newPlacement, setRowOffset } from "./geometry.ts";
import { defaultWatchdogCycles, type RunOptions } from "./run.ts";
import { ScalarUnit } from "./scalarUnit.ts";
import type { Snapshot } from "./snapshot.ts";
import { maximumDepth, Submodules, type Frame } from "./submodules.ts";
import { SymbolTraffic, type Owned } from "./symbolTraffic.ts";
import { MachineClock } from "./timing/machineClock.ts";
import type { TimingTables } from "./timing/tables.ts";
import { Trace } from "./trace.ts";
import type { ComputeStep, ValueEngine } from "./valueEngine.ts";

export interface Executable {
  readonly program: ResolvedProgram;
  readonly textAddress: number;
  readonly kernels: readonly KernelDebug[];
  /** Which symbol bytes of external memory belong to. */
  readonly owned: readonly Owned[];
  /** What is known of branches, by the address of the instruction. */
  readonly branches: ReadonlyMap<number, BranchDebug>;
  readonly tables: TimingTables;
}

/** What the device does at judgements. */
export interface Observer {
  /** A judgement with values. */
  judged(controller: Controller, values: ValueEngine): void;
  /** A run to be taken up again: until its judgement there are no values, decisions are those of the snapshot; then `begin` gives the values. */
  readonly resume?: { readonly snapshot: Snapshot; begin(): ValueEngine };
}

/** The name of the loop that judgements make. */
export const outerLoop = "outer";

type LoopStep = Extract<ResolvedStep, { kind: "loop" }>;

/** Behind every fault. */
export const memoryIsLeft = "The memory of the device is as it was at this instruction.";

const unitOf: Readonly<Record<ComputeStep["kind"], UnitName>> = {
  load: "load", gather: "load", store: "store", scatter: "store", fill: "store", gemm: "array", vector: "vector",
};

export class Controller {
  readonly clock: MachineClock;
  readonly scalars = new ScalarUnit();
  readonly submodules = new Submodules();
  readonly kernels: readonly MutableKernelCounters[];
  readonly outside = newKernelCounters();
  readonly control: boolean[] = [];
  /** Opcodes of the macro-instructions, in the order in which they were decoded. */
  readonly macroTrace: MacroName[] = [];
  /** How many of them came through the instruction cache. */
  macrosFetched = 0;
  readonly traffic: SymbolTraffic;
  readonly trace: Trace | undefined;
  executed = 0;
  judgements = 0;
  readonly #executable: Executable;
  readonly #observer: Observer;
  #resume: Observer["resume"];
  #values: ValueEngine | undefined;
  readonly #options: RunOptions;
  readonly #watchdog: number;
  readonly #indices = new Int32Array(8);
  readonly #counts = new Int32Array(8).fill(1);
  readonly #openLevels: number[] = [];
  readonly #placement = newPlacement();
  /** The run of a routine in which a chain's vop words were last taken: within it the vector unit still holds them. */
  readonly #chainHeld = new Map<ResolvedStep, number>();
  #step: ResolvedStep | undefined;
  #reportAt = 0;
  #reportedAt = 0;
  readonly #estimate: number;

  constructor(executable: Executable, machine: Machine, values: ValueEngine | undefined, observer: Observer, options: RunOptions) {
    this.#executable = executable;
    this.#values = values;
    this.#observer = observer;
    this.#resume = observer.resume;
    this.#options = options;
    this.#watchdog = options.watchdogCycles ?? defaultWatchdogCycles;
    this.trace = options.maxTraceEvents === undefined ? undefined : new Trace(options.maxTraceEvents);
    this.traffic = new SymbolTraffic(executable.owned);
    const romBytes = options.hardWired === true ? (executable.program.routines[0]?.length ?? 0) * limits.instructionBytes : 0;
    this.clock = new MachineClock(machine, executable.tables, { address: executable.textAddress, romBytes }, this.traffic, this.trace);
    this.kernels = executable.kernels.map(() => newKernelCounters());
    this.#estimate = options.onProgress === undefined ? 0 : estimateWork(executable.program);
  }

  /** Runs the main routine to its end. */
  run(): void {
    this.#enter(0);
    while (this.#advance(this.submodules.frame));
    if (this.#resume !== undefined) fail("E0604", `the program ended before judgement ${this.#resume.snapshot.judgements} of the snapshot`);
    this.clock.finish();
    this.#options.onProgress?.(this.executed, this.executed);
  }

  /** Where the present instruction stands: for faults. */
  place(): Place {
    const { routine, kernel } = this.submodules.frame;
    const debug = this.#executable.kernels[kernel];
    const node = debug?.nodes[0];
    return {
      ...(node === undefined ? {} : { node: node.node, operator: node.operator }),
      ...(debug === undefined ? {} : { kernel: debug.name }),
      routine: routine.name,
      ...(this.#step === undefined ? {} : { address: this.#step.address }),
      loopIndices: this.#openLevels.map((level) => this.#indices[level]!),
    };
  }

  /** One step of the top level of a routine; false when the program has ended. */
  #advance(frame: Frame): boolean {
    const step = frame.routine.body[frame.next++];
    if (step === undefined) return this.#leave();
    this.#step = step;
    switch (step.kind) {
      case "configure":
        this.clock.issue(step.address);
        return true;
      case "buffer":
        this.clock.issue(step.address);
        this.clock.scoreboard.declare(step.buffer);
        return true;
      case "call":
        this.clock.issue(step.address);
        if (step.macro !== "call") this.#noteMacro(step.macro, step.address);
        this.#enter(step.routine);
        return true;
      case "converge":
        this.#noteMacro("converge", step.address);
        this.clock.issue(step.address);
        frame.judgement = { back: step.back, address: step.address };
        this.#enter(step.routine);
        return true;
      case "branch":
        this.clock.issue(step.address);
        this.clock.waitForScalar();
        if (this.#decide(step.register, (value) => (value !== 0) === step.when, () => this.#assumed(frame, step.address))) this.#jump(frame, step.target);
        return true;
      case "return":
        this.clock.issue(step.address);
        return this.#leave();
      case "fence":
        this.clock.issue(step.address);
        this.clock.waitForAll();
        return true;
      case "halt":
        this.clock.issue(step.address);
        return false;
      case "io":
        this.#noteMacro("io", step.address);
        this.#values?.io(step);
        this.clock.io(step);
        this.#count();
        return true;
      default:
        this.#dispatch(step);
        return true;
    }
  }

  #noteMacro(name: MacroName, address: number): void {
    this.macroTrace.push(name);
    if (!this.clock.inRom(address)) this.macrosFetched++;
  }

  /** Steps that may stand inside loops. */
  #dispatch(step: ResolvedStep): void {
    switch (step.kind) {
      case "loop": return this.#loop(step);
      case "scalar":
        this.#step = step;
        this.scalars.execute(step);
        this.clock.scalar(step.address);
        return this.#count();
      case "move": {
        this.#step = step;
        const { registers } = this.scalars;
        if (step.rowed.length > 0) this.#placeRows(step.rowed);
        if (this.#values !== undefined && step.direction === "to-register") this.scalars.set(step.register, this.#values.read(step, this.#indices));
        else if (step.direction === "to-register") this.scalars.forget(step.register);
        else this.#values?.write(step, this.#indices, registers[step.register]!);
        this.clock.scalarMove(step, this.#indices);
        return this.#count();
      }
      case "load":
      case "store":
      case "gather":
      case "scatter":
      case "fill":
      case "gemm":
      case "vector":
        this.#step = step;
        return this.#compute(step);
      default:
        return internal(`${step.kind} inside a loop`);
    }
  }

  #loop(step: LoopStep): void {
    const { level, count, body } = step;
    this.clock.issue(step.address);
    this.#openLevels.push(level);
    this.#counts[level] = count;
    for (let i = 0; i < count; i++) {
      this.#indices[level] = i;
      for (let k = 0; k < body.length; k++) this.#dispatch(body[k]!);
      this.#check();
    }
    this.#indices[level] = 0;
    this.#counts[level] = 1;
    this.#openLevels.pop();
  }

  #compute(step: ComputeStep): void {
    const unit = unitOf[step.kind];
    const runs = this.#guarded(step) && extentsOf(step.space, this.#indices, this.#placement) > 0;
    if (runs && step.rowed.length > 0) this.#placeRows(step.rowed);
    // An instruction without points costs its dispatch and takes no place in a queue.
    const dispatched = this.clock.issue(step.address, runs ? unit : undefined);
    const ready = step.kind === "vector" ? this.#takeChain(step, dispatched) : dispatched;
    if (!runs) return;
    this.#values?.compute(step, this.#indices, this.#placement);
    if (step.kind === "gemm") this.clock.gemm(step, this.#placement, this.#indices, ready);
    else if (step.kind === "vector") this.clock.vector(step, this.#placement, this.#indices, ready);
    else this.clock.transfer(step, this.#placement, this.#indices, ready);
    this.#count();
  }

  /** Takes the rows of generators from the scalar registers as they are now. */
  #placeRows(rowed: readonly ResolvedGenerator[]): void {
    this.clock.waitForScalar();
    if (this.#values === undefined) return;
    for (const generator of rowed) {
      const { register, stride, count } = generator.row!;
      const value = this.scalars.registers[register]!;
      const row = Math.trunc(value);
      if (!(row >= 0 && row < count)) fail("E0501", `row ${value} in scalar register ${register} does not exist; there are ${count}`, this.place(), [memoryIsLeft]);
      setRowOffset(generator, row * stride);
    }
  }

  /** The vop words behind a vec, once in each run of a routine. */
  #takeChain(step: Extract<ResolvedStep, { kind: "vector" }>, dispatched: number): number {
    const { activation } = this.submodules.frame;
    if (step.stages.length === 0 || this.#chainHeld.get(step) === activation) return dispatched;
    this.#chainHeld.set(step, activation);
    let ready = dispatched;
    for (let k = 1; k <= step.stages.length; k++) ready = this.clock.issue(step.address + k * 16);
    return ready;
  }

  #guarded(step: ComputeStep): boolean {
    for (let k = 0; k < step.first.length; k++) if (this.#indices[step.first[k]!] !== 0) return false;
    for (let k = 0; k < step.last.length; k++) {
      const level = step.last[k]!;
      if (this.#indices[level] !== this.#counts[level]! - 1) return false;
    }
    return true;
  }

  #enter(index: number): void {
    const routine = this.#executable.program.routines[index];
    if (routine === undefined) return internal(`routine ${index} does not exist`);
    const caller = this.submodules.depth === 0 ? "control" : this.submodules.active.name;
    if (!submoduleCallees[caller].includes(routine.submodule)) fail("E0501", `a routine of ${caller} runs one of ${routine.submodule}`, this.place(), [memoryIsLeft]);
    if (this.submodules.depth >= maximumDepth) fail("E0501", `more than ${maximumDepth} routines under way at once`, this.place());
    this.submodules.enter(routine);
    this.clock.scoreboard.forget();
    this.#attribute();
    this.#check();
  }

  #leave(): boolean {
    if (this.submodules.depth === 1) fail("E0501", "the program ran past its end: no halt, no finished judgement", this.place(), [memoryIsLeft]);
    this.submodules.leave();
    this.clock.scoreboard.forget();
    this.#attribute();
    const { frame } = this.submodules;
    const { judgement } = frame;
    if (judgement === undefined) return true;
    frame.judgement = undefined;
    this.clock.waitForScalar();
    this.#judge();
    if (!this.#decide(0, (value) => value === 0 && this.#isExpected(), () => this.#assumedCount(outerLoop) > this.judgements)) return frame.next < frame.routine.body.length;
    this.#jump(frame, judgement.back);
    return true;
  }

  /** Before a judgement decides: the host looks, or a resumed run gets its values back. */
  #judge(): void {
    this.judgements++;
    const resume = this.#resume;
    if (resume === undefined) {
      if (this.#values !== undefined) this.#observer.judged(this, this.#values);
      return;
    }
    if (this.judgements < resume.snapshot.judgements) return;
    this.#values = resume.begin();
    this.scalars.restore(resume.snapshot.registers);
    this.#resume = undefined;
  }

  #attribute(): void {
    const { kernel } = this.submodules.frame;
    this.clock.kernelIndex = kernel;
    this.clock.kernel = this.kernels[kernel] ?? this.outside;
    this.clock.submodule = this.submodules.active;
    this.clock.asking = this.submodules.asking;
  }

  /** The outcome of a branch: by value, or as the given control says. */
  #decide(register: number, test: (value: number) => boolean, assumed: () => boolean): boolean {
    const outcomes = this.#resume?.snapshot.control ?? this.#options.control;
    const given = this.#values === undefined ? outcomes?.[this.control.length] : undefined;
    const known = given !== undefined || this.scalars.knows(register);
    if (!known && this.#options.assume === undefined) {
      fail("E0603", `this run has no values, but branch ${this.control.length} depends on scalar register ${register}`, this.place(),
        ["Give the outcomes of the branches that a full run wrote, or run with values."]);
    }
    const outcome = known ? given ?? test(this.scalars.registers[register]!) : assumed();
    this.control.push(outcome);
    return outcome;
  }

  /** Whether a branch that depends on values is taken, as far as one can say without them. */
  #assumed(frame: Frame, address: number): boolean {
    const branch = this.#executable.branches.get(address);
    if (branch === undefined) return fail("E0603", "nothing is known of a branch of this image", this.place(), ["Give the outcomes of the branches that a full run wrote, or run with values."]);
    const { taken, loop } = branch;
    if (loop === undefined) return taken;
    const iteration = 1 + (frame.arrivals.get(loop.head) ?? 0);
    const count = this.#assumedCount(loop.name);
    const leaves = loop.last ? iteration >= count : iteration > count;
    return leaves === taken;
  }

  #assumedCount(loop: string): number {
    return this.#options.assume?.get(loop) ?? fail("E0603", `this run has no values, and nothing is said of loop "${loop}"`, this.place(), [`Say how often it runs: ${loop}=COUNT.`]);
  }

  /** Whether one more judgement was asked for; where nothing is said, the program itself decides. */
  #isExpected(): boolean {
    return this.judgements < (this.#options.assume?.get(outerLoop) ?? Infinity);
  }

  #jump(frame: Frame, target: number): void {
    if (this.#options.assume !== undefined) frame.arrivals.set(target, (frame.arrivals.get(target) ?? 0) + 1);
    frame.next = frame.routine.stepAt.get(target) ?? internal(`branch target ${target} of routine ${frame.routine.name}`);
    this.clock.scoreboard.forget();
    this.#check();
  }

  #count(): void {
    this.executed++;
    this.submodules.active.microOperations++;
  }

  /** Watchdog and progress; at every loop iteration, call and jump, so that no endless program escapes. */
  #check(): void {
    if (this.clock.frontier > this.#watchdog) fail("E0502", `the run has taken more than ${this.#watchdog} cycles`, this.place());
    if (this.#options.onProgress === undefined || this.executed < this.#reportAt) return;
    this.#reportAt = this.executed + (this.#options.now === undefined ? 8192 : 64);
    const now = this.#options.now?.();
    if (now !== undefined && now - this.#reportedAt < 100) return;
    this.#reportedAt = now ?? 0;
    this.#options.onProgress(this.executed, Math.max(this.#estimate, this.executed));
  }
}

/** Dynamic instructions of a program in which no branch goes back. */
function estimateWork(program: ResolvedProgram): number {
  const known = new Map<number, number>();
  const ofRoutine = (index: number): number => {
    const before = known.get(index);
    if (before !== undefined) return before;
    known.set(index, 0);
    const work = ofSteps(program.routines[index]?.body ?? []);
    known.set(index, work);
    return work;
  };
  const ofSteps = (steps: readonly ResolvedStep[]): number => steps.reduce((sum, step) => sum + ofStep(step), 0);
  const ofStep = (step: ResolvedStep): number => {
    if (step.kind === "loop") return step.count * ofSteps(step.body);
    if (step.kind === "call" || step.kind === "converge") return ofRoutine(step.routine);
    return step.kind === "configure" || step.kind === "buffer" ? 0 : 1;
  };
  return ofRoutine(0);
}
