/** @file A process in which there is nothing but isa, base and the device. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../..");

/** What a script (TypeScript, in a folder that also holds these files) prints. */
export function printedAlone(script: string, files: Readonly<Record<string, Uint8Array>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "systole-alone-"));
  try {
    const modules = join(folder, "node_modules");
    for (const name of ["base", "isa", "device"]) {
      mkdirSync(join(modules, "@systole", name), { recursive: true });
      for (const part of ["src", "package.json"]) cpSync(join(root, "packages", name, part), join(modules, "@systole", name, part), { recursive: true });
    }
    symlinkSync(join(root, "node_modules/zod"), join(modules, "zod"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "run.ts"), script);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    const tsx = createRequire(import.meta.url).resolve("tsx/cli");
    return execFileSync(process.execPath, [tsx, "--conditions=@systole/source", "run.ts"], { cwd: folder, encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
