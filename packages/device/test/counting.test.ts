/** @file What a run counts beyond time: macro-instructions, work by submodule, traffic by symbol; and the controller with its program in a ROM. */
import { tensor, type Tensor } from "@systole/base";
import { bitsOfFloat64, presets, submoduleNames, type Image, type Machine, type TensorSymbol } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runImage, type Run } from "../src/index.ts";
import { imageOf, matmulImage } from "./programs.ts";

const edge = presets["edge-16"];
const none = new Map<string, Tensor>();
const float = (value: number): string => `0x${bitsOfFloat64(value).toString(16)}`;
const symbol = (name: string, kind: TensorSymbol["kind"], shape: readonly number[], address: number): TensorSymbol => ({ name, kind, dtype: "f32", shape, address });
const sumOf = (run: Run, direction: "readBytes" | "writeBytes"): number => [...run.traffic.values()].reduce((sum, entry) => sum + entry[direction], 0);

/** The six kinds of instruction in the order of S2..S10; theta counts down by one element-wise in each step, `steps` times. */
const training = (machine: Machine, steps: number): Image => imageOf(machine, `
.routine "main" control
io what=text external=64 bytes=256
io what=load external=0 cache=0 bytes=48
assign routine=1
io what=load external=0 cache=0 bytes=48
estimate routine=2
transfer routine=3
update routine=4
io what=store external=0 cache=0 bytes=48
converge routine=5 back=3
.routine "assign" control
sop operation=mov target=r1 a=r63 immediate=${float(0)}
ret
.routine "gradient" gradient
ret
.routine "transfer" control
ret
.routine "update" conjugate-gradient
call routine=6
ret
.routine "judge" control
sop operation=add target=r1 a=r1 b=r63 immediate=${float(1)}
sop operation=le target=r0 a=r63 b=r1 immediate=${float(steps)}
ret
.routine "subtract" basic
buf id=b0 memory=cache base=0 slotBytes=48
dim space=p0 index=0 extent=12
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
vec target=a0 streams=1 s0=a0 stages=1
vop operation=sub a=stream0 b=immediate operands=f32 dtype=f32 immediate=${float(1)}
ret
`, [symbol("theta", "state", [12], 0), symbol("w", "parameter", [2, 3], 0), symbol("b", "parameter", [4], 24)], 64);
const theta = new Map([["w", tensor("f32", [2, 3], [1, 2, 3, 4, 5, 6])], ["b", tensor("f32", [4], [7, 8, 9, 10])]]);

describe("macro-instructions", () => {
  it.each([1, 2, 7])("%i steps decode 3 + 6 N of them", (steps) => {
    const run = runImage(training(edge, steps), edge, theta, { readBack: ["parameter"] });
    expect(run.macroTrace).toEqual(["io", "io", "assign", ...Array.from({ length: steps }, () => ["io", "estimate", "transfer", "update", "io", "converge"]).flat()]);
    expect(run.instructions.macros).toBe(3 + 6 * steps);
    expect(Array.from(run.outputs.get("b")!.data as Float32Array)).toEqual([7, 8, 9, 10].map((v) => v - steps));
    // 2 |theta| words an iteration, and theta once before.
    expect(run.external.usedReadBytes + run.external.usedWriteBytes).toBe((2 * steps + 1) * 48);
    expect(run.traffic.get("w")).toEqual({ readBytes: (steps + 1) * 24, writeBytes: steps * 24 });
    expect(run.traffic.get("b")).toEqual({ readBytes: (steps + 1) * 16, writeBytes: steps * 16 });
    // Two words of theta are no parameter.
    expect(run.traffic.get("theta")).toEqual({ readBytes: (steps + 1) * 8, writeBytes: steps * 8 });
  });

  it("work by submodule", () => {
    const steps = 3;
    const { submoduleWork: work, submodules, cycles, instructions } = runImage(training(edge, steps), edge, theta);
    expect(Object.values(work).reduce((sum, w) => sum + w.instructions, 0)).toBe(instructions.fetched);
    expect(Object.values(work).reduce((sum, w) => sum + w.microOperations, 0)).toBe(instructions.executed);
    expect(work.gradient).toMatchObject({ calls: steps, instructions: steps, microOperations: 0, dmaRequests: 0, readBytes: 0, writeBytes: 0 });
    expect(work["conjugate-gradient"]).toMatchObject({ calls: steps, instructions: 2 * steps, microOperations: 0 });
    expect(work.basic).toMatchObject({ calls: steps, instructions: 7 * steps, microOperations: steps, dmaRequests: 0 });
    expect(work.control.dmaRequests).toBe(1 + 2 * steps);
    expect(work.control).toMatchObject({ readBytes: (1 + steps) * 64, writeBytes: steps * 64 });
    expect(Object.keys(work)).toEqual([...submoduleNames]);
    // What basic operations do is done for who asked for it; over all the run is shared out once.
    expect(work.basic.asked).toEqual({ cycles: 0, readBytes: 0, writeBytes: 0 });
    expect(Object.values(work).reduce((sum, w) => sum + w.asked.cycles, 0)).toBe(cycles);
    expect(work["conjugate-gradient"].asked.cycles).toBeGreaterThan(submodules["conjugate-gradient"]);
  });
});

