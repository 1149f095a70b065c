/** @file Zip archives: written without times, so that the same content gives the same bytes, and read with their checksums. */
import { crc32 } from "node:zlib";
import { fail } from "@systole/systole";
import { unzipSync, zipSync } from "fflate";

/** The zip format has no time before 1980; this is its zero. */
const noTime = new Date(1980, 0, 1);

export function packFiles(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return zipSync({ ...files }, { level: 0, mtime: noTime });
}

/** E0604 where it is no archive. */
export function unpackFiles(bytes: Uint8Array, file: string): Readonly<Record<string, Uint8Array>> {
  return unzip(bytes) ?? fail("E0604", "not a checkpoint, or damaged", { file });
}

/** All entries; undefined where it is no archive, or where an entry is not what its checksum says. */
export function unzip(bytes: Uint8Array): Readonly<Record<string, Uint8Array>> | undefined {
  try {
    const entries = unzipSync(bytes);
    return checksumsOf(bytes).every(({ name, sum }) => entries[name] !== undefined && crc32(entries[name]) === sum) ? entries : undefined;
  } catch {
    return undefined;
  }
}

/** Of the central directory (APPNOTE 4.3.12, 4.3.16), which the library does not compare. Throws a RangeError where it leaves the file. */
function checksumsOf(bytes: Uint8Array): readonly { readonly name: string; readonly sum: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== endOfDirectory) end--;
  let at = view.getUint32(end + 16, true);
  return Array.from({ length: view.getUint16(end + 10, true) }, () => {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true)) as [number, number, number];
    const entry = { name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength)), sum: view.getUint32(at + 16, true) };
    at += 46 + nameLength + extraLength + commentLength;
    return entry;
  });
}

const endOfDirectory = 0x06054b50;
