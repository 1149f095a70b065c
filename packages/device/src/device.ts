/**
 * @file The device: holds a loaded image and its memories, runs it as often as asked. After a fault the memories stay
 * as they were at that moment.
 */
import { allocate, byteCount, fail, formatType, InputError, sameShape, type Tensor } from "@systole/base";
import { limits, verifyImage, writeImage, type Image, type Machine, type MemoryName, type TensorSymbol } from "@systole/isa";
import { Controller, memoryIsLeft, type Executable, type Observer } from "./controller.ts";
import { boundOf, perUnit, type KernelCounters, type MutableKernelCounters } from "./counters.ts";
import { isDecided } from "./decided.ts";
import { DeviceFault } from "./faults.ts";
import { Initialised } from "./initialised.ts";
import { Memory, memoryOfDevice } from "./memory.ts";
import type { JudgementView, Run, RunOptions } from "./run.ts";
import { captureMemories, checkSnapshot, fingerprintOf, registersOf, restoreMemories, type Fingerprint, type Snapshot } from "./snapshot.ts";
import { ownedBytes } from "./symbolTraffic.ts";
import { newTimingTables } from "./timing/tables.ts";
import { ValueEngine } from "./valueEngine.ts";

/** A tensor that was given to a run, as it lies in memory. */
interface Given {
  readonly symbol: TensorSymbol;
  readonly bytes: Uint8Array;
}

export class Device {
  readonly image: Image;
  readonly machine: Machine;
  readonly #executable: Executable;
  #memory: Memory | undefined;
  #ran = false;
  #fingerprint: Fingerprint | undefined;
  /** Behind the first run of a program that takes the same way in every run. */
  #checked: Initialised | undefined;

  /** Verifies the image; memory is taken at the first run with values. */
  constructor(image: Image, machine: Machine) {
    this.image = image;
    this.machine = machine;
    const program = verifyImage(image, machine);
    const branches = new Map((image.debug.branches ?? []).flatMap((branch) => {
      const routine = program.routines[branch.routine];
      return routine === undefined ? [] : [[routine.address + branch.instruction * limits.instructionBytes, branch] as const];
    }));
    this.#executable = { program, textAddress: image.textAddress, kernels: image.debug.kernels, owned: ownedBytes(image.symbols), branches, tables: newTimingTables(machine) };
  }

