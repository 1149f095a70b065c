/** @file `systole train`: a model and data to a training program, the program to an image, the image on the device, trained parameters back into the model. */
import { join } from "node:path";
import { buildReport, grouped, renderGraphs, renderSubmodules, renderSummary, renderTraffic, renderUnits, type Report } from "@systole/report";
import {
  arrangeData, buildProblem, claimsOf, compileTraining, Device, fail, printProgram, readRecord, reasonOf, reasons, recordTensor, refuseNaN, replaceParameters, snapshotFromBytes, snapshotToBytes, validate, writeImage,
  type AlgorithmOptions, type Claims, type CompiledTraining, type JudgementView, type Machine, type Run, type Snapshot, type Tensor, type TrainingOptions, type TrainingRecord, type Validation,
} from "@systole/systole";
import { externalReader, fileExists, makeFolder, readBytes, removeUnfinished, writeWhole } from "../files/files.ts";
import { readNpz } from "../files/npz.ts";
import { packFiles, unpackFiles } from "../files/zip.ts";
import { lossChoice, type LossFlags } from "../losses.ts";
import { defaultMachine, findMachine } from "../options.ts";
import { note, Progress, type Terminal } from "../terminal.ts";
import { UsageError } from "../usage.ts";

export interface TrainFlags extends LossFlags, AlgorithmOptions {
  readonly machine?: string;
  readonly targetMask?: string;
  readonly data?: string;
  readonly validation?: string;
  readonly freeze?: readonly string[];
  readonly sampleAxis?: Readonly<Record<string, number>>;
  readonly log?: string;
  readonly checkpoint?: string;
  readonly resume?: boolean;
  readonly report?: string;
  readonly hardWired?: boolean;
  readonly image?: string;
  readonly program?: string;
  readonly out: string;
}

export function trainCommand(terminal: Terminal, path: string, flags: TrainFlags): number {
  if (flags.resume === true && flags.checkpoint === undefined) throw new UsageError("--resume needs --checkpoint DIR");
  const machine = findMachine(flags.machine ?? defaultMachine);
  const model = readBytes(path);
  const data = flags.data === undefined ? new Map<string, Tensor>() : readNpz(flags.data);
  const options = optionsOf(path, flags);
  refuseNaN(data, options.sampleAxes);
  const begun = terminal.now();
  const compiled = compileTraining(model, machine, data, options);
  const compileMs = terminal.now() - begun;
  compiled.notes.forEach((text) => note(terminal, text));
  const validation = flags.validation === undefined ? undefined : readValidation(model, flags.validation, options);
  const imageBytes = writeImage(compiled.image);
  if (flags.image !== undefined) writeWhole(flags.image, imageBytes);
  if (flags.program !== undefined) writeWhole(flags.program, printProgram(compiled.program));
  const outcome = trainOnDevice(terminal, compiled, machine, arrangeData(compiled, data), flags);
  const report = buildReport(compiled.image, machine, outcome.run, { compileMs, runMs: outcome.runMs, imageBytes: imageBytes.length });
  const claims = flags.report === undefined ? undefined : claimsOf(compiled, machine, outcome.run);
  if (flags.report !== undefined) writeWhole(flags.report, `${JSON.stringify({ ...report, claims }, undefined, 2)}\n`);
  const last = outcome.records.at(-1) ?? fail("E0605", "the program ended without a judgement");
  const reason = reasonOf(last.reason);
  if (reasons[reason].failure) {
    return fail("E0605", `training stopped after ${last.iteration} iterations: ${reason}: ${reasons[reason].text}`, {}, [
      `loss ${last.loss}, lambda ${last.lambda}, gradient norm ${last.gradientNorm}; no model is written.`, ...(flags.checkpoint === undefined ? [] : [`The checkpoint in ${flags.checkpoint} is intact.`]),
    ]);
  }
  const trained = replaceParameters(model, outcome.parameters);
  writeWhole(flags.out, trained);
  terminal.out(`${renderTraining(report)}\n\n${summary(compiled, outcome)}${claims === undefined ? "" : renderClaims(claims)}stopped: ${reason}: ${reasons[reason].text}\ntrained model in ${flags.out}\n`);
  if (validation !== undefined) printValidation(terminal, validate(trained, machine, validation, options));
  return 0;
}

/** Whatever does not fit is said before hours of training, not behind them. */
function readValidation(model: Uint8Array, path: string, options: TrainingOptions): ReadonlyMap<string, Tensor> {
  const data = readNpz(path);
  refuseNaN(data, options.sampleAxes);
  buildProblem(model, data, options, {});
  return data;
}

