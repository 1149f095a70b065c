import { fail, tensor, InputError, type Tensor } from "@systole/base";
import { presets, unitNames, type Machine } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Device, runImage, type Run } from "../src/index.ts";
import { imageOf, matmulImage, type MatmulOptions } from "./programs.ts";

const edge: Machine = presets["edge-16"];

function numbers(count: number, seed: number): number[] {
  let state = seed >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
}

function operands([m, n, k]: MatmulOptions["size"]): Map<string, Tensor> {
  return new Map([["x", tensor("f32", [m, k], numbers(m * k, 1))], ["w", tensor("f32", [k, n], numbers(k * n, 2))]]);
}

function expected(inputs: ReadonlyMap<string, Tensor>, [m, n, k]: MatmulOptions["size"]): number[] {
  const x = inputs.get("x")!.data as Float32Array;
  const w = inputs.get("w")!.data as Float32Array;
  const y: number[] = [];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let c = 0; c < k; c++) sum = Math.fround(sum + Math.fround(x[i * k + c]! * w[c * n + j]!));
      y.push(Math.max(sum, 0));
    }
  }
  return y;
}

const none = new Map<string, Tensor>();
const time = (machine: Machine, options: MatmulOptions): Run => runImage(matmulImage(machine, options), machine, none, { timingOnly: true });

const options = fc.record({
  size: fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 60 })),
  tile: fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 24 })),
  dataflow: fc.constantFrom("weight-stationary" as const, "output-stationary" as const),
  slots: fc.integer({ min: 1, max: 3 }),
});

function checkSums(run: Run): void {
  for (const unit of unitNames) {
    const { busy, stalls } = run.units[unit];
    expect(Object.values(stalls).every((cycles) => cycles >= 0)).toBe(true);
    expect(Object.values(stalls).reduce((sum, cycles) => sum + cycles, busy), unit).toBe(run.cycles);
  }
  const kernels = [...run.kernels, run.outside];
  expect(kernels.reduce((sum, kernel) => sum + kernel.cycles, 0)).toBe(run.cycles);
  expect(kernels.reduce((sum, kernel) => sum + kernel.macs, 0)).toBe(run.macs);
  expect(kernels.reduce((sum, kernel) => sum + kernel.readBytes, 0)).toBe(run.external.readBytes);
  expect(Object.values(run.submodules).reduce((sum, cycles) => sum + cycles, 0)).toBe(run.cycles);
  expect(run.external.usedReadBytes).toBeLessThanOrEqual(run.external.readBytes);
}

describe("a tiled product", () => {
  it("gives the bits of a plain loop, whatever the tiles; without values the same cycles; all books close", () => {
    fc.assert(fc.property(options, (o) => {
      const image = matmulImage(edge, o);
      const inputs = operands(o.size);
      const run = runImage(image, edge, inputs, { maxTraceEvents: 10 });
      expect(Array.from(run.outputs.get("y")!.data as Float32Array)).toEqual(expected(inputs, o.size));
      checkSums(run);
      expect(run.macs).toBe(o.size[0] * o.size[1] * o.size[2]);
      const { outputs: _, ...timed } = runImage(image, edge, none, { timingOnly: true, maxTraceEvents: 10 });
      expect({ ...run, outputs: undefined }).toEqual({ ...timed, outputs: undefined });
    }), { numRuns: 60 });
  });

  it("keeps the array busy where the operands come in time", () => {
    const machine = { ...edge, external: { ...edge.external, readBytesPerCycle: 128 } };
    const run = time(machine, { size: [512, 256, 256], tile: [128, 16, 128] });
    const ideal = (512 * 256 * 256) / 256;
    expect(run.units.array.busy).toBe(ideal);
    expect(run.cycles).toBeLessThan(ideal * 1.05);
    expect(run.kernels[0]!.boundBy).toBe("array");
  });

  it("moves each operand tile once per use", () => {
    const run = time(edge, { size: [64, 64, 64], tile: [64, 32, 64] });
    expect(run.external).toEqual({ readBytes: (2 * 64 * 64 + 64 * 64) * 4, writeBytes: 64 * 64 * 4, usedReadBytes: (2 * 64 * 64 + 64 * 64) * 4, usedWriteBytes: 64 * 64 * 4 });
  });

  it("is fast without values", () => {
    const started = performance.now();
    const run = time(edge, { size: [256, 256, 4096], tile: [16, 16, 64] });
    expect(run.instructions.executed).toBeGreaterThan(49_000);
    expect(performance.now() - started).toBeLessThan(1500);
  });
});

describe("a better machine is never slower", () => {
  const better: readonly (readonly [string, (machine: Machine, by: number) => Machine])[] = [
    ["read bandwidth", (m, by) => ({ ...m, external: { ...m.external, readBytesPerCycle: m.external.readBytesPerCycle * by } })],
    ["write bandwidth", (m, by) => ({ ...m, external: { ...m.external, writeBytesPerCycle: m.external.writeBytesPerCycle * by } })],
    ["latency", (m, by) => ({ ...m, external: { ...m.external, latencyCycles: Math.floor(m.external.latencyCycles / by) } })],
    ["lanes", (m, by) => ({ ...m, vector: { ...m.vector, lanes: m.vector.lanes * by } })],
    ["channels", (m, by) => ({ ...m, dma: { channels: m.dma.channels * by } })],
    ["weight rows", (m, by) => ({ ...m, array: { ...m.array, weightRowsPerCycle: m.array.weightRowsPerCycle * by } })],
    ["queues", (m, by) => ({ ...m, queueDepth: m.queueDepth * by })],
  ];
  const slow: Machine = { ...edge, external: { ...edge.external, readBytesPerCycle: 7, writeBytesPerCycle: 5, latencyCycles: 90 }, dma: { channels: 2 }, queueDepth: 2, vector: { ...edge.vector, lanes: 2 } };
  it.each(better)("%s", (_, improve) => {
    fc.assert(fc.property(options, fc.integer({ min: 2, max: 5 }), fc.constantFrom(edge, slow), (o, by, machine) => {
      expect(cyclesOf(improve(machine, by), o)).toBeLessThanOrEqual(cyclesOf(machine, o));
    }), { numRuns: 60 });
  });
  const cyclesOf = (machine: Machine, o: MatmulOptions): number => time(machine, o).cycles;
});

