/** @file How one instruction is described: its opcode, unit and fields. The table itself is `instructions.ts`. */

/** Parts of the device that instructions are dispatched to, each with its own in-order queue. */
export const unitNames = ["controller", "load", "store", "array", "vector", "scalar"] as const;
export type UnitName = (typeof unitNames)[number];

/** One field: bits low..high (inclusive) of the 128-bit word. */
export interface Field {
  readonly low: number;
  readonly high: number;
  readonly signed: boolean;
  /** Unit of the number or the name table it indexes; printed in docs/isa.md. */
  readonly unit: string;
  readonly doc: string;
  /** Names of the values, where the assembler writes names instead of numbers. */
  readonly names?: readonly string[];
  /** The value that the assembler leaves out. */
  readonly default?: number;
}

export type Fields = Readonly<Record<string, Field>>;

export interface InstructionSpec<F extends Fields = Fields> {
  readonly opcode: number;
  readonly unit: UnitName;
  readonly doc: string;
  /** Meaning as pseudo-code, one line each. */
  readonly meaning: readonly string[];
  readonly fields: F;
}

export const instruction = <const F extends Fields>(spec: InstructionSpec<F>): InstructionSpec<F> => spec;

/** Unsigned field of `width` bits from bit `low`. */
export function bits(low: number, width: number, unit: string, doc: string, options: { default?: number } = {}): Field {
  return { low, high: low + width - 1, signed: false, unit, doc, ...options };
}

export function signedBits(low: number, width: number, unit: string, doc: string, options: { default?: number } = {}): Field {
  return { low, high: low + width - 1, signed: true, unit, doc, ...options };
}

/** A field whose values have names. */
export function named(low: number, width: number, names: readonly string[], doc: string, options: { default?: number } = {}): Field {
  return { low, high: low + width - 1, signed: false, unit: "name", doc, names, ...options };
}
