/** @file The instruction table prepared for coding: fields as lists, masks of owned bits, instructions by opcode. */
import { internal } from "@systole/base";
import { tableProblems } from "./check.ts";
import { instructions, mnemonics, type Mnemonic } from "./instructions.ts";
import { limits } from "./machine.ts";
import type { Field, InstructionSpec } from "./spec.ts";

export interface FieldLayout {
  readonly name: string;
  readonly field: Field;
  readonly width: number;
  /** Held as a bigint. */
  readonly wide: boolean;
}

export interface Layout {
  readonly op: Mnemonic;
  readonly spec: InstructionSpec;
  readonly fields: readonly FieldLayout[];
  /** One bit for every bit of the word that the opcode or a field owns. */
  readonly owned: Uint8Array;
}

const problems = tableProblems(instructions);
if (problems.length > 0) internal(problems.join("; "));

export const layouts: Readonly<Record<Mnemonic, Layout>> = Object.fromEntries(mnemonics.map((op) => [op, layoutOf(op)])) as Record<Mnemonic, Layout>;

/** 256 entries, by opcode. */
export const layoutByOpcode: readonly (Layout | undefined)[] = Array.from({ length: 256 }, (_, opcode) => Object.values(layouts).find((l) => l.spec.opcode === opcode));

/** Smallest and largest value of a field; named fields have as many values as names. */
export function fieldRange(l: FieldLayout): { readonly low: bigint; readonly high: bigint } {
  if (l.field.names !== undefined) return { low: 0n, high: BigInt(l.field.names.length - 1) };
  const span = 1n << BigInt(l.width);
  return l.field.signed ? { low: -span / 2n, high: span / 2n - 1n } : { low: 0n, high: span - 1n };
}

function layoutOf(op: Mnemonic): Layout {
  const spec: InstructionSpec = instructions[op];
  const owned = new Uint8Array(limits.instructionBytes);
  owned[0] = 0xff;
  const fields = Object.entries(spec.fields).map(([name, field]) => {
    for (let bit = field.low; bit <= field.high; bit++) owned[bit >> 3]! |= 1 << (bit & 7);
    const width = field.high - field.low + 1;
    return { name, field, width, wide: width > 48 };
  });
  return { op, spec, fields, owned };
}