const float = (value: number): string => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return `0x${view.getBigUint64(0).toString(16)}`;
};

describe("control", () => {
  /** r1 counts to `limit`; x is an f64 in external memory that takes part through the data cache. */
  const counting = (limit: number): string => `
.routine "main" control
sop operation=mov target=r1 a=63 immediate=0x0
assign routine=1
converge routine=2 back=1
io what=store external=0 cache=0 bytes=8
halt
.routine "body" control
buf id=b0 memory=cache base=0 slotBytes=64
dim space=p0 index=0 extent=1
agu id=a0 space=p0 buffer=b0 dtype=f64
sop operation=add target=r1 a=r1 b=63 immediate=${float(1)}
smov register=r1 generator=a0 direction=to-memory
ret
.routine "judge" control
buf id=b0 memory=cache base=0 slotBytes=64
dim space=p0 index=0 extent=1
agu id=a0 space=p0 buffer=b0 dtype=f64
smov register=r2 generator=a0 direction=to-register
sop operation=le target=r0 a=63 b=r2 immediate=${float(limit)}
br register=r0 when=1 target=6
ret
`;
  const image = (limit: number) => imageOf(edge, counting(limit), [{ name: "count", kind: "output", dtype: "f64", shape: [1], address: 0 }], 64);

  it("iterates until the judgement, and replays without values", () => {
    const run = runImage(image(5), edge, none);
    expect(Array.from(run.outputs.get("count")!.data as Float64Array)).toEqual([5]);
    expect(run.control.filter((back) => back)).toHaveLength(4 + 1);
    checkSums(run);
    expect(runImage(image(5), edge, none, { timingOnly: true, control: run.control }).cycles).toBe(run.cycles);
    expect(codeOf(() => runImage(image(5), edge, none, { timingOnly: true }))).toBe("E0603");
  });

  it("the watchdog ends what does not end", () => {
    const error = caught(() => runImage(image(1e300), edge, none, { watchdogCycles: 10_000 }));
    expect(error.diagnostic).toMatchObject({ code: "E0502", where: { routine: expect.any(String) as string } });
  });
});

describe("faults", () => {
  const gathering = `
.routine "main" control
call routine=1
halt
.routine "lookup" basic kernel=0
buf id=b0 memory=external base=0 slotBytes=64
buf id=b1 memory=external base=64 slotBytes=64
buf id=b2 memory=cache base=0 slotBytes=64
buf id=b3 memory=cache base=64 slotBytes=64
dim space=p0 index=0 extent=2 level=i0 step=2
agu id=a0 space=p0 buffer=b0 dtype=i32 mode=absolute
stride id=a0 index=0 s0=4
agu id=a1 space=p0 buffer=b2 dtype=i32
stride id=a1 index=0 s0=4
dim space=p1 index=0 extent=2
dim space=p1 index=1 extent=4
agu id=a2 space=p1 buffer=b1 dtype=f32 mode=absolute
stride id=a2 index=0 s0=16 s1=4
agu id=a3 space=p1 buffer=b3 dtype=f32
stride id=a3 index=0 s0=16 s1=4
loop level=i0 count=2
ld target=a1 source=a0
gather target=a3 source=a2 index=a1 rows=4
endloop level=i0
ret
`;
  const image = imageOf(edge, gathering, [
    { name: "rows", kind: "input", dtype: "i32", shape: [4], address: 0 }, { name: "table", kind: "input", dtype: "f32", shape: [4, 4], address: 64 },
  ], 128, ["embedding"]);
  const table = tensor("f32", [4, 4], Array.from({ length: 16 }, (_, k) => k));

  it("name the instruction, the iteration and the node, and leave the memory readable", () => {
    const device = new Device(image, edge);
    const error = caught(() => device.run(new Map([["table", table], ["rows", tensor("i32", [4], [1, 2, 3, 4])]])));
    expect(error.diagnostic).toMatchObject({ code: "E0501", where: { node: "node of embedding", kernel: "embedding", routine: "lookup", loopIndices: [1] } });
    expect(Array.from(new Float32Array(device.read("cache", 64, 32).buffer))).toEqual([12, 13, 14, 15, 8, 9, 10, 11]);
    device.run(new Map([["table", table], ["rows", tensor("i32", [4], [1, 2, 3, 0])]]));
    expect(Array.from(new Float32Array(device.read("cache", 64, 32).buffer))).toEqual([12, 13, 14, 15, 0, 1, 2, 3]);
  });

  it("refuses inputs that do not fit", () => {
    expect(codeOf(() => runImage(image, edge, none))).toBe("E0601");
    expect(codeOf(() => runImage(image, edge, new Map([["table", table], ["rows", table]])))).toBe("E0602");
    expect(codeOf(() => runImage(image, edge, new Map([["x", table]])))).toBe("E0601");
  });
});

function caught(body: () => unknown): InputError {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  return fail("E0501", "nothing was thrown");
}

function codeOf(body: () => unknown): string {
  return caught(body).diagnostic.code;
}
