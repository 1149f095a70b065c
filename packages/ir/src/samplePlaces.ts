/**
 * @file To which sample of a batch each element of a value belongs, told from the structure of the graph. The rules follow single axes through primitives; where they lose
 * sight of the samples they say so and name the node. They never name a wrong sample: an element of `each` depends on no sample but its own, apart from values of `all`
 * (statistics of a batch) on its way.
 */
import { elementCount, rowMajorStrides } from "@systole/base";
import type { Graph, Node, Origin, Value } from "./graph.ts";
import { elementwisePrimitiveNames, type ElementwisePrimitiveName } from "./primitives/elementwise.ts";
import type { PrimitiveName } from "./primitives/index.ts";
import { byRole } from "./primitives/scan.ts";
import type { WindowParams } from "./primitives/window.ts";

/**
 * Of a batch of N samples: `none` - the value depends on no sample; `all` - on all of them together; `each` - element i, row-major, belongs to sample floor(i / stride) mod N;
 * `mixed` - it cannot be told, from the node `by` on.
 */
export type SamplePlace =
  | { readonly kind: "none" }
  | { readonly kind: "all" }
  | { readonly kind: "each"; readonly stride: number }
  | { readonly kind: "mixed"; readonly by: Origin };

const none: SamplePlace = { kind: "none" };
const all: SamplePlace = { kind: "all" };

/** The places of the values of a graph, which may grow. Values that nothing was said of depend on no sample. */
export class SamplePlaces {
  /** Samples in the batch. */
  readonly count: number;
  readonly #places = new Map<Value, SamplePlace>();

  constructor(count: number) {
    this.count = count;
  }

  of(value: Value): SamplePlace {
    return this.#places.get(value) ?? none;
  }

  /** Axis `axis` of an input counts the samples. */
  input(value: Value, axis: number): void {
    this.#places.set(value, { kind: "each", stride: elementCount(value.type.shape.slice(axis + 1)) });
  }