function optionsOf(path: string, flags: TrainFlags): TrainingOptions {
  const taken = Object.fromEntries(([
    "profile", "cgIterations", "gradientBatch", "curvatureBatch", "microBatch", "lambda", "structuralDamping", "preconditioner", "weightDecay", "learningRate", "momentum", "gradientTolerance",
    "progressTolerance", "freeze", "init", "seed",
  ] as const).filter((key) => flags[key] !== undefined).map((key) => [key, flags[key]]));
  return {
    fileName: path, readExternal: externalReader(path), ...lossChoice(flags), optimizer: flags.optimizer, iterations: flags.iterations, ...taken,
    ...(flags.targetMask === undefined ? {} : { targetMask: flags.targetMask }), ...(flags.sampleAxis === undefined ? {} : { sampleAxes: flags.sampleAxis }),
  };
}

// ---- the run ------------------------------------------------------------------------------------------------------

export interface Outcome {
  readonly run: Run;
  readonly runMs: number;
  readonly records: readonly TrainingRecord[];
  readonly parameters: ReadonlyMap<string, Tensor>;
}

/** A checkpoint is one file, so that snapshot and log always belong together. */
const checkpointName = "checkpoint.zip";
const snapshotEntry = "snapshot.bin";
const logEntry = "log.jsonl";

/** What of the options concerns the run and not the program. */
export type SessionFlags = Pick<TrainFlags, "iterations" | "log" | "checkpoint" | "resume" | "hardWired">;

export function trainOnDevice(terminal: Terminal, compiled: CompiledTraining, machine: Machine, inputs: ReadonlyMap<string, Tensor>, flags: SessionFlags): Outcome {
  const device = new Device(compiled.image, machine);
  const lines: string[] = [];
  const records: TrainingRecord[] = [];
  const snapshot = flags.resume === true ? resumed(terminal, flags.checkpoint!, lines, records) : undefined;
  if (flags.checkpoint !== undefined) makeFolder(flags.checkpoint);
  if (flags.resume === true && flags.log !== undefined) removeUnfinished(flags.log);
  const watch = new Watch(terminal, flags.iterations);
  const begun = terminal.now();
  try {
    const run = device.run(inputs, {
      readBack: ["parameter"], ...(flags.hardWired === true ? { hardWired: true } : {}), ...(snapshot === undefined ? {} : { resume: snapshot }),
      onJudgement: (view) => {
        const record = readRecord(view.read(recordTensor).data as Float64Array);
        records.push(record);
        lines.push(JSON.stringify({ ...printable(record), cycles: view.cycles }));
        watch.show(record, view);
        if (flags.log !== undefined) writeWhole(flags.log, `${lines.join("\n")}\n`);
        if (flags.checkpoint !== undefined) writeCheckpoint(flags.checkpoint, view.snapshot(), lines);
      },
    });
    if (flags.log !== undefined) writeWhole(flags.log, `${lines.join("\n")}\n`);
    return { run, runMs: terminal.now() - begun, records, parameters: run.outputs };
  } finally {
    watch.end();
  }
}

/** JSON has no infinite numbers. */
function printable(record: TrainingRecord): Record<string, number | string> {
  const named = Object.entries(record).map(([column, value]): [string, number | string] => [column, column === "reason" ? reasonOf(value) : Number.isFinite(value) ? value : String(value)]);
  return Object.fromEntries(named);
}

function parsed(line: string): TrainingRecord {
  const values = Object.entries(JSON.parse(line) as Record<string, number | string>).map(([column, value]) => [column, column === "reason" ? reasons[value as keyof typeof reasons].code : Number(value)]);
  return Object.fromEntries(values) as TrainingRecord;
}

function writeCheckpoint(folder: string, snapshot: Snapshot, lines: readonly string[]): void {
  writeWhole(join(folder, checkpointName), packFiles({ [snapshotEntry]: snapshotToBytes(snapshot), [logEntry]: new TextEncoder().encode(lines.join("\n")) }));
}

function resumed(terminal: Terminal, folder: string, lines: string[], records: TrainingRecord[]): Snapshot | undefined {
  const file = join(folder, checkpointName);
  removeUnfinished(file);
  if (!fileExists(file)) {
    note(terminal, `there is no checkpoint in ${folder} yet; training begins at the start`);
    return undefined;
  }
  const entries = unpackFiles(readBytes(file), file);
  const snapshot = entries[snapshotEntry];
  const log = entries[logEntry];
  if (snapshot === undefined || log === undefined) return fail("E0604", "not a checkpoint", { file });
  for (const line of new TextDecoder().decode(log).split("\n").filter((text) => text !== "")) {
    lines.push(line);
    records.push(parsed(line));
  }
  return snapshotFromBytes(snapshot);
}

