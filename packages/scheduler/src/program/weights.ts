/** @file How often statements run, as far as the text of a program tells: a loop counts sixteen times, a call as often as its callers. */
import type { Program, Statement } from "@systole/ir";

/** Nobody knows how often a loop runs; what is inside matters more than what is outside. */
const loopWeight = 16;

/** A statement that stands in several places counts for all of them. */
export function statementWeights(program: Program): ReadonlyMap<Statement, number> {
  const routines = new Map(program.routines.map(({ name }) => [name, 0]));
  const statements = new Map<Statement, number>();
  const add = <K>(to: Map<K, number>, key: K, weight: number) => to.set(key, (to.get(key) ?? 0) + weight);
  const visit = (list: readonly Statement[], weight: number): void => {
    for (const statement of list) {
      add(statements, statement, weight);
      if (statement.kind === "call") add(routines, statement.routine, weight);
      if (statement.kind === "if") [statement.then, statement.else].forEach((branch) => visit(branch, weight));
      if (statement.kind === "while") visit(statement.body, weight * loopWeight);
    }
  };
  for (const step of program.main) if ("routine" in step) add(routines, step.routine, 1);
  // Routines call later ones only: when one is visited, all its callers have been.
  for (const { name, body } of program.routines) visit(body, routines.get(name)!);
  return statements;
}
