/** @file Text to instructions, the reverse of `disassemble.ts`. Mistakes are E0405 with the line. */
import { fail } from "@systole/base";
import type { Routine } from "./image.ts";
import { mnemonics, submoduleNames, type Instruction, type Mnemonic, type SubmoduleName } from "./instructions.ts";
import { immediateSource, registerPrefixes, sourcePrefixes } from "./disassemble.ts";
import { fieldRange, layouts, type FieldLayout } from "./layout.ts";

export function assembleInstruction(text: string, line = 1): Instruction {
  const [op = "", ...words] = text.trim().split(/\s+/);
  if (!isMnemonic(op)) return wrong(line, `unknown instruction "${op}"`, [`Instructions are ${mnemonics.join(", ")}.`]);
  const given = new Map<string, string>();
  for (const word of words) {
    const [, name, value] = /^([A-Za-z0-9]+)=(.+)$/.exec(word) ?? wrong(line, `"${word}" is not of the form field=value`);
    if (given.has(name!)) wrong(line, `field ${name} stands twice`);
    given.set(name!, value!);
  }
  const values: Record<string, unknown> = { op };
  for (const layout of layouts[op].fields) {
    const word = given.get(layout.name);
    given.delete(layout.name);
    if (word === undefined && layout.field.default === undefined) wrong(line, `${op} needs the field ${layout.name}: ${layout.field.doc}`);
    const value = word === undefined ? BigInt(layout.field.default ?? 0) : fieldValue(line, op, layout, word);
    values[layout.name] = layout.wide ? value : Number(value);
  }
  const [unknown] = given.keys();
  if (unknown !== undefined) wrong(line, `${op} has no field ${unknown}`, [`Its fields are ${layouts[op].fields.map((l) => l.name).join(", ")}.`]);
  return values as unknown as Instruction;
}

/** Routines as `disassembleRoutines` writes them: a `.routine "name" submodule [kernel=N]` line, then its instructions. Behind `;` stand comments. */
export function assembleRoutines(text: string): Routine[] {
  const routines: { readonly head: Omit<Routine, "instructions">; readonly instructions: Instruction[] }[] = [];
  text.split("\n").forEach((raw, index) => {
    const line = index + 1;
    if (raw.startsWith(".")) {
      routines.push({ head: routineHead(raw, line), instructions: [] });
      return;
    }
    const code = raw.split(";", 1)[0]!.trim();
    if (code === "") return;
    const routine = routines.at(-1) ?? wrong(line, "an instruction before the first .routine line");
    routine.instructions.push(assembleInstruction(code, line));
  });
  return routines.map(({ head, instructions }) => ({ ...head, instructions }));
}

function routineHead(raw: string, line: number): Omit<Routine, "instructions"> {
  const [, quoted, submodule, kernel] = /^\.routine ("(?:[^"\\]|\\.)*") ([a-z-]+)(?: kernel=(\d{1,9}))?\s*(?:;.*)?$/.exec(raw)
    ?? wrong(line, "not a routine line", ['Write .routine "name" submodule, and kernel=N if it is the code of a kernel.']);
  if (!isSubmodule(submodule!)) return wrong(line, `unknown submodule "${submodule}"`, [`Submodules are ${submoduleNames.join(", ")}.`]);
  return { name: unquote(quoted!, line), submodule, ...(kernel === undefined ? {} : { kernel: Number(kernel) }) };
}

function unquote(quoted: string, line: number): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return wrong(line, "the routine's name is not a JSON string");
  }
}

function fieldValue(line: number, op: string, layout: FieldLayout, word: string): bigint {
  const { field, name } = layout;
  const byName = field.names?.indexOf(word) ?? -1;
  if (byName >= 0) return BigInt(byName);
  if (field.names !== undefined) return wrong(line, `${op}.${name}: "${word}" is not one of ${field.names.join(", ")}`);
  const value = field.unit === "source" ? sourceValue(word) : parseInteger(stripPrefix(word, registerPrefixes[field.unit]));
  if (value === undefined) return wrong(line, `${op}.${name}: "${word}" is not a ${field.unit === "source" ? "source" : "number"}`);
  const { low, high } = fieldRange(layout);
  if (value < low || value > high) wrong(line, `${op}.${name}: ${word} does not fit; ${low} to ${high} do`);
  return value;
}

function sourceValue(word: string): bigint | undefined {
  if (word === "immediate") return BigInt(immediateSource);
  for (const { first, count, prefix } of sourcePrefixes) {
    const index = word.startsWith(prefix) ? parseInteger(word.slice(prefix.length)) : undefined;
    if (index !== undefined) return index >= 0 && index < count ? BigInt(first) + index : undefined;
  }
  return parseInteger(word);
}

function stripPrefix(word: string, prefix: string | undefined): string {
  return prefix !== undefined && word.startsWith(prefix) ? word.slice(prefix.length) : word;
}

function parseInteger(text: string): bigint | undefined {
  const [, sign, digits] = /^(-?)(0x[0-9a-fA-F]{1,32}|0b[01]{1,128}|\d{1,39})$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return sign === "-" ? -BigInt(digits) : BigInt(digits);
}

function isMnemonic(text: string): text is Mnemonic {
  return Object.hasOwn(layouts, text);
}

function isSubmodule(text: string): text is SubmoduleName {
  return (submoduleNames as readonly string[]).includes(text);
}

function wrong(line: number, message: string, notes: readonly string[] = []): never {
  return fail("E0405", message, { line }, notes);
}
