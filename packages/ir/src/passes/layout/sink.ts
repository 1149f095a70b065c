/** @file How a transpose of an operand moves behind the node that uses it: f(transpose(x, p)) = transpose(f'(x), p'). */
import { isNode, type Node, type Value } from "../../graph.ts";
import { isElementwise } from "../../primitives/elementwise.ts";
import type { Params, PrimitiveName } from "../../primitives/index.ts";
import type { WindowParams } from "../../primitives/window.ts";
import { dropAxes, isAscending, isIdentity, unpermute, type Permutation } from "../permutation.ts";
import type { Rewriter } from "../rewrite.ts";
import { absorb, canAbsorb } from "./absorb.ts";
import { sinkThroughReshape } from "./reshape.ts";

/** Primitives a transpose may pass, given the right operands and parameters. */
export function mayPass(op: PrimitiveName): boolean {
  return isElementwise(op) || passable.has(op);
}

const passable: ReadonlySet<PrimitiveName> = new Set<PrimitiveName>([
  "convert", "stop_gradient", "window_reduce", "reduce", "argreduce", "cumsum", "reshape", "broadcast", "slice", "reverse", "pad", "concat",
]);

/** The value that replaces the node's result, with the transpose behind the node; undefined if it cannot pass. */
export function sink(node: Node, r: Rewriter): Value | undefined {
  const p = node.inputs.map((value) => transposeOf(value, r)).find((found) => found !== undefined);
  if (p === undefined) return undefined;
  if (isElementwise(node.op) || node.op === "convert" || node.op === "stop_gradient") return together(node, p, r, node.params);
  if (isNode(node, "concat")) return together(node, p, r, { axis: p[node.params.axis]! });
  const x = r.definition(node.inputs[0]!);
  return isNode(x, "transpose") ? sinkUnary(node, x.inputs[0]!, x.params.permutation, r) : undefined;
}

function transposeOf(value: Value, r: Rewriter): Permutation | undefined {
  const node = r.definition(value);
  return isNode(node, "transpose") ? node.params.permutation : undefined;
}

/** Nodes whose operands all have the layout of the result. */
function together(node: Node, p: Permutation, r: Rewriter, params: Params<PrimitiveName>): Value | undefined {
  if (!node.inputs.every((value) => canAbsorb(value, p, r))) return undefined;
  const operands = node.inputs.map((value) => absorb(value, p, r, node.origin));
  return behind(node, r, r.emit(node.op, operands, params, node.origin)[0]!, p);
}

function behind(node: Node, r: Rewriter, value: Value, p: Permutation): Value {
  return isIdentity(p) ? value : r.emit("transpose", [value], { permutation: p }, node.origin, node.outputs[0]!.name)[0]!;
}

function sinkUnary(node: Node, x: Value, p: Permutation, r: Rewriter): Value | undefined {
  const apply = <P extends PrimitiveName>(op: P, params: Params<P>, after: Permutation, others: readonly Value[] = node.inputs.slice(1)): Value =>
    behind(node, r, r.emit(op, [x, ...others], params, node.origin)[0]!, after);
  const sorted = (axes: readonly number[]): number[] => axes.map((axis) => p[axis]!).sort((a, b) => a - b);
  if (isNode(node, "window_reduce")) {
    if (node.params.kind === "sum" && !isAscending(windowed(node.params).map((axis) => p[axis]!))) return undefined;
    const { kind, window, strides, padding, dilation } = node.params;
    return apply("window_reduce", { kind, window: unpermute(window, p), strides: unpermute(strides, p), padding: unpermute(padding, p), dilation: unpermute(dilation, p) }, p);
  }
  if (isNode(node, "reduce")) {
    const axes = sorted(node.params.axes);
    if (!mayReduce(node, p)) return undefined;
    const after = dropAxes(p, axes);
    // Initial sums have the layout of the result.
    return apply("reduce", { ...node.params, axes }, after, node.inputs.slice(1).map((initial) => absorb(initial, after, r, node.origin)));
  }
  if (isNode(node, "argreduce")) return apply("argreduce", { ...node.params, axis: p[node.params.axis]! }, dropAxes(p, [p[node.params.axis]!]));
  if (isNode(node, "cumsum")) return apply("cumsum", { ...node.params, axis: p[node.params.axis]! }, p);
  if (isNode(node, "reverse")) return apply("reverse", { axes: sorted(node.params.axes) }, p);
  if (isNode(node, "slice")) {
    const { starts, limits, strides } = node.params;
    return apply("slice", { starts: unpermute(starts, p), limits: unpermute(limits, p), strides: unpermute(strides, p) }, p);
  }
  if (isNode(node, "pad")) {
    const { low, high, interior } = node.params;
    return apply("pad", { low: unpermute(low, p), high: unpermute(high, p), interior: unpermute(interior, p) }, p);
  }
  if (isNode(node, "reshape")) {
    const sunk = sinkThroughReshape(node.inputs[0]!.type.shape, node.params.shape, p);
    return sunk === undefined ? undefined : apply("reshape", { shape: sunk.shape }, sunk.permutation);
  }
  if (isNode(node, "broadcast")) return sinkBroadcast(node, p, apply);
  return undefined;
}

function windowed(params: WindowParams): number[] {
  return params.window.map((_, axis) => axis).filter((axis) => params.window[axis] !== 1);
}

/** The elements of each sum must keep their order; a blocked sum must also stay a sum over the innermost axes. */
function mayReduce(node: Node<"reduce">, p: Permutation): boolean {
  const { axes, kind, order } = node.params;
  const { shape } = node.inputs[0]!.type;
  const moved = axes.map((axis) => p[axis]!);
  const ordered = isAscending(moved.filter((_, i) => shape[axes[i]!] !== 1));
  if (order === "blocked") return ordered && moved.every((axis) => axis >= p.length - axes.length);
  return ordered || kind === "max" || kind === "min";
}

/** An axis that the broadcast makes stays behind the axis it stands behind. */
function sinkBroadcast(node: Node<"broadcast">, p: Permutation, apply: (op: "broadcast", params: Params<"broadcast">, after: Permutation) => Value): Value {
  const { shape, axes } = node.params;
  let last = -1;
  const keys = shape.map((_, axis) => {
    const source = axes.indexOf(axis);
    if (source >= 0) last = p[source]!;
    return last;
  });
  const order = shape.map((_, axis) => axis).sort((a, b) => keys[a]! - keys[b]! || a - b);
  const placed = axes.map((axis) => order.indexOf(axis));
  return apply("broadcast", { shape: order.map((axis) => shape[axis]!), axes: unpermute(placed, p) }, shape.map((_, axis) => order.indexOf(axis)));
}
