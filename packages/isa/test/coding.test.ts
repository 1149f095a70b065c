import { InputError } from "@systole/base";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  assembleInstruction, assembleRoutines, decodeInstruction, decodeInstructions, disassembleInstruction, disassembleRoutines, encodeInstruction, encodeInstructions,
  instructions, mnemonics, randomBits, randomInstruction, randomInstructions, tableProblems, type InstructionSpec,
} from "@systole/isa";
import { codeOf } from "./helpers.ts";

describe("the table", () => {
  it("has no problems", () => expect(tableProblems(instructions)).toEqual([]));

  it("finds overlapping bits, shared opcodes, wide fields and bad names", () => {
    const field = { low: 8, high: 15, signed: false, unit: "", doc: "x" };
    const spec = (opcode: number, fields: InstructionSpec["fields"]): InstructionSpec => ({ opcode, unit: "controller", doc: "x", meaning: ["x"], fields });
    const problems = tableProblems({
      one: spec(1, { a: field, b: { ...field, low: 15, high: 20 } }),
      two: spec(1, { a: { ...field, high: 70 }, b: { ...field, low: 100, high: 100, names: ["a", "b", "C"] } }),
      three: spec(0, { a: { ...field, low: 0 }, b: { ...field, low: 90, default: 5000 } }),
    });
    expect(problems.join("\n")).toMatchInlineSnapshot(`
      "one: bit 15 belongs to a and to b
      two and one share opcode 1
      two.a: 63 bits; fields have up to 48 bits, or 64 unsigned
      two.b: 3 names do not fit into 1 bits
      two.b: name "C" cannot be written in assembly
      three: opcode 0 is not in 1..255
      three.a: bits 15..0 do not lie in 127..8
      three.b: bits 15..90 do not lie in 127..8
      three.b: default 5000 does not fit"
    `);
  });
});

describe("words", () => {
  it.each(mnemonics)("%s: decode(encode(i)) is i, and the bits stay", (op) => {
    const next = randomBits(7);
    for (let k = 0; k < 200; k++) {
      const instruction = randomInstruction(next, op);
      const word = encodeInstruction(instruction);
      expect(decodeInstruction(word)).toEqual(instruction);
    }
  });

  it("refuses unknown opcodes, unowned bits, missing names and lengths that are no multiple of 16", () => {
    const fence = encodeInstruction({ op: "fence" });
    expect(codeOf(() => decodeInstruction(new Uint8Array(16)))).toBe("E0401");
    expect(codeOf(() => decodeInstruction(Uint8Array.from(fence, (byte, k) => (k === 15 ? 0x80 : byte))))).toBe("E0401");
    expect(codeOf(() => decodeInstruction(Uint8Array.from(encodeInstruction({ op: "buf", id: 0, memory: 0, slots: 1, base: 0, slotBytes: 4 }), (byte, k) => (k < 3 && k > 0 ? byte | 0x81 : byte))))).toBe("E0401");
    expect(codeOf(() => decodeInstructions(new Uint8Array(17)))).toBe("E0401");
  });

  it("any 16 bytes are an instruction or a diagnostic", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (word) => {
      try {
        expect(encodeInstruction(decodeInstruction(word))).toEqual(word);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
      }
    }));
  });

  it("a value that does not fit is our bug", () => {
    expect(() => encodeInstruction({ op: "loop", level: 8, count: 1 })).toThrow(/internal: loop.level = 8/);
  });
});

describe("assembly", () => {
  it.each(mnemonics)("%s: assemble(disassemble(i)) is i", (op) => {
    const next = randomBits(11);
    for (let k = 0; k < 100; k++) {
      const instruction = randomInstruction(next, op);
      expect(assembleInstruction(disassembleInstruction(instruction))).toEqual(instruction);
    }
  });

  it("reads like this", () => {
    const gemm = assembleInstruction("gemm x=a3 w=a5 out=a9 rows=2 contracted=1 dataflow=weight-stationary start=0b0100");
    expect(gemm).toEqual({ op: "gemm", x: 3, w: 5, out: 9, rows: 2, contracted: 1, dataflow: 0, start: 4, continues: 0, first: 0, last: 0 });
    expect(disassembleInstruction(gemm)).toBe("gemm x=a3 w=a5 out=a9 rows=2 contracted=1 dataflow=weight-stationary start=0b0100");
    expect(assembleInstruction("vop operation=add a=stream0 b=immediate operands=f32 dtype=f32 immediate=0x3ff0000000000000")).toMatchObject({ a: 0, b: 24, immediate: 0x3ff0000000000000n });
  });

  it("whole routines round trip", () => {
    fc.assert(fc.property(fc.integer(), fc.string(), fc.option(fc.nat(1000), { nil: undefined }), (seed, name, kernel) => {
      const routines = [
        { name, submodule: "control" as const, instructions: randomInstructions(seed, 20), ...(kernel === undefined ? {} : { kernel }) },
        { name: "second", submodule: "conjugate-gradient" as const, instructions: [] },
      ];
      expect(assembleRoutines(disassembleRoutines(routines))).toEqual(routines);
      expect(encodeInstructions(routines[0]!.instructions)).toHaveLength(320);
    }), { numRuns: 50 });
  });

  it.each([
    "nonsense", "loop level=i0", "loop level=i9 count=1", "loop level=i0 count=-1", "loop level=i0 count=1 count=1", "loop level", "fence x=1", "loop level=i0 count=1e9",
    "vop operation=nothing a=0 operands=f32 dtype=f32", "vop operation=add a=stream9 operands=f32 dtype=f32",
  ])("refuses %s", (text) => expect(codeOf(() => assembleInstruction(text))).toBe("E0405"));

  it.each(["fence", ".routine x control", '.routine "x" nowhere', '.routine "\\q" control'])("refuses the text %s", (text) => expect(codeOf(() => assembleRoutines(text))).toBe("E0405"));
});
