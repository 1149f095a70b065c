/** @file NumPy's .npz files: a zip archive of .npy files. Written without compression and without times, so that the same tensors give the same bytes. */
import { fail, InputError, type Tensor } from "@systole/systole";
import { readBytes } from "./files.ts";
import { readNpy, writeNpy } from "./npy.ts";
import { packFiles, unzip } from "./zip.ts";

/** All tensors of the archive by name; entries that are no tensors of ours (text, objects) are left out, unless they are needed. */
export function readNpz(path: string, needed: (name: string) => boolean = () => false): Map<string, Tensor> {
  const entries = unzip(readBytes(path)) ?? fail("E0105", "not a .npz file, or a damaged one", { file: path }, ["Write one with numpy.savez."]);
  const tensors = new Map<string, Tensor>();
  for (const [name, content] of Object.entries(entries)) {
    if (!name.endsWith(".npy")) continue;
    const key = name.slice(0, -".npy".length);
    try {
      tensors.set(key, readNpy(content, `${path}: ${name}`));
    } catch (error) {
      if (!(error instanceof InputError) || needed(key)) throw error;
    }
  }
  return tensors;
}

export function writeNpz(tensors: ReadonlyMap<string, Tensor>): Uint8Array {
  const entries = Object.fromEntries([...tensors].map(([name, tensor]) => [`${name}.npy`, writeNpy(tensor)]));
  return packFiles(entries);
}
