/** @file One case: compile it, run every data set on the device, compare. */
import { decodeTensor, Device, fail, formatType, InputError, sameShape, type Compiled, type Machine, type Tensor } from "@systole/systole";
import { compileFor, type GivenTensor } from "../compiling.ts";
import { externalReader, readBytes } from "../files/files.ts";
import type { Case, DataSet } from "./cases.ts";
import { difference } from "./compare.ts";

export type Outcome = "passed" | "failed" | "unsupported";

export interface Verdict {
  readonly name: string;
  readonly outcome: Outcome;
  /** Diagnostic code, where there is one. */
  readonly code?: string;
  readonly reason?: string;
  readonly cycles?: number;
  /** Inputs whose values had to be known while compiling. */
  readonly fixedInputs?: readonly string[];
}

/** Random by definition: values cannot be compared. */
const randomCases = /training_dropout|bernoulli|multinomial|randomnormal|randomuniform/i;

export function judge(one: Case, machine: Machine): Verdict {
  const { name } = one;
  try {
    if (one.dataSets.length === 0) compileSet(one, machine, { name: "", inputs: [], outputs: [] });
    let cycles = 0;
    const fixed = new Set<string>();
    for (const set of one.dataSets) {
      const result = judgeSet(one, set, machine);
      if (result.wrong !== undefined) return { name, outcome: "failed", reason: `${set.name}: ${result.wrong}` };
      cycles += result.cycles;
      result.fixedInputs.forEach((input) => fixed.add(input));
    }
    return { name, outcome: "passed", cycles, ...(fixed.size === 0 ? {} : { fixedInputs: [...fixed] }) };
  } catch (error) {
    return { name, ...refusal(error) };
  }
}

/** What the compiler says it cannot do is unsupported; everything else is a failure of ours. */
function refusal(error: unknown): Omit<Verdict, "name"> {
  if (!(error instanceof InputError)) return { outcome: "failed", reason: error instanceof Error ? error.message : String(error) };
  const { code, message, where } = error.diagnostic;
  const reason = `${message}${where.operator === undefined ? "" : ` (${where.operator}${where.attribute === undefined ? "" : `, attribute ${where.attribute}`})`}`;
  return { outcome: /^E0(104|2|3)/.test(code) ? "unsupported" : "failed", code, reason };
}

interface SetResult {
  readonly wrong: string | undefined;
  readonly cycles: number;
  readonly fixedInputs: readonly string[];
}

function judgeSet(one: Case, set: DataSet, machine: Machine): SetResult {
  const { compiled, inputs } = compileSet(one, machine, set);
  const declared = compiled.model.inputs;
  const fixedInputs = inputs.flatMap(({ name }) => (name === undefined || declared.some((input) => input.name === name) ? [] : [name]));
  const left = inputs.filter(({ name }) => name === undefined || !fixedInputs.includes(name));
  if (left.length !== declared.length) fail("E0601", `the data set has ${left.length} inputs, the model ${declared.length}`);
  const byName = declared.every((input) => left.some(({ name }) => name === input.name));
  const bound = new Map(declared.map((input, i) => [input.name, (byName ? left.find(({ name }) => name === input.name) : left[i])!.tensor]));
  const run = new Device(compiled.image, machine).run(bound);
  const wrong = compiled.model.outputs.slice(0, set.outputs.length).map((output, i) => compareOutput(one, run.outputs.get(output.name), readPb(set.outputs[i]!).tensor, output.name));
  return { wrong: wrong.find((text) => text !== undefined), cycles: run.cycles, fixedInputs };
}

function compareOutput(one: Case, actual: Tensor | undefined, expected: Tensor, name: string): string | undefined {
  if (actual === undefined) return `output "${name}" is missing`;
  if (randomCases.test(one.name)) return actual.dtype === expected.dtype && sameShape(actual.shape, expected.shape) ? undefined : `output "${name}" is ${formatType(actual)}, expected ${formatType(expected)}`;
  const text = difference(actual, expected);
  return text === undefined ? undefined : `output "${name}": ${text}`;
}

/** Inputs that are no tensors of ours do not matter where the model is refused anyway: the model's own diagnostic says more. */
function compileSet(one: Case, machine: Machine, set: DataSet): { readonly compiled: Compiled; readonly inputs: readonly GivenTensor[] } {
  const inputs: GivenTensor[] = [];
  let unreadable: unknown;
  try {
    for (const file of set.inputs) inputs.push(readPb(file));
  } catch (error) {
    unreadable = error;
  }
  const { compiled } = compileFor(readBytes(one.model), machine, { readExternal: externalReader(one.model) }, inputs);
  if (unreadable !== undefined) throw unreadable;
  return { compiled, inputs };
}

function readPb(file: string): { readonly name: string | undefined; readonly tensor: Tensor } {
  const { name, dtype, shape, data } = decodeTensor(readBytes(file));
  return { name: name === "" ? undefined : name, tensor: { dtype, shape, data } };
}
