/** @file The bytes of an ELF file to an image. Damaged files end in E0401, E0402 (version) or E0404, whatever the damage. */
import { dtypeNames, fail, InputError, phaseNames } from "@systole/base";
import * as z from "zod";
import { decodeInstructions } from "../decode.ts";
import type { Image, Routine } from "../image.ts";
import { submoduleNames } from "../instructions.ts";
import { damagedPart } from "./checksums.ts";
import { constPrefix, debugName, imageFormatVersion, noteName, tensorsName, textPrefix, viewOfBytes } from "./format.ts";
import { decodeText, parseElf, type ParsedSection } from "./parse.ts";
import { writeImage } from "./write.ts";

const count = z.int().min(0);
const noteSchema = z.strictObject({ version: z.int(), machine: z.string(), hash: z.string(), externalBytes: count, textAddress: count });
const symbolsSchema = z.array(z.strictObject({ name: z.string(), kind: z.enum(["input", "output", "parameter", "state", "record"]), dtype: z.enum(dtypeNames), shape: z.array(count), address: count }));
const nodeSchema = z.strictObject({ node: z.string(), operator: z.string(), phase: z.exactOptional(z.enum(phaseNames)) });
const debugSchema = z.strictObject({
  model: z.string(),
  kernels: z.array(z.strictObject({
    name: z.string(), nodes: z.array(nodeSchema), macs: z.number(), predictedCycles: z.number(), lowerBoundBytes: z.number(), tiling: z.string(),
  })),
  scalars: z.exactOptional(z.array(z.string())),
  branches: z.exactOptional(z.array(z.strictObject({
    routine: count, instruction: count, taken: z.boolean(), loop: z.exactOptional(z.strictObject({ name: z.string(), head: count, last: z.boolean() })),
  }))),
  routineKernels: z.array(z.int().min(-1)),
});

export function readImage(file: Uint8Array): Image {
  const parsed = parseElf(file);
  if (typeof parsed === "string") return refuseImage(parsed);
  const damaged = damagedPart(file, parsed);
  if (damaged !== undefined) fail("E0404", `${damaged} does not have the checksum it was written with`);
  const named = (name: string): ParsedSection => parsed.sections.find((s) => s.name === name) ?? refuseImage(`section ${name} is missing`);
  const note = checked(noteSchema, noteText(named(noteName).bytes), noteName);
  if (note.version !== imageFormatVersion) fail("E0402", `the image has format version ${note.version}; this program reads version ${imageFormatVersion}`);
  const debug = checked(debugSchema, decodeText(named(debugName).bytes), debugName);
  const texts = parsed.sections.filter((s) => s.name.startsWith(textPrefix));
  if (texts.length !== debug.routineKernels.length) refuseImage("the number of routines differs from that in the debug information");
  let address = 0;
  const routines = texts.map((section, index) => {
    const routine = routineOf(section, address, debug.routineKernels[index]!, debug.kernels.length);
    address += section.bytes.length;
    return routine;
  });
  const image: Image = {
    machineName: note.machine, machineHash: note.hash, routines, externalBytes: note.externalBytes, textAddress: note.textAddress,
    segments: parsed.sections.filter((s) => s.name.startsWith(constPrefix)).map((s) => ({ address: s.header.address, bytes: Uint8Array.from(s.bytes) })),
    symbols: checked(symbolsSchema, decodeText(named(tensorsName).bytes), tensorsName),
    debug: { model: debug.model, kernels: debug.kernels, ...(debug.scalars === undefined ? {} : { scalars: debug.scalars }), ...(debug.branches === undefined ? {} : { branches: debug.branches }) },
  };
  demandCanonical(image, file);
  return image;
}

/** Everything that the image does not hold, such as program headers and symbols, must be what would be written: no second meaning can hide in a file. */
function demandCanonical(image: Image, file: Uint8Array): void {
  const written = rewrite(image);
  if (written === undefined || !sameBytes(written, file)) refuseImage("the file's parts contradict each other");
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function rewrite(image: Image): Uint8Array | undefined {
  try {
    return writeImage(image);
  } catch (error) {
    // An image from outside may hold what no image of ours does, such as names that cannot be written.
    if (error instanceof InputError || error instanceof RangeError || (error instanceof Error && error.message.startsWith("internal:"))) return undefined;
    throw error;
  }
}

function routineOf(section: ParsedSection, address: number, kernel: number, kernels: number): Routine {
  const [, submoduleName, name] = /^\.text\.([a-z-]+)\.(.*)$/su.exec(section.name) ?? refuseImage(`section ${section.name} does not name a submodule and a routine`);
  const submodule = submoduleNames.find((s) => s === submoduleName) ?? refuseImage(`section ${section.name}: unknown submodule`);
  if (kernel >= kernels) refuseImage(`routine ${name} belongs to kernel ${kernel}, but there are ${kernels}`);
  const instructions = decodeInstructions(section.bytes, { routine: name!, address });
  return { name: name!, submodule, instructions, ...(kernel < 0 ? {} : { kernel }) };
}

function noteText(bytes: Uint8Array): string | undefined {
  if (bytes.length < 12) return undefined;
  const view = viewOfBytes(bytes);
  const [ownerBytes, textBytes] = [view.getUint32(0, true), view.getUint32(4, true)];
  return 12 + ownerBytes + textBytes > bytes.length ? undefined : decodeText(bytes.subarray(12 + ownerBytes, 12 + ownerBytes + textBytes));
}

function checked<T>(schema: z.ZodType<T>, text: string | undefined, section: string): T {
  const result = text === undefined ? undefined : schema.safeParse(parseJson(text));
  return result?.success === true ? result.data : refuseImage(`section ${section} cannot be read`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refuseImage(message: string): never {
  return fail("E0401", message);
}
