/** @file Instructions as text: `gemm x=a3 w=a5 out=a9 rows=2 contracted=1 start=0b0100`. Fields that have their default are left out. */
import type { Routine } from "./image.ts";
import { immediateRegister, scalarOperationNames, unaryScalarOperations, type Instruction, type InstructionOf } from "./instructions.ts";
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

/** All routines; loop bodies are indented, each line ends in the address of its instruction. `scalars` are names of registers, for remarks. `assembleRoutines` reads it back. */
export function disassembleRoutines(routines: readonly Routine[], scalars: readonly string[] = []): string {
  let address = 0;
  const lines: string[] = [];
  const steps = stepsOf(routines[0]);
  for (const routine of routines) {
    lines.push(`.routine ${JSON.stringify(routine.name)} ${routine.submodule}${routine.kernel === undefined ? "" : ` kernel=${routine.kernel}`}`);
    let depth = 1;
    for (const instruction of routine.instructions) {
      if (instruction.op === "endloop") depth = Math.max(1, depth - 1);
      const text = `${"  ".repeat(depth + (instruction.op === "vop" ? 1 : 0))}${disassembleInstruction(instruction)}`;
      lines.push(`${text.padEnd(72)} ; ${address.toString(16).padStart(4, "0")}${remark(instruction, scalars)}${steps.get(instruction) ?? ""}`);
      if (instruction.op === "loop") depth = Math.min(depth + 1, 9);
      address += 16;
    }
    lines.push("");
  }
  return lines.join("\n");
}

/** Opcodes of the steps S2 to S10 of the device text. */
const trainingSteps = ["io", "io", "assign", "io", "estimate", "transfer", "update", "io", "converge"];

/** What the instructions of a training program's main routine are called. */
function stepsOf(main: Routine | undefined): ReadonlyMap<Instruction, string> {
  const instructions = main?.instructions ?? [];
  if (instructions.length !== trainingSteps.length || instructions.some(({ op }, i) => op !== trainingSteps[i])) return new Map();
  return new Map(instructions.map((instruction, i) => [instruction, ` S${i + 2}`]));
}

function remark(instruction: Instruction, scalars: readonly string[]): string {
  if (instruction.op === "sop") return scalarRemark(instruction, scalars);
  if (instruction.op === "smov" || instruction.op === "br") return named(scalars, Number(instruction.register));
  const bits = instruction.op === "vop" ? BigInt(instruction.immediate) : 0n;
  // Integers below 2^32 are immediates of integer operations, not denormal floats.
  return bits < 1n << 32n ? "" : ` immediate ${float64OfBits(bits)}`;
}

function named(scalars: readonly string[], register: number): string {
  return scalars[register] === undefined ? "" : ` ${scalars[register]}`;
}

/** `lambda = mul lambda 1.5`; registers without a name as they are. */
function scalarRemark({ operation, target, a, b, immediate }: InstructionOf<"sop">, scalars: readonly string[]): string {
  const operand = (register: number | bigint): string => (Number(register) === immediateRegister ? String(float64OfBits(BigInt(immediate))) : scalars[Number(register)] ?? `r${register}`);
  const name = scalarOperationNames[Number(operation)] ?? "";
  return ` ${scalars[Number(target)] ?? `r${target}`} = ${[name, operand(a), ...(unaryScalarOperations.has(name) ? [] : [operand(b)])].join(" ")}`;
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
