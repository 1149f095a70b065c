/** @file 128-bit words to instructions. Whatever is not an instruction of the table is refused (E0401). */
import { fail, type Place } from "@systole/base";
import type { Instruction } from "./instructions.ts";
import { limits } from "./machine.ts";
import { layoutByOpcode, type FieldLayout } from "./layout.ts";

/** `where.address` is where `bytes` lies in .text, for messages. */
export function decodeInstructions(bytes: Uint8Array, where: Place = {}): Instruction[] {
  const size = limits.instructionBytes;
  if (bytes.length % size !== 0) fail("E0401", `${bytes.length} bytes of instructions are not a multiple of ${size}`, where);
  const first = where.address ?? 0;
  return Array.from({ length: bytes.length / size }, (_, index) => decodeAt(bytes, index * size, { ...where, address: first + index * size }));
}

export function decodeInstruction(word: Uint8Array, where: Place = {}): Instruction {
  if (word.length !== limits.instructionBytes) fail("E0401", `an instruction has ${limits.instructionBytes} bytes, not ${word.length}`, where);
  return decodeAt(word, 0, where);
}

function decodeAt(bytes: Uint8Array, at: number, where: Place): Instruction {
  const opcode = bytes[at]!;
  const layout = layoutByOpcode[opcode] ?? fail("E0401", `unknown opcode 0x${opcode.toString(16).padStart(2, "0")}`, where);
  for (let k = 0; k < limits.instructionBytes; k++) {
    if ((bytes[at + k]! & ~layout.owned[k]!) !== 0) fail("E0401", `${layout.op}: bits that no field owns are set in byte ${k}`, where);
  }
  const values: Record<string, unknown> = { op: layout.op };
  for (const field of layout.fields) values[field.name] = readField(bytes, at, field, layout.op, where);
  // The loop filled in exactly the fields of this row of the table.
  return values as unknown as Instruction;
}

function readField(bytes: Uint8Array, at: number, layout: FieldLayout, op: string, where: Place): number | bigint {
  const { field, width } = layout;
  if (layout.wide) return (BigInt(readBits(bytes, at, field.low + 32, width - 32)) << 32n) | BigInt(readBits(bytes, at, field.low, 32));
  const raw = readBits(bytes, at, field.low, width);
  if (field.names !== undefined && raw >= field.names.length) fail("E0401", `${op}.${layout.name}: ${raw} has no name; there are ${field.names.length}`, where);
  return field.signed && raw >= 2 ** (width - 1) ? raw - 2 ** width : raw;
}

/** Up to 48 bits, exact in a number. */
function readBits(bytes: Uint8Array, at: number, low: number, width: number): number {
  let value = 0;
  for (let taken = 0; taken < width; ) {
    const bit = low + taken;
    const take = Math.min(8 - (bit & 7), width - taken);
    value += ((bytes[at + (bit >> 3)]! >> (bit & 7)) & ((1 << take) - 1)) * 2 ** taken;
    taken += take;
  }
  return value;
}
