/** @file Operators as networks to be differentiated: the random cases of the operators, and cases of forms that only derivatives tell apart. */
import { isFloat, tensor } from "@systole/base";
import { nextValueId, type Graph, type Value } from "@systole/ir";
import { importModel } from "../src/index.ts";
import { randomOf, type Case } from "./operatorCase.ts";
import { equations, operatorCases } from "./operatorCases.ts";
import { i64, info, modelBytes, node, nodeModel } from "./support.ts";

export interface Network {
  readonly graph: Graph;
  /** Float inputs and float outputs; none of either: there is no tangent. */
  readonly wrt: readonly string[];
  readonly of: readonly string[];
  /** Values of the inputs. */
  readonly inputs: Case["inputs"];
}

const r = randomOf(3);

/** Forms with a tangent of operators whose random cases have none, or that have no random cases. */
const furtherCases: Readonly<Record<string, readonly Case[]>> = {
  Cast: [{ inputs: { x: r.f32([3, 4]) }, attributes: { to: 1 } }],
  CastLike: [{ opset: 19, inputs: { x: r.f32([3, 4]), like: r.f32([1]) } }],
  Mod: [{ inputs: { a: r.f32([2, 3], 1, 9), b: r.f32([3], 0.5, 2) }, attributes: { fmod: 1 } }],
  SwiGLU: [{ opset: 28, inputs: { a: r.f32([2, 3]), b: r.f32([2, 3]) } }],
  Einsum: equations.map(([equation, shapes]) => ({ inputs: Object.fromEntries(shapes.map((shape, i) => [`x${i}`, r.f32(shape)])), attributes: { equation } })),
  ScatterElements: [{ opset: 18, inputs: { x: r.f32([3, 4]), i: i64([0, 0], [1, 2]), u: r.f32([1, 2]) }, fixed: ["i"], attributes: { reduction: "add" } }],
  ScatterND: [{ opset: 18, inputs: { x: r.f32([4, 3]), i: i64([2, 2], [2, 1]), u: r.f32([2, 3]) }, fixed: ["i"], attributes: { reduction: "add" } }],
};

/** Forms that have no derivative. */
export const refusedCases: Readonly<Record<string, readonly Case[]>> = Object.fromEntries(["ScatterElements", "ScatterND"].map((name) =>
  [name, ["mul", "max", "min"].map((reduction): Case => ({ ...furtherCases[name]![0]!, attributes: { reduction } }))]));

export function networksOf(operator: string, seeds: readonly number[]): readonly Network[] {
  const build = operatorCases[operator];
  const cases = [...(build === undefined ? [] : seeds.map((seed) => build(randomOf(seed * 7919 + operator.length)))), ...(furtherCases[operator] ?? [])];
  return [...cases.map((c) => networkOf(operator, c)), ...(operator === "If" ? [branching()] : [])];
}

export function networkOf(operator: string, { inputs, attributes = {}, opset = 17, fixed = [], result = "f32", outputs = ["y"] }: Case): Network {
  return network(importModel(nodeModel(operator, inputs, attributes, opset, fixed, result, outputs)).graph, inputs);
}

function branching(): Network {
  const branch = (op: string) => ({ g: { name: op, node: [node(op, ["x"], ["r"])], output: [info("r", "f32")] } });
  const bytes = modelBytes({
    nodes: [node("If", ["c"], ["y"], { then_branch: branch("Tanh"), else_branch: branch("Abs") })],
    inputs: [info("x", "f32", [3])], outputs: [info("y", "f32")], initializers: { c: tensor("bool", [], [1]) },
  });
  return network(importModel(bytes).graph, { x: tensor("f32", [3], [1, -2, 0.5]) });
}

function network(graph: Graph, inputs: Case["inputs"]): Network {
  const floats = (list: Graph["inputs"]): string[] => list.filter(({ value }) => isFloat(value.type.dtype)).map(({ name }) => name);
  return { graph, wrt: floats(graph.inputs), of: floats(graph.outputs), inputs };
}

/** The network with an axis for the samples: losses are means over samples, a scalar has none. */
export function withBatch(graph: Graph): Graph {
  const outputs: Graph["outputs"][number][] = [];
  const nodes = [...graph.nodes];
  let id = nextValueId(graph);
  for (const { name, value } of graph.outputs) {
    const batched: Value = value.type.shape.length > 0 ? value : { id: id++, type: { dtype: value.type.dtype, shape: [1] } };
    if (batched !== value) nodes.push({ op: "reshape", inputs: [value], params: { shape: [1] }, outputs: [batched], origin: { node: name, operator: "Reshape" } });
    outputs.push({ name, value: batched });
  }
  return { ...graph, nodes, outputs };
}
