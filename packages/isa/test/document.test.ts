import { expect, it } from "vitest";
import { instructions, isaDocument, mnemonics } from "@systole/isa";

it("the document names every instruction and every field", () => {
  const text = isaDocument();
  for (const op of mnemonics) {
    const chapter = text.slice(text.indexOf(`### ${op}\n`));
    expect(chapter.startsWith(`### ${op}\n`)).toBe(true);
    for (const field of Object.keys(instructions[op].fields)) expect(chapter).toContain(`| \`${field}\` |`);
  }
  expect(text).not.toMatch(/[|`] ?undefined/);
  // Tables have as many cells in every row as in their head.
  const cells = (line: string): number => line.replaceAll("\\|", "").split("|").length;
  text.split("\n").forEach((line, k, lines) => {
    if (line.startsWith("|") && lines[k - 1]!.startsWith("|")) expect(cells(line)).toBe(cells(lines[k - 1]!));
  });
});
