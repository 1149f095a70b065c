/**
 * @file Long run of the fuzzer: `npm run fuzz -- --images 100000 --models 20000 --seed 1`. Every case ends in a diagnostic or a correct
 * run; anything else is reported with its number, and its bytes are kept in `fuzz-findings/`. Cases run in a worker with a bounded
 * heap, watched from here, so that a hang or exhausted memory is one more finding and the run goes on behind it.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { imageCase } from "../test/fuzz/images.ts";
import { modelCase } from "../test/fuzz/models.ts";
import { caseKinds, longestCaseMilliseconds, type CaseKind, type FuzzCase } from "../test/fuzz/outcome.ts";

const mostHeapMegabytes = 1024;
const mostResidentMegabytes = 3072;
/** Until the first case ends, originals are compiled and code is warm. */
const longestStartMilliseconds = 60_000;

interface Task {
  readonly kind: CaseKind;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Number of the case under way, and how many have ended in this worker. */
  readonly progress: Int32Array;
}

interface Finding {
  readonly index: number;
  readonly what: string;
  readonly bytes?: Uint8Array;
}

type Message = { readonly ended: Readonly<Record<string, number>>; readonly residentMegabytes: number } | { readonly finding: Finding };

const caseOf: Readonly<Record<CaseKind, (seed: number, index: number) => FuzzCase>> = { images: imageCase, models: modelCase };

if (isMainThread) await main();
else work(workerData as Task);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { images: { type: "string", default: "100000" }, models: { type: "string", default: "20000" }, seed: { type: "string", default: "1" }, first: { type: "string", default: "0" } } });
  let findings = 0;
  for (const kind of caseKinds) findings += await fuzz(kind, Number(values.seed), Number(values.first), Number(values[kind]));
  console.log(findings === 0 ? "nothing found" : `${findings} findings`);
  process.exitCode = findings === 0 ? 0 : 1;
}

async function fuzz(kind: CaseKind, seed: number, first: number, count: number): Promise<number> {
  const ended = new Map<string, number>();
  const findings: Finding[] = [];
  const begun = performance.now();
  let peak = 0;
  const onMessage = (message: Message): void => {
    if ("finding" in message) return report(kind, seed, message.finding, findings);
    for (const [outcome, times] of Object.entries(message.ended)) ended.set(outcome, (ended.get(outcome) ?? 0) + times);
    if (message.residentMegabytes > mostResidentMegabytes && peak <= mostResidentMegabytes) findings.push({ index: -1, what: `the process grew to ${message.residentMegabytes} MB` });
    peak = Math.max(peak, message.residentMegabytes);
  };
  for (let from = first; from < first + count; ) {
    const stopped = await runWorker({ kind, seed, from, to: first + count, progress: new Int32Array(new SharedArrayBuffer(8)) }, onMessage);
    if (stopped === undefined) break;
    report(kind, seed, stopped, findings);
    from = stopped.index + 1;
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  const outcomes = [...ended].sort((a, b) => b[1] - a[1]).map(([outcome, times]) => `${outcome} ${times}`).join(", ");
  console.log(`${count} ${kind}, seed ${seed}, ${seconds} s, at most ${peak} MB: ${outcomes}; ${findings.length} findings`);
  return findings.length;
}

function report(kind: CaseKind, seed: number, finding: Finding, findings: Finding[]): void {
  findings.push(finding);
  console.log(`${kind} case ${finding.index} of seed ${seed}: ${finding.what}`);
  if (finding.bytes === undefined) return;
  const folder = join(import.meta.dirname, "../fuzz-findings");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${kind}-${seed}-${finding.index}.${kind === "images" ? "elf" : "onnx"}`), finding.bytes);
}

/** Runs cases until the end (undefined) or until one takes the worker down. */
function runWorker(task: Task, onMessage: (message: Message) => void): Promise<Finding | undefined> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task, execArgv: process.execArgv, resourceLimits: { maxOldGenerationSizeMb: mostHeapMegabytes } });
    let seen = -1;
    let since = performance.now();
    const finish = (finding: Finding | undefined): void => {
      clearInterval(watch);
      resolve(finding);
    };
    const watch = setInterval(() => {
      const [index, done] = [Atomics.load(task.progress, 0), Atomics.load(task.progress, 1)];
      if (done !== seen) {
        seen = done;
        since = performance.now();
      }
      if (performance.now() - since <= (done === 0 ? longestStartMilliseconds : 2 * longestCaseMilliseconds)) return;
      void worker.terminate();
      finish({ index, what: "does not end" });
    }, 250);
    worker.on("message", onMessage);
    worker.on("error", (error) => finish({ index: Atomics.load(task.progress, 0), what: `takes the process down: ${error.message}` }));
    worker.on("exit", () => finish(undefined));
  });
}

function work({ kind, seed, from, to, progress }: Task): void {
  let ended: Record<string, number> = {};
  const send = (): void => {
    parentPort!.postMessage({ ended, residentMegabytes: Math.round(process.memoryUsage().rss / 2 ** 20) } satisfies Message);
    ended = {};
  };
  for (let index = from; index < to; index++) {
    Atomics.store(progress, 0, index);
    const begun = performance.now();
    const { outcome, bytes } = caseOf[kind](seed, index);
    const milliseconds = Math.round(performance.now() - begun);
    const key = outcome.kind === "diagnostic" ? outcome.code : outcome.kind;
    ended[key] = (ended[key] ?? 0) + 1;
    const slow = milliseconds > longestCaseMilliseconds && index > from;
    if (outcome.kind === "bug" || slow) {
      const what = outcome.kind === "bug" ? outcome.message : `takes ${milliseconds} ms`;
      parentPort!.postMessage({ finding: { index, what, bytes } } satisfies Message);
    }
    Atomics.add(progress, 1, 1);
    if (index % 500 === 499) send();
  }
  send();
}
