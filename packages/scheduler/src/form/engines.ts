/** @file Engines: contractions, reductions, scans, gathers, scatters with their loop nests. */
import { allocate, fail, type TensorType } from "@systole/base";
import { evaluatePrimitive, type Node, type Params } from "@systole/ir";
import type { Engine } from "../kernel.ts";
import { reshapeView, reverseView, wholeView, type View } from "../view.ts";
import { accessOf, isAffineRows, mapAxes } from "./access.ts";
import { containsEngine, originsOf, type Expression } from "./expression.ts";
import { interiorPad, padOrCopy } from "./movement.ts";
import { contractionLabels, dimensionName, isDigit, reductionForm } from "./nests.ts";
import { isFinite32, product } from "./numbers.ts";
import type { Places } from "./places.ts";

export function contraction(places: Places, node: Node): Expression {
  const w = places.placed(node.inputs[1]!);
  const x = node.op === "conv" ? dilated(places, node as Node<"conv">, w) : places.placed(node.inputs[0]!);
  if (node.outputs[0]!.type.dtype !== "f32") {
    return fail("E0303", `the array multiplies f32 only, not ${node.outputs[0]!.type.dtype}`, { node: node.origin.node, operator: node.origin.operator });
  }
  const p = node.params as Params<"dot">;
  const labels = contractionLabels(node, x.shape, w.shape);
  if ([...p.k].some((label) => labels.extent(label, true) === 0)) return { kind: "immediate", value: 0 };
  const dims = [...p.out, ...p.k].map((label, i) => ({ name: dimensionName(label, i >= p.out.length, [...p.out].filter(isDigit).length), extent: labels.extent(label, i >= p.out.length) }));
  const parallel = p.out.length;
  const dimOf = (label: string, contracted: boolean) => (contracted ? parallel + p.k.indexOf(label) : p.out.indexOf(label));
  const classes = dims.map((_, i) => {
    if (i >= parallel) return "contracted" as const;
    const label = p.out[i]!;
    const digit = isDigit(label);
    const inX = p.x.includes(label);
    const inW = p.w.includes(label) && !digit;
    return inX && inW ? "batch" as const : inX ? "row" as const : "column" as const;
  });
  const xView = labels.pad === undefined ? x : padOrCopy(places, x, labels.pad, { dtype: "f32", shape: x.shape }, node.origin);
  const map = (view: View, of: string, isW: boolean): View => mapAxes(view, dims, [...of].map((label) => {
    if (isDigit(label)) return isW ? [{ dim: dimOf(label, true), factor: 1 }] : labels.window(label).map((t) => ({ dim: dimOf(label, t.contracted), factor: t.factor }));
    return [{ dim: p.k.includes(label) ? dimOf(label, true) : dimOf(label, false), factor: 1 }];
  }));
  const engine: Engine = { kind: "contraction", x: accessOf(map(xView, p.x, false)), w: accessOf(map(w, p.w, true)), classes };
  return { kind: "engine", pending: { origin: node.origin, dims, parallel, engine, origins: [] } };
}

/**
 * The input of a convolution with the holes of its dilation written out as zeros. A hole is no term of the sum; 0 * w changes no sum that
 * started at +0, unless w is infinite or NaN: so the weights must be known to be finite.
 */
export function dilated(places: Places, node: Node<"conv">, w: View): View {
  const x = places.placed(node.inputs[0]!);
  const { lhsDilation, x: labels } = node.params;
  if (lhsDilation.every((d) => d === 1)) return x;
  const where = { node: node.origin.node, operator: node.origin.operator };
  if (w.tensor.type.dtype === "f32" && !isFinite32(w.tensor)) fail("E0303", "a convolution with a dilated input needs constant, finite weights on this device", where);
  const interior = [...labels].map((label) => (isDigit(label) ? lhsDilation[Number(label)]! - 1 : 0));
  const shape = x.shape.map((extent, axis) => (extent === 0 ? 0 : (extent - 1) * (interior[axis]! + 1) + 1));
  const type: TensorType = { dtype: "f32", shape };
  return wholeView(interiorPad(places, x, type, { kind: "immediate", value: 0 }, shape.map(() => 0), interior, node.origin));
}

