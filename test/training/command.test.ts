/** @file `systole train`: what it writes, and what it says to data and options that do not fit. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseProgram, printProgram, tensor, type Tensor } from "@systole/systole";
import { describe, expect, it } from "vitest";
import { writeNpz } from "../../packages/cli/src/files/npz.ts";
import { systole, temporaryFolder, type Outcome } from "../../packages/cli/test/support.ts";
import { perceptron, recurrence, rosenbrockModel, type Trainable } from "./models.ts";

const folder = temporaryFolder();
const out = join(folder, "trained.onnx");
let files = 0;

function fileOf(bytes: Uint8Array, kind: string): string {
  const path = join(folder, `${files++}.${kind}`);
  writeFileSync(path, bytes);
  return path;
}

const npz = (data: ReadonlyMap<string, Tensor>): string => fileOf(writeNpz(data), "npz");
const small = perceptron({ samples: 32 });
const model = fileOf(small.bytes, "onnx");
const good = npz(small.data);
const quick = ["--iterations", "2", "--cg-iterations", "5", "--micro-batch", "8", "--curvature-batch", "16"];

function train(data: string | undefined, ...more: readonly string[]): Outcome {
  return systole("train", model, "--loss", "cross-entropy", ...(data === undefined ? [] : ["--data", data]), ...quick, "-o", out, ...more);
}

/** The data with one array changed. */
function changed(name: string, change: (before: Tensor) => Tensor | undefined): string {
  const after = change(small.data.get(name)!);
  return npz(new Map([...[...small.data].filter(([other]) => other !== name), ...(after === undefined ? [] : [[name, after] as const])]));
}

const withNumber = (t: Tensor, at: number, value: number | bigint): Tensor => {
  const data = t.data.slice();
  (data as { [index: number]: number | bigint })[at] = value;
  return { ...t, data };
};

function refused({ code, out: printed, err }: Outcome, wanted: RegExp, exitCode = 1): void {
  expect(err).toMatch(wanted);
  expect(err).not.toContain("    at ");
  expect([code, printed]).toEqual([exitCode, ""]);
  const written = existsSync(out);
  rmSync(out, { force: true });
  expect(written, "a model was written").toBe(false);
  expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
}

