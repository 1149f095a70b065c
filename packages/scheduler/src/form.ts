/**
 * @file Forms kernels from a graph: decides which values live in external memory, folds movement into accesses and elementwise operations
 * into chains around at most one engine (contraction, reduction, scan, gather, scatter).
 *
 * A value is materialised when it is a graph output, is used more than once and is not just a view, when an engine needs it,
 * or when the chain it would join is full (8 stages, 6 streams, one engine).
 */
import { allocate, bytesOf, elementwiseOps, fail, internal, type Dtype, type ElementwiseName, type Tensor, type TensorType } from "@systole/base";
import { evaluatePrimitive, uses, type Graph, type Node, type Origin, type Params, type Value } from "@systole/ir";
import { engineReads, readsOf, type Access, type Chain, type Coordinate, type Dimension, type Engine, type Kernel, type Reduction, type ScheduledTensor, type Source, type Stage } from "./kernel.ts";
import { mapAccesses } from "./collapse.ts";
import { broadcastView, isWhole, padView, reshapeView, reverseView, sliceView, transposeView, wholeView, type View } from "./view.ts";

/** What a value is before it is given a place: a view of a tensor, a constant, or work that is still to be put into a kernel. */
type Expression =
  | { readonly kind: "view"; readonly view: View }
  | { readonly kind: "immediate"; readonly value: number | bigint }
  | { readonly kind: "index"; readonly axis: number }
  | { readonly kind: "apply"; readonly operation: ElementwiseName; readonly operands: Dtype; readonly dtype: Dtype; readonly args: readonly Expression[]; readonly origin: Origin }
  | { readonly kind: "engine"; readonly pending: PendingEngine };

/** An engine with its loop nest; the parallel dimensions are the axes of its result. */
interface PendingEngine {
  readonly origin: Origin;
  readonly dims: readonly Dimension[];
  readonly parallel: number;
  readonly engine: Engine;
  /** Kernels that were formed for its operands' chains carry their origins here. */
  readonly origins: readonly Origin[];
}

export interface FormedProgram {
  readonly tensors: readonly ScheduledTensor[];
  readonly kernels: readonly Kernel[];
  readonly inputs: ReadonlyMap<string, ScheduledTensor>;
  readonly outputs: ReadonlyMap<string, ScheduledTensor>;
}

export const maximumStages = 8;
export const maximumStreams = 6;

export function formKernels(graph: Graph): FormedProgram {
  return new Former(graph).run();
}

