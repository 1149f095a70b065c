/** @file Data cache and accumulators are poisoned until written: reading what nothing has written is a fault, whatever reads it. */
import { bytesOf, InputError, tensor, type Dtype, type Tensor } from "@systole/base";
import { presets, type ResolvedStep } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Device, runImage } from "../src/index.ts";
import { DeviceFault } from "../src/faults.ts";
import { Initialised } from "../src/initialised.ts";
import { Memory } from "../src/memory.ts";
import { imageOf, matmulImage } from "./programs.ts";
import { dimension, generator, noIndices, points } from "./values/support.ts";

const edge = presets["edge-16"];
const none = new Map<string, Tensor>();

function faultOf(body: () => unknown): InputError["diagnostic"] | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.diagnostic;
    throw error;
  }
}

/** a0..a2: 4x4 blocks in three buffers of the data cache, a3 in external memory, a4 in the accumulators, a5 one row of a0, a6 row numbers. */
const head = `
buf id=b0 memory=cache base=0 slotBytes=64
buf id=b1 memory=cache base=64 slotBytes=64
buf id=b2 memory=cache base=128 slotBytes=64
buf id=b3 memory=external base=0 slotBytes=64
buf id=b4 memory=accumulator base=256 slotBytes=64
buf id=b5 memory=cache base=256 slotBytes=64
dim space=p0 index=0 extent=4
dim space=p0 index=1 extent=4
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=16 s1=4
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=16 s1=4
agu id=a2 space=p0 buffer=b2 dtype=f32
stride id=a2 index=0 s0=16 s1=4
agu id=a3 space=p0 buffer=b3 dtype=f32 mode=absolute
stride id=a3 index=0 s0=16 s1=4
agu id=a4 space=p0 buffer=b4 dtype=f32
stride id=a4 index=0 s0=16 s1=4
agu id=a9 space=p0 buffer=b4 dtype=f32
stride id=a9 index=0 s0=16
dim space=p1 index=0 extent=4
agu id=a6 space=p1 buffer=b5 dtype=i32
stride id=a6 index=0 s0=4
agu id=a10 space=p0 buffer=b0 dtype=f32 mode=absolute
stride id=a10 index=0 s0=16 s1=4
dim space=p2 index=0 extent=4
dim space=p2 index=1 extent=4
dim space=p2 index=2 extent=4
agu id=a11 space=p2 buffer=b0 dtype=f32
stride id=a11 index=0 s0=16 s1=4
agu id=a12 space=p2 buffer=b1 dtype=f32
stride id=a12 index=0 s0=0 s1=16 s2=4
agu id=a13 space=p2 buffer=b4 dtype=f32
stride id=a13 index=0 s0=16 s1=0 s2=4
`;
const program = (body: string): string => `.routine "main" control\nupdate routine=1\nio what=store external=0 cache=0 bytes=64\nhalt\n.routine "step" conjugate-gradient\ncall routine=2\nret\n.routine "work" basic kernel=0${head}${body}\nret\n`;
const run = (body: string): unknown => runImage(imageOf(edge, program(body), [], 64, ["the kernel"]), edge, none);

