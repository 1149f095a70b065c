/** @file A short run of the fuzzer; `npm run fuzz` is the long one. */
import { expect, test } from "vitest";
import { fuzzedImages } from "./fuzz/images.ts";
import { fuzzedModels } from "./fuzz/models.ts";
import { longestCaseMilliseconds, type Fuzzed } from "./fuzz/outcome.ts";

const images = 1500;
const models = 500;
const seed = 1;

/** Counts of how cases ended; bugs, and cases that took too long, are listed in full. */
function fuzz(count: number, { bytesOf, outcomeOf }: Fuzzed): { readonly ended: ReadonlyMap<string, number>; readonly bugs: readonly string[] } {
  const ended = new Map<string, number>();
  const bugs: string[] = [];
  bytesOf(seed, 0); // The originals are made at the first case.
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    const outcome = outcomeOf(bytesOf(seed, index), index);
    const milliseconds = performance.now() - begun;
    if (outcome.kind === "bug") bugs.push(`case ${index} of seed ${seed}: ${outcome.message}`);
    if (milliseconds > longestCaseMilliseconds) bugs.push(`case ${index} of seed ${seed} took ${Math.round(milliseconds)} ms`);
    ended.set(outcome.kind, (ended.get(outcome.kind) ?? 0) + 1);
  }
  return { ended, bugs };
}

test(`${images} mutated images end in a diagnostic or a correct run`, () => {
  const { ended, bugs } = fuzz(images, fuzzedImages);
  expect(bugs).toEqual([]);
  // Both ways must be taken often: a fuzzer that is always refused at the door proves little.
  expect(Math.min(ended.get("ran") ?? 0, ended.get("diagnostic") ?? 0)).toBeGreaterThan(images / 20);
});

test(`${models} mutated models end in a diagnostic or a correct run`, () => {
  const { ended, bugs } = fuzz(models, fuzzedModels);
  expect(bugs).toEqual([]);
  expect(Math.min(ended.get("ran") ?? 0, ended.get("diagnostic") ?? 0)).toBeGreaterThan(models / 20);
});
