/**
 * @file Real models and architectures from ONNX bytes to numbers, on every machine: within 1e-4 relative plus 1e-5 absolute of the stored
 * outputs or of ONNX Runtime Web, the same bits on every machine and under random tilings, and as many cycles without values as with them.
 */
import { compile, Device, InputError, numbersOf, type Compiled, type Machine, type Tensor } from "@systole/systole";
import { afterAll, describe, expect, test } from "vitest";
import { expectedOf, mismatch, runOnnxRuntime, type Expected } from "../onnxRuntime.ts";
import { difference, machines, randomTensor } from "../support.ts";
import { architectures, dataSetsOf, haveData, readArchitecture, readModel, realModels, removeUnpacked, type DataSet, type ModelRow } from "./zoo.ts";

const relative = 1e-4;
const absolute = 1e-5;

interface Comparison {
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly expected: ReadonlyMap<string, Expected>;
}

interface Build {
  readonly name: string;
  readonly machine: Machine;
  readonly compiled: Compiled;
}

/** Compiles for every machine, and for one of them with random tilings; or gives the refusal. */
function buildsOf(bytes: Uint8Array, number: number, row: Partial<ModelRow> = {}): readonly [Build, ...Build[]] | InputError {
  const options = { batch: 1, ...(row.shapes === undefined ? {} : { shapes: row.shapes }), ...(row.fixedInputs === undefined ? {} : { fixedInputs: row.fixedInputs }) };
  const build = (machine: Machine, tilingSeed?: number): Build => {
    const compiled = compile(bytes, machine, { ...options, ...(tilingSeed === undefined ? {} : { tilingSeed }) });
    return { name: tilingSeed === undefined ? machine.name : `${machine.name} with random tilings`, machine, compiled };
  };
  try {
    const [first, ...others] = machines;
    return [build(first!), ...others.map((machine) => build(machine)), build(machines[number % machines.length]!, number)];
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
}

function randomInputsOf({ model }: Compiled, seed: number, [low, high]: readonly [number, number] = [-1, 1]): Map<string, Tensor> {
  return new Map(model.inputs.map(({ name, type }, i) => {
    const t = randomTensor(type.dtype, type.shape, seed + i);
    if (type.dtype === "f32") for (let k = 0; k < t.data.length; k++) t.data[k] = low + ((high - low) * (Number(t.data[k]) + 1)) / 2;
    return [name, t];
  }));
}

function stored({ model }: Compiled, set: DataSet): Comparison {
  return {
    inputs: new Map(model.inputs.flatMap(({ name }, i) => (set.inputs[i] === undefined ? [] : [[name, set.inputs[i]] as const]))),
    expected: new Map(model.outputs.map(({ name }, i) => [name, expectedOf(set.outputs[i]!)])),
  };
}

/** Runs every build on all inputs; returns the outputs of the first one. */
function check(builds: readonly Build[], comparisons: readonly Comparison[]): readonly ReadonlyMap<string, Tensor>[] {
  const first: ReadonlyMap<string, Tensor>[] = [];
  builds.forEach(({ name: build, machine, compiled }, at) => {
    const device = new Device(compiled.image, machine);
    const timed = device.run(new Map(), { timingOnly: true });
    comparisons.forEach(({ inputs, expected }, k) => {
      const where = `${build}, data set ${k}`;
      const { outputs, cycles } = device.run(inputs);
      expect(cycles, `${where}: cycles with values and without`).toBe(timed.cycles);
      expect([...outputs.keys()].sort(), where).toEqual([...expected.keys()].sort());
      for (const [name, wanted] of expected) {
        const tensor = outputs.get(name)!;
        expect(mismatch(tensor, wanted, relative, absolute), `${where}, output ${name}`).toBeUndefined();
        if (at > 0) expect(difference(tensor, first[k]!.get(name)!), `${where} against ${builds[0]!.name}, output ${name}`).toBeUndefined();
      }
      if (at === 0) first.push(outputs);
    });
  });
  return first;
}

describe.skipIf(!haveData)("real models", () => {
  realModels.forEach((row, number) => {
    test(row.file, async ({ skip }) => {
      const bytes = readModel(row);
      const builds = buildsOf(bytes, number, row);
      if (builds instanceof InputError) {
        if (row.mayBeRefused !== true) throw builds;
        return skip(builds.message);
      }
      const { compiled } = builds[0];
      const sets = dataSetsOf(row);
      const inputs = randomInputsOf(compiled, 5, row.range);
      const comparisons = sets.length > 0 ? sets.map((set) => stored(compiled, set)) : [{ inputs, expected: await runOnnxRuntime(bytes, new Map([...inputs, ...Object.entries(row.fixedInputs ?? {})])) }];
      check(builds, comparisons);
    });
  });
});

describe.skipIf(!haveData)("architectures with hashed weights", () => {
  afterAll(removeUnpacked);

  architectures.forEach((name, number) => {
    test(name, async () => {
      const bytes = readArchitecture(name);
      const builds = buildsOf(bytes, number);
      if (builds instanceof InputError) throw builds;
      const inputs = randomInputsOf(builds[0].compiled, 5);
      const [outputs] = check(builds, [{ inputs, expected: await runOnnxRuntime(bytes, inputs) }]);
      for (const [output, tensor] of outputs!) expectSpread(tensor, `${name} ${output}`);
    });
  });
});

/** Outputs that are all alike, or one of 1 among zeros, would agree with anything. */
function expectSpread(tensor: Tensor, what: string): void {
  const values = numbersOf(tensor);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  expect(new Set(values).size, `${what}: distinct values`).toBeGreaterThan(values.length / 2);
  expect(most - least, `${what}: from the smallest to the largest value`).toBeGreaterThan(50 * absolute);
  const isDistribution = least >= 0 && Math.abs(values.reduce((a, b) => a + b, 0) - 1) < 1e-3;
  if (isDistribution) expect(most, `${what}: largest value`).toBeLessThan(0.9);
}
