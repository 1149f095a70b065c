/** @file Rows taken from scalar registers, copies inside the data cache, blocks inside external memory. */
import { InputError, tensor, type Tensor } from "@systole/base";
import { bitsOfFloat64, machineHash, presets, type Image, type Machine, type TensorSymbol } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Device, runImage } from "../src/index.ts";
import { imageOf } from "./programs.ts";

const edge = presets["edge-16"];
const none = new Map<string, Tensor>();
const float = (value: number): string => `0x${bitsOfFloat64(value).toString(16)}`;
const symbol = (name: string, kind: TensorSymbol["kind"], shape: readonly number[], address: number): TensorSymbol => ({ name, kind, dtype: "f32", shape, address });
const data = (t: Tensor | undefined): number[] => Array.from(t!.data as Float32Array);
const rising = (count: number): number[] => Array.from({ length: count }, (_, k) => k + 1);

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostic.code} ${error.diagnostic.message}`;
    throw error;
  }
  return "none";
}

describe("rows", () => {
  const [count, width, pitch] = [5, 6, 7];
  /** row r1 of x through the data cache and both units to row r2 of y; y is filled before. */
  const image = (from: number, to: number, stride = pitch * 4): Image => imageOf(edge, `
.routine "main" control
sop operation=mov target=r1 a=r63 immediate=${float(from)}
sop operation=mov target=r2 a=r63 immediate=${float(to)}
call routine=1
halt
.routine "copy" basic
buf id=b0 memory=external base=0 slotBytes=${count * pitch * 4}
buf id=b1 memory=external base=1024 slotBytes=${count * pitch * 4}
buf id=b2 memory=cache base=0 slotBytes=1024
buf id=b3 memory=cache base=1024 slotBytes=1024
dim space=p1 index=0 extent=${count * pitch}
agu id=a9 space=p1 buffer=b1 dtype=f32
stride id=a9 index=0 s0=4
fill target=a9 value=0
dim space=p0 index=0 extent=${width}
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
base id=a0 register=r1 stride=${stride} count=${count}
agu id=a1 space=p0 buffer=b2 dtype=f32
stride id=a1 index=0 s0=4
base id=a1 register=r2 stride=32 count=${count}
agu id=a2 space=p0 buffer=b3 dtype=f32
stride id=a2 index=0 s0=4
base id=a2 register=r1 stride=64 count=${count}
agu id=a3 space=p0 buffer=b1 dtype=f32
stride id=a3 index=0 s0=4
base id=a3 register=r2 stride=${stride} count=${count}
ld target=a1 source=a0
vec target=a2 streams=1 s0=a1 stages=1
vop operation=neg a=stream0 operands=f32 dtype=f32
st target=a3 source=a2
smov register=r3 generator=a2 direction=to-register
ret
`, [symbol("x", "input", [count, pitch], 0), symbol("y", "output", [count, pitch], 1024)], 2048);
  const inputs = new Map([["x", tensor("f32", [count, pitch], rising(count * pitch))]]);

  it("go where the registers say; time does not depend on that, nor on knowing it", () => {
    const cycles = new Set<number>();
    const bytes = new Set<number>();
    fc.assert(fc.property(fc.double({ min: 0, max: count - 0.001, noNaN: true }), fc.double({ min: -0.5, max: count - 0.001, noNaN: true }), (from, to) => {
      const run = runImage(image(from, to), edge, inputs);
      const expected = rising(count * pitch).map(() => 0);
      for (let k = 0; k < width; k++) expected[Math.trunc(to) * pitch + k] = -(Math.trunc(from) * pitch + k + 1);
      expect(data(run.outputs.get("y")).map((v) => v + 0)).toEqual(expected);
      cycles.add(run.cycles);
      cycles.add(runImage(image(from, to), edge, none, { timingOnly: true }).cycles);
      bytes.add(run.external.readBytes);
    }), { numRuns: 40 });
    expect(cycles.size).toBe(1);
    // 24 bytes at the worst alignment touch two bursts.
    expect([...bytes]).toEqual([128]);
    expect(runImage(image(1, 1, 0), edge, inputs).external.readBytes).toBe(64);
  });

  it.each([-1, count, Number.NaN, Infinity])("row %s is a fault", (row) => {
    expect(messageOf(() => runImage(image(row, 0), edge, inputs))).toBe(`E0501 row ${row} in scalar register 1 does not exist; there are ${count}`);
    expect(runImage(image(row, 0), edge, none, { timingOnly: true }).cycles).toBe(runImage(image(0, 0), edge, inputs).cycles);
  });

  it("the controller waits for the scalar unit", () => {
    const program = imageOf(edge, `
