/** @file Float64 evaluation of graphs, directional derivatives by central differences, and small linear algebra for tests. */
import { elementCount, isFloat, type Tensor, type TensorType } from "@systole/base";
import { evaluate, GraphBuilder, isNode, type Graph, type Node } from "../src/index.ts";
import type { Draw } from "./samples.ts";

export type Tensors = ReadonlyMap<string, Tensor>;

export function wide(t: Tensor): Tensor {
  return isFloat(t.dtype) ? { ...t, data: Float64Array.from(t.data as Float32Array) } : t;
}

export function tensor64(shape: readonly number[], values: readonly number[], dtype: "f32" | "f64" = "f64"): Tensor {
  return { dtype, shape, data: Float64Array.from(values) };
}

export function evaluate64(graph: Graph, inputs: Tensors): Map<string, Tensor> {
  return evaluate(graph, new Map([...inputs].map(([name, t]) => [name, wide(t)])), "float64");
}

export function drawDirection(d: Draw, type: TensorType): Tensor {
  return { dtype: type.dtype, shape: type.shape, data: Float64Array.from({ length: elementCount(type.shape) }, () => d.int(-1000, 1000) / 700) };
}

export function scaledSum(a: Tensor, b: Tensor, factor: number): Tensor {
  return { ...a, data: Float64Array.from(a.data as Float64Array, (value, i) => value + factor * (b.data[i] as number)) };
}

export function inner(a: Tensor, b: Tensor): number {
  return (a.data as Float64Array).reduce((sum, value, i) => sum + value * (b.data[i] as number), 0);
}

/** The change of every float output along the directions. */
export function centralDifference(graph: Graph, inputs: Tensors, directions: Tensors, step = 1e-5): Map<string, Tensor> {
  const moved = (factor: number): Map<string, Tensor> => {
    return evaluate64(graph, new Map([...inputs].map(([name, t]) => [name, directions.has(name) ? scaledSum(wide(t), directions.get(name)!, factor) : t])));
  };
  const [up, down] = [moved(step), moved(-step)];
  const slopes = [...up].filter(([, t]) => isFloat(t.dtype)).map(([name, t]): [string, Tensor] => {
    return [name, { ...t, data: Float64Array.from(t.data as Float64Array, (value, i) => (value - (down.get(name)!.data[i] as number)) / (2 * step)) }];
  });
  return new Map(slopes);
}

/** A graph of one node: its operands are the inputs `x0`, `x1`, ..., its results the outputs `y0`, ... */
export function singleNode(op: Node["op"], inputs: readonly TensorType[], params: Node["params"]): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: "the node", operator: op });
  b.applyAll(op, inputs.map((type, i) => b.input(`x${i}`, type)), params).forEach((value, i) => b.output(`y${i}`, value));
  return b.build(op);
}

export function opsOf(graph: Graph): string[] {
  return graph.nodes.map((node) => node.op);
}

export function count(graph: Graph, ...ops: readonly string[]): number {
  return graph.nodes.filter((node) => ops.includes(node.op)).length;
}

export function nodesOf<P extends Node["op"]>(graph: Graph, op: P): Node<P>[] {
  return graph.nodes.filter((node): node is Node<P> => isNode(node, op));
}

/** Eigenvalues of a symmetric matrix, by Jacobi rotations. */
export function eigenvalues(matrix: readonly (readonly number[])[]): number[] {
  const a = matrix.map((row) => [...row]);
  const n = a.length;
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p]![q]!) < 1e-300) continue;
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * a[p]![q]!);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (let k = 0; k < n; k++) [a[k]![p], a[k]![q]] = [c * a[k]![p]! - s * a[k]![q]!, s * a[k]![p]! + c * a[k]![q]!];
        for (let k = 0; k < n; k++) [a[p]![k], a[q]![k]] = [c * a[p]![k]! - s * a[q]![k]!, s * a[p]![k]! + c * a[q]![k]!];
      }
    }
  }
  return a.map((row, i) => row[i]!);
}
