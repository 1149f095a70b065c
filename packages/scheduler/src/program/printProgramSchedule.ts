/** @file The schedule of a program as text: who stays in the data cache and why, external memory, routines, then each kernel as its loop nest. */
import { formatType } from "@systole/base";
import type { ScalarExpression } from "@systole/ir";
import { printKernel } from "../print.ts";
import type { PlacedTensor } from "../schedule.ts";
import type { Place, ProgramSchedule, ScheduledStatement, ScheduledStep } from "./programSchedule.ts";

export function printProgramSchedule(schedule: ProgramSchedule): string {
  const { workingBytes, cachedTemporaryBytes, externalBytes } = schedule;
  return [
    `schedule of program "${schedule.program}" for ${schedule.machine}`,
    "",
    "data cache:",
    `  ${address(0)} ${bytesColumn(workingBytes)}  buffers of kernels`,
    ...(cachedTemporaryBytes === 0 ? [] : [`  ${address(workingBytes)} ${bytesColumn(cachedTemporaryBytes)}  temporaries of graphs`]),
    ...tensorLines(schedule, "cache"),
    ...constantLines(schedule.residentConstants),
    "",
    `external memory: ${externalBytes} bytes`,
    ...tensorLines(schedule, "external"),
    ...constantLines(schedule.constants),
    "",
    "main:",
    ...schedule.main.map((step, i) => `  ${i}: ${printStep(schedule, step)}`),
    ...schedule.routines.flatMap(({ name, owner, body }) => ["", `routine ${name} (${owner}):`, ...printStatements(schedule, body, "  ")]),
    ...schedule.kernels.flatMap((tiled) => ["", ...printKernel(tiled)]),
    "",
  ].join("\n");
}

/** In order of address. The benefit is that of all bytes accessed, as often as loops suggest, over the bytes taken. */
function tensorLines(schedule: ProgramSchedule, memory: "cache" | "external"): string[] {
  return schedule.tensors.filter((placed) => placed.memory === memory).sort((a, b) => a.address - b.address).map(({ tensor, address: at, bytes, benefit }) =>
    `  ${address(at)} ${bytesColumn(bytes)}  ${tensor.kind.padEnd(9)} ${tensor.place.padEnd(8)} benefit ${benefit.toFixed(1).padStart(8)}  ${tensor.rows === undefined ? "" : `${tensor.rows} x `}${formatType(tensor.type)} ${tensor.name}`);
}

function constantLines(constants: readonly PlacedTensor[]): string[] {
  return constants.map((t) => `  ${address(t.address)} ${bytesColumn(t.bytes)}  constant of a graph ${formatType(t.type)} ${t.name}`);
}

function address(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function bytesColumn(bytes: number): string {
  return `${String(bytes).padStart(10)} bytes`;
}

function printStep({ routines }: ProgramSchedule, step: ScheduledStep): string {
  if (step.kind === "move") return `io ${step.from.tensor.name} -> ${step.to.tensor.name}`;
  return `${step.kind} ${routines[step.routine]!.name}${step.kind === "converge" ? `, back to ${step.back}` : ""}`;
}

function printStatements(schedule: ProgramSchedule, statements: readonly ScheduledStatement[], indent: string): string[] {
  const inner = (list: readonly ScheduledStatement[]) => printStatements(schedule, list, `${indent}  `);
  return statements.flatMap((s): string[] => {
    switch (s.kind) {
      case "set": return [`${indent}${s.target} = ${printExpression(s.value)}`];
      case "run": return [...s.scalars.map(({ scalar, to }) => `${indent}${printPlace(to)} = ${scalar}`), `${indent}run ${s.graph}: ${s.kernels.map((k) => schedule.kernels[k]!.kernel.name).join(" ")}`];
      case "read": return [`${indent}${s.target} = ${printPlace(s.from)}`];
      case "write": return [`${indent}${printPlace(s.to)} = ${printExpression(s.value)}`];
      case "sum": return [`${indent}${s.target} = sum of ${printPlace(s.of)}`];
      case "call": return [`${indent}call ${schedule.routines[s.routine]!.name}`];
      case "if": return [`${indent}if ${printExpression(s.condition)}:`, ...inner(s.then), ...(s.else.length === 0 ? [] : [`${indent}else:`, ...inner(s.else)])];
      case "while": return [`${indent}while ${printExpression(s.condition)}:`, ...inner(s.body)];
      case "break": return [`${indent}break`];
    }
  });
}

function printPlace({ tensor, address: at, row }: Place): string {
  return `${tensor}[${address(at)}${row === undefined ? "" : ` + ${row.strideBytes} * ${row.scalar}`}]`;
}

function printExpression(expression: ScalarExpression): string {
  return typeof expression === "object" ? `${expression.op}(${expression.args.map(printExpression).join(", ")})` : String(expression);
}
