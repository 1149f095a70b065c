/** @file Builds small ONNX models in memory and runs them through the import and the reference evaluator. */
import { tensor, type Dtype, type Tensor } from "@systole/base";
import { evaluate } from "@systole/ir";
import proto from "onnx-proto";
import type { onnx as Onnx } from "onnx-proto";
import { importModel, type ImportOptions } from "../src/index.ts";

export const messages = proto.onnx;

export type AttributeInput = number | string | readonly number[] | { readonly f: number } | { readonly fs: readonly number[] } | { readonly ss: readonly string[] } | { readonly t: Tensor } | { readonly g: Onnx.IGraphProto } | { readonly ref: string; readonly type: number };

const numbers: Readonly<Record<Dtype, number>> = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, bool: 9, f64: 11 };

export function tensorProto(value: Tensor, name = ""): Onnx.ITensorProto {
  const bytes = new Uint8Array(value.data.buffer, value.data.byteOffset, value.data.byteLength);
  return { name, dims: [...value.shape], dataType: numbers[value.dtype], rawData: bytes };
}

export function attribute(name: string, value: AttributeInput): Onnx.IAttributeProto {
  if (typeof value === "number") return { name, type: 2, i: value };
  if (typeof value === "string") return { name, type: 3, s: new TextEncoder().encode(value) };
  if ("f" in value) return { name, type: 1, f: value.f };
  if ("fs" in value) return { name, type: 6, floats: [...value.fs] };
  if ("ss" in value) return { name, type: 8, strings: value.ss.map((text) => new TextEncoder().encode(text)) };
  if ("t" in value) return { name, type: 4, t: tensorProto(value.t) };
  if ("g" in value) return { name, type: 5, g: value.g };
  if ("ref" in value) return { name, type: value.type, refAttrName: value.ref };
  return { name, type: 7, ints: [...value] };
}

export function node(opType: string, input: readonly string[], output: readonly string[], attributes: Readonly<Record<string, AttributeInput>> = {}, domain = ""): Onnx.INodeProto {
  return { opType, domain, input: [...input], output: [...output], attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)) };
}

/** A graph input or output; a string dimension is symbolic. */
export function info(name: string, dtype: Dtype, shape?: readonly (number | string)[]): Onnx.IValueInfoProto {
  const dim = shape?.map((extent) => (typeof extent === "number" ? { dimValue: extent } : { dimParam: extent }));
  return { name, type: { tensorType: { elemType: numbers[dtype], ...(dim === undefined ? {} : { shape: { dim } }) } } };
}

export interface ModelInput {
  readonly nodes: readonly Onnx.INodeProto[];
  readonly inputs?: readonly Onnx.IValueInfoProto[];
  readonly outputs: readonly Onnx.IValueInfoProto[];
  readonly initializers?: Readonly<Record<string, Tensor>>;
  readonly functions?: readonly Onnx.IFunctionProto[];
  readonly opset?: number;
  readonly domains?: readonly string[];
}

export function modelProto(m: ModelInput): Onnx.IModelProto {
  return {
    irVersion: 8,
    opsetImport: [{ domain: "", version: m.opset ?? 17 }, ...(m.domains ?? []).map((domain) => ({ domain, version: 1 }))],
    functions: [...(m.functions ?? [])],
    graph: {
      name: "test", node: [...m.nodes], input: [...(m.inputs ?? [])], output: [...m.outputs],
      initializer: Object.entries(m.initializers ?? {}).map(([name, value]) => tensorProto(value, name)),
    },
  };
}

export function modelBytes(m: ModelInput): Uint8Array {
  return messages.ModelProto.encode(modelProto(m)).finish();
}

export function run(bytes: Uint8Array, inputs: Readonly<Record<string, Tensor>>, options: ImportOptions = {}): ReadonlyMap<string, Tensor> {
  return evaluate(importModel(bytes, options).graph, new Map(Object.entries(inputs)), "device");
}

/** One node on the given inputs; those named in `fixed` become initializers. */
export function runNode(opType: string, inputs: Readonly<Record<string, Tensor>>, attributes: Readonly<Record<string, AttributeInput>> = {}, opset = 17, fixed: readonly string[] = []): Tensor {
  const bytes = nodeModel(opType, inputs, attributes, opset, fixed);
  const given = Object.fromEntries(Object.entries(inputs).filter(([name]) => !fixed.includes(name)));
  return run(bytes, given).get("y")!;
}

export function nodeModel(opType: string, inputs: Readonly<Record<string, Tensor>>, attributes: Readonly<Record<string, AttributeInput>>, opset: number, fixed: readonly string[], result: Dtype = "f32", outputs: readonly string[] = ["y"]): Uint8Array {
  const free = Object.entries(inputs).filter(([name]) => !fixed.includes(name));
  return modelBytes({
    opset,
    nodes: [node(opType, Object.keys(inputs).map((name) => (name.startsWith("none") ? "" : name)), outputs, attributes)],
    inputs: free.filter(([name]) => !name.startsWith("none")).map(([name, value]) => info(name, value.dtype, value.shape)),
    outputs: [info("y", result)],
    initializers: Object.fromEntries(Object.entries(inputs).filter(([name]) => fixed.includes(name) && !name.startsWith("none"))),
  });
}

export const f32 = (shape: readonly number[], values: readonly number[]): Tensor => tensor("f32", shape, values);
export const i64 = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor => tensor("i64", shape, values);

/** A reproducible source of numbers in [0, 1). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}
