/** @file Static checks of the instruction table: a mistake there would be a mistake everywhere. They run when `layout.ts` is loaded, and in a test. */
import type { InstructionSpec } from "./spec.ts";

const wordBits = 128;
const opcodeBits = 8;
/** A number holds integers up to 2^53; wider fields are bigints of exactly 64 bits. */
const numberBits = 48;

/** What is wrong with a table; empty if nothing is. */
export function tableProblems(table: Readonly<Record<string, InstructionSpec>>): readonly string[] {
  const problems: string[] = [];
  const opcodes = new Map<number, string>();
  for (const [op, spec] of Object.entries(table)) {
    const taken = opcodes.get(spec.opcode);
    if (taken !== undefined) problems.push(`${op} and ${taken} share opcode ${spec.opcode}`);
    opcodes.set(spec.opcode, op);
    if (!Number.isInteger(spec.opcode) || spec.opcode < 1 || spec.opcode >= 2 ** opcodeBits) problems.push(`${op}: opcode ${spec.opcode} is not in 1..255`);
    if (spec.doc === "" || spec.meaning.length === 0) problems.push(`${op}: no documentation`);
    problems.push(...fieldProblems(op, spec));
  }
  return problems;
}

function fieldProblems(op: string, spec: InstructionSpec): string[] {
  const problems: string[] = [];
  const owner = Array.from<string | undefined>({ length: wordBits });
  for (const [name, field] of Object.entries(spec.fields)) {
    const width = field.high - field.low + 1;
    if (name === "op") problems.push(`${op}: a field may not be called op`);
    if (field.low < opcodeBits || field.high >= wordBits || width < 1) problems.push(`${op}.${name}: bits ${field.high}..${field.low} do not lie in 127..8`);
    if (width > numberBits && (width !== 64 || field.signed)) problems.push(`${op}.${name}: ${width} bits; fields have up to ${numberBits} bits, or 64 unsigned`);
    if (field.doc === "") problems.push(`${op}.${name}: no documentation`);
    for (let bit = field.low; bit <= field.high; bit++) {
      if (owner[bit] !== undefined) problems.push(`${op}: bit ${bit} belongs to ${owner[bit]} and to ${name}`);
      owner[bit] = name;
    }
    problems.push(...nameProblems(`${op}.${name}`, width, field.names ?? []));
    const fallback = field.default;
    if (fallback !== undefined && (!Number.isInteger(fallback) || fallback < 0 || fallback >= 2 ** (width - (field.signed ? 1 : 0)))) problems.push(`${op}.${name}: default ${fallback} does not fit`);
  }
  return problems;
}

function nameProblems(place: string, width: number, names: readonly string[]): string[] {
  const problems: string[] = [];
  if (names.length > 2 ** width) problems.push(`${place}: ${names.length} names do not fit into ${width} bits`);
  if (new Set(names).size !== names.length) problems.push(`${place}: a name stands twice`);
  for (const name of names) if (!/^[a-z][a-z0-9-]*$/.test(name)) problems.push(`${place}: name "${name}" cannot be written in assembly`);
  return problems;
}
