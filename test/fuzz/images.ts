/**
 * @file Mutated images: small compiled programs, damaged in bytes, header fields, instruction fields or whole instructions, then given
 * right checksums, so that they get past the door. What the verifier lets through must run within its bounds.
 */
import { InputError } from "@systole/base";
import { Device, type Run } from "@systole/device";
import { GraphBuilder, type Graph } from "@systole/ir";
import { decodeInstruction, encodeInstruction, limits, mnemonics, parseElf, presets, randomBits, randomInstruction, readImage, repairChecksums, verifyImage, writeImage, type Image, type Instruction, type Machine } from "@systole/isa";
import { compile, lowerGraph } from "@systole/systole";
import { nodeModel } from "../../packages/frontend-onnx/test/support.ts";
import { randomOf } from "../../packages/frontend-onnx/test/operatorCase.ts";
import { operatorCases } from "../../packages/frontend-onnx/test/operatorCases.ts";
import { smallNetwork, smallNetworkNames } from "../smallNetworks.ts";
import { randomTensor } from "../support.ts";
import { mutateBytes, pick, type Bits } from "./bytes.ts";
import { ending, type Fuzzed, type Outcome } from "./outcome.ts";

/** Small memories: a case then costs a millisecond, and limits are near. */
export const fuzzMachine: Machine = {
  ...presets["edge-16"], name: "fuzz-4", array: { ...presets["edge-16"].array, rows: 4, columns: 4 }, dataCache: { bytes: 16384, banks: 16, ports: 2 }, accumulators: { bytes: 4096, writeToReadCycles: 1 },
  external: { ...presets["edge-16"].external, bytes: 4 * 1024 * 1024 }, instructionCache: { bytes: 1024, lineBytes: 64 },
};

/** Twenty times what the largest original takes. */
const bounds = { maxPoints: 2 ** 24, maxInstructions: 2 ** 19 };
const watchdogCycles = 4e6;

const operators = ["Softmax", "Gather", "GatherElements", "CumSum", "ArgMax", "ReduceLogSumExp", "LRN", "Pad", "MaxPool", "Conv", "Equal", "Mod"] as const;

let originals: readonly Uint8Array[] | undefined;

/** A contraction and a sum that go on from inputs. */
function continued(): Graph {
  const f32 = (...shape: number[]) => ({ dtype: "f32" as const, shape });
  const b = new GraphBuilder();
  const [x, w] = [b.input("x", f32(20, 9)), b.input("w", f32(20, 7))];
  b.output("g", b.apply("dot", [x, w, b.input("a", f32(9, 7))], { x: "km", w: "kn", out: "mn", k: "k" }));
  b.output("h", b.apply("reduce", [x, b.input("c", f32(9))], { kind: "sum", axes: [0], order: "sequential" }));
  return b.build("continued");
}

/** Made at the first case: compiled small networks, single operators and sums that go on, as files. */
export function originalImages(): readonly Uint8Array[] {
  return (originals ??= [...compiledModels(), writeImage(lowerGraph(continued(), fuzzMachine).image)]);
}

function compiledModels(): readonly Uint8Array[] {
  return [
    ...smallNetworkNames.map((name) => smallNetwork(name, { batch: 1, side: 6, channels: 1, seed: 1 })),
    ...operators.map((operator) => {
      const { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] } = operatorCases[operator]!(randomOf(3));
      return nodeModel(operator, inputs, attributes, opset, fixed, result, outputs);
    }),
  ].map((model) => writeImage(compile(model, fuzzMachine).image));
}

export const fuzzedImages: Fuzzed = {
  bytesOf: (seed, index) => repairChecksums(mutateImage(randomBits(Math.imul(seed, 0x01000193) ^ Math.imul(index, 0x85ebca6b)), originalImages())),
  outcomeOf: (bytes, index) => ending(() => runImageFile(bytes, index)),
};

function mutateImage(bits: Bits, files: readonly Uint8Array[]): Uint8Array {
  const file = Uint8Array.from(pick(bits, files));
  const kind = bits() % 8;
  if (kind === 0) return mutateBytes(bits, file);
  if (kind === 1) return mutateSection(bits, file);
  for (let more = 1 + (bits() % 3); more > 0; more--) mutateInstruction(bits, file, files);
  return file;
}

