/** @file The same model for another batch, where its file fixes the batch to 1. */
import onnxProto, { type onnx as Onnx } from "onnx-proto";

/** Changes the first dimension of every input and output, and the first entry of the shapes of reshapes, from 1 to `batch`. */
export function withBatch(bytes: Uint8Array, batch: number): Uint8Array {
  const model = onnxProto.onnx.ModelProto.decode(bytes);
  const graph = model.graph as Onnx.GraphProto;
  const initialized = new Set(graph.initializer.map((t) => t.name!));
  for (const value of [...graph.input.filter((v) => !initialized.has(v.name!)), ...graph.output]) {
    const first = value.type?.tensorType?.shape?.dim?.[0];
    if (first !== undefined && Number(first.dimValue) === 1) first.dimValue = batch;
  }
  graph.valueInfo = [];
  const shapes = new Set(graph.node.filter((n) => n.opType === "Reshape").map((n) => n.input![1]!));
  for (const tensor of graph.initializer) if (shapes.has(tensor.name!)) setFirst(tensor, batch);
  return onnxProto.onnx.ModelProto.encode(model).finish();
}

function setFirst(tensor: Onnx.ITensorProto, batch: number): void {
  if (tensor.rawData !== null && tensor.rawData !== undefined && tensor.rawData.length >= 8) {
    const raw = Uint8Array.from(tensor.rawData);
    const view = new DataView(raw.buffer);
    if (view.getBigInt64(0, true) === 1n) view.setBigInt64(0, BigInt(batch), true);
    tensor.rawData = raw;
  } else if (tensor.int64Data !== null && tensor.int64Data !== undefined && Number(tensor.int64Data[0]) === 1) tensor.int64Data[0] = batch;
}
