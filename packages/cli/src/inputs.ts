/** @file Tensors for the inputs of a program: from files, from a seed, or a diagnostic that says what is wanted. */
import { allocate, elementCount, fail, formatType, isFloat, type Image, type Tensor, type TensorSymbol, type TensorType } from "@systole/systole";
import type { GivenTensor } from "./compiling.ts";
import { readTensorFile } from "./files/tensorFile.ts";
import type { InputFlag } from "./options.ts";

export function readInputs(flags: readonly InputFlag[]): GivenTensor[] {
  return flags.map(({ name, file }) => ({ name, tensor: readTensorFile(file) }));
}

/** `settled`: inputs of the model that became constants and are not asked for any more. */
export function bindTensors(image: Image, given: readonly GivenTensor[], settled: readonly string[], seed: number | undefined): Map<string, Tensor> {
  const wanted = image.symbols.filter((symbol) => symbol.kind === "input");
  const bound = new Map<string, Tensor>();
  for (const { name, tensor } of given) {
    const target = name ?? onlyInput(wanted);
    if (bound.has(target)) fail("E0601", `input "${target}" is given twice`, { value: target });
    if (!settled.includes(target)) bound.set(target, tensor);
  }
  const missing = wanted.filter((symbol) => !bound.has(symbol.name));
  if (missing.length > 0 && seed === undefined) {
    fail("E0601", `${missing.length === 1 ? "an input is" : `${missing.length} inputs are`} missing`, {}, [
      ...missing.map((symbol) => `wanted: --input ${symbol.name}=FILE with ${formatType(symbol)}`), "--random SEED fills what is missing",
    ]);
  }
  missing.forEach((symbol, index) => bound.set(symbol.name, randomTensor(symbol, seed! + index)));
  return bound;
}

function onlyInput(wanted: readonly TensorSymbol[]): string {
  if (wanted.length === 1) return wanted[0]!.name;
  return fail("E0601", `the model has ${wanted.length} inputs: say which one the file is for`, {}, wanted.map((symbol) => `--input ${symbol.name}=FILE with ${formatType(symbol)}`));
}

/** Floats from -1 to 1, integers from 0 to 9; the same seed gives the same tensor. */
export function randomTensor(type: TensorType, seed: number): Tensor {
  const { dtype, shape } = type;
  const data = allocate(dtype, elementCount(shape));
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1;
  for (let i = 0; i < data.length; i++) {
    // Marsaglia's xorshift32.
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const part = (state >>> 0) / 2 ** 32;
    if (data instanceof BigInt64Array) data[i] = BigInt(Math.floor(part * 10));
    else data[i] = isFloat(dtype) ? part * 2 - 1 : Math.floor(part * (dtype === "bool" ? 2 : 10));
  }
  return { dtype, shape: [...shape], data };
}
