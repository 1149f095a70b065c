/** @file Training in a process of its own that is killed at random moments, and taken up again until it is done. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runCli } from "@systole/cli";
import { expect } from "vitest";
import { writeNpz } from "../../packages/cli/src/files/npz.ts";
import { hash } from "../support.ts";
import { perceptron } from "./models.ts";

const root = join(import.meta.dirname, "../..");
/** In the process itself: a process around it would be killed in its place. */
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
const main = join(root, "packages/cli/src/main.ts");
/** Steps that a process may make before it is killed, and some more for those that are killed late. */
const stepsPerKill = 10;

/**
 * Kills a training so often, then lets it end; model and log must be those of a run that nobody disturbed. A kill comes a random time after the
 * process has told of a random number of steps, or at any moment.
 */
export async function survivesKills(kills: number, seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "systole-killed-"));
  const iterations = (kills + 2) * stepsPerKill;
  try {
    const { bytes, data } = perceptron({ features: 16, hidden: 24, samples: 256 });
    const [model, npz, checkpoint] = ["model.onnx", "data.npz", "checkpoint"].map((name) => join(folder, name)) as [string, string, string];
    writeFileSync(model, bytes);
    writeFileSync(npz, writeNpz(data));
    const words = (name: string): string[] => ["train", model, "--loss", "cross-entropy", "--data", npz, "--lambda", "1", "--iterations", String(iterations), "--micro-batch", "64", "--log", join(folder, `${name}.jsonl`), "-o", join(folder, `${name}.onnx`)];
    const silent = { out: () => undefined, err: () => undefined, isWatched: false, now: () => 0 };
    expect(runCli(words("whole"), silent)).toBe(0);
    const again = [...words("killed"), "--checkpoint", checkpoint, "--resume"];
    for (let kill = 0; kill < kills; kill++) {
      const random = (k: number): number => hash(seed + kill, k) / 2 ** 32;
      // So that a process makes its way through the steps, and is killed before it ends.
      const steps = Math.floor(random(0) * stepsPerKill);
      const { code, said } = await killedAfter(again, steps, kill % 4 === 3 ? 1500 * random(1) : 100 * random(1));
      expect(code, `it ended before it was killed\n${said}`).toBe(null);
    }
    let told = "";
    const code = runCli(again, { ...silent, err: (text) => { told += text; } });
    expect(code, told).toBe(0);
    expect(told.split(/ {2}loss /).length - 1, "steps after the last kill").toBeLessThan(iterations);
    for (const kind of ["onnx", "jsonl"]) expect(readFileSync(join(folder, `killed.${kind}`)).equals(readFileSync(join(folder, `whole.${kind}`))), kind).toBe(true);
    expect(readdirSync(folder).filter((name) => name.includes("killed")).toSorted()).toEqual(["killed.jsonl", "killed.onnx"]);
    expect(readdirSync(checkpoint)).toEqual(["checkpoint.zip"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Kills the process `milliseconds` after it has told of `steps` outer steps. Its exit code, null where it was killed, and what it wrote to standard error. */
function killedAfter(words: readonly string[], steps: number, milliseconds: number): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", tsx, "--conditions=@systole/source", main, ...words], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    let armed = false;
    const arm = (): void => {
      if (armed || said.split(/ {2}loss /).length - 1 < steps) return;
      armed = true;
      setTimeout(() => child.kill("SIGKILL"), milliseconds);
    };
    child.stderr.on("data", (text: Buffer) => {
      said += text.toString();
      arm();
    });
    child.on("spawn", arm);
    child.on("error", reject);
    child.on("exit", (code) => { resolve({ code, said }); });
  });
}
