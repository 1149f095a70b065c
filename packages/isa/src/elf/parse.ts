/** @file An ELF file as headers and sections, every offset checked against the size of the file. Knows nothing of what sections hold. */
import {
  executable, get64, getSectionHeader, headerBytes, identification, longestName, machineNumber, reservedSections, sectionType, viewOfBytes, type FileHeader, type SectionHeader,
} from "./format.ts";

export interface ParsedSection {
  readonly header: SectionHeader;
  readonly name: string;
  /** Empty for a section without bits. */
  readonly bytes: Uint8Array;
}

export interface ParsedFile {
  readonly header: FileHeader;
  readonly sections: readonly ParsedSection[];
}

/** The file, or what is wrong with it. */
export function parseElf(file: Uint8Array): ParsedFile | string {
  if (file.length < headerBytes.file) return `${file.length} bytes are too few for an ELF file`;
  const view = viewOfBytes(file);
  if (!identification.every((byte, at) => file[at] === byte)) return "not an ELF64 little-endian file";
  if (view.getUint16(16, true) !== executable || view.getUint16(18, true) !== machineNumber) return "an ELF file, but not an image of this device";
  if (get64(view, 32) !== headerBytes.file || view.getUint16(54, true) !== headerBytes.program || view.getUint16(58, true) !== headerBytes.section) return "header sizes are not those of ELF64";
  const header: FileHeader = { programHeaders: view.getUint16(56, true), sectionOffset: get64(view, 40), sectionHeaders: view.getUint16(60, true), namesIndex: view.getUint16(62, true) };
  if (headerBytes.file + header.programHeaders * headerBytes.program > file.length) return "the program headers lie outside the file";
  if (header.sectionOffset + header.sectionHeaders * headerBytes.section > file.length) return "the section headers lie outside the file";
  if (header.sectionHeaders >= reservedSections) return "too many sections";
  const headers = Array.from({ length: header.sectionHeaders }, (_, k) => getSectionHeader(view, header.sectionOffset + k * headerBytes.section));
  // Sections may not share bytes, so that all work done on sections is bounded by the size of the file.
  let total = 0;
  for (const s of headers) {
    if (s.type === sectionType.null || s.type === sectionType.nobits) continue;
    total += s.size;
    if (s.offset + s.size > file.length || total > file.length) return "a section lies outside the file";
  }
  const names = headers[header.namesIndex];
  if (names === undefined || names.type !== sectionType.strtab) return "no section names";
  const table = file.subarray(names.offset, names.offset + names.size);
  const sections: ParsedSection[] = [];
  for (const s of headers) {
    const name = nameAt(table, s.nameOffset);
    if (name === undefined) return "a section's name is damaged";
    const hasBits = s.type !== sectionType.null && s.type !== sectionType.nobits;
    sections.push({ header: s, name, bytes: hasBits ? file.subarray(s.offset, s.offset + s.size) : new Uint8Array(0) });
  }
  return { header, sections };
}

function nameAt(table: Uint8Array, offset: number): string | undefined {
  if (offset >= table.length) return undefined;
  const end = table.subarray(offset, offset + longestName + 1).indexOf(0);
  return end < 0 ? undefined : decodeText(table.subarray(offset, offset + end));
}

/** UTF-8 to text, or undefined. Written out because the language's library alone has no decoder. */
export function decodeText(bytes: Uint8Array): string | undefined {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!;
    const length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (length === 0 || at + length > bytes.length) return undefined;
    let point = length === 1 ? lead : lead & (0x7f >> length);
    for (let k = 1; k < length; k++) {
      if ((bytes[at + k]! & 0xc0) !== 0x80) return undefined;
      point = (point << 6) | (bytes[at + k]! & 0x3f);
    }
    const shortest = length === 3 ? 0x800 : length === 4 ? 0x10000 : 0;
    if (point < shortest || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return undefined;
    parts.push(String.fromCodePoint(point));
    at += length;
  }
  return parts.join("");
}

/** Text to UTF-8; half of a surrogate pair becomes U+FFFD. */
export function encodeText(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const whole = character.codePointAt(0)!;
    const point = whole >= 0xd800 && whole < 0xe000 ? 0xfffd : whole;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
  }
  return Uint8Array.from(bytes);
}
