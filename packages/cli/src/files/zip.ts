/** @file Small archives of ours: a zip without times, so that the same content gives the same bytes. */
import { fail } from "@systole/systole";
import { unzipSync, zipSync } from "fflate";

/** The zip format has no time before 1980; this is its zero. */
const noTime = new Date(1980, 0, 1);

export function packFiles(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  return zipSync({ ...files }, { level: 0, mtime: noTime });
}

/** E0604 where it is no archive. */
export function unpackFiles(bytes: Uint8Array, file: string): Readonly<Record<string, Uint8Array>> {
  try {
    return unzipSync(bytes);
  } catch {
    return fail("E0604", "not a checkpoint, or damaged", { file });
  }
}