class Former {
  readonly #graph: Graph;
  readonly #useCount = new Map<Value, number>();
  readonly #expressions = new Map<Value, Expression>();
  readonly #tensors: ScheduledTensor[] = [];
  readonly #kernels: Kernel[] = [];
  readonly #names = new Map<string, number>();

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const [value, nodes] of uses(graph)) this.#useCount.set(value, nodes.length);
    for (const output of graph.outputs) this.#useCount.set(output.value, (this.#useCount.get(output.value) ?? 0) + 1);
  }

  run(): FormedProgram {
    const inputs = new Map<string, ScheduledTensor>();
    for (const { name, value } of this.#graph.inputs) {
      const t = this.#tensor(name, "input", value.type);
      inputs.set(name, t);
      this.#expressions.set(value, { kind: "view", view: wholeView(t) });
    }
    for (const { name, value, tensor } of this.#graph.parameters) {
      this.#expressions.set(value, { kind: "view", view: wholeView(this.#constant(name, tensor)) });
    }
    for (const node of this.#graph.nodes) this.#visit(node);
    const outputs = new Map<string, ScheduledTensor>();
    for (const { name, value } of this.#graph.outputs) outputs.set(name, this.#output(name, value));
    return { tensors: this.#tensors, kernels: this.#kernels, inputs, outputs };
  }

  #visit(node: Node): void {
    if ((this.#useCount.get(node.outputs[0]!) ?? 0) === 0 && node.outputs.length === 1) return;
    const expression = this.#expressionOf(node);
    const value = node.outputs[0]!;
    this.#expressions.set(value, expression);
    const pending = expression.kind === "apply" || expression.kind === "engine";
    if (pending && this.#useCount.get(value)! > 1) this.#materialise(value, node.origin);
  }

  #expressionOf(node: Node): Expression {
    const value = node.outputs[0]!;
    switch (node.op) {
      case "constant": return this.#constantExpression(node as Node<"constant">);
      case "iota": {
        const { axis } = node.params as Params<"iota">;
        return { kind: "apply", operation: "copy", operands: value.type.dtype, dtype: value.type.dtype, args: [{ kind: "index", axis }], origin: node.origin };
      }
      case "stop_gradient": return this.#take(node.inputs[0]!);
      case "reshape": case "transpose": case "broadcast": case "slice": case "reverse": case "pad": return this.#movement(node);
      case "concat": return { kind: "view", view: wholeView(this.#concat(node as Node<"concat">)) };
      case "dot": case "conv": return this.#contraction(node);
      case "reduce": case "argreduce": case "cumsum": case "window_reduce": return this.#reduction(node);
      case "gather": return this.#gather(node);
      case "scatter": return this.#scatter(node as Node<"scatter">);
      default:
        if (Object.hasOwn(elementwiseOps, node.op)) return this.#elementwise(node);
        return fail("E0303", `the device has no instruction for primitive "${node.op}" yet`, { node: node.origin.node, operator: node.origin.operator });
    }
  }

  // ---- leaves ----------------------------------------------------------------------------------------------------

  #tensor(name: string, kind: ScheduledTensor["kind"], type: TensorType, data?: Uint8Array): ScheduledTensor {
    const t = { id: this.#tensors.length, name, kind, type, ...(data === undefined ? {} : { data }) };
    this.#tensors.push(t);
    return t;
  }

  #constant(name: string, t: Tensor): ScheduledTensor {
    return this.#tensor(name, "constant", { dtype: t.dtype, shape: t.shape }, new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
  }

  #constantExpression(node: Node<"constant">): Expression {
    const t = node.params.value;
    const first = t.data[0];
    if (first !== undefined && isSplat(t)) return { kind: "immediate", value: first };
    return { kind: "view", view: wholeView(this.#constant(`constant${node.outputs[0]!.id}`, t)) };
  }

  // ---- movement --------------------------------------------------------------------------------------------------

  #movement(node: Node): Expression {
    const source = node.inputs[0]!;
    const expression = this.#take(source);
    if (expression.kind === "immediate") {
      if (node.op !== "pad") return expression;
    } else if (expression.kind !== "index") {
      const moved = this.#moveExpression(node, expression);
      if (moved !== undefined) return moved;
    }
    this.#materialise(source, node.origin);
    const view = this.#viewOf(source);
    const direct = this.#moveView(node, view);
    if (direct !== undefined) return { kind: "view", view: direct };
    // The view itself is not affine under this movement: copy it to a tensor of its own first.
    const copy = this.#emit({ kind: "view", view }, source.type, node.origin, "copy");
    const again = this.#moveView(node, wholeView(copy));
    if (again !== undefined) return { kind: "view", view: again };
    if (node.op === "pad") {
      const { low, interior } = (node as Node<"pad">).params;
      const fill = this.#take(node.inputs[1]!);
      const value: Expression = fill.kind === "immediate" ? fill : { kind: "view", view: broadcastView(this.#placed(node.inputs[1]!), node.outputs[0]!.type.shape, []) };
      return { kind: "view", view: wholeView(this.#interiorPad(wholeView(copy), node.outputs[0]!.type, value, low, interior, node.origin)) };
    }
    return internal(`movement ${node.op} of a whole tensor is not affine`);
  }

  /** Movement of pending work: bijections of chains without an engine go to the leaves. */
  #moveExpression(node: Node, expression: Expression): Expression | undefined {
    switch (expression.kind) {
      case "immediate": return expression;
      case "view": {
        const view = this.#moveView(node, expression.view);
        return view === undefined ? undefined : { kind: "view", view };
      }
      case "apply": {
        if (node.op !== "transpose" && node.op !== "reshape" && node.op !== "slice" && node.op !== "reverse") return undefined;
        const args = expression.args.map((arg) => this.#moveExpression(node, arg));
        if (args.some((arg) => arg === undefined)) return undefined;
        return { ...expression, args: args as Expression[] };
      }
      default: return undefined;
    }
  }

  #moveView(node: Node, view: View): View | undefined {
    switch (node.op) {
      case "reshape": return reshapeView(view, (node.params as Params<"reshape">).shape);
      case "transpose": return transposeView(view, (node.params as Params<"transpose">).permutation);
      case "broadcast": { const p = node.params as Params<"broadcast">; return broadcastView(view, p.shape, p.axes); }
      case "slice": { const p = node.params as Params<"slice">; return sliceView(view, p.starts, p.limits, p.strides); }
      case "reverse": return reverseView(view, (node.params as Params<"reverse">).axes);
      case "pad": {
        const p = node.params as Params<"pad">;
        const fill = this.#expressions.get(node.inputs[1]!);
        if (p.interior.some((i) => i !== 0) || fill?.kind !== "immediate") return undefined;
        return padView(view, p.low, p.high, bitsOf(fill.value, node.outputs[0]!.type.dtype, node.origin));
      }
      default: return undefined;
    }
  }

  /** Interior padding, or a fill value that is computed: the result is written in two steps, fill first. */
  #interiorPad(view: View, type: TensorType, value: Expression, low: readonly number[], interior: readonly number[], origin: Origin): ScheduledTensor {
    const target = this.#tensor(this.#name(origin), "temporary", type);
    this.#emitInto(value, type, wholeView(target), origin, "fill");
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
    this.#emitInto({ kind: "view", view: source }, { dtype: type.dtype, shape: source.shape }, place, origin, "pad");
    return target;
  }

  #concat(node: Node<"concat">): ScheduledTensor {
    const type = node.outputs[0]!.type;
    const { axis } = node.params;
    const target = this.#tensor(this.#name(node.origin), "temporary", type);
    let start = 0;
    for (const input of node.inputs) {
      const extent = input.type.shape[axis]!;
      const starts = type.shape.map((_, a) => (a === axis ? start : 0));
      const limits = type.shape.map((e, a) => (a === axis ? start + extent : e));
      const place = sliceView(wholeView(target), starts, limits, type.shape.map(() => 1));
      this.#emitInto(this.#take(input), input.type, place, node.origin, "concat");
      start += extent;
    }
    return target;
  }

  // ---- elementwise -----------------------------------------------------------------------------------------------

  #elementwise(node: Node): Expression {
    const operation = node.op as ElementwiseName;
    const dtype = node.outputs[0]!.type.dtype;
    const operands = node.inputs[node.op === "select" ? 1 : 0]!.type.dtype;
    const build = (): Expression => ({ kind: "apply", operation, operands, dtype, args: node.inputs.map((input) => this.#take(input)), origin: node.origin });
    let expression = build();
    // Too much for one chain: give places to the operands with the most stages until the rest fits.
    while (!fits(expression)) {
      const pending = node.inputs.filter((input) => isPending(this.#expressions.get(input)!));
      const costliest = pending.sort((a, b) => weight(this.#expressions.get(b)!) - weight(this.#expressions.get(a)!))[0];
      if (costliest === undefined) return internal("a single operation does not fit the vector unit");
      this.#materialise(costliest, node.origin);
      expression = build();
    }
    return expression;
  }

  // ---- engines ---------------------------------------------------------------------------------------------------

  #contraction(node: Node): Expression {
    const w = this.#placed(node.inputs[1]!);
    const x = node.op === "conv" ? this.#dilated(node as Node<"conv">, w) : this.#placed(node.inputs[0]!);
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
    const xView = labels.pad === undefined ? x : this.#padOrCopy(x, labels.pad, { dtype: "f32", shape: x.shape }, node.origin);
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
  #dilated(node: Node<"conv">, w: View): View {
    const x = this.#placed(node.inputs[0]!);
    const { lhsDilation, x: labels } = node.params;
    if (lhsDilation.every((d) => d === 1)) return x;
    const where = { node: node.origin.node, operator: node.origin.operator };
    if (w.tensor.type.dtype === "f32" && !isFinite32(w.tensor)) fail("E0303", "a convolution with a dilated input needs constant, finite weights on this device", where);
    const interior = [...labels].map((label) => (isDigit(label) ? lhsDilation[Number(label)]! - 1 : 0));
    const shape = x.shape.map((extent, axis) => (extent === 0 ? 0 : (extent - 1) * (interior[axis]! + 1) + 1));
    const type: TensorType = { dtype: "f32", shape };
    return wholeView(this.#interiorPad(x, type, { kind: "immediate", value: 0 }, shape.map(() => 0), interior, node.origin));
  }

  #reduction(node: Node): Expression {
    const source = node.inputs[0]!;
    const shape = source.type.shape;
    const form = reductionForm(node, shape);
    if (form.dims.slice(form.parallel).some((d) => d.extent === 0)) return this.#emptyFold(node);
    let expression = this.#take(source);
    if (containsEngine(expression) || expression.kind === "index" || (form.window && expression.kind === "apply")) {
      this.#materialise(source, node.origin);
      expression = this.#take(source);
    }
    if (form.window && expression.kind === "immediate") {
      const copy = this.#emit(expression, source.type, node.origin, "fill");
      expression = { kind: "view", view: wholeView(copy) };
    }
    const dims = form.dims;
    const axisMap = form.axes;
    const prepared = (view: View): View => (form.pad !== undefined ? this.#padOrCopy(view, form.pad, source.type, node.origin) : form.scan?.reverse === true ? reverseView(view, [form.scan.axis]) : view);
    const adapt = (view: View): View => mapAxes(prepared(view), dims, axisMap);
    const chain = this.#chain(expression, source.type.dtype, adapt, (axis) => axisMap[axis]![0]!.dim);
    const engine: Engine = { kind: "reduction", reduction: form.reduction, order: form.order, chain, dtype: node.outputs[0]!.type.dtype };
    const pending: Expression = { kind: "engine", pending: { origin: node.origin, dims, parallel: form.parallel, engine, origins: originsOf(expression) } };
    if (form.scan === undefined) return pending;
    // A running sum keeps its axis: the result is written at once, through the axis order of the nest.
    const target = this.#tensor(this.#name(node.origin), "temporary", node.outputs[0]!.type);
    const output = accessOf(mapAxes(form.scan.reverse ? reverseView(wholeView(target), [form.scan.axis]) : wholeView(target), dims, axisMap));
    this.#push({ origins: [node.origin, ...originsOf(expression)], dims, parallel: form.parallel, engine, epilogue: { streams: [], stages: [], dtype: engine.dtype }, output }, node.origin);
    return { kind: "view", view: wholeView(target) };
  }

  /** A fold of nothing is its start value, everywhere. */
  #emptyFold(node: Node): Expression {
    const type = node.outputs[0]!.type;
    if (product(type.shape) === 0) return { kind: "immediate", value: type.dtype === "i64" ? 0n : 0 };
    const operands = node.inputs.map(({ type: t }) => ({ ...t, data: allocate(t.dtype, product(t.shape)) }));
    return { kind: "immediate", value: evaluatePrimitive(node.op, operands, node.params, "device")[0]!.data[0]! };
  }

  #padOrCopy(view: View, pad: { low: readonly number[]; high: readonly number[]; fill: number }, type: TensorType, origin: Origin): View {
    const direct = padView(view, pad.low, pad.high, pad.fill);
    if (direct !== undefined) return direct;
    const copy = this.#emit({ kind: "view", view }, type, origin, "copy");
    return padView(wholeView(copy), pad.low, pad.high, pad.fill) ?? internal("padding a whole tensor is affine");
  }

  #gather(node: Node): Expression {
    const x = this.#placed(node.inputs[0]!);
    const index = this.#placed(node.inputs[1]!);
    const indexShape = node.inputs[1]!.type.shape;
    const rest = x.shape.slice(1);
    const flatIndex = reshapeView(index, [product(indexShape)]) ?? wholeView(this.#emit({ kind: "view", view: index }, node.inputs[1]!.type, node.origin, "copy"), [product(indexShape)]);
    const dims = [{ name: "row", extent: product(indexShape) }, ...rest.map((extent, i) => ({ name: `s${i}`, extent }))];
    const rows = isAffineRows(x) ? x : wholeView(this.#emit({ kind: "view", view: x }, node.inputs[0]!.type, node.origin, "copy"));
    const engine: Engine = { kind: "gather", rows: accessOf({ ...rows, shape: dims.map((d) => d.extent) }), index: accessOf(mapAxes(flatIndex, dims, [[{ dim: 0, factor: 1 }]])), rowCount: x.shape[0]! };
    const type = { dtype: node.outputs[0]!.type.dtype, shape: dims.map((d) => d.extent) };
    const target = this.#emit({ kind: "engine", pending: { origin: node.origin, dims, parallel: dims.length, engine, origins: [] } }, type, node.origin, "gather");
    return { kind: "view", view: wholeView(target, node.outputs[0]!.type.shape) };
  }

  #scatter(node: Node<"scatter">): Expression {
    const type = node.outputs[0]!.type;
    const target = this.#tensor(this.#name(node.origin), "temporary", type);
    this.#emitInto({ kind: "view", view: this.#placed(node.inputs[0]!) }, type, wholeView(target), node.origin, "copy");
    const indexType = node.inputs[1]!.type;
    const count = product(indexType.shape);
    const index = reshapeView(this.#placed(node.inputs[1]!), [count]) ?? wholeView(this.#emit({ kind: "view", view: this.#placed(node.inputs[1]!) }, indexType, node.origin, "copy"), [count]);
    const shape = [count, ...type.shape.slice(1)];
    const updates = reshapeView(this.#placed(node.inputs[2]!), shape) ?? wholeView(this.#emit({ kind: "view", view: this.#placed(node.inputs[2]!) }, node.inputs[2]!.type, node.origin, "copy"), shape);
    const dims = shape.map((extent, i) => ({ name: i === 0 ? "row" : `s${i - 1}`, extent }));
    const engine: Engine = { kind: "scatter", updates: accessOf(updates), index: accessOf(mapAxes(index, dims, [[{ dim: 0, factor: 1 }]])), rowCount: type.shape[0]!, ...(node.params.kind === "set" ? {} : { combine: node.params.kind }) };
    this.#push({ origins: [node.origin], dims, parallel: dims.length, engine, epilogue: { streams: [], stages: [], dtype: type.dtype }, output: accessOf({ ...wholeView(target), shape }) }, node.origin);
    return { kind: "view", view: wholeView(target) };
  }

  // ---- places ----------------------------------------------------------------------------------------------------

  /** The expression of an operand: pending work is taken over by its only user, everything else is a view or a constant. */
  #take(value: Value): Expression {
    return this.#expressions.get(value) ?? internal(`value %${value.id} has no expression`);
  }

  /** A view of the value, which is given a place if it has none. */
  #placed(value: Value): View {
    if (this.#take(value).kind !== "view") this.#materialise(value, { node: "", operator: "" });
    return this.#viewOf(value);
  }

  #viewOf(value: Value): View {
    const expression = this.#take(value);
    return expression.kind === "view" ? expression.view : internal(`value %${value.id} has no place`);
  }

  #materialise(value: Value, origin: Origin): void {
    const expression = this.#take(value);
    if (expression.kind === "view") return;
    const t = this.#emit(expression, value.type, origin, value.name ?? "value");
    this.#expressions.set(value, { kind: "view", view: wholeView(t) });
  }

  #emit(expression: Expression, type: TensorType, origin: Origin, purpose: string): ScheduledTensor {
    const t = this.#tensor(this.#name(originsOf(expression)[0] ?? origin), "temporary", type);
    this.#emitInto(expression, type, wholeView(t), origin, purpose);
    return t;
  }

  /** One kernel that evaluates `expression` over `type.shape` and writes it to `place`. */
  #emitInto(expression: Expression, type: TensorType, place: View, origin: Origin, purpose: string): void {
    if (product(type.shape) === 0) return;
    const engine = findEngine(expression);
    const dims = engine?.dims ?? type.shape.map((extent, axis) => ({ name: `d${axis}`, extent }));
    const epilogue = this.#chain(expression, type.dtype, (view) => view, (axis) => axis);
    const origins = uniqueOrigins([...(engine === undefined ? [] : [engine.origin, ...engine.origins]), ...originsOf(expression)]);
    // Movement alone has no work of its own: the copy belongs to whoever asked for it.
    const whose = origins.length > 0 ? origins : [origin.node === "" ? { node: purpose, operator: "" } : origin];
    this.#push({ origins: whose, dims, parallel: engine?.parallel ?? dims.length, engine: engine?.engine ?? { kind: "none" }, epilogue, output: accessOf(place) }, whose[0]!);
  }

  #push(kernel: Omit<Kernel, "name">, origin: Origin): void {
    this.#kernels.push({ name: `${this.#kernels.length}.${origin.node === "" ? "copy" : origin.node}`, ...kernel });
  }

  #name(origin: Origin): string {
    const name = origin.node === "" ? "temporary" : origin.node;
    const n = this.#names.get(name) ?? 0;
    this.#names.set(name, n + 1);
    return n === 0 ? name : `${name}.${n}`;
  }

  #chain(expression: Expression, dtype: Dtype, adapt: (view: View) => View, dimOfAxis: (axis: number) => number): Chain {
    const streams: Access[] = [];
    const stages: Stage[] = [];
    const visit = (e: Expression): Source => {
      switch (e.kind) {
        case "immediate": return { kind: "immediate", value: e.value };
        case "index": return { kind: "index", dim: dimOfAxis(e.axis) };
        case "engine": return { kind: "engine" };
        case "view": {
          const access = accessOf(adapt(e.view));
          const known = streams.findIndex((s) => sameAccess(s, access));
          if (known >= 0) return { kind: "stream", index: known };
          streams.push(access);
          return { kind: "stream", index: streams.length - 1 };
        }
        case "apply": {
          const sources = separateImmediates(e, e.args.map(visit), stages);
          stages.push({ operation: e.operation, sources, operands: e.operands, dtype: e.dtype });
          return { kind: "stage", index: stages.length - 1 };
        }
      }
    };
    const last = visit(expression);
    if (last.kind === "immediate" || last.kind === "index") stages.push({ operation: "copy", sources: [last], operands: dtype, dtype });
    return { streams, stages, dtype };
  }

  #output(name: string, value: Value): ScheduledTensor {
    const expression = this.#take(value);
    if (expression.kind === "view" && isWhole(expression.view) && expression.view.tensor.kind === "temporary") {
      return this.#rename(expression.view.tensor, name, value.type);
    }
    const t = this.#tensor(name, "output", value.type);
    if (!(expression.kind === "view" && this.#storeTransposed(expression.view, t))) {
      this.#emitInto(expression, value.type, wholeView(t), { node: name, operator: "" }, name);
    }
    return t;
  }

  /** The tensor becomes the output itself. */
  #rename(old: ScheduledTensor, name: string, type: TensorType): ScheduledTensor {
    const renamed: ScheduledTensor = { ...old, name, kind: "output", type };
    this.#replaceTensor(old, renamed, (access) => ({ ...access, tensor: renamed }));
    return renamed;
  }

  /** Where an output is only a permutation of a temporary that nothing else reads, its kernels write it in that order at once. */
  #storeTransposed(view: View, output: ScheduledTensor): boolean {
    const from = view.tensor;
    const plain = (c: Coordinate) => !c.padded && c.offset === 0 && c.terms.length === 1 && c.terms[0]!.factor === 1;
    if (from.kind !== "temporary" || view.base !== 0 || !view.coordinates.every(plain)) return false;
    if (product(view.shape) !== product(from.type.shape) || this.#kernels.some((k) => k.engine.kind === "scatter")) return false;
    const reads = this.#kernels.some((kernel) => readsOf(kernel).some((access) => access.tensor === from));
    const pendingReads = [...this.#expressions.values()].some((e) => readsTensor(e, from) && !(e.kind === "view" && (e.view === view || isWhole(e.view))));
    const shared = this.#graph.outputs.filter((o) => { const e = this.#expressions.get(o.value); return e !== undefined && readsTensor(e, from); }).length > 1;
    if (reads || shared || pendingReads) return false;
    const target = wholeView(output, view.shape);
    // Element stride in `from` -> element stride in the output, per coordinate of the view.
    const strides = new Map(view.coordinates.map((c) => [c.stride, { size: c.size, stride: target.coordinates.find((t) => t.terms[0]!.dim === c.terms[0]!.dim)?.stride ?? 0 }]));
    const writers = this.#kernels.filter((kernel) => kernel.output.tensor === from);
    const remapped = writers.map((kernel) => remapOutput(kernel.output, strides, output));
    if (remapped.some((access) => access === undefined)) return false;
    writers.forEach((kernel, i) => { this.#kernels[this.#kernels.indexOf(kernel)] = { ...kernel, output: remapped[i]! }; });
    return true;
  }

  #replaceTensor(old: ScheduledTensor, renamed: ScheduledTensor, change: (access: Access) => Access): void {
    this.#tensors[this.#tensors.indexOf(old)] = renamed;
    const map = (access: Access) => (access.tensor === old ? change(access) : access);
    this.#kernels.forEach((kernel, i) => { this.#kernels[i] = mapAccesses(kernel, map); });
    for (const [value, e] of this.#expressions) this.#expressions.set(value, renameIn(e, old, renamed));
  }
}

// ---- helpers on expressions ----------------------------------------------------------------------------------------

function isPending(e: Expression): boolean {
  return e.kind === "apply" || e.kind === "engine";
}

function containsEngine(e: Expression): boolean {
  return findEngine(e) !== undefined;
}

function findEngine(e: Expression): PendingEngine | undefined {
  if (e.kind === "engine") return e.pending;
  if (e.kind !== "apply") return undefined;
  for (const arg of e.args) {
    const found = findEngine(arg);
    if (found !== undefined) return found;
  }
  return undefined;
}

function originsOf(e: Expression): readonly Origin[] {
  if (e.kind === "engine") return [e.pending.origin, ...e.pending.origins];
  if (e.kind !== "apply") return [];
  return uniqueOrigins([e.origin, ...e.args.flatMap(originsOf)]);
}

function uniqueOrigins(origins: readonly Origin[]): Origin[] {
  return origins.filter((o, i) => origins.findIndex((other) => other.node === o.node && other.operator === o.operator) === i);
}

function count(e: Expression): { stages: number; streams: number; engines: number } {
  if (e.kind === "view") return { stages: 0, streams: 1, engines: 0 };
  if (e.kind === "engine") return { stages: 0, streams: 1, engines: 1 };
  if (e.kind !== "apply") return { stages: 0, streams: 0, engines: 0 };
  const own = { stages: 1 + e.args.filter((arg, i) => needsStage(e, e.args, arg, i)).length, streams: 0, engines: 0 };
  return e.args.map(count).reduce((a, b) => ({ stages: a.stages + b.stages, streams: a.streams + b.streams, engines: a.engines + b.engines }), own);
}

/** A vop holds one immediate, of the type of its operands: further ones, and the condition of a select, take a stage of their own. */
function needsStage(e: { readonly operation: ElementwiseName }, args: readonly { readonly kind: string }[], arg: { readonly kind: string }, position: number): boolean {
  if (arg.kind !== "immediate") return false;
  const condition = e.operation === "select" && position === 0;
  const first = args.findIndex((other, i) => other.kind === "immediate" && !(e.operation === "select" && i === 0));
  return condition || position !== first;
}

function separateImmediates(e: { readonly operation: ElementwiseName; readonly operands: Dtype }, sources: readonly Source[], stages: Stage[]): Source[] {
  return sources.map((source, i) => {
    if (!needsStage(e, sources, source, i)) return source;
    const dtype = e.operation === "select" && i === 0 ? "bool" : e.operands;
    stages.push({ operation: "copy", sources: [source], operands: dtype, dtype });
    return { kind: "stage", index: stages.length - 1 };
  });
}

function fits(e: Expression): boolean {
  const c = count(e);
  return c.stages <= maximumStages && c.streams <= maximumStreams && c.engines <= 1;
}

function weight(e: Expression): number {
  const c = count(e);
  return c.stages + c.streams;
}

function readsTensor(e: Expression, t: ScheduledTensor): boolean {
  if (e.kind === "view") return e.view.tensor === t;
  if (e.kind === "apply") return e.args.some((arg) => readsTensor(arg, t));
  return e.kind === "engine" && engineReads(e.pending.engine).some((access) => access.tensor === t);
}

function renameIn(e: Expression, old: ScheduledTensor, renamed: ScheduledTensor): Expression {
  if (e.kind === "view") return e.view.tensor === old ? { kind: "view", view: { ...e.view, tensor: renamed } } : e;
  if (e.kind === "apply") return { ...e, args: e.args.map((arg) => renameIn(arg, old, renamed)) };
  return e;
}

// ---- helpers on accesses -------------------------------------------------------------------------------------------


function remapOutput(access: Access, strides: ReadonlyMap<number, { size: number; stride: number }>, output: ScheduledTensor): Access | undefined {
  const coordinates: Coordinate[] = [];
  let base = 0;
  let rest = access.base;
  for (const [stride, to] of [...strides].sort((a, b) => b[0] - a[0])) {
    base += Math.floor(rest / stride) * to.stride;
    rest %= stride;
  }
  if (rest !== 0) return undefined;
  for (const c of access.coordinates) {
    const to = strides.get(c.stride);
    if (to === undefined || c.padded || c.terms.length !== 1 || c.size > to.size) return undefined;
    coordinates.push({ ...c, stride: to.stride });
  }
  return { ...access, tensor: output, base, coordinates };
}

function accessOf(view: View): Access {
  return { tensor: view.tensor, base: view.base, coordinates: view.coordinates.map(divideOut), fill: view.fill };
}

/** c = g c' with all factors multiples of g: count in units of g, so that a strided access moves no bytes in between. */
function divideOut(c: Coordinate): Coordinate {
  const g = c.terms.reduce((a, t) => gcd(a, Math.abs(t.factor)), 0);
  if (g <= 1 || c.padded) return c;
  // The constant offset stays in units of elements: only whole multiples can be moved into c'.
  if (c.offset % g !== 0) return c;
  return { ...c, terms: c.terms.map((t) => ({ ...t, factor: t.factor / g })), offset: c.offset / g, size: Math.ceil(c.size / g), stride: c.stride * g };
}

function mapAxes(view: View, dims: readonly Dimension[], map: readonly (readonly { dim: number; factor: number }[])[]): View {
  const coordinates = view.coordinates.map((c) => ({
    ...c,
    terms: c.terms.flatMap((t) => map[t.dim]!.map((m) => ({ dim: m.dim, factor: m.factor * t.factor }))).filter((t) => dims[t.dim]!.extent > 1),
  }));
  let base = view.base;
  const kept = coordinates.filter((c) => {
    if (c.terms.length > 0 || c.padded) return true;
    base += c.offset * c.stride;
    return false;
  });
  return { ...view, base, coordinates: kept, shape: dims.map((d) => d.extent) };
}

function sameAccess(a: Access, b: Access): boolean {
  return a.tensor === b.tensor && a.base === b.base && a.fill === b.fill && JSON.stringify(a.coordinates) === JSON.stringify(b.coordinates);
}

function isAffineRows(view: View): boolean {
  return view.coordinates.every((c) => !c.padded && c.offset === 0 && c.terms.length === 1 && c.terms[0]!.factor === 1) && (view.shape[0] === 1 || view.coordinates[0]?.terms[0]?.dim === 0);
}

// ---- loop nests of the engines -------------------------------------------------------------------------------------

const isDigit = (label: string): boolean => label >= "0" && label <= "9";

/** Labels as people name them: output pixel (oh, ow), kernel position (kh, kw), input and output channel. */
function dimensionName(label: string, contracted: boolean, spatial: number): string {
  if (isDigit(label)) return `${contracted ? "k" : "o"}${"dhw"[3 - spatial + Number(label)] ?? label}`;
  if (spatial > 0 && (label === "i" || label === "o")) return `${label}c`;
  return label;
}

interface ContractionLabels {
  readonly extent: (label: string, contracted: boolean) => number;
  /** How an input coordinate of a spatial axis moves with the output and the kernel index. */
  readonly window: (label: string) => readonly { contracted: boolean; factor: number }[];
  readonly pad?: { readonly low: readonly number[]; readonly high: readonly number[]; readonly fill: number };
}

function contractionLabels(node: Node, xShape: readonly number[], wShape: readonly number[]): ContractionLabels {
  const p = node.params as Params<"dot">;
  const outShape = node.outputs[0]!.type.shape;
  const at = (labels: string, shape: readonly number[], label: string) => shape[labels.indexOf(label)]!;
  const extent = (label: string, contracted: boolean) => (contracted ? at(p.w, wShape, label) : at(p.out, outShape, label));
  if (node.op === "dot") return { extent, window: () => internal("dot has no windows") };
  const c = node.params as Params<"conv">;
  const low = [...p.x].map((label) => (isDigit(label) ? c.padding[Number(label)]![0] : 0));
  const high = [...p.x].map((label, axis) => (isDigit(label) ? neededHigh(c, Number(label), xShape[axis]!, at(p.out, outShape, label), at(p.w, wShape, label)) : 0));
  return {
    extent,
    window: (label) => [{ contracted: false, factor: c.strides[Number(label)]! }, { contracted: true, factor: c.rhsDilation[Number(label)]! }],
    pad: { low, high, fill: 0 },
  };
}

/** High padding that the last window needs; may be negative, where the stride leaves elements unused. */
function neededHigh(c: Params<"conv">, axis: number, extent: number, out: number, kernel: number): number {
  const last = (out - 1) * c.strides[axis]! + (kernel - 1) * c.rhsDilation[axis]!;
  return last + 1 - extent - c.padding[axis]![0];
}

interface ReductionForm {
  readonly reduction: Reduction;
  readonly order: "sequential" | "blocked";
  readonly dims: readonly Dimension[];
  readonly parallel: number;
  /** For each axis of the operand, the dimensions that move it. */
  readonly axes: readonly (readonly { dim: number; factor: number }[])[];
  readonly pad?: { readonly low: readonly number[]; readonly high: readonly number[]; readonly fill: number };
  readonly window: boolean;
  readonly scan?: { readonly axis: number; readonly reverse: boolean };
}

function reductionForm(node: Node, shape: readonly number[]): ReductionForm {
  const named = (axes: readonly number[], prefix: string) => axes.map((axis) => ({ name: `${prefix}${axis}`, extent: shape[axis]! }));
  const all = shape.map((_, axis) => axis);
  const keepThen = (reduced: readonly number[]) => {
    const kept = all.filter((axis) => !reduced.includes(axis));
    const axes = all.map((axis) => [{ dim: reduced.includes(axis) ? kept.length + reduced.indexOf(axis) : kept.indexOf(axis), factor: 1 }]);
    return { dims: [...named(kept, "d"), ...named(reduced, "r")], parallel: kept.length, axes, window: false };
  };
  switch (node.op) {
    case "reduce": {
      const p = node.params as Params<"reduce">;
      return { reduction: p.kind, order: p.order, ...keepThen(p.axes) };
    }
    case "argreduce": {
      const p = node.params as Params<"argreduce">;
      return { reduction: `arg${p.kind}${p.last ? "last" : ""}`, order: "sequential", ...keepThen([p.axis]) };
    }
    case "cumsum": {
      const p = node.params as Params<"cumsum">;
      const form = keepThen([p.axis]);
      return { reduction: p.exclusive ? "exclusivescan" : "scan", order: "sequential", ...form, scan: { axis: p.axis, reverse: p.reverse } };
    }
    case "window_reduce": {
      const p = node.params as Params<"window_reduce">;
      const out = node.outputs[0]!.type.shape;
      const windowed = all.filter((axis) => p.window[axis]! > 1);
      const dims = [...all.map((axis) => ({ name: `d${axis}`, extent: out[axis]! })), ...windowed.map((axis) => ({ name: `w${axis}`, extent: p.window[axis]! }))];
      const axes = all.map((axis) => [{ dim: axis, factor: p.strides[axis]! }, ...(windowed.includes(axis) ? [{ dim: shape.length + windowed.indexOf(axis), factor: p.dilation[axis]! }] : [])]);
      const high = all.map((axis) => (out[axis]! - 1) * p.strides[axis]! + (p.window[axis]! - 1) * p.dilation[axis]! + 1 - shape[axis]! - p.padding[axis]![0]);
      const fill = p.kind === "max" ? lowestBits(node) : 0;
      return { reduction: p.kind, order: "sequential", dims, parallel: shape.length, axes, pad: { low: p.padding.map((x) => x[0]), high, fill }, window: true };
    }
    default: return internal(`${node.op} is not a reduction`);
  }
}

/** Padding never wins a maximum: the lowest value of the element type. */
function lowestBits(node: Node): number {
  const dtype = node.inputs[0]!.type.dtype;
  return bitsOf(dtype === "f32" || dtype === "f64" ? -Infinity : dtype === "i8" ? -128 : dtype === "i32" ? -2147483648 : 0, dtype, node.origin);
}

// ---- numbers -------------------------------------------------------------------------------------------------------

/** The low 32 bits of a value in its element type, as `ld` takes them. */
export function bitsOf(value: number | bigint, dtype: Dtype, origin: Origin): number {
  const array = allocate(dtype, 1);
  (array as { [index: number]: number | bigint })[0] = dtype === "i64" ? BigInt(value) : Number(value);
  const bytes = new Uint8Array(8);
  bytes.set(new Uint8Array(array.buffer));
  const view = new DataView(bytes.buffer);
  if (bytesOf(dtype) === 8 && view.getInt32(4, true) !== (dtype === "i64" ? view.getInt32(0, true) >> 31 : 0)) {
    return fail("E0303", `the fill value ${value} of type ${dtype} does not fit a load instruction`, { node: origin.node, operator: origin.operator });
  }
  return view.getUint32(0, true);
}

function isFinite32(t: ScheduledTensor): boolean {
  if (t.data === undefined) return false;
  const aligned = t.data.byteOffset % 4 === 0 ? t.data : t.data.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4).every(Number.isFinite);
}

function isSplat(t: Tensor): boolean {
  const bytes = new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
  const width = bytesOf(t.dtype);
  for (let i = width; i < bytes.length; i++) if (bytes[i] !== bytes[i - width]) return false;
  return true;
}

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
