/**
 * @file Views: how the axes of a value map to a tensor in external memory. Movement primitives act on views without touching data;
 * where an access would no longer be affine the function returns undefined and the caller materialises the value.
 */
import { elementCount, rowMajorStrides } from "@systole/base";
import type { Coordinate, ScheduledTensor } from "./kernel.ts";

export interface View {
  readonly tensor: ScheduledTensor;
  readonly base: number;
  readonly shape: readonly number[];
  /** Terms refer to axes of `shape`. */
  readonly coordinates: readonly Coordinate[];
  readonly fill: number;
}

/** The whole tensor, row-major, seen with `shape`. */
export function wholeView(tensor: ScheduledTensor, shape: readonly number[] = tensor.type.shape): View {
  const strides = rowMajorStrides(shape);
  const coordinates = shape.flatMap((extent, axis) =>
    extent === 1 ? [] : [{ terms: [{ dim: axis, factor: 1 }], offset: 0, size: extent, stride: strides[axis]!, padded: false }]);
  return { tensor, base: 0, shape, coordinates, fill: 0 };
}

export function isWhole(view: View): boolean {
  const whole = wholeView(view.tensor, view.shape);
  return view.base === 0 && elementCount(view.shape) === elementCount(view.tensor.type.shape)
    && view.coordinates.length === whole.coordinates.length
    && view.coordinates.every((c, i) => {
      const w = whole.coordinates[i]!;
      return !c.padded && c.offset === 0 && c.stride === w.stride && c.size === w.size && c.terms.length === 1 && c.terms[0]!.dim === w.terms[0]!.dim && c.terms[0]!.factor === 1;
    });
}

/** Replaces axes: `map[axis]` lists where an axis of the old shape goes in the new one, as factor * new axis (+ offset). */
function substitute(view: View, shape: readonly number[], map: readonly (readonly { dim: number; factor: number }[])[], offsets?: readonly number[]): View {
  const coordinates = view.coordinates.map((c) => ({
    ...c,
    offset: c.offset + c.terms.reduce((sum, t) => sum + t.factor * (offsets?.[t.dim] ?? 0), 0),
    terms: mergeTerms(c.terms.flatMap((t) => map[t.dim]!.map((m) => ({ dim: m.dim, factor: m.factor * t.factor })))),
  }));
  return dropConstant({ ...view, shape, coordinates });
}

function mergeTerms(terms: readonly { dim: number; factor: number }[]): { dim: number; factor: number }[] {
  const result: { dim: number; factor: number }[] = [];
  for (const term of terms) {
    const at = result.findIndex((t) => t.dim === term.dim);
    if (at < 0) result.push({ ...term });
    else result[at] = { dim: term.dim, factor: result[at]!.factor + term.factor };
  }
  return result.filter((t) => t.factor !== 0);
}

/** Coordinates without terms and without padding are a constant offset of the base. */
function dropConstant(view: View): View {
  let base = view.base;
  const coordinates = view.coordinates.filter((c) => {
    if (c.terms.length > 0 || c.padded) return true;
    base += c.offset * c.stride;
    return false;
  });
  return { ...view, base, coordinates };
}

/** Terms on axes of extent 1 never move. */
function dropUnit(view: View): View {
  return dropConstant({ ...view, coordinates: view.coordinates.map((c) => ({ ...c, terms: c.terms.filter((t) => view.shape[t.dim] !== 1) })) });
}

export function transposeView(view: View, permutation: readonly number[]): View {
  const inverse = new Array<number>(permutation.length);
  permutation.forEach((from, to) => { inverse[from] = to; });
  return substitute(view, permutation.map((axis) => view.shape[axis]!), inverse.map((to) => [{ dim: to, factor: 1 }]));
}

export function broadcastView(view: View, shape: readonly number[], axes: readonly number[]): View {
  const unit = dropUnit(view);
  return substitute(unit, shape, axes.map((to) => [{ dim: to, factor: 1 }]));
}

export function sliceView(view: View, starts: readonly number[], limits: readonly number[], strides: readonly number[]): View {
  const shape = view.shape.map((_, axis) => Math.max(0, Math.ceil((limits[axis]! - starts[axis]!) / strides[axis]!)));
  return dropUnit(substitute(view, shape, view.shape.map((_, axis) => [{ dim: axis, factor: strides[axis]! }]), starts));
}

export function reverseView(view: View, axes: readonly number[]): View {
  const flipped = (axis: number) => axes.includes(axis);
  return substitute(view, view.shape, view.shape.map((_, axis) => [{ dim: axis, factor: flipped(axis) ? -1 : 1 }]), view.shape.map((extent, axis) => (flipped(axis) ? extent - 1 : 0)));
}

/** Pads with non-negative amounts; a coordinate that is moved by several axes or with a stride cannot carry a limit of its own. */
export function padView(view: View, low: readonly number[], high: readonly number[], fill: number): View | undefined {
  const cropped = sliceView(view, low.map((l) => Math.max(0, -l)), view.shape.map((extent, axis) => extent - Math.max(0, -high[axis]!)), low.map(() => 1));
  const positive = { low: low.map((l) => Math.max(0, l)), high: high.map((h) => Math.max(0, h)) };
  const padsAny = view.shape.some((_, axis) => positive.low[axis]! + positive.high[axis]! > 0);
  if (!padsAny) return cropped;
  if (cropped.coordinates.some((c) => c.padded) && cropped.fill !== fill) return undefined;
  let result: View = { ...cropped, fill };
  for (let axis = 0; axis < view.shape.length; axis++) {
    const l = positive.low[axis]!;
    const h = positive.high[axis]!;
    if (l + h === 0) continue;
    const padded = padAxis(result, axis, l, h);
    if (padded === undefined) return undefined;
    result = padded;
  }
  return result;
}

