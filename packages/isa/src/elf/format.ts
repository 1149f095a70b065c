/**
 * @file The image file: numbers of the ELF specification that we use, headers to and from bytes.
 *
 * ELF64, little endian, ET_EXEC, EM_NONE (no number is assigned to this machine). Sections in this order:
 * .note.systole.machine, .text.<submodule>.<routine> for each routine, .const.<n> for each segment, .workspace (no bits),
 * .systole.tensors, .systole.debug, .systole.checksums, .symtab, .strtab, .shstrtab. Addresses are those of the device's external memory.
 */

/** Version of everything in the file that this package defines; part of the note. */
export const imageFormatVersion = 2;

export const headerBytes = { file: 64, program: 56, section: 64, symbol: 24 } as const;
export const sectionType = { null: 0, progbits: 1, symtab: 2, strtab: 3, note: 7, nobits: 8 } as const;
export const sectionFlag = { write: 1, alloc: 2, execute: 4 } as const;
export const segmentType = { load: 1, note: 4 } as const;
export const segmentFlag = { execute: 1, write: 2, read: 4 } as const;
/** Symbols of tensors have absolute addresses: no section holds inputs and outputs. */
export const absoluteSection = 0xfff1;
/** Section numbers from here on have other meanings. */
export const reservedSections = 0xff00;
export const longestName = 1024;

export const noteName = ".note.systole.machine";
export const tensorsName = ".systole.tensors";
export const debugName = ".systole.debug";
export const checksumsName = ".systole.checksums";
export const textPrefix = ".text.";
export const constPrefix = ".const.";

export const identification = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] as const;
export const executable = 2;
export const machineNumber = 0;

export interface SectionHeader {
  readonly nameOffset: number;
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
  readonly entryBytes: number;
}

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly align: number;
}

export interface FileHeader {
  readonly programHeaders: number;
  readonly sectionOffset: number;
  readonly sectionHeaders: number;
  readonly namesIndex: number;
}

export function viewOfBytes(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function put64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

/** Exact up to 2^53; what is larger stays larger. */
export function get64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

export function putFileHeader(view: DataView, header: FileHeader): void {
  identification.forEach((byte, at) => view.setUint8(at, byte));
  view.setUint16(16, executable, true);
  view.setUint16(18, machineNumber, true);
  view.setUint32(20, 1, true);
  put64(view, 32, headerBytes.file);
  put64(view, 40, header.sectionOffset);
  view.setUint16(52, headerBytes.file, true);
  view.setUint16(54, headerBytes.program, true);
  view.setUint16(56, header.programHeaders, true);
  view.setUint16(58, headerBytes.section, true);
  view.setUint16(60, header.sectionHeaders, true);
  view.setUint16(62, header.namesIndex, true);
}

export function putProgramHeader(view: DataView, at: number, p: ProgramHeader): void {
  view.setUint32(at, p.type, true);
  view.setUint32(at + 4, p.flags, true);
  [p.offset, p.address, p.address, p.fileBytes, p.memoryBytes, p.align].forEach((value, k) => put64(view, at + 8 + 8 * k, value));
}

export function putSectionHeader(view: DataView, at: number, s: SectionHeader): void {
  view.setUint32(at, s.nameOffset, true);
  view.setUint32(at + 4, s.type, true);
  [s.flags, s.address, s.offset, s.size].forEach((value, k) => put64(view, at + 8 + 8 * k, value));
  view.setUint32(at + 40, s.link, true);
  view.setUint32(at + 44, s.info, true);
  put64(view, at + 48, s.align);
  put64(view, at + 56, s.entryBytes);
}

export function getSectionHeader(view: DataView, at: number): SectionHeader {
  const long = (k: number): number => get64(view, at + 8 + 8 * k);
  return {
    nameOffset: view.getUint32(at, true), type: view.getUint32(at + 4, true), flags: long(0), address: long(1), offset: long(2), size: long(3),
    link: view.getUint32(at + 40, true), info: view.getUint32(at + 44, true), align: get64(view, at + 48), entryBytes: get64(view, at + 56),
  };
}
