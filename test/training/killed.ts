/** @file Training in a process of its own that is killed at random moments, and taken up again until it is done. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
/** Steps that a process may make before it is killed; it makes some more where the machine is faster than the kill. */
const stepsPerKill = 10;

/**
 * Kills a training so often, then lets it end; model and log must be those of a run that nobody disturbed. A kill comes a random time after the
 * process has told of a random number of steps, or at any moment. On a fast machine a process may end before its kill: its files must be the same
 * too, and the training begins anew.
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
    const goesOn = (): boolean => existsSync(join(checkpoint, "checkpoint.zip"));
    const hasEnded = (): void => {
      for (const kind of ["onnx", "jsonl"]) expect(readFileSync(join(folder, `killed.${kind}`)).equals(readFileSync(join(folder, `whole.${kind}`))), kind).toBe(true);
      expect(readdirSync(folder).filter((name) => name.includes("killed")).toSorted()).toEqual(["killed.jsonl", "killed.onnx"]);
      expect(readdirSync(checkpoint)).toEqual(["checkpoint.zip"]);
    };
    for (let process = 0, killed = 0; killed < kills; process++) {
      expect(process, "processes for so many kills").toBeLessThan(3 * kills);
      const random = (k: number): number => hash(seed + process, k) / 2 ** 32;
      const steps = Math.floor(random(0) * stepsPerKill);
      const wentOn = goesOn();
      const { code, said } = await killedAfter(again, steps, process % 4 === 3 ? 1500 * random(1) : 100 * random(1));
      expect([null, 0], said).toContain(code);
      if (wentOn) expect(stepsTold(said)[0], said).not.toBe(1);
      if (code === null) killed++;
      else {
        hasEnded();
        for (const name of ["killed.onnx", "killed.jsonl", "checkpoint"]) rmSync(join(folder, name), { recursive: true });
      }
    }
    let told = "";
    const wentOn = goesOn();
    const code = runCli(again, { ...silent, err: (text) => { told += text; } });
    expect(code, told).toBe(0);
    if (wentOn) expect(stepsTold(told)[0], told).not.toBe(1);
    hasEnded();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The numbers of the outer steps that a process told of. */
const stepsTold = (said: string): number[] => Array.from(said.matchAll(/^ *(\d+) {2}loss /gm), ([, step]) => Number(step));

/** Kills the process `milliseconds` after it has told of `steps` outer steps. Its exit code, null where it was killed, and what it wrote to standard error. */
function killedAfter(words: readonly string[], steps: number, milliseconds: number): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", tsx, "--conditions=@systole/source", main, ...words], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    let armed = false;
    const arm = (): void => {
      if (armed || stepsTold(said).length < steps) return;
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
