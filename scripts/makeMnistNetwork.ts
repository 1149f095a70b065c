/**
 * @file Writes the network that `npm start` trains, as it is before training: 784 pixels, 64 tanh units, 10 digits. Weights are uniform with variance
 * 1 / inputs, from counter-based random bits, biases 0: the same file on every host.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import proto from "onnx-proto";
import { randomBits } from "@systole/base";

const target = join(import.meta.dirname, "../packages/cli/models/mnist-untrained.onnx");
const { ModelProto, TensorProto, AttributeProto } = proto.onnx;
const [pixels, hidden, digits] = [784, 64, 10];

function weights(name: string, shape: readonly [number, number], seed: bigint): proto.onnx.ITensorProto {
  const scale = Math.sqrt(3 / shape[0]);
  const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => (randomBits(seed, i) / 2 ** 31) * scale);
  return { name, dims: [...shape], dataType: TensorProto.DataType.FLOAT, rawData: new Uint8Array(values.buffer) };
}

function zeros(name: string, count: number): proto.onnx.ITensorProto {
  return { name, dims: [count], dataType: TensorProto.DataType.FLOAT, rawData: new Uint8Array(4 * count) };
}

function info(name: string, extent: number): proto.onnx.IValueInfoProto {
  return { name, type: { tensorType: { elemType: TensorProto.DataType.FLOAT, shape: { dim: [{ dimParam: "N" }, { dimValue: extent }] } } } };
}

const node = (opType: string, input: string[], output: string, attribute: proto.onnx.IAttributeProto[] = []): proto.onnx.INodeProto => ({ opType, name: output, input, output: [output], attribute });

const model = {
  irVersion: 8, producerName: "systole", opsetImport: [{ domain: "", version: 17 }],
  graph: {
    name: "mnist",
    node: [
      node("Gemm", ["image", "hidden.weight", "hidden.bias"], "hidden"), node("Tanh", ["hidden"], "features"), node("Gemm", ["features", "digits.weight", "digits.bias"], "scores"),
      node("Softmax", ["scores"], "digits", [{ name: "axis", type: AttributeProto.AttributeType.INT, i: -1 }]),
    ],
    input: [info("image", pixels)], output: [info("digits", digits)],
    initializer: [weights("hidden.weight", [pixels, hidden], 1n), zeros("hidden.bias", hidden), weights("digits.weight", [hidden, digits], 2n), zeros("digits.bias", digits)],
  },
};
writeFileSync(target, ModelProto.encode(ModelProto.create(model)).finish());
console.log(target.slice(target.indexOf("packages")));
