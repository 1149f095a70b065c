/**
 * @file One routine of a program as instructions. Branches go forward over what does not run, or back to the head of a loop. Elements of
 * pinned tensors are reached by generators that live until the next call or branch target: the controller forgets its registers there.
 */
import { bytesOf, fail, internal } from "@systole/base";
import { limits, type BranchDebug, type Instruction } from "@systole/isa";
import type { Place, PlacedProgramTensor, ScheduledStatement } from "@systole/scheduler";
import { Registers } from "../registers.ts";
import { ScalarCode, type ScalarRegisters } from "./scalars.ts";

export interface RoutineContext {
  readonly scalars: ScalarRegisters;
  readonly tensor: (name: string) => PlacedProgramTensor;
  /** Bytes of the data cache, from address 0, that no tensor lies in. */
  readonly workingBytes: number;
  readonly routineNumber: (routine: number) => number;
  readonly kernelNumber: (kernel: number) => number;
}

export interface RoutineCode {
  readonly instructions: Instruction[];
  readonly branches: readonly Omit<BranchDebug, "routine">[];
}

export function routineCode(name: string, body: readonly ScheduledStatement[], context: RoutineContext): RoutineCode {
  const writer = new RoutineWriter(name, context);
  writer.list(body, undefined);
  writer.emit({ op: "ret" });
  return { instructions: writer.code(), branches: writer.branches() };
}

/** A loop as its exits see it. */
interface OpenLoop {
  readonly end: Label;
  readonly name: string | undefined;
  readonly head: number;
  /** Indices of the branches that leave it, or lead past the break that does. */
  readonly exits: { readonly instruction: number; readonly taken: boolean }[];
}

/** A place in the code that branches go to; known when it is reached. */
interface Label {
  at: number | undefined;
}

class RoutineWriter {
  readonly #name: string;
  readonly #context: RoutineContext;
  readonly #scalars: ScalarCode;
  readonly #code: (Instruction | { readonly register: number; readonly when: number; readonly to: Label })[] = [];
  #registers: Registers;
  #space: number | undefined;
  readonly #buffers = new Map<string, number>();
  readonly #elements = new Map<string, number>();
  readonly #branches: Omit<BranchDebug, "routine">[] = [];

  constructor(name: string, context: RoutineContext) {
    this.#name = name;
    this.#context = context;
    this.#scalars = new ScalarCode(context.scalars, (instruction) => this.emit(instruction));
    this.#registers = new Registers(name);
  }

  emit(instruction: Instruction): void {
    this.#code.push(instruction);
  }

  code(): Instruction[] {
    return this.#code.map((one) => ("to" in one ? { op: "br", register: one.register, when: one.when, target: one.to.at ?? internal(`a branch of ${this.#name} goes nowhere`) } : one));
  }

  branches(): readonly Omit<BranchDebug, "routine">[] {
    return this.#branches.toSorted((a, b) => a.instruction - b.instruction);
  }

  /** `loop`: the innermost one around. */
  list(statements: readonly ScheduledStatement[], loop: OpenLoop | undefined): void {
    for (const statement of statements) this.#scalars.scoped(() => this.#statement(statement, loop));
  }

  #statement(s: ScheduledStatement, loop: OpenLoop | undefined): void {
    switch (s.kind) {
      case "set": return this.#scalars.assign(s.target, s.value);
      case "run":
        for (const { scalar, to } of s.scalars) this.#move(this.#context.scalars.of(scalar), to, "to-memory");
        return s.kernels.forEach((kernel) => this.#call(this.#context.kernelNumber(kernel)));
      case "read": return this.#move(this.#context.scalars.of(s.target), s.from, "to-register");
      case "write": return this.#move(this.#scalars.register(s.value), s.to, "to-memory");
      case "sum": return this.#sum(s.target, s.of);
      case "call": return this.#call(this.#context.routineNumber(s.routine));
      case "if": return this.#if(s, loop);
      case "while": return this.#while(s);
      case "break": return this.#jump(loop?.end ?? internal("break outside of a loop"));
    }
  }

