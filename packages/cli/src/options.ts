/** @file Options that several commands share, from the words of the command line to values. */
import { fail, graphPasses, isPresetName, lossNames, modelLoss, parseMachine, presetNames, presets, type Machine } from "@systole/systole";
import { InvalidArgumentError, Option, type Command } from "commander";
import { fileExists, readText } from "./files/files.ts";

export interface CompileFlags {
  readonly machine?: string;
  readonly batch?: number;
  readonly shape?: Readonly<Record<string, readonly number[]>>;
  readonly fixed?: Readonly<Record<string, string>>;
  readonly printAfter?: string;
  readonly timePasses?: boolean;
  readonly verifyEach?: boolean;
}

export const defaultMachine = "edge-16";

export function addCompileOptions(command: Command): Command {
  return addMachineOption(command)
    .option("--batch <n>", "bind every unknown first dimension", positiveInteger)
    .option("--shape <name=d0,d1,...>", "bind the shape of one input; may be repeated", collectShape)
    .option("--fixed <name=FILE>", "make an input a constant of the program; may be repeated", collectAssignment)
    .addOption(new Option("--print-after <pass>", "print the graph after a pass, or after all").choices([...graphPasses.map((pass) => pass.name), "all"]))
    .option("--time-passes", "say how long each pass took")
    .option("--verify-each", "verify the graph after each pass");
}

export function addMachineOption(command: Command): Command {
  return command.option("--machine <NAME|FILE>", `machine to compile for: ${presetNames.join(", ")} or a machine file (default: ${defaultMachine})`);
}

export function findMachine(nameOrFile: string): Machine {
  if (isPresetName(nameOrFile)) return presets[nameOrFile];
  if (fileExists(nameOrFile)) return parseMachine(readText(nameOrFile), nameOrFile);
  return fail("E0301", `"${nameOrFile}" is neither a preset nor a file`, {}, [`presets: ${presetNames.join(", ")}`]);
}

export function positiveInteger(text: string): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("a whole number from 1 is wanted.");
  return value;
}

export function wholeNumber(text: string): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("a whole number from 0 is wanted.");
  return value;
}

function finiteNumber(text: string): number {
  return /^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$/.test(text) ? Number(text) : NaN;
}

export function positiveNumber(text: string): number {
  const value = finiteNumber(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError("a number above 0 is wanted.");
  return value;
}

export function nonNegative(text: string): number {
  const value = finiteNumber(text);
  if (!(value >= 0 && value < Infinity)) throw new InvalidArgumentError("a number from 0 is wanted.");
  return value;
}

/** `outer=3,cg=30`; may be repeated. */
export function collectCounts(text: string, before: Readonly<Record<string, number>> = {}): Readonly<Record<string, number>> {
  const counts = text.split(",").map((part) => {
    const match = /^([A-Za-z][A-Za-z0-9.-]*)=([0-9]+)$/.exec(part);
    if (match === null) throw new InvalidArgumentError("loop=count,... is wanted, for example outer=3,cg=30.");
    return [match[1]!, Number(match[2])] as const;
  });
  return { ...before, ...Object.fromEntries(counts) };
}

export function collectAxis(text: string, before: Readonly<Record<string, number>> = {}): Readonly<Record<string, number>> {
  const match = /^(.+)=([0-9]+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("name=AXIS is wanted, for example x=1.");
  return { ...before, [match[1]!]: Number(match[2]) };
}

/** Names of inputs may hold "="; numbers do not. */
export function collectShape(text: string, before: Readonly<Record<string, readonly number[]>> = {}): Readonly<Record<string, readonly number[]>> {
  const match = /^(.+)=([0-9]*(?:[,x][0-9]+)*)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("name=d0,d1,... is wanted, for example image=1,3,224,224.");
  const extents = match[2] === "" ? [] : match[2]!.split(/[,x]/).map(Number);
  return { ...before, [match[1]!]: extents };
}

export function collectAssignment(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at <= 0 || at === text.length - 1) throw new InvalidArgumentError("name=FILE is wanted.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

export interface InputFlag {
  /** Undefined where only a file is given: for a model with one input. */
  readonly name: string | undefined;
  readonly file: string;
}

export function collectInput(text: string, before: readonly InputFlag[] = []): readonly InputFlag[] {
  const at = text.indexOf("=");
  const plain = at < 0 || fileExists(text);
  if (!plain && (at === 0 || at === text.length - 1)) throw new InvalidArgumentError("name=FILE is wanted.");
  return [...before, plain ? { name: undefined, file: text } : { name: text.slice(0, at), file: text.slice(at + 1) }];
}

/** `OUTPUT=VALUE`, or only a value. */
export interface OfOutput {
  readonly output: string | undefined;
  readonly value: string;
}

/** Names of outputs may hold "=", names of losses do not. */
export function collectLoss(text: string, before: readonly OfOutput[] = []): readonly OfOutput[] {
  const at = text.lastIndexOf("=");
  const name = text.slice(at + 1);
  if (at === 0 || !lossChoices.includes(name)) throw new InvalidArgumentError(`Allowed choices are ${lossChoices.join(", ")}.`);
  return [...before, { output: at < 0 ? undefined : text.slice(0, at), value: name }];
}

export function collectOfOutput(text: string, before: readonly OfOutput[] = []): readonly OfOutput[] {
  const { name, file } = collectInput(text)[0]!;
  return [...before, { output: name, value: file }];
}

/** Losses by name, and the loss that a model holds itself. */
export const lossChoices: readonly string[] = [...lossNames, modelLoss];

export function wholeNumberOfEitherSign(text: string): number {
  const value = /^-?[0-9]+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("a whole number is wanted.");
  return value;
}

export function regularExpression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new InvalidArgumentError("a regular expression is wanted.");
  }
}
