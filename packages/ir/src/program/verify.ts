/**
 * @file The verifier of programs: names exist and are declared once, types of bindings fit, references stay inside their tensors, only what
 * may be written is written, routines call later ones, `break` stands in a loop. E0205, or E0203 where types do not fit.
 */
import { bytesOf, elementCount, fail, formatType, sameShape, type TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";
import { doneScalar, scalarOperations, walkStatements, type Program, type ProgramRoutine, type ProgramTensor, type Reference, type ScalarExpression, type Statement, type Step } from "./program.ts";
import { verifyGraph } from "../verify.ts";

export function verifyProgram(program: Program): Program {
  new Verifier(program).run();
  return program;
}

class Verifier {
  readonly #program: Program;
  readonly #tensors: ReadonlyMap<string, ProgramTensor>;
  readonly #graphs: ReadonlyMap<string, Graph>;
  readonly #scalars: ReadonlySet<string>;
  #where = "main";

  constructor(program: Program) {
    this.#program = program;
    this.#tensors = new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
    this.#graphs = new Map(program.graphs.map((graph) => [graph.name, graph]));
    this.#scalars = new Set(program.scalars);
  }

  run(): void {
    const { tensors, graphs, scalars, routines, main } = this.#program;
    this.#once("tensor", tensors.map(({ name }) => name));
    for (const written of [false, true]) {
      this.#once("name of the host", tensors.filter(({ kind }) => (kind === "output") === written).flatMap(({ name, parts }) => parts?.map((part) => part.name) ?? [name]));
    }
    this.#once("graph", graphs.map(({ name }) => name));
    this.#once("scalar", scalars);
    this.#once("routine", routines.map(({ name }) => name));
    for (const tensor of tensors) this.#tensor(tensor);
    for (const graph of graphs) verifyGraph(graph);
    routines.forEach((routine, index) => this.#routine(routine, index));
    this.#where = "main";
    main.forEach((step, index) => this.#step(step, index));
  }

  #step(step: Step, index: number): void {
    if ("from" in step) return this.#copy({ tensor: step.from }, { tensor: step.to });
    const { routine } = step;
    if (!this.#program.routines.some(({ name }) => name === routine)) this.#refuse(`no routine "${routine}"`);
    if (step.kind !== "converge") return;
    if (!(step.back >= 0 && step.back <= index)) this.#refuse(`a judgement goes back to an earlier step, not to ${step.back}`);
    if (!this.#scalars.has(doneScalar)) this.#refuse(`a judgement needs the scalar "${doneScalar}"`);
  }

  #refuse(message: string): never {
    return fail("E0205", `program "${this.#program.name}", ${this.#where}: ${message}`);
  }

  #once(what: string, names: readonly string[]): void {
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) this.#refuse(`${what} "${twice}" is declared twice`);
  }

  #tensor({ name, kind, type, rows, place, initial, parts }: ProgramTensor): void {
    const count = elementCount(type.shape) * (rows ?? 1);
    if (rows !== undefined && !(Number.isInteger(rows) && rows >= 1)) this.#refuse(`tensor "${name}" has ${rows} rows`);
    const own = kind === "state" || kind === "record";
    if (!own && place !== "external") this.#refuse(`${kind} "${name}" is for the host and so must be external`);
    if (kind === "constant" && initial === undefined) this.#refuse(`constant "${name}" has no content`);
    if (initial !== undefined && (own || kind === "input" || kind === "output")) this.#refuse(`${kind} "${name}" has content before the run`);
    if (initial !== undefined && (initial.dtype !== type.dtype || initial.data.length !== count)) this.#refuse(`"${name}" of ${formatType(type)} begins as ${formatType(initial)}`);
    for (const part of parts ?? []) if (part.offset < 0 || part.offset + elementCount(part.shape) > count) this.#refuse(`part "${part.name}" leaves "${name}"`);
  }

  #routine(routine: ProgramRoutine, index: number): void {
    this.#where = `routine "${routine.name}"`;
    for (const statement of walkStatements(routine.body)) this.#statement(statement, index);
    this.#breaks(routine.body);
  }

  /** `break` stands in a loop, and nothing behind it. */
  #breaks(statements: readonly Statement[], inLoop = false): void {
    statements.forEach((statement, at) => {
      if (statement.kind === "break" && !inLoop) this.#refuse("break outside of a loop");
      if (statement.kind === "break" && at !== statements.length - 1) this.#refuse("nothing can stand behind a break");
      if (statement.kind === "if") for (const branch of [statement.then, statement.else]) this.#breaks(branch, inLoop);
      if (statement.kind === "while") this.#breaks(statement.body, true);
    });
  }

  #statement(statement: Statement, index: number): void {
    switch (statement.kind) {
      case "set":
        this.#isScalar(statement.target);
        return this.#expression(statement.value);
      case "apply": return this.#apply(statement);
      case "read":
        this.#isScalar(statement.target);
        return this.#pinned(statement.from, false);
      case "write":
        this.#pinned(statement.to, true);
        return this.#expression(statement.value);
      case "sum":
        this.#isScalar(statement.target);
        if (this.#type(statement.of).shape.length !== 1) this.#refuse(`sum of "${statement.of.tensor}", which has not rank 1`);
        return this.#pinned(statement.of, false);
      case "copy": return this.#copy(statement.from, statement.to);
      case "call": {
        const callee = this.#program.routines.findIndex(({ name }) => name === statement.routine);
        if (callee <= index) this.#refuse(callee < 0 ? `no routine "${statement.routine}"` : `calls "${statement.routine}", which does not stand behind it`);
        return;
      }
      case "if":
      case "while": return this.#expression(statement.condition);
      case "break":
    }
  }

  #apply({ graph: name, inputs, outputs }: Extract<Statement, { kind: "apply" }>): void {
    const graph = this.#graphs.get(name) ?? this.#refuse(`no graph "${name}"`);
    for (const input of Object.keys(inputs)) if (!graph.inputs.some((one) => one.name === input)) this.#refuse(`graph "${name}" has no input "${input}"`);
    for (const { name: input, value } of graph.inputs) {
      const bound = inputs[input] ?? this.#refuse(`nothing is bound to input "${input}" of graph "${name}"`);
      if ("scalar" in bound) {
        this.#isScalar(bound.scalar);
        if (value.type.shape.length > 0 || (value.type.dtype !== "f32" && value.type.dtype !== "f64")) this.#unfit(`scalar "${bound.scalar}"`, value.type, `input "${input}" of "${name}"`);
      } else {
        this.#fits(bound, value.type, `input "${input}" of "${name}"`);
      }
    }
    for (const [output, reference] of Object.entries(outputs)) {
      const made = graph.outputs.find((one) => one.name === output) ?? this.#refuse(`graph "${name}" has no output "${output}"`);
      this.#fits(reference, made.value.type, `output "${output}" of "${name}"`);
      this.#written(reference);
    }
  }

  #fits(reference: Reference, wanted: TensorType, what: string): void {
    const type = this.#type(reference);
    if (type.dtype !== wanted.dtype || !sameShape(type.shape, wanted.shape)) this.#unfit(`"${reference.tensor}" as ${formatType(type)}`, wanted, what);
  }

  #unfit(given: string, wanted: TensorType, what: string): never {
    return fail("E0203", `program "${this.#program.name}", ${this.#where}: ${given} is bound to ${what} of ${formatType(wanted)}`);
  }

  #type(reference: Reference): TensorType {
    const tensor = this.#tensors.get(reference.tensor) ?? this.#refuse(`no tensor "${reference.tensor}"`);
    if (reference.row !== undefined) this.#isScalar(reference.row);
    const { rowElements } = reference;
    if (rowElements !== undefined && (reference.row === undefined || !(Number.isInteger(rowElements) && rowElements >= 1))) this.#refuse(`rows of ${rowElements} elements of "${tensor.name}"${reference.row === undefined ? ", but no row" : ""}`);
    if (rowElements === undefined && (reference.row === undefined) !== (tensor.rows === undefined)) this.#refuse(`a reference to "${tensor.name}" ${tensor.rows === undefined ? "cannot name" : "must name"} a row`);
    const type = { dtype: tensor.type.dtype, shape: reference.shape ?? tensor.type.shape };
    const [begin, end] = [reference.offset ?? 0, (reference.offset ?? 0) + elementCount(type.shape)];
    const count = elementCount(tensor.type.shape) * (rowElements === undefined ? 1 : tensor.rows ?? 1);
    if (begin < 0 || end > count) this.#refuse(`elements ${begin} to ${end - 1} of "${tensor.name}", which has ${count}`);
    return type;
  }

  #pinned(reference: Reference, writes: boolean): void {
    this.#type(reference);
    if (this.#tensors.get(reference.tensor)!.place !== "pinned") this.#refuse(`scalar statements need "${reference.tensor}" to be pinned`);
    if (writes) this.#written(reference);
  }

  #written({ tensor }: Reference): void {
    const { kind } = this.#tensors.get(tensor)!;
    if (kind === "input" || kind === "constant") this.#refuse(`${kind} "${tensor}" is written`);
  }

  #copy(from: Reference, to: Reference): void {
    const bytes = (reference: Reference): number => {
      const { dtype, shape } = this.#type(reference);
      return elementCount(shape) * bytesOf(dtype);
    };
    if (bytes(from) !== bytes(to)) this.#refuse(`"${from.tensor}" and "${to.tensor}" have ${bytes(from)} and ${bytes(to)} bytes`);
    this.#written(to);
  }

  #isScalar(name: string): void {
    if (!this.#scalars.has(name)) this.#refuse(`no scalar "${name}"`);
  }

  #expression(expression: ScalarExpression): void {
    if (typeof expression === "string") return this.#isScalar(expression);
    if (typeof expression === "number") return;
    if (scalarOperations[expression.op] !== expression.args.length) this.#refuse(`${expression.op} of ${expression.args.length} operands`);
    expression.args.forEach((argument) => this.#expression(argument));
  }
}
