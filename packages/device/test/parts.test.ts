import { tensor, type Tensor } from "@systole/base";
import { presets, type ResolvedBuffer, type ResolvedRoutine, type SubmoduleName } from "@systole/isa";
import { describe, expect, it } from "vitest";
import { boundOf, newKernelCounters } from "../src/counters.ts";
import { Device, runImage } from "../src/index.ts";
import { InstructionCache, prefetchLines } from "../src/instructionCache.ts";
import { scalarResult } from "../src/scalarUnit.ts";
import { Scoreboard, SlotNumbers } from "../src/scoreboard.ts";
import { Submodules } from "../src/submodules.ts";
import { imageOf, matmulImage } from "./programs.ts";

const edge = presets["edge-16"];
const buffer = (base: number, slotBytes: number, slots = 1, memory: ResolvedBuffer["memory"] = "cache"): ResolvedBuffer => ({ id: 0, memory, base, slotBytes, slots });

describe("scoreboard", () => {
  it("a new buffer inherits the times of what it covers, slot by slot", () => {
    const board = new Scoreboard(new SlotNumbers());
    const old = buffer(0, 100, 2);
    board.declare(old);
    board.noteWrite(board.slot(old, 0), 10);
    board.noteRead(board.slot(old, 1), 20);
    const next = buffer(50, 50, 3);
    board.declare(next);
    const times = [0, 1, 2].map((k) => [board.writeDone[board.slot(next, k)], board.readDone[board.slot(next, k)]]);
    expect(times).toEqual([[10, 0], [0, 20], [0, 20]]);
    const head = buffer(0, 50);
    board.declare(head);
    expect(board.writeDone[board.slot(head, 0)]).toBe(10);
    const elsewhere = buffer(0, 50, 1, "accumulator");
    board.declare(elsewhere);
    expect(board.writeDone[board.slot(elsewhere, 0)]).toBe(0);
  });

  it("the same declaration again has the same slots and what has happened between", () => {
    const board = new Scoreboard(new SlotNumbers());
    board.declare(buffer(0, 64, 2));
    const other = buffer(64, 64);
    board.declare(other);
    board.noteWrite(board.slot(other, 0), 7);
    const again = buffer(0, 64, 2);
    board.declare(again);
    expect([0, 1].map((k) => board.writeDone[board.slot(again, k)])).toEqual([0, 7]);
  });

  it("overlapping buffers of external memory are aliases until registers are forgotten", () => {
    const board = new Scoreboard(new SlotNumbers());
    const [whole, half] = [buffer(0, 100, 1, "external"), buffer(50, 50, 1, "external")];
    board.declare(whole);
    board.declare(half);
    board.noteWrite(board.slot(half, 0), 9);
    expect(board.writeDone[board.slot(whole, 0)]).toBe(9);
    board.forget();
    board.noteWrite(board.slot(half, 0), 12);
    expect(board.writeDone[board.slot(whole, 0)]).toBe(9);
  });
});

describe("instruction cache", () => {
  const { lineBytes } = edge.instructionCache;
  const { latencyCycles, readBytesPerCycle } = edge.external;

  it("a miss costs the latency and the line; later lines are on their way", () => {
    const cache = new InstructionCache(edge);
    const first = cache.fetch(0, 0);
    expect(first).toBe(latencyCycles + lineBytes / readBytesPerCycle);
    expect(cache.fetch(16, first + 1)).toBe(first + 1);
    expect(cache.fetch(lineBytes, first + 4)).toBe(first + 4);
    expect([cache.misses, cache.fills]).toEqual([1, 1 + prefetchLines + 1]);
  });

  it("a loop that fits hits from the second iteration on", () => {
    const cache = new InstructionCache(edge);
    const bytes = edge.instructionCache.bytes - prefetchLines * lineBytes;
    let now = 0;
    const pass = (): number => {
      const begun = now;
      for (let address = 0; address < bytes; address += 16) now = cache.fetch(address, now) + 1;
      return now - begun;
    };
    pass();
    expect(pass()).toBe(bytes / 16);
    expect(pass()).toBe(bytes / 16);
  });

  it("io text hides the misses behind one latency", () => {
    const run = (ahead: boolean): number => {
      const body = Array.from({ length: 200 }, () => "dim space=p0 index=0 extent=1").join("\n");
      const text = `.routine "main" control\n${ahead ? `io what=text external=64 bytes=${203 * 16}\n` : ""}${body}\nhalt\n`;
      return runImage(imageOf(edge, text, [], 64), edge, new Map()).cycles;
    };
    expect(run(true)).toBeLessThan(201 + 2 * (latencyCycles + 20));
    expect(run(false)).toBeGreaterThan(500);
  });
});