.routine "main" control
buf id=b0 memory=cache base=0 slotBytes=64
buf id=b1 memory=cache base=64 slotBytes=64
dim space=p0 index=0 extent=4
agu id=a0 space=p0 buffer=b0 dtype=f32
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
base id=a1 register=r1 stride=16 count=4
io what=load external=0 cache=0 bytes=4
smov register=r1 generator=a0 direction=to-register
fill target=a1 value=0x3f800000
io what=store external=64 cache=96 bytes=16
halt
`, [symbol("x", "input", [1], 0), symbol("y", "output", [4], 64)], 128);
    const run = runImage(program, edge, new Map([["x", tensor("f32", [1], [2])]]));
    expect(data(run.outputs.get("y"))).toEqual([1, 1, 1, 1]);
    expect(run.units.controller.stalls.control).toBeGreaterThan(edge.external.latencyCycles);
  });
});

describe("inside the data cache", () => {
  /** x -> cache -> (ld with padding) -> cache -> (st) -> cache -> y, or all of it with looked-up rows. */
  const padded = (n: number, pad: number): Image => imageOf(edge, `
.routine "main" control
io what=load external=0 cache=0 bytes=${n * 4}
call routine=1
io what=store external=1024 cache=2048 bytes=${(n + 2 * pad) * 4}
halt
.routine "pad" basic
buf id=b0 memory=cache base=0 slotBytes=1024
buf id=b1 memory=cache base=1024 slotBytes=1024
buf id=b2 memory=cache base=2048 slotBytes=1024
dim space=p0 index=0 extent=${n + 2 * pad} offset=-${pad} limit=${n} mode=pad
agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
stride id=a0 index=0 s0=4
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
ld target=a1 source=a0 fill=0x3f800000
dim space=p1 index=0 extent=${n + 2 * pad}
agu id=a1 space=p1 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
agu id=a2 space=p1 buffer=b2 dtype=f32
stride id=a2 index=0 s0=4
fill target=a2 value=0
st target=a2 source=a1
ret
`, [symbol("x", "input", [n], 0), symbol("y", "output", [n + 2 * pad], 1024)], 2048);

  it("ld pads, st and fill write; only the io moves bytes, the copies take the lanes", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 20 }), (n, pad) => {
      const run = runImage(padded(n, pad), edge, new Map([["x", tensor("f32", [n], rising(n).map((v) => v + 1))]]));
      const ones = Array.from({ length: pad }, () => 1);
      expect(data(run.outputs.get("y"))).toEqual([...ones, ...rising(n).map((v) => v + 1), ...ones]);
      expect(run.external.usedReadBytes).toBe(n * 4);
      expect(run.external.usedWriteBytes).toBe((n + 2 * pad) * 4);
      expect(run.cycles).toBe(runImage(padded(n, pad), edge, none, { timingOnly: true }).cycles);
      const { readBytesPerCycle, writeBytesPerCycle, burstBytes } = edge.external;
      const port = (bytes: number, perCycle: number): number => Math.ceil((Math.ceil(bytes / burstBytes) * burstBytes) / perCycle);
      const lanes = Math.ceil((n + 2 * pad) / edge.vector.lanes);
      expect(run.units.load.busy).toBe(port(n * 4, readBytesPerCycle) + lanes);
      expect(run.units.store.busy).toBe(port((n + 2 * pad) * 4, writeBytesPerCycle) + 2 * lanes);
      for (const unit of Object.values(run.units)) expect(Object.values(unit.stalls).reduce((sum, cycles) => sum + cycles, unit.busy)).toBe(run.cycles);
    }), { numRuns: 40 });
  });

  it("are never slower on a better machine", () => {
    const better: readonly ((by: number) => Machine)[] = [
      (by) => ({ ...edge, vector: { ...edge.vector, lanes: edge.vector.lanes * by } }),
      (by) => ({ ...edge, vector: { ...edge.vector, latencyCycles: Math.floor(edge.vector.latencyCycles / by) } }),
      (by) => ({ ...edge, external: { ...edge.external, readBytesPerCycle: edge.external.readBytesPerCycle * by } }),
      (by) => ({ ...edge, external: { ...edge.external, latencyCycles: Math.floor(edge.external.latencyCycles / by) } }),
      (by) => ({ ...edge, queueDepth: edge.queueDepth * by }),
    ];
    const cycles = (machine: Machine, n: number, pad: number): number =>
      runImage({ ...padded(n, pad), machineName: machine.name, machineHash: machineHash(machine) }, machine, none, { timingOnly: true }).cycles;
    fc.assert(fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 2, max: 5 }), fc.constantFrom(...better), (n, pad, by, improve) => {
      expect(cycles(improve(by), n, pad)).toBeLessThanOrEqual(cycles(edge, n, pad));
    }), { numRuns: 60 });
  });

  it("a copy does not overtake a transfer into the same slot", () => {
    const program = (copies: boolean): string => `
