/**
 * @file A person with the disassembler changes a number of the algorithm in the image, seals it again, and the device follows that algorithm: bit for
 * bit what the interpreter does with the program in which the number was changed.
 */
import type { Tensor } from "@systole/base";
import type { Program, ScalarExpression, Statement } from "@systole/ir";
import { assembleRoutines, bitsOfFloat64, disassembleRoutines, presets, writeImage, type Image } from "@systole/isa";
import { hessianFree, profileNamed, reasonOf, recordTensor, type HessianFreeOptions } from "@systole/training";
import { describe, expect, test } from "vitest";
import { printedAlone } from "../../packages/device/test/alone.ts";
import { mlp } from "../../packages/training/test/problems.ts";
import { changed, compiled, interpretedBits, trained } from "./support.ts";

const machine = presets["edge-16"];
const { problem, inputs } = mlp({ widths: [5, 12, 3], samples: 32, microBatch: 8 });
const options: HessianFreeOptions = {
  profile: profileNamed("martens"), lambda: 0.01, iterations: 8, cgIterations: 40, gradientBatch: 32, curvatureBatch: 8, weightDecay: 1e-3, seed: 1n,
  gradientTolerance: 0, progressTolerance: -1, preconditioner: undefined, structuralDamping: undefined,
};
const program = hessianFree(problem, options);
const { image } = compiled(program, machine);
const untouched = trained(image, machine, inputs);

const text = (x: number): string => `immediate=0x${bitsOfFloat64(x).toString(16)}`;

/** The image with one number of one routine changed in its assembly. */
function patched(routine: string, from: number, to: number): Image {
  return changed(image, (routines) => {
    const blocks = disassembleRoutines(routines).split(/^(?=\.routine )/m);
    const at = blocks.findIndex((block) => block.startsWith(`.routine ${JSON.stringify(routine)} `));
    expect(blocks[at]!.split(`${text(from)} `), `${from} stands once in ${routine}`).toHaveLength(2);
    blocks[at] = blocks[at]!.replace(`${text(from)} `, `${text(to)} `);
    return assembleRoutines(blocks.join(""));
  });
}

/** The program with the same number changed. */
function edited(routineName: string, from: number, to: number): Program {
  const expression = (e: ScalarExpression): ScalarExpression => (typeof e === "object" ? { ...e, args: e.args.map(expression) } : e === from ? to : e);
  const statement = (s: Statement): Statement => {
    switch (s.kind) {
      case "set":
      case "write": return { ...s, value: expression(s.value) };
      case "if": return { ...s, condition: expression(s.condition), then: s.then.map(statement), else: s.else.map(statement) };
      case "while": return { ...s, condition: expression(s.condition), body: s.body.map(statement) };
      default: return s;
    }
  };
  return { ...program, routines: program.routines.map((routine) => (routine.name === routineName ? { ...routine, body: routine.body.map(statement) } : routine)) };
}

describe("numbers changed in the image", () => {
  test("the image as it is follows the program", () => {
    expect(untouched.bits).toEqual(interpretedBits(program, inputs));
    expect(untouched.records).toHaveLength(8);
  });

  test.each([
    ["the factor of the damping's rule (53)", "damping.rule", 3 / 2, 2],
    ["lambda in the assignment (S4)", "assign", 0.01, 0.25],
    ["the bound of the judgement (S10)", "judge", 8, 4],
    ["the truncation of conjugate gradients (55)", "conjugate-gradient", 0.0005, 0.05],
  ] as const)("%s", (_, routine, from, to) => {
    const { bits } = trained(patched(routine, from, to), machine, inputs);
    expect(bits).not.toEqual(untouched.bits);
    expect(bits).toEqual(interpretedBits(edited(routine, from, to), inputs));
  });

  test("lambda = 0 in the assignment is a stop with a name, and theta stays", () => {
    const { records, points } = trained(patched("assign", 0.01, 0), machine, inputs);
    expect(records.map(({ reason, rate, lambda }) => [reasonOf(reason), rate, lambda])).toEqual([["damping-not-positive", 0, 0]]);
    expect(points[0]).toEqual(program.tensors.find(({ name }) => name === "theta")!.initial!.data);
  });

  test("it runs in a process that knows the device and the instruction set only", () => {
    const altered = patched("damping.rule", 3 / 2, 2);
    const given = Object.fromEntries([...inputs].map(([name, { dtype, shape, data }]: [string, Tensor]) => [name, { dtype, shape, data: Array.from(data as Float32Array, String) }]));
    const script = `
      import { readFileSync } from "node:fs";
      import { presets, readImage } from "@systole/isa";
      import { Device } from "@systole/device";
      const given = JSON.parse(readFileSync("inputs.json", "utf8"));
      const inputs = new Map(Object.entries(given).map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: dtype === "i64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data, Number) }]));
      const records = [];
      new Device(readImage(readFileSync("image.elf")), presets["edge-16"]).run(inputs, { onJudgement: (view) => { records.push(Buffer.from(view.read("${recordTensor}").data.buffer).toString("base64")); } });
      const absent = await import("@systole/training").then(() => "found", () => "absent");
      console.log(JSON.stringify({ records, absent }));`;
    const printed = JSON.parse(printedAlone(script, { "image.elf": writeImage(altered), "inputs.json": Buffer.from(JSON.stringify(given)) })) as unknown;
    expect(printed).toEqual({ absent: "absent", records: trained(altered, machine, inputs).bits.map((both) => both.split(" ")[1]) });
  });
});