describe("data that does not fit", () => {
  const cases: Readonly<Record<string, readonly [() => string | undefined, RegExp]>> = {
    "no data at all": [() => undefined, /^error E0601: the data holds no "x"/],
    "a name the model does not have": [() => npz(new Map([...small.data, ["y", tensor("f32", [32], new Float32Array(32))]])), /^error E0601: the data holds "y", which the model does not take/],
    "no target": [() => changed("target", () => undefined), /^error E0601: the data holds no "target"/],
    "samples of another shape": [() => changed("x", () => tensor("f32", [32, 5], new Float32Array(160))), /^error E020\d/],
    "another element type": [() => changed("x", (t) => tensor("f64", t.shape, Float64Array.from(t.data as Float32Array))), /^error E0602: input "x" is f32/],
    "a target of the wrong rank": [() => changed("target", () => tensor("i64", [32, 2], new Array<number>(64).fill(0))), /^error E02/],
    "not a number": [() => changed("x", (t) => withNumber(t, 6 * 17 + 2, NaN)), /^error E0602: element 104 of "x" is NaN, in sample 17/],
    "an infinite number": [() => changed("x", (t) => withNumber(t, 3, -Infinity)), /^error E0602: element 3 of "x" is -Infinity, in sample 0/],
    "an empty set": [() => npz(new Map([["x", tensor("f32", [0, 6], [])], ["target", tensor("i64", [0], [])]])), /^error E0602: the data holds no samples/],
    "sets of different length": [() => changed("target", () => tensor("i64", [31], new Array<number>(31).fill(0))), /^error E0602: "x" holds 32 samples, "target" 31|^error E0602: "target" holds 31 samples, "x" 32/],
    "a class out of range": [() => changed("target", (t) => withNumber(t, 5, 4n)), /^error E0602: .*4/],
    "a single number": [() => changed("target", () => tensor("i64", [], [0])), /^error E0602: "target" is a single number/],
    "no npz": [() => fileOf(small.bytes, "npz"), /^error E0105/],
  };
  it.each(Object.keys(cases))("%s", (name) => {
    const [data, wanted] = cases[name]!;
    refused(train(data()), wanted);
  });

  it.each([
    ["--gradient-batch 64", /^error E0603: a gradient batch of 64 samples out of 32/], ["--curvature-batch 12", /^error E0603: a curvature batch of 12 samples is no multiple of the micro-batch of 8/],
    ["--micro-batch 33", /^error E0603: a micro-batch of 33 samples out of 32/], ["--sample-axis x=2", /^error E060\d/], ["--freeze *", /^error E0209: the model has no trainable parameters/],
    ["--optimizer sgd --cg-iterations 5", /^error E0603: optimizer sgd has no option --cg-iterations/], ["--learning-rate 0.1", /^error E0603: optimizer hessian-free has no option --learning-rate/],
    ["--structural-damping 1", /^error E0603: structural damping of a network without recurrence/], ["--machine nothing", /^error E0301/], ["--loss-output nothing", /^error E0601/],
  ] as const)("%s", (words, wanted) => refused(train(good, ...words.split(" ")), wanted));

  it.each([["--lambda 0", /lambda/], ["--lambda -1", /lambda/], ["--profile nothing", /profile/], ["--optimizer nothing", /optimizer/], ["--resume", /--resume needs --checkpoint/], ["--iterations 0", /iterations/], ["--loss nothing", /loss/]] as const)("wrong usage: %s", (words, wanted) => {
    refused(train(good, ...words.split(" ")), wanted, 2);
  });

  it("validation data, before the training", () => {
    refused(train(good, "--validation", changed("x", () => undefined)), /^error E0601: the data holds no "x"/);
    refused(train(good, "--validation", changed("target", (t) => withNumber(t, 5, -1n))), /^error E0602/);
    refused(train(good, "--validation", join(folder, "nothing.npz")), /^error E0101/);
  });

  it("the model's own number of samples at a time", () => {
    const { bytes, data } = recurrence({ samples: 20 });
    const words = ["train", fileOf(bytes, "onnx"), "--loss", "squared-error", "--data", npz(data), "-o", out];
    refused(systole(...words), /^error E0602: "x" holds 6 samples, "target" 20[^]*--sample-axis/);
  });
});

describe("a training", () => {
  const log = join(folder, "log.jsonl");
  const records = (): Record<string, unknown>[] => readFileSync(log, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);

  it.each([[[]], [["--optimizer", "sgd", "--learning-rate", "0.5"]], [["--optimizer", "adam"]], [["--profile", "device-text"]], [["--profile", "rnn", "--curvature-batch", "8"]], [["--init", "sparse", "--seed", "4"]], [["--no-preconditioner", "--weight-decay", "0.01"]]])("with %j", (more) => {
    const written = join(folder, `${files++}.onnx`);
    const words = more.includes("--optimizer") ? ["--iterations", "3", "--micro-batch", "8", "--gradient-batch", "8"] : [...quick, "--iterations", "3"];
    const { code, out: printed, err } = systole("train", model, "--loss", "cross-entropy", "--data", good, "-o", written, "--log", log, "--validation", good, ...words, ...more);
    expect([code, err.match(/^ +\d+ {2}loss /gm)?.length]).toEqual([0, 3]);
    expect(printed).toMatch(/stopped: iteration-limit: all iterations are done\ntrained model in .*\nvalidation: loss [\d.]+, [\d.]+ % right on 32 samples/);
    expect(records().map(({ iteration, reason }) => [iteration, reason])).toEqual([[1, "none"], [2, "none"], [3, "iteration-limit"]]);
    expect(readFileSync(written).equals(Buffer.from(small.bytes))).toBe(false);
  });

  it("whose steps come from a ROM ends with the same bytes", () => {
    const [fetched, rom] = ["fetched.onnx", "rom.onnx"].map((name) => join(folder, name)) as [string, string];
    expect([train(good, "-o", fetched).code, train(good, "-o", rom, "--hard-wired").code]).toEqual([0, 0]);
    expect(readFileSync(rom).equals(readFileSync(fetched))).toBe(true);
  });

  it("also written as a program and as an image", () => {
    const [text, elf] = [join(folder, "program.txt"), join(folder, "program.elf")];
    expect(train(good, "-o", join(folder, "written.onnx"), "--program", text, "--image", elf).code).toBe(0);
    const program = readFileSync(text, "utf8");
    expect(printProgram(parseProgram(program))).toBe(program);
    expect(systole("inspect", elf).out).toContain("damping.rule");
  });

  it("of a model without data", () => {
    const { bytes, loss }: Trainable = rosenbrockModel();
    const written = join(folder, "rosenbrock.trained.onnx");
    const { code, out: printed } = systole("train", fileOf(bytes, "onnx"), "--loss", loss, "--freeze", "ten", "--freeze", "one", "--lambda", "1", "--iterations", "30", "-o", written, "--log", log);
    expect(code).toBe(0);
    expect(printed).toMatch(/stopped: (gradient-norm|relative-progress)/);
    expect(records().at(-1)!["loss"]).toBeLessThan(1e-12);
  });
});

