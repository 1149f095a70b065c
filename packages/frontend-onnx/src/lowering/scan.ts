/** @file Emits a scan from a function that emits one step. */
import type { ByRole, Value } from "@systole/ir";
import type { Emitter } from "./emitter.ts";
import { shapeOf } from "./values.ts";

export interface ScanOperands extends ByRole<Value> {
  readonly length: number;
  /** From the last slice to the first. */
  readonly reverse: boolean;
}

export interface ScanResults {
  readonly carries: readonly Value[];
  readonly results: readonly Value[];
}

/** `step` gets an emitter of its own and, of each sequence, one slice; it uses nothing but what it is given. */
export function scan(e: Emitter, name: string, operands: ScanOperands, step: (e: Emitter, given: ByRole<Value>) => ScanResults): ScanResults {
  const { length, reverse, consts, carries, sequences } = operands;
  const inner = e.forBody();
  const declare = (letter: string, values: readonly Value[], slices: boolean): Value[] => {
    return values.map((value, i) => inner.input(`${letter}${i}`, slices ? { dtype: value.type.dtype, shape: shapeOf(value).slice(1) } : value.type));
  };
  const made = step(inner, { consts: declare("k", consts, false), carries: declare("s", carries, false), sequences: declare("x", sequences, true) });
  made.carries.forEach((value, i) => inner.output(`s${i}`, value));
  made.results.forEach((value, i) => inner.output(`y${i}`, value));
  const roles = { consts: consts.length, carries: carries.length };
  const all = e.applyAll("scan", [...consts, ...carries, ...sequences], { body: inner.build(name), length, reverse, ...roles });
  return { carries: all.slice(0, carries.length), results: all.slice(carries.length) };
}
