/** @file Runs passes on the RTL in rtl/ with Icarus Verilog, and the plain integer products that it must give. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Machine } from "@systole/isa";
import type { Block, Pass } from "./schedule.ts";

const rtl = join(import.meta.dirname, "../../rtl");

export function haveSimulator(): boolean {
  return ["iverilog", "vvp"].every((tool) => spawnSync(tool, ["-V"]).error === undefined);
}

export interface Case {
  readonly blocks: readonly Block[];
  readonly passes: readonly Pass[];
}

export interface Outcome {
  /** Of each block: the cycle in which its last sum is in the accumulators; undefined if it never came there. */
  readonly complete: readonly (number | undefined)[];
  /** Slots whose numbers are not those of the products. */
  readonly wrongSlots: readonly number[];
}

/** One run for all cases: they follow each other on the same array, on accumulators that hold nothing. */
export async function simulate(machine: Machine, cases: readonly Case[]): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), "systole-rtl-"));
  try {
    const program = join(folder, "array.vvp");
    const { rows, columns, weightRowsPerCycle } = machine.array;
    const parameters = { ROWS: rows, COLUMNS: columns, WEIGHT_ROWS: weightRowsPerCycle, WRITE_TO_READ: machine.accumulators.writeToReadCycles };
    await run("iverilog", ["-g2012", "-s", "testbench", "-o", program, ...Object.entries(parameters).map(([name, value]) => `-Ptestbench.${name}=${value}`),
      ...readdirSync(rtl).filter((name) => name.endsWith(".sv")).map((name) => join(rtl, name))]);

    const operands = new Operands(machine);
    const prepared = cases.map((given, seed) => prepare(machine, operands, given, seed));
    const [caseFile, xFile, wFile] = ["cases", "x", "w"].map((name) => join(folder, name)) as [string, string, string];
    writeFileSync(caseFile, prepared.map(({ text }) => text).join("\n"));
    writeFileSync(xFile, operands.x.join("\n"));
    writeFileSync(wFile, operands.w.join("\n"));
    const printed = await run("vvp", [program, `+cases=${caseFile}`, `+x=${xFile}`, `+xLines=${operands.x.length}`, `+w=${wFile}`, `+wLines=${operands.w.length}`]);
    const parts = printed.split("case\n");
    if (parts.length !== cases.length + 1) throw new Error(`${cases.length} cases were asked for, ${parts.length - 1} ran`);
    return prepared.map((expected, i) => outcome(cases[i]!, expected, parts[i]!));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Standard output; a tool that fails is an error with what it said. */
async function run(tool: string, options: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(tool, options, { encoding: "utf8", maxBuffer: 1 << 30 });
  return stdout;
}

/** Lines of the two operand memories: a word for each row, or for each column, of the array. Lane 0 stands last, as hexadecimal has it. */
class Operands {
  readonly x: string[] = [];
  readonly w: string[] = [];
  readonly #rows: number;
  readonly #columns: number;

  constructor({ array }: Machine) {
    this.#rows = array.rows;
    this.#columns = array.columns;
  }

  addX(word: (lane: number) => number): void {
    this.x.push(hexLine(this.#rows, word));
  }

  addW(word: (lane: number) => number): void {
    this.w.push(hexLine(this.#columns, word));
  }
}

function hexLine(lanes: number, word: (lane: number) => number): string {
  return Array.from({ length: lanes }, (_, lane) => (word(lanes - 1 - lane) >>> 0).toString(16).padStart(8, "0")).join("");
}

/** Where the panels of a slot lie in the accumulators, and the sums, rows x columns, of what began last in it. */
interface Slot {
  readonly base: number;
  /** Lines of one panel: whole row tiles. */
  readonly lines: number;
  rows: number;
  columns: number;
  sums: Int32Array;
}

interface Prepared {
  readonly text: string;
  readonly slots: ReadonlyMap<number, Slot>;
}

/** Words depend on the case, so that no number of one is right in another. Every bit counts: sums are modulo 2^32. */
function prepare(machine: Machine, operands: Operands, { blocks, passes }: Case, seed: number): Prepared {
  const { rows: R, columns: C } = machine.array;
  if (passes.some(({ load, stream }, i) => i > 0 && (load <= passes[i - 1]!.load || stream <= passes[i - 1]!.stream))) throw new Error("the sequencer takes passes one after the other");
  const { slots, lines } = slotsOf(machine, blocks);
  const lastCycle = 2 * R + C + machine.accumulators.writeToReadCycles + Math.max(...passes.map(({ stream, length }) => stream + length));
  const records = blocks.flatMap((block, index) => {
    const slot = slots.get(block.slot ?? 0)!;
    const x = randomWords(block.rows * block.contracted, 2 * (1000 * seed + index));
    const w = randomWords(block.contracted * block.columns, 2 * (1000 * seed + index) + 1);
    accumulate(block, x, w, slot);
    const xOf = (m: number, k: number) => (m < block.rows && k < block.contracted ? x[m * block.contracted + k]! : 0);
    const wOf = (k: number, n: number) => (k < block.contracted && n < block.columns ? w[k * block.columns + n]! : 0);
    return passes.filter((pass) => pass.block === index).map((pass) => {
      const [xLine, wLine] = [operands.x.length, operands.w.length];
      const column = pass.panel * C;
      if (block.dataflow === "weight-stationary") {
        for (let m = 0; m < block.rows; m++) operands.addX((r) => xOf(m, pass.kTile * R + r));
        for (let r = 0; r < R; r++) operands.addW((c) => wOf(pass.kTile * R + r, column + c));
      } else {
        for (let k = 0; k < block.contracted; k++) {
          operands.addX((r) => xOf(pass.rowTile * R + r, k));
          operands.addW((c) => wOf(k, column + c));
        }
      }
      const sums = slot.base + pass.panel * slot.lines + pass.rowTile * R;
      return [block.dataflow === "output-stationary" ? 1 : 0, pass.continues ? 1 : 0, pass.load, pass.stream, pass.length, xLine, wLine, sums].join(" ");
    });
  });
  return { text: [`${passes.length} ${lastCycle} ${lines}`, ...records].join("\n"), slots };
}

function slotsOf(machine: Machine, blocks: readonly Block[]): { readonly slots: Map<number, Slot>; readonly lines: number } {
  const { rows: R, columns: C } = machine.array;
  const slots = new Map<number, Slot>();
  let base = 0;
  for (const number of new Set(blocks.map(({ slot = 0 }) => slot))) {
    const inside = blocks.filter(({ slot = 0 }) => slot === number);
    const [rows, columns] = [Math.max(...inside.map((block) => block.rows)), Math.max(...inside.map((block) => block.columns))];
    const lines = Math.ceil(rows / R) * R;
    slots.set(number, { base, lines, rows: 0, columns: 0, sums: new Int32Array(0) });
    base += lines * Math.ceil(columns / C);
  }
  return { slots, lines: base };
}

/** The plain product, k ascending. */
function accumulate(block: Block, x: Int32Array, w: Int32Array, slot: Slot): void {
  if (block.continues !== true) Object.assign(slot, { rows: block.rows, columns: block.columns, sums: new Int32Array(block.rows * block.columns) });
  for (let m = 0; m < block.rows; m++) {
    for (let n = 0; n < block.columns; n++) {
      let sum = slot.sums[m * slot.columns + n]!;
      for (let k = 0; k < block.contracted; k++) sum = (sum + Math.imul(x[m * block.contracted + k]!, w[k * block.columns + n]!)) | 0;
      slot.sums[m * slot.columns + n] = sum;
    }
  }
}

function outcome({ blocks, passes }: Case, { slots }: Prepared, printed: string): Outcome {
  const done = new Map<number, number>();
  const lines: string[][] = [];
  for (const line of printed.split("\n")) {
    const [what, number, ...rest] = line.split(" ");
    if (what === "pass") done.set(Number(number), Number(rest[0]));
    if (what === "sums") lines[Number(number)] = rest;
  }
  const complete = blocks.map((_, index) => done.get(passes.findLastIndex((pass) => pass.block === index)));
  const wrongSlots = [...slots].filter(([, slot]) => !holds(slot, lines)).map(([number]) => number);
  return { complete, wrongSlots };
}

/** Words that were never written are printed as x, and equal nothing. */
function holds({ base, lines: panelLines, rows, columns, sums }: Slot, lines: readonly (readonly string[])[]): boolean {
  const wide = lines[base]!.length;
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < columns; n++) {
      const word = lines[base + Math.floor(n / wide) * panelLines + m]![n % wide]!;
      if (word !== (sums[m * columns + n]! >>> 0).toString(16).padStart(8, "0")) return false;
    }
  }
  return true;
}

function randomWords(count: number, seed: number): Int32Array {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  return Int32Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  });
}
