/** @file The lint rules refuse what ARCHITECTURE.md says is not there: each line below is code that must not pass. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, copyFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "systole-fences-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const refused: readonly (readonly [file: string, code: string, rule: string])[] = [
  ["packages/base/src/a.ts", 'import type { Machine } from "@systole/isa";\nexport type A = Machine;', "no-restricted-imports"],
  ["packages/ir/src/a.ts", 'import type { Machine } from "@systole/isa";\nexport type A = Machine;', "no-restricted-imports"],
  ["packages/isa/src/a.ts", 'import type { Graph } from "@systole/ir";\nexport type A = Graph;', "no-restricted-imports"],
  ["packages/frontend-onnx/src/a.ts", 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;', "no-restricted-imports"],
  ["packages/scheduler/src/a.ts", 'import { encodeInstructions } from "@systole/isa";\nexport const a = encodeInstructions;', "no-restricted-imports"],
  ["packages/codegen/src/a.ts", 'import { evaluate } from "@systole/ir";\nexport const a = evaluate;', "no-restricted-imports"],
  ["packages/device/src/a.ts", 'import type { Graph } from "@systole/ir";\nexport type A = Graph;', "no-restricted-imports"],
  ["packages/device/src/b.ts", 'import type { Schedule } from "@systole/scheduler";\nexport type A = Schedule;', "no-restricted-imports"],
  ["packages/report/src/a.ts", 'import type { Run } from "@systole/device";\nexport type A = Run;', "no-restricted-imports"],
  ["packages/systole/src/a.ts", 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;', "no-restricted-imports"],
  ["packages/cli/src/a.ts", 'import { evaluate } from "@systole/ir";\nexport const a = evaluate;', "no-restricted-imports"],
  ["packages/device/src/c.ts", "export const a = Math.random();", "no-restricted-properties"],
  ["packages/device/src/d.ts", "export const a = Date.now();", "no-restricted-globals"],
  ["packages/scheduler/src/b.ts", 'console.log("x");\nexport {};', "no-console"],
  ["packages/cli/src/b.ts", "export default 1;", "no-default-export"],
  ["packages/cli/src/c.ts", "export const a = 1 as any;", "no-explicit-any"],
  ["packages/cli/src/d.ts", 'import { f } from "./e.ts";\nexport const d = (): number => f();', "no-cycle"],
];
const accepted: readonly (readonly [file: string, code: string])[] = [
  ["packages/codegen/src/b.ts", 'import type { Graph } from "@systole/ir";\nexport type A = Graph;'],
  ["packages/scheduler/src/c.ts", 'import type { Machine } from "@systole/isa";\nexport type A = Machine;'],
  ["packages/cli/src/e.ts", 'import { d } from "./d.ts";\nexport const f = (): number => d();'],
];

it("every fence holds", () => {
  copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
  for (const [file, code] of [...refused, ...accepted]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${code}\n`);
  }
  const oxlint = join(root, "node_modules/.bin/oxlint");
  const result = spawnSync(oxlint, ["--format=unix"], { cwd: folder, encoding: "utf8" });
  const lines = `${result.stdout}\n${result.stderr}`.split("\n");
  for (const [file, , rule] of refused) expect(lines.filter((line) => line.includes(file)).join("\n"), file).toContain(rule);
  for (const [file] of accepted.slice(0, 2)) expect(lines.filter((line) => line.includes(file)), file).toEqual([]);
});
