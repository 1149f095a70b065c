/** @file How a fuzz case may end: in a diagnostic or in a correct run. */
import { InputError } from "@systole/base";

/** `skipped`: legal, but larger than what the fuzzer wants to wait for. */
export type Outcome = { readonly kind: "diagnostic"; readonly code: string } | { readonly kind: "ran" } | { readonly kind: "skipped" } | { readonly kind: "bug"; readonly message: string };

/** Whatever is thrown on purpose is an InputError that renders; anything else is a bug, with its stack. */
export function ending(body: () => Outcome): Outcome {
  try {
    return body();
  } catch (error) {
    if (error instanceof InputError) return { kind: "diagnostic", code: error.diagnostic.code };
    return { kind: "bug", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** One of the two kinds of files that are mutated. */
export interface Fuzzed {
  /** The file of case number `index` of a seed. */
  readonly bytesOf: (seed: number, index: number) => Uint8Array;
  readonly outcomeOf: (bytes: Uint8Array, index: number) => Outcome;
}

export const caseKinds = ["images", "models"] as const;
export type CaseKind = (typeof caseKinds)[number];

/** A case that takes longer has found something: every step has a bound. */
export const longestCaseMilliseconds = 5000;
