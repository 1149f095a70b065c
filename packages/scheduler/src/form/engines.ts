/** @file Engines: contractions, reductions, scans, gathers, scatters with their loop nests. */
import { allocate, fail } from "@systole/base";
import { evaluatePrimitive, type Node, type Params } from "@systole/ir";
import type { Access, Dimension, Engine, ScheduledTensor } from "../kernel.ts";
import { isWhole, runElements, reshapeView, reverseView, sliceView, wholeView, type View } from "../view.ts";
import { accessOf, isAffineRows, mapAxes } from "./access.ts";
import { containsEngine, originsOf, type Expression } from "./expression.ts";
import { padOrCopy } from "./movement.ts";
import { dimensionName, isDigit, reductionForm } from "./nests.ts";
import { product } from "./numbers.ts";
import { axisPhases, combinations, type AxisPhase } from "./phases.ts";
import type { Places } from "./places.ts";

export function contraction(places: Places, node: Node): Expression {
  const [x, w] = [places.placed(node.inputs[0]!), weightsOf(places, node)];
  const initial = node.inputs[2] === undefined ? undefined : places.placed(node.inputs[2]);
  const type = node.outputs[0]!.type;
  if (type.dtype !== "f32") return fail("E0303", `the array multiplies f32 only, not ${type.dtype}`, { node: node.origin.node, operator: node.origin.operator });
  const p = node.params as Params<"dot">;
  const at = (labels: string, shape: readonly number[], label: string) => shape[labels.indexOf(label)]!;
  const digits = [...p.out].filter(isDigit).sort();
  const phases = combinations(digits.map((digit) => axisPhases(node.params as Params<"conv">, Number(digit), at(p.out, type.shape, digit), at(p.w, w.shape, digit))));
  const along = (phase: readonly AxisPhase[], label: string) => (isDigit(label) ? phase[Number(label)] : undefined);
  const part = (phase: readonly AxisPhase[], from: View | undefined) => {
    const taken = sliceView(w, [...p.w].map((label) => along(phase, label)?.kernelStart ?? 0), w.shape, [...p.w].map((label) => along(phase, label)?.kernelStep ?? 1));
    return contractionPhase(places, node, { x, w: taken, initial: from }, phase);
  };
  if (phases.length === 1) return part(phases[0]!, initial);
  const target = places.tensor(places.name(node.origin), "temporary", type);
  for (const phase of phases) {
    const starts = [...p.out].map((label) => along(phase, label)?.outStart ?? 0);
    const steps = [...p.out].map((label) => along(phase, label)?.outStep ?? 1);
    const shape = type.shape.map((extent, axis) => along(phase, p.out[axis]!)?.outCount ?? extent);
    const limits = starts.map((start, axis) => start + (shape[axis]! - 1) * steps[axis]! + 1);
    const [place, from] = [wholeView(target), initial].map((view) => view && sliceView(view, starts, limits, steps)) as [View, View | undefined];
    places.emitInto(part(phase, from), { dtype: "f32", shape }, place, node.origin, "phase");
  }
  return { kind: "view", view: wholeView(target) };
}

/** A parameter is stored as the model has it. Where a convolution would read it in pieces smaller than a burst for every tile, it is packed once. */
function weightsOf(places: Places, node: Node): View {
  const value = node.inputs[1]!;
  const view = places.placed(value);
  if (node.op !== "conv" || isWhole(view) || product(view.shape) < smallestPacked(view.tensor) || runElements(view) >= longRun) return view;
  const packed = wholeView(places.emit({ kind: "view", view }, value.type, node.origin, "pack"));
  places.expressions.set(value, { kind: "view", view: packed });
  return packed;
}

/** Elements from which packing pays for itself: parameters are read by several convolutions, their tangents by one. Temporaries are made in an order that suits. */
function smallestPacked({ kind }: ScheduledTensor): number {
  return kind === "constant" ? 4096 : kind === "input" ? 65536 : Infinity;
}

/** Neighbours that are worth a transfer, as in a convolution over single points: a usual burst of them. */
const longRun = 16;

