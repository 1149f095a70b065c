/**
 * @file Forms kernels from a graph: decides which values live in external memory, folds movement into accesses and elementwise operations
 * into chains around at most one engine (contraction, reduction, scan, gather, scatter).
 *
 * A value is materialised when it is a graph output, is used more than once and is not just a view, when an engine needs it,
 * or when the chain it would join is full (8 stages, 6 streams, one engine).
 */
import { elementwiseOps, fail, internal, type ElementwiseName, type Phase } from "@systole/base";
import { definitions, uses, type Graph, type Node, type Params, type Value } from "@systole/ir";
import { outputsOf, readsOf, type Coordinate, type Kernel, type ScheduledTensor } from "../kernel.ts";
import { isWhole, wholeView, type View } from "../view.ts";
import { remapOutput } from "./access.ts";
import { contraction, gather, reduction, scatter } from "./engines.ts";
import { fits, isPending, readsTensor, weight, type Expression } from "./expression.ts";
import { concat, movement } from "./movement.ts";
import { isSplat, product } from "./numbers.ts";
import { Places } from "./places.ts";
import { sort } from "./sort.ts";
import { windowArgmax } from "./windowArgmax.ts";

export interface FormedProgram {
  readonly tensors: readonly ScheduledTensor[];
  readonly kernels: readonly Kernel[];
  readonly inputs: ReadonlyMap<string, ScheduledTensor>;
  readonly outputs: ReadonlyMap<string, ScheduledTensor>;
}

export function formKernels(graph: Graph): FormedProgram {
  return new Former(graph).run();
}

