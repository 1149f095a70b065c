/** @file What ResNet-50 may cost: size of its text, the same instructions for every batch. Deterministic numbers, so they are asserted. */
import { compile, presetNames, presets } from "@systole/systole";
import { afterAll, describe, expect, test } from "vitest";
import { withBatch } from "./batch.ts";
import { haveData, readArchitecture, removeUnpacked } from "./zoo.ts";

const mostTextBytes = 96 * 1024;

describe.skipIf(!haveData)("ResNet-50", () => {
  afterAll(removeUnpacked);

  for (const name of presetNames) {
    test(`${name}: at most ${mostTextBytes} bytes of text, the same number of instructions for batch 2 to 64`, () => {
      const model = readArchitecture("resnet50");
      const counts = [1, 2, 4, 8, 16, 32, 64].map((batch) => {
        const { image } = compile(withBatch(model, batch), presets[name]);
        return image.routines.reduce((sum, routine) => sum + routine.instructions.length, 0);
      });
      expect(counts[0]! * 16).toBeLessThanOrEqual(mostTextBytes);
      expect(new Set(counts.slice(1)), `instructions by batch: ${counts.join(", ")}`).toHaveLength(1);
    });
  }
});
