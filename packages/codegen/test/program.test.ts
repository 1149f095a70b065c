/** @file Programs as images: scalars as registers, control as branches, places as generators, the main part as macro-instructions. */
import { GraphBuilder, type Program, type ProgramTensor, type ScalarExpression, type Statement } from "@systole/ir";
import { disassembleRoutines, presets, verifyImage, type Image } from "@systole/isa";
import { scheduleProgram } from "@systole/scheduler";
import { expect, test } from "vitest";
import { emitProgram } from "../src/index.ts";

const edge = presets["edge-16"];
const op = (name: Exclude<ScalarExpression, string | number>["op"], ...args: ScalarExpression[]): ScalarExpression => ({ op: name, args });
const pinned = (name: string, shape: readonly number[], rows?: number): ProgramTensor => ({ name, kind: "state", type: { dtype: "f32", shape }, place: "pinned", ...(rows === undefined ? {} : { rows }) });

function imageOf(body: readonly Statement[], more: Partial<Program> = {}): Image {
  const program: Program = {
    name: "p", tensors: [], graphs: [], routines: [{ name: "work", owner: "conjugate-gradient", body }], main: [{ kind: "update", routine: "work" }], ...more,
    scalars: ["a", "b", "done", ...(more.scalars ?? [])],
  };
  const image = emitProgram(scheduleProgram(program, edge), edge);
  verifyImage(image, edge);
  return image;
}

/** One routine as text, without addresses. */
function textOf(image: Image, name = "work"): string[] {
  const lines = disassembleRoutines(image.routines.filter((routine) => routine.name === name)).split("\n").slice(1).map((line) => line.trim().replace(/\s*;\s*[0-9a-f]+/, " ;").replace(/\s*;$/, ""));
  return lines.filter((line) => line !== "" && line !== "ret");
}

test("done is register 0, the others follow; constants stand in the instruction that uses them", () => {
  expect(textOf(imageOf([{ kind: "set", target: "a", value: op("mul", "a", 1.5) }, { kind: "set", target: "done", value: op("lt", 0.25, op("sub", "b", "a")) }, { kind: "set", target: "b", value: "done" }]))).toMatchInlineSnapshot(`
    [
      "sop operation=mul target=r1 a=r1 b=r63 immediate=0x3ff8000000000000 ; r1 = mul r1 1.5",
      "sop operation=sub target=r3 a=r2 b=r1 ; r3 = sub r2 r1",
      "sop operation=lt target=r0 a=r63 b=r3 immediate=0x3fd0000000000000 ; r0 = lt 0.25 r3",
      "sop operation=mov target=r2 a=r0 ; r2 = mov r0",
    ]
  `);
});

test("a result may replace an operand; two constants take a register", () => {
  expect(textOf(imageOf([{ kind: "set", target: "a", value: op("sub", op("mul", "b", 2), op("add", "a", op("div", 1, 3))) }]))).toMatchInlineSnapshot(`
    [
      "sop operation=mul target=r3 a=r2 b=r63 immediate=0x4000000000000000 ; r3 = mul r2 2",
      "sop operation=mov target=r4 a=r63 immediate=0x3ff0000000000000 ; r4 = mov 1",
      "sop operation=div target=r4 a=r4 b=r63 immediate=0x4008000000000000 ; r4 = div r4 3",
      "sop operation=add target=r4 a=r1 b=r4 ; r4 = add r1 r4",
      "sop operation=sub target=r1 a=r3 b=r4 ; r1 = sub r3 r4",
    ]
  `);
});

test("branches go forward over what does not run, and back to the head of a loop", () => {
  expect(textOf(imageOf([
    { kind: "while", condition: op("lt", "a", 9), body: [
      { kind: "if", condition: "b", then: [{ kind: "break" }], else: [{ kind: "set", target: "a", value: 2 }] },
      { kind: "if", condition: "a", then: [{ kind: "set", target: "b", value: 3 }], else: [{ kind: "set", target: "b", value: 4 }] },
    ] },
  ]))).toMatchInlineSnapshot(`
    [
      "sop operation=lt target=r3 a=r1 b=r63 immediate=0x4022000000000000 ; r3 = lt r1 9",
      "br register=r3 when=0 target=13",
      "br register=r2 when=0 target=5",
      "sop operation=mov target=r3 a=r63 immediate=0x3ff0000000000000 ; r3 = mov 1",
      "br register=r3 when=1 target=13",
      "sop operation=mov target=r1 a=r63 immediate=0x4000000000000000 ; r1 = mov 2",
      "br register=r1 when=0 target=10",
      "sop operation=mov target=r2 a=r63 immediate=0x4008000000000000 ; r2 = mov 3",
      "sop operation=mov target=r3 a=r63 immediate=0x3ff0000000000000 ; r3 = mov 1",
      "br register=r3 when=1 target=11",
      "sop operation=mov target=r2 a=r63 immediate=0x4010000000000000 ; r2 = mov 4",
      "sop operation=mov target=r3 a=r63 immediate=0x3ff0000000000000 ; r3 = mov 1",
      "br register=r3 when=1 target=0",
    ]
  `);
});

