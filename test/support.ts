/** @file What the cross-package tests share: bits, random tensors, the way from a graph to a run. */
import { allocate, elementCount, type Dtype, type Tensor } from "@systole/base";
import { runImage, type Run } from "@systole/device";
import { evaluate, type Graph } from "@systole/ir";
import { presets, type Machine } from "@systole/isa";
import { lowerGraph } from "@systole/systole";

export const machines: readonly Machine[] = Object.values(presets);

/** A small deterministic generator: multiplicative hash of a counter. */
export function hash(seed: number, index: number): number {
  let h = Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Floats in -1..1 with a few exact zeros and signed zeros, integers in -8..8, booleans. */
export function randomTensor(dtype: Dtype, shape: readonly number[], seed: number): Tensor {
  const count = elementCount(shape);
  const data = allocate(dtype, count);
  for (let i = 0; i < count; i++) {
    const h = hash(seed, i);
    const value = dtype === "f32" || dtype === "f64" ? (h % 17 === 0 ? (h % 2 === 0 ? 0 : -0) : h / 0x80000000 - 1) : dtype === "bool" ? h % 2 : (h % 17) - (dtype === "u8" ? 0 : 8);
    (data as { [index: number]: number | bigint })[i] = dtype === "i64" ? BigInt(value) : value;
  }
  return { dtype, shape: [...shape], data };
}

export function bytesOfTensor(t: Tensor): Uint8Array {
  return new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
}

/** First difference in bits, or undefined; NaNs of any payload are equal. */
export function difference(a: Tensor, b: Tensor): string | undefined {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return `${a.dtype}[${a.shape}] against ${b.dtype}[${b.shape}]`;
  for (let i = 0; i < a.data.length; i++) if (!Object.is(a.data[i], b.data[i])) return `element ${i}: ${a.data[i]} against ${b.data[i]}`;
  return undefined;
}

export function randomInputs(graph: Graph, seed: number): Map<string, Tensor> {
  return new Map(graph.inputs.map(({ name, value }, i) => [name, randomTensor(value.type.dtype, value.type.shape, seed * 31 + i)]));
}

export function runGraph(graph: Graph, machine: Machine, inputs: ReadonlyMap<string, Tensor>, tilingSeed?: number): Run {
  return runImage(lowerGraph(graph, machine, tilingSeed === undefined ? {} : { tilingSeed }).image, machine, inputs);
}

/** Runs on every preset and under random tilings; returns what differs from the reference evaluator in a bit. */
export function differencesFromEvaluator(graph: Graph, seed: number, tilings = 2): string[] {
  const inputs = randomInputs(graph, seed);
  const expected = evaluate(graph, inputs, "device");
  const runs = machines.flatMap((machine) => [undefined, ...Array.from({ length: tilings }, (_, i) => seed + i)].map((tilingSeed) => ({ machine, tilingSeed })));
  return runs.flatMap(({ machine, tilingSeed }) => {
    const run = runGraph(graph, machine, inputs, tilingSeed);
    return [...expected].flatMap(([name, tensor]) => {
      const found = difference(run.outputs.get(name)!, tensor);
      return found === undefined ? [] : [`${machine.name}${tilingSeed === undefined ? "" : ` tiling ${tilingSeed}`} ${name}: ${found}`];
    });
  });
}
