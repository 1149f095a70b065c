/** @file Adds primitives to the graph under construction and knows which values are fixed at import. */
import { elementCount, fail, formatType, internal, type Tensor, type TensorType } from "@systole/base";
import { evaluatePrimitive, GraphBuilder, type Graph, type Node, type Origin, type Params, type PrimitiveName, type Value } from "@systole/ir";

/** A node whose operands are all fixed; it is evaluated when someone asks. */
interface FixedNode {
  readonly op: PrimitiveName;
  readonly inputs: readonly Value[];
  readonly params: Params<PrimitiveName>;
  readonly outputs: readonly Value[];
}

/** A loss operator of the model: what its primitives do not show any more. */
export interface ModelLoss {
  readonly node: Origin;
  readonly result: Value;
  readonly scores: Value;
  readonly kind: "logits" | "log-probabilities";
  /** Class numbers; the classes are axis 1 of the scores. */
  readonly target: Value;
  /** One for each class; the tensor where it is known at import. */
  readonly weights?: { readonly value: Value; readonly tensor: Tensor | undefined };
  readonly ignoreIndex?: number;
  readonly reduction: "mean" | "sum" | "none";
}

/** Values larger than this are not evaluated at import: shapes, axes and masks are small. */
const largestFixed = 1 << 22;

const mostFixedSteps = 1 << 16;

/** No tensor of a program is larger; it keeps every byte count exact. */
const largestTensor = 2 ** 40;

export class Emitter {
  readonly #builder = new GraphBuilder();
  readonly #fixedNodes = new Map<Value, FixedNode>();
  readonly #tensors = new Map<Value, Tensor>();
  readonly #parameters = new Map<Value, Tensor>();
  readonly #losses: ModelLoss[] = [];
  readonly #readAtImport = new Set<Value>();
  #watcher: ((node: Node) => void) | undefined;
  #origin: Origin = { node: "", operator: "" };

  get origin(): Origin {
    return this.#origin;
  }

  get losses(): readonly ModelLoss[] {
    return this.#losses;
  }

  noteLoss(loss: ModelLoss): void {
    this.#losses.push(loss);
  }

  setOrigin(origin: Origin): void {
    this.#origin = origin;
    this.#builder.setOrigin(origin);
  }

  /** Called with every node that is added from now on. */
  watch(watcher: (node: Node) => void): void {
    this.#watcher = watcher;
  }

  /** An emitter for a body of structured control, under the same origin. It knows nothing of the values here. */
  forBody(): Emitter {
    const inner = new Emitter();
    inner.setOrigin(this.#origin);
    return inner;
  }

  input(name: string, type: TensorType): Value {
    checkSize(type);
    return this.#builder.input(name, type);
  }

  parameter(name: string, tensor: Tensor): Value {
    const value = this.#builder.parameter(name, tensor);
    this.#parameters.set(value, tensor);
    return value;
  }

  constant(tensor: Tensor): Value {
    const value = this.#builder.constant(tensor);
    this.#tensors.set(value, tensor);
    return value;
  }

  apply<P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>): Value {
    return this.applyAll(op, inputs, params)[0] ?? internal(`${op} has no result`);
  }

  applyAll<P extends PrimitiveName>(op: P, inputs: readonly Value[], params: Params<P>): readonly Value[] {
    const outputs = this.#builder.applyAll(op, inputs, params);
    outputs.forEach((value) => checkSize(value.type));
    this.#watcher?.({ op, inputs, params, outputs, origin: this.#origin });
    if (inputs.every((value) => this.isFixed(value)) && mayBeFixed(op, params)) {
      const node = { op, inputs, params, outputs };
      for (const value of outputs) this.#fixedNodes.set(value, node);
    }
    return outputs;
  }

  output(name: string, value: Value): void {
    this.#builder.output(name, value);
  }

  /** A parameter of which only the number was read at import, such as a ratio or a scale, is none: training could not move it. */
  build(name: string): Graph {
    const graph = this.#builder.build(name);
    const used = new Set([...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs.map(({ value }) => value)]);
    return { ...graph, parameters: graph.parameters.filter(({ value }) => used.has(value) || !this.#readAtImport.has(value)) };
  }

  /** Whether the value depends on no input and no parameter. */
  isFixed(value: Value): boolean {
    return this.#tensors.has(value) || this.#fixedNodes.has(value);
  }

  /** The value's tensor where it is fixed and of moderate size. Parameters are not: they may be trained. */
  fixed(value: Value): Tensor | undefined {
    // A stack of our own: a chain of constants may be as long as the model.
    const pending = [value];
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const node = this.#tensors.has(top) ? undefined : this.#fixedNodes.get(top);
      if (node === undefined) {
        if (!this.#tensors.has(top)) return undefined;
        pending.pop();
        continue;
      }
      if (node.outputs.some((output) => elementCount(output.type.shape) > largestFixed)) return undefined;
      const missing = node.inputs.find((input) => !this.#tensors.has(input));
      if (missing !== undefined) pending.push(missing);
      else this.#evaluate(node);
    }
    return this.#tensors.get(value);
  }

  /** As `fixed`, or the stored tensor of a parameter: for what must be a number, such as the scales of Resize. */
  readable(value: Value): Tensor | undefined {
    if (this.#parameters.has(value)) this.#readAtImport.add(value);
    return this.fixed(value) ?? this.#parameters.get(value);
  }

  #evaluate(node: FixedNode): void {
    const operands = node.inputs.map((input) => this.#tensors.get(input)!);
    evaluatePrimitive(node.op, operands, node.params, "device").forEach((tensor, index) => this.#tensors.set(node.outputs[index]!, tensor));
  }
}

/** Loops of many steps, or of a number that only running them tells, are left to the run. */
function mayBeFixed<P extends PrimitiveName>(op: P, params: Params<P>): boolean {
  return op !== "random_bits" && op !== "while" && !("length" in params && Number(params.length) > mostFixedSteps);
}

function checkSize(type: TensorType): void {
  if (!(elementCount(type.shape) <= largestTensor)) fail("E0203", `a tensor ${formatType(type)} is too large`, {}, ["the limit is 2^40 elements"]);
}
