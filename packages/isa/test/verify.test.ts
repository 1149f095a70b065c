import { describe, expect, it } from "vitest";
import { encodeInstructions, machineHash, presets, readImage, repairChecksums, resolveImage, submoduleNames, verifyImage, writeImage, randomBits, type Image, type ResolvedStep, type SubmoduleName } from "@systole/isa";
import { codeOf, imageOf, matrixProgram, messageOf } from "./helpers.ts";

const edge = presets["edge-16"];
const changed = (from: string, to: string): string => {
  if (!matrixProgram.includes(from)) throw new Error(`the program has no ${from}`);
  return matrixProgram.replace(from, to);
};
const verdict = (text: string, more: Partial<Image> = {}): string => messageOf(() => verifyImage(imageOf(text, more), edge));

/** A routine behind a main routine that calls it. */
const routine = (body: string, head = '.routine "r" basic'): string => `.routine "main" control\n call routine=1\n halt\n${head}\n${body}\n ret\n`;
const vector = (tail: string, more = ""): string => routine(`
 buf id=b0 memory=cache base=0 slotBytes=1024
 buf id=b1 memory=cache base=1024 slotBytes=1024
 buf id=b2 memory=cache base=2048 slotBytes=1024
 dim space=p0 index=0 extent=8
 dim space=p0 index=1 extent=16
 agu id=a0 space=p0 buffer=b0 dtype=f32
 stride id=a0 index=0 s0=64 s1=4
 agu id=a1 space=p0 buffer=b1 dtype=i64
 stride id=a1 index=0 s0=0 s1=8
 agu id=a2 space=p0 buffer=b2 dtype=f32
 stride id=a2 index=0 s0=64 s1=4
 agu id=a3 space=p0 buffer=b2 dtype=f32
 stride id=a3 index=0 s0=4
 agu id=a4 space=p0 buffer=b2 dtype=bool
 stride id=a4 index=0 s0=16 s1=1
 agu id=a5 space=p0 buffer=b2 dtype=i64
 stride id=a5 index=0 s0=8
${more}
 ${tail}`);

