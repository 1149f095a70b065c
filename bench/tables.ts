/** @file What the benchmark writes: Markdown tables, the host in general terms. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { grouped, milliseconds, table } from "./markdown.ts";

export interface MachineResult {
  readonly machine: string;
  /** Median and best. */
  readonly runMs: number;
  readonly bestRunMs: number;
  readonly timingMs: number;
  readonly compileMs: number;
  readonly imageBytes: number;
  readonly textBytes: number;
  readonly cycles: number;
  readonly predictedCycles: number;
  readonly utilization: number;
  /** Largest difference from ONNX Runtime over the tolerance. */
  readonly error: number;
}

export interface ModelResult {
  readonly name: string;
  readonly note: string;
  readonly runs: number;
  readonly macs: number;
  readonly ortMs: number;
  readonly bestOrtMs: number;
  readonly machines: readonly MachineResult[];
}

const rate = (macs: number, ms: number): string => (macs / ms / 1e6).toFixed(macs / ms / 1e6 < 1 ? 3 : 2);

/** `more` are the lines of further sections. */
export function document(results: readonly ModelResult[], missing: readonly string[], more: readonly string[]): string {
  const host = cpus();
  return [
    "# Benchmark",
    "",
    `Host: ${host[0]?.model.trim() ?? "unknown processor"}, ${host.length} cores, Node ${process.version}, one thread each.`,
    "Written by `npm run bench`.",
    "",
    ...(results.length + missing.length === 0 ? [] : forwardSections(results, missing)),
    ...more,
    "## Lines of source",
    "",
    table(["package", "files", "source", "tests"], sizes()),
    "",
  ].join("\n");
}

function forwardSections(results: readonly ModelResult[], missing: readonly string[]): string[] {
  return [
    "Within one process the three machines and ONNX Runtime Web (WebAssembly SIMD, one thread) take turns;",
    "times are medians of the rounds after the first. Values and cycles are both computed. The same multiply-adds are counted for all.",
    "",
    ...results.map((r) => `- ${r.name}: ${r.note}; ${grouped(r.macs)} multiply-adds, ${r.runs} rounds`),
    ...missing.map((name) => `- ${name}: left out, its file is not there`),
    "",
    "## Speed of the simulation",
    "",
    table(["model", "machine", "run ms", "GMAC/s", "best", "ONNX Runtime Web ms", "GMAC/s", "best", "ratio", "timing only ms"], results.flatMap((r) => r.machines.map((m) => [
      r.name, m.machine, milliseconds(m.runMs), rate(r.macs, m.runMs), rate(r.macs, m.bestRunMs), milliseconds(r.ortMs), rate(r.macs, r.ortMs), rate(r.macs, r.bestOrtMs), (r.ortMs / m.runMs).toFixed(2), milliseconds(m.timingMs),
    ]))),
    "",
    "The ratio is the time of ONNX Runtime Web over that of the device: above 1 the device is faster. `best` is the fastest round:",
    "on a host that others use it says more about the program, the ratio of medians more about the comparison.",
    "",
    "## Compiler and schedule",
    "",
    table(["model", "machine", "compile ms", "image bytes", "text bytes", "cycles", "predicted", "array utilisation", "error / tolerance"], results.flatMap((r) => r.machines.map((m) => [
      r.name, m.machine, milliseconds(m.compileMs), grouped(m.imageBytes), grouped(m.textBytes), grouped(m.cycles), grouped(m.predictedCycles), `${(100 * m.utilization).toFixed(1)} %`, m.error.toPrecision(2),
    ]))),
    "",
    "Compile time is that of a single compilation, ONNX bytes to image; the first of a process includes the warm-up of the host. The error is the",
    "largest difference from ONNX Runtime over `1e-4 relative + 1e-5 absolute`.",
    "",
  ];
}

function sizes(): string[][] {
  const packages = join(import.meta.dirname, "../packages");
  const rows = readdirSync(packages).toSorted().map((name) => {
    const source = [...filesOf(join(packages, name, "src")), ...filesOf(join(packages, name, "assembly"))];
    const tests = filesOf(join(packages, name, "test"));
    return { name, files: source.length, source: lines(source), tests: lines(tests) };
  });
  const sum = (pick: (row: (typeof rows)[number]) => number): number => rows.reduce((total, row) => total + pick(row), 0);
  return [...rows, { name: "all", files: sum((r) => r.files), source: sum((r) => r.source), tests: sum((r) => r.tests) }]
    .map((row) => [row.name, String(row.files), grouped(row.source), grouped(row.tests)]);
}

/** TypeScript files of a folder, without generated ones. */
function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.split("/").includes("generated"))
      .map((file) => join(folder, file));
  } catch {
    return [];
  }
}

function lines(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + readFileSync(file, "utf8").split("\n").length - 1, 0);
}