test("elements of pinned tensors: generators are set once, and anew behind calls and branch targets", () => {
  const withRoutines = imageOf([], {
    tensors: [pinned("t", [4]), pinned("rows", [3], 5)],
    routines: [
      { name: "work", owner: "conjugate-gradient", body: [
        { kind: "read", target: "a", from: { tensor: "t", offset: 2, shape: [] } }, { kind: "write", to: { tensor: "t", offset: 2, shape: [] }, value: op("add", "a", 1) },
        { kind: "read", target: "b", from: { tensor: "rows", row: "a", offset: 1, shape: [] } }, { kind: "call", routine: "other" }, { kind: "read", target: "b", from: { tensor: "t", offset: 2, shape: [] } },
      ] },
      { name: "other", owner: "gradient", body: [] },
    ],
  });
  expect(textOf(withRoutines)).toMatchInlineSnapshot(`
    [
      "buf id=b0 memory=cache base=262080 slotBytes=16",
      "dim space=p0 index=0 extent=1",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 base=8",
      "smov register=r1 generator=a0 direction=to-register",
      "sop operation=add target=r3 a=r1 b=r63 immediate=0x3ff0000000000000 ; r3 = add r1 1",
      "smov register=r3 generator=a0 direction=to-memory",
      "buf id=b1 memory=cache base=262016 slotBytes=60",
      "agu id=a1 space=p0 buffer=b1 dtype=f32 base=4",
      "base id=a1 register=r1 stride=12 count=5",
      "smov register=r2 generator=a1 direction=to-register",
      "call routine=2",
      "buf id=b0 memory=cache base=262080 slotBytes=16",
      "dim space=p0 index=0 extent=1",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 base=8",
      "smov register=r2 generator=a0 direction=to-register",
    ]
  `);
});

test("a sum walks over slots of one element; a row is fetched first", () => {
  expect(textOf(imageOf([{ kind: "sum", target: "a", of: { tensor: "t", offset: 1, shape: [3] } }, { kind: "sum", target: "a", of: { tensor: "rows", row: "a" } }], { tensors: [pinned("t", [4]), pinned("rows", [3], 5)] }))).toMatchInlineSnapshot(`
    [
      "sop operation=mov target=r3 a=r63 ; r3 = mov 0",
      "buf id=b0 memory=cache slots=3 base=262084 slotBytes=4",
      "dim space=p0 index=0 extent=1",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 factor=1",
      "loop level=i0 count=3",
      "smov register=r4 generator=a0 direction=to-register",
      "sop operation=add target=r3 a=r3 b=r4 ; r3 = add r3 r4",
      "endloop level=i0",
      "sop operation=mov target=r1 a=r3 ; r1 = mov r3",
      "sop operation=mov target=r3 a=r63 ; r3 = mov 0",
      "buf id=b0 memory=cache base=262016 slotBytes=60",
      "dim space=p0 index=0 extent=3",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1",
      "base id=a0 register=r1 stride=12 count=5",
      "buf id=b1 memory=cache base=0 slotBytes=12",
      "agu id=a1 space=p0 buffer=b1 dtype=f32 dense=1",
      "ld target=a1 source=a0",
      "buf id=b0 memory=cache slots=3 base=0 slotBytes=4",
      "dim space=p0 index=0 extent=1",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 factor=1",
      "loop level=i0 count=3",
      "smov register=r4 generator=a0 direction=to-register",
      "sop operation=add target=r3 a=r3 b=r4 ; r3 = add r3 r4",
      "endloop level=i0",
      "sop operation=mov target=r1 a=r3 ; r1 = mov r3",
    ]
  `);
});

