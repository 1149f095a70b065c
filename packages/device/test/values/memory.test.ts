/** @file The simulated memories: regions, growth of scratch, what does not fit. */
import { InputError } from "@systole/base";
import { expect, test } from "vitest";
import { Memory } from "../../src/memory.ts";
import { machine, newMemory } from "./support.ts";

test("regions do not overlap and keep their bytes when scratch grows", () => {
  const memory = newMemory();
  memory.write("external", "f32", (1 << 20) - 4, 1);
  memory.write("cache", "i64", 0, -2);
  memory.write("accumulator", "bool", 0, 7);
  const before = memory.u8.buffer;
  const first = memory.reserve(8 << 20);
  memory.u8.fill(0xff, first, first + (8 << 20));
  expect(memory.u8.buffer).not.toBe(before);
  expect(memory.read("external", "f32", (1 << 20) - 4)).toBe(1);
  expect(memory.read("cache", "i64", 0)).toBe(-2);
  expect(memory.read("accumulator", "bool", 0)).toBe(1);
  expect([...memory.bytes("cache", 0, 8)]).toEqual([254, 255, 255, 255, 255, 255, 255, 255]);
});

test("packed scratch is reused and grows", () => {
  const memory = newMemory();
  const small = memory.pack(1000);
  expect(memory.pack(2000)).toBe(small);
  expect(memory.pack(1 << 20)).not.toBe(small);
});

test("more than 4 GiB is refused with the missing bytes", () => {
  try {
    new Memory(machine, 2 ** 32);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).diagnostic).toMatchObject({ code: "E0302", notes: [expect.stringMatching(/bytes are missing/)] });
  }
});