  /** Nodes come in order. */
  node(node: Node): void {
    const places = placesOfNode(node, node.inputs.map((value) => this.of(value)), this.count);
    node.outputs.forEach((value, i) => this.#places.set(value, places[i]!));
  }

  set(value: Value, place: SamplePlace): void {
    this.#places.set(value, place);
  }
}

function placesOfNode<P extends PrimitiveName>(node: Node<P>, places: readonly SamplePlace[], count: number): readonly SamplePlace[] {
  const alone = places.every(({ kind }) => kind === "none");
  // Where there is one sample, what depends on samples is its own; no axis could be told from the others of extent 1.
  if (alone || count <= 1) return node.outputs.map((): SamplePlace => (alone ? none : { kind: "each", stride: 1 }));
  return rules[node.op](node, places, count);
}

/** Places of the outputs of a body. */
function placesOfBody(body: Graph, operands: readonly SamplePlace[], count: number): readonly SamplePlace[] {
  const places = new SamplePlaces(count);
  body.inputs.forEach(({ value }, i) => places.set(value, operands[i]!));
  for (const node of body.nodes) places.node(node);
  return body.outputs.map(({ value }) => places.of(value));
}

/** Of what is computed from several values: a value of no samples, or of all, does not decide. */
function joined(places: readonly SamplePlace[], by: Origin): SamplePlace {
  return places.reduce((a, b) => {
    if (rank[a.kind] !== rank[b.kind]) return rank[a.kind] > rank[b.kind] ? a : b;
    return samePlace(a, b) ? a : { kind: "mixed", by };
  }, none);
}

const rank: Readonly<Record<SamplePlace["kind"], number>> = { none: 0, all: 1, each: 2, mixed: 3 };

function samePlace(a: SamplePlace, b: SamplePlace): boolean {
  return a.kind === "each" ? b.kind === "each" && a.stride === b.stride : a.kind === b.kind;
}

type Rule<P extends PrimitiveName> = (node: Node<P>, places: readonly SamplePlace[], count: number) => readonly SamplePlace[];

/** What becomes of the indices along one axis of an operand: those along an axis of the result, all at once in every element, or something else. */
type AxisFate = number | "merged" | "mixed";

/** The same row-major order. */
const sameOrder: Rule<PrimitiveName> = (node, places) => {
  const place = joined(places, node.origin);
  return node.outputs.map(() => place);
};

/** `fates` gives one entry for each axis of each operand. The results have the same shape. */
function byAxes<P extends PrimitiveName>(fates: (node: Node<P>) => readonly (readonly AxisFate[])[]): Rule<P> {
  return (node, places, count) => {
    const fatesOf = fates(node);
    const strides = rowMajorStrides(node.outputs[0]!.type.shape);
    const moved = places.map((place, i): SamplePlace => {
      if (place.kind !== "each") return place;
      const held = axisHolding(node.inputs[i]!.type.shape, place.stride, count);
      const fate = held === undefined ? "mixed" : fatesOf[i]![held.axis]!;
      if (fate === "merged") return all;
      return fate === "mixed" ? { kind: "mixed", by: node.origin } : { kind: "each", stride: held!.stride * strides[fate]! };
    });
    const place = joined(moved, node.origin);
    return node.outputs.map(() => place);
  };
}

/** The axis whose index alone says the sample, floor(index / stride) mod `count`; undefined where several do together. */
function axisHolding(shape: readonly number[], stride: number, count: number): { readonly axis: number; readonly stride: number } | undefined {
  const strides = rowMajorStrides(shape);
  const axis = shape.findIndex((extent, a) => stride % strides[a]! === 0 && (strides[a]! * extent) % (stride * count) === 0 && strides[a]! * extent > 0);
  return axis < 0 ? undefined : { axis, stride: stride / strides[axis]! };
}

const axesOf = (value: Value): number[] => value.type.shape.map((_, axis) => axis);
const kept = (value: Value): AxisFate[] => axesOf(value);
/** All operands have the axes of the result, and the indices along those that `stays` refuses move about. */
const keptWhere = <P extends PrimitiveName>(stays: (node: Node<P>, axis: number) => boolean): Rule<P> => byAxes((node) => node.inputs.map((value) => axesOf(value).map((axis) => (stays(node, axis) ? axis : "mixed"))));
/** `axes` of the first operand disappear. Other operands have the shape of the result. */
const foldedOver = <P extends PrimitiveName>(axes: (node: Node<P>) => readonly number[]): Rule<P> => byAxes((node) => {
  const folded = axes(node);
  const left = axesOf(node.inputs[0]!).filter((axis) => !folded.includes(axis));
  return [axesOf(node.inputs[0]!).map((axis) => (folded.includes(axis) ? "merged" : left.indexOf(axis))), ...node.inputs.slice(1).map(kept)];
});

const hasNoWindow = ({ params: { window, strides, padding, dilation } }: { readonly params: WindowParams }, axis: number): boolean =>
  window[axis] === 1 && strides[axis] === 1 && dilation[axis] === 1 && padding[axis]!.every((amount) => amount === 0);

const byLabels = (labels: string, out: string): AxisFate[] => [...labels].map((label) => (out.includes(label) ? out.indexOf(label) : "merged"));

/** Carries as they are after any number of steps. */
function settled(first: readonly SamplePlace[], step: (carries: readonly SamplePlace[]) => readonly SamplePlace[], by: Origin): readonly SamplePlace[] {
  const next = step(first).map((place, i) => joined([first[i]!, place], by));
  return next.every((place, i) => samePlace(place, first[i]!)) ? first : settled(next, step, by);
}

const elementwise = Object.fromEntries(elementwisePrimitiveNames.map((name) => [name, sameOrder])) as Readonly<Record<ElementwisePrimitiveName, Rule<PrimitiveName>>>;

const table: { readonly [P in PrimitiveName]: Rule<P> } = {
  ...elementwise,
  convert: sameOrder,
  reshape: sameOrder,
  stop_gradient: sameOrder,
  constant: sameOrder,
  iota: sameOrder,
  dot: byAxes(({ inputs, params: { x, w, out } }) => [byLabels(x, out), byLabels(w, out), ...inputs.slice(2).map(kept)]),
  conv: byAxes(({ inputs, params: { x, w, out, strides, padding, lhsDilation, rhsDilation } }) => {
    const pointwise = (s: number): boolean => inputs[1]!.type.shape[w.indexOf(String(s))] === 1 && strides[s] === 1 && lhsDilation[s] === 1 && rhsDilation[s] === 1 && padding[s]!.every((amount) => amount === 0);
    const moved = strides.map((_, s) => s).filter((s) => !pointwise(s)).map(String);
    const spatial = /[0-9]/;
    return [
      byLabels(x, out).map((fate, axis) => (moved.includes(x[axis]!) ? "mixed" : fate)),
      byLabels(w, out).map((fate, axis) => (spatial.test(w[axis]!) ? "merged" : fate)), ...inputs.slice(2).map(kept),
    ];
  }),
  reduce: foldedOver(({ params: { axes } }) => axes),
  argreduce: foldedOver(({ params: { axis } }) => [axis]),
  window_reduce: keptWhere(hasNoWindow),
  window_argmax: keptWhere(hasNoWindow),
  cumsum: keptWhere(({ params }, axis) => axis !== params.axis),
  sort: keptWhere(({ params }, axis) => axis !== params.axis),
  concat: keptWhere(({ params }, axis) => axis !== params.axis),
  reverse: keptWhere(({ params: { axes } }, axis) => !axes.includes(axis)),
  slice: keptWhere(({ inputs, params: { starts, limits, strides } }, axis) => starts[axis] === 0 && limits[axis] === inputs[0]!.type.shape[axis] && strides[axis] === 1),
  pad: keptWhere(({ params: { low, high, interior } }, axis) => low[axis] === 0 && high[axis] === 0 && interior[axis] === 0),
  transpose: byAxes(({ params: { permutation } }) => [permutation.map((_, axis) => permutation.indexOf(axis))]),
  broadcast: byAxes(({ params: { axes } }) => [axes]),
  random_bits: byAxes(({ inputs: [seeds] }) => [kept(seeds!)]),
  // Rows are chosen by number: which ones cannot be told.
  gather: byAxes(({ inputs: [x, indices] }) => [axesOf(x!).map((axis) => (axis === 0 ? "mixed" : indices!.type.shape.length + axis - 1)), kept(indices!)]),
  scatter: byAxes(({ inputs: [x, indices, updates] }) => [kept(x!), axesOf(indices!).map(() => "mixed"), axesOf(updates!).map((axis) => (axis === 0 ? "mixed" : axis))]),
  scan({ params, inputs, origin }, places, count) {
    const given = byRole(places, params);
    const slices = byRole(inputs, params).sequences.map((value, i): SamplePlace => {
      const place = given.sequences[i]!;
      const cut = place.kind === "each" && elementCount(value.type.shape.slice(1)) % (place.stride * count) !== 0;
      return cut ? { kind: "mixed", by: origin } : place;
    });
    const step = (carries: readonly SamplePlace[]): readonly SamplePlace[] => placesOfBody(params.body, [...given.consts, ...carries, ...slices], count);
    const carries = settled(given.carries, (before) => step(before).slice(0, params.carries), origin);
    // One slice behind the other: the stride is that of a slice.
    return [...carries, ...step(carries).slice(params.carries)];
  },
  cond({ params: { onTrue, onFalse }, origin }, [condition, ...operands], count) {
    const other = placesOfBody(onFalse, operands, count);
    return placesOfBody(onTrue, operands, count).map((place, i) => joined([condition!, place, other[i]!], origin));
  },
  while({ params: { condition, body, consts }, origin }, places, count) {
    const fixed = places.slice(0, consts);
    const carries = settled(places.slice(consts), (before) => placesOfBody(body, [...fixed, ...before], count), origin);
    // How many steps there are says the condition.
    const [decision] = placesOfBody(condition, [...fixed, ...carries], count);
    return carries.map((place) => joined([place, decision!], origin));
  },
};

const rules = table as Readonly<Record<PrimitiveName, Rule<PrimitiveName>>>;
