/**
 * @file The text form of a program; `parse.ts` reads it back exactly. Declarations first, then graphs, routines and the main part; one
 * statement a line, such as `lambda = mul(lambda, 1.5)` or `copy trial -> iterates[stored]`. A reference is
 * `TENSOR[ROW by ELEMENTS]+OFFSET:[SHAPE]`, of which only the tensor must be there.
 */
import { formatType } from "@systole/base";
import { printElements, printGraph, quote, type PrintOptions } from "../text/print.ts";
import { formatName } from "../text/scanner.ts";
import { scalarOperations, type Program, type ProgramTensor, type Reference, type ScalarExpression, type Statement, type Step } from "./program.ts";

/** Words that a name must be quoted to be: those a statement or an operand may begin with. */
export const reservedWords: ReadonlySet<string> = new Set([...Object.keys(scalarOperations), "if", "loop", "while", "break", "apply", "call", "copy", "read", "write", "sum", "scalar", "inf", "nan"]);

/** Scalars in a line of their declaration. */
const scalarsPerLine = 12;

export function printProgram(program: Program, options: PrintOptions = {}): string {
  const { name: title, tensors, scalars, graphs, routines, main } = program;
  const lines = [
    `program ${quote(title)} {`,
    ...indented(tensors.map((tensor) => printTensor(tensor, options))),
    ...indented(chunks(scalars.map(name), scalarsPerLine).map((some) => `scalar ${some.join(", ")}`)),
    ...indented(graphs.flatMap((graph) => printGraph(graph, options).trimEnd().split("\n"))),
    ...indented(routines.flatMap((routine) => [`routine ${name(routine.name)} ${routine.owner} {`, ...indented(routine.body.flatMap(printStatement)), "}"])),
    ...indented(["main {", ...indented(main.map(printStep)), "}"]),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

const name = (text: string): string => formatName(text, reservedWords);
const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

function printTensor({ name: tensor, kind, type, rows, place, initial, parts }: ProgramTensor, options: PrintOptions): string {
  return [
    `${kind} ${name(tensor)} : ${formatType(type)}`,
    ...(rows === undefined ? [] : [`rows ${rows}`]),
    place,
    ...(parts === undefined ? [] : [`parts (${parts.map((part) => `${name(part.name)}+${part.offset}:[${part.shape.join(",")}]`).join(", ")})`]),
    ...(initial === undefined ? [] : [`= ${formatType(initial)} ${printElements(initial, options)}`]),
  ].join(" ");
}

function printReference({ tensor, row, rowElements, offset, shape }: Reference): string {
  return name(tensor) + (row === undefined ? "" : `[${name(row)}${rowElements === undefined ? "" : ` by ${rowElements}`}]`) + (offset === undefined ? "" : `+${offset}`) + (shape === undefined ? "" : `:[${shape.join(",")}]`);
}

function printExpression(expression: ScalarExpression): string {
  if (typeof expression === "number") return printNumber(expression);
  if (typeof expression === "string") return name(expression);
  return `${expression.op}(${expression.args.map(printExpression).join(", ")})`;
}

function printNumber(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (Math.abs(x) === Infinity) return x > 0 ? "inf" : "-inf";
  return Object.is(x, -0) ? "-0" : String(x);
}

function printBindings(bindings: Readonly<Record<string, Reference | { readonly scalar: string }>>): string {
  return Object.entries(bindings).map(([key, bound]) => `${name(key)}=${"scalar" in bound ? `scalar ${name(bound.scalar)}` : printReference(bound)}`).join(", ");
}

/** The lines of a statement. */
function printStatement(statement: Statement): string[] {
  switch (statement.kind) {
    case "set": return [`${name(statement.target)} = ${printExpression(statement.value)}`];
    case "apply": return [`apply ${quote(statement.graph)} (${printBindings(statement.inputs)}) -> (${printBindings(statement.outputs)})`];
    case "read": return [`${name(statement.target)} = read ${printReference(statement.from)}`];
    case "write": return [`write ${printReference(statement.to)} = ${printExpression(statement.value)}`];
    case "sum": return [`${name(statement.target)} = sum ${printReference(statement.of)}`];
    case "copy": return [`copy ${printReference(statement.from)} -> ${printReference(statement.to)}`];
    case "call": return [`call ${name(statement.routine)}`];
    case "if": {
      const otherwise = statement.else.length === 0 ? [] : ["} else {", ...indented(statement.else.flatMap(printStatement))];
      return [`if ${printExpression(statement.condition)} {`, ...indented(statement.then.flatMap(printStatement)), ...otherwise, "}"];
    }
    case "while": return [`${statement.name === undefined ? "" : `loop ${quote(statement.name)} `}while ${printExpression(statement.condition)} {`, ...indented(statement.body.flatMap(printStatement)), "}"];
    case "break": return ["break"];
  }
}

function printStep(step: Step): string {
  if ("from" in step) return `${step.kind} ${name(step.from)} -> ${name(step.to)}`;
  return `${step.kind} ${name(step.routine)}${step.kind === "converge" ? ` back ${step.back}` : ""}`;
}
