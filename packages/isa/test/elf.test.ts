import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InputError } from "@systole/base";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crc32, machineHash, presets, randomInstructions, readImage, repairChecksums, writeImage, type Image } from "@systole/isa";
import { codeOf } from "./helpers.ts";

const image: Image = {
  machineName: "edge-16",
  machineHash: machineHash(presets["edge-16"]),
  routines: [
    { name: "main", submodule: "control", instructions: [{ op: "call", routine: 1 }, { op: "halt" }] },
    { name: "conv 1 / größe", submodule: "basic", instructions: randomInstructions(3, 30), kernel: 0 },
    { name: "empty", submodule: "gauss-newton", instructions: [] },
  ],
  segments: [{ address: 0x10_0004, bytes: Uint8Array.of(1, 2, 3, 4, 5) }, { address: 0x400, bytes: new Uint8Array(64).fill(7) }],
  externalBytes: 3 * 2 ** 30,
  textAddress: 0x1000,
  symbols: [
    { name: "x", kind: "input", dtype: "f32", shape: [1, 28, 28], address: 0x2000 },
    { name: "losses", kind: "record", dtype: "f64", shape: [4], address: 0x3000 },
    { name: "weights 😀", kind: "parameter", dtype: "i64", shape: [], address: 0x10_0000 },
  ],
  debug: { model: "m", kernels: [{ name: "k", nodes: [{ node: "Conv_1", operator: "Conv", phase: "backward" }, { node: "Relu_1", operator: "Relu" }], macs: 12, predictedCycles: 1.5, lowerBoundBytes: 99, tiling: "8 x 8" }] },
};
const file = writeImage(image);

function run(tool: string, args: readonly string[]): { status: number | null; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "systole-"));
  try {
    const path = join(folder, "image.elf");
    writeFileSync(path, file);
    const result = spawnSync(tool, [...args, path], { encoding: "utf8" });
    return { status: result.error === undefined ? result.status : null, output: `${result.stdout}${result.stderr}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("image files", () => {
  it("write and read give the image back, and the same bytes again", () => {
    expect(readImage(file)).toEqual(image);
    expect(writeImage(readImage(file))).toEqual(file);
  });

  it("an image without constants, workspace, symbols and kernels round trips", () => {
    const small: Image = { ...image, routines: [image.routines[0]!], segments: [], externalBytes: 0x1020, symbols: [], debug: { model: "", kernels: [] } };
    expect(readImage(writeImage(small))).toEqual(small);
  });

  it("crc32 is the usual one", () => expect(crc32(Uint8Array.from("123456789", (c) => c.charCodeAt(0)))).toBe(0xcbf43926));

  it.each([["readelf", ["-a", "-W"]], ["objdump", ["-h"]]] as const)("%s reads it without a warning", (tool, args) => {
    const { status, output } = run(tool, args);
    if (status === null) return;
    expect(output).not.toMatch(/warning|error/i);
    expect(status).toBe(0);
    expect(output).toContain(".text.control.main");
  });

  it("any flipped bit is noticed", () => {
    fc.assert(fc.property(fc.nat(file.length * 8 - 1), (bit) => {
      const damaged = file.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      // Bytes between sections belong to none; the canonical form still fixes them.
      expect(["E0401", "E0404"]).toContain(codeOf(() => readImage(damaged)));
    }), { numRuns: 500 });
  });

  it("truncated files, other files and changed files with repaired checksums end in diagnostics", () => {
    for (const length of [0, 3, 63, 64, 500, file.length - 1]) expect(codeOf(() => readImage(file.subarray(0, length)))).toBe("E0401");
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
      const changed = file.slice();
      for (const [at, byte] of changes) changed[at] = byte;
      const repaired = repairChecksums(changed);
      try {
        expect(writeImage(readImage(repaired))).toEqual(repaired);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        expect(["E0401", "E0402", "E0404"]).toContain(error.diagnostic.code);
      }
    }), { numRuns: 2000 });
  });

  it("repairing changes nothing in a sound file", () => expect(repairChecksums(file)).toEqual(file));
});
