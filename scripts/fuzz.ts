/**
 * @file Long run of the fuzzer: `npm run fuzz -- --images 100000 --models 20000 --seed 1`. Every case ends in a diagnostic or a correct
 * run; anything else is reported with its number, and its bytes are kept in `fuzz-findings/`. Cases run in a process of their own
 * with a bounded heap, watched from here, so that a hang or exhausted memory is one more finding and the run goes on behind it.
 */
import { fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fuzzedImages } from "../test/fuzz/images.ts";
import { fuzzedModels } from "../test/fuzz/models.ts";
import { caseKinds, longestCaseMilliseconds, type CaseKind, type Fuzzed } from "../test/fuzz/outcome.ts";

const heapMegabytes = 1024;
const mostResidentMegabytes = 3072;
/** Before the first case ends, a process loads the sources and compiles the originals. */
const longestStartMilliseconds = 60_000;
const mostFindings = 100;

interface Task {
  readonly kind: CaseKind;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
}

interface Finding {
  readonly index: number;
  readonly what: string;
}

type Message =
  | { readonly begun: number }
  | { readonly ended: Readonly<Record<string, number>>; readonly megabytes: number }
  | { readonly finding: Finding };

const fuzzed: Readonly<Record<CaseKind, Fuzzed>> = { images: fuzzedImages, models: fuzzedModels };

if (process.send === undefined) await main();
else process.once("message", (task: Task) => void work(task));

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { images: { type: "string", default: "100000" }, models: { type: "string", default: "20000" }, seed: { type: "string", default: "1" }, first: { type: "string", default: "0" } } });
  let findings = 0;
  for (const kind of caseKinds) findings += await fuzz(kind, Number(values.seed), Number(values.first), Number(values[kind]));
  console.log(findings === 0 ? "nothing found" : `${findings} findings`);
  process.exitCode = findings === 0 ? 0 : 1;
}

async function fuzz(kind: CaseKind, seed: number, first: number, count: number): Promise<number> {
  const ended = new Map<string, number>();
  const begun = performance.now();
  let findings = 0;
  let peak = 0;
  const report = ({ index, what }: Finding): void => {
    findings++;
    console.log(`${kind} case ${index} of seed ${seed}: ${what}`);
    if (index >= 0) keep(kind, seed, index);
  };
  const onMessage = (message: Exclude<Message, { begun: number }>): void => {
    if ("finding" in message) return report(message.finding);
    for (const [outcome, times] of Object.entries(message.ended)) ended.set(outcome, (ended.get(outcome) ?? 0) + times);
    if (message.megabytes > mostResidentMegabytes && peak <= mostResidentMegabytes) report({ index: -1, what: `the process has grown to ${message.megabytes} MB` });
    peak = Math.max(peak, message.megabytes);
  };
  for (let from = first; from < first + count && findings < mostFindings; ) {
    const stopped = await runProcess({ kind, seed, from, to: first + count }, onMessage);
    if (stopped === undefined) break;
    report(stopped);
    from = stopped.index + 1;
  }
  const seconds = Math.round((performance.now() - begun) / 1000);
  const outcomes = [...ended].sort((a, b) => b[1] - a[1]).map(([outcome, times]) => `${outcome} ${times}`).join(", ");
  console.log(`${count} ${kind}, seed ${seed}, ${seconds} s, at most ${peak} MB: ${outcomes}; ${findings} findings`);
  return findings;
}

/** Runs cases until the end (undefined) or until one takes the process down. */
function runProcess(task: Task, onMessage: (message: Exclude<Message, { begun: number }>) => void): Promise<Finding | undefined> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [...process.execArgv, `--max-old-space-size=${heapMegabytes}`] });
    let index = task.from;
    let done = 0;
    let since = performance.now();
    let hangs = false;
    const watch = setInterval(() => {
      if (performance.now() - since <= (done === 0 ? longestStartMilliseconds : 2 * longestCaseMilliseconds)) return;
      hangs = true;
      child.kill("SIGKILL");
    }, 250);
    child.on("message", (message: Message) => {
      since = performance.now();
      if (!("begun" in message)) return onMessage(message);
      index = message.begun;
      done++;
    });
    child.on("exit", (code, signal) => {
      clearInterval(watch);
      resolve(code === 0 ? undefined : { index, what: hangs ? "does not end" : `takes the process down (${signal ?? code})` });
    });
    child.send(task);
  });
}

async function work({ kind, seed, from, to }: Task): Promise<void> {
  const tell = (message: Message): void => void process.send!(message);
  let ended: Record<string, number> = {};
  for (let index = from; index < to; index++) {
    tell({ begun: index });
    const begun = performance.now();
    const outcome = fuzzed[kind].outcomeOf(fuzzed[kind].bytesOf(seed, index), index);
    const milliseconds = Math.round(performance.now() - begun);
    const key = outcome.kind === "diagnostic" ? outcome.code : outcome.kind;
    ended[key] = (ended[key] ?? 0) + 1;
    const what = outcome.kind === "bug" ? outcome.message : milliseconds > longestCaseMilliseconds && index > from ? `takes ${milliseconds} ms` : undefined;
    if (what !== undefined) tell({ finding: { index, what } });
    // Messages leave while this process waits.
    if (index % 64 === 63) await new Promise(setImmediate);
    if (index % 512 !== 511) continue;
    tell({ ended, megabytes: residentMemory() });
    ended = {};
  }
  process.send!({ ended, megabytes: residentMemory() } satisfies Message, () => process.disconnect());
}

function residentMemory(): number {
  return Math.round(process.memoryUsage.rss() / 2 ** 20);
}

/** The bytes are made again: a process that was taken down could not hand them over. */
function keep(kind: CaseKind, seed: number, index: number): void {
  const folder = join(import.meta.dirname, "../fuzz-findings");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${kind}-${seed}-${index}.${kind === "images" ? "elf" : "onnx"}`), fuzzed[kind].bytesOf(seed, index));
}
