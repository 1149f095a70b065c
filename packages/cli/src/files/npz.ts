/** @file NumPy's .npz files: a zip archive of .npy files. Written without compression and without times, so that the same tensors give the same bytes. */
import { fail, InputError, type Tensor } from "@systole/systole";
import { unzipSync } from "fflate";
import { readBytes } from "./files.ts";
import { readNpy, writeNpy } from "./npy.ts";
import { packFiles } from "./zip.ts";

/** All tensors of the archive by name; entries that are no tensors of ours (text, objects) are left out. */
export function readNpz(path: string): Map<string, Tensor> {
  const bytes = readBytes(path);
  let entries: Readonly<Record<string, Uint8Array>>;
  try {
    entries = unzipSync(bytes);
  } catch {
    return fail("E0105", "not a .npz file", { file: path }, ["Write one with numpy.savez."]);
  }
  const tensors = new Map<string, Tensor>();
  for (const [name, content] of Object.entries(entries)) {
    if (!name.endsWith(".npy")) continue;
    try {
      tensors.set(name.slice(0, -".npy".length), readNpy(content, `${path}: ${name}`));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  return tensors;
}

export function writeNpz(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const entries = Object.fromEntries([...tensors].map(([name, tensor]) => [`${name}.npy`, writeNpy(tensor)]));
  return packFiles(entries);
}
