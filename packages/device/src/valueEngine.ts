/** @file The values of instructions, on the simulated memories: one dispatch to the functions of `values/`. */
import type { ResolvedStep } from "@systole/isa";
import { startAddress, type Placement } from "./geometry.ts";
import type { Initialised } from "./initialised.ts";
import type { Memory } from "./memory.ts";
import { executeFill, executeGather, executeIo, executeLoad, executeStore, type IoStep } from "./values/dma.ts";
import { executeGemm } from "./values/gemm.ts";
import { executeVector } from "./values/vector.ts";

/** smov takes point 0 of a generator: no dimension counts. */
const point = { dimensions: [] };

export type ComputeStep = Extract<ResolvedStep, { kind: "load" | "store" | "gather" | "scatter" | "fill" | "gemm" | "vector" }>;
type MoveStep = Extract<ResolvedStep, { kind: "move" }>;

export class ValueEngine {
  readonly initialised: Initialised;
  readonly #memory: Memory;

  constructor(memory: Memory, initialised: Initialised) {
    this.#memory = memory;
    this.initialised = initialised;
  }

  /** `points` are those of the step's space; there are some. */
  compute(step: ComputeStep, indices: Int32Array, points: Placement): void {
    this.initialised.touch(step, indices);
    switch (step.kind) {
      case "load": executeLoad(this.#memory, step, indices, points); return;
      case "store": executeStore(this.#memory, step, indices, points); return;
      case "gather": executeGather(this.#memory, step, indices, points); return;
      case "scatter": executeGather(this.#memory, step, indices, points); return;
      case "fill": executeFill(this.#memory, step, indices, points); return;
      case "gemm": executeGemm(this.#memory, step, indices, points); return;
      case "vector": executeVector(this.#memory, step, indices, points); return;
    }
  }

  io(step: IoStep): void {
    this.initialised.io(step);
    executeIo(this.#memory, step);
  }

  read(step: MoveStep, indices: Int32Array): number {
    this.initialised.touch(step, indices);
    const { generator } = step;
    return this.#memory.read(generator.buffer.memory, generator.dtype, startAddress(generator, point, indices));
  }

  write(step: MoveStep, indices: Int32Array, value: number): void {
    this.initialised.touch(step, indices);
    const { generator } = step;
    this.#memory.write(generator.buffer.memory, generator.dtype, startAddress(generator, point, indices), value);
  }
}
