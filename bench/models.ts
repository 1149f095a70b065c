/** @file The models of the benchmark: one made here, the others from the shared data folder if that is there. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { withHashedWeights } from "../test/models/hashedWeights.ts";

export interface BenchModel {
  readonly name: string;
  /** Interleaved runs unless `--runs` says otherwise. */
  readonly runs: number;
  readonly note: string;
  /** Undefined if the file is not there. */
  readonly load: () => Uint8Array | undefined;
}

const shared = join(import.meta.dirname, "../../shared/data");

function fromShared(path: string): Uint8Array | undefined {
  const file = join(shared, path);
  return existsSync(file) ? readFileSync(file) : undefined;
}

/** Y = X W with a constant W of varied values. */
function matmul(size: number): Uint8Array {
  const { ModelProto, TensorProto, TypeProto } = onnxProto.onnx;
  const float = TensorProto.DataType.FLOAT;
  const weights = new Float32Array(size * size);
  for (let i = 0; i < weights.length; i++) weights[i] = ((Math.imul(i, 0x9e3779b1) >>> 8) / (1 << 24) - 0.5) / 16;
  const type = TypeProto.create({ tensorType: { elemType: float, shape: { dim: [{ dimValue: size }, { dimValue: size }] } } });
  return ModelProto.encode(ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 13 }],
    graph: {
      name: `matmul${size}`,
      node: [{ opType: "MatMul", name: "product", input: ["x", "w"], output: ["y"] }],
      initializer: [{ name: "w", dims: [size, size], dataType: float, rawData: new Uint8Array(weights.buffer) }],
      input: [{ name: "x", type }],
      output: [{ name: "y", type }],
    },
  })).finish();
}

/** Dense layers with a sigmoid behind each but the middle one; the input is called x. */
export function denseChain(widths: readonly number[]): Uint8Array {
  const { ModelProto, TensorProto, TypeProto } = onnxProto.onnx;
  const dataType = TensorProto.DataType.FLOAT;
  const type = (width: number) => TypeProto.create({ tensorType: { elemType: dataType, shape: { dim: [{ dimParam: "N" }, { dimValue: width }] } } });
  const layers = widths.slice(1).map((columns, i) => ({ i, rows: widths[i]!, columns, linear: i + 1 === (widths.length - 1) / 2 }));
  const output = (i: number) => (i < 0 ? "x" : `h${i}`);
  const hashed = (count: number, seed: number, scale: number) => Float32Array.from({ length: count }, (_, k) => ((Math.imul(k + seed, 0x9e3779b1) >>> 8) / (1 << 23) - 1) * scale);
  return ModelProto.encode(ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: "", version: 13 }],
    graph: {
      name: "dense",
      node: layers.flatMap(({ i, linear }) => [
        { opType: "Gemm", name: `dense${i}`, input: [output(i - 1), `w${i}`, `b${i}`], output: [linear ? output(i) : `z${i}`] },
        ...(linear ? [] : [{ opType: "Sigmoid", name: `sigmoid${i}`, input: [`z${i}`], output: [output(i)] }]),
      ]),
      initializer: layers.flatMap(({ i, rows, columns }) => [
        { name: `w${i}`, dims: [rows, columns], dataType, rawData: new Uint8Array(hashed(rows * columns, i + 1, 1 / Math.sqrt(rows)).buffer) },
        { name: `b${i}`, dims: [columns], dataType, rawData: new Uint8Array(4 * columns) },
      ]),
      input: [{ name: "x", type: type(widths[0]!) }],
      output: [{ name: output(layers.length - 1), type: type(widths.at(-1)!) }],
    },
  })).finish();
}

/** One file of the archive of light models, weights filled by a hash. */
function light(name: string): Uint8Array | undefined {
  const archive = join(shared, "conformance/onnx-light.tar.xz");
  if (!existsSync(archive)) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "systole-bench-"));
  try {
    execFileSync("tar", ["-xJf", archive, "-C", folder, `light/${name}`], { stdio: "ignore" });
    return withHashedWeights(readFileSync(join(folder, "light", name)));
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const libonnx = "models/github/libonnx/tests/model";

export const models: readonly BenchModel[] = [
  { name: "matmul1024", runs: 9, note: "1024 x 1024 x 1024, made by the script", load: () => matmul(1024) },
  { name: "mnist_8", runs: 41, note: "a small convolutional network", load: () => fromShared(`${libonnx}/mnist_8/model.onnx`) },
  { name: "super_resolution_10", runs: 7, note: "four convolutions at 224 x 224, one image", load: () => fromShared(`${libonnx}/super_resolution_10/model.onnx`) },
  { name: "resnet50", runs: 7, note: "the light architecture with weights filled by a hash, one image", load: () => light("light_resnet50.onnx") },
];
