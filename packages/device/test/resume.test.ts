/** @file The host at convergence judgements: it looks, takes snapshots, and another device goes on from one with the same bits and cycles. */
import { InputError, tensor } from "@systole/base";
import { bitsOfFloat64, presets, type Image, type TensorSymbol } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Device, snapshotFromBytes, snapshotToBytes, type Run, type RunOptions, type Snapshot } from "../src/index.ts";
import { pokeForTest } from "../src/testing.ts";
import { imageOf } from "./programs.ts";

const edge = presets["edge-16"];
const float = (value: number): string => `0x${bitsOfFloat64(value).toString(16)}`;
const symbol = (name: string, kind: TensorSymbol["kind"], shape: readonly number[], address: number): TensorSymbol => ({ name, kind, dtype: "f32", shape, address });

/**
 * Each step adds a row of the data (which row a counter in r2 says) to theta in the data cache, r3 times in a loop of branches, r3 growing; multiplies
 * an accumulator; keeps a history in external memory at a row of its own, some of it under no symbol; writes a record; loads theta back from external memory.
 * It stops after 6 judgements, by a counter that lies in the data cache.
 */
const program = `
.routine "main" control
io what=text external=8192 bytes=512
io what=load external=0 cache=0 bytes=64
assign routine=1
io what=load external=0 cache=0 bytes=64
update routine=2
io what=store external=0 cache=0 bytes=64
converge routine=4 back=3
.routine "assign" control
sop operation=mov target=r2 a=r63 immediate=${float(0)}
sop operation=mov target=r3 a=r63 immediate=${float(1)}
call routine=5
ret
.routine "update" conjugate-gradient
sop operation=mov target=r4 a=r3
call routine=3
sop operation=sub target=r4 a=r4 b=r63 immediate=${float(1)}
br register=r4 when=1 target=1
sop operation=add target=r3 a=r3 b=r63 immediate=${float(0.75)}
sop operation=floor target=r3 a=r3
sop operation=le target=r5 a=r3 b=r63 immediate=${float(2.5)}
br register=r5 when=0 target=9
sop operation=add target=r3 a=r3 b=r63 immediate=${float(1)}
sop operation=add target=r2 a=r2 b=r63 immediate=${float(1)}
call routine=6
ret
.routine "add" basic
buf id=b0 memory=external base=1024 slotBytes=512
buf id=b1 memory=cache base=0 slotBytes=64
buf id=b2 memory=cache base=64 slotBytes=64
buf id=b3 memory=accumulator base=0 slotBytes=64
dim space=p0 index=0 extent=16
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
base id=a0 register=r2 stride=64 count=8
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
agu id=a2 space=p0 buffer=b2 dtype=f32
stride id=a2 index=0 s0=4
agu id=a3 space=p0 buffer=b3 dtype=f32
stride id=a3 index=0 s0=4
ld target=a2 source=a0
vec target=a1 streams=3 s0=a1 s1=a2 s2=a3 stages=2
vop operation=mul a=stream1 b=stream2 operands=f32 dtype=f32
vop operation=add a=stream0 b=stage0 operands=f32 dtype=f32
vec target=a3 streams=1 s0=a3 stages=1
vop operation=mul a=stream0 b=immediate operands=f32 dtype=f32 immediate=${float(0.7)}
ret
.routine "judge" control
buf id=b0 memory=cache base=192 slotBytes=64
dim space=p0 index=0 extent=1
agu id=a0 space=p0 buffer=b0 dtype=f64
smov register=r6 generator=a0 direction=to-register
sop operation=add target=r6 a=r6 b=r63 immediate=${float(1)}
smov register=r6 generator=a0 direction=to-memory
sop operation=le target=r0 a=r63 b=r6 immediate=${float(6)}
ret
.routine "clear" basic
buf id=b0 memory=cache base=192 slotBytes=64
buf id=b3 memory=accumulator base=0 slotBytes=64
dim space=p0 index=0 extent=16
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
fill target=a0 value=0
agu id=a3 space=p0 buffer=b3 dtype=f32
stride id=a3 index=0 s0=4
vec target=a3 streams=1 s0=a0 stages=1
vop operation=add a=stream0 b=immediate operands=f32 dtype=f32 immediate=${float(0.9)}
ret
.routine "keep" basic
buf id=b0 memory=external base=2048 slotBytes=2048
buf id=b1 memory=cache base=0 slotBytes=64
buf id=b4 memory=external base=4096 slotBytes=64
dim space=p0 index=0 extent=16
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
base id=a0 register=r2 stride=128 count=16
st target=a0 source=a1
agu id=a4 space=p0 buffer=b4 dtype=f32
stride id=a4 index=0 s0=4
st target=a4 source=a1
ret
`;
const initial = Float32Array.from({ length: 16 }, (_, k) => k / 7 - 1);
const image: Image = {
  ...imageOf(edge, program, [symbol("x", "input", [8, 16], 1024), symbol("theta", "parameter", [16], 0), symbol("now", "record", [16], 4096), symbol("history", "state", [4, 32], 2048)], 8192),
  segments: [{ address: 0, bytes: new Uint8Array(initial.buffer) }, { address: 512, bytes: Uint8Array.of(1, 2, 3) }],
};
const inputs = new Map([["x", tensor("f32", [8, 16], Array.from({ length: 128 }, (_, k) => Math.sin(k) * 3))]]);
const all: RunOptions = { readBack: ["parameter", "state", "record"], maxTraceEvents: 500 };