describe("resolve", () => {
  it("makes a tree of loops and applies the configuration", () => {
    const program = resolveImage(imageOf(matrixProgram));
    const product = program.routines[1]!;
    expect([product.address, product.length]).toEqual([64, matrixProgram.split("\n").length - 8]);
    const loop = product.body.at(-2) as Extract<ResolvedStep, { kind: "loop" }>;
    expect([loop.kind, loop.level, loop.count]).toEqual(["loop", 0, 3]);
    const inner = (loop.body[0] as typeof loop).body[0] as typeof loop;
    expect(inner.body.map((step) => step.kind)).toEqual(["load", "load", "gemm", "vector", "store"]);
    const [load, , , vec] = inner.body as [Extract<ResolvedStep, { kind: "load" }>, ResolvedStep, ResolvedStep, Extract<ResolvedStep, { kind: "vector" }>];
    expect(load.space.dimensions).toEqual([
      { extent: 16, offset: 0, limit: 40, mode: "cut", steps: [16, 0, 0, 0, 0, 0, 0, 0] },
      { extent: 8, offset: 0, limit: 20, mode: "cut", steps: [0, 0, 8, 0, 0, 0, 0, 0] },
    ]);
    expect(load.target).toEqual({ buffer: { id: 3, memory: "cache", base: 0, slotBytes: 512, slots: 2 }, dtype: "f32", mode: "relative", levels: Array.from({ length: 8 }, () => false), base: 0, strides: [32, 4], ring: [0, 0, 1, 0, 0, 0, 0, 0] });
    expect(vec.last).toEqual([2]);
    expect(vec.stages).toEqual([{ operation: "max", sources: [{ kind: "stream", index: 0 }, { kind: "immediate", value: 0 }], operands: "f32", dtype: "f32" }]);
    expect(inner.body[4]!.address - vec.address).toBe(32);
    expect(product.stepAt.get(product.length - 1)).toBe(product.body.length - 1);
    expect(product.stepAt.size).toBe(product.body.length);
  });

  it("what agu says of strides and slots is what stride and ring say", () => {
    const generators = (lines: string) => (resolveImage(imageOf(routine(`
 buf id=b0 memory=cache base=0 slotBytes=256 slots=4
 dim space=p0 index=0 extent=4
 dim space=p0 index=1 extent=4
${lines}
 loop level=i2 count=2
  vec target=a0 streams=1 s0=a0
 endloop level=i2`))).routines[1]!.body.flatMap((step) => (step.kind === "loop" ? step.body : [])));
    const one = generators(" agu id=a0 space=p0 buffer=b0 dtype=f32 stride=-16 along=0 dense=2 level=i2 factor=1")[0] as Extract<ResolvedStep, { kind: "vector" }>;
    const three = generators(" agu id=a0 space=p0 buffer=b0 dtype=f32\n stride id=a0 index=0 s0=-16 s1=4\n ring id=a0 levelA=i2 factorA=1")[0] as typeof one;
    expect(one.target).toEqual(three.target);
    expect([one.target.strides, one.target.ring[2]]).toEqual([[-16, 4], 1]);
  });

  it("a used space starts anew with dimension 0, and dimensions never set have extent 1", () => {
    const program = resolveImage(imageOf(routine(`
 buf id=b0 memory=cache base=0 slotBytes=64
 dim space=p0 index=0 extent=4
 dim space=p0 index=2 extent=3
 agu id=a0 space=p0 buffer=b0 dtype=u8
 vec target=a0 streams=1 s0=a0
 dim space=p0 index=0 extent=5
 vec target=a0 streams=1 s0=a0
 smov register=r1 generator=a0 direction=to-register`)));
    const spaces = program.routines[1]!.body.flatMap((step) => (step.kind === "vector" ? [step.space.dimensions.map((d) => d.extent)] : []));
    expect(spaces).toEqual([[4, 1, 3], [5]]);
    expect(program.routines[1]!.body.at(-2)).toMatchObject({ kind: "move", generator: { strides: [], base: 0 } });
  });

  it.each([
    ["configuration in a loop", "loop level=i0 count=2\n fence\n endloop level=i0", "fence inside a loop"],
    ["a call in a loop", "loop level=i0 count=2\n call routine=1\n endloop level=i0", "call inside a loop"],
    ["an open loop", "loop level=i0 count=2", "ret inside a loop"],
    ["a level twice", "loop level=i0 count=2\n loop level=i0 count=2\n endloop level=i0\n endloop level=i0", "already open"],
    ["crossing loops", "loop level=i0 count=2\n loop level=i1 count=2\n endloop level=i0\n endloop level=i1", "innermost loop has level 1"],
    ["an endloop alone", "endloop level=i0", "endloop without a loop"],
    ["no iterations", "loop level=i0 count=0\n endloop level=i0", "0 iterations"],
    ["an unset generator", "fill target=a0", "generator 0 is not set here"],
    ["an unset space", "agu id=a0 space=p0 buffer=b0 dtype=f32\n fill target=a0", "space 0, which is not set here"],
    ["an unset buffer", "dim space=p0 index=0 extent=1\n agu id=a0 space=p0 buffer=b0 dtype=f32\n fill target=a0", "buffer 0, which is not set here"],
    ["a step without a dim", "step space=p0 index=0 levelA=i0 stepA=1", "step before dim"],
    ["an extent of 0", "dim space=p0 index=0 extent=0", "extent 0"],
    ["a vop alone", "vop operation=copy a=stream0 operands=f32 dtype=f32", "vop without a vec"],
    ["a branch into a loop", "br register=r0 when=1 target=2\n loop level=i0 count=2\n sop operation=mov target=r0 a=r1\n endloop level=i0", "branch target 2"],
    ["a branch out of the routine", "br register=r0 when=1 target=99", "branch target 99"],
    ["a register that holds the immediate", "sop operation=mov target=r63 a=r0", "scalar register 63"],
  ])("refuses %s", (_, body, message) => {
    expect(verdict(routine(body))).toMatch(/^E0403/);
    expect(verdict(routine(body))).toContain(message);
  });

  it("forgets registers after a call and at a branch target", () => {
    const set = " buf id=b0 memory=external base=0 slotBytes=64\n dim space=p0 index=0 extent=4\n agu id=a0 space=p0 buffer=b0 dtype=f32\n stride id=a0 index=0 s0=4\n";
    expect(verdict(routine(`${set} fill target=a0\n fill target=a0`))).toBe("accepted");
    expect(verdict(`${routine(`${set} call routine=2\n fill target=a0`)}.routine "s" basic\n ret`)).toContain("not set here");
    expect(verdict(routine(`${set} fill target=a0\n br register=r0 when=0 target=4`))).toContain("not set here");
    expect(verdict(routine(`${set} fill target=a0\n br register=r0 when=0 target=0`))).toBe("accepted");
  });

  it("spaces must be shared, vop words must follow, strides must have a dimension", () => {
    expect(verdict(changed("ld target=a1 source=a0", "ld target=a1 source=a2"))).toContain("share a space");
    expect(verdict(changed("        vop operation=max a=stream0 b=immediate operands=f32 dtype=f32\n", ""))).toContain("announces 1 vop");
    expect(verdict(changed("stride id=a0 index=0 s0=80 s1=4", "stride id=a0 index=0 s0=80 s1=4 s2=8"))).toContain("beyond the 2 dimensions");
  });
});

