/** @file What `inspect` shows, as text. */
import { bytesText, renderTable, textBytesOf } from "@systole/report";
import { disassembleRoutines, elementCount, formatType, ladderSources, printAnySchedule, printGraph, printLadder, type Compiled, type Image } from "@systole/systole";
import type { InspectPart } from "../commands/inspect.ts";
import type { Program } from "../compiling.ts";
import { describeParameters, nodesOf, sectionsOf } from "./data.ts";

export function renderProgram(file: string, program: Program, parts: readonly InspectPart[]): string {
  const { compiled, image } = program;
  const chapters: Readonly<Record<InspectPart, () => string>> = {
    model: () => (compiled === undefined ? `${file}: image of "${image.debug.model}" for ${image.machineName}\n` : renderModel(file, compiled)),
    graph: () => (compiled === undefined ? "" : `## Graph\n\n${printGraph(compiled.graph, { elideTensors: true })}`),
    schedule: () => (compiled === undefined ? "" : `## Schedule and memory plan\n\n${printAnySchedule(compiled.schedule)}`),
    ladder: () => (compiled === undefined ? "" : printLadder(compiled.model.graph, ladderSources(compiled.model.graph))),
    image: () => `## Image\n\n${renderImage(image)}\n`,
    code: () => `## Code\n\n${renderCode(image)}\n`,
  };
  return parts.map((part) => chapters[part]()).filter((text) => text !== "").join("\n");
}

function renderModel(file: string, compiled: Compiled): string {
  const { model } = compiled;
  const values = (title: string, list: typeof model.inputs): string[] => list.map(({ name, type, stated }) => `  ${title} ${name} ${formatType(type)}, in the file ${stated}`);
  const parameters = describeParameters(compiled);
  const numbers = (list: typeof parameters): number => list.reduce((sum, { tensor }) => sum + elementCount(tensor.shape), 0);
  return [
    `${file}: model "${model.graph.name}", opset ${model.opset}`,
    ...values("input", model.inputs),
    ...values("output", model.outputs),
    ...parameters.map(({ name, tensor, trainable }) => `  parameter ${name} ${formatType(tensor)} ${trainable ? "trainable" : "fixed"}`),
    `  ${numbers(parameters)} numbers in parameters, ${numbers(parameters.filter(({ trainable }) => trainable))} of them trainable`,
    "",
  ].join("\n");
}

function renderImage(image: Image): string {
  const hex = (value: number): string => `0x${value.toString(16).padStart(8, "0")}`;
  return [
    `for ${image.machineName} (${image.machineHash}), ${bytesText(image.externalBytes)} of external memory, text ${bytesText(textBytesOf(image))} at ${hex(image.textAddress)}`,
    "",
    renderTable(
      [{ title: "section", align: "left" }, { title: "address", align: "right" }, { title: "offset", align: "right" }, { title: "bytes", align: "right" }],
      sectionsOf(image).map((s) => [s.name, hex(s.address), hex(s.offset), String(s.bytes)]),
    ),
    "",
    renderTable(
      [{ title: "symbol", align: "left" }, { title: "kind", align: "left" }, { title: "address", align: "right" }, { title: "type", align: "left" }],
      image.symbols.map((s) => [s.name, s.kind, hex(s.address), formatType(s)]),
    ),
  ].join("\n");
}

/** The disassembly, still in the assembler's language: what is added stands in comments. */
export function renderCode(image: Image): string {
  let index = -1;
  return disassembleRoutines(image.routines, image.debug.scalars).split("\n").flatMap((line) => {
    if (!line.startsWith(".routine ")) return [line];
    index++;
    const routine = image.routines[index]!;
    const nodes = nodesOf(image, routine).map(({ node, operator }) => `${operator} ${JSON.stringify(node)}`);
    const tiling = routine.kernel === undefined ? undefined : image.debug.kernels[routine.kernel]?.tiling;
    return [line, ...(nodes.length === 0 ? [] : [`  ; ${nodes.join(", ")}`]), ...(tiling === undefined ? [] : [`  ; ${tiling}`])];
  }).join("\n");
}
