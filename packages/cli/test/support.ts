import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { runCli } from "../src/index.ts";

export const mnist = join(import.meta.dirname, "models/mnist-cnn.onnx");

/** A folder that is gone after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "systole-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command line in this process. */
export function systole(...words: readonly string[]): Outcome {
  let out = "";
  let err = "";
  const code = runCli(words, { out: (text) => { out += text; }, err: (text) => { err += text; }, isWatched: false, now: () => 0 });
  return { code, out, err };
}
