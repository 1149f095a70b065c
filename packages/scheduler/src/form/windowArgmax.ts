/**
 * @file Where the maximum of each window lies in the input. The engine finds the position inside the window; integer arithmetic makes the flat
 * index of it. Padding holds the lowest value and wins only where every element is that value too: then the first element
 * that exists is the answer.
 */
import { rowMajorStrides, type Dtype, type TensorType } from "@systole/base";
import type { Node, Origin } from "@systole/ir";
import { wholeView } from "../view.ts";
import { mapAxes } from "./access.ts";
import { fits, isPending, weight, type Expression } from "./expression.ts";
import { padOrCopy } from "./movement.ts";
import { lowestBits, windowNest } from "./nests.ts";
import type { Places } from "./places.ts";

export function windowArgmax(places: Places, node: Node<"window_argmax">): Expression {
  const source = node.inputs[0]!;
  const { params, origin } = node;
  const shape = source.type.shape;
  const type: TensorType = { dtype: "i32", shape: node.outputs[0]!.type.shape };
  const nest = windowNest(shape, type.shape, params, lowestBits(node));
  const view = places.placed(source);
  const chain = places.chain({ kind: "view", view }, source.type.dtype, (v) => mapAxes(padOrCopy(places, v, nest.pad!, source.type, origin), nest.dims, nest.axes), (axis) => axis);
  const found = places.emit({ kind: "engine", pending: { origin, dims: nest.dims, parallel: nest.parallel, engine: { kind: "reduction", folds: [{ reduction: "argmax", order: "sequential", chain, dtype: "i32" }] }, origins: [] } }, type, origin, "argmax");

  const math = new IndexMath(places, type, origin);
  const position: Expression = { kind: "view", view: wholeView(found) };
  const strides = rowMajorStrides(shape);
  let flat: Expression = immediate(0);
  let first: Expression = immediate(0);
  let outside: Expression | undefined;
  let inner = params.window.reduce((a, b) => a * b, 1);
  shape.forEach((extent, axis) => {
    const [stride, low, dilation, window] = [params.strides[axis]!, params.padding[axis]![0], params.dilation[axis]!, params.window[axis]!];
    inner /= window;
    const start = math.add(math.mul({ kind: "index", axis }, stride), immediate(-low));
    const digit = window === 1 ? immediate(0) : math.apply("rem", math.apply("div", position, immediate(inner)), immediate(window));
    const at = math.add(start, math.mul(digit, dilation));
    flat = math.add(flat, math.mul(at, strides[axis]!));
    const reaches = (type.shape[axis]! - 1) * stride + (window - 1) * dilation - low >= extent;
    if (low <= 0 && !reaches) {
      first = math.add(first, math.mul(start, strides[axis]!));
      return;
    }
    // ceil(max(0, -start) / dilation) positions of the window lie before the tensor.
    const skipped = math.apply("div", math.add(math.apply("max", math.mul(start, -1), immediate(0)), immediate(dilation - 1)), immediate(dilation));
    first = math.add(first, math.mul(math.add(start, math.mul(skipped, dilation)), strides[axis]!));
    const away = math.apply("or", math.apply("lt", at, immediate(0)), math.apply("ge", at, immediate(extent)), "bool");
    outside = outside === undefined ? away : math.apply("or", outside, away, "bool");
  });
  const index = outside === undefined ? flat : math.choose(outside, first, flat);
  return { kind: "apply", operation: "convert", operands: "i32", dtype: params.dtype, args: [index], origin };
}

function immediate(value: number): Expression {
  return { kind: "immediate", value };
}

/** Expressions on i32; what does not fit one chain gets a place. */
class IndexMath {
  readonly #places: Places;
  readonly #type: TensorType;
  readonly #origin: Origin;

  constructor(places: Places, type: TensorType, origin: Origin) {
    this.#places = places;
    this.#type = type;
    this.#origin = origin;
  }

  add(a: Expression, b: Expression): Expression {
    if (a.kind === "immediate" && b.kind === "immediate") return immediate(Number(a.value) + Number(b.value));
    if (b.kind === "immediate" && Number(b.value) === 0) return a;
    if (a.kind === "immediate" && Number(a.value) === 0) return b;
    return this.apply("add", a, b);
  }

  mul(a: Expression, factor: number): Expression {
    if (a.kind === "immediate") return immediate(Number(a.value) * factor);
    return factor === 1 ? a : this.apply("mul", a, immediate(factor));
  }

  /** Comparisons and logic give bool, everything else i32. */
  apply(operation: "add" | "mul" | "div" | "rem" | "max" | "lt" | "ge" | "or", a: Expression, b: Expression, operands: Dtype = "i32"): Expression {
    const dtype = operation === "lt" || operation === "ge" || operation === "or" ? "bool" : "i32";
    return this.#bounded([a, b], (args) => ({ kind: "apply", operation, operands: operation === "or" ? "bool" : operands, dtype, args, origin: this.#origin }));
  }

  choose(condition: Expression, a: Expression, b: Expression): Expression {
    return this.#bounded([condition, a, b], (args) => ({ kind: "apply", operation: "select", operands: "i32", dtype: "i32", args, origin: this.#origin }));
  }

  #bounded(args: readonly Expression[], build: (args: readonly Expression[]) => Expression): Expression {
    const current = [...args];
    // One place is left for the conversion at the end.
    const roomy = () => fits({ kind: "apply", operation: "copy", operands: "i32", dtype: "i32", args: [build(current)], origin: this.#origin });
    while (!roomy()) {
      const heaviest = current.reduce((best, e, i) => (isPending(e) && (!isPending(current[best]!) || weight(e) > weight(current[best]!)) ? i : best), 0);
      const e = current[heaviest]!;
      const dtype: Dtype = e.kind === "apply" ? e.dtype : "i32";
      current[heaviest] = { kind: "view", view: wholeView(this.#places.emit(e, { dtype, shape: this.#type.shape }, this.#origin, "index")) };
    }
    return build(current);
  }
}
