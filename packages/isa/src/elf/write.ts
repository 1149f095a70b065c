/** @file An image to the bytes of its ELF file: the same image always gives the same bytes. */
import { elementCount, bytesOf, fail, internal } from "@systole/base";
import { encodeInstructions } from "../encode.ts";
import type { Image } from "../image.ts";
import { limits } from "../machine.ts";
import { checksumBytes, computeChecksums } from "./checksums.ts";
import {
  absoluteSection, checksumsName, constPrefix, debugName, headerBytes, imageFormatVersion, longestName, noteName, put64, putFileHeader, putProgramHeader, putSectionHeader,
  reservedSections, sectionFlag, sectionType, segmentFlag, segmentType, tensorsName, textPrefix, viewOfBytes, type ProgramHeader, type SectionHeader,
} from "./format.ts";
import { encodeText, parseElf } from "./parse.ts";

/** A section before its place in the file is known. */
interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Only without bits: its size. */
  readonly size: number;
  readonly align: number;
  readonly link?: number;
  readonly info?: number;
  readonly entryBytes?: number;
}

export function writeImage(image: Image): Uint8Array {
  const { sections, text, constants, workspace } = sectionsOf(image);
  if (sections.length >= reservedSections) fail("E0303", `${image.routines.length} routines and ${image.segments.length} segments are more sections than an ELF file holds`);
  // The text is one piece of memory even when it has many sections; an ELF reader wants load segments in order of address.
  const loads = [text, ...constants.map((k) => [k, k + 1] as const), ...(workspace === undefined ? [] : [[workspace, workspace + 1] as const])].filter(([from, to]) => from < to);
  const programHeaders = loads.length + 1;
  const { headers, end } = place(sections, headerBytes.file + programHeaders * headerBytes.program);
  const sectionOffset = roundUp(end, 8);
  const file = new Uint8Array(sectionOffset + headers.length * headerBytes.section);
  const view = viewOfBytes(file);
  putFileHeader(view, { programHeaders, sectionOffset, sectionHeaders: headers.length, namesIndex: headers.length - 1 });
  const segments = loads.map(([from, to]) => segmentOf(segmentType.load, headers.slice(from, to), 16)).sort((a, b) => a.address - b.address || a.offset - b.offset);
  [segmentOf(segmentType.note, [headers[1]!], 4), ...segments].forEach((segment, k) => putProgramHeader(view, headerBytes.file + k * headerBytes.program, segment));
  sections.forEach((section, k) => file.set(section.bytes, headers[k]!.offset));
  headers.forEach((header, k) => putSectionHeader(view, sectionOffset + k * headerBytes.section, header));
  const parsed = parseElf(file);
  if (typeof parsed === "string") return internal(`written image cannot be read: ${parsed}`);
  parsed.sections.find((s) => s.name === checksumsName)!.bytes.set(computeChecksums(file, parsed));
  return file;
}

function sectionsOf(image: Image): { sections: Section[]; text: readonly [number, number]; constants: number[]; workspace: number | undefined } {
  const data = (name: string, bytes: Uint8Array, align = 1): Section => ({ name, type: sectionType.progbits, flags: 0, address: 0, bytes, size: bytes.length, align });
  const sections: Section[] = [{ name: "", type: sectionType.null, flags: 0, address: 0, bytes: new Uint8Array(0), size: 0, align: 0 }];
  sections.push({ ...data(noteName, noteOf(image), 4), type: sectionType.note, flags: sectionFlag.alloc });
  let address = image.textAddress;
  for (const routine of image.routines) {
    const bytes = encodeInstructions(routine.instructions);
    sections.push({ ...data(`${textPrefix}${routine.submodule}.${routine.name}`, bytes, alignOf(address)), flags: sectionFlag.alloc | sectionFlag.execute, address });
    address += bytes.length;
  }
  const text = [2, sections.length] as const;
  const constants = image.segments.map((segment, k) => {
    sections.push({ ...data(`${constPrefix}${k}`, segment.bytes, alignOf(segment.address)), flags: sectionFlag.alloc, address: segment.address });
    return sections.length - 1;
  });
  const start = image.segments.reduce((end, s) => Math.max(end, s.address + s.bytes.length), address);
  const workspace = start < image.externalBytes ? sections.length : undefined;
  if (workspace !== undefined) {
    sections.push({ name: ".workspace", type: sectionType.nobits, flags: sectionFlag.alloc | sectionFlag.write, address: start, bytes: new Uint8Array(0), size: image.externalBytes - start, align: 1 });
  }
  sections.push(data(tensorsName, encodeText(JSON.stringify(image.symbols.map(({ name, kind, dtype, shape, address: at }) => ({ name, kind, dtype, shape, address: at }))))));
  sections.push(data(debugName, encodeText(debugText(image))));
  // Sections with bits are all but the null section, the workspace and the checksums; three more follow.
  sections.push(data(checksumsName, new Uint8Array(checksumBytes(sections.length + 3 - 1 - (workspace === undefined ? 0 : 1))), 4));
  const strings = newStrings();
  const symbols = symbolTable(image, strings);
  sections.push({ ...data(".symtab", symbols, 8), type: sectionType.symtab, link: sections.length + 1, info: 1, entryBytes: headerBytes.symbol });
  sections.push({ ...data(".strtab", strings.bytes()), type: sectionType.strtab });
  const names = newStrings();
  for (const section of [...sections.map((s) => s.name), ".shstrtab"]) names.add(section);
  sections.push({ ...data(".shstrtab", names.bytes()), type: sectionType.strtab });
  return { sections, text, constants, workspace };
}