// ---- what people see ----------------------------------------------------------------------------------------------

/** Simulated time is told at this clock. */
const cyclesPerMicrosecond = 1000;

class Watch {
  readonly #terminal: Terminal;
  readonly #progress: Progress;
  readonly #iterations: number;
  readonly #seen: TrainingRecord[] = [];
  #warned = false;

  constructor(terminal: Terminal, iterations: number) {
    this.#terminal = terminal;
    this.#progress = new Progress(terminal, "training");
    this.#iterations = iterations;
  }

  show(record: TrainingRecord, { cycles }: JudgementView): void {
    this.#progress.end();
    this.#seen.push(record);
    this.#terminal.err(`${line(record, cycles)}\n`);
    if (!this.#warned && stuck(this.#seen)) {
      this.#warned = true;
      note(this.#terminal, "the loss has hardly moved for ten iterations and the quadratic model is poor (rho below 1/4): the network may be predicting the mean of the targets; try --init sparse, another --lambda or a larger --curvature-batch");
    }
    this.#progress.update(record.iteration, this.#iterations);
  }

  end(): void {
    this.#progress.end();
  }
}

function line(r: TrainingRecord, cycles: number): string {
  const short = (x: number): string => (Number.isFinite(x) ? x.toPrecision(5) : String(x));
  const second = r.cgSteps > 0 || r.lambda > 0 ? `  lambda ${short(r.lambda)}  rho ${short(r.rho)}  cg ${r.cgSteps}` : "";
  return `${String(r.iteration).padStart(5)}  loss ${short(r.loss)}${second}  rate ${short(r.rate)}  ${cycles} cycles (${short(cycles / cyclesPerMicrosecond / 1000)} ms at 1 GHz)`;
}

/** Ten steps that moved the loss by less than a thousandth, most of them with a ratio below 1/4. */
export function stuck(seen: readonly TrainingRecord[]): boolean {
  const last = seen.slice(-10);
  if (last.length < 10 || last.every(({ lambda }) => lambda === 0)) return false;
  const moved = Math.abs(last[0]!.loss - last.at(-1)!.loss) / Math.abs(last[0]!.loss);
  return moved < 1e-3 && last.filter(({ rho }) => !(rho >= 0.25)).length >= 5;
}

export function renderTraining(report: Report): string {
  return [renderSummary(report), renderSubmodules(report), renderGraphs(report), renderTraffic(report), renderUnits(report)].join("\n\n");
}

/** The device text says that it decodes less and moves less: by how much. */
export function renderClaims(claims: Claims): string {
  const { macroInstructions, routineInstructions, microOperations, offChipWords, offChipWordsWithoutCache } = claims;
  return [
    `decoded: ${grouped(macroInstructions)} macro-instructions for ${grouped(routineInstructions)} instructions of routines and ${grouped(microOperations)} operations of units`,
    `off-chip: ${grouped(offChipWords)} words with the data cache, ${grouped(offChipWordsWithoutCache)} without (${(offChipWordsWithoutCache / Math.max(1, offChipWords)).toFixed(1)} times as many)`,
    "",
  ].join("\n");
}

export function summary(compiled: CompiledTraining, { run, records }: Outcome): string {
  const { batches, problem } = compiled;
  const [first, last] = [records[0]!, records.at(-1)!];
  const words = compiled.image.routines.reduce((sum, routine) => sum + routine.instructions.length, 0);
  return [
    `loss ${first.loss} -> ${Number.isNaN(last.newLoss) ? last.loss : last.newLoss} in ${last.iteration} iterations; ${batches.sampleCount} ${batches.sampleCount === 1 ? "sample" : "samples"}, micro-batches of ${problem.microBatch}, gradient on ${batches.gradientBatch}, curvature on ${batches.curvatureBatch}`,
    `program: ${words} instructions in ${compiled.image.routines.length} routines; ${run.instructions.macros} macro-instructions decoded, ${run.instructions.executed} instructions executed`,
    "",
  ].join("\n");
}

function printValidation(terminal: Terminal, { samples, loss, accuracy, cycles }: Validation): void {
  terminal.out(`validation: loss ${loss}${accuracy === undefined ? "" : `, ${(accuracy * 100).toFixed(2)} % right`} on ${samples} samples in ${cycles} cycles\n`);
}
