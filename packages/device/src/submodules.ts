/**
 * @file The submodules that sequence routines: operation control (51), gradient (52), damping (53), Gauss-Newton (54),
 * conjugate gradient (55) and basic operations (56). Each has a stack of program counters of its own. Exactly one is
 * active; a submodule that called another waits until the routine returns.
 */
import { internal } from "@systole/base";
import { submoduleNames, type ResolvedRoutine, type SubmoduleName } from "@systole/isa";
import { perSubmodule } from "./counters.ts";

/** One routine under way in a submodule. */
export interface Frame {
  readonly routine: ResolvedRoutine;
  /** The program counter: index of the next step of the routine's body. */
  next: number;
  /** The kernel that the work belongs to: the routine's own, else the caller's, -1 outside of kernels. */
  readonly kernel: number;
  /** Set while the routine of a `converge` runs: where to go back to, and the address of the instruction. */
  judgement: { readonly back: number; readonly address: number } | undefined;
  /** A number for each run of a routine. */
  readonly activation: number;
  /** How often branches came to a place, in runs that must guess. */
  readonly arrivals: Map<number, number>;
}

/** What a submodule has done so far. */
export interface SubmoduleWork {
  readonly calls: number;
  /** Words of its routines that the controller took. */
  readonly instructions: number;
  /** Instructions dispatched to units. */
  readonly microOperations: number;
  /** Transfers over the data port of external memory; instruction fetch has its own. */
  readonly dmaRequests: number;
  /** Whole bursts. */
  readonly readBytes: number;
  readonly writeBytes: number;
  /** Of its own and of the basic operations that it asked for; over all submodules these add up to the run (basic operations ask for nothing). */
  readonly asked: Asked;
}

/** What was done on behalf of a submodule. */
export interface Asked {
  readonly cycles: number;
  readonly readBytes: number;
  readonly writeBytes: number;
}

export class Submodule {
  readonly name: SubmoduleName;
  readonly counters: Frame[] = [];
  cycles = 0;
  calls = 0;
  instructions = 0;
  microOperations = 0;
  dmaRequests = 0;
  readBytes = 0;
  writeBytes = 0;
  readonly asked = { cycles: 0, readBytes: 0, writeBytes: 0 };

  constructor(name: SubmoduleName) {
    this.name = name;
  }
}

export const maximumDepth = 64;

export class Submodules {
  readonly all: Readonly<Record<SubmoduleName, Submodule>> = perSubmodule((name) => new Submodule(name));
  /** Who called whom; the last one is active, all others wait. */
  readonly #waiting: Submodule[] = [];
  #activations = 0;

  get active(): Submodule {
    return this.#waiting.at(-1) ?? internal("no submodule is active");
  }

  /** On whose behalf the active submodule works: basic operations work for their caller. */
  get asking(): Submodule {
    return this.#waiting.findLast(({ name }) => name !== "basic") ?? this.active;
  }

  get frame(): Frame {
    return this.active.counters.at(-1) ?? internal("the active submodule has no program counter");
  }

  get depth(): number {
    return this.#waiting.length;
  }

  /** Hands control to the submodule that owns the routine. */
  enter(routine: ResolvedRoutine): void {
    const kernel = routine.kernel >= 0 || this.depth === 0 ? routine.kernel : this.frame.kernel;
    const submodule = this.all[routine.submodule];
    submodule.counters.push({ routine, next: 0, kernel, judgement: undefined, activation: this.#activations++, arrivals: new Map() });
    submodule.calls++;
    this.#waiting.push(submodule);
  }

  /** Ends the active routine; control goes back to the caller. */
  leave(): void {
    this.#waiting.pop()?.counters.pop();
  }

  work(): Record<SubmoduleName, SubmoduleWork> {
    return perSubmodule((name) => {
      const { calls, instructions, microOperations, dmaRequests, readBytes, writeBytes, asked } = this.all[name];
      return { calls, instructions, microOperations, dmaRequests, readBytes, writeBytes, asked: { ...asked } };
    });
  }

  cycles(): Record<SubmoduleName, number> {
    return perSubmodule((name) => this.all[name].cycles);
  }

  /** For invariants in tests: submodules whose counters are not empty. */
  occupied(): readonly SubmoduleName[] {
    return submoduleNames.filter((name) => this.all[name].counters.length > 0);
  }
}
