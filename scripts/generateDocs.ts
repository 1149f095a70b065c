/**
 * @file Writes the documents that are tables of the program: docs/isa.md, docs/operators.md, docs/errors.md. `npm run docs` writes them,
 * `npm run docs -- --check` says whether they are fresh.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codes, derivativeText, isaDocument, newestOpset, oldestOpset, operatorTable } from "@systole/systole";

const root = join(import.meta.dirname, "..");

/** Path in the repository and text of each document. */
export function documents(): ReadonlyMap<string, string> {
  return new Map([["docs/isa.md", isaDocument()], ["docs/operators.md", operatorsDocument()], ["docs/errors.md", errorsDocument()]]);
}

/** The documents whose file holds something else. */
export function staleDocuments(): string[] {
  return [...documents()].filter(([path, text]) => readOrEmpty(join(root, path)) !== text).map(([path]) => path);
}

function operatorsDocument(): string {
  return [
    "# ONNX operators",
    "",
    "This file is generated from the table in `packages/frontend-onnx/src/operators`; change that, not this file.",
    "",
    `${operatorTable.length} operators of the default domain, in models of opset ${oldestOpset} to ${newestOpset}. *Versions* are the opsets in which the standard defined the operator anew;`,
    "every one is understood as its own version says. *Restrictions* is empty where everything that the standard allows is accepted. What is not",
    "accepted ends in a diagnostic with node, operator, opset and attribute: E0201 and E0202 from the import, E0303 where the device has no",
    "instruction for it yet.",
    "",
    "*Forward* is the operator on the device. *JVP*, *VJP* and *Gauss-Newton* say whether tangents, cotangents (so gradients) and curvature go through it: *zero*",
    "where the operator is constant almost everywhere, so that nothing before it is trained; – where it has no tangent at all, because operands or result are integers or",
    "known when the model is compiled. Forms that are said to be excluded end in E0208. No operator has a derivative of its own: the columns follow from the",
    "primitives it becomes, and tests differentiate every operator in all three ways and compare (`packages/frontend-onnx/test/derivatives.test.ts`), and run the",
    "derived programs on the device (`test/operatorDerivatives.test.ts`).",
    "",
    ...tableOf(["operator", "versions", "restrictions", "forward", "JVP", "VJP", "Gauss-Newton"], operatorTable.map(({ name, since, constraints, derivative }) => {
      const derived = derivativeText(derivative);
      return [name, since.join(", "), constraints, "yes", derived, derived, derived];
    })),
    "",
  ].join("\n");
}

function errorsDocument(): string {
  return [
    "# Diagnostics",
    "",
    "This file is generated from `packages/base/src/diagnostics/codes.ts`; change that table, not this file.",
    "",
    "A diagnostic names what is wrong, where (file, ONNX node, operator, opset, attribute, value, kernel, routine, instruction: whatever is known) and what",
    "would be accepted. The command line prints it on standard error and ends with exit code 1. E01 are files and formats, E02 operators and graphs, E03 machines and",
    "capacity, E04 images, E05 faults of the device, E06 inputs and options of a run.",
    "",
    ...tableOf(["code", "what", "what to do"], Object.entries(codes).map(([code, { title, help }]) => [`<a id="${code.toLowerCase()}"></a>${code}`, title, help])),
    "",
  ].join("\n");
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

if (process.argv[1] === import.meta.filename) {
  const stale = staleDocuments();
  if (process.argv.includes("--check")) {
    for (const path of stale) console.error(`${path} is stale: npm run docs`);
    process.exitCode = stale.length === 0 ? 0 : 1;
  } else {
    for (const [path, text] of documents()) writeFileSync(join(root, path), text);
    console.log(stale.length === 0 ? "nothing changed" : `wrote ${stale.join(", ")}`);
  }
}