const withoutTime = (work: Run["submoduleWork"]) => Object.fromEntries(Object.entries(work).map(([name, w]) => [name, { ...w, asked: { ...w.asked, cycles: 0 } }]));

describe("a hard-wired controller", () => {
  it("has the same bits and decisions, and fetches no macro-instruction", () => {
    const { outputs, ...fetching } = runImage(training(edge, 4), edge, theta, { readBack: ["parameter", "state"] });
    const { outputs: same, ...wired } = runImage(training(edge, 4), edge, theta, { readBack: ["parameter", "state"], hardWired: true });
    expect(same).toEqual(outputs);
    expect([wired.control, wired.macroTrace, wired.traffic, withoutTime(wired.submoduleWork)]).toEqual([fetching.control, fetching.macroTrace, fetching.traffic, withoutTime(fetching.submoduleWork)]);
    expect([wired.instructions.macros, fetching.instructions.macros]).toEqual([0, 27]);
    expect(fetching.instructions.fetched - wired.instructions.fetched).toBe(27);
    expect(runImage(training(edge, 4), edge, none, { timingOnly: true, control: fetching.control, hardWired: true }).cycles).toBe(wired.cycles);
  });

  it("misses nothing where everything stands in the main routine", () => {
    const image = imageOf(edge, `.routine "main" control\n${Array.from({ length: 200 }, () => "fence").join("\n")}\nhalt\n`, [], 64);
    expect(runImage(image, edge, none).instructions).toMatchObject({ fetched: 201 });
    expect(runImage(image, edge, none).instructions.fillBytes).toBeGreaterThan(200 * 16 - 64);
    expect(runImage(image, edge, none, { hardWired: true }).instructions).toEqual({ fetched: 0, executed: 0, macros: 0, cacheMisses: 0, fillBytes: 0 });
  });
});

describe("traffic by symbol", () => {
  it("sums to the bytes asked for, and knows each tensor of a product", () => {
    fc.assert(fc.property(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 })), ([m, n, k]) => {
      const run = runImage(matmulImage(edge, { size: [m, n, k], tile: [8, 8, 8] }), edge, none, { timingOnly: true });
      expect([sumOf(run, "readBytes"), sumOf(run, "writeBytes")]).toEqual([run.external.usedReadBytes, run.external.usedWriteBytes]);
      expect(run.traffic.get("y")).toEqual({ readBytes: 0, writeBytes: m * n * 4 });
      expect(run.traffic.get("x")).toEqual({ readBytes: m * k * 4 * Math.ceil(n / 8), writeBytes: 0 });
      expect(run.traffic.get("w")).toEqual({ readBytes: k * n * 4 * Math.ceil(m / 8), writeBytes: 0 });
      expect(run.traffic.has("other")).toBe(false);
    }), { numRuns: 30 });
  });

  it("splits transfers over several symbols, and names all that a value may choose from", () => {
    const image = imageOf(edge, `
.routine "main" control
call routine=1
halt
.routine "r" basic
buf id=b0 memory=external base=0 slotBytes=128
buf id=b1 memory=cache base=0 slotBytes=128
buf id=b2 memory=cache base=128 slotBytes=64
dim space=p0 index=0 extent=8
dim space=p0 index=1 extent=2
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=16 s1=4
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=16 s1=4
ld target=a1 source=a0
dim space=p2 index=0 extent=4
agu id=a5 space=p2 buffer=b0 dtype=f32
stride id=a5 index=0 s0=4
agu id=a6 space=p2 buffer=b1 dtype=f32
stride id=a6 index=0 s0=4
base id=a5 register=r1 stride=16 count=8
ld target=a6 source=a5
ret
`, [symbol("u", "parameter", [6], 0), symbol("v", "parameter", [10], 24), symbol("w", "parameter", [8], 64)], 128);
    const run = runImage(image, edge, none);
    // Rows of 8 bytes every 16: bytes 0, 16 lie in u; 32, 48 in v; 64, 80 in w; 96 and 112 in nothing.
    expect(Object.fromEntries(run.traffic)).toEqual({
      u: { readBytes: 16, writeBytes: 0 }, v: { readBytes: 16, writeBytes: 0 }, w: { readBytes: 16, writeBytes: 0 }, other: { readBytes: 16, writeBytes: 0 },
      "u .. w": { readBytes: 16, writeBytes: 0 },
    });
    expect(runImage(image, edge, none, { timingOnly: true }).traffic).toEqual(run.traffic);
  });
});
