/** @file Tensor files by their content: .npy or an ONNX TensorProto. */
import { decodeTensor, fail, InputError, type Tensor } from "@systole/systole";
import { readBytes } from "./files.ts";
import { isNpy, readNpy } from "./npy.ts";

export function readTensorFile(path: string): Tensor {
  const bytes = readBytes(path);
  if (isNpy(bytes) || path.endsWith(".npy")) return readNpy(bytes, path);
  try {
    const { dtype, shape, data } = decodeTensor(bytes);
    return { dtype, shape, data };
  } catch (error) {
    // Here the file is at fault, not the model.
    if (error instanceof InputError && error.diagnostic.code === "E0102") return fail("E0105", error.diagnostic.message, { file: path });
    throw error;
  }
}

/** Names of tensors as names of files: different names stay different. */
export function fileNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const plain = name.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "_").slice(0, 200) || "output";
    let candidate = plain;
    for (let k = 2; taken.has(candidate.toLowerCase()); k++) candidate = `${plain}-${k}`;
    taken.add(candidate.toLowerCase());
    return candidate;
  });
}
