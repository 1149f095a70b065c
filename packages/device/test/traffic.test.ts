import { dtypes } from "@systole/base";
import { presets, type ResolvedGenerator } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newPlacement } from "../src/geometry.ts";
import { countTraffic, type Extent } from "../src/timing/dmaTiming.ts";
import { VectorCost, type VectorStep } from "../src/timing/vectorTiming.ts";

/** Walks all addresses, cuts them in contiguous runs and counts the bursts of each. */
function slowBursts(extents: readonly Extent[], width: number, start: number, burst: number): number {
  const sorted = extents.filter((e) => e.count > 1 && e.stride !== 0).sort((a, b) => b.stride - a.stride);
  let addresses = [start];
  let run = width;
  while (sorted.length > 0 && sorted.at(-1)!.stride === run) run *= sorted.pop()!.count;
  for (const { stride, count } of sorted) addresses = addresses.flatMap((a) => Array.from({ length: count }, (_, i) => a + i * stride));
  return addresses.reduce((sum, a) => sum + Math.floor((a + run - 1) / burst) - Math.floor(a / burst) + 1, 0);
}

describe("bursts", () => {
  it("counts what a walk over all runs counts", () => {
    const extent = fc.record({ stride: fc.integer({ min: 0, max: 40 }).map((x) => x * 4), count: fc.integer({ min: 1, max: 9 }) });
    fc.assert(fc.property(fc.array(extent, { maxLength: 4 }), fc.integer({ min: 0, max: 63 }).map((x) => x * 4), fc.constantFrom(16, 64), (extents, start, burst) => {
      expect(countTraffic(extents, 4, start, burst).bursts).toBe(slowBursts(extents, 4, start, burst));
    }));
  });

  it("a row-major region is one run, in whatever order its dimensions stand", () => {
    const extents = [{ stride: 4, count: 10 }, { stride: 40 * 7, count: 3 }, { stride: 40, count: 7 }];
    expect(countTraffic(extents, 4, 0, 64)).toEqual({ bursts: Math.ceil(840 / 64), usedBytes: 840 });
  });

  it("negative strides count as their mirror image", () => {
    expect(countTraffic([{ stride: -4, count: 32 }], 4, 124, 64)).toEqual({ bursts: 2, usedBytes: 128 });
  });
});

describe("vector unit", () => {
  const lanes = presets["edge-16"].vector.lanes;
  const generator = (strides: readonly number[]): ResolvedGenerator => ({
    buffer: { id: 0, memory: "cache", base: 0, slotBytes: 1 << 20, slots: 1 }, dtype: "f32", mode: "relative", levels: [], base: 0, strides, ring: [],
  });
  function cost(extents: readonly number[], operands: readonly (readonly number[])[], rest: Partial<VectorStep> = {}): number {
    const placement = newPlacement();
    placement.rank = extents.length;
    extents.forEach((extent, d) => (placement.extents[d] = extent));
    const [target, ...streams] = operands.map(generator);
    const step: VectorStep = {
      kind: "vector", address: 0, first: [], last: [], start: [], stages: [], reduction: "none", reduced: 0, order: "sequential", target: target!, streams,
      space: { dimensions: extents.map((extent) => ({ extent, offset: 0, limit: 0, mode: "cut", steps: [] })) }, ...rest,
    };
    return new VectorCost(presets["edge-16"]).cycles(step, placement);
  }
  const width = dtypes.f32.bytes;

  it("merges dimensions that all operands continue", () => {
    expect(cost([5, 10], [[10 * width, width], [10 * width, width]])).toBe(Math.ceil(50 / lanes));
    expect(cost([5, 10], [[10 * width, width], [0, width]])).toBe(5);
  });

  it("pooling fills the lanes with channels", () => {
    expect(cost([4, 20, 3, 3], [[80, 4, 0, 0], [160, 4, 320, 80]], { reduction: "max", reduced: 2 })).toBe(4 * 9 * 2);
  });

  it("a blocked sum fills the lanes with the row; a sequential one cannot", () => {
    const operands = [[4, 0], [4000, 4]];
    expect(cost([3, 1000], operands, { reduction: "sum", reduced: 1, order: "blocked" })).toBe(3 * Math.ceil(1000 / lanes));
    expect(cost([3, 1000], operands, { reduction: "sum", reduced: 1 })).toBe(1000);
  });

  it("slow functions cost their lane cycles", () => {
    const stage = { operation: "exp", sources: [{ kind: "stream", index: 0 }], operands: "f32", dtype: "f32" } as const;
    expect(cost([64], [[4], [4]], { stages: [stage] })).toBe(4 * 4);
  });
});