describe("checkpoints", () => {
  const go = (checkpoint: string, ...more: readonly string[]): Outcome => train(good, "--checkpoint", checkpoint, ...more);
  const made = join(folder, "made");

  it("--resume without a checkpoint begins at the start", () => {
    const written = join(folder, "resumed.onnx");
    const { code, err } = go(join(folder, "none"), "--resume", "-o", written);
    expect(code).toBe(0);
    expect(err).toContain("there is no checkpoint");
  });

  it("that belong to another model, other data or other options, or are damaged", () => {
    const written = join(folder, "first.onnx");
    expect(go(made, "-o", written).code).toBe(0);
    const fitting = readFileSync(join(made, "checkpoint.zip"));
    const other = perceptron({ samples: 32, hidden: 9 });
    refused(systole("train", fileOf(other.bytes, "onnx"), "--loss", "cross-entropy", "--data", good, ...quick, "-o", out, "--checkpoint", made, "--resume"), /error E0604: .*another image/);
    refused(train(changed("x", (t) => withNumber(t, 3, 0.5)), "--checkpoint", made, "--resume"), /error E0604: .*other inputs/);
    refused(go(made, "--resume", "--lambda", "3"), /error E0604: .*another image/);
    expect(readFileSync(join(made, "checkpoint.zip")).equals(fitting)).toBe(true);
    mkdirSync(join(folder, "damaged"));
    for (const bytes of [fitting.subarray(0, fitting.length / 2), Buffer.from("no checkpoint"), fitting.map((byte, i) => (i === 200 ? byte ^ 1 : byte))]) {
      writeFileSync(join(folder, "damaged/checkpoint.zip"), bytes);
      refused(go(join(folder, "damaged"), "--resume"), /error E0\d{3}/);
    }
  });

  it("stay intact, with the parameters before the failing step, where the loss is no longer a number", () => {
    const checkpoint = join(folder, "diverged");
    const { bytes, data } = recurrence({ samples: 20 });
    const words = ["train", fileOf(bytes, "onnx"), "--loss", "squared-error", "--data", npz(data), "--sample-axis", "x=1", "--optimizer", "sgd", "--learning-rate", "1e25", "--iterations", "9", "--gradient-batch", "20", "--checkpoint", checkpoint, "-o", out];
    const stopped = systole(...words);
    refused({ ...stopped, err: stopped.err.slice(stopped.err.indexOf("error")) }, /^error E0605: training stopped after \d iterations: divergence: [^]*The checkpoint in .* is intact/);
    expect(existsSync(join(checkpoint, "checkpoint.zip"))).toBe(true);
    expect(systole(...words, "--resume").err).toMatch(/error E0605/);
  });
});
