/** @file Movement: views where an access stays affine, copies where it does not. */
import { internal, tensor, type TensorType } from "@systole/base";
import { evaluatePrimitive, type Node, type Origin, type Params } from "@systole/ir";
import type { ScheduledTensor } from "../kernel.ts";
import { broadcastView, padView, reshapeView, reverseView, sliceView, transposeView, wholeView, type View } from "../view.ts";
import type { Expression } from "./expression.ts";
import { bitsOf, valueOfBits } from "./numbers.ts";
import type { Places } from "./places.ts";

export function movement(places: Places, node: Node): Expression {
  const source = node.inputs[0]!;
  const expression = places.take(source);
  if (expression.kind === "immediate") {
    if (node.op !== "pad") return expression;
  } else if (expression.kind !== "index") {
    const moved = moveExpression(places, node, expression);
    if (moved !== undefined) return moved;
  }
  places.materialise(source, node.origin);
  const view = places.viewOf(source);
  const direct = moveView(places, node, view);
  if (direct !== undefined) return { kind: "view", view: direct };
  // The view itself is not affine under this movement: copy it to a tensor of its own first.
  const copy = places.emit({ kind: "view", view }, source.type, node.origin, "copy");
  const again = moveView(places, node, wholeView(copy));
  if (again !== undefined) return { kind: "view", view: again };
  if (node.op === "pad") {
    const { low, interior } = (node as Node<"pad">).params;
    const fill = places.take(node.inputs[1]!);
    const value: Expression = fill.kind === "immediate" ? fill : { kind: "view", view: broadcastView(places.placed(node.inputs[1]!), node.outputs[0]!.type.shape, []) };
    return { kind: "view", view: wholeView(interiorPad(places, wholeView(copy), node.outputs[0]!.type, value, low, interior, node.origin)) };
  }
  return internal(`movement ${node.op} of a whole tensor is not affine`);
}

/** Movement of pending work: bijections of chains without an engine go to the leaves. */
export function moveExpression(places: Places, node: Node, expression: Expression): Expression | undefined {
  switch (expression.kind) {
    case "immediate": return expression;
    case "view": {
      const view = moveView(places, node, expression.view);
      return view === undefined ? undefined : { kind: "view", view };
    }
    case "apply": {
      if (node.op === "pad") return padApply(places, node, expression);
      if (node.op !== "transpose" && node.op !== "reshape" && node.op !== "slice" && node.op !== "reverse") return undefined;
      const args = expression.args.map((arg) => moveExpression(places, node, arg));
      if (args.some((arg) => arg === undefined)) return undefined;
      return { ...expression, args: args as Expression[] };
    }
    default: return undefined;
  }
}

/** Elementwise work on padded operands instead of padding around its result, where it makes the fill value of some simple borders. */
function padApply(places: Places, node: Node, expression: Expression): Expression | undefined {
  const { low, high, interior } = node.params as Params<"pad">;
  const fill = places.expressions.get(node.inputs[1]!);
  if (interior.some((i) => i !== 0) || fill?.kind !== "immediate") return undefined;
  const pad = (e: Expression, value: number | bigint): Expression | undefined => {
    if (e.kind === "immediate") return Object.is(e.value, value) ? e : undefined;
    if (e.kind === "view") {
      const view = padView(e.view, low, high, bitsOf(value, e.view.tensor.type.dtype, node.origin));
      return view === undefined ? undefined : { kind: "view", view };
    }
    if (e.kind !== "apply" || e.operands !== "f32" || e.dtype !== "f32" || e.operation === "select") return undefined;
    const borders = bordersOf(e, value);
    const args = borders?.map((border, i) => pad(e.args[i]!, border));
    return args === undefined || args.some((arg) => arg === undefined) ? undefined : { ...e, args: args as Expression[] };
  };
  return pad(expression, fill.value);
}

/** Values of the operands, 0 or 1 where they are free, of which an operation on f32 makes the wanted one to the bit. */
function bordersOf({ operation, args }: Extract<Expression, { kind: "apply" }>, wanted: number | bigint): readonly (number | bigint)[] | undefined {
  const choices = args.reduce<readonly (readonly (number | bigint)[])[]>((all, arg) => {
    const values = arg.kind === "immediate" ? [arg.value] : [0, 1];
    return all.flatMap((before) => values.map((value) => [...before, value]));
  }, [[]]);
  return choices.find((values) => {
    const operands = values.map((value) => tensor("f32", [], [Number(value)]));
    return Object.is(evaluatePrimitive(operation, operands, {}, "device")[0]!.data[0], wanted);
  });
}

