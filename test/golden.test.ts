/** @file A small network through every text form: graph, schedule, assembly. `npx vitest run test/golden.test.ts -u` writes them anew. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InputError } from "@systole/base";
import { emitImage } from "@systole/codegen";
import { optimize, parseGraph, printGraph } from "@systole/ir";
import { assembleRoutines, disassembleRoutines, presets, verifyImage, type Machine } from "@systole/isa";
import { printSchedule, schedule } from "@systole/scheduler";
import { expect, test } from "vitest";

const golden = (name: string) => fileURLToPath(new URL(`golden/${name}`, import.meta.url));
const source = readFileSync(golden("cnn.ir"), "utf8");
const graph = optimize(parseGraph(source));

test("the graph prints as it was read", () => {
  expect(printGraph(parseGraph(source))).toBe(source);
});

for (const machine of Object.values(presets)) {
  test(`schedule and assembly for ${machine.name}`, async () => {
    const scheduled = schedule(graph, machine);
    const image = emitImage(scheduled, machine);
    verifyImage(image, machine);
    const assembly = disassembleRoutines(image.routines);
    await expect(printSchedule(scheduled)).toMatchFileSnapshot(golden(`cnn.${machine.name}.schedule`));
    await expect(assembly).toMatchFileSnapshot(golden(`cnn.${machine.name}.asm`));
    expect(disassembleRoutines(assembleRoutines(assembly))).toBe(assembly);
  });
}

test("compiling twice gives the same image", () => {
  const once = () => JSON.stringify(emitImage(schedule(graph, presets["train-32"]), presets["train-32"]), (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  expect(once()).toBe(once());
});

test("what does not fit is refused with required, available and missing bytes", () => {
  const diagnosticOf = (machine: Machine) => {
    try {
      schedule(graph, machine);
    } catch (error) {
      if (error instanceof InputError) return error.diagnostic;
      throw error;
    }
    return undefined;
  };
  const tiny = diagnosticOf({ ...presets["edge-16"], dataCache: { bytes: 256, banks: 16, ports: 2 } });
  expect(tiny?.code).toBe("E0302");
  expect(tiny?.where.node).toBe("conv1");
  expect(tiny?.message).toMatch(/data cache required \d+, available 256, missing \d+ bytes/);
  const small = diagnosticOf({ ...presets["edge-16"], external: { ...presets["edge-16"].external, bytes: 1024 } });
  expect(small?.code).toBe("E0302");
  expect(small?.message).toMatch(/required \d+, available 1024, missing \d+ bytes/);
});