class Stopped extends Error {}

/** Runs up to judgement `at` and takes a snapshot there; goes on from `resume` if given. */
function stopAt(device: Device, at: number, resume?: Snapshot): Snapshot {
  let taken: Snapshot | undefined;
  const options: RunOptions = {
    onJudgement: (view) => {
      if (view.iteration < at) return;
      taken = view.snapshot();
      throw new Stopped();
    },
    ...(resume === undefined ? {} : { resume }),
  };
  expect(() => device.run(inputs, options)).toThrow(Stopped);
  return taken!;
}

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostic.code} ${error.diagnostic.message}`;
    throw error;
  }
  return "none";
}

const uninterrupted = (options: RunOptions = {}): Run => new Device(image, edge).run(inputs, { ...all, ...options });

describe("judgements", () => {
  it("are told with what they see; the records are those of the program", () => {
    const seen: { iteration: number; cycles: number; theta: number[] }[] = [];
    const run = uninterrupted({ onJudgement: (view) => {
      expect(view.read("now")).toEqual({ ...view.read("theta") });
      seen.push({ iteration: view.iteration, cycles: view.cycles, theta: Array.from(view.read("theta").data as Float32Array) });
    } });
    expect(seen.map(({ iteration }) => iteration)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen.every(({ cycles }, k) => k === 0 || cycles > seen[k - 1]!.cycles)).toBe(true);
    expect(new Set(seen.map(({ theta }) => theta.join())).size).toBe(6);
    expect(seen[5]!.theta).toEqual(Array.from(run.outputs.get("theta")!.data as Float32Array));
    expect(uninterrupted()).toEqual(run);
  });

  it("a value written between two steps is seen by the next one", () => {
    const device = new Device(image, edge);
    const run = device.run(inputs, { ...all, onJudgement: ({ iteration }) => {
      if (iteration === 3) pokeForTest(device, "external", 0, new Uint8Array(64));
    } });
    expect(run.outputs.get("theta")).not.toEqual(uninterrupted().outputs.get("theta"));
  });
});

describe("going on from a snapshot", () => {
  const whole = uninterrupted();

  it.each([1, 2, 3, 4, 5, 6])("after judgement %i, on a fresh device, gives the run without interruption", (at) => {
    const bytes = snapshotToBytes(stopAt(new Device(image, edge), at));
    const resumed = new Device(image, edge).run(inputs, { ...all, resume: snapshotFromBytes(bytes) });
    expect(resumed).toEqual(whole);
  });

  it("again and again, on devices that ran before, with the same snapshots", () => {
    const used = new Device(image, edge);
    used.run(inputs);
    let snapshot = stopAt(new Device(image, edge), 1);
    for (let at = 2; at <= 6; at++) {
      const next = stopAt(used, at, snapshotFromBytes(Buffer.from(snapshotToBytes(snapshot))));
      expect(snapshotToBytes(next)).toEqual(snapshotToBytes(stopAt(new Device(image, edge), at)));
      snapshot = next;
    }
    expect(used.run(inputs, { ...all, resume: snapshot })).toEqual(whole);
  });

  it("with the program in a ROM too", () => {
    const wired = uninterrupted({ hardWired: true });
    expect(new Device(image, edge).run(inputs, { ...all, hardWired: true, resume: stopAt(new Device(image, edge), 4) })).toEqual(wired);
    expect(wired.outputs).toEqual(whole.outputs);
  });

  it("judgements behind it are not told again", () => {
    const told: number[] = [];
    new Device(image, edge).run(inputs, { resume: stopAt(new Device(image, edge), 4), onJudgement: ({ iteration }) => told.push(iteration) });
    expect(told).toEqual([5, 6]);
  });

  it("knows what was never written", () => {
    const snapshot = stopAt(new Device(image, edge), 2);
    // Bytes 0 to 31 of the data cache hold theta; bytes 320 to 351 nothing.
    expect([snapshot.written.cache[0], snapshot.written.cache[320 / 32]]).toEqual([0xff, 0]);
    const forgetful = { ...snapshot, written: { ...snapshot.written, cache: new Uint8Array(snapshot.written.cache.length) } };
    expect(messageOf(() => new Device(image, edge).run(inputs, { resume: forgetful }))).toContain("E0501 read of uninitialised cache");
  });

  it("holds pages that changed, not constants and inputs", () => {
    const { pieces } = stopAt(new Device(image, edge), 3);
    expect(pieces.map(({ memory, address }) => [memory, address])).toEqual([["external", 0], ["external", 4096], ["cache", 0], ["accumulator", 0]]);
  });

  it("takes no other image, inputs or options", () => {
    const resume = stopAt(new Device(image, edge), 3);
    const other: Image = { ...image, segments: image.segments.slice(0, 1) };
    expect(messageOf(() => new Device(other, edge).run(inputs, { resume }))).toBe("E0604 the snapshot belongs to another image");
    expect(messageOf(() => new Device(image, edge).run(new Map([["x", tensor("f32", [8, 16], Array.from({ length: 128 }, () => 0))]]), { resume }))).toBe("E0604 the snapshot belongs to a run with other inputs");
    expect(messageOf(() => new Device(image, edge).run(inputs, { resume, timingOnly: true }))).toMatch(/^E0603/);
    expect(messageOf(() => new Device(image, edge).run(inputs, { resume: { ...resume, judgements: 99 } }))).toMatch(/^E060[34]/);
  });

  it("any damage to the file is a diagnostic", () => {
    const bytes = snapshotToBytes(stopAt(new Device(image, edge), 2));
    fc.assert(fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const mutated = bytes.slice();
      mutated[at]! ^= change;
      expect(messageOf(() => snapshotFromBytes(mutated))).toMatch(/^E0604/);
      expect(messageOf(() => snapshotFromBytes(bytes.subarray(0, at)))).toMatch(/^E0604/);
    }), { numRuns: 200 });
    expect(messageOf(() => snapshotFromBytes(new Uint8Array(0)))).toBe("E0604 this is no snapshot of a run");
    expect(snapshotFromBytes(bytes)).toEqual(stopAt(new Device(image, edge), 2));
  });
});
