/**
 * @file The device: holds a loaded image and its memories, runs it as often as asked. After a fault the memories stay
 * as they were at that moment.
 */
import { allocate, byteCount, fail, formatType, InputError, sameShape, type Tensor } from "@systole/base";
import { verifyImage, type Image, type Machine, type MemoryName, type TensorSymbol } from "@systole/isa";
import { Controller, type Executable } from "./controller.ts";
import { boundOf, perUnit, type KernelCounters, type MutableKernelCounters } from "./counters.ts";
import { Memory } from "./memory.ts";
import type { Run, RunOptions } from "./run.ts";
import { ValueEngine } from "./valueEngine.ts";
import { RowFault } from "./values/dma.ts";

export class Device {
  readonly image: Image;
  readonly machine: Machine;
  readonly #executable: Executable;
  #memory: Memory | undefined;
  #values: ValueEngine | undefined;
  #ran = false;

  /** Verifies the image; memory is taken at the first run with values. */
  constructor(image: Image, machine: Machine) {
    this.image = image;
    this.machine = machine;
    this.#executable = { program: verifyImage(image, machine), textAddress: image.textAddress, kernels: image.debug.kernels };
  }

  run(inputs: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Run {
    const begun = options.now?.();
    const withValues = options.timingOnly !== true;
    if (withValues) this.#prepare(inputs, options.keepState === true);
    const controller = new Controller(this.#executable, this.machine, withValues ? this.#values : undefined, options);
    this.#ran ||= withValues;
    try {
      controller.run();
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      fail("E0501", `gather or scatter index out of range: ${error.message}`, controller.place(), ["The memory of the device is as it was at this instruction."]);
    }
    const outputs = withValues ? this.#outputs(options) : new Map<string, Tensor>();
    return { ...report(controller, this.machine), outputs, ...(begun === undefined ? {} : { hostMilliseconds: options.now!() - begun }) };
  }

  /** A copy of bytes of a simulated memory. */
  read(memory: MemoryName, address: number, length: number): Uint8Array {
    return this.#loaded().bytes(memory, address, length).slice();
  }

  /** A copy of a tensor in external memory, by the name of its symbol. */
  tensor(name: string): Tensor {
    const symbol = this.image.symbols.find((candidate) => candidate.name === name);
    if (symbol === undefined) return fail("E0601", `the image has no tensor "${name}"`, { value: name }, [`It has ${this.image.symbols.map((s) => s.name).join(", ")}.`]);
    return readTensor(this.#loaded(), symbol);
  }

  #loaded(): Memory {
    if (this.#memory === undefined) {
      this.#memory = new Memory(this.machine, this.image.externalBytes);
      this.#values = new ValueEngine(this.#memory);
      this.#place(this.#memory);
    }
    return this.#memory;
  }

  #place(memory: Memory): void {
    for (const { address, bytes } of this.image.segments) memory.bytes("external", address, bytes.length).set(bytes);
  }

  #prepare(inputs: ReadonlyMap<string, Tensor>, keepState: boolean): void {
    const { symbols } = this.image;
    for (const name of inputs.keys()) {
      if (!symbols.some((symbol) => symbol.name === name && symbol.kind !== "output")) {
        fail("E0601", `the image has no input "${name}"`, { value: name }, [`Its inputs are ${symbols.filter((s) => s.kind === "input").map((s) => `"${s.name}"`).join(", ") || "none"}.`]);
      }
    }
    const given = symbols.flatMap((symbol) => {
      const tensor = inputs.get(symbol.name);
      if (tensor === undefined && symbol.kind === "input") return fail("E0601", `input "${symbol.name}" is missing`, { value: symbol.name }, [`Wanted is ${formatType(symbol)}.`]);
      return tensor === undefined || symbol.kind === "output" ? [] : [{ symbol, tensor }];
    });
    for (const { symbol, tensor } of given) checkInput(symbol, tensor);
    const memory = this.#loaded();
    // Only a program with state changes what it was loaded with.
    if (this.#ran && !keepState && symbols.some((symbol) => symbol.kind === "state")) {
      for (const symbol of symbols) if (symbol.kind === "state" || symbol.kind === "parameter") memory.bytes("external", symbol.address, byteCount(symbol)).fill(0);
      this.#place(memory);
    }
    for (const { symbol, tensor } of given) writeTensor(memory, symbol, tensor);
  }

  #outputs(options: RunOptions): Map<string, Tensor> {
    const kinds = new Set<TensorSymbol["kind"]>(["output", ...(options.readBack ?? [])]);
    const memory = this.#loaded();
    return new Map(this.image.symbols.filter((symbol) => kinds.has(symbol.kind)).map((symbol) => [symbol.name, readTensor(memory, symbol)]));
  }
}

/** Runs an image once. */
export function runImage(image: Image, machine: Machine, inputs: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Run {
  return new Device(image, machine).run(inputs, options);
}

/** Whether an error is a fault of the simulated device rather than of its inputs. */
export function isDeviceFault(error: unknown): error is InputError {
  return error instanceof InputError && (error.diagnostic.code === "E0501" || error.diagnostic.code === "E0502");
}

function checkInput(symbol: TensorSymbol, tensor: Tensor): void {
  if (tensor.dtype === symbol.dtype && sameShape(tensor.shape, symbol.shape)) return;
  fail("E0602", `${symbol.kind} "${symbol.name}" is ${formatType(symbol)}, given is ${formatType(tensor)}`, { value: symbol.name });
}

function writeTensor(memory: Memory, symbol: TensorSymbol, tensor: Tensor): void {
  let { data } = tensor;
  if (symbol.dtype === "f32" && data instanceof Float64Array) data = new Float32Array(data);
  memory.bytes("external", symbol.address, byteCount(symbol)).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function readTensor(memory: Memory, symbol: TensorSymbol): Tensor {
  const data = allocate(symbol.dtype, symbol.shape.reduce((product, extent) => product * extent, 1));
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(memory.bytes("external", symbol.address, byteCount(symbol)));
  return { dtype: symbol.dtype, shape: [...symbol.shape], data };
}

/** The counters of a finished run. */
export function report(controller: Controller, machine: Machine): Omit<Run, "outputs"> {
  const { clock, submodules, trace } = controller;
  const { cache, readBytes, writeBytes, usedReadBytes, usedWriteBytes, macs } = clock;
  return {
    cycles: clock.frontier,
    units: perUnit((unit) => ({ busy: clock.units[unit].busy, stalls: { ...clock.units[unit].stalls } })),
    external: { readBytes, writeBytes, usedReadBytes, usedWriteBytes },
    instructions: { fetched: clock.units.controller.busy, executed: controller.executed, cacheMisses: cache.misses, fillBytes: cache.fills * machine.instructionCache.lineBytes },
    macs,
    kernels: controller.kernels.map(bounded),
    outside: bounded(controller.outside),
    submodules: submodules.cycles(),
    submoduleWork: submodules.work(),
    control: controller.control,
    ...(trace === undefined ? {} : { trace: trace.events }),
  };
}

function bounded(counters: MutableKernelCounters): KernelCounters {
  return { ...counters, boundBy: boundOf(counters) };
}
