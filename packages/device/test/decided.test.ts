/** @file Programs that take the same way in every run, and programs that may not. */
import { presets, resolveImage } from "@systole/isa";
import { expect, it } from "vitest";
import { isDecided } from "../src/decided.ts";
import { imageOf, matmulImage } from "./programs.ts";

const edge = presets["edge-16"];
const decided = (main: string): boolean => isDecided(resolveImage(imageOf(edge, `.routine "main" control
buf id=b0 memory=external base=0 slotBytes=64
dim space=p0 index=0 extent=4
agu id=a0 space=p0 buffer=b0 dtype=f32
stride id=a0 index=0 s0=4
agu id=a1 space=p0 buffer=b0 dtype=f32
${main}
halt
.routine "judge" control
ret
`, [], 64)));
const load = "smov register=r1 generator=a1 direction=to-register\n";
const row = "base id=a0 register=r3 stride=16 count=4\nfill target=a0 value=0\n";

it.each([
  ["loops and tiles", "fill target=a0 value=0", true],
  ["a branch on what follows from immediates", "sop operation=mov target=r1 a=r63 immediate=0\nsop operation=add target=r1 a=r1 b=r63 immediate=0\nbr register=r1 when=1 target=0", true],
  ["a number from memory that nothing asks for", load, true],
  ["a branch on a number from memory", `${load}br register=r1 when=1 target=0`, false],
  ["a branch on what follows from it, in any order of the program", `sop operation=add target=r3 a=r63 b=r2 immediate=0\nsop operation=mov target=r2 a=r1\n${load}br register=r3 when=1 target=0`, false],
  ["a row that is counted", `sop operation=mov target=r3 a=r63 immediate=0\n${row}`, true],
  ["a row that follows from a number in memory", `${load}sop operation=max target=r3 a=r1 b=r63 immediate=0\n${row}`, false],
  ["the operand that an operation does not read", `${load}sop operation=sqrt target=r3 a=r63 b=r1 immediate=0\n${row}`, true],
  ["a judgement", "converge routine=1 back=0", false],
])("%s", (_, main, wanted) => expect(decided(main)).toBe(wanted));

it("a product in tiles", () => expect(isDecided(resolveImage(matmulImage(edge, { size: [9, 7, 5], tile: [4, 4, 4] })))).toBe(true));