  run(inputs: ReadonlyMap<string, Tensor>, options: RunOptions = {}): Run {
    const begun = options.now?.();
    const withValues = options.timingOnly !== true;
    const { resume } = options;
    if (resume !== undefined && (!withValues || options.keepState === true)) fail("E0603", "a resumed run has values, and its state is that of the snapshot");
    const given = withValues ? this.#prepare(inputs, options) : [];
    if (resume !== undefined) checkSnapshot(resume, this.#imageFingerprint(), inputsFingerprint(given), this.#loaded());
    const values = withValues ? new ValueEngine(this.#loaded(), this.#checked ?? new Initialised(this.#loaded())) : undefined;
    const observer: Observer = {
      judged: (present, { initialised }) => options.onJudgement?.(this.#viewOf(present, given, initialised)),
      ...(values === undefined || resume === undefined ? {} : { resume: { snapshot: resume, begin: () => this.#takeUp(values, resume) } }),
    };
    const controller = new Controller(this.#executable, this.machine, resume === undefined ? values : undefined, observer, options);
    this.#ran ||= withValues;
    try {
      controller.run();
    } catch (error) {
      if (!(error instanceof DeviceFault)) throw error;
      fail("E0501", error.message, controller.place(), [memoryIsLeft]);
    }
    if (values !== undefined && this.#checked === undefined && isDecided(this.#executable.program) && !values.initialised.dependsOnRows) {
      values.initialised.proved = true;
      this.#checked = values.initialised;
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

  #takeUp(values: ValueEngine, snapshot: Snapshot): ValueEngine {
    restoreMemories(this.#loaded(), values.initialised, snapshot);
    return values;
  }

  #viewOf(controller: Controller, given: readonly Given[], initialised: Initialised): JudgementView {
    const { judgements, control, scalars, clock } = controller;
    return {
      iteration: judgements,
      cycles: clock.frontier,
      read: (name) => this.tensor(name),
      snapshot: () => ({
        image: this.#imageFingerprint(),
        inputs: inputsFingerprint(given),
        judgements,
        control: [...control],
        registers: registersOf(scalars.registers),
        ...captureMemories(this.#loaded(), initialised, [...this.image.segments, ...given.map(({ symbol, bytes }) => ({ address: symbol.address, bytes }))]),
      }),
    };
  }

  #imageFingerprint(): Fingerprint {
    return (this.#fingerprint ??= fingerprintOf([writeImage(this.image)]));
  }

  #loaded(): Memory {
    if (this.#memory === undefined) {
      this.#memory = new Memory(this.machine, this.image.externalBytes);
      memoryOfDevice.set(this, this.#memory);
      this.#place(this.#memory);
    }
    return this.#memory;
  }

  #place(memory: Memory): void {
    for (const { address, bytes } of this.image.segments) memory.bytes("external", address, bytes.length).set(bytes);
  }

  /** Loads memory as it is before the run; returns what was given. */
  #prepare(inputs: ReadonlyMap<string, Tensor>, options: RunOptions): readonly Given[] {
    const { symbols } = this.image;
    for (const name of inputs.keys()) {
      if (!symbols.some((symbol) => symbol.name === name && symbol.kind !== "output")) {
        fail("E0601", `the image has no input "${name}"`, { value: name }, [`Its inputs are ${symbols.filter((s) => s.kind === "input").map((s) => `"${s.name}"`).join(", ") || "none"}.`]);
      }
    }
    const given = symbols.flatMap((symbol) => {
      const tensor = inputs.get(symbol.name);
      if (tensor === undefined && symbol.kind === "input") return fail("E0601", `input "${symbol.name}" is missing`, { value: symbol.name }, [`Wanted is ${formatType(symbol)}.`]);
      if (tensor === undefined || symbol.kind === "output") return [];
      checkInput(symbol, tensor);
      return [{ symbol, bytes: bytesOfTensor(symbol, tensor) }];
    });
    const memory = this.#loaded();
    if (this.#ran && options.resume !== undefined) {
      memory.bytes("external", 0, this.image.externalBytes).fill(0);
      this.#place(memory);
    }
    // Only a program with state changes what it was loaded with.
    if (this.#ran && options.keepState !== true && symbols.some(({ kind }) => kind === "state" || kind === "record")) {
      for (const symbol of symbols) if (symbol.kind === "state" || symbol.kind === "record" || symbol.kind === "parameter") memory.bytes("external", symbol.address, byteCount(symbol)).fill(0);
      this.#place(memory);
    }
    for (const { symbol, bytes } of given) memory.bytes("external", symbol.address, bytes.length).set(bytes);
    return given;
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

function bytesOfTensor(symbol: TensorSymbol, tensor: Tensor): Uint8Array {
  let { data } = tensor;
  if (symbol.dtype === "f32" && data instanceof Float64Array) data = new Float32Array(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

const fingerprints = new WeakMap<readonly Given[], Fingerprint>();

/** Of the tensors given to one run and where they lie; taken once. */
function inputsFingerprint(given: readonly Given[]): Fingerprint {
  let known = fingerprints.get(given);
  if (known === undefined) fingerprints.set(given, (known = fingerprintOf(given.flatMap(({ symbol, bytes }) => [new Uint8Array(Float64Array.of(symbol.address).buffer), bytes]))));
  return known;
}

function readTensor(memory: Memory, symbol: TensorSymbol): Tensor {
  const data = allocate(symbol.dtype, symbol.shape.reduce((product, extent) => product * extent, 1));
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength).set(memory.bytes("external", symbol.address, byteCount(symbol)));
  return { dtype: symbol.dtype, shape: [...symbol.shape], data };
}

/** The counters of a finished run. */
export function report(controller: Controller, machine: Machine): Omit<Run, "outputs"> {
  const { clock, submodules, trace, macroTrace } = controller;
  const { cache, fetched, readBytes, writeBytes, usedReadBytes, usedWriteBytes, macs } = clock;
  return {
    cycles: clock.frontier,
    units: perUnit((unit) => ({ busy: clock.units[unit].busy, stalls: { ...clock.units[unit].stalls } })),
    external: { readBytes, writeBytes, usedReadBytes, usedWriteBytes },
    instructions: { fetched, executed: controller.executed, macros: controller.macrosFetched, cacheMisses: cache.misses, fillBytes: cache.fills * machine.instructionCache.lineBytes },
    macs,
    kernels: controller.kernels.map(bounded),
    outside: bounded(controller.outside),
    submodules: submodules.cycles(),
    submoduleWork: submodules.work(),
    control: controller.control,
    macroTrace,
    traffic: controller.traffic.entries,
    ...(trace === undefined ? {} : { trace: trace.events }),
  };
}

function bounded(counters: MutableKernelCounters): KernelCounters {
  return { ...counters, boundBy: boundOf(counters) };
}
