/** @file Tensors and kernels as they are formed: what has a place, what is pending, how pending work becomes a kernel. */
import { internal, type Dtype, type Tensor, type TensorType } from "@systole/base";
import type { Origin, Value } from "@systole/ir";
import { mapAccesses } from "../collapse.ts";
import { sameAccess, type Access, type Chain, type Kernel, type ScheduledTensor, type Source, type Stage } from "../kernel.ts";
import { wholeView, type View } from "../view.ts";
import { accessOf } from "./access.ts";
import { findEngine, originsOf, renameIn, separateImmediates, uniqueOrigins, type Expression } from "./expression.ts";
import { product } from "./numbers.ts";

export class Places {
  readonly tensors: ScheduledTensor[] = [];
  readonly kernels: Kernel[] = [];
  readonly expressions = new Map<Value, Expression>();
  #asker: Origin = { node: "", operator: "" };
  readonly #names = new Map<string, number>();

  tensor(name: string, kind: ScheduledTensor["kind"], type: TensorType, data?: Uint8Array): ScheduledTensor {
    const t = { id: this.tensors.length, name, kind, type, ...(data === undefined ? {} : { data }) };
    this.tensors.push(t);
    return t;
  }

  constant(name: string, t: Tensor): ScheduledTensor {
    return this.tensor(name, "constant", { dtype: t.dtype, shape: t.shape }, new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength));
  }

  /** Values without work of their own, such as constants that are spread out, belong to the phase of the node that asks for them. */
  visit({ phase }: Origin): void {
    this.#asker = { node: "", operator: "", ...(phase === undefined ? {} : { phase }) };
  }

  /** The expression of an operand: pending work is taken over by its only user, everything else is a view or a constant. */
  take(value: Value): Expression {
    return this.expressions.get(value) ?? internal(`value %${value.id} has no expression`);
  }

  /** A view of the value, which is given a place if it has none. */
  placed(value: Value): View {
    if (this.take(value).kind !== "view") this.materialise(value, this.#asker);
    return this.viewOf(value);
  }

  viewOf(value: Value): View {
    const expression = this.take(value);
    return expression.kind === "view" ? expression.view : internal(`value %${value.id} has no place`);
  }

  materialise(value: Value, origin: Origin): void {
    const expression = this.take(value);
    if (expression.kind === "view") return;
    const t = this.emit(expression, value.type, origin, value.name ?? "value");
    this.expressions.set(value, { kind: "view", view: wholeView(t) });
  }

  emit(expression: Expression, type: TensorType, origin: Origin, purpose: string): ScheduledTensor {
    const t = this.tensor(this.name(originsOf(expression)[0] ?? origin), "temporary", type);
    this.emitInto(expression, type, wholeView(t), origin, purpose);
    return t;
  }

  /** One kernel that evaluates `expression` over `type.shape` and writes it to `place`. */
  emitInto(expression: Expression, type: TensorType, place: View, origin: Origin, purpose: string): void {
    if (product(type.shape) === 0) return;
    const engine = findEngine(expression);
    const dims = engine?.dims ?? type.shape.map((extent, axis) => ({ name: `d${axis}`, extent }));
    const chain = this.chain(expression, type.dtype, (view) => view, (axis) => axis);
    const origins = uniqueOrigins([...(engine === undefined ? [] : [engine.origin, ...engine.origins]), ...originsOf(expression)]);
    // Movement alone has no work of its own: the copy belongs to whoever asked for it.
    const whose = origins.length > 0 ? origins : [origin.node === "" ? { ...origin, node: purpose, operator: "" } : origin];
    this.push({ origins: whose, dims, parallel: engine?.parallel ?? dims.length, engine: engine?.engine ?? { kind: "none" }, results: [{ chain, output: accessOf(place) }] }, whose[0]!);
  }

  push(kernel: Omit<Kernel, "name">, origin: Origin): void {
    this.kernels.push({ name: `${this.kernels.length}.${origin.node === "" ? "copy" : origin.node}`, ...kernel });
  }

  name(origin: Origin): string {
    const name = origin.node === "" ? "temporary" : origin.node;
    const n = this.#names.get(name) ?? 0;
    this.#names.set(name, n + 1);
    return n === 0 ? name : `${name}.${n}`;
  }

  chain(expression: Expression, dtype: Dtype, adapt: (view: View) => View, dimOfAxis: (axis: number) => number): Chain {
    const streams: Access[] = [];
    const stages: Stage[] = [];
    const visit = (e: Expression): Source => {
      switch (e.kind) {
        case "immediate": return { kind: "immediate", value: e.value };
        case "index": return { kind: "index", dim: dimOfAxis(e.axis) };
        case "engine": return { kind: "engine", index: 0 };
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

  /** The tensor becomes the output itself. */
  rename(old: ScheduledTensor, name: string, type: TensorType): ScheduledTensor {
    const renamed: ScheduledTensor = { ...old, name, kind: "output", type };
    this.replaceTensor(old, renamed, (access) => ({ ...access, tensor: renamed }));
    return renamed;
  }

  replaceTensor(old: ScheduledTensor, renamed: ScheduledTensor, change: (access: Access) => Access): void {
    this.tensors[this.tensors.indexOf(old)] = renamed;
    const map = (access: Access) => (access.tensor === old ? change(access) : access);
    this.kernels.forEach((kernel, i) => { this.kernels[i] = mapAccesses(kernel, map); });
    for (const [value, e] of this.expressions) this.expressions.set(value, renameIn(e, old, renamed));
  }
}