.routine "main" control
call routine=1
halt
.routine "r" basic
buf id=b0 memory=cache base=0 slotBytes=64
buf id=b1 memory=cache base=64 slotBytes=64
buf id=b2 memory=external base=0 slotBytes=64
dim space=p0 index=0 extent=16
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
agu id=a2 space=p0 buffer=b2 dtype=f32
stride id=a2 index=0 s0=4
ld target=a0 source=a2
ld target=a1 source=a2
${copies ? "ld target=a1 source=a0" : ""}
ret
`;
    const cycles = (copies: boolean): number => runImage(imageOf(edge, program(copies), [], 64), edge, none, { timingOnly: true }).cycles;
    expect(cycles(true)).toBeGreaterThan(cycles(false));
  });

  it("looks up rows there", () => {
    const [rows, width, picked] = [6, 4, 3];
    const lookup = imageOf(edge, `
.routine "main" control
io what=load external=0 cache=0 bytes=${rows * width * 4}
io what=load external=512 cache=512 bytes=${picked * 4}
call routine=1
io what=store external=1024 cache=1024 bytes=${rows * width * 4}
halt
.routine "r" basic
buf id=b0 memory=cache base=0 slotBytes=512
buf id=b1 memory=cache base=512 slotBytes=64
buf id=b2 memory=cache base=768 slotBytes=256
buf id=b3 memory=cache base=1024 slotBytes=512
dim space=p2 index=0 extent=${rows * width}
agu id=a4 space=p2 buffer=b3 dtype=f32
stride id=a4 index=0 s0=4
fill target=a4 value=0
dim space=p0 index=0 extent=${picked}
dim space=p0 index=1 extent=${width}
dim space=p1 index=0 extent=${picked}
agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
stride id=a0 index=0 s0=${width * 4} s1=4
agu id=a1 space=p0 buffer=b2 dtype=f32
stride id=a1 index=0 s0=${width * 4} s1=4
agu id=a2 space=p1 buffer=b1 dtype=i32
stride id=a2 index=0 s0=4
agu id=a3 space=p0 buffer=b3 dtype=f32 mode=absolute
stride id=a3 index=0 s0=${width * 4} s1=4
gather target=a1 source=a0 index=a2 rows=${rows}
scatter target=a3 source=a1 index=a2 rows=${rows}
ret
`, [symbol("x", "input", [rows, width], 0), { name: "i", kind: "input", dtype: "i32", shape: [picked], address: 512 }, symbol("y", "output", [rows, width], 1024)], 2048);
    const run = runImage(lookup, edge, new Map([["x", tensor("f32", [rows, width], rising(rows * width))], ["i", tensor("i32", [picked], [4, 0, 2])]]));
    expect(data(run.outputs.get("y"))).toEqual(rising(rows * width).map((v, k) => ([0, 2, 4].includes(Math.floor(k / width)) ? v : 0)));
    expect(run.external.usedReadBytes).toBe(rows * width * 4 + picked * 4);
    // Two bursts and one burst over the port at 32 bytes a cycle, then the points of the gather through the lanes.
    expect(run.units.load.busy).toBe(4 + 2 + Math.ceil((picked * width) / edge.vector.lanes));
  });
});

describe("io copy", () => {
  const image = (from: number, to: number, bytes: number): Image => imageOf(edge, `
