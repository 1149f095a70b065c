/** @file An image alone: written by hand, run in a process in which there is nothing but isa, base and the device. */
import { InputError } from "@systole/base";
import { presets, resolveImage, verifyImage } from "@systole/isa";
import { expect, it } from "vitest";
import { Controller } from "../src/controller.ts";
import { newTimingTables } from "../src/timing/tables.ts";
import { printedAlone } from "./alone.ts";
import { imageOf } from "./programs.ts";

/** A user's routine: y[i] = x[i]^2 + i for 10 numbers, its answer summed in a scalar register. */
const script = `
import { assembleRoutines, machineHash, presets } from "@systole/isa";
import { Device } from "@systole/device";
const machine = presets["train-32"];
const routines = assembleRoutines(\`
.routine "main" control
estimate routine=1
halt
.routine "of a user" gradient
call routine=2
ret
.routine "squares" basic
buf id=b0 memory=external base=0 slotBytes=40
buf id=b1 memory=cache base=0 slotBytes=40
buf id=b2 memory=cache base=64 slotBytes=4
buf id=b3 memory=external base=64 slotBytes=4
dim space=p0 index=0 extent=10
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
agu id=a1 space=p0 buffer=b1 dtype=f32
stride id=a1 index=0 s0=4
agu id=a2 space=p0 buffer=b2 dtype=f32
ld target=a1 source=a0
vec target=a2 streams=1 s0=a1 stages=3 reduction=sum reduced=1
vop operation=mul a=stream0 b=stream0 operands=f32 dtype=f32
vop operation=convert a=coordinate0 operands=i64 dtype=f32
vop operation=add a=stage0 b=stage1 operands=f32 dtype=f32
dim space=p1 index=0 extent=1
agu id=a3 space=p1 buffer=b3 dtype=f32
agu id=a4 space=p1 buffer=b2 dtype=f32
st target=a3 source=a4
ret
\`);
const image = {
  machineName: machine.name, machineHash: machineHash(machine), routines, segments: [], externalBytes: 1024, textAddress: 128, debug: { model: "by hand", kernels: [] },
  symbols: [{ name: "x", kind: "input", dtype: "f32", shape: [10], address: 0 }, { name: "y", kind: "output", dtype: "f32", shape: [1], address: 64 }],
};
const run = new Device(image, machine).run(new Map([["x", { dtype: "f32", shape: [10], data: Float32Array.from({ length: 10 }, (_, k) => k) }]]));
const absent = await import("@systole/ir").then(() => "found", () => "absent");
console.log(JSON.stringify({ y: Array.from(run.outputs.get("y").data), macros: run.macroTrace, ir: absent }));
`;

it("a hand-assembled routine runs where no compiler is", () => {
  // 0 + 1 + 4 + .. + 81 = 285, and 0 + 1 + .. + 9 = 45.
  expect(JSON.parse(printedAlone(script))).toEqual({ y: [330], macros: ["estimate"], ir: "absent" });
});

it("basic operations that call somebody are refused, and a fault if they come past the verifier", () => {
  const machine = presets["edge-16"];
  const calling = imageOf(machine, `.routine "main" control\ncall routine=1\nhalt\n.routine "leaf" basic\ncall routine=2\nret\n.routine "other" gradient\nret\n`, [], 64);
  const diagnosticOf = (body: () => unknown): unknown => {
    try {
      return body();
    } catch (error) {
      if (error instanceof InputError) return error.diagnostic;
      throw error;
    }
  };
  expect(diagnosticOf(() => verifyImage(calling, machine))).toMatchObject({ code: "E0403", message: "basic operations call nobody", where: { routine: "leaf" } });
  const executable = { program: resolveImage(calling), textAddress: calling.textAddress, kernels: [], owned: [], branches: new Map(), tables: newTimingTables(machine) };
  const controller = new Controller(executable, machine, undefined, { judged: () => undefined }, {});
  expect(diagnosticOf(() => { controller.run(); })).toMatchObject({ code: "E0501", message: "a routine of basic runs one of gradient", where: { routine: "leaf" } });
});