/** One byte of one section, or a number of its header. */
function mutateSection(bits: Bits, file: Uint8Array): Uint8Array {
  const parsed = parseElf(file);
  if (typeof parsed === "string") return file;
  const index = bits() % parsed.sections.length;
  const { bytes } = parsed.sections[index]!;
  if (bytes.length > 0 && bits() % 3 > 0) {
    const at = bits() % bytes.length;
    // Digits of the JSON sections stay digits: the text stays readable and its numbers change.
    const isDigit = bytes[at]! >= 0x30 && bytes[at]! <= 0x39;
    bytes[at] = isDigit ? 0x30 + (bits() % 10) : bits();
    return file;
  }
  const view = new DataView(file.buffer, parsed.header.sectionOffset + index * 64, 64);
  view.setUint32(4 * (bits() % 16), pick(bits, [0, 1, 16, 64, 4096, file.length, 0x7fffffff, 0xffffffff, bits()]), true);
  return file;
}

/** Changes one instruction where it stands: a field, all of it, its place, or one from another image. */
function mutateInstruction(bits: Bits, file: Uint8Array, files: readonly Uint8Array[]): void {
  const text = textOf(file);
  if (text.length === 0) return;
  const word = pick(bits, text);
  switch (bits() % 8) {
    case 0: return word.set(encodeInstruction(randomInstruction(bits)));
    case 1: return swap(word, pick(bits, text));
    case 2: return word.set(pick(bits, text));
    case 3: return word.set(pick(bits, textOf(pick(bits, files))));
    default: return mutateField(bits, word);
  }
}

function textOf(file: Uint8Array): Uint8Array[] {
  const parsed = parseElf(file);
  if (typeof parsed === "string") return [];
  const size = limits.instructionBytes;
  return parsed.sections.filter((s) => s.name.startsWith(".text.")).flatMap(({ bytes }) => Array.from({ length: Math.floor(bytes.length / size) }, (_, k) => bytes.subarray(k * size, (k + 1) * size)));
}

function swap(a: Uint8Array, b: Uint8Array): void {
  const before = a.slice();
  a.set(b);
  b.set(before);
}

/** A field gets the value it has in a random instruction of its kind, or a neighbour of its own value. */
function mutateField(bits: Bits, word: Uint8Array): void {
  let instruction: Instruction;
  try {
    instruction = decodeInstruction(word);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return word.set(encodeInstruction(randomInstruction(bits, pick(bits, mnemonics))));
  }
  const random = randomInstruction(bits, instruction.op) as unknown as Record<string, number | bigint>;
  const own = instruction as unknown as Record<string, number | bigint>;
  const names = Object.keys(own).filter((name) => name !== "op");
  if (names.length === 0) return;
  const name = pick(bits, names);
  const value = own[name]!;
  const near = typeof value === "bigint" ? value ^ (1n << BigInt(bits() % 64)) : value + pick(bits, [-1, 1, -value + 2 * Math.abs(value), 4, -4]);
  try {
    word.set(encodeInstruction({ ...own, [name]: bits() % 2 === 0 ? random[name]! : near } as unknown as Instruction));
  } catch {
    // The neighbour does not fit its field: the random value does.
    word.set(encodeInstruction({ ...own, [name]: random[name]! } as unknown as Instruction));
  }
}

function runImageFile(bytes: Uint8Array, index: number): Outcome {
  const image = readImage(bytes);
  verifyImage(image, fuzzMachine, bounds);
  const device = new Device(image, fuzzMachine);
  const inputs = new Map(image.symbols.filter((s) => s.kind === "input").map((s, k) => [s.name, randomTensor(s.dtype, s.shape, index + k)]));
  const run = device.run(inputs, { watchdogCycles });
  const problem = problemOf(image, run, device.run(inputs, { timingOnly: true, control: run.control, watchdogCycles }));
  return problem === undefined ? { kind: "ran" } : { kind: "bug", message: problem };
}

/** What every run must hold, whatever the program means. */
function problemOf(image: Image, run: Run, timing: Run): string | undefined {
  if (!(run.cycles > 0 && Number.isFinite(run.cycles))) return `${run.cycles} cycles`;
  if (timing.cycles !== run.cycles) return `${run.cycles} cycles with values, ${timing.cycles} without`;
  for (const [unit, { busy, stalls }] of Object.entries(run.units)) {
    const sum = Object.values(stalls).reduce((a, b) => a + b, busy);
    if (sum !== run.cycles) return `the classes of unit ${unit} add up to ${sum} of ${run.cycles} cycles`;
  }
  const attributed = run.kernels.reduce((sum, kernel) => sum + kernel.cycles, run.outside.cycles);
  if (attributed !== run.cycles) return `the kernels add up to ${attributed} of ${run.cycles} cycles`;
  const missing = image.symbols.find((s) => s.kind === "output" && !run.outputs.has(s.name));
  return missing === undefined ? undefined : `output ${missing.name} is missing`;
}
