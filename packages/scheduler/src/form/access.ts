/** @file Views as accesses of a kernel. */
import type { Access, Coordinate, Dimension, ScheduledTensor } from "../kernel.ts";
import type { View } from "../view.ts";


export function remapOutput(access: Access, strides: ReadonlyMap<number, { size: number; stride: number }>, output: ScheduledTensor): Access | undefined {
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

export function accessOf(view: View): Access {
  return { tensor: view.tensor, base: view.base, coordinates: view.coordinates.map(divideOut), fill: view.fill };
}

/** c = g c' with all factors multiples of g: count in units of g, so that a strided access moves no bytes in between. */
export function divideOut(c: Coordinate): Coordinate {
  const g = c.terms.reduce((a, t) => gcd(a, Math.abs(t.factor)), 0);
  if (g <= 1 || c.padded) return c;
  // The constant offset stays in units of elements: only whole multiples can be moved into c'.
  if (c.offset % g !== 0) return c;
  return { ...c, terms: c.terms.map((t) => ({ ...t, factor: t.factor / g })), offset: c.offset / g, size: Math.ceil(c.size / g), stride: c.stride * g };
}

export function mapAxes(view: View, dims: readonly Dimension[], map: readonly (readonly { dim: number; factor: number }[])[]): View {
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

export function isAffineRows(view: View): boolean {
  return view.coordinates.every((c) => !c.padded && c.offset === 0 && c.terms.length === 1 && c.terms[0]!.factor === 1) && (view.shape[0] === 1 || view.coordinates[0]?.terms[0]?.dim === 0);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