describe("a read of what was never written", () => {
  const x = "fill target=a0 value=0\n";
  const w = "fill target=a1 value=0\n";
  it.each([
    ["st", "st target=a3 source=a0", "cache: source reads byte 0"],
    ["ld inside the data cache", "ld target=a1 source=a10", "cache: source reads byte 0"],
    ["vec", `${x}vec target=a2 streams=2 s0=a0 s1=a1 stages=1\nvop operation=add a=stream0 b=stream1 operands=f32 dtype=f32`, "cache: stream 1 reads byte 64"],
    ["vec from the accumulators", "vec target=a2 streams=1 s0=a4", "accumulators: stream 0 reads byte 256"],
    ["a sum that goes on", `${x}loop level=i0 count=2\nloop level=i1 count=2\nvec target=a9 streams=1 s0=a0 reduction=sum reduced=1 start=0b10 first=0b01\nvec target=a9 streams=1 s0=a0 reduction=sum reduced=1 start=0b01\nendloop level=i1\nendloop level=i0`, ""],
    ["a sum that goes on without a beginning", `${x}loop level=i0 count=2\nvec target=a9 streams=1 s0=a0 reduction=sum reduced=1 start=0b1 last=0b1\nendloop level=i0`, "accumulators: target reads byte 256"],
    ["the left operand of gemm", `${w}gemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0`, "cache: x reads byte 0"],
    ["the right operand of gemm", `${x}gemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0`, "cache: w reads byte 64"],
    ["sums of gemm that go on", `${x}${w}loop level=i0 count=2\ngemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0b1 last=0b1\nendloop level=i0`, "accumulators: out reads byte 256"],
    ["sums of gemm that always go on", `${x}${w}gemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0 continues=1`, "accumulators: out reads byte 256"],
    ["sums of gemm that go on from what was loaded", `${x}${w}ld target=a4 source=a3
gemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0 continues=1`, ""],
    ["a sum that always goes on", `${x}vec target=a9 streams=1 s0=a0 reduction=sum reduced=1 continues=1`, "accumulators: target reads byte 256"],
    ["sums of gemm that begin", `${x}${w}loop level=i0 count=2\ngemm x=a11 w=a12 out=a13 rows=1 contracted=1 dataflow=weight-stationary start=0b1\nendloop level=i0`, ""],
    ["smov", "smov register=r1 generator=a2 direction=to-register", "cache: generator reads byte 128"],
    ["smov after smov", `${x}smov register=r1 generator=a2 direction=to-memory\nsmov register=r1 generator=a2 direction=to-register`, ""],
    ["the row numbers of gather", "gather target=a1 source=a3 index=a6 rows=4", "cache: index reads byte 256"],
    ["a table in the data cache", "fill target=a6 value=2\ngather target=a1 source=a10 index=a6 rows=4", "cache: source reads byte 32"],
    ["the source of scatter", "fill target=a6 value=1\nscatter target=a3 source=a0 index=a6 rows=4", "cache: source reads byte 0"],
    ["io", "", "cache: io store reads byte 0"],
  ])("%s", (name, body, message) => {
    const complete = message === "" ? `${body}\n${x}` : body;
    const fault = faultOf(() => run(complete));
    if (message === "") expect(fault).toBeUndefined();
    else expect(fault).toMatchObject({ code: "E0501", message: expect.stringContaining(`read of uninitialised ${message}`) as string });
    if (message !== "" && name !== "io") expect(fault!.where).toMatchObject({ routine: "work", kernel: "the kernel", node: "node of the kernel", address: expect.any(Number) as number });
  });

  it("a scatter into the data cache writes the rows it names, and no others", () => {
    const scattered = (index: number): unknown => run(`fill target=a6 value=${index}\nfill target=a1 value=5\nscatter target=a10 source=a1 index=a6 rows=4\nfill target=a6 value=3\ngather target=a1 source=a10 index=a6 rows=4\nfill target=a0 value=0`);
    expect(faultOf(() => scattered(3))).toBeUndefined();
    expect(faultOf(() => scattered(2))?.message).toContain("source reads byte 48");
  });

  it("what the run before wrote does not count", () => {
    const image = imageOf(edge, `.routine "main" control\nbr register=r1 when=1 target=2\nio what=load external=0 cache=0 bytes=64\nio what=store external=64 cache=0 bytes=64\nhalt\n`, [], 128);
    const skipping = { ...image, routines: [{ ...image.routines[0]!, instructions: image.routines[0]!.instructions.map((i) => (i.op === "br" ? { ...i, when: 0 } : i)) }] };
    const device = new Device(image, edge);
    device.run(none);
    device.run(none, { keepState: true });
    expect(faultOf(() => new Device(skipping, edge).run(none))?.message).toContain("read of uninitialised cache");
  });

  it("does not stop a run without values", () => {
    expect(() => runImage(imageOf(edge, program("st target=a3 source=a0"), [], 64, ["the kernel"]), edge, none, { timingOnly: true })).not.toThrow();
  });

  it("tiles cut at a limit read only what was loaded", () => {
    const image = matmulImage(edge, { size: [17, 19, 23], tile: [16, 16, 16] });
    const ones = (m: number, n: number): Tensor => tensor("f32", [m, n], Array.from({ length: m * n }, () => 1));
    expect(Array.from(runImage(image, edge, new Map([["x", ones(17, 23)], ["w", ones(23, 19)]])).outputs.get("y")!.data as Float32Array).every((v) => v === 23)).toBe(true);
  });
});

