/**
 * @file Gives the architectures of the ONNX light set varied weights. Their files make every weight 0.02 by a ConstantOfShape node;
 * here each such node becomes an initializer filled by a hash of its name, scaled by what consumes it, so that activations keep
 * about their size through the network and a softmax at the end has spread.
 */
import onnxProto, { type onnx as Onnx } from "onnx-proto";
import { hash } from "../support.ts";

export function withHashedWeights(bytes: Uint8Array): Uint8Array {
  const model = onnxProto.onnx.ModelProto.decode(bytes);
  const graph = model.graph as Onnx.GraphProto;
  const shapes = new Map(graph.initializer.map((t) => [t.name, int64sOf(t as Onnx.TensorProto)]));
  const isFill = (node: Onnx.INodeProto) => node.opType === "ConstantOfShape" && shapes.has(node.input![0]!);
  const consumers = consumersOf(graph);
  for (const node of graph.node.filter(isFill)) {
    const name = node.output![0]!;
    const shape = shapes.get(node.input![0]!)!;
    graph.initializer.push(onnxProto.onnx.TensorProto.create({ name, dims: shape, dataType: onnxProto.onnx.TensorProto.DataType.FLOAT, rawData: fill(name, shape, consumers.get(name) ?? { operator: "", position: 0, summed: false }) }));
  }
  // Some files keep stored statistics, with variances of channels that never fire: these would blow random activations up.
  for (const stored of graph.initializer) {
    const consumer = consumers.get(stored.name!);
    if (consumer?.operator !== "BatchNormalization" || stored.dataType !== onnxProto.onnx.TensorProto.DataType.FLOAT) continue;
    Object.assign(stored, { rawData: fill(stored.name!, stored.dims!.map(Number), consumer), floatData: [] });
  }
  graph.node = graph.node.filter((node) => !isFill(node));
  return onnxProto.onnx.ModelProto.encode(model).finish();
}

interface Consumer {
  readonly operator: string;
  readonly position: number;
  /** The consumer's result goes straight into a sum of branches. */
  readonly summed: boolean;
}

/** The operator that uses each value, through Unsqueeze. */
function consumersOf(graph: Onnx.GraphProto): Map<string, Consumer> {
  const consumers = new Map<string, Consumer>();
  for (const node of [...graph.node].reverse()) {
    const next = consumers.get(node.output![0]!);
    node.input!.forEach((name, position) => {
      const through = node.opType === "Unsqueeze" ? next : undefined;
      consumers.set(name, through ?? { operator: node.opType!, position, summed: next?.operator === "Sum" });
    });
  }
  return consumers;
}

function fill(name: string, shape: readonly number[], consumer: Consumer): Uint8Array {
  const count = shape.reduce((a, b) => a * b, 1);
  const [low, high] = rangeOf(consumer, shape, count);
  const seed = [...name].reduce((h, c) => (Math.imul(h, 31) + c.charCodeAt(0)) | 0, 7);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = low + (high - low) * (hash(seed, i) / 0x100000000);
  return new Uint8Array(values.buffer);
}

function rangeOf({ operator, position, summed }: Consumer, shape: readonly number[], count: number): readonly [number, number] {
  const weight = (operator === "Conv" || operator === "Gemm") && position === 1;
  if (weight) {
    // Uniform with a variance of 1.5 / fan-in: rectified activations keep their mean square, with some room for max pooling.
    const bound = Math.sqrt(4.5 / (count / shape[0]!));
    return [-bound, bound];
  }
  if (operator === "BatchNormalization" && position === 4) return [0.5, 1.5];
  // A branch that is added to another one is small, or sixteen sums would let the logits explode.
  if (operator === "BatchNormalization" && position === 1) return summed ? [0.1, 0.4] : [0.8, 1.3];
  if (operator === "Mul") return [0.8, 1.2];
  return [-0.1, 0.1];
}

function int64sOf(t: Onnx.TensorProto): number[] {
  if (t.dataType !== onnxProto.onnx.TensorProto.DataType.INT64) return [];
  if (t.rawData.length > 0) return Array.from(new BigInt64Array(Uint8Array.from(t.rawData).buffer), Number);
  return t.int64Data.map(Number);
}
