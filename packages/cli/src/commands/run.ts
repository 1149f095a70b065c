/** @file `systole run`: a model or an image on the simulated device; outputs, report and trace go where they are wanted. */
import { join } from "node:path";
import { buildReport, perfettoTrace, renderReport, type Report } from "@systole/report";
import { Device, fail, formatType, numbersOf, writeImage, type Image, type Run, type Tensor } from "@systole/systole";
import { loadProgram, type Program } from "../compiling.ts";
import { fileNames } from "../files/tensorFile.ts";
import { makeFolder, readText, writeWhole } from "../files/files.ts";
import { writeNpy } from "../files/npy.ts";
import { bindTensors, readInputs } from "../inputs.ts";
import type { CompileFlags, InputFlag } from "../options.ts";
import { note, printJson, Progress, type Terminal } from "../terminal.ts";
import { UsageError } from "../usage.ts";

export const controlSchema = "systole.control/1";
export const traceEvents = 200_000;

export interface RunFlags extends CompileFlags {
  readonly input?: readonly InputFlag[];
  readonly random?: number;
  readonly output?: string;
  readonly report?: string;
  readonly trace?: string;
  readonly timingOnly?: boolean;
  readonly control?: string;
  readonly assume?: Readonly<Record<string, number>>;
  readonly json?: boolean;
}

export function runCommand(terminal: Terminal, path: string, flags: RunFlags): number {
  const timingOnly = flags.timingOnly === true;
  if (flags.assume !== undefined && !timingOnly) throw new UsageError("--assume goes with --timing-only");
  if (timingOnly && flags.output !== undefined) throw new UsageError("--timing-only computes no values, so there is no --output");
  const given = readInputs(flags.input ?? []);
  const program = loadProgram(path, flags, terminal, given);
  const { image } = program;
  const settled = program.compiled === undefined ? [] : given.flatMap(({ name }) => (name !== undefined && !image.symbols.some((s) => s.kind === "input" && s.name === name) && isModelInput(program, name) ? [name] : []));
  const inputs = timingOnly ? new Map<string, Tensor>() : bindTensors(image, given, settled, flags.random);
  const control = readControl(terminal, image, flags);
  const assume = timingOnly && control === undefined && flags.assume !== undefined ? { assume: new Map(Object.entries(flags.assume)) } : {};
  const { run, runMs } = runWatched(terminal, program, inputs, { timingOnly, trace: flags.trace !== undefined, ...(control === undefined ? {} : { control }), ...assume });
  const report = buildReport(image, program.machine, run, { compileMs: program.compileMs, runMs, imageBytes: writeImage(image).length });
  writeResults(image, run, report, flags);
  if (flags.json === true) printJson(terminal, report);
  else terminal.out(`${renderReport(report)}\n${[...run.outputs].map(([name, tensor]) => `${outputLine(name, tensor)}\n`).join("")}`);
  return 0;
}

/** An input that was compiled in is no symbol of the image, but a tensor for it is no mistake. */
function isModelInput(program: Program, name: string): boolean {
  return program.compiled !== undefined && !program.compiled.model.inputs.some((input) => input.name === name);
}

interface Watched {
  readonly timingOnly: boolean;
  readonly trace: boolean;
  readonly control?: readonly boolean[];
  readonly assume?: ReadonlyMap<string, number>;
}

function runWatched(terminal: Terminal, program: Program, inputs: ReadonlyMap<string, Tensor>, { timingOnly, trace, control, assume }: Watched): { run: Run; runMs: number } {
  const progress = new Progress(terminal, timingOnly ? "timing" : "running");
  try {
    const device = new Device(program.image, program.machine);
    const start = terminal.now();
    const run = device.run(inputs, {
      timingOnly, now: terminal.now, onProgress: (done, total) => progress.update(done, total),
      ...(trace ? { maxTraceEvents: traceEvents } : {}), ...(control === undefined ? {} : { control }), ...(assume === undefined ? {} : { assume }),
    });
    return { run, runMs: terminal.now() - start };
  } finally {
    progress.end();
  }
}

function writeResults(image: Image, run: Run, report: Report, flags: RunFlags): void {
  if (flags.output !== undefined) {
    makeFolder(flags.output);
    const names = fileNames([...run.outputs.keys()]);
    [...run.outputs.values()].forEach((tensor, i) => writeWhole(join(flags.output!, `${names[i]}.npy`), writeNpy(tensor)));
  }
  if (flags.report !== undefined) writeWhole(flags.report, `${JSON.stringify(report, undefined, 2)}\n`);
  if (flags.trace !== undefined) writeWhole(flags.trace, JSON.stringify(perfettoTrace(run.trace ?? [], image)));
  if (flags.control !== undefined && flags.timingOnly !== true && hasBranches(image)) {
    writeWhole(flags.control, `${JSON.stringify({ schema: controlSchema, outcomes: run.control.map(Number) })}\n`);
  }
}

/** Whether the time of a run depends on values. */
export function hasBranches(image: Image): boolean {
  return image.routines.some((routine) => routine.instructions.some(({ op }) => op === "br" || op === "converge"));
}

/** Loops whose length depends on values; `outer` is that of the judgements. Loops without a name run a number of times that is known. */
function loopsOf(image: Image): string[] {
  const judged = image.routines.some(({ instructions }) => instructions.some(({ op }) => op === "converge"));
  return [...new Set([...(judged ? ["outer"] : []), ...(image.debug.branches ?? []).flatMap(({ loop }) => (loop === undefined ? [] : [loop.name]))])];
}

/** A full run writes the file, a run of time alone reads it. */
function readControl(terminal: Terminal, image: Image, flags: RunFlags): readonly boolean[] | undefined {
  if (!hasBranches(image)) {
    if (flags.control !== undefined || flags.assume !== undefined) note(terminal, "the image has no branches on values; --control and --assume are not needed");
    return undefined;
  }
  if (flags.timingOnly !== true) return undefined;
  if (flags.control === undefined) {
    const loops = loopsOf(image);
    const unknown = Object.keys(flags.assume ?? {}).find((name) => !loops.includes(name));
    if (unknown !== undefined) return fail("E0603", `--assume says something of "${unknown}", which is no loop of this image`, {}, [`Its loops are ${loops.join(", ")}.`]);
    if (flags.assume !== undefined || loops.length === 0) return undefined;
    return fail("E0603", "the time of this image depends on values: --timing-only must know the outcome of its branches", {}, [
      "A full run with --control FILE writes them; give the same option here.", `Or say how often its loops run: --assume ${loops.map((name) => `${name}=N`).join(",")}.`,
    ]);
  }
  const file = flags.control;
  const refuse = (): never => fail("E0603", "not a control file", { file }, [`It is written by a full run: {"schema": "${controlSchema}", "outcomes": [0, 1, ...]}.`]);
  const value = parseJson(readText(file));
  if (typeof value !== "object" || value === null || !("schema" in value) || value.schema !== controlSchema || !("outcomes" in value) || !Array.isArray(value.outcomes)) return refuse();
  return value.outcomes.map((outcome: unknown) => (outcome === 1 || outcome === 0 ? outcome === 1 : refuse()));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Type and the first few elements. */
function outputLine(name: string, tensor: Tensor): string {
  const most = 10;
  const head = numbersOf({ ...tensor, data: tensor.data.slice(0, most) }).map((value) => (Number.isInteger(value) ? String(value) : value.toPrecision(6)));
  return `output ${name} ${formatType(tensor)}: ${head.join(" ")}${tensor.data.length > most ? " ..." : ""}`;
}
