/** @file The committed module belongs to the committed sources. */
import { expect, test } from "vitest";
// @boundaries-ignore the script is no part of any package
import { sourceHash } from "../../../scripts/buildKernels.ts";
import { kernelsBase64, kernelsSourceHash } from "../src/generated/kernels.ts";
import { decodeBase64 } from "../src/kernels.ts";

test("generated/kernels.ts is fresh (npm run kernels)", () => {
  expect(kernelsSourceHash).toBe(sourceHash());
});

test("base64 decodes as the host does it", () => {
  expect(Buffer.from(decodeBase64(kernelsBase64)).equals(Buffer.from(kernelsBase64, "base64"))).toBe(true);
});
