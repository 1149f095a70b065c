/** @file A model file to an image for a machine, with what the command line adds: external data, watched passes, notes, the time it took. */
import { compile, fail, InputError, printGraph, readImage, verifyGraph, type Compiled, type CompileOptions, type Graph, type Image, type Machine, type PassObserver, type Tensor } from "@systole/systole";
import { externalReader, readBytes } from "./files/files.ts";
import { readTensorFile } from "./files/tensorFile.ts";
import { defaultMachine, findMachine, type CompileFlags } from "./options.ts";
import { note, type Terminal } from "./terminal.ts";

/** Something that can run: compiled just now, or read from an image file. */
export interface Program {
  readonly image: Image;
  readonly machine: Machine;
  readonly compiled: Compiled | undefined;
  readonly compileMs: number;
}

/** An ELF file is an image, everything else a model. */
export function isImage(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** `given` are tensors for inputs: they bind dimensions that the model leaves open, and values that must be known while compiling. */
export function loadProgram(path: string, flags: CompileFlags, terminal: Terminal, given: readonly GivenTensor[] = []): Program {
  const bytes = readBytes(path);
  const start = terminal.now();
  if (isImage(bytes)) {
    const image = readImage(bytes);
    return { image, machine: machineOf(image, flags.machine), compiled: undefined, compileMs: terminal.now() - start };
  }
  const machine = findMachine(flags.machine ?? defaultMachine);
  const { compiled, notes } = compileFor(bytes, machine, compileOptions(path, flags, terminal), given);
  for (const warning of [...compiled.model.warnings, ...notes]) note(terminal, warning);
  return { image: compiled.image, machine, compiled, compileMs: terminal.now() - start };
}

function machineOf(image: Image, chosen: string | undefined): Machine {
  try {
    return findMachine(chosen ?? image.machineName);
  } catch (error) {
    if (chosen !== undefined || !(error instanceof InputError)) throw error;
    return fail("E0402", `the image was compiled for the machine "${image.machineName}", which is no preset`, {}, ["Give its file with --machine FILE."]);
  }
}

export function compileOptions(path: string, flags: CompileFlags, terminal: Terminal): CompileOptions {
  const fixed = Object.entries(flags.fixed ?? {}).map(([name, file]) => [name, readTensorFile(file)] as const);
  return {
    fileName: path, readExternal: externalReader(path), passes: passObserver(flags, terminal),
    ...(flags.batch === undefined ? {} : { batch: flags.batch }),
    ...(flags.shape === undefined ? {} : { shapes: flags.shape }),
    ...(fixed.length === 0 ? {} : { fixedInputs: Object.fromEntries(fixed) }),
  };
}

export interface GivenTensor {
  /** Undefined: for the only input. */
  readonly name: string | undefined;
  readonly tensor: Tensor;
}

export function compileFor(bytes: Uint8Array, machine: Machine, options: CompileOptions, given: readonly GivenTensor[]): { readonly compiled: Compiled; readonly notes: readonly string[] } {
  const { made, notes } = settled(options, given, (current) => compile(bytes, machine, current));
  return { compiled: made, notes };
}

/** Makes it again with one more dimension or value settled, as long as the importer asks for one that a given tensor answers. */
export function settled<T>(options: CompileOptions, given: readonly GivenTensor[], make: (options: CompileOptions) => T): { readonly made: T; readonly notes: readonly string[] } {
  let current = options;
  const notes: string[] = [];
  for (;;) {
    try {
      return { made: make(current), notes };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const next = settle(error, current, given);
      if (next === undefined) throw error;
      current = next.options;
      if (next.note !== "") notes.push(next.note);
    }
  }
}

function settle(error: InputError, options: CompileOptions, given: readonly GivenTensor[]): { readonly options: CompileOptions; readonly note: string } | undefined {
  const { code, where } = error.diagnostic;
  if (code === "E0204" && where.value !== undefined && options.shapes?.[where.value] === undefined) {
    const tensor = given.find((one) => one.name === where.value)?.tensor ?? (given.length === 1 && given[0]!.name === undefined ? given[0]!.tensor : undefined);
    return tensor === undefined ? undefined : { options: { ...options, shapes: { ...options.shapes, [where.value]: tensor.shape } }, note: "" };
  }
  if (code !== "E0206") return undefined;
  const open = given.filter((one) => one.name !== undefined && options.fixedInputs?.[one.name] === undefined);
  // What is computed from an input has another name than the input; shapes and axes are integers.
  const named = open.find((one) => one.name === where.value) ?? open.find((one) => one.tensor.dtype === "i64" || one.tensor.dtype === "i32") ?? open.find((one) => one.tensor.shape.length === 0);
  if (named === undefined) return undefined;
  return {
    options: { ...options, fixedInputs: { ...options.fixedInputs, [named.name!]: named.tensor } },
    note: `the value of input "${named.name}" became a constant of the program: it must be known while compiling`,
  };
}

function passObserver(flags: CompileFlags, terminal: Terminal): PassObserver<Graph> {
  return {
    now: terminal.now,
    after: (pass, graph, changed, milliseconds) => {
      if (flags.verifyEach === true && changed) verifyGraph(graph);
      if (flags.timePasses === true) terminal.err(`${pass.name.padEnd(28)} ${milliseconds.toFixed(2).padStart(9)} ms${changed ? "" : "  (no change)"}\n`);
      if (flags.printAfter === "all" || flags.printAfter === pass.name) terminal.err(`// after ${pass.name}${changed ? "" : " (no change)"}\n${printGraph(graph, { elideTensors: true })}\n`);
    },
  };
}
