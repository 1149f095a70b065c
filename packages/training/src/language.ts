/** @file Short names for writing programs: expressions, statements, and a builder that collects what they mention. */
import type { Reference, Program, ProgramRoutine, ProgramTensor, RoutineOwner, ScalarExpression, ScalarOperation, Statement, Step, Graph } from "@systole/ir";

const operation = (op: ScalarOperation) => (...args: readonly ScalarExpression[]): ScalarExpression => ({ op, args });

export const plus = operation("add");
export const minus = operation("sub");
export const times = operation("mul");
export const over = operation("div");
export const greater = operation("max");
export const smaller = operation("min");
export const root = operation("sqrt");
export const floor = operation("floor");
export const less = operation("lt");
export const atMost = operation("le");
export const equals = operation("eq");
/** 1 where the operand is 0. */
export const not = (a: ScalarExpression): ScalarExpression => equals(a, 0);
/** Of conditions, which are 0 or 1. */
export const both = (a: ScalarExpression, b: ScalarExpression): ScalarExpression => times(a, b);
export const either = (a: ScalarExpression, b: ScalarExpression): ScalarExpression => greater(a, b);
export const isNumber = (a: ScalarExpression): ScalarExpression => equals(a, a);
/** Neither infinite nor without value. */
export const isFinite = (a: ScalarExpression): ScalarExpression => equals(minus(a, a), 0);
export const ceiling = (a: ScalarExpression): ScalarExpression => minus(0, floor(minus(0, a)));

export const set = (target: string, value: ScalarExpression): Statement => ({ kind: "set", target, value });
export const call = (routine: string): Statement => ({ kind: "call", routine });
export const read = (target: string, from: Reference): Statement => ({ kind: "read", target, from });
export const write = (to: Reference, value: ScalarExpression): Statement => ({ kind: "write", to, value });
export const sum = (target: string, of: Reference): Statement => ({ kind: "sum", target, of });
export const copy = (from: Reference, to: Reference): Statement => ({ kind: "copy", from, to });
export const when = (condition: ScalarExpression, then: readonly Statement[], otherwise: readonly Statement[] = []): Statement => ({ kind: "if", condition, then, else: otherwise });
/** `name`: for loops whose length depends on values. */
export const loopWhile = (condition: ScalarExpression, body: readonly Statement[], name?: string): Statement => ({ kind: "while", condition, body, ...(name === undefined ? {} : { name }) });
export const leave: Statement = { kind: "break" };

export type Binding = Reference | { readonly scalar: string };

export class ProgramBuilder {
  readonly #tensors = new Map<string, ProgramTensor>();
  readonly #scalars = new Set<string>();
  readonly #graphs = new Map<string, Graph>();
  readonly #routines = new Map<string, ProgramRoutine>();

  tensor(tensor: ProgramTensor): Reference {
    this.#tensors.set(tensor.name, tensor);
    return { tensor: tensor.name };
  }

  /** A vector of float32 that stays on the device, in the data cache where it fits. */
  vector(name: string, elements: number): Reference {
    return this.tensor({ name, kind: "state", type: { dtype: "f32", shape: [elements] }, place: "cache" });
  }

  /** A graph that is made once, under its name. */
  graph(name: string, make: () => Graph): string {
    if (!this.#graphs.has(name)) this.#graphs.set(name, { ...make(), name });
    return name;
  }

  apply(graph: string, inputs: Readonly<Record<string, Binding>>, outputs: Readonly<Record<string, Reference>>): Statement {
    return { kind: "apply", graph, inputs, outputs };
  }

  routine(name: string, owner: RoutineOwner, body: readonly Statement[]): void {
    this.#routines.set(name, { name, owner, body });
  }

  /** Scalars are those that statements mention. `order` lists routines so that callers stand before those they call. */
  build(name: string, main: readonly Step[]): Program {
    const routines = callersFirst([...this.#routines.values()]);
    for (const { body } of routines) mentioned(body, this.#scalars);
    for (const step of main) if (step.kind === "converge") this.#scalars.add("done");
    return { name, tensors: [...this.#tensors.values()], scalars: [...this.#scalars], graphs: [...this.#graphs.values()], routines, main };
  }
}

function callersFirst(routines: readonly ProgramRoutine[]): ProgramRoutine[] {
  const placed = new Set<string>();
  const order: ProgramRoutine[] = [];
  const visit = (routine: ProgramRoutine): void => {
    if (placed.has(routine.name)) return;
    placed.add(routine.name);
    for (const name of callees(routine.body)) routines.filter((candidate) => candidate.name === name).forEach(visit);
    order.push(routine);
  };
  routines.forEach(visit);
  return order.reverse();
}

function callees(statements: readonly Statement[]): string[] {
  return statements.flatMap((statement) => {
    switch (statement.kind) {
      case "call": return [statement.routine];
      case "if": return [...callees(statement.then), ...callees(statement.else)];
      case "while": return callees(statement.body);
      default: return [];
    }
  });
}

function mentioned(statements: readonly Statement[], scalars: Set<string>): void {
  const expression = (e: ScalarExpression): void => {
    if (typeof e === "string") scalars.add(e);
    else if (typeof e === "object") e.args.forEach(expression);
  };
  const reference = (r: Binding): void => {
    const name = "scalar" in r ? r.scalar : r.row;
    if (name !== undefined) scalars.add(name);
  };
  for (const statement of statements) {
    switch (statement.kind) {
      case "set": scalars.add(statement.target); expression(statement.value); break;
      case "apply": [...Object.values(statement.inputs), ...Object.values(statement.outputs)].forEach(reference); break;
      case "read": scalars.add(statement.target); reference(statement.from); break;
      case "write": reference(statement.to); expression(statement.value); break;
      case "sum": scalars.add(statement.target); reference(statement.of); break;
      case "copy": reference(statement.from); reference(statement.to); break;
      case "if": expression(statement.condition); mentioned(statement.then, scalars); mentioned(statement.else, scalars); break;
      case "while": expression(statement.condition); mentioned(statement.body, scalars); break;
      case "call":
      case "break":
    }
  }
}
