/**
 * @file Mutated ONNX files: small networks and single operators, damaged in bytes or field by field of their protobuf messages. What
 * the compiler accepts must run and agree with the reference evaluator in every bit.
 */
import { Device } from "@systole/device";
import { evaluate } from "@systole/ir";
import { randomBits, readImage, verifyImage, writeImage } from "@systole/isa";
import { compile, operatorTable } from "@systole/systole";
import type { onnx as Onnx } from "onnx-proto";
import { randomOf } from "../../packages/frontend-onnx/test/operatorCase.ts";
import { equations, operatorCases } from "../../packages/frontend-onnx/test/operatorCases.ts";
import { attribute, messages, nodeModel } from "../../packages/frontend-onnx/test/support.ts";
import { smallNetwork, smallNetworkNames } from "../smallNetworks.ts";
import { difference, randomInputs } from "../support.ts";
import { mutateBytes, pick, type Bits } from "./bytes.ts";
import { fuzzMachine } from "./images.ts";
import { ending, type Fuzzed, type Outcome } from "./outcome.ts";

/** Above this a model is compiled but not run. */
const bounds = { maxPoints: 2 ** 23, maxInstructions: 2 ** 17 };

let originals: readonly Uint8Array[] | undefined;

export function originalModels(): readonly Uint8Array[] {
  return (originals ??= [
    ...smallNetworkNames.map((name) => smallNetwork(name, { batch: 1, side: 6, channels: 1, seed: 2 })),
    ...Object.entries(operatorCases).flatMap(([operator, build]) => [1, 2].map((seed) => {
      const { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] } = build(randomOf(seed));
      return nodeModel(operator, inputs, attributes, opset, fixed, result, outputs);
    })),
    ...equations.map(([equation, shapes]) => nodeModel("Einsum", Object.fromEntries(shapes.map((shape, i) => [`x${i}`, randomOf(i).f32(shape)])), { equation }, 17, [])),
  ]);
}

export const fuzzedModels: Fuzzed = {
  bytesOf: (seed, index) => mutateModel(randomBits(Math.imul(seed, 0x01000193) ^ Math.imul(index, 0x9e3779b1))),
  outcomeOf: (bytes, index) => ending(() => runModel(bytes, index)),
};

function mutateModel(bits: Bits): Uint8Array {
  const bytes = pick(bits, originalModels());
  if (bits() % 4 === 0) return mutateBytes(bits, bytes);
  const model = messages.ModelProto.decode(bytes);
  for (let more = 1 + (bits() % 3); more > 0; more--) mutateMessage(bits, model);
  const encoded = messages.ModelProto.encode(model).finish();
  return bits() % 16 === 0 ? mutateBytes(bits, encoded) : encoded;
}

const extents = [0, 1, 2, 3, 5, 7, 16, 100, 1000, 65536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, -1, -2, -7];
const floats = [0, -0, 1, -1, 0.5, 1e-30, 1e30, 3.4e38, Infinity, -Infinity, NaN];
const texts = ["", "NOTSET", "SAME_UPPER", "VALID", "linear", "constant", "ii", "...i,j->", "ij,jk->ik", "\u{1f600}", "x".repeat(2000), "/../../etc"];

/** Small deterministic change of one number: near, or from the list. */
const number = (bits: Bits, value: number): number => (bits() % 2 === 0 ? value + pick(bits, [-2, -1, 1, 2]) : pick(bits, extents));

function mutateMessage(bits: Bits, model: Onnx.ModelProto): void {
  const graph = model.graph as Onnx.GraphProto;
  const nodes = graph.node as Onnx.NodeProto[];
  const values = [...graph.input, ...graph.output, ...(graph.valueInfo ?? [])] as Onnx.ValueInfoProto[];
  const tensors = [...graph.initializer] as Onnx.TensorProto[];
  const names = [...nodes.flatMap((n) => [...n.input, ...n.output]), ...values.map((v) => v.name), ...tensors.map((t) => t.name), "", "nowhere"];
  if (nodes.length === 0) return;
  const node = pick(bits, nodes);
  switch (bits() % 14) {
    case 0: node.opType = pick(bits, operatorTable).name; return;
    case 1: return mutateNames(bits, node.input, names);
    case 2: return mutateNames(bits, node.output, names);
    case 3:
    case 4: return mutateAttribute(bits, node);
    case 5: if (values.length > 0) mutateValue(bits, pick(bits, values)); return;
    case 6:
    case 7: if (tensors.length > 0) mutateTensor(bits, pick(bits, tensors)); return;
    case 8: model.opsetImport[0]!.version = number(bits, 13); return;
    case 9: nodes.splice(bits() % nodes.length, 1); return;
    case 10: nodes.splice(bits() % (nodes.length + 1), 0, messages.NodeProto.create({ ...node, output: bits() % 2 === 0 ? node.output : node.output.map((o) => `${o}'`) }) as Onnx.NodeProto); return;
    case 11: nodes.reverse(); return;
    case 12: node.domain = pick(bits, ["ai.onnx", "com.microsoft", "ai.onnx.ml"]); return;
    default: graph.output.push(messages.ValueInfoProto.create({ name: pick(bits, names) })); return;
  }
}

