/**
 * @file simplify: algebra that keeps every bit (x * 1 and x - 0 are x; x + 0 is not, for x = -0). NaN stays NaN; its
 * payload is not a value. One rule, one name.
 */
import { dtypes, elementCount, isFloat, pass, sameShape, type Dtype } from "@systole/base";
import { isNode, type Graph, type Node, type Value } from "../graph.ts";
import { elementwisePrimitiveNames } from "../primitives/elementwise.ts";
import type { PrimitiveName } from "../primitives/index.ts";
import { compose, isIdentity, movesOnlyUnitAxes } from "./permutation.ts";
import { rewriteGraph, type Rewriter } from "./rewrite.ts";
import { isSplat } from "./splat.ts";

/** The value that replaces the (only) result, or undefined. */
type SimplifyRule<P extends PrimitiveName = PrimitiveName> = (node: Node<P>, r: Rewriter) => Value | undefined;

interface NamedRule {
  readonly name: string;
  readonly op: PrimitiveName;
  readonly apply: SimplifyRule;
}

function rule<P extends PrimitiveName>(name: string, op: P, apply: SimplifyRule<P>): NamedRule {
  return { name, op, apply: (node, r) => (isNode(node, op) ? apply(node, r) : undefined) };
}

const x = (node: Node): Value => node.inputs[0]!;
const y = (node: Node): Value => node.inputs[1]!;
const emptyAxes = (shape: readonly number[]): boolean => elementCount(shape) === 0;

/** Rules that drop a node which gives back its operand. */
const identities: readonly NamedRule[] = [
  rule("copy", "copy", x),
  rule("reshape to the same shape", "reshape", (n) => (sameShape(x(n).type.shape, n.params.shape) ? x(n) : undefined)),
  rule("transpose that moves nothing", "transpose", (n) => (isIdentity(n.params.permutation) ? x(n) : undefined)),
  rule("broadcast to the same shape", "broadcast", (n) => (sameShape(x(n).type.shape, n.params.shape) ? x(n) : undefined)),
  rule("slice of everything", "slice", (n) => (sameShape(x(n).type.shape, n.outputs[0]!.type.shape) ? x(n) : undefined)),
  rule("reverse of short axes", "reverse", (n) => (n.params.axes.every((axis) => x(n).type.shape[axis]! <= 1) ? x(n) : undefined)),
  rule("pad by nothing", "pad", (n) => ([...n.params.low, ...n.params.high].every((p) => p === 0) && sameShape(x(n).type.shape, n.outputs[0]!.type.shape) ? x(n) : undefined)),
  rule("concat of one", "concat", (n) => (n.inputs.length === 1 ? x(n) : undefined)),
  rule("convert to the same type", "convert", (n) => (x(n).type.dtype === n.params.dtype ? x(n) : undefined)),
  rule("x * 1", "mul", (n, r) => (isSplat(y(n), 1, r) ? x(n) : isSplat(x(n), 1, r) ? y(n) : undefined)),
  rule("x / 1", "div", (n, r) => (isSplat(y(n), 1, r) ? x(n) : undefined)),
  rule("x - 0", "sub", (n, r) => (isSplat(y(n), 0, r) ? x(n) : undefined)),
  rule("x + (-0), integer x + 0", "add", (n, r) => {
    const zero = isFloat(x(n).type.dtype) ? -0 : 0;
    return isSplat(y(n), zero, r) ? x(n) : isSplat(x(n), zero, r) ? y(n) : undefined;
  }),
  rule("x to the power 1", "pow", (n, r) => (isSplat(y(n), 1, r) ? x(n) : undefined)),
  rule("max(x, x)", "max", (n) => (x(n) === y(n) ? x(n) : undefined)),
  rule("min(x, x)", "min", (n) => (x(n) === y(n) ? x(n) : undefined)),
  rule("x and x", "and", (n) => (x(n) === y(n) ? x(n) : undefined)),
  rule("x or x", "or", (n) => (x(n) === y(n) ? x(n) : undefined)),
  rule("max(max(x, c), c)", "max", (n, r) => repeated(n, r)),
  rule("min(min(x, c), c)", "min", (n, r) => repeated(n, r)),
  rule("select of equal branches", "select", (n) => (n.inputs[1] === n.inputs[2] ? n.inputs[1] : undefined)),
  rule("select by a known condition", "select", (n, r) => (isSplat(x(n), 1, r) ? n.inputs[1] : isSplat(x(n), 0, r) ? n.inputs[2] : undefined)),
  rule("-(-x)", "neg", (n, r) => involution(n, r)),
  rule("not not x", "not", (n, r) => involution(n, r)),
  rule("reduce over no axes", "reduce", (n) => (n.params.axes.length === 0 && n.params.kind !== "sum" ? x(n) : undefined)),
  rule("maximum over windows of one", "window_reduce", (n) => {
    const trivial = n.params.kind === "max" && n.params.window.every((extent) => extent === 1) && sameShape(x(n).type.shape, n.outputs[0]!.type.shape);
    return trivial && n.params.padding.every(([low, high]) => low === 0 && high === 0) ? x(n) : undefined;
  }),
];