export function reduction(places: Places, node: Node): Expression {
  const source = node.inputs[0]!;
  const shape = source.type.shape;
  const form = reductionForm(node, shape);
  if (form.dims.slice(form.parallel).some((d) => d.extent === 0)) return emptyFold(places, node);
  let expression = places.take(source);
  if (containsEngine(expression) || expression.kind === "index" || (form.window && expression.kind === "apply")) {
    places.materialise(source, node.origin);
    expression = places.take(source);
  }
  if (form.window && expression.kind === "immediate") {
    const copy = places.emit(expression, source.type, node.origin, "fill");
    expression = { kind: "view", view: wholeView(copy) };
  }
  const dims = form.dims;
  const axisMap = form.axes;
  const prepared = (view: View): View => (form.pad !== undefined ? padOrCopy(places, view, form.pad, source.type, node.origin) : form.scan?.reverse === true ? reverseView(view, [form.scan.axis]) : view);
  const adapt = (view: View): View => mapAxes(prepared(view), dims, axisMap);
  const chain = places.chain(expression, source.type.dtype, adapt, (axis) => axisMap[axis]![0]!.dim);
  const engine: Engine = { kind: "reduction", reduction: form.reduction, order: form.order, chain, dtype: node.outputs[0]!.type.dtype };
  const pending: Expression = { kind: "engine", pending: { origin: node.origin, dims, parallel: form.parallel, engine, origins: originsOf(expression) } };
  if (form.scan === undefined) return pending;
  // A running sum keeps its axis: the result is written at once, through the axis order of the nest.
  const target = places.tensor(places.name(node.origin), "temporary", node.outputs[0]!.type);
  const output = accessOf(mapAxes(form.scan.reverse ? reverseView(wholeView(target), [form.scan.axis]) : wholeView(target), dims, axisMap));
  places.push({ origins: [node.origin, ...originsOf(expression)], dims, parallel: form.parallel, engine, epilogue: { streams: [], stages: [], dtype: engine.dtype }, output }, node.origin);
  return { kind: "view", view: wholeView(target) };
}

/** A fold of nothing is its start value, everywhere. */
export function emptyFold(places: Places, node: Node): Expression {
  const type = node.outputs[0]!.type;
  if (product(type.shape) === 0) return { kind: "immediate", value: type.dtype === "i64" ? 0n : 0 };
  const operands = node.inputs.map(({ type: t }) => ({ ...t, data: allocate(t.dtype, product(t.shape)) }));
  return { kind: "immediate", value: evaluatePrimitive(node.op, operands, node.params, "device")[0]!.data[0]! };
}

export function gather(places: Places, node: Node): Expression {
  const x = places.placed(node.inputs[0]!);
  const index = places.placed(node.inputs[1]!);
  const indexShape = node.inputs[1]!.type.shape;
  const rest = x.shape.slice(1);
  const flatIndex = reshapeView(index, [product(indexShape)]) ?? wholeView(places.emit({ kind: "view", view: index }, node.inputs[1]!.type, node.origin, "copy"), [product(indexShape)]);
  const dims = [{ name: "row", extent: product(indexShape) }, ...rest.map((extent, i) => ({ name: `s${i}`, extent }))];
  const rows = isAffineRows(x) ? x : wholeView(places.emit({ kind: "view", view: x }, node.inputs[0]!.type, node.origin, "copy"));
  const engine: Engine = { kind: "gather", rows: accessOf({ ...rows, shape: dims.map((d) => d.extent) }), index: accessOf(mapAxes(flatIndex, dims, [[{ dim: 0, factor: 1 }]])), rowCount: x.shape[0]! };
  const type = { dtype: node.outputs[0]!.type.dtype, shape: dims.map((d) => d.extent) };
  const target = places.emit({ kind: "engine", pending: { origin: node.origin, dims, parallel: dims.length, engine, origins: [] } }, type, node.origin, "gather");
  return { kind: "view", view: wholeView(target, node.outputs[0]!.type.shape) };
}

export function scatter(places: Places, node: Node<"scatter">): Expression {
  const type = node.outputs[0]!.type;
  const target = places.tensor(places.name(node.origin), "temporary", type);
  places.emitInto({ kind: "view", view: places.placed(node.inputs[0]!) }, type, wholeView(target), node.origin, "copy");
  const indexType = node.inputs[1]!.type;
  const count = product(indexType.shape);
  const index = reshapeView(places.placed(node.inputs[1]!), [count]) ?? wholeView(places.emit({ kind: "view", view: places.placed(node.inputs[1]!) }, indexType, node.origin, "copy"), [count]);
  const shape = [count, ...type.shape.slice(1)];
  const updates = reshapeView(places.placed(node.inputs[2]!), shape) ?? wholeView(places.emit({ kind: "view", view: places.placed(node.inputs[2]!) }, node.inputs[2]!.type, node.origin, "copy"), shape);
  const dims = shape.map((extent, i) => ({ name: i === 0 ? "row" : `s${i - 1}`, extent }));
  const engine: Engine = { kind: "scatter", updates: accessOf(updates), index: accessOf(mapAxes(index, dims, [[{ dim: 0, factor: 1 }]])), rowCount: type.shape[0]!, ...(node.params.kind === "set" ? {} : { combine: node.params.kind }) };
  places.push({ origins: [node.origin], dims, parallel: dims.length, engine, epilogue: { streams: [], stages: [], dtype: type.dtype }, output: accessOf({ ...wholeView(target), shape }) }, node.origin);
  return { kind: "view", view: wholeView(target) };
}
