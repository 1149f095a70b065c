import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { InputError } from "@systole/base";
import { formatMachine, machineHash, parseMachine, presetNames, presets } from "@systole/isa";

const text = formatMachine(presets["edge-16"]);
const edited = (edit: (machine: any) => void): string => {
  const machine = JSON.parse(text);
  edit(machine);
  return JSON.stringify(machine);
};
const messageOf = (source: string): string => {
  try {
    parseMachine(source, "m.json");
  } catch (error) {
    if (error instanceof InputError && error.diagnostic.code === "E0301") return error.diagnostic.message;
    throw error;
  }
  return "accepted";
};

describe("machine files", () => {
  it.each(presetNames)("%s is the file machines/%s.json", (name) => {
    const file = readFileSync(new URL(`../machines/${name}.json`, import.meta.url), "utf8");
    expect(file).toBe(formatMachine(presets[name]));
    expect(parseMachine(file, name)).toEqual(presets[name]);
  });

  it.each([
    ["not JSON", "{", "not JSON"],
    ["not an object", "[]", "the file: accepted is an object with the fields of a machine"],
    ["an unknown field", edited((m) => (m.array.depth = 3)), "unknown field array.depth"],
    ["a missing field", edited((m) => delete m.dma.channels), "field dma.channels: accepted is a whole number from 1 to 256"],
    ["a missing group", edited((m) => delete m.dma), "field dma: accepted is an object with the fields channels"],
    ["a wrong type", edited((m) => (m.array.rows = "16")), "field array.rows: accepted is a whole number from 1 to 1024"],
    ["a fraction", edited((m) => (m.array.rows = 1.5)), "field array.rows: accepted is a whole number from 1 to 1024"],
    ["out of range", edited((m) => (m.queueDepth = 0)), "field queueDepth: accepted is a whole number from 1 to 1024"],
    ["no power of two", edited((m) => (m.vector.lanes = 24)), "field vector.lanes: accepted is a power of two from 1 to 512"],
    ["a bad choice", edited((m) => (m.array.overlap = "none")), 'field array.overlap: accepted is "shadow" or "serial"'],
    ["a bad name", edited((m) => (m.name = "a b")), "field name: accepted is 1 to 64 letters"],
    ["too much memory", edited((m) => (m.external.bytes = 2 ** 33)), "field external.bytes: accepted is a whole number from 65536 to 4294967296, a multiple of 4096"],
    ["lines that do not divide", edited((m) => (m.instructionCache.bytes = 4112)), "field instructionCache.bytes is 4112"],
  ])("refuses %s", (_, source, message) => expect(messageOf(source)).toContain(message));

  it("the hash sees every number and not the name", () => {
    const hash = machineHash(presets["edge-16"]);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(machineHash({ ...presets["edge-16"], name: "other" })).toBe(hash);
    expect(machineHash({ ...presets["edge-16"], queueDepth: 9 })).not.toBe(hash);
    expect(new Set(presetNames.map((name) => machineHash(presets[name]))).size).toBe(3);
    const { queueDepth, ...rest } = presets["edge-16"];
    expect(machineHash({ queueDepth, ...rest })).toBe(hash);
  });
});