describe("verify", () => {
  it("accepts a tiled product, through a file too", () => {
    expect(verdict(matrixProgram)).toBe("accepted");
    expect(codeOf(() => verifyImage(readImage(writeImage(imageOf(matrixProgram))), edge))).toBe("none");
  });

  it.each([
    ["a slot one row too small", "buf id=b3 memory=cache slots=2 base=0 slotBytes=512", "buf id=b3 memory=cache slots=2 base=0 slotBytes=480", "target reaches bytes 0 to 511"],
    ["an external buffer that is too small", "base=0 slotBytes=3200", "base=0 slotBytes=3196", "source reaches bytes 0 to 3199"],
    ["a limit too large", "extent=16 limit=40", "extent=16 limit=41", "source reaches bytes 0 to 3279"],
    ["a loop too long without a limit", "extent=16 limit=40", "extent=16 limit=0", "source reaches"],
    ["a negative coordinate in cut mode", "extent=16 limit=40", "extent=16 offset=-1 limit=40", "coordinates go down to -1"],
    ["buffers that overlap", "buf id=b4 memory=cache slots=2 base=1024", "buf id=b4 memory=cache slots=2 base=768", "overlaps buffer 3"],
    ["a buffer outside the memory", "memory=accumulator slots=2 base=0", "memory=accumulator slots=65 base=0", "buffer 5 ends at byte 66560"],
    ["a buffer outside the image", "base=8192 slotBytes=3840", "base=1048576 slotBytes=3840", "buffer 2 ends at byte 1052416"],
    ["a buffer not aligned", "base=8192", "base=8194", "not aligned to f32"],
    ["a stride not aligned", "s0=80 s1=4", "s0=80 s1=2", "no multiple of f32"],
    ["sums in the data cache", "buf id=b5 memory=accumulator slots=2 base=0", "buf id=b5 memory=cache slots=2 base=8192", "out lies in the cache memory"],
    ["integers in the array", "agu id=a4 space=p2 buffer=b3 dtype=f32", "agu id=a4 space=p2 buffer=b3 dtype=i32", "x is i32"],
    ["dimensions that do not add up", "rows=1 contracted=1", "rows=2 contracted=1", "make 4; the space has 3"],
    ["sums that move with k", "stride id=a6 index=0 s0=64 s1=0", "stride id=a6 index=0 s0=64 s1=4", "out has a stride along a contracted"],
    ["a left operand that moves with columns", "stride id=a4 index=0 s0=32 s1=4", "stride id=a4 index=0 s0=32 s1=4 s2=4", "x has a stride"],
    ["a transfer that converts", "agu id=a1 space=p0 buffer=b3 dtype=f32", "agu id=a1 space=p0 buffer=b3 dtype=i32", "converts nothing"],
    ["a load from the accumulators", "agu id=a0 space=p0 buffer=b0", "agu id=a0 space=p0 buffer=b5", "source lies in the accumulator"],
    ["a copy in the data cache that leaves its buffer", "agu id=a0 space=p0 buffer=b0", "agu id=a0 space=p0 buffer=b6", "buffer 6 in cache has 1 slot"],
    ["an unknown routine", "call routine=1", "call routine=2", "routine 2 does not exist"],
    ["recursion", "call routine=1", "call routine=0", "higher numbers"],
    ["a macro of the wrong owner", "call routine=1", "update routine=1", "conjugate-gradient, not of basic"],
    ["an empty main routine", matrixProgram.slice(matrixProgram.indexOf("  io"), matrixProgram.indexOf('.routine "product"')), "", "the main routine is empty"],
    ["ret in the main routine", "  halt\n", "  ret\n", "ret in the main routine"],
    ["io copy outside the image", "io what=text external=0x80000 bytes=64", "io what=copy external=0 cache=0xfffff bytes=64", "external byte 1048639"],
    ["io copy over itself", "io what=text external=0x80000 bytes=64", "io what=copy external=32 cache=0 bytes=64", "overlaps itself"],
    ["io copy into the text", "io what=text external=0x80000 bytes=64", "io what=copy external=0 cache=0x80000 bytes=64", "the text lies at"],
    ["a routine without ret", "  ret\n", "", "ends with ret"],
    ["halt in a routine", "  ret\n", "  halt\n  ret\n", "only in the main routine"],
    ["a main routine of another submodule", '"main" control', '"main" gradient', "belongs to control"],
    ["io outside the image", "external=0x80000 bytes=64", "external=0xfffff bytes=64", "external byte 1048639"],
    ["a store into the text", "buf id=b2 memory=external base=8192", "buf id=b2 memory=external base=0x80000", "the text lies at"],
  ])("refuses %s", (_, from, to, message) => {
    const text = verdict(changed(from, to));
    expect(text).toMatch(/^E0403/);
    expect(text).toContain(message);
  });

  it("other machines, watchdog, memory map", () => {
    expect(codeOf(() => verifyImage(imageOf(matrixProgram), presets["train-32"]))).toBe("E0402");
    expect(verdict(changed("loop level=i0 count=3", "loop level=i0 count=4000000000").replace("level=i1 count=2", "level=i1 count=4000000000"))).toMatch(/^E0502/);
    expect(codeOf(() => verifyImage(imageOf(matrixProgram), edge, { maxPoints: 1000 }))).toBe("E0502");
    expect(codeOf(() => verifyImage(imageOf(matrixProgram), edge, { maxInstructions: 100 }))).toBe("E0502");
    expect(verdict(matrixProgram, { externalBytes: 2 ** 31 })).toContain("edge-16 has");
    expect(verdict(matrixProgram, { textAddress: 0x80004 })).toContain("multiple of 16");
    expect(verdict(matrixProgram, { textAddress: 0xfff00 })).toContain("the text ends at");
    expect(verdict(matrixProgram, { segments: [{ address: 0x80010, bytes: new Uint8Array(4) }] })).toContain("overlap");
    expect(verdict(matrixProgram, { symbols: [{ name: "x", kind: "input", dtype: "f32", shape: [1 << 20], address: 0 }] })).toContain("the input ends at");
    expect(verdict(matrixProgram, { symbols: [{ name: "x", kind: "input", dtype: "i64", shape: [], address: 4 }] })).toContain("not aligned");
    expect(verdict(matrixProgram, { routines: [] })).toContain("0 routines");
  });

  it("padded transfers touch only what is inside, the data cache holds all points", () => {
    const pad = (limit: number, slot: number): string => routine(`
 buf id=b0 memory=external base=0 slotBytes=400
 buf id=b1 memory=cache base=0 slotBytes=${slot}
 dim space=p0 index=0 extent=12 offset=-1 limit=${limit} mode=pad
 dim space=p0 index=1 extent=12 offset=-1 limit=${limit} mode=pad
 agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
 stride id=a0 index=0 s0=40 s1=4
 agu id=a1 space=p0 buffer=b1 dtype=f32
 stride id=a1 index=0 s0=48 s1=4
 ld target=a1 source=a0`);
    expect(verdict(pad(10, 576))).toBe("accepted");
    expect(verdict(pad(11, 576))).toContain("source reaches");
    expect(verdict(pad(10, 572))).toContain("target reaches");
  });

  it("looks up rows", () => {
    const gather = (rows: number, more = ""): string => routine(`
 buf id=b0 memory=external base=0 slotBytes=400
 buf id=b1 memory=cache base=0 slotBytes=200
 buf id=b2 memory=cache base=256 slotBytes=40
 dim space=p0 index=0 extent=5
 dim space=p0 index=1 extent=10
 dim space=p1 index=0 extent=5${more}
 agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute
 stride id=a0 index=0 s0=40 s1=4
 agu id=a1 space=p0 buffer=b1 dtype=f32
 stride id=a1 index=0 s0=40 s1=4
 agu id=a2 space=p1 buffer=b2 dtype=i64
 stride id=a2 index=0 s0=8
 gather target=a1 source=a0 index=a2 rows=${rows}`);
    expect(verdict(gather(10))).toBe("accepted");
    expect(verdict(gather(11))).toContain("source reaches");
    expect(verdict(gather(0))).toContain("no rows");
    expect(verdict(gather(10, " limit=4"))).toContain("a row number for every point");
  });

  it.each([
    ["vec target=a2 streams=1 s0=a0", "accepted"],
    ["vec target=a2 streams=0", "neither a stream nor a stage"],
    ["vec target=a4 streams=1 s0=a0", "the result is f32, the target bool"],
    ["vec target=a2 streams=1 s0=a0 stages=1\n vop operation=add a=stream0 b=stream1 operands=f32 dtype=f32", "stream 1 is not given"],
    ["vec target=a2 streams=1 s0=a0 stages=1\n vop operation=add a=stream0 b=stage0 operands=f32 dtype=f32", "cannot take the result of stage 0"],
    ["vec target=a2 streams=1 s0=a1 stages=1\n vop operation=add a=stream0 b=immediate operands=f32 dtype=f32", "operand 0 of add is i64, not f32"],
    ["vec target=a2 streams=1 s0=a1 stages=1\n vop operation=convert a=stream0 operands=i64 dtype=f32", "accepted"],
    ["vec target=a4 streams=1 s0=a0 stages=1\n vop operation=lt a=stream0 b=immediate operands=f32 dtype=bool", "accepted"],
    ["vec target=a2 streams=1 s0=a0 stages=1\n vop operation=lt a=stream0 b=immediate operands=f32 dtype=f32", "lt of f32 gives bool"],
    ["vec target=a2 streams=1 s0=a0 stages=1\n vop operation=xor a=stream0 b=immediate operands=f32 dtype=f32", "xor is not defined for f32"],
    ["vec target=a2 streams=1 s0=a0 stages=2\n vop operation=gt a=stream0 b=immediate operands=f32 dtype=bool\n vop operation=select a=stage0 b=stream0 c=immediate operands=f32 dtype=f32", "accepted"],
    ["vec target=a2 streams=1 s0=a0 stages=1\n vop operation=select a=stream0 b=stream0 c=immediate operands=f32 dtype=f32", "operand 0 of select is f32, not bool"],
    ["vec target=a2 streams=1 s0=a0 stages=2\n vop operation=convert a=coordinate1 operands=i64 dtype=f32\n vop operation=mul a=stage0 b=stream0 operands=f32 dtype=f32", "accepted"],
    ["vec target=a2 streams=0 stages=1\n vop operation=neg a=coordinate1 operands=f32 dtype=f32", "operand 0 of neg is i64, not f32"],
    ["vec target=a2 streams=0 stages=1\n vop operation=convert a=coordinate2 operands=i64 dtype=f32", "dimension 2 does not exist"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1", "accepted"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1 order=blocked", "accepted"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1 order=blocked start=0b1", "start mask must be empty"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1 order=blocked continues=1", "accepted"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1 continues=1", "accepted"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=1 continues=1 start=0b1", "a sum that continues in any case has a start mask"],
    ["vec target=a5 streams=1 s0=a0 reduction=argmax reduced=1 continues=1", "argmax cannot be continued"],
    ["vec target=a2 streams=1 s0=a0 continues=1", "a sum to continue without a reduction"],
    ["vec target=a3 streams=1 s0=a0 reduction=max reduced=1 order=blocked", "only a sum of floats"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=2", "stride along a reduced dimension"],
    ["vec target=a2 streams=1 s0=a0 reduction=sum reduced=1", "stride along a reduced dimension"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum reduced=3", "3 reduced dimensions"],
    ["vec target=a3 streams=1 s0=a0 reduction=sum", "0 reduced dimensions"],
    ["vec target=a5 streams=1 s0=a0 reduction=argmax reduced=1", "accepted"],
    ["vec target=a3 streams=1 s0=a0 reduction=argmax reduced=1", "argmax gives i64 or i32"],
    ["vec target=a2 streams=1 s0=a0 reduction=scan reduced=1", "accepted"],
    ["vec target=a2 streams=1 s0=a0 reduced=1", "without a reduction"],
  ])("vector: %s", (text, message) => expect(verdict(vector(text))).toContain(message));

  it("chains no longer than the machine allows", () => {
    const machine = { ...edge, vector: { ...edge.vector, chainedOperations: 1 } };
    const text = vector("vec target=a2 streams=1 s0=a0 stages=2\n vop operation=neg a=stream0 operands=f32 dtype=f32\n vop operation=neg a=stage0 operands=f32 dtype=f32");
    expect(verdict(text)).toBe("accepted");
    expect(messageOf(() => verifyImage(imageOf(text, { machineHash: machineHash(machine) }), machine))).toContain("this machine chains 1");
  });

  it("macros, calls and their depth", () => {
    const chain = (count: number): string => `.routine "main" control\n call routine=1\n halt\n${Array.from({ length: count }, (_, k) => `.routine "r${k}" damping\n${k + 1 < count ? ` call routine=${k + 2}\n` : ""} ret\n`).join("")}`;
    expect(verdict(chain(60))).toBe("accepted");
    expect(verdict(chain(70))).toContain("more than 64 deep");
    const training = '.routine "main" control\n assign routine=1\n estimate routine=2\n update routine=3\n converge routine=1 back=1\n halt\n.routine "a" control\n ret\n.routine "b" gauss-newton\n ret\n.routine "c" conjugate-gradient\n ret\n';
    expect(verdict(training)).toBe("accepted");
    expect(verdict(training.replace("back=1", "back=6"))).toContain("branch target 6");
  });

  it("a main routine may end as it likes, the device sees whether it does", () => {
    for (const end of ["  converge routine=2 back=0\n.routine \"j\" control\n  ret\n", "  fence\n", ""]) expect(verdict(`.routine "main" control\n  fence\n${end.replace("routine=2", "routine=1")}`)).toBe("accepted");
  });

  it("submodules run whom the device text lets them run", () => {
    const pair = (caller: SubmoduleName, callee: SubmoduleName): string =>
      `.routine "main" control\n call routine=1\n halt\n.routine "caller" ${caller}\n call routine=2\n ret\n.routine "callee" ${callee}\n ret\n`;
    const derivation = (name: SubmoduleName): boolean => name !== "control" && name !== "basic";
    for (const caller of submoduleNames) {
      for (const callee of submoduleNames) {
        const legal = caller === "control" || (derivation(caller) && callee !== "control");
        expect(verdict(pair(caller, callee)), `${caller} runs ${callee}`).toMatch(legal ? /^accepted/ : caller === "basic" ? /E0403 basic operations call nobody/ : /E0403 .* cannot run one of control/);
      }
    }
  });

  it("rows: the footprint holds for all of them", () => {
    const rows = (row: string): string => routine(`
 buf id=b0 memory=external base=0 slotBytes=400
 buf id=b1 memory=cache base=0 slotBytes=160
 dim space=p0 index=0 extent=10
 agu id=a0 space=p0 buffer=b0 dtype=f32 base=80
 stride id=a0 index=0 s0=4
 ${row}
 agu id=a1 space=p0 buffer=b1 dtype=f32
 stride id=a1 index=0 s0=4
 base id=a1 register=r62 stride=40 count=4
 ld target=a1 source=a0
 agu id=a0 space=p0 buffer=b0 dtype=f32
 st target=a0 source=a1
 smov register=r1 generator=a1 direction=to-register`);
    expect(verdict(rows("base id=a0 register=r5 stride=40 count=8"))).toBe("accepted");
    const steps = resolveImage(imageOf(rows("base id=a0 register=r5 stride=40 count=8"))).routines[1]!.body;
    const rowsOf = (kind: ResolvedStep["kind"]): unknown => steps.flatMap((step) => (step.kind === kind && "rowed" in step ? [step.rowed.map((g) => g.row)] : []));
    const [own, other] = [{ register: 5, stride: 40, count: 8 }, { register: 62, stride: 40, count: 4 }];
    // The second agu of a0 takes its row away.
    expect([rowsOf("load"), rowsOf("store"), rowsOf("move")]).toEqual([[[other, own]], [[other]], [[other]]]);
    expect(verdict(rows("base id=a0 register=r5 stride=40 count=9"))).toContain("source reaches bytes 80 to 439");
    expect(verdict(rows("base id=a0 register=r5 stride=-40 count=3"))).toBe("accepted");
    expect(verdict(rows("base id=a0 register=r5 stride=-40 count=4"))).toContain("source reaches bytes -40");
    expect(verdict(rows("base id=a0 register=r5 stride=42 count=2"))).toContain("no multiple of f32");
    expect(verdict(rows("base id=a0 register=r5 stride=40 count=0"))).toContain("has no rows");
    expect(verdict(rows("base id=a0 register=r63 stride=40 count=2"))).toContain("scalar register 63 cannot stand here");
    expect(verdict(rows("base id=a7 register=r5 stride=40 count=2"))).toContain("generator 7 is not set");
    expect(verdict(rows("base id=a0 register=r5 stride=40 count=2").replace("count=4", "count=5"))).toContain("target reaches");
  });

  it("mutated images end in diagnostics, quickly", () => {
    const image = imageOf(matrixProgram);
    const file = writeImage(image);
    const text = encodeInstructions(image.routines.flatMap((r) => r.instructions));
    const textAt = Buffer.from(file).indexOf(text);
    expect(textAt).toBeGreaterThan(0);
    const next = randomBits(5);
    const codes = new Set<string>();
    for (let k = 0; k < 2000; k++) {
      const mutated = file.slice();
      // Mostly in the text, where the checks of the container do not help.
      for (let m = next() % 3; m >= 0; m--) {
        const at = next() % 4 === 0 ? next() % file.length : textAt + (next() % text.length);
        mutated[at]! ^= 1 << (next() % 8);
      }
      codes.add(codeOf(() => verifyImage(readImage(repairChecksums(mutated)), edge)));
    }
    expect([...codes].sort()).toEqual(expect.arrayContaining(["E0401", "E0403", "none"]));
    for (const code of codes) expect(["none", "E0401", "E0402", "E0403", "E0404", "E0502"]).toContain(code);
  });
});