.routine "main" control
io what=copy external=${from} cache=${to} bytes=${bytes}
io what=load external=${to} cache=0 bytes=${bytes}
io what=store external=4096 cache=0 bytes=${bytes}
halt
`, [symbol("x", "input", [256], 0), symbol("y", "output", [bytes / 4], 4096)], 8192);

  it("moves a block inside external memory, in whole bursts, and the reader waits for it", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 300, max: 700 }), fc.integer({ min: 1, max: 150 }), (from, to, words) => {
      const x = rising(256);
      const run = runImage(image(from * 4, to * 4, words * 4), edge, new Map([["x", tensor("f32", [256], x)]]));
      expect(data(run.outputs.get("y"))).toEqual(x.slice(from, from + words));
      expect(run.external.usedReadBytes).toBe(2 * words * 4);
      expect(run.external.usedWriteBytes).toBe(2 * words * 4);
      const bursts = (at: number): number => Math.floor((at * 4 + words * 4 - 1) / 64) - Math.floor((at * 4) / 64) + 1;
      expect(run.external.readBytes).toBe(64 * (bursts(from) + bursts(to)));
      expect(run.external.writeBytes).toBe(64 * (bursts(to) + bursts(1024)));
      // Read, write, read, write: four latencies, one behind the other.
      expect(run.cycles).toBeGreaterThan(4 * edge.external.latencyCycles);
      expect(run.units.store.stalls.data).toBeGreaterThan(edge.external.latencyCycles);
      for (const unit of Object.values(run.units)) expect(Object.values(unit.stalls).reduce((sum, cycles) => sum + cycles, unit.busy)).toBe(run.cycles);
    }), { numRuns: 40 });
  });
});

describe("the end of a program", () => {
  it("a finished judgement, a halt, or a fault", () => {
    const judged = (done: number, end: string): Image => imageOf(edge, `
.routine "main" control
fence
converge routine=1 back=0
${end}
.routine "judge" control
sop operation=add target=r1 a=r1 b=r63 immediate=${float(1)}
sop operation=le target=r0 a=r63 b=r1 immediate=${float(done)}
ret
`, [], 64);
    expect(runImage(judged(3, ""), edge, none).control).toEqual([true, true, false]);
    expect(runImage(judged(3, "halt"), edge, none).control).toEqual([true, true, false]);
    expect(messageOf(() => runImage(judged(3, "fence"), edge, none))).toBe("E0501 the program ran past its end: no halt, no finished judgement");
    const device = new Device(judged(1, "fence"), edge);
    expect(messageOf(() => device.run(none, { timingOnly: true }))).toContain("ran past its end");
  });
});
