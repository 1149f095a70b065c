/** @file The cases of an ONNX backend suite: folders with a model and data sets, found below a folder, or in an archive of one. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fail } from "@systole/systole";

export interface DataSet {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface Case {
  readonly name: string;
  readonly model: string;
  readonly dataSets: readonly DataSet[];
}

/** Unpacks an archive for as long as `body` runs. */
export function withCases<T>(path: string, body: (cases: readonly Case[]) => T): T {
  if (!existsSync(path)) return fail("E0101", `there is no folder or archive "${path}"`);
  if (statSync(path).isDirectory()) return body(findCases(path));
  const folder = mkdtempSync(join(tmpdir(), "systole-conform-"));
  try {
    const tar = spawnSync("tar", ["-xf", path, "-C", folder], { encoding: "utf8" });
    if (tar.status !== 0) fail("E0101", `"${path}" cannot be unpacked`, {}, [(tar.stderr ?? "").trim().split("\n")[0] || "the program tar is needed for archives"]);
    return body(findCases(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** In order of name; links are not followed. */
export function findCases(root: string): Case[] {
  const visit = (folder: string): Case[] => {
    const entries = readdirSync(folder, { withFileTypes: true });
    const here = entries.some((entry) => entry.isFile() && entry.name === "model.onnx") ? [caseOf(root, folder)] : [];
    return [...here, ...entries.filter((entry) => entry.isDirectory()).flatMap((entry) => visit(join(folder, entry.name)))];
  };
  return visit(root).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function caseOf(root: string, folder: string): Case {
  const sets = readdirSync(folder).filter((name) => /^test_data_set_[0-9]+$/.test(name)).sort((a, b) => numberIn(a) - numberIn(b));
  return { name: relative(root, folder) || ".", model: join(folder, "model.onnx"), dataSets: sets.map((name) => dataSetOf(join(folder, name), name)) };
}

function dataSetOf(folder: string, name: string): DataSet {
  const numbered = (kind: string): string[] =>
    readdirSync(folder).filter((file) => new RegExp(`^${kind}_[0-9]+\\.pb$`).test(file)).sort((a, b) => numberIn(a) - numberIn(b)).map((file) => join(folder, file));
  return { name, inputs: numbered("input"), outputs: numbered("output") };
}

function numberIn(text: string): number {
  return Number(/[0-9]+/.exec(text)?.[0]);
}
