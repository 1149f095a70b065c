import { presets, type Machine } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ArrayClock, type GemmShape } from "../src/timing/arrayTiming.ts";

function machineOf(array: Partial<Machine["array"]>, writeToReadCycles = 1): Machine {
  const base = presets["edge-16"];
  return { ...base, array: { ...base.array, ...array }, accumulators: { ...base.accumulators, writeToReadCycles } };
}

const idle = { dispatched: 0, x: 0, w: 0, sumsWritten: 0, sumsRead: 0, slot: 0 };
const shape = (rows: number, columns: number, contracted: number, rest: Partial<GemmShape> = {}): GemmShape => ({ rows, columns, contracted, weightStationary: true, continues: false, ...rest });
const cycles = (machine: Machine, gemm: GemmShape): number => new ArrayClock(machine).schedule(gemm, idle).complete;

describe("weight-stationary", () => {
  it("agrees with RTL: 64x64x64 with shadow weights", () => {
    expect(cycles(machineOf({ rows: 8, columns: 8 }), shape(64, 64, 64))).toBe(4118);
    expect(cycles(machineOf({ rows: 16, columns: 16 }), shape(64, 64, 64))).toBe(1070);
  });

  it("follows the closed form for panels of independent outputs", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 12 }), (r, c, m, n) => {
      expect(cycles(machineOf({ rows: r, columns: c }), shape(m, n * c, r))).toBe(r + (n - 1) * Math.max(m, r) + m + r + c - 2);
    }));
  });

  it("strict k: consecutive tiles of one panel start R + 1 + a apart, 9 at 8x8 and 18 at 16x16", () => {
    const time = (r: number, m: number): number => cycles(machineOf({ rows: r, columns: r }), shape(m, r, 2 * r)) - cycles(machineOf({ rows: r, columns: r }), shape(m, r, r));
    expect(time(16, 16)).toBe(18);
    expect(cycles(machineOf({ rows: 8, columns: 8 }, 0), shape(8, 8, 16)) - cycles(machineOf({ rows: 8, columns: 8 }, 0), shape(8, 8, 8))).toBe(9);
    expect(time(16, 40)).toBe(40);
  });

  it("two panels interleaved restore max(M, R)", () => {
    const machine = machineOf({ rows: 16, columns: 16 });
    expect(cycles(machine, shape(16, 32, 32))).toBe(16 + 3 * 16 + 16 + 30);
  });

  it("k split over two instructions costs what one instruction costs", () => {
    const machine = machineOf({});
    for (const m of [4, 16, 17, 18, 60]) {
      const clock = new ArrayClock(machine);
      const first = clock.schedule(shape(m, 16, 32), idle);
      const second = clock.schedule(shape(m, 16, 32, { continues: true }), { ...idle, sumsWritten: first.complete });
      expect(second.complete).toBe(cycles(machine, shape(m, 16, 64)));
    }
  });

  it("sums that another unit has touched are waited for", () => {
    const clock = new ArrayClock(machineOf({}));
    const first = clock.schedule(shape(16, 16, 16), idle);
    const second = clock.schedule(shape(16, 16, 16, { continues: true }), { ...idle, sumsWritten: first.complete + 50 });
    expect([second.start, second.cause]).toEqual([first.complete + 50, "sum"]);
  });
});

describe("output-stationary", () => {
  it("agrees with RTL and the closed form", () => {
    const machine = machineOf({ rows: 8, columns: 8 });
    expect(cycles(machine, shape(64, 64, 64, { weightStationary: false }))).toBe(4118);
    expect(cycles(machineOf({}), shape(64, 64, 64, { weightStationary: false }))).toBe(1070);
    fc.assert(fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 12 }), (r, c, k, n) => {
      expect(cycles(machineOf({ rows: r, columns: c }), shape(r, n * c, k, { weightStationary: false }))).toBe((n - 1) * Math.max(k, 2 * r - 1) + k + 2 * r + c - 2);
    }));
  });

  it("preloaded sums stream R more rows", () => {
    const plain = cycles(machineOf({}), shape(16, 16, 50, { weightStationary: false }));
    expect(cycles(machineOf({}), shape(16, 16, 50, { weightStationary: false, continues: true }))).toBe(plain + 16);
  });

  it("sums find the drain registers empty: the last k comes 2R - 1 cycles after that of the pass before, whatever the two lengths", () => {
    const lengths = fc.integer({ min: 1, max: 80 });
    fc.assert(fc.property(lengths, lengths, (before, after) => {
      const clock = new ArrayClock(machineOf({}));
      const first = clock.schedule(shape(16, 16, before, { weightStationary: false }), idle);
      const second = clock.schedule(shape(16, 16, after, { weightStationary: false }), { ...idle, slot: 1 });
      expect(second.start).toBe(first.streamed + Math.max(0, 31 - after));
    }));
  });

  it("on a narrow array with slow accumulators complete sums are not there yet for a block that goes on with them", () => {
    const narrow = machineOf({ rows: 2, columns: 2 }, 3);
    const starts = [true, false].map((weightStationary) => {
      const clock = new ArrayClock(narrow);
      const first = clock.schedule(shape(1, 2, 2, { weightStationary }), idle);
      const second = clock.schedule(shape(1, 2, 2, { weightStationary: false, continues: true }), { ...idle, sumsWritten: first.complete });
      return second.start - first.complete;
    });
    // R + 1 + a after the last row or k, and 1 + C + R - 2 or 2R + C - 2 until the sums are complete.
    expect(starts).toEqual([3, 2]);
  });

  it("a change of dataflow waits for the drain", () => {
    const clock = new ArrayClock(machineOf({}));
    const first = clock.schedule(shape(16, 16, 16), idle);
    expect(clock.schedule(shape(16, 16, 16, { weightStationary: false }), { ...idle, slot: 1 }).start).toBe(first.complete);
  });
});

describe("serial overlap", () => {
  it("counts what SCALE-Sim counts, plus one", () => {
    const machine = machineOf({ rows: 32, columns: 32, overlap: "serial" });
    expect(cycles(machine, shape(128, 128, 128))).toBe(16 * (2 * 32 + 32 + 128 - 2));
    expect(cycles(machine, shape(128, 128, 128, { weightStationary: false }))).toBe(16 * (32 + 32 + 128 - 2));
  });
});

it("busy and lost cycles fill the time from the first row to the last", () => {
  const size = fc.integer({ min: 1, max: 100 });
  fc.assert(fc.property(size, size, size, fc.boolean(), fc.boolean(), fc.constantFrom("shadow", "serial"), (m, n, k, weightStationary, continues, overlap) => {
    const time = new ArrayClock(machineOf({ overlap })).schedule(shape(m, n, k, { weightStationary, continues }), idle);
    expect(time.lost.every(([, lost]) => lost >= 0)).toBe(true);
    expect(time.lost.reduce((sum, [, lost]) => sum + lost, time.busy)).toBe(time.streamed - time.start);
  }));
});