class Former {
  readonly #graph: Graph;
  readonly #useCount = new Map<Value, number>();
  readonly #places = new Places();
  readonly #definitions: ReadonlyMap<Value, Node>;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#definitions = definitions(graph);
    for (const [value, nodes] of uses(graph)) this.#useCount.set(value, nodes.length);
    for (const output of graph.outputs) this.#useCount.set(output.value, (this.#useCount.get(output.value) ?? 0) + 1);
  }

  run(): FormedProgram {
    const inputs = new Map<string, ScheduledTensor>();
    for (const { name, value } of this.#graph.inputs) {
      const t = this.#places.tensor(name, "input", value.type);
      inputs.set(name, t);
      this.#places.expressions.set(value, { kind: "view", view: wholeView(t) });
    }
    for (const { name, value, tensor } of this.#graph.parameters) {
      this.#places.expressions.set(value, { kind: "view", view: wholeView(this.#places.constant(name, tensor)) });
    }
    for (const node of this.#graph.nodes) this.#visit(node);
    const outputs = new Map<string, ScheduledTensor>();
    for (const { name, value } of this.#graph.outputs) outputs.set(name, this.#output(name, value));
    return { tensors: this.#places.tensors, kernels: this.#places.kernels, inputs, outputs };
  }

  #visit(node: Node): void {
    if ((this.#useCount.get(node.outputs[0]!) ?? 0) === 0 && node.outputs.length === 1) return;
    this.#places.visit(node.origin);
    if (node.op === "sort") {
      sort(this.#places, node as Node<"sort">).forEach((result, i) => this.#places.expressions.set(node.outputs[i]!, result));
      return;
    }
    const expression = this.#expressionOf(node);
    const value = node.outputs[0]!;
    this.#places.expressions.set(value, expression);
    const pending = expression.kind === "apply" || expression.kind === "engine";
    if (pending && this.#useCount.get(value)! > 1) this.#places.materialise(value, node.origin);
  }

  #expressionOf(node: Node): Expression {
    const value = node.outputs[0]!;
    switch (node.op) {
      case "constant": return this.#constantExpression(node as Node<"constant">);
      case "iota": {
        const { axis } = node.params as Params<"iota">;
        return { kind: "apply", operation: "copy", operands: value.type.dtype, dtype: value.type.dtype, args: [{ kind: "index", axis }], origin: node.origin };
      }
      case "stop_gradient": return this.#places.take(node.inputs[0]!);
      case "reshape": case "transpose": case "broadcast": case "slice": case "reverse": case "pad": return movement(this.#places, node);
      case "concat": return { kind: "view", view: wholeView(concat(this.#places, node as Node<"concat">)) };
      case "dot": case "conv": return contraction(this.#places, node);
      case "reduce": case "argreduce": case "cumsum": case "window_reduce": return reduction(this.#places, node);
      case "window_argmax": return windowArgmax(this.#places, node as Node<"window_argmax">);
      case "gather": return gather(this.#places, node);
      case "scatter": return scatter(this.#places, node as Node<"scatter">);
      default:
        if (Object.hasOwn(elementwiseOps, node.op)) return this.#elementwise(node);
        return fail("E0303", `the device has no instruction for primitive "${node.op}" yet`, { node: node.origin.node, operator: node.origin.operator });
    }
  }

  #constantExpression(node: Node<"constant">): Expression {
    const t = node.params.value;
    const first = t.data[0];
    if (first !== undefined && isSplat(t)) return { kind: "immediate", value: first };
    return { kind: "view", view: wholeView(this.#places.constant(node.outputs[0]!.name ?? `constant${node.outputs[0]!.id}`, t)) };
  }

  #elementwise(node: Node): Expression {
    const operation = node.op as ElementwiseName;
    const dtype = node.outputs[0]!.type.dtype;
    const operands = node.inputs[node.op === "select" ? 1 : 0]!.type.dtype;
    const build = (): Expression => ({ kind: "apply", operation, operands, dtype, args: node.inputs.map((input) => this.#places.take(input)), origin: node.origin });
    let expression = build();
    // Too much for one chain: give places to the operands with the most stages until the rest fits.
    while (!fits(expression)) {
      const pending = node.inputs.filter((input) => isPending(this.#places.expressions.get(input)!));
      const costliest = pending.sort((a, b) => weight(this.#places.expressions.get(b)!) - weight(this.#places.expressions.get(a)!))[0];
      if (costliest === undefined) return internal("a single operation does not fit the vector unit");
      this.#places.materialise(costliest, node.origin);
      expression = build();
    }
    return expression;
  }

  #output(name: string, value: Value): ScheduledTensor {
    const expression = this.#places.take(value);
    if (expression.kind === "view" && isWhole(expression.view) && expression.view.tensor.kind === "temporary") {
      return this.#places.rename(expression.view.tensor, name, value.type);
    }
    const t = this.#places.tensor(name, "output", value.type);
    if (!(expression.kind === "view" && this.#storeTransposed(expression.view, t))) {
      this.#places.emitInto(expression, value.type, wholeView(t), { node: name, operator: "", ...this.#phaseOf(value) }, name);
    }
    return t;
  }

  /** A copy to an output is part of what made the value. */
  #phaseOf(value: Value): { readonly phase?: Phase } {
    const phase = this.#definitions.get(value)?.origin.phase;
    return phase === undefined ? {} : { phase };
  }

  #storeTransposed(view: View, output: ScheduledTensor): boolean {
    const from = view.tensor;
    const plain = (c: Coordinate) => !c.padded && c.offset === 0 && c.terms.length === 1 && c.terms[0]!.factor === 1;
    if (from.kind !== "temporary" || view.base !== 0 || !view.coordinates.every(plain)) return false;
    if (product(view.shape) !== product(from.type.shape)) return false;
    const reads = this.#places.kernels.some((kernel) => readsOf(kernel).some((access) => access.tensor === from));
    const pendingReads = [...this.#places.expressions.values()].some((e) => readsTensor(e, from) && !(e.kind === "view" && (e.view === view || isWhole(e.view))));
    const shared = this.#graph.outputs.filter((o) => { const e = this.#places.expressions.get(o.value); return e !== undefined && readsTensor(e, from); }).length > 1;
    if (reads || shared || pendingReads) return false;
    const target = wholeView(output, view.shape);
    // Element stride in `from` -> element stride in the output, per coordinate of the view.
    const strides = new Map(view.coordinates.map((c) => [c.stride, { size: c.size, stride: target.coordinates.find((t) => t.terms[0]!.dim === c.terms[0]!.dim)?.stride ?? 0 }]));
    const writers = this.#places.kernels.filter((kernel) => outputsOf(kernel).some(({ tensor }) => tensor === from));
    if (writers.some((kernel) => kernel.engine.kind === "scatter")) return false;
    const remapped = writers.map(({ results }) => results.map((result) => ({ ...result, output: remapOutput(result.output!, strides, output)! })));
    if (remapped.flat().some((result) => result.output === undefined)) return false;
    writers.forEach((kernel, i) => { this.#places.kernels[this.#places.kernels.indexOf(kernel)] = { ...kernel, results: remapped[i]! }; });
    return true;
  }
}
