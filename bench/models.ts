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
