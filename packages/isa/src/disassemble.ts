/** @file Instructions as text: `gemm x=a3 w=a5 out=a9 rows=2 contracted=1 start=0b0100`. Fields that have their default are left out. */
import type { Routine } from "./image.ts";
import type { Instruction } from "./instructions.ts";
import { layouts, type FieldLayout } from "./layout.ts";
import { float64OfBits } from "./values.ts";

/** A letter before the number says what kind of register it is. */
export const registerPrefixes: Readonly<Record<string, string>> = { generator: "a", buffer: "b", space: "p", scalar: "r", level: "i" };

/** Operands of a vop: first code and the word written before the index. */
export const sourcePrefixes = [
  { first: 0, count: 8, prefix: "stream" }, { first: 8, count: 8, prefix: "stage" }, { first: 16, count: 8, prefix: "coordinate" },
] as const;
export const immediateSource = 24;

export function disassembleInstruction(instruction: Instruction): string {
  const values = instruction as unknown as Readonly<Record<string, number | bigint>>;
  const fields = layouts[instruction.op].fields
    .filter((l) => l.field.default === undefined || BigInt(values[l.name]!) !== BigInt(l.field.default))
    .map((l) => `${l.name}=${fieldText(l, values[l.name]!)}`);
  return [instruction.op, ...fields].join(" ");
}

/** All routines; loop bodies are indented, each line ends in the address of its instruction. `assembleRoutines` reads it back. */
export function disassembleRoutines(routines: readonly Routine[]): string {
  let address = 0;
  const lines: string[] = [];
  for (const routine of routines) {
    lines.push(`.routine ${JSON.stringify(routine.name)} ${routine.submodule}${routine.kernel === undefined ? "" : ` kernel=${routine.kernel}`}`);
    let depth = 1;
    for (const instruction of routine.instructions) {
      if (instruction.op === "endloop") depth = Math.max(1, depth - 1);
      const text = `${"  ".repeat(depth + (instruction.op === "vop" ? 1 : 0))}${disassembleInstruction(instruction)}`;
      lines.push(`${text.padEnd(72)} ; ${address.toString(16).padStart(4, "0")}${remark(instruction)}`);
      if (instruction.op === "loop") depth = Math.min(depth + 1, 9);
      address += 16;
    }
    lines.push("");
  }
  return lines.join("\n");
}

function remark(instruction: Instruction): string {
  const bits = instruction.op === "sop" || instruction.op === "vop" ? BigInt(instruction.immediate) : 0n;
  // Integers below 2^32 are immediates of integer operations, not denormal floats.
  return bits < 1n << 32n ? "" : ` immediate ${float64OfBits(bits)}`;
}

function fieldText({ field, width }: FieldLayout, value: number | bigint): string {
  if (field.names !== undefined) return field.names[Number(value)] ?? String(value);
  if (field.unit === "level mask") return `0b${BigInt(value).toString(2).padStart(4, "0")}`;
  if (field.unit === "source") return sourceText(Number(value));
  if (field.unit.endsWith("bits")) return `0x${BigInt(value).toString(16)}`;
  const prefix = width <= 8 ? registerPrefixes[field.unit] : undefined;
  return `${prefix ?? ""}${value}`;
}

function sourceText(code: number): string {
  if (code === immediateSource) return "immediate";
  const kind = sourcePrefixes.find(({ first, count }) => code >= first && code < first + count);
  return kind === undefined ? String(code) : `${kind.prefix}${code - kind.first}`;
}
