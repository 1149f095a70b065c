/** @file Reads the text form of `print.ts`. Names, types and ranges are checked by the verifier at the end. E0106 with the line. */
import type { Tensor } from "@systole/base";
import type { Graph } from "../graph.ts";
import { nextLine, readGraph, readText, type Line } from "../text/parse.ts";
import type { Scanner } from "../text/scanner.ts";
import { routineOwners, scalarOperations, type Program, type ProgramRoutine, type ProgramTensor, type Reference, type ScalarExpression, type ScalarOperation, type Statement, type Step, type TensorPart } from "./program.ts";
import { verifyProgram } from "./verify.ts";

export function parseProgram(text: string): Program {
  return verifyProgram(readText(text, "program", readProgram));
}

const tensorKinds = ["input", "parameter", "constant", "state", "record", "output"] as const;
const places = ["external", "cache", "pinned"] as const;
const copySteps = ["load", "store"] as const;
const routineSteps = ["assign", "estimate", "transfer", "update", "converge"] as const;
const operations = Object.keys(scalarOperations) as readonly ScalarOperation[];

function readProgram(s: Scanner, lines: Line[]): Program {
  const name = s.string();
  const tensors: ProgramTensor[] = [];
  const scalars: string[] = [];
  const graphs: Graph[] = [];
  const routines: ProgramRoutine[] = [];
  const main: Step[] = [];
  readBlock(s, lines, () => {
    const kind = tensorKinds.find((word) => s.keyword(word));
    if (kind !== undefined) tensors.push(readTensor(s, kind));
    else if (s.keyword("scalar")) do scalars.push(s.name()); while (s.tries(","));
    else if (s.keyword("graph")) graphs.push(readGraph(s, lines));
    else if (s.keyword("routine")) routines.push(readRoutine(s, lines));
    else if (s.keyword("main")) readBlock(s, lines, () => void main.push(readStep(s)));
    else s.wrong(`${tensorKinds.join(", ")}, scalar, graph, routine or main`);
    s.end();
  });
  return { name, tensors, scalars, graphs, routines, main };
}

/** From `{` to `}`; `line` reads one line, or the first of several. */
function readBlock(s: Scanner, lines: Line[], line: () => void): void {
  s.expect("{");
  s.end();
  for (;;) {
    nextLine(s, lines, `"}"`);
    if (s.tries("}")) return;
    line();
    s.end();
  }
}

function oneOf<T extends string>(s: Scanner, words: readonly T[]): T {
  return words.find((word) => s.keyword(word)) ?? s.wrong(words.join(", "));
}

function readTensor(s: Scanner, kind: ProgramTensor["kind"]): ProgramTensor {
  const name = s.name();
  s.expect(":");
  const type = s.type();
  const rows = s.keyword("rows") ? { rows: s.whole() } : {};
  const place = oneOf(s, places);
  const parts = s.keyword("parts") ? { parts: readParts(s) } : {};
  const initial = s.tries("=") ? { initial: readInitial(s) } : {};
  return { name, kind, type, ...rows, place, ...initial, ...parts };
}

function readParts(s: Scanner): TensorPart[] {
  s.expect("(");
  return s.list(")", () => {
    const name = s.name();
    s.expect("+");
    const offset = s.whole();
    s.expect(":");
    return { name, offset, shape: s.shape() };
  });
}

function readInitial(s: Scanner): Tensor {
  return s.elements(s.type());
}

function readRoutine(s: Scanner, lines: Line[]): ProgramRoutine {
  const name = s.name();
  return { name, owner: oneOf(s, routineOwners), body: readStatements(s, lines) };
}

function readStatements(s: Scanner, lines: Line[]): Statement[] {
  const statements: Statement[] = [];
  readBlock(s, lines, () => void statements.push(readStatement(s, lines)));
  return statements;
}

function readStatement(s: Scanner, lines: Line[]): Statement {
  if (s.keyword("break")) return { kind: "break" };
  if (s.keyword("call")) return { kind: "call", routine: s.name() };
  if (s.keyword("apply")) return readApply(s);
  if (s.keyword("copy")) return { kind: "copy", ...readArrow(s, readReference) };
  if (s.keyword("if")) {
    const condition = readExpression(s);
    const then = readStatements(s, lines);
    return { kind: "if", condition, then, else: s.keyword("else") ? readStatements(s, lines) : [] };
  }
  if (s.keyword("loop")) {
    const name = s.string();
    if (!s.keyword("while")) s.wrong('"while"');
    return { kind: "while", name, condition: readExpression(s), body: readStatements(s, lines) };
  }
  if (s.keyword("while")) return { kind: "while", condition: readExpression(s), body: readStatements(s, lines) };
  if (s.keyword("write")) {
    const to = readReference(s);
    s.expect("=");
    return { kind: "write", to, value: readExpression(s) };
  }
  const target = s.name();
  s.expect("=");
  if (s.keyword("read")) return { kind: "read", target, from: readReference(s) };
  if (s.keyword("sum")) return { kind: "sum", target, of: readReference(s) };
  return { kind: "set", target, value: readExpression(s) };
}

function readArrow<T>(s: Scanner, side: (s: Scanner) => T): { readonly from: T; readonly to: T } {
  const from = side(s);
  s.expect("->");
  return { from, to: side(s) };
}

function readApply(s: Scanner): Statement {
  const graph = s.string();
  const inputs = readBindings(s, () => (s.keyword("scalar") ? { scalar: s.name() } : readReference(s)));
  s.expect("->");
  return { kind: "apply", graph, inputs, outputs: readBindings(s, () => readReference(s)) };
}

function readBindings<T>(s: Scanner, bound: () => T): Record<string, T> {
  s.expect("(");
  const bindings = new Map<string, T>();
  s.list(")", () => {
    const key = s.name();
    if (bindings.has(key)) s.wrong(`another name than ${JSON.stringify(key)}, which is bound already,`);
    s.expect("=");
    bindings.set(key, bound());
  });
  return Object.fromEntries(bindings);
}

function readReference(s: Scanner): Reference {
  const tensor = s.name();
  const row = s.tries("[") ? readRow(s) : {};
  const offset = s.tries("+") ? { offset: s.whole() } : {};
  const shape = s.tries(":") ? { shape: s.shape() } : {};
  return { tensor, ...row, ...offset, ...shape };
}

function readRow(s: Scanner): Pick<Reference, "row" | "rowElements"> {
  const row = s.name();
  const size = s.keyword("by") ? { rowElements: s.whole() } : {};
  s.expect("]");
  return { row, ...size };
}

function readExpression(s: Scanner): ScalarExpression {
  const number = s.triesNumber();
  if (number !== undefined) return number;
  const op = operations.find((word) => s.keyword(word));
  if (op === undefined) return s.name();
  s.expect("(");
  return { op, args: s.list(")", () => readExpression(s)) };
}

function readStep(s: Scanner): Step {
  const copy = copySteps.find((word) => s.keyword(word));
  if (copy !== undefined) return { kind: copy, ...readArrow(s, () => s.name()) };
  const kind = oneOf(s, routineSteps);
  const routine = s.name();
  if (kind !== "converge") return { kind, routine };
  if (!s.keyword("back")) s.wrong(`"back" and the number of a step`);
  return { kind, routine, back: s.whole() };
}
