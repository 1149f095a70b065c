/**
 * @file The reference interpreter of programs: statement by statement, graphs by the reference evaluator. Slow and obvious; the device is
 * compared with it bit for bit (precision `device`), and it is compared with published numbers (precision `float64`).
 */
import { allocate, bytesOf, elementCount, fail, internal, type NumericArray, type Tensor, type TensorType } from "@systole/base";
import { evaluate } from "../evaluate/evaluate.ts";
import type { Precision } from "../primitives/primitive.ts";
import { doneScalar, rowsOf, type Program, type ProgramTensor, type Reference, type ScalarExpression, type ScalarOperation, type Statement, type Step } from "./program.ts";

/** What may look on. Everything it is given is a copy. */
export interface InterpretObserver {
  /** Before each step of the main part. */
  readonly step?: (step: Step, state: ProgramState) => void;
  /** After the routine of a convergence judgement; `judgement` counts from 0. */
  readonly judgement?: (judgement: number, state: ProgramState) => void;
}

export interface InterpretOptions {
  readonly precision?: Precision;
  readonly observer?: InterpretObserver;
  /** More statements than that are an error; a bound against programs that never end. */
  readonly maxStatements?: number;
}

/** Runs a program to its end. `inputs` holds tensors of kind input and parameter, by the names of their parts where they have some. */
export function runProgram(program: Program, inputs: ReadonlyMap<string, Tensor>, options: InterpretOptions = {}): ProgramState {
  const state = new ProgramState(program, inputs, options.precision ?? "device");
  new Interpreter(program, state, options).run();
  return state;
}

const scalarFunctions: Readonly<Record<ScalarOperation, (a: number, b: number) => number>> = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b,
  max: Math.max, min: Math.min, sqrt: Math.sqrt, floor: Math.floor,
  lt: (a, b) => Number(a < b), le: (a, b) => Number(a <= b), eq: (a, b) => Number(a === b),
};

interface Storage {
  readonly tensor: ProgramTensor;
  /** All rows, one behind the other. */
  readonly data: NumericArray;
  /** Whether each element has been written. */
  readonly written: Uint8Array;
}

/** Tensors and scalars of a running program. */
export class ProgramState {
  readonly scalars = new Map<string, number>();
  readonly #storage = new Map<string, Storage>();
  readonly #precision: Precision;

  constructor(program: Program, inputs: ReadonlyMap<string, Tensor>, precision: Precision) {
    this.#precision = precision;
    for (const tensor of program.tensors) {
      const count = elementCount(tensor.type.shape) * (tensor.rows ?? 1);
      const storage = { tensor, data: this.#allocate(tensor.type, count), written: new Uint8Array(count) };
      this.#storage.set(tensor.name, storage);
      if (tensor.initial !== undefined) put(storage, 0, tensor.initial.data);
      this.#give(storage, inputs);
    }
  }

  #allocate(type: TensorType, count: number): NumericArray {
    return type.dtype === "f32" && this.#precision === "float64" ? new Float64Array(count) : allocate(type.dtype, count);
  }

  #give(storage: Storage, inputs: ReadonlyMap<string, Tensor>): void {
    const { tensor } = storage;
    if (tensor.kind !== "input" && tensor.kind !== "parameter") return;
    for (const part of tensor.parts ?? [{ name: tensor.name, offset: 0, shape: tensor.type.shape }]) {
      const given = inputs.get(part.name);
      if (given !== undefined) put(storage, part.offset, given.data);
      else if (tensor.initial === undefined) fail("E0601", `nothing is given for ${tensor.kind} "${part.name}"`, { value: part.name });
    }
  }

  storage(name: string): Storage {
    return this.#storage.get(name) ?? internal(`no tensor ${name}`);
  }

  scalar(name: string): number {
    return this.scalars.get(name) ?? fail("E0501", `scalar "${name}" is read before it was set`);
  }

  /** Where the elements of a reference begin. E0501 for a row that does not exist. */
  place(reference: Reference): { readonly storage: Storage; readonly begin: number; readonly count: number; readonly type: TensorType } {
    const storage = this.storage(reference.tensor);
    const { tensor } = storage;
    const { elements, count: rows } = rowsOf(tensor, reference);
    const row = reference.row === undefined ? 0 : Math.trunc(this.scalar(reference.row));
    if (!(row >= 0 && row < rows)) fail("E0501", `row ${row} of "${tensor.name}", which has ${rows}`, { value: tensor.name });
    const type = { dtype: tensor.type.dtype, shape: reference.shape ?? tensor.type.shape };
    return { storage, begin: row * elements + (reference.offset ?? 0), count: elementCount(type.shape), type };
  }

  /** A copy of what a reference stands for. E0501 where it was never written. */
  read(reference: Reference): Tensor {
    const { storage, begin, count, type } = this.place(reference);
    const hole = storage.written.subarray(begin, begin + count).indexOf(0);
    if (hole >= 0) fail("E0501", `"${storage.tensor.name}" is read before it was written (element ${begin + hole})`, { value: storage.tensor.name });
    return { ...type, data: storage.data.slice(begin, begin + count) };
  }

  write(reference: Reference, data: NumericArray): void {
    const { storage, begin, count } = this.place(reference);
    if (data.length !== count) internal(`${data.length} elements for ${count} of ${reference.tensor}`);
    put(storage, begin, data);
  }

  /** A tensor or a part of one, by the name the host knows. */
  tensor(program: Program, name: string): Tensor {
    for (const { name: whole, parts } of program.tensors) {
      if (whole === name && parts === undefined) return this.read({ tensor: whole });
      const part = parts?.find((candidate) => candidate.name === name);
      if (part !== undefined) return this.read({ tensor: whole, offset: part.offset, shape: part.shape });
    }
    return fail("E0601", `the program has no tensor "${name}"`, { value: name });
  }

  evaluate(expression: ScalarExpression): number {
    if (typeof expression === "number") return expression;
    if (typeof expression === "string") return this.scalar(expression);
    const [a, b] = expression.args.map((argument) => this.evaluate(argument));
    return scalarFunctions[expression.op](a!, b ?? 0);
  }

  /** A scalar as an input of a graph: float64 rounds to float32 on the way. */
  scalarTensor(name: string, type: TensorType): Tensor {
    const data = this.#allocate(type, 1);
    data[0] = this.scalar(name);
    return { ...type, data };
  }
}

