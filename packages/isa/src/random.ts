/** @file Random instructions from a seed: every field legal by the table, extremes more often than chance. For tests and the fuzzer. */
import { mnemonics, type Instruction, type Mnemonic } from "./instructions.ts";
import { fieldRange, layouts, type FieldLayout } from "./layout.ts";

/** 32 random bits at every call; the same seed gives the same bits (Marsaglia's xorshift32). */
export function randomBits(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
  // The first outputs of neighbouring seeds look alike.
  for (let k = 0; k < 8; k++) next();
  return next;
}

export function randomInstruction(next: () => number, op: Mnemonic = mnemonics[next() % mnemonics.length]!): Instruction {
  const values: Record<string, unknown> = { op };
  for (const layout of layouts[op].fields) values[layout.name] = randomValue(next, layout);
  return values as unknown as Instruction;
}

export function randomInstructions(seed: number, count: number): Instruction[] {
  const next = randomBits(seed);
  return Array.from({ length: count }, () => randomInstruction(next));
}

function randomValue(next: () => number, layout: FieldLayout): number | bigint {
  const { low, high } = fieldRange(layout);
  const kind = next() % 8;
  const any = (BigInt(next()) << 32n) | BigInt(next());
  const small = BigInt(next() % 5) + BigInt(layout.field.default ?? 0);
  const value = kind === 0 ? low : kind === 1 ? high : kind < 5 && small <= high ? small : low + (any % (high - low + 1n));
  return layout.wide ? value : Number(value);
}
