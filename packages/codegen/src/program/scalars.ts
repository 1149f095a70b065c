/**
 * @file Scalars of a program as registers in the order of the schedule, intermediate results of expressions above. Constants are immediates of the instruction that uses them, so that a person who disassembles the image finds them there.
 */
import { fail, internal } from "@systole/base";
import type { ScalarExpression } from "@systole/ir";
import { bitsOfFloat64, immediateRegister, scalarOperationNames, type Instruction } from "@systole/isa";

/** An operand of a scalar instruction: a register, or a constant. */
type Operand = { readonly register: number } | { readonly constant: number };

export class ScalarRegisters {
  readonly #program: string;
  readonly #registers: ReadonlyMap<string, number>;

  constructor(program: string, scalars: readonly string[]) {
    this.#program = program;
    this.#registers = new Map(scalars.map((name, register) => [name, register]));
    if (this.count > immediateRegister) this.refuse(this.count);
  }

  get count(): number {
    return this.#registers.size;
  }

  of(scalar: string): number {
    return this.#registers.get(scalar) ?? internal(`no scalar ${scalar}`);
  }

  refuse(wanted: number): never {
    return fail("E0303", `program "${this.#program}" needs ${wanted} scalar registers, the scalar unit has ${immediateRegister}`, {}, [`${this.count} hold scalars, the others intermediate results.`]);
  }
}

/** Expressions as instructions, handed to `emit` in order. */
export class ScalarCode {
  readonly #registers: ScalarRegisters;
  readonly #emit: (instruction: Instruction) => void;
  #used: number;

  constructor(registers: ScalarRegisters, emit: (instruction: Instruction) => void) {
    this.#registers = registers;
    this.#emit = emit;
    this.#used = registers.count;
  }

  /** Intermediate registers taken by `use` are free again afterwards. */
  scoped(use: () => void): void {
    const before = this.#used;
    use();
    this.#used = before;
  }

  /** A register for an intermediate result. */
  take(): number {
    if (this.#used >= immediateRegister) this.#registers.refuse(this.#used + 1);
    return this.#used++;
  }

  assign(scalar: string, value: ScalarExpression): void {
    const target = this.#registers.of(scalar);
    this.scoped(() => {
      if (typeof value === "object") this.#operation(value, () => target);
      else this.#write("mov", target, [this.#operand(value)]);
    });
  }

  /** The value in a register: a scalar's own, or an intermediate one. */
  register(value: ScalarExpression): number {
    const operand = this.#operand(value);
    if ("register" in operand) return operand.register;
    return this.move(operand.constant);
  }

  /** A constant in an intermediate register. */
  move(constant: number): number {
    const target = this.take();
    this.#write("mov", target, [{ constant }]);
    return target;
  }

  write(operation: (typeof scalarOperationNames)[number], target: number, ...registers: readonly number[]): void {
    this.#write(operation, target, registers.map((register) => ({ register })));
  }

  #operand(value: ScalarExpression): Operand {
    if (typeof value === "number") return { constant: value };
    if (typeof value === "string") return { register: this.#registers.of(value) };
    return { register: this.#operation(value, () => this.take()) };
  }

  /** The target is asked for when operands have been read: it may be one of their registers. */
  #operation({ op, args }: Exclude<ScalarExpression, number | string>, targetOf: () => number): number {
    const before = this.#used;
    const operands = args.map((argument) => this.#operand(argument));
    // An instruction has one immediate.
    const [a, b] = operands;
    if (a !== undefined && b !== undefined && "constant" in a && "constant" in b && !Object.is(a.constant, b.constant)) operands[0] = { register: this.move(a.constant) };
    this.#used = before;
    const target = targetOf();
    this.#write(op, target, operands);
    return target;
  }

  #write(operation: (typeof scalarOperationNames)[number], target: number, operands: readonly Operand[]): void {
    const field = (operand: Operand | undefined) => (operand === undefined ? 0 : "register" in operand ? operand.register : immediateRegister);
    const constant = operands.find((operand) => "constant" in operand);
    this.#emit({
      op: "sop", operation: scalarOperationNames.indexOf(operation), target, a: field(operands[0]), b: field(operands[1]),
      immediate: constant !== undefined && "constant" in constant ? bitsOfFloat64(constant.constant) : 0n,
    });
  }
}