describe("the map of written words", () => {
  const axis = fc.record({ extent: fc.integer({ min: 1, max: 5 }), stride: fc.integer({ min: -12, max: 12 }) });
  const box = fc.record({ writes: fc.boolean(), at: fc.integer({ min: 150, max: 300 }), axes: fc.array(axis, { maxLength: 3 }), dtype: fc.constantFrom<Dtype>("f32", "f64", "u8") });

  it("agrees with a set of words, whatever the boxes and however often they come", () => {
    fc.assert(fc.property(fc.array(box, { minLength: 1, maxLength: 12 }), fc.array(fc.nat(), { maxLength: 40 }), (boxes, order) => {
      const initialised = new Initialised(new Memory(edge, 64));
      const written = new Set<number>();
      const steps = boxes.map(({ writes, at, axes, dtype }, k): { step: Extract<ResolvedStep, { kind: "vector" }>; words: Set<number>; writes: boolean } => {
        const width = bytesOf(dtype);
        const there = generator("cache", at * width, axes.map((a) => a.stride), dtype);
        const elsewhere = generator("accumulator", 0, axes.map(() => 0), dtype);
        const words = new Set<number>();
        for (const p of points(axes.map((a) => a.extent))) {
          const begin = (at + p.reduce((sum, x, d) => sum + x * axes[d]!.stride, 0)) * width;
          for (let byte = begin; byte < begin + width; byte++) words.add(byte >> 2);
        }
        const space = { dimensions: axes.map((a) => dimension(a.extent)) };
        return {
          words, writes,
          step: { kind: "vector", address: 16 * k, first: [], last: [], rowed: [], space, streams: writes ? [] : [there], target: writes ? there : elsewhere, stages: [], reduction: "none", reduced: 0, order: "sequential", start: [] },
        };
      });
      for (const pick of order) {
        const { step, words, writes } = steps[pick % steps.length]!;
        const wanted = !writes && [...words].some((word) => !written.has(word));
        let thrown = false;
        try {
          initialised.touch(step, noIndices);
        } catch (error) {
          expect(error).toBeInstanceOf(DeviceFault);
          thrown = true;
        }
        expect(thrown).toBe(wanted);
        if (writes) for (const word of words) written.add(word);
      }
    }), { numRuns: 300 });
  });
});

describe("a look-up in a table on chip", () => {
  // Row numbers come from external memory, so that each run has its own; rows 0 and 1 of the table are written, or all of them.
  const image = (rows: number, lookup: string) => imageOf(edge, program(`dim space=p3 index=0 extent=${rows}
dim space=p3 index=1 extent=4
agu id=a14 space=p3 buffer=b0 dtype=f32
stride id=a14 index=0 s0=16 s1=4
fill target=a14 value=1
fill target=a1 value=2
${lookup}`).replace("cache=0 bytes=64", "cache=0 bytes=16").replace("update routine=1", "io what=load external=0 cache=256 bytes=16\nupdate routine=1"),
    [{ name: "rows", kind: "input", dtype: "i32", shape: [4], address: 0 }], 64, ["the kernel"]);
  const gather = "gather target=a2 source=a10 index=a6 rows=4";
  const scatter = "scatter target=a10 source=a1 index=a6 rows=4\ngather target=a2 source=a10 index=a6 rows=4";
  const rows = (...numbers: number[]) => new Map([["rows", tensor("i32", [4], numbers)]]);

  it("is checked in every run where it depends on the rows whether all that is read was written", () => {
    const device = new Device(image(2, gather), edge);
    device.run(rows(0, 1, 0, 1));
    expect(faultOf(() => device.run(rows(0, 1, 2, 1)))?.message).toContain("source reads byte 32");
    const scattered = new Device(image(1, `${scatter}\nst target=a3 source=a0`), edge);
    scattered.run(rows(0, 1, 2, 3));
    expect(faultOf(() => scattered.run(rows(0, 1, 2, 2)))?.message).toContain("source reads byte 48");
  });

  it("reads the rows of each run where the whole table was written before", () => {
    for (const lookup of [gather, scatter]) {
      const device = new Device(image(4, lookup), edge);
      for (const numbers of [[0, 1, 0, 1], [3, 2, 2, 0]]) {
        const again = device.run(rows(...numbers));
        expect(again).toEqual(new Device(image(4, lookup), edge).run(rows(...numbers)));
      }
      expect(faultOf(() => device.run(rows(0, 4, 0, 0)))?.message).toContain("index out of range");
    }
  });
});

describe("a program that takes no decision", () => {
  it("is checked in its first run, and gives the same again without checks", () => {
    const image = matmulImage(edge, { size: [9, 7, 5], tile: [4, 4, 4] });
    const device = new Device(image, edge);
    const inputs = (seed: number) => new Map([["x", [9, 5]], ["w", [5, 7]]].map(([name, shape]) => [name as string, tensor("f32", shape as number[], Array.from({ length: (shape as number[])[0]! * (shape as number[])[1]! }, (_, i) => Math.sin(i + seed)))]));
    device.run(inputs(1));
    const first = new Device(image, edge).run(inputs(2));
    const again = device.run(inputs(2));
    expect(again.outputs).toEqual(first.outputs);
    expect(again.cycles).toBe(first.cycles);
  });
});
