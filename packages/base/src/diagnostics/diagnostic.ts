/** @file What we tell a user about bad input: data with a code and a place, rendered once, at the edge. */
import { codes, type DiagnosticCode } from "./codes.ts";

/**
 * Where something is wrong. Every stage fills in what it knows and later stages append:
 * the ONNX node first, then the ir value, the kernel of the schedule, the address of the instruction.
 */
export interface Place {
  readonly file?: string;
  /** ONNX node name, operator, opset version and attribute, as the model spells them. */
  readonly node?: string;
  readonly operator?: string;
  readonly opset?: number;
  readonly attribute?: string;
  /** A value, input, output or tensor by name. */
  readonly value?: string;
  /** Kernel of the schedule. */
  readonly kernel?: string;
  /** Routine of the image and byte address of the instruction inside .text. */
  readonly routine?: string;
  readonly address?: number;
  /** Hardware loop indices at a fault, outermost first. */
  readonly loopIndices?: readonly number[];
  /** 1-based line in a text form. */
  readonly line?: number;
}

export interface Diagnostic {
  readonly code: DiagnosticCode;
  readonly message: string;
  readonly where: Place;
  /** What would be accepted, and other help; one sentence each. */
  readonly notes: readonly string[];
}

/** The input is at fault. The only exception that stages throw on purpose; anything else is our bug. */
export class InputError extends Error {
  readonly diagnostic: Diagnostic;
  constructor(diagnostic: Diagnostic) {
    super(renderDiagnostic(diagnostic));
    this.name = "InputError";
    this.diagnostic = diagnostic;
  }
}

/** Stop with a diagnostic: `fail("E0203", "shapes [2,3] and [2,4] do not match", { node })`. */
export function fail(code: DiagnosticCode, message: string, where: Place = {}, notes: readonly string[] = []): never {
  throw new InputError({ code, message, where, notes });
}

/** Runs `body`; a diagnostic that passes through gets `where` added behind what it already knows. */
export function withPlace<T>(where: Place, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError({ ...error.diagnostic, where: { ...where, ...error.diagnostic.where } });
  }
}

/** Our own mistake: a state that the verifier of an earlier stage should have excluded. */
export function internal(message: string): never {
  throw new Error(`internal: ${message}`);
}

/** `error E0102: message` / `  at node "conv1" (Conv, opset 11)` / `  note: ...`; no trailing newline. */
export function renderDiagnostic(d: Diagnostic): string {
  const place = renderPlace(d.where);
  return [
    `error ${d.code}: ${d.message}`,
    ...(place === "" ? [] : [`  at ${place}`]),
    ...d.notes.map((note) => `  note: ${note}`),
    ...(d.notes.length === 0 ? [`  help: ${codes[d.code].help}`] : []),
  ].join("\n");
}

export function renderPlace(where: Place): string {
  const operator = [where.operator, where.opset === undefined ? undefined : `opset ${where.opset}`].filter((x) => x !== undefined && x !== "");
  const parts = [
    where.file === undefined ? "" : where.line === undefined ? where.file : `${where.file}:${where.line}`,
    where.file === undefined && where.line !== undefined ? `line ${where.line}` : "",
    where.node === undefined ? "" : `node "${where.node}"${operator.length > 0 ? ` (${operator.join(", ")})` : ""}`,
    where.node === undefined && operator.length > 0 ? operator.join(", ") : "",
    where.attribute === undefined ? "" : `attribute "${where.attribute}"`,
    where.value === undefined ? "" : `value "${where.value}"`,
    where.kernel === undefined ? "" : `kernel "${where.kernel}"`,
    where.routine === undefined ? "" : `routine "${where.routine}"`,
    where.address === undefined ? "" : `instruction 0x${where.address.toString(16)}`,
    where.loopIndices === undefined || where.loopIndices.length === 0 ? "" : `loop indices [${where.loopIndices.join(", ")}]`,
  ];
  return parts.filter((part) => part !== "").join(", ");
}