/** Rules that replace nodes by fewer or simpler ones. */
const combinations: readonly NamedRule[] = [
  rule("reshape of a reshape", "reshape", (n, r) => {
    const inner = r.definition(x(n));
    return isNode(inner, "reshape") ? emit(n, r, "reshape", [x(inner)], n.params) : undefined;
  }),
  rule("transpose of a transpose", "transpose", (n, r) => {
    const inner = r.definition(x(n));
    return isNode(inner, "transpose") ? emit(n, r, "transpose", [x(inner)], { permutation: compose(inner.params.permutation, n.params.permutation) }) : undefined;
  }),
  rule("transpose of axes with one element", "transpose", (n, r) => {
    const { shape } = x(n).type;
    return movesOnlyUnitAxes(shape, n.params.permutation) || emptyAxes(shape) ? emit(n, r, "reshape", [x(n)], { shape: n.outputs[0]!.type.shape }) : undefined;
  }),
  rule("broadcast that repeats nothing", "broadcast", (n, r) => (elementCount(x(n).type.shape) === elementCount(n.params.shape) ? emit(n, r, "reshape", [x(n)], { shape: n.params.shape }) : undefined)),
  rule("broadcast of a broadcast", "broadcast", (n, r) => {
    const inner = r.definition(x(n));
    if (!isNode(inner, "broadcast")) return undefined;
    return emit(n, r, "broadcast", [x(inner)], { shape: n.params.shape, axes: inner.params.axes.map((axis) => n.params.axes[axis]!) });
  }),
  rule("broadcast of axes with one element", "broadcast", (n, r) => {
    const { shape } = x(n).type;
    if (!shape.includes(1)) return undefined;
    const source = r.emit("reshape", [x(n)], { shape: shape.filter((extent) => extent !== 1) }, n.origin)[0]!;
    return emit(n, r, "broadcast", [source], { shape: n.params.shape, axes: n.params.axes.filter((_, i) => shape[i] !== 1) });
  }),
  rule("slice of a slice", "slice", (n, r) => {
    const inner = r.definition(x(n));
    if (!isNode(inner, "slice") || emptyAxes(n.outputs[0]!.type.shape)) return undefined;
    const { starts, strides } = inner.params;
    const at = (axis: number, index: number): number => starts[axis]! + index * strides[axis]!;
    return emit(n, r, "slice", [x(inner)], {
      starts: n.params.starts.map((start, axis) => at(axis, start)),
      limits: n.params.limits.map((limit, axis) => at(axis, limit - 1) + 1),
      strides: n.params.strides.map((stride, axis) => stride * strides[axis]!),
    });
  }),
  rule("slice of one part of a concat", "slice", (n, r) => {
    const inner = r.definition(x(n));
    if (!isNode(inner, "concat")) return undefined;
    const { axis } = inner.params;
    const { starts, limits, strides } = n.params;
    let first = 0;
    for (const part of inner.inputs) {
      const behind = first + part.type.shape[axis]!;
      if (starts[axis]! >= first && limits[axis]! <= behind && starts[axis]! < behind) {
        return emit(n, r, "slice", [part], { starts: starts.with(axis, starts[axis]! - first), limits: limits.with(axis, limits[axis]! - first), strides });
      }
      first = behind;
    }
    return undefined;
  }),
  rule("reverse of a reverse", "reverse", (n, r) => {
    const inner = r.definition(x(n));
    if (!isNode(inner, "reverse")) return undefined;
    const [a, b] = [inner.params.axes, n.params.axes];
    const once = x(n).type.shape.map((_, axis) => axis).filter((axis) => a.includes(axis) !== b.includes(axis));
    return emit(n, r, "reverse", [x(inner)], { axes: once });
  }),
  rule("convert there and back", "convert", (n, r) => {
    const inner = r.definition(x(n));
    if (!isNode(inner, "convert")) return undefined;
    const [from, through, to] = [x(inner).type.dtype, x(n).type.dtype, n.params.dtype];
    // A float between two integers would saturate where integers wrap.
    const sameRule = isFloat(through) === isFloat(from) || isFloat(to) || to === from;
    return sameRule && holds(through, from) ? emit(n, r, "convert", [x(inner)], n.params) : undefined;
  }),
  rule("x to the power 2", "pow", (n, r) => (isSplat(y(n), 2, r) ? emit(n, r, "mul", [x(n), x(n)], {}) : undefined)),
  rule("reduce of axes with one element", "reduce", (n, r) => {
    const trivial = n.params.kind !== "sum" && n.params.axes.every((axis) => x(n).type.shape[axis] === 1);
    return trivial ? emit(n, r, "reshape", [x(n)], { shape: n.outputs[0]!.type.shape }) : undefined;
  }),
];