/** Offsets in the file: congruent to the address, as loaders want it. */
function place(sections: readonly Section[], start: number): { headers: SectionHeader[]; end: number } {
  const names = newStrings();
  let end = start;
  const headers = sections.map((s): SectionHeader => {
    const loaded = (s.flags & sectionFlag.alloc) !== 0 && s.type !== sectionType.note;
    const offset = s.type === sectionType.null ? 0 : loaded ? end + ((((s.address - end) % 16) + 16) % 16) : roundUp(end, s.align);
    if (s.type !== sectionType.null) end = offset + s.bytes.length;
    return { nameOffset: names.add(s.name), type: s.type, flags: s.flags, address: s.address, offset, size: s.size, link: s.link ?? 0, info: s.info ?? 0, align: s.align, entryBytes: s.entryBytes ?? 0 };
  });
  return { headers, end };
}

function segmentOf(type: number, headers: readonly SectionHeader[], align: number): ProgramHeader {
  const [first] = headers;
  const bytes = headers.reduce((sum, header) => sum + header.size, 0);
  const flags = segmentFlag.read | ((first!.flags & sectionFlag.write) !== 0 ? segmentFlag.write : 0) | ((first!.flags & sectionFlag.execute) !== 0 ? segmentFlag.execute : 0);
  return { type, flags, offset: first!.offset, address: first!.address, fileBytes: first!.type === sectionType.nobits ? 0 : bytes, memoryBytes: bytes, align };
}

function noteOf(image: Image): Uint8Array {
  const { machineName: machine, machineHash: hash, externalBytes, textAddress } = image;
  const owner = encodeText("systole\0");
  const description = encodeText(JSON.stringify({ version: imageFormatVersion, machine, hash, externalBytes, textAddress }));
  const bytes = new Uint8Array(roundUp(12 + owner.length + description.length, 4));
  const view = viewOfBytes(bytes);
  [owner.length, description.length, 1].forEach((word, k) => view.setUint32(4 * k, word, true));
  bytes.set(owner, 12);
  bytes.set(description, 12 + owner.length);
  return bytes;
}

function debugText(image: Image): string {
  const kernels = image.debug.kernels.map(({ name, nodes, macs, predictedCycles, lowerBoundBytes, tiling }) =>
    ({ name, nodes: nodes.map(({ node, operator, phase }) => ({ node, operator, ...(phase === undefined ? {} : { phase }) })), macs, predictedCycles, lowerBoundBytes, tiling }));
  const { scalars } = image.debug;
  const branches = image.debug.branches?.map(({ routine, instruction, taken, loop }) =>
    ({ routine, instruction, taken, ...(loop === undefined ? {} : { loop: { name: loop.name, head: loop.head, last: loop.last } }) }));
  return JSON.stringify({ model: image.debug.model, kernels, ...(scalars === undefined ? {} : { scalars }), ...(branches === undefined ? {} : { branches }), routineKernels: image.routines.map((routine) => routine.kernel ?? -1) });
}

function symbolTable(image: Image, strings: Strings): Uint8Array {
  const bytes = new Uint8Array((1 + image.routines.length + image.symbols.length) * headerBytes.symbol);
  const view = viewOfBytes(bytes);
  strings.add("");
  let at: number = headerBytes.symbol;
  const put = (name: string, type: number, section: number, address: number, size: number): void => {
    view.setUint32(at, strings.add(name), true);
    view.setUint8(at + 4, (1 << 4) | type);
    view.setUint16(at + 6, section, true);
    put64(view, at + 8, address);
    put64(view, at + 16, size);
    at += headerBytes.symbol;
  };
  let address = image.textAddress;
  image.routines.forEach((routine, k) => {
    const size = routine.instructions.length * limits.instructionBytes;
    put(routine.name, 2, 2 + k, address, size);
    address += size;
  });
  for (const symbol of image.symbols) put(symbol.name, 1, absoluteSection, symbol.address, elementCount(symbol.shape) * bytesOf(symbol.dtype));
  return bytes;
}

interface Strings {
  /** Offset of a name in the table; the same name always has the same one. */
  readonly add: (name: string) => number;
  readonly bytes: () => Uint8Array;
}

function newStrings(): Strings {
  const offsets = new Map<string, number>();
  const parts: Uint8Array[] = [];
  let length = 0;
  const add = (name: string): number => {
    const known = offsets.get(name);
    if (known !== undefined) return known;
    const text = encodeText(`${name}\0`);
    if (text.length > longestName || text.indexOf(0) !== text.length - 1) internal(`name "${name.slice(0, 40)}" cannot stand in an image`);
    offsets.set(name, length);
    parts.push(text);
    length += text.length;
    return length - text.length;
  };
  return {
    add,
    bytes: () => {
      const bytes = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        bytes.set(part, at);
        at += part.length;
      }
      return bytes;
    },
  };
}

/** The largest power of two up to 16 that divides an address. */
function alignOf(address: number): number {
  return [16, 8, 4, 2].find((align) => address % align === 0) ?? 1;
}

function roundUp(value: number, multiple: number): number {
  return multiple <= 1 ? value : Math.ceil(value / multiple) * multiple;
}
