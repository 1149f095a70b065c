/** @file Instructions to 128-bit little-endian words, by the table. */
import { internal } from "@systole/base";
import type { Instruction, Mnemonic } from "./instructions.ts";
import { limits } from "./machine.ts";
import { fieldRange, layouts } from "./layout.ts";

export function encodeInstructions(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * limits.instructionBytes);
  instructions.forEach((instruction, index) => encodeInto(bytes, index * limits.instructionBytes, instruction));
  return bytes;
}

export function encodeInstruction(instruction: Instruction): Uint8Array {
  return encodeInstructions([instruction]);
}

/** Says which value its field cannot hold; undefined for an instruction that can be encoded. Compilers ask before they write an image. */
export function fieldProblem(instruction: Instruction): string | undefined {
  const values = instruction as unknown as Readonly<Record<string, number | bigint | undefined>>;
  for (const { name, low, high } of rangesOf(instruction.op)) {
    const value = values[name];
    const fits = value !== undefined && value >= low && value <= high && (typeof value === "bigint" || Number.isInteger(value));
    if (!fits) return `${instruction.op}.${name} = ${value} does not fit; ${low} to ${high} do`;
  }
  return undefined;
}

interface Range {
  readonly name: string;
  readonly low: bigint;
  readonly high: bigint;
}

const ranges = new Map<Mnemonic, readonly Range[]>();

function rangesOf(op: Mnemonic): readonly Range[] {
  const known = ranges.get(op) ?? layouts[op].fields.map((layout) => ({ name: layout.name, ...fieldRange(layout) }));
  ranges.set(op, known);
  return known;
}

/** A value that its field cannot hold is a mistake of whoever made the instruction: the assembler checks before. */
function encodeInto(bytes: Uint8Array, at: number, instruction: Instruction): void {
  const { fields, spec, op } = layouts[instruction.op];
  bytes[at] = spec.opcode;
  const values = instruction as unknown as Readonly<Record<string, number | bigint | undefined>>;
  for (const layout of fields) {
    const value = values[layout.name];
    if (value === undefined || (typeof value === "number" && !Number.isSafeInteger(value))) internal(`${op}.${layout.name} = ${value} is not an integer`);
    const exact = BigInt(value);
    const { low, high } = fieldRange(layout);
    if (exact < low || exact > high) internal(`${op}.${layout.name} = ${value} does not fit; ${low} to ${high} do`);
    let rest = BigInt.asUintN(layout.width, exact);
    for (let bit = layout.field.low; bit <= layout.field.high; ) {
      const take = Math.min(8 - (bit & 7), layout.field.high - bit + 1);
      bytes[at + (bit >> 3)]! |= Number(rest & ((1n << BigInt(take)) - 1n)) << (bit & 7);
      rest >>= BigInt(take);
      bit += take;
    }
  }
}