  #if({ condition, then, else: otherwise }: Extract<ScheduledStatement, { kind: "if" }>, loop: OpenLoop | undefined): void {
    const [elsePart, after] = [newLabel(), newLabel()];
    this.#scalars.scoped(() => this.#branch(this.#scalars.register(condition), 0, elsePart));
    const instruction = this.#code.length - 1;
    const [leaves, stays] = [then, otherwise].map((arm) => arm.at(-1)?.kind === "break");
    // The branch is taken where the condition is 0. What has no other arm is an exception as a rule, else the longer arm is the usual one.
    if (loop !== undefined && (leaves || stays)) loop.exits.push({ instruction, taken: stays! });
    else this.#branches.push({ instruction, taken: otherwise.length === 0 || lengthOf(otherwise) > lengthOf(then) });
    this.list(then, loop);
    if (otherwise.length > 0 && then.at(-1)?.kind !== "break") this.#jump(after);
    this.#mark(elsePart);
    this.list(otherwise, loop);
    if (otherwise.length > 0) this.#mark(after);
  }

  #while({ name, condition, body }: Extract<ScheduledStatement, { kind: "while" }>): void {
    const [head, after] = [newLabel(), newLabel()];
    this.#mark(head);
    const loop: OpenLoop = { end: after, name, head: this.#code.length, exits: [] };
    const endless = typeof condition === "number" && condition !== 0;
    if (!endless) {
      this.#scalars.scoped(() => this.#branch(this.#scalars.register(condition), 0, after));
      loop.exits.push({ instruction: this.#code.length - 1, taken: true });
    }
    this.list(body, loop);
    if (name !== undefined) loop.exits.forEach((exit, i) => this.#branches.push({ ...exit, loop: { name, head: loop.head, last: i > 0 && i === loop.exits.length - 1 } }));
    if (body.at(-1)?.kind !== "break") this.#jump(head);
    this.#mark(after);
  }

  #branch(register: number, when: 0 | 1, to: Label): void {
    this.#code.push({ register, when, to });
  }

  /** A branch on a register that is 1. */
  #jump(to: Label): void {
    this.#scalars.scoped(() => this.#branch(this.#scalars.move(1), 1, to));
  }

  #mark(label: Label): void {
    label.at = this.#code.length;
    this.#forget();
  }

  #call(routine: number): void {
    this.emit({ op: "call", routine });
    this.#forget();
  }

  // ---- elements of pinned tensors -----------------------------------------------------------------------------------

  #forget(): void {
    this.#registers = new Registers(this.#name);
    this.#space = undefined;
    this.#buffers.clear();
    this.#elements.clear();
  }

  #move(register: number, place: Place, direction: "to-register" | "to-memory"): void {
    this.emit({ op: "smov", register, generator: this.#element(place), direction: direction === "to-memory" ? 1 : 0 });
  }

  #element(place: Place): number {
    const key = JSON.stringify([place.address, place.dtype, place.row ?? null]);
    const known = this.#elements.get(key);
    if (known !== undefined) return known;
    // The registers are as many as the controller has: take them anew when they are used up.
    if (this.#elements.size >= limits.generators || this.#buffers.size >= limits.buffers) this.#forget();
    const { buffer, base } = this.#tensorBuffer(place);
    const generator = this.#configure(() => this.#registers.generator({ space: this.#point(), buffer, dtype: place.dtype, base, strides: [], ...this.#row(place) }));
    this.#elements.set(key, generator);
    return generator;
  }

  #tensorBuffer(place: Place): { readonly buffer: number; readonly base: number } {
    const { memory, address, bytes } = this.#context.tensor(place.tensor);
    const known = this.#buffers.get(place.tensor);
    const buffer = known ?? this.#configure(() => this.#registers.buffer(memory, address, bytes, 1));
    this.#buffers.set(place.tensor, buffer);
    return { buffer, base: place.address - address };
  }

  #row({ row }: Place) {
    return row === undefined ? {} : { row: { register: this.#context.scalars.of(row.scalar), strideBytes: row.strideBytes, count: row.count } };
  }

  /** A space of one point. */
  #point(): number {
    return (this.#space ??= this.#registers.space([]));
  }

  /** What `use` puts into the configuration goes into the code. */
  #configure(use: () => number): number {
    const { configuration } = this.#registers;
    const before = configuration.length;
    const id = use();
    configuration.slice(before).forEach((instruction) => this.emit(instruction));
    return id;
  }

  /** A hardware loop over elements, each in a slot of its own: the element of an smov moves from slot to slot only. */
  #sum(target: string, of: Place): void {
    const width = bytesOf(of.dtype);
    const count = of.bytes / width;
    const total = this.#scalars.move(0);
    if (count > 0) {
      const address = of.row === undefined ? of.address : this.#fetchRow(of, count, width);
      this.#forget();
      const buffer = this.#configure(() => this.#registers.buffer("cache", address, width, count));
      const generator = this.#configure(() => this.#registers.generator({ space: this.#point(), buffer, dtype: of.dtype, strides: [], ring: { ring: [1], dependent: [0] } }));
      const element = this.#scalars.take();
      this.emit({ op: "loop", level: 0, count });
      this.emit({ op: "smov", register: element, generator, direction: 0 });
      this.#scalars.write("add", total, total, element);
      this.emit({ op: "endloop", level: 0 });
      // The buffer of elements lies over that of the tensor.
      this.#forget();
    }
    this.#scalars.write("mov", this.#context.scalars.of(target), total);
  }

  /** Copies the row to the start of the working part; returns where that is. */
  #fetchRow(of: Place, count: number, width: number): number {
    if (of.bytes > this.#context.workingBytes) fail("E0302", `sum of "${of.tensor}" in routine "${this.#name}": required ${of.bytes}, available ${this.#context.workingBytes}, missing ${of.bytes - this.#context.workingBytes} bytes`);
    const { buffer, base } = this.#tensorBuffer(of);
    const space = this.#configure(() => this.#registers.space([{ extent: count, steps: [] }]));
    const source = this.#configure(() => this.#registers.generator({ space, buffer, dtype: of.dtype, absolute: true, base, strides: [width], ...this.#row(of) }));
    const copy = this.#configure(() => this.#registers.buffer("cache", 0, of.bytes, 1));
    const to = this.#configure(() => this.#registers.generator({ space, buffer: copy, dtype: of.dtype, strides: [width] }));
    this.emit({ op: "ld", target: to, source, fill: 0, first: 0, last: 0 });
    return 0;
  }
}

function newLabel(): Label {
  return { at: undefined };
}

/** Statements in all arms and bodies. */
function lengthOf(statements: readonly ScheduledStatement[]): number {
  return statements.reduce((sum, s) => sum + 1 + (s.kind === "if" ? lengthOf(s.then) + lengthOf(s.else) : s.kind === "while" ? lengthOf(s.body) : 0), 0);
}
