/** @file ONNX Runtime Web as the outside oracle, on one thread. */
import { numbersOf, type Dtype, type NumericArray, type Tensor } from "@systole/base";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

const typeNames: Readonly<Record<Dtype, ort.Tensor.Type>> = { f32: "float32", f64: "float64", i64: "int64", i32: "int32", i8: "int8", u8: "uint8", bool: "bool" };

export interface Expected {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number | bigint>;
}

/** Every output by name; throws where ONNX Runtime refuses the model. */
export async function runOnnxRuntime(model: Uint8Array, inputs: ReadonlyMap<string, Tensor>): Promise<ReadonlyMap<string, Expected>> {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 4 });
  try {
    const feeds = Object.fromEntries([...inputs].map(([name, t]) => [name, new ort.Tensor(typeNames[t.dtype], t.data as Float32Array, t.shape)]));
    const outputs = await session.run(feeds);
    return new Map(Object.entries(outputs).map(([name, t]) => [name, { shape: t.dims, values: t.data as ArrayLike<number | bigint> }]));
  } finally {
    await session.release();
  }
}

export function expectedOf(tensor: Tensor): Expected {
  return { shape: tensor.shape, values: tensor.data as NumericArray };
}

/** The first element outside the tolerance, or undefined. */
export function mismatch(actual: Tensor, expected: Expected, relative: number, absolute: number): string | undefined {
  if (actual.shape.join() !== expected.shape.join()) return `shape [${actual.shape}], expected [${expected.shape}]`;
  const numbers = numbersOf(actual);
  for (let i = 0; i < numbers.length; i++) {
    const [got, wanted] = [numbers[i]!, Number(expected.values[i])];
    const near = Object.is(got, wanted) || got === wanted || Math.abs(got - wanted) <= absolute + relative * Math.abs(wanted);
    if (!near) return `element ${i} is ${got}, expected ${wanted}`;
  }
  return undefined;
}
