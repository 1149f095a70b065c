/** @file The values of instructions, on the simulated memories: one dispatch to the functions of `values/`. */
import { internal } from "@systole/base";
import type { ResolvedGenerator, ResolvedStep } from "@systole/isa";
import { startAddress } from "./geometry.ts";
import type { Memory } from "./memory.ts";
import { executeFill, executeGather, executeIo, executeLoad, executeStore, type IoStep } from "./values/dma.ts";
import { executeGemm } from "./values/gemm.ts";
import { executeVector } from "./values/vector.ts";

/** smov takes point 0 of a generator: no dimension counts. */
const point = { dimensions: [] };

export class ValueEngine {
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  compute(step: ResolvedStep, indices: Int32Array): void {
    switch (step.kind) {
      case "load": executeLoad(this.#memory, step, indices); return;
      case "store": executeStore(this.#memory, step, indices); return;
      case "gather": executeGather(this.#memory, step, indices); return;
      case "scatter": executeGather(this.#memory, step, indices); return;
      case "fill": executeFill(this.#memory, step, indices); return;
      case "gemm": executeGemm(this.#memory, step, indices); return;
      case "vector": executeVector(this.#memory, step, indices); return;
      default: internal(`${step.kind} has no values`);
    }
  }

  io(step: IoStep): void {
    executeIo(this.#memory, step);
  }

  read(generator: ResolvedGenerator, indices: Int32Array): number {
    return this.#memory.read(generator.buffer.memory, generator.dtype, startAddress(generator, point, indices));
  }

  write(generator: ResolvedGenerator, indices: Int32Array, value: number): void {
    this.#memory.write(generator.buffer.memory, generator.dtype, startAddress(generator, point, indices), value);
  }
}
