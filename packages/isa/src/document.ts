/** @file docs/isa.md, written from the table of instructions: nobody edits it by hand. */
import { layouts, type FieldLayout, type Layout } from "./layout.ts";
import { immediateRegister, mnemonics, submoduleNames } from "./instructions.ts";
import { limits } from "./machine.ts";
import { presetNames, presets } from "./presets.ts";
import { unitNames, type UnitName } from "./spec.ts";

export function isaDocument(): string {
  return [
    "# Instructions of the device",
    "",
    "This file is generated from `packages/isa/src/instructions.ts`; change that table, not this file.",
    "",
    ...introduction,
    "",
    "## Registers and limits",
    "",
    ...tableOf(["what", "how many"], [
      ["spaces", limits.spaces], ["dimensions of a space", limits.dimensions], ["address generators", limits.generators], ["buffers", limits.buffers], ["loop levels", limits.levels],
      ["streams of a `vec`", limits.streams], ["stages of a `vec`", limits.stages], [`float64 scalar registers, of which register ${immediateRegister} reads as the immediate`, limits.scalarRegisters], ["routines of an image", limits.routines],
    ]),
    "",
    `Routines run in one of the submodules ${submoduleNames.map(code).join(", ")}.`,
    "",
    "## Overview",
    "",
    ...tableOf(["instruction", "opcode", "unit", "what it does"], mnemonics.map((op) => [`[${op}](#${op})`, hex(layouts[op].spec.opcode), layouts[op].spec.unit, sentence(layouts[op].spec.doc)])),
    "",
    ...unitNames.flatMap(unitChapter),
    "## Machines that come along",
    "",
    ...machineTable(),
    "",
  ].join("\n");
}

const introduction = [
  "Every instruction is one 128-bit little-endian word. Bits 7..0 hold the opcode; bits that no field owns are zero, or the word is refused (E0401).",
  "",
  "A *space* is a set of up to 8 nested dimensions over which an instruction iterates. A *generator* turns a point of its space into an address.",
  "A *buffer* is a region of a memory, cut in slots. *Levels* are the hardware loops; `i[L]` is the index of level L, 0 where no loop of that level is open.",
  "Spaces, generators and buffers are registers of the controller. They are set outside loops and taken as they are when an instruction uses them.",
  "",
  "An image means what it would mean if its instructions ran one after the other. The units run ahead of each other in time, but never so that this could be seen in a result.",
  "",
  "In assembly a field is written `name=value`, and left out where it has its default. A letter marks registers: `a` generator, `b` buffer, `p` space, `r` scalar, `i` level.",
  "Masks of levels are binary: bit L stands for level L. Sources of a `vop` are `stream0`, `stage0`, `coordinate0` and `immediate`. Behind `;` stand comments.",
];

function unitChapter(unit: UnitName): string[] {
  const ops = mnemonics.filter((op) => layouts[op].spec.unit === unit);
  return [`## Unit: ${unit}`, "", ...ops.flatMap((op) => instructionChapter(layouts[op]))];
}

function instructionChapter(layout: Layout): string[] {
  const { op, spec, fields } = layout;
  const rows = [...fields].sort((a, b) => a.field.low - b.field.low).map((f) => [bitsOf(f), code(f.name), kindOf(f), f.field.default === undefined ? "" : defaultOf(f), f.field.doc]);
  return [
    `### ${op}`, "", `Opcode ${hex(spec.opcode)}. ${spec.doc}`, "", "```text", ...spec.meaning, "```", "",
    ...(rows.length === 0 ? [] : [...tableOf(["bits", "field", "value", "default", "meaning"], rows), ""]),
    ...fields.flatMap(({ name, field }) => (field.names === undefined ? [] : [`Values of \`${name}\`: ${field.names.map((value, k) => `${k} ${code(value)}`).join(", ")}.`, ""])),
  ];
}

function bitsOf({ field }: FieldLayout): string {
  return field.low === field.high ? String(field.low) : `${field.high}..${field.low}`;
}

function kindOf({ field }: FieldLayout): string {
  return `${field.unit}${field.signed ? ", signed" : ""}`;
}

function defaultOf({ field }: FieldLayout): string {
  return code(field.names?.[field.default!] ?? String(field.default));
}

function machineTable(): string[] {
  const rows = new Map<string, string[]>();
  for (const name of presetNames) {
    for (const [group, value] of Object.entries(presets[name])) {
      if (group === "name") continue;
      const entries = typeof value === "object" ? Object.entries(value).map(([field, inner]) => [`${group}.${field}`, inner] as const) : [[group, value] as const];
      for (const [field, inner] of entries) rows.set(field, [...(rows.get(field) ?? [code(field)]), String(inner)]);
    }
  }
  return tableOf(["field", ...presetNames], [...rows.values()]);
}

function tableOf(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}

/** The first sentence. */
function sentence(doc: string): string {
  return /^.*?[.:](?=\s|$)/.exec(doc)?.[0].replace(/:$/, ".") ?? doc;
}

function hex(opcode: number): string {
  return `\`0x${opcode.toString(16).padStart(2, "0")}\``;
}

function code(text: string): string {
  return `\`${text}\``;
}