test("main: the text, the steps, a judgement at the end; routines in order, then kernels of basic operations", () => {
  const b = new GraphBuilder();
  b.output("z", b.apply("mul", [b.input("x", { dtype: "f32", shape: [6] }), b.apply("broadcast", [b.input("s", { dtype: "f32", shape: [] })], { shape: [6], axes: [] })], {}));
  const vector = { dtype: "f32", shape: [6] } as const;
  const image = imageOf([], {
    graphs: [b.build("scale")],
    tensors: [
      { name: "theta", kind: "parameter", type: vector, place: "external", initial: { ...vector, data: new Float32Array([1, 2, 3, 4, 5, 6]) }, parts: [{ name: "w", offset: 0, shape: [2, 2] }, { name: "b", offset: 4, shape: [2] }] },
      { name: "copy", kind: "state", type: vector, place: "external" }, { name: "x", kind: "state", type: vector, place: "cache" }, { name: "log", kind: "record", type: vector, rows: 2, place: "external" },
    ],
    routines: [
      { name: "start", owner: "control", body: [{ kind: "set", target: "a", value: 0.5 }] },
      { name: "work", owner: "conjugate-gradient", body: [{ kind: "apply", graph: "scale", inputs: { x: { tensor: "x" }, s: { scalar: "a" } }, outputs: { z: { tensor: "x" } } }] },
      { name: "judge", owner: "control", body: [{ kind: "set", target: "done", value: 1 }] },
    ],
    main: [{ kind: "load", from: "theta", to: "copy" }, { kind: "load", from: "theta", to: "x" }, { kind: "assign", routine: "start" }, { kind: "update", routine: "work" }, { kind: "store", from: "x", to: "theta" }, { kind: "converge", routine: "judge", back: 1 }],
  });
  expect(image.routines.map(({ name, submodule, kernel }) => [name, submodule, kernel])).toEqual([
    ["main", "control", undefined], ["start", "control", undefined], ["work", "conjugate-gradient", undefined], ["judge", "control", undefined], ["scale/0.copy", "basic", 0],
  ]);
  expect(textOf(image, "main").map((line) => line.replace(/(external|cache|bytes)=\d+/g, "$1"))).toEqual([
    "io what=text external bytes", "io what=copy external cache bytes", "io what=load external cache bytes", "assign routine=1", "update routine=2", "io what=store external cache bytes", "converge routine=3 back=2",
  ]);
  expect(image.symbols.map(({ name, kind, shape }) => [name, kind, shape])).toEqual([["w", "parameter", [2, 2]], ["b", "parameter", [2]], ["copy", "state", [6]], ["log", "record", [2, 6]]]);
  expect(image.segments.map(({ bytes }) => [...new Float32Array(bytes.slice().buffer)])).toEqual([[1, 2, 3, 4, 5, 6]]);
  expect(textOf(image, "work")).toMatchInlineSnapshot(`
    [
      "buf id=b0 memory=cache base=262080 slotBytes=8",
      "dim space=p0 index=0 extent=1",
      "agu id=a0 space=p0 buffer=b0 dtype=f32",
      "smov register=r1 generator=a0 direction=to-memory",
      "call routine=4",
    ]
  `);
  expect(textOf(image, "scale/0.copy")).toMatchInlineSnapshot(`
    [
      "dim space=p0 index=0 extent=6 limit=6",
      "buf id=b0 memory=cache base=262016 slotBytes=24",
      "agu id=a0 space=p0 buffer=b0 dtype=f32 mode=absolute dense=1",
      "buf id=b1 memory=cache base=262080 slotBytes=4",
      "agu id=a1 space=p0 buffer=b1 dtype=f32 mode=absolute",
      "vec target=a0 streams=2 s1=a1 stages=1",
      "vop operation=mul a=stream0 b=stream1 operands=f32 dtype=f32",
    ]
  `);
});

test("a main part without a judgement halts; a judgement before the end is followed by a halt", () => {
  expect(textOf(imageOf([]), "main").slice(1)).toEqual(["update routine=1", "halt"]);
  const routines: Program["routines"] = [{ name: "judge", owner: "control", body: [] }, { name: "work", owner: "conjugate-gradient", body: [] }];
  expect(textOf(imageOf([], { routines, main: [{ kind: "converge", routine: "judge", back: 0 }, { kind: "update", routine: "work" }, { kind: "converge", routine: "judge", back: 1 }] }), "main").slice(1)).toEqual(["converge routine=1 back=1", "halt", "update routine=2", "converge routine=1 back=3"]);
});