function mutateNames(bits: Bits, list: string[], names: readonly string[]): void {
  const kind = bits() % 4;
  if (kind === 0) list.push(pick(bits, names));
  else if (kind === 1) list.pop();
  else if (list.length > 0) list[bits() % list.length] = pick(bits, names);
}

const attributeNames = ["axis", "axes", "kernel_shape", "strides", "pads", "dilations", "group", "perm", "keepdims", "auto_pad", "mode", "to", "alpha", "ceil_mode", "equation", "size", "p", "epsilon", "blocksize", "output_shape"];

function mutateAttribute(bits: Bits, node: Onnx.NodeProto): void {
  const list = node.attribute as Onnx.AttributeProto[];
  const kind = bits() % 6;
  if (list.length === 0 || kind === 0) {
    const value = pick(bits, [pick(bits, extents), pick(bits, texts), { f: pick(bits, floats) }, [pick(bits, extents), pick(bits, extents)], []]);
    list.push(messages.AttributeProto.create(attribute(pick(bits, attributeNames), value)) as Onnx.AttributeProto);
    return;
  }
  const one = pick(bits, list);
  if (kind === 1) list.splice(list.indexOf(one), 1);
  else if (kind === 2) one.type = bits() % 12;
  else if (one.type === 2) one.i = number(bits, Number(one.i));
  else if (one.type === 1) one.f = pick(bits, floats);
  else if (one.type === 3) one.s = new TextEncoder().encode(pick(bits, texts));
  else if (one.type === 7) mutateIntegers(bits, one.ints as number[]);
  else one.name = pick(bits, attributeNames);
}

function mutateIntegers(bits: Bits, list: number[]): void {
  const kind = bits() % 5;
  if (kind === 0) list.push(pick(bits, extents));
  else if (kind === 1) list.pop();
  else if (list.length > 0) {
    const at = bits() % list.length;
    list[at] = number(bits, Number(list[at]));
  }
}

function mutateValue(bits: Bits, value: Onnx.ValueInfoProto): void {
  const type = value.type?.tensorType;
  const kind = bits() % 5;
  if (type === undefined || type === null || kind === 0) value.type = null;
  else if (kind === 1) type.elemType = bits() % 26;
  else if (kind === 2) type.shape = null;
  else {
    const dims = (type.shape?.dim ?? []) as { dimValue?: unknown; dimParam?: string }[];
    if (dims.length === 0 || bits() % 4 === 0) dims.push({ dimValue: pick(bits, extents) });
    else {
      const at = bits() % dims.length;
      dims[at] = bits() % 4 === 0 ? { dimParam: "N" } : { dimValue: number(bits, Number(dims[at]!.dimValue)) };
    }
  }
}

function mutateTensor(bits: Bits, tensor: Onnx.TensorProto): void {
  const kind = bits() % 6;
  if (kind === 0) tensor.dataType = bits() % 26;
  else if (kind === 1) mutateIntegers(bits, tensor.dims as number[]);
  else if (kind === 2) tensor.rawData = mutateBytes(bits, tensor.rawData);
  else if (kind === 3) tensor.dataLocation = 1;
  else if (kind === 4 && tensor.rawData.length >= 8 && tensor.rawData.length % 8 === 0) {
    // Shapes, axes and steps: one whole 64-bit number.
    const raw = Uint8Array.from(tensor.rawData);
    new DataView(raw.buffer).setBigInt64(8 * (bits() % (raw.length / 8)), BigInt(pick(bits, extents)), true);
    tensor.rawData = raw;
  } else tensor.name = `${tensor.name}'`;
}

function runModel(bytes: Uint8Array, index: number): Outcome {
  const { image, model } = compile(bytes, fuzzMachine, bits32(index) % 4 === 0 ? { batch: 2 } : {});
  const read = readImage(writeImage(image));
  const cost = ending(() => {
    verifyImage(read, fuzzMachine, bounds);
    return { kind: "ran" };
  });
  if (cost.kind === "diagnostic") return cost.code === "E0502" ? { kind: "skipped" } : { kind: "bug", message: `the compiler's own image is refused: ${cost.code}` };
  if (cost.kind === "bug") return cost;
  const inputs = randomInputs(model.graph, index);
  const run = new Device(read, fuzzMachine).run(inputs);
  for (const [name, wanted] of evaluate(model.graph, inputs, "device")) {
    const found = difference(run.outputs.get(name)!, wanted);
    if (found !== undefined) return { kind: "bug", message: `output ${name} against the evaluator: ${found}` };
  }
  return { kind: "ran" };
}

function bits32(index: number): number {
  return Math.imul(index, 0x9e3779b1) >>> 8;
}
