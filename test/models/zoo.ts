/** @file The real models and architectures that the slow suite runs, where their files lie and what a model needs to be run. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { decodeTensor, tensor, type Tensor } from "@systole/systole";
import { withHashedWeights } from "./hashedWeights.ts";

export interface ModelRow {
  readonly file: string;
  /** Range of random inputs; -1..1 where nothing is said. */
  readonly range?: readonly [number, number];
  /** May be refused: it uses what the compiler does not support yet. */
  readonly mayBeRefused?: true;
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Inputs whose value the compiler must know. */
  readonly fixedInputs?: Readonly<Record<string, Tensor>>;
}

export const data = join(import.meta.dirname, "../../../shared/data");
const archive = join(data, "conformance/onnx-light.tar.xz");
export const haveData = existsSync(join(data, "models")) && existsSync(archive);

const marabou = "github/marabou/resources/onnx";
const cifar = ["cifar_base_kw", "cifar_base_kw_simp", "cifar_deep_kw", "cifar_deep_kw_simp", "cifar_wide_kw", "cifar_wide_kw_simp"];

/** Under `models/`. A folder `test_data_set_N` beside the file holds inputs and expected outputs. */
export const realModels: readonly ModelRow[] = [
  { file: "github/libonnx/tests/model/mnist_8/model.onnx" },
  { file: "github/onnx2c/test/mnist/model.onnx" },
  { file: "github/onnx2c/test/mnist/pytorch.onnx" },
  { file: "github/onnx2c/test/tfl_helloworld/model.onnx" },
  { file: "github/gonnx/sample_models/onnx_models/mlp.onnx" },
  { file: "github/gonnx/sample_models/onnx_models/ndm.onnx", mayBeRefused: true, shapes: { sensor_input: [1, 5, 4] } },
  { file: "github/gonnx/sample_models/onnx_models/gru.onnx", shapes: { data_input: [1, 5, 3], init_hidden: [1, 1, 5] } },
  { file: "github/gonnx/sample_models/onnx_models/scaler.onnx", mayBeRefused: true },
  { file: "github/onnx-mlir/docs/mnist_example/mnist.onnx" },
  { file: "github/ort-examples/c_cxx/MNIST/mnist.onnx", range: [0, 1] },
  { file: `${marabou}/mnist2x10.onnx`, range: [0, 1] },
  { file: `${marabou}/acasxu/ACASXU_experimental_v2a_1_1.onnx` },
  ...cifar.map((name) => ({ file: `${marabou}/cifar10/${name}.onnx`, range: [0, 1] as const })),
  { file: "github/wonnx/opt-mnist.onnx", range: [0, 255] },
  { file: "github/wonnx/single_relu.onnx", mayBeRefused: true },
  { file: "github/libonnx/tests/model/super_resolution_10/model.onnx" },
  { file: "npm/hello_deepa/hello_deepa.onnx" },
  { file: "npm/ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", mayBeRefused: true, shapes: { x: [1, 3, 48, 192] } },
  { file: "npm/openwakeword/alexa_v0.1.onnx", mayBeRefused: true },
  { file: "npm/openwakeword/hey_rhasspy_v0.1.onnx", mayBeRefused: true },
  { file: "npm/openwakeword/embedding_model.onnx", mayBeRefused: true },
  { file: "npm/silero/silero_vad_op18_ifless.onnx", shapes: { input: [1, 576], state: [2, 1, 128] }, fixedInputs: { sr: tensor("i64", [], [16000]) } },
  { file: "npm/silero/silero_vad_16k_op15.onnx", shapes: { input: [1, 576], state: [2, 1, 128] }, fixedInputs: { sr: tensor("i64", [], [16000]) } },
  { file: "github/ort-examples/mobile/examples/Xamarin/Models/Ultraface.version-RFB-320.onnx" },
  { file: "github/emx/tests/onnx/micro_kws_m_static_fp32.onnx", mayBeRefused: true },
  { file: "github/emx/tests/onnx/mixed_ops_dynamic_batch.onnx", mayBeRefused: true },
  // Sums of 1024 products that cancel: with larger inputs any other order of the sum is further off than 1e-5.
  { file: "generated/matmul1024/model.onnx", range: [-0.125, 0.125] },
];

/** Of the light set, with hashed weights. */
export const architectures = ["resnet50", "squeezenet", "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "shufflenet", "zfnet512", "vgg19"] as const;

export function readModel(row: ModelRow): Uint8Array {
  return readFileSync(join(data, "models", row.file));
}

export interface DataSet {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

/** The stored inputs and outputs beside a model, in the order of the model's inputs and outputs. */
export function dataSetsOf(row: ModelRow): DataSet[] {
  const folder = join(data, "models", dirname(row.file));
  const sets: DataSet[] = [];
  for (let k = 0; row.file.endsWith("/model.onnx") && existsSync(join(folder, `test_data_set_${k}`)); k++) {
    const tensors = (kind: string): Tensor[] => {
      const found: Tensor[] = [];
      for (let path = ""; existsSync((path = join(folder, `test_data_set_${k}`, `${kind}_${found.length}.pb`))); ) found.push(decodeTensor(readFileSync(path)));
      return found;
    };
    sets.push({ inputs: tensors("input"), outputs: tensors("output") });
  }
  return sets;
}

let unpacked: string | undefined;

export function readArchitecture(name: string): Uint8Array {
  if (unpacked === undefined) {
    unpacked = mkdtempSync(join(tmpdir(), "systole-light-"));
    execFileSync("tar", ["-xf", archive, "-C", unpacked, "--wildcards", "light/*.onnx"]);
  }
  return withHashedWeights(readFileSync(join(unpacked, "light", `light_${name}.onnx`)));
}

export function removeUnpacked(): void {
  if (unpacked !== undefined) rmSync(unpacked, { recursive: true, force: true });
  unpacked = undefined;
}
