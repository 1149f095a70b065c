/** @file CRC-32 of every section and of both header tables: pairs of 32-bit words (which, checksum). */
import { checksumsName, headerBytes, sectionType, viewOfBytes } from "./format.ts";
import { parseElf, type ParsedFile } from "./parse.ts";

/** The file header and the program headers. */
const fileHeaders = 0;
/** The section header table. */
const sectionHeaders = 0xffffffff;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ ((remainder & 1) === 1 ? 0xedb88320 : 0);
  return remainder;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** How many bytes the checksums of a file with so many sections take; those without bits and the checksums themselves have none. */
export function checksumBytes(sectionsWithBits: number): number {
  return 8 * (sectionsWithBits + 2);
}

/** The contents of the section of checksums. */
export function computeChecksums(file: Uint8Array, parsed: ParsedFile): Uint8Array {
  const { header, sections } = parsed;
  const sums: (readonly [number, number])[] = [
    [fileHeaders, crc32(file.subarray(0, headerBytes.file + header.programHeaders * headerBytes.program))],
    [sectionHeaders, crc32(file.subarray(header.sectionOffset, header.sectionOffset + header.sectionHeaders * headerBytes.section))],
  ];
  sections.forEach((section, index) => {
    const { type } = section.header;
    if (type !== sectionType.null && type !== sectionType.nobits && section.name !== checksumsName) sums.push([index, crc32(section.bytes)]);
  });
  const bytes = new Uint8Array(8 * sums.length);
  const view = viewOfBytes(bytes);
  sums.forEach(([which, sum], k) => {
    view.setUint32(8 * k, which, true);
    view.setUint32(8 * k + 4, sum, true);
  });
  return bytes;
}

/** Which part does not have its checksum; undefined if all have. */
export function damagedPart(file: Uint8Array, parsed: ParsedFile): string | undefined {
  const stored = parsed.sections.find((s) => s.name === checksumsName)?.bytes ?? new Uint8Array(0);
  const wanted = computeChecksums(file, parsed);
  if (stored.length !== wanted.length) return "the table of checksums";
  const at = wanted.findIndex((byte, k) => byte !== stored[k]);
  if (at < 0) return undefined;
  const which = viewOfBytes(wanted).getUint32(at & ~7, true);
  return which === fileHeaders ? "the file header" : which === sectionHeaders ? "the section headers" : `section ${parsed.sections[which]?.name ?? which}`;
}

/** The same file with right checksums, for tools that change images; a file that cannot be parsed comes back as it is. */
export function repairChecksums(file: Uint8Array): Uint8Array {
  // Not slice(): that of a Node Buffer shares its memory.
  const repaired = Uint8Array.from(file);
  const parsed = parseElf(repaired);
  if (typeof parsed === "string") return repaired;
  const section = parsed.sections.find((s) => s.name === checksumsName);
  const sums = computeChecksums(repaired, parsed);
  if (section?.bytes.length === sums.length) section.bytes.set(sums);
  return repaired;
}