function padAxis(view: View, axis: number, low: number, high: number): View | undefined {
  const extent = view.shape[axis]!;
  const shape = view.shape.map((e, a) => (a === axis ? e + low + high : e));
  const touching = view.coordinates.filter((c) => c.terms.some((t) => t.dim === axis));
  if (touching.length === 0) {
    const coordinate: Coordinate = { terms: [{ dim: axis, factor: 1 }], offset: -low, size: extent, stride: 0, padded: true };
    return { ...view, shape, coordinates: [...view.coordinates, coordinate] };
  }
  if (touching.length > 1) return undefined;
  const c = touching[0]!;
  if (c.terms.length !== 1 || c.terms[0]!.factor !== 1) return undefined;
  // Padding what was padded and then cut: the cut-off elements must not come back.
  if (c.padded && ((low > 0 && c.offset > 0) || (high > 0 && c.offset + extent < c.size))) return undefined;
  const moved: Coordinate = c.padded ? { ...c, offset: c.offset - low } : { ...c, offset: -low, size: extent, padded: true };
  const base = c.padded ? view.base : view.base + c.offset * c.stride;
  return { ...view, base, shape, coordinates: view.coordinates.map((other) => (other === c ? moved : other)) };
}

/** Splits and merges axes where the access stays affine. */
export function reshapeView(view: View, shape: readonly number[]): View | undefined {
  if (isWhole(view)) return wholeView(view.tensor, shape);
  const old = dropUnit(view);
  const map: { dim: number; factor: number }[][] = old.shape.map(() => []);
  let current = old;
  let from = 0;
  let to = 0;
  while (from < old.shape.length || to < shape.length) {
    // One group: the shortest runs of old and new axes with the same product.
    let oldProduct = 1;
    let newProduct = 1;
    const fromStart = from;
    const toStart = to;
    if (from < old.shape.length) oldProduct *= old.shape[from++]!;
    if (to < shape.length) newProduct *= shape[to++]!;
    while (oldProduct !== newProduct) {
      if (oldProduct < newProduct) {
        if (from >= old.shape.length) return undefined;
        oldProduct *= old.shape[from++]!;
      } else {
        if (to >= shape.length) return undefined;
        newProduct *= shape[to++]!;
      }
    }
    const axes = range(fromStart, from).filter((a) => old.shape[a]! > 1);
    const targets = range(toStart, to);
    const keep = axes[axes.length - 1];
    // Merge all old axes of the group into the last one.
    let innerExtent = keep === undefined ? 1 : old.shape[keep]!;
    for (let i = axes.length - 2; i >= 0; i--) {
      const merged = mergeAxes(current, axes[i]!, keep!, innerExtent);
      if (merged === undefined) return undefined;
      current = merged;
      innerExtent *= old.shape[axes[i]!]!;
    }
    if (keep === undefined) continue;
    let factor = 1;
    for (let i = targets.length - 1; i >= 0; i--) {
      const target = targets[i]!;
      if (shape[target]! > 1) map[keep]!.push({ dim: target, factor });
      factor *= shape[target]!;
    }
  }
  return substitute(current, shape, map);
}

/**
 * Folds axis `outer` into axis `inner` (both of the old numbering): where a coordinate moves by both, the factors must fit; where each has a
 * coordinate of its own, the coordinates must be neighbours in memory.
 */
export function mergeAxes<V extends { readonly coordinates: readonly Coordinate[] }>(view: V, outer: number, inner: number, innerExtent: number): V | undefined {
  const coordinates: Coordinate[] = [];
  const withOuter = view.coordinates.filter((c) => c.terms.some((t) => t.dim === outer));
  const withInner = view.coordinates.filter((c) => c.terms.some((t) => t.dim === inner));
  const both = withOuter.filter((c) => withInner.includes(c));
  if (both.length === withOuter.length && both.length === withInner.length) {
    for (const c of view.coordinates) {
      if (!both.includes(c)) { coordinates.push(c); continue; }
      const fo = c.terms.find((t) => t.dim === outer)!.factor;
      const fi = c.terms.find((t) => t.dim === inner)!.factor;
      if (fo !== fi * innerExtent) return undefined;
      coordinates.push({ ...c, terms: c.terms.filter((t) => t.dim !== outer) });
    }
    return { ...view, coordinates };
  }
  if (both.length > 0 || withOuter.length !== 1 || withInner.length !== 1) return undefined;
  const co = withOuter[0]!;
  const ci = withInner[0]!;
  const simple = (c: Coordinate) => c.terms.length === 1 && c.terms[0]!.factor === 1 && !c.padded;
  if (!simple(co) || !simple(ci) || ci.offset !== 0 || ci.size !== innerExtent || co.stride !== ci.stride * ci.size) return undefined;
  const merged: Coordinate = { terms: [{ dim: inner, factor: 1 }], offset: co.offset * ci.size, size: co.size * ci.size, stride: ci.stride, padded: false };
  return { ...view, coordinates: view.coordinates.flatMap((c) => (c === co ? [merged] : c === ci ? [] : [c])) };
}


function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Neighbours in memory that one axis of the view holds: what a transfer moves in one piece at least. */
export function runElements({ coordinates }: View): number {
  return coordinates.reduce((longest, { stride, size }) => (stride === 1 ? Math.max(longest, size) : longest), 1);
}
