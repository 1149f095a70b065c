/** @file How samples are cut: whatever is asked for, whole micro-batches come out, or a diagnostic. */
import { InputError } from "@systole/base";
import fc from "fast-check";
import { expect, test } from "vitest";
import { planBatches, type BatchOptions } from "../src/training/batches.ts";

const maybe = (of: fc.Arbitrary<number>): fc.Arbitrary<number | undefined> => fc.option(of, { nil: undefined });
/** Sizes are multiples of a number, more often than not, so that most requests can be met. */
const options: fc.Arbitrary<BatchOptions> = fc.constantFrom(1, 6, 8, 50).chain((unit) => {
  const size = fc.integer({ min: 1, max: 40 }).map((count) => count * unit);
  return fc.record({
    sampleCount: fc.integer({ min: 0, max: 3000 }), fixed: maybe(fc.constantFrom(unit, 7)), microBatch: maybe(fc.constantFrom(unit, 2 * unit)), gradientBatch: maybe(size), curvatureBatch: maybe(size), defaultBatch: maybe(size),
    curvaturePart: fc.constantFrom(1, 1 / 8, 1 / 10),
  });
}).map((given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as unknown as BatchOptions);

test("batches are whole micro-batches of samples that there are, as asked for", () => {
  let planned = 0;
  fc.assert(fc.property(options, (asked) => {
    try {
      const { sampleCount, microBatch, gradientBatch, curvatureBatch, notes } = planBatches(asked);
      planned++;
      for (const batch of [sampleCount, gradientBatch, curvatureBatch]) expect([batch % microBatch, batch > 0, batch <= sampleCount]).toEqual([0, true, true]);
      expect(microBatch).toBe(asked.fixed ?? asked.microBatch ?? microBatch);
      if (asked.gradientBatch !== undefined) expect(gradientBatch).toBe(asked.gradientBatch);
      if (asked.curvatureBatch !== undefined) expect(curvatureBatch).toBe(asked.curvatureBatch);
      expect(asked.sampleCount - sampleCount).toBeLessThan(microBatch);
      expect(notes.length).toBe(sampleCount === asked.sampleCount ? 0 : 1);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      expect(error.diagnostic.code).toBe(asked.sampleCount === 0 ? "E0602" : "E0603");
    }
  }), { numRuns: 2000 });
  expect(planned).toBeGreaterThan(500);
});

test.each([
  [{ sampleCount: 60_000, curvaturePart: 1 / 8 }, [60_000, 500, 60_000, 7500]], [{ sampleCount: 10_000, curvaturePart: 1 / 10 }, [10_000, 500, 10_000, 1000]], [{ sampleCount: 4, curvaturePart: 1 }, [4, 4, 4, 4]],
  [{ sampleCount: 1009, curvaturePart: 1 }, [768, 256, 768, 768]], [{ sampleCount: 100, fixed: 8, curvaturePart: 1 / 8 }, [96, 8, 96, 16]], [{ sampleCount: 60_000, gradientBatch: 3000, curvatureBatch: 1000, curvaturePart: 1 }, [60_000, 500, 3000, 1000]],
] as const)("%j", (asked, wanted) => {
  const { sampleCount, microBatch, gradientBatch, curvatureBatch } = planBatches(asked);
  expect([sampleCount, microBatch, gradientBatch, curvatureBatch]).toEqual(wanted);
});