class Interpreter {
  readonly #program: Program;
  readonly #state: ProgramState;
  readonly #options: InterpretOptions;
  #left: number;

  constructor(program: Program, state: ProgramState, options: InterpretOptions) {
    this.#program = program;
    this.#state = state;
    this.#options = options;
    this.#left = options.maxStatements ?? Infinity;
  }

  run(): void {
    const { main } = this.#program;
    let judgements = 0;
    for (let next = 0; next < main.length; next++) {
      const step = main[next]!;
      this.#options.observer?.step?.(step, this.#state);
      switch (step.kind) {
        case "load":
        case "store":
          this.#copy({ tensor: step.from }, { tensor: step.to });
          break;
        case "converge":
          this.#routine(step.routine);
          this.#options.observer?.judgement?.(judgements++, this.#state);
          if (this.#state.scalar(doneScalar) === 0) next = step.back - 1;
          break;
        default:
          this.#routine(step.routine);
      }
    }
  }

  #routine(name: string): void {
    const routine = this.#program.routines.find((candidate) => candidate.name === name) ?? internal(`no routine ${name}`);
    if (this.#list(routine.body)) internal(`break outside of a loop in ${name}`);
  }

  /** True where a `break` ended the list. */
  #list(statements: readonly Statement[]): boolean {
    for (const statement of statements) if (this.#statement(statement)) return true;
    return false;
  }

  #statement(statement: Statement): boolean {
    const state = this.#state;
    if (this.#left-- <= 0) fail("E0502", `the program runs more than ${this.#options.maxStatements} statements`);
    switch (statement.kind) {
      case "set":
        state.scalars.set(statement.target, state.evaluate(statement.value));
        return false;
      case "apply":
        this.#apply(statement);
        return false;
      case "read":
        state.scalars.set(statement.target, Number(state.read({ ...statement.from, shape: [] }).data[0]));
        return false;
      case "write":
        state.write({ ...statement.to, shape: [] }, [state.evaluate(statement.value)] as unknown as NumericArray);
        return false;
      case "sum":
        state.scalars.set(statement.target, (state.read(statement.of).data as Float64Array).reduce((total, x) => total + x, 0));
        return false;
      case "copy":
        this.#copy(statement.from, statement.to);
        return false;
      case "call":
        this.#routine(statement.routine);
        return false;
      case "if":
        return this.#list(state.evaluate(statement.condition) !== 0 ? statement.then : statement.else);
      case "while":
        while (state.evaluate(statement.condition) !== 0) {
          if (this.#left-- <= 0) fail("E0502", `the program runs more than ${this.#options.maxStatements} statements`);
          if (this.#list(statement.body)) break;
        }
        return false;
      case "break":
        return true;
    }
  }

  #apply({ graph: name, inputs, outputs }: Extract<Statement, { kind: "apply" }>): void {
    const state = this.#state;
    const graph = this.#program.graphs.find((candidate) => candidate.name === name) ?? internal(`no graph ${name}`);
    const given = new Map(graph.inputs.map(({ name: input, value }) => {
      const bound = inputs[input] ?? internal(`nothing is bound to input ${input} of ${name}`);
      return [input, "scalar" in bound ? state.scalarTensor(bound.scalar, value.type) : { ...state.read(bound), ...value.type }] as const;
    }));
    const results = evaluate(graph, given, this.#options.precision ?? "device");
    for (const [output, reference] of Object.entries(outputs)) state.write(reference, (results.get(output) ?? internal(`${name} has no output ${output}`)).data);
  }

  #copy(from: Reference, to: Reference): void {
    this.#state.write(to, this.#state.read(from).data);
  }
}

/** Numbers go in as elements: floats round, whole numbers truncate. */
function put(storage: Storage, begin: number, data: NumericArray): void {
  if (storage.data instanceof BigInt64Array && !(data instanceof BigInt64Array)) storage.data.set(Array.from(data as ArrayLike<number>, (x) => BigInt(Math.trunc(x))), begin);
  else (storage.data as Float64Array).set(data as Float64Array, begin);
  storage.written.fill(1, begin, begin + data.length);
}

/** Bytes of all rows. */
export function tensorBytes({ type, rows }: ProgramTensor): number {
  return elementCount(type.shape) * bytesOf(type.dtype) * (rows ?? 1);
}
