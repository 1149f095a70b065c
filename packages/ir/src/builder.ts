/** @file Builds graphs node by node; types are inferred and checked as each node is added. */
import { withPlace, type Tensor, type TensorType } from "@systole/base";
import type { Graph, GraphInput, GraphOutput, Node, Origin, Parameter, Value } from "./graph.ts";
import { primitives, type Params, type PrimitiveName } from "./primitives/index.ts";

export class GraphBuilder {
  #nextId = 0;
  readonly #nodes: Node[] = [];
  readonly #inputs: GraphInput[] = [];
  readonly #parameters: Parameter[] = [];
  readonly #outputs: GraphOutput[] = [];
  #origin: Origin = { node: "", operator: "" };

  /** Everything added from now on belongs to this ONNX node. */
  setOrigin(origin: Origin): void {
    this.#origin = origin;
  }

  input(name: string, type: TensorType): Value {
    const value = this.#value(type, name);
    this.#inputs.push({ name, value });
    return value;
  }

  parameter(name: string, tensor: Tensor): Value {
    const value = this.#value({ dtype: tensor.dtype, shape: tensor.shape }, name);
    this.#parameters.push({ name, value, tensor });
    return value;
  }

  output(name: string, value: Value): void {
    this.#outputs.push({ name, value });
  }

  constant(value: Tensor): Value {
    return this.apply("constant", [], { value });
  }

  /** Adds a node with one result. */
  apply<P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>, name?: string): Value {
    return this.applyAll(op, inputs, params, name)[0]!;
  }

  applyAll<P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>, name?: string): readonly Value[] {
    const primitive = primitives[op] as { infer: (inputs: readonly TensorType[], params: Params<P>) => readonly TensorType[] };
    const where = { node: this.#origin.node, operator: this.#origin.operator };
    const types = withPlace(where, () => primitive.infer(inputs.map((value) => value.type), params));
    const outputs = types.map((type) => this.#value(type, types.length === 1 ? name : undefined));
    this.#nodes.push({ op, inputs, params, outputs, origin: this.#origin });
    return outputs;
  }

  build(name: string): Graph {
    return { name, inputs: this.#inputs, parameters: this.#parameters, nodes: this.#nodes, outputs: this.#outputs };
  }

  #value(type: TensorType, name?: string): Value {
    const value = { id: this.#nextId++, type: { dtype: type.dtype, shape: type.shape } };
    return name === undefined ? value : { ...value, name };
  }
}