export function moveView(places: Places, node: Node, view: View): View | undefined {
  switch (node.op) {
    case "reshape": return reshapeView(view, (node.params as Params<"reshape">).shape);
    case "transpose": return transposeView(view, (node.params as Params<"transpose">).permutation);
    case "broadcast": { const p = node.params as Params<"broadcast">; return broadcastView(view, p.shape, p.axes); }
    case "slice": { const p = node.params as Params<"slice">; return sliceView(view, p.starts, p.limits, p.strides); }
    case "reverse": return reverseView(view, (node.params as Params<"reverse">).axes);
    case "pad": {
      const p = node.params as Params<"pad">;
      const fill = places.expressions.get(node.inputs[1]!);
      if (p.interior.some((i) => i !== 0) || fill?.kind !== "immediate") return undefined;
      return padView(view, p.low, p.high, bitsOf(fill.value, node.outputs[0]!.type.dtype, node.origin));
    }
    default: return undefined;
  }
}

/** Interior padding, or a fill value that is computed: the result is written in two steps, fill first. */
export function interiorPad(places: Places, view: View, type: TensorType, value: Expression, low: readonly number[], interior: readonly number[], origin: Origin): ScheduledTensor {
  const target = places.tensor(places.name(origin), "temporary", type);
  places.emitInto(value, type, wholeView(target), origin, "fill");
  // Elements that survive negative amounts: c = low + i (interior + 1) must lie inside the result.
  const bounds = view.shape.map((extent, axis) => {
    const stride = interior[axis]! + 1;
    const first = Math.max(0, Math.ceil(-low[axis]! / stride));
    const last = Math.min(extent - 1, Math.floor((type.shape[axis]! - 1 - low[axis]!) / stride));
    return { first, count: Math.max(0, last - first + 1), stride, start: low[axis]! + first * stride };
  });
  if (bounds.some((b) => b.count === 0)) return target;
  const source = sliceView(view, bounds.map((b) => b.first), bounds.map((b) => b.first + b.count), bounds.map(() => 1));
  const place = sliceView(wholeView(target), bounds.map((b) => b.start), bounds.map((b) => b.start + (b.count - 1) * b.stride + 1), bounds.map((b) => b.stride));
  places.emitInto({ kind: "view", view: source }, { dtype: type.dtype, shape: source.shape }, place, origin, "pad");
  return target;
}

export function concat(places: Places, node: Node<"concat">): ScheduledTensor {
  const type = node.outputs[0]!.type;
  const { axis } = node.params;
  const target = places.tensor(places.name(node.origin), "temporary", type);
  let start = 0;
  for (const input of node.inputs) {
    const extent = input.type.shape[axis]!;
    const starts = type.shape.map((_, a) => (a === axis ? start : 0));
    const limits = type.shape.map((e, a) => (a === axis ? start + extent : e));
    const place = sliceView(wholeView(target), starts, limits, type.shape.map(() => 1));
    places.emitInto(places.take(input), input.type, place, node.origin, "concat");
    start += extent;
  }
  return target;
}

export function padOrCopy(places: Places, view: View, pad: { low: readonly number[]; high: readonly number[]; fill: number }, type: TensorType, origin: Origin): View {
  const kept = view.shape.map((extent, axis) => extent + Math.min(0, pad.low[axis]!) + Math.min(0, pad.high[axis]!));
  if (kept.some((extent) => extent <= 0)) {
    // Nothing of the tensor is left: all is padding.
    const shape = view.shape.map((extent, axis) => extent + pad.low[axis]! + pad.high[axis]!);
    return wholeView(places.emit({ kind: "immediate", value: valueOfBits(pad.fill, type.dtype) }, { dtype: type.dtype, shape }, origin, "fill"));
  }
  const direct = padView(view, pad.low, pad.high, pad.fill);
  if (direct !== undefined) return direct;
  const copy = places.emit({ kind: "view", view }, type, origin, "copy");
  return padView(wholeView(copy), pad.low, pad.high, pad.fill) ?? internal("padding a whole tensor is affine");
}
