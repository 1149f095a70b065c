/**
 * @file The scalar unit's registers: float64 values, and whether they are known. A run without values knows what follows
 * from immediates; what comes from memory is unknown.
 */
import { internal } from "@systole/base";
import { immediateRegister, limits, unaryScalarOperations, type ResolvedStep } from "@systole/isa";

export class ScalarUnit {
  readonly registers = new Float64Array(limits.scalarRegisters);
  readonly #known = new Uint8Array(limits.scalarRegisters).fill(1);

  execute(step: Extract<ResolvedStep, { kind: "scalar" }>): void {
    const read = (register: number): number => (register === immediateRegister ? step.immediate : this.registers[register]!);
    const known = (register: number): boolean => register === immediateRegister || this.#known[register] === 1;
    this.registers[step.target] = scalarResult(step.operation, read(step.a), read(step.b));
    this.#known[step.target] = known(step.a) && (unaryScalarOperations.has(step.operation) || known(step.b)) ? 1 : 0;
  }

  /** Registers 0 and following, all known from now on. */
  restore(values: Float64Array): void {
    this.registers.set(values);
    this.#known.fill(1);
  }

  set(register: number, value: number): void {
    this.registers[register] = value;
    this.#known[register] = 1;
  }

  forget(register: number): void {
    this.registers[register] = Number.NaN;
    this.#known[register] = 0;
  }

  knows(register: number): boolean {
    return this.#known[register] === 1;
  }
}

export function scalarResult(operation: string, a: number, b: number): number {
  switch (operation) {
    case "mov": return a;
    case "add": return a + b;
    case "sub": return a - b;
    case "mul": return a * b;
    case "div": return a / b;
    case "max": return Math.max(a, b);
    case "min": return Math.min(a, b);
    case "sqrt": return Math.sqrt(a);
    case "floor": return Math.floor(a);
    case "lt": return a < b ? 1 : 0;
    case "le": return a <= b ? 1 : 0;
    case "eq": return a === b ? 1 : 0;
    default: return internal(`scalar operation ${operation}`);
  }
}
