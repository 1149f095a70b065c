/** @file Registers of one routine: what they cost in words, and where they end. */
import { InputError } from "@systole/base";
import { limits } from "@systole/isa";
import { expect, test } from "vitest";
import { maskOf, Registers } from "../src/registers.ts";

test("a dimension takes one word, further levels share words of three", () => {
  const registers = new Registers("k");
  const steps = [0, 1, 2, 3, 4].map((level) => ({ level, step: level + 1 }));
  registers.space([{ extent: 4, steps: [] }, { extent: 8, limit: 30, steps }]);
  expect(registers.configuration.map(({ op }) => op)).toEqual(["dim", "dim", "step", "step"]);
  expect(registers.configuration[1]).toMatchObject({ extent: 8, limit: 30, level: 0, step: 1 });
  expect(registers.configuration[2]).toMatchObject({ levelA: 1, stepA: 2, levelB: 2, stepB: 3, levelC: 3, stepC: 4 });
  expect(registers.configuration[3]).toMatchObject({ levelA: 4, stepA: 5, stepB: 0, stepC: 0 });
});

test("a space has at least one dimension", () => {
  const registers = new Registers("k");
  registers.space([]);
  expect(registers.configuration).toMatchObject([{ op: "dim", index: 0, extent: 1 }]);
});

test("a generator is one word where one stride, a dense dimension and one level of slots say all", () => {
  const words = (strides: readonly number[], ring?: { ring: readonly number[]; dependent: readonly number[] }) => {
    const registers = new Registers("k");
    registers.generator({ space: 0, buffer: 0, dtype: "f32", strides, ...(ring === undefined ? {} : { ring }) });
    return registers.configuration;
  };
  expect(words([0, 0, 0, 4])).toMatchObject([{ op: "agu", stride: 0, dense: 4 }]);
  expect(words([100, 0, 4], { ring: [0, 1, 0], dependent: [1] })).toMatchObject([{ op: "agu", stride: 100, along: 0, dense: 3, level: 1, factor: 1 }]);
  expect(words([400, -20, 0, 4])).toMatchObject([{ op: "agu", stride: 400, along: 0, dense: 4 }, { op: "stride", index: 0, s0: 400, s1: -20, s2: 0 }]);
  expect(words([2 ** 33])).toMatchObject([{ op: "agu", stride: 0 }, { op: "stride", index: 0, s0: 2 ** 33 }]);
  // Levels whose factor is 0 are set like others.
  expect(words([], { ring: [0, 2, 0, 1], dependent: [0, 1, 3] })).toMatchObject([{ op: "agu", level: 3, factor: 1 }, { op: "ring", levelA: 0, factorA: 0, levelB: 1, factorB: 2 }]);
});

test("running out of registers is a diagnostic that names the kernel", () => {
  const take = (make: (r: Registers, i: number) => void, count: number) => {
    const registers = new Registers("conv1");
    for (let i = 0; i < count; i++) make(registers, i);
  };
  const space = (r: Registers, i: number) => r.space([{ extent: 1 + i, steps: [] }]);
  take(space, limits.spaces);
  expect(() => take(space, limits.spaces + 1)).toThrow(InputError);
  expect(() => take((r, i) => r.generator({ space: 0, buffer: 0, dtype: "f32", base: 4 * i, strides: [4] }), limits.generators + 1)).toThrow(/65 address generators.*64[\s\S]*conv1/);
  expect(() => take((r) => r.buffer("cache", 0, 64, 1), limits.buffers + 1)).toThrow(/129 buffers/);
});

test("what is asked for twice is set once", () => {
  const registers = new Registers("k");
  const space = () => registers.space([{ extent: 4, limit: 7, steps: [{ level: 0, step: 4 }] }]);
  const generator = () => registers.generator({ space: space(), buffer: 0, dtype: "f32", strides: [4] });
  expect([space(), space()]).toEqual([0, 0]);
  expect([generator(), generator()]).toEqual([0, 0]);
  expect(registers.configuration.map(({ op }) => op)).toEqual(["dim", "agu"]);
});

test("masks of levels", () => {
  expect(maskOf([])).toBe(0);
  expect(maskOf([0, 3, 7])).toBe(0b10001001);
});
