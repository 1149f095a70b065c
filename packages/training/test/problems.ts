/** @file Small problems with known trajectories. */
import { tensor, type Tensor } from "@systole/base";
import { emit, GraphBuilder, squaredError, binaryCrossEntropy, crossEntropy, type Graph, type Value } from "@systole/ir";
import type { Problem, SampleInput } from "../src/index.ts";

/** f = |r|^2 / 2 with r = (10 (y - x^2), 1 - x), from (-1.2, 1). */
export function rosenbrock(): { problem: Problem; inputs: Map<string, Tensor> } {
  const b = new GraphBuilder();
  const x = b.parameter("x", tensor("f32", [1], [-1.2]));
  const y = b.parameter("y", tensor("f32", [1], [1]));
  const first = emit.mul(b, emit.sub(b, y, emit.mul(b, x, x)), emit.numberLike(b, x, 10));
  const second = emit.sub(b, emit.numberLike(b, x, 1), x);
  b.output("r", emit.reshapeTo(b, b.apply("concat", [first, second], { axis: 0 }), [1, 2]));
  return least("rosenbrock", b.build("rosenbrock"), "r", ["x", "y"], [1, 2], tensor("f32", [1, 2], [0, 0]), []);
}

/** Linear least squares: A w - t, one sample. */
export function leastSquares(a: readonly (readonly number[])[], t: readonly number[], w0: readonly number[]): { problem: Problem; inputs: Map<string, Tensor> } {
  const b = new GraphBuilder();
  const w = b.parameter("w", tensor("f32", [w0.length], w0));
  const matrix = b.constant(tensor("f32", [a.length, w0.length], a.flat()));
  const r = b.apply("dot", [matrix, w], { x: "ij", w: "j", out: "i", k: "j" });
  b.output("r", emit.reshapeTo(b, r, [1, a.length]));
  return least("least-squares", b.build("least-squares"), "r", ["w"], [1, a.length], tensor("f32", [1, t.length], t), []);
}

function least(name: string, network: Graph, output: string, trained: readonly string[], shape: readonly number[], target: Tensor, samples: readonly SampleInput[]): { problem: Problem; inputs: Map<string, Tensor> } {
  const loss = squaredError({ dtype: "f32", shape });
  return {
    problem: { name, network, pieces: [{ output, loss }], trained, samples: [...samples, { name: "target", type: { dtype: "f32", shape }, axis: 0 }], sampleCount: shape[0]!, microBatch: shape[0]! },
    inputs: new Map([["target", target]]),
  };
}

/** Logistic regression, the sum of the negative log-likelihood: one sample of several outputs. */
export function logistic(rows: readonly (readonly number[])[], y: readonly number[]): { problem: Problem; inputs: Map<string, Tensor> } {
  const b = new GraphBuilder();
  const w = b.parameter("w", tensor("f32", [2], [0, 0]));
  const matrix = b.constant(tensor("f32", [rows.length, 2], rows.flat()));
  b.output("z", emit.reshapeTo(b, b.apply("dot", [matrix, w], { x: "ij", w: "j", out: "i", k: "j" }), [1, rows.length]));
  const shape = [1, rows.length];
  const scores = { dtype: "f32", shape } as const;
  return {
    problem: { name: "logistic", network: b.build("logistic"), pieces: [{ output: "z", loss: binaryCrossEntropy(scores, scores) }], trained: ["w"], samples: [{ name: "target", type: scores, axis: 0 }], sampleCount: 1, microBatch: 1 },
    inputs: new Map([["target", tensor("f32", shape, y)]]),
  };
}

export interface MlpSize {
  readonly widths: readonly number[];
  readonly samples: number;
  readonly microBatch: number;
}

/** tanh hidden layers, softmax on top; inputs and labels from a fixed generator. */
export function mlp({ widths, samples, microBatch }: MlpSize): { problem: Problem; inputs: Map<string, Tensor> } {
  const random = generator(7);
  const b = new GraphBuilder();
  let h: Value = b.input("x", { dtype: "f32", shape: [microBatch, widths[0]!] });
  const trained: string[] = [];
  for (let layer = 1; layer < widths.length; layer++) {
    const [fan, out] = [widths[layer - 1]!, widths[layer]!];
    const w = b.parameter(`w${layer}`, tensor("f32", [fan, out], Array.from({ length: fan * out }, () => random() / Math.sqrt(fan))));
    const bias = b.parameter(`b${layer}`, tensor("f32", [out], Array.from({ length: out }, () => 0.1 * random())));
    trained.push(`w${layer}`, `b${layer}`);
    const z = emit.add(b, b.apply("dot", [h, w], { x: "ni", w: "io", out: "no", k: "i" }), emit.spreadOver(b, bias, [microBatch, out], [0]));
    h = layer < widths.length - 1 ? emit.unary(b, "tanh", z) : z;
  }
  b.output("z", h);
  const classes = widths.at(-1)!;
  const scores = { dtype: "f32", shape: [microBatch, classes] } as const;
  const target = { dtype: "i64", shape: [microBatch] } as const;
  const x = tensor("f32", [samples, widths[0]!], Array.from({ length: samples * widths[0]! }, random));
  const labels = tensor("i64", [samples], Array.from({ length: samples }, (_, i) => Math.floor(((Number(x.data[i * widths[0]!]) + 1) / 2) * classes * 0.999)));
  return {
    problem: {
      name: "mlp", network: b.build("mlp"), pieces: [{ output: "z", loss: crossEntropy({ scores, target }) }], trained,
      samples: [{ name: "x", type: { dtype: "f32", shape: [microBatch, widths[0]!] }, axis: 0 }, { name: "target", type: target, axis: 0 }], sampleCount: samples, microBatch,
    },
    inputs: new Map([["x", x], ["target", labels]]),
  };
}

/** Uniform in -1..1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 0x80000000;
  };
}