/** Arithmetic on repeated elements is done once, before the repetition. */
const beforeBroadcast = [...elementwisePrimitiveNames, "convert"].map((op) => rule("elementwise of equal broadcasts", op as PrimitiveName, (n, r) => {
  const sources = n.inputs.map((value) => r.definition(value)).map((inner) => (isNode(inner, "broadcast") ? inner : undefined));
  const widest = sources.reduce((best, inner) => ((inner?.params.axes.length ?? 0) > (best?.params.axes.length ?? 0) ? inner : best), sources[0]);
  if (widest === undefined) return undefined;
  const { shape } = x(widest).type;
  const fits = (inner: Node<"broadcast"> | undefined): boolean =>
    inner !== undefined && (x(inner).type.shape.length === 0 || (sameShape(x(inner).type.shape, shape) && sameShape(inner.params.axes, widest.params.axes)));
  if (!sources.every(fits) || elementCount(shape) >= elementCount(n.outputs[0]!.type.shape)) return undefined;
  const operands = sources.map((inner) => {
    const source = x(inner!);
    return source.type.shape.length === shape.length ? source : r.emit("broadcast", [source], { shape, axes: [] }, inner!.origin)[0]!;
  });
  return emit(n, r, "broadcast", r.emit(n.op, operands, n.params, n.origin), { shape: widest.params.shape, axes: widest.params.axes });
}));

export const simplifyRules: readonly NamedRule[] = [...identities, ...combinations, ...beforeBroadcast];

const rulesByOp = new Map(simplifyRules.map(({ op }) => [op, simplifyRules.filter((r) => r.op === op)]));

export const simplify = pass<Graph>("simplify", "Algebra that keeps every bit.", (graph) =>
  rewriteGraph(graph, (node, r) => {
    for (const { apply } of rulesByOp.get(node.op) ?? []) {
      const value = apply(node, r);
      if (value !== undefined) return [value];
    }
    return undefined;
  }),
);

function emit<P extends PrimitiveName>(node: Node, r: Rewriter, op: P, inputs: readonly Value[], params: Node<P>["params"]): Value {
  return r.emit(op, inputs, params, node.origin, node.outputs[0]!.name)[0]!;
}

function involution(node: Node, r: Rewriter): Value | undefined {
  const inner = r.definition(x(node));
  return inner?.op === node.op ? x(inner) : undefined;
}

/** f(f(x, c), c) = f(x, c) for max and min. */
function repeated(node: Node, r: Rewriter): Value | undefined {
  const inner = r.definition(x(node));
  return inner?.op === node.op && (inner.inputs[0] === y(node) || inner.inputs[1] === y(node)) ? x(node) : undefined;
}

/** Whether every number of type `from` can be stored in `to`: then converting through `to` changes nothing. */
function holds(to: Dtype, from: Dtype): boolean {
  if (from === to || from === "bool") return to !== "bool" || from === "bool";
  if (to === "bool") return false;
  const [wide, narrow] = [dtypes[to], dtypes[from]];
  if (narrow.kind === "float") return wide.kind === "float" && wide.bytes >= narrow.bytes;
  if (wide.kind === "float") return wide.bytes > narrow.bytes;
  return wide.bytes > narrow.bytes;
}