describe("submodules", () => {
  const routine = (name: string, submodule: SubmoduleName, kernel = -1): ResolvedRoutine => ({ name, submodule, kernel, address: 0, length: 0, body: [], stepAt: new Map() });

  it("exactly one is active, callers wait, each with its own program counters", () => {
    const s = new Submodules();
    s.enter(routine("main", "control"));
    s.frame.next = 5;
    s.enter(routine("update", "conjugate-gradient"));
    s.frame.next = 7;
    s.enter(routine("product", "gauss-newton", 3));
    s.enter(routine("helper", "basic"));
    expect([s.active.name, s.frame.kernel]).toEqual(["basic", 3]);
    expect(s.occupied()).toEqual(["control", "gauss-newton", "conjugate-gradient", "basic"]);
    s.leave();
    s.leave();
    expect([s.active.name, s.frame.next]).toEqual(["conjugate-gradient", 7]);
    s.leave();
    expect([s.active.name, s.frame.next]).toEqual(["control", 5]);
    s.leave();
    expect([s.depth, s.occupied()]).toEqual([0, []]);
  });

  it("a run attributes cycles, calls and bytes", () => {
    const run = runImage(matmulImage(edge, { size: [32, 32, 32], tile: [16, 16, 16] }), edge, new Map(), { timingOnly: true });
    expect(run.submoduleWork.basic.readBytes).toBe(run.external.readBytes);
    expect(run.submoduleWork.gradient.calls).toBe(1);
    expect(run.submodules.basic).toBeGreaterThan(run.submodules.control);
    expect(run.submodules["conjugate-gradient"]).toBe(0);
  });
});

describe("device", () => {
  /** state s := s + 1 by the scalar unit. */
  const counter = imageOf(edge, `
.routine "main" control
buf id=b0 memory=cache base=0 slotBytes=8
dim space=p0 index=0 extent=1
agu id=a0 space=p0 buffer=b0 dtype=f64
io what=load external=0 cache=0 bytes=8
smov register=r1 generator=a0 direction=to-register
sop operation=add target=r1 a=r1 b=63 immediate=0x3ff0000000000000
smov register=r1 generator=a0 direction=to-memory
io what=store external=0 cache=0 bytes=8
halt
`, [{ name: "s", kind: "state", dtype: "f64", shape: [1], address: 0 }], 64);
  const value = (t: Tensor | undefined): number => Number(t?.data[0]);

  it("starts each run as loaded, or goes on", () => {
    const device = new Device(counter, edge);
    const none = new Map<string, Tensor>();
    expect(value(device.run(none, { readBack: ["state"] }).outputs.get("s"))).toBe(1);
    device.run(none, { keepState: true });
    expect(value(device.tensor("s"))).toBe(2);
    device.run(new Map([["s", tensor("f64", [1], [40])]]));
    expect(value(device.tensor("s"))).toBe(41);
    device.run(none);
    expect(value(device.tensor("s"))).toBe(1);
  });

  it("the scalar unit waits for the io, and the io for the scalar unit", () => {
    const run = runImage(counter, edge, new Map());
    const { latencyCycles } = edge.external;
    // The load's latency and the store's stand one behind the other.
    expect(run.cycles).toBeGreaterThan(2 * latencyCycles);
    expect(run.units.scalar.stalls.data).toBeGreaterThan(0);
    expect(run.units.store.stalls.data).toBeGreaterThan(0);
    expect(run.external).toEqual({ readBytes: 64, writeBytes: 64, usedReadBytes: 8, usedWriteBytes: 8 });
  });

  it("tells progress and how long the host took", () => {
    let clock = 0;
    const told: number[] = [];
    const run = runImage(matmulImage(edge, { size: [64, 64, 64], tile: [4, 4, 4] }), edge, new Map(), {
      timingOnly: true, now: () => (clock += 60), onProgress: (done, total) => told.push(done / total),
    });
    expect(told.length).toBeGreaterThan(3);
    expect(told.every((part, k) => part <= 1 && (k === 0 || part >= told[k - 1]!))).toBe(true);
    expect(run.hostMilliseconds).toBeGreaterThan(0);
  });
});

it("scalar operations", () => {
  expect(["add", "sub", "mul", "div", "max", "min", "lt", "le", "eq"].map((operation) => scalarResult(operation, 6, 3))).toEqual([9, 3, 18, 2, 6, 3, 0, 0, 0]);
  expect([scalarResult("mov", 5, 0), scalarResult("sqrt", 9, 0), scalarResult("eq", 2, 2), scalarResult("lt", 1, 2)]).toEqual([5, 3, 1, 1]);
  expect([scalarResult("floor", 2.75, 0), scalarResult("floor", -2.25, 0), scalarResult("le", NaN, 0), scalarResult("eq", NaN, NaN)]).toEqual([2, -3, 0, 0]);
});

it("the bound of a kernel is the unit that was busy longest", () => {
  const kernel = { ...newKernelCounters(), cycles: 100 };
  expect(boundOf({ ...kernel, arrayBusy: 70, loadBusy: 80 })).toBe("load");
  expect(boundOf({ ...kernel, arrayBusy: 30, vectorBusy: 20 })).toBe("latency");
  expect(boundOf(newKernelCounters())).toBe("nothing");
});
