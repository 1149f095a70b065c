/** @file What happens to the result of conjugate gradients: going back through stored iterates, and along the step. */
import type { Reference, Statement } from "@systole/ir";
import { atMost, copy, leave, less, loopWhile, minus, not, plus, set, times, when, type ProgramBuilder } from "./language.ts";

export interface LineSearch {
  /** The loss must fall by this part of what its slope promises (Armijo); 0: not rise at all. */
  readonly slope: number;
  /** From one rate to the next. */
  readonly factor: number;
  /** Rates that are tried; then the step is rejected. */
  readonly tries: number;
}

/**
 * Routine `line-search`. `begin` stands for statements that set scalars `fSearch`, the loss to compare with, and `value`, the loss behind the whole step;
 * `evaluate` for those that set `value` to the loss behind `rate` of the step. Reads `slope`, the slope of the loss along the step. Leaves `rate`,
 * 0 where the step is rejected, and `tries`, how often it was reduced.
 */
export function lineSearch(builder: ProgramBuilder, { slope, factor, tries }: LineSearch, begin: readonly Statement[], evaluate: readonly Statement[]): void {
  builder.routine("line-search", "conjugate-gradient", [
    ...begin,
    set("rate", 1), set("tries", 0),
    loopWhile(not(atMost("value", plus("fSearch", times("rate", times(slope, "slope"))))), [
      set("tries", plus("tries", 1)),
      when(atMost(tries, "tries"), [set("rate", 0), leave]),
      set("rate", times("rate", factor)), ...evaluate,
    ], "line-search"),
  ]);
}

/**
 * Routine `backtrack`: from the last of `stored` iterates back, as long as the one before is no worse; that iterate to `result`, its loss to `fBack`.
 * `evaluate` stands for statements that set `value` to the loss behind an iterate.
 */
export function backtracking(builder: ProgramBuilder, iterates: string, result: Reference, evaluate: (iterate: Reference) => readonly Statement[]): void {
  const at = (row: string): Reference => ({ tensor: iterates, row });
  builder.routine("backtrack", "conjugate-gradient", [
    set("j", minus("stored", 1)), ...evaluate(at("j")), set("fBack", "value"),
    loopWhile(less(0, "j"), [
      set("before", minus("j", 1)), ...evaluate(at("before")),
      when(atMost("value", "fBack"), [set("j", "before"), set("fBack", "value")], [leave]),
    ], "backtrack"),
    copy(at("j"), result),
  ]);
}