/** One loop nest: `w` holds the kernel positions of the phase only, `initial` its results. */
function contractionPhase(places: Places, node: Node, { x, w, initial }: { readonly x: View; readonly w: View; readonly initial: View | undefined }, phase: readonly AxisPhase[]): Expression {
  const p = node.params as Params<"dot">;
  const outShape = node.outputs[0]!.type.shape;
  const of = (label: string) => phase[Number(label)]!;
  const extent = (label: string, contracted: boolean) =>
    isDigit(label) ? (contracted ? of(label).kernelCount : of(label).outCount) : contracted || !p.out.includes(label) ? w.shape[p.w.indexOf(label)]! : outShape[p.out.indexOf(label)]!;
  if ([...p.k].some((label) => extent(label, true) === 0)) return initial === undefined ? { kind: "immediate", value: 0 } : { kind: "view", view: initial };
  const parallel = p.out.length;
  const spatial = [...p.out].filter(isDigit).length;
  const dims = [...p.out, ...p.k].map((label, i) => ({ name: dimensionName(label, i >= parallel, spatial), extent: extent(label, i >= parallel) }));
  const dimOf = (label: string, contracted: boolean) => (contracted ? parallel + p.k.indexOf(label) : p.out.indexOf(label));
  const classes = dims.map((_, i) => {
    if (i >= parallel) return "contracted" as const;
    const label = p.out[i]!;
    const inX = p.x.includes(label);
    const inW = p.w.includes(label) && !isDigit(label);
    return inX && inW ? "batch" as const : inX ? "row" as const : "column" as const;
  });
  const low = [...p.x].map((label) => (isDigit(label) ? of(label).low : 0));
  // As far as the last window reaches; negative where the stride leaves elements unused.
  const high = [...p.x].map((label, axis) => (isDigit(label) ? (of(label).outCount - 1) * of(label).outFactor + (of(label).kernelCount - 1) * of(label).kernelFactor + 1 - x.shape[axis]! - of(label).low : 0));
  const padded = padOrCopy(places, x, { low, high, fill: 0 }, { dtype: "f32", shape: x.shape }, node.origin);
  const window = (label: string) => [{ dim: dimOf(label, false), factor: of(label).outFactor }, { dim: dimOf(label, true), factor: of(label).kernelFactor }];
  const map = (view: View, labels: string, isW: boolean): View => mapAxes(view, dims, [...labels].map((label) => {
    if (isDigit(label)) return isW ? [{ dim: dimOf(label, true), factor: 1 }] : window(label);
    return [{ dim: dimOf(label, p.k.includes(label)), factor: 1 }];
  }));
  const engine: Engine = { kind: "contraction", products: [{ x: accessOf(map(padded, p.x, false)), w: accessOf(map(w, p.w, true)) }], ...initialSums(initial, dims), classes };
  return { kind: "engine", pending: { origin: node.origin, dims, parallel, engine, origins: [] } };
}

/** The access of an engine to what its sums go on from; the first dimensions are the axes of its result. */
function initialSums(initial: View | undefined, dims: readonly Dimension[]): { readonly initial?: Access } {
  return initial === undefined ? {} : { initial: accessOf(mapAxes(initial, dims, initial.shape.map((_, dim) => [{ dim, factor: 1 }]))) };
}

export function reduction(places: Places, node: Node): Expression {
  const source = node.inputs[0]!;
  const initial = node.op === "reduce" && node.inputs[1] !== undefined ? places.placed(node.inputs[1]) : undefined;
  const shape = source.type.shape;
  const form = reductionForm(node, shape);
  if (form.dims.slice(form.parallel).some((d) => d.extent === 0)) return initial === undefined ? emptyFold(places, node) : { kind: "view", view: initial };
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
  const engine: Engine = { kind: "reduction", folds: [{ reduction: form.reduction, order: form.order, chain, dtype: node.outputs[0]!.type.dtype }], ...initialSums(initial, form.dims) };
  const pending: Expression = { kind: "engine", pending: { origin: node.origin, dims, parallel: form.parallel, engine, origins: originsOf(expression) } };
  if (form.scan === undefined) return pending;
  // A running sum keeps its axis: the result is written at once, through the axis order of the nest.
  const target = places.tensor(places.name(node.origin), "temporary", node.outputs[0]!.type);
  const output = accessOf(mapAxes(form.scan.reverse ? reverseView(wholeView(target), [form.scan.axis]) : wholeView(target), dims, axisMap));
  places.push({ origins: [node.origin, ...originsOf(expression)], dims, parallel: form.parallel, engine, results: [{ chain: { streams: [], stages: [], dtype: node.outputs[0]!.type.dtype }, output }] }, node.origin);
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
  const before = places.take(node.inputs[0]!);
  places.emitInto(before.kind === "immediate" ? before : { kind: "view", view: places.placed(node.inputs[0]!) }, type, wholeView(target), node.origin, "copy");
  const indexType = node.inputs[1]!.type;
  const count = product(indexType.shape);
  const index = reshapeView(places.placed(node.inputs[1]!), [count]) ?? wholeView(places.emit({ kind: "view", view: places.placed(node.inputs[1]!) }, indexType, node.origin, "copy"), [count]);
  const shape = [count, ...type.shape.slice(1)];
  const updates = reshapeView(places.placed(node.inputs[2]!), shape) ?? wholeView(places.emit({ kind: "view", view: places.placed(node.inputs[2]!) }, node.inputs[2]!.type, node.origin, "copy"), shape);
  const dims = shape.map((extent, i) => ({ name: i === 0 ? "row" : `s${i - 1}`, extent }));
  const engine: Engine = { kind: "scatter", updates: accessOf(updates), index: accessOf(mapAxes(index, dims, [[{ dim: 0, factor: 1 }]])), rowCount: type.shape[0]!, ...(node.params.kind === "set" ? {} : { combine: node.params.kind }) };
  places.push({ origins: [node.origin], dims, parallel: dims.length, engine, results: [{ chain: { streams: [], stages: [], dtype: type.dtype }, output: accessOf({ ...wholeView(target), shape }) }] }, node.origin);
  return { kind: "view", view: wholeView(target) };
}
