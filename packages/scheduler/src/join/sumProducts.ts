/**
 * @file Contractions that go on from another one's sums become one kernel with both products: between them the sums stay in the accumulators. Not where the two are quicker
 * on their own, such as small ones on the vector unit.
 */
import { uniqueOrigins } from "../form/expression.ts";
import { startOf } from "../inPlace.ts";
import { initialOf, isPlain, outputsOf, readsOf, strideAlong, type Access, type Kernel, type ScheduledTensor } from "../kernel.ts";
import { isQuicker, type Quickest } from "./quickest.ts";

export function sumProducts(kernels: readonly Kernel[], quickest: Quickest): readonly Kernel[] {
  const touching = new Map<ScheduledTensor, number>();
  for (const kernel of kernels) for (const { tensor } of [...readsOf(kernel), ...outputsOf(kernel)]) touching.set(tensor, (touching.get(tensor) ?? 0) + 1);
  const result = new Set<Kernel>();
  const makers = new Map<ScheduledTensor, Kernel>();
  for (const kernel of kernels) {
    const [initial] = initialOf(kernel.engine);
    const first = initial === undefined || initial.tensor.kind !== "temporary" || touching.get(initial.tensor) !== 2 ? undefined : makers.get(initial.tensor);
    const together = first === undefined ? undefined : withProducts(first, kernel, initial!);
    const chosen = together !== undefined && isQuicker(together, [first!, kernel], quickest) ? together : kernel;
    if (chosen === together) result.delete(first!);
    result.add(chosen);
    for (const { tensor } of outputsOf(chosen)) makers.set(tensor, chosen);
  }
  return [...result];
}

/** `kernel` behind the products of `first`; undefined where they do not run over the same points. */
function withProducts(first: Kernel, kernel: Kernel, initial: Access): Kernel | undefined {
  const { engine: a } = first;
  const { engine: b } = kernel;
  if (a.kind !== "contraction" || b.kind !== "contraction" || !isPlain(first)) return undefined;
  const samePhase = first.origins[0]?.phase === kernel.origins[0]?.phase;
  const sameDims = first.parallel === kernel.parallel && first.dims.length === kernel.dims.length && first.dims.every(({ extent }, dim) => extent === kernel.dims[dim]!.extent && a.classes[dim] === b.classes[dim]);
  if (!samePhase || !sameDims || !samePlaces(first.results[0]!.output!, initial, kernel.parallel)) return undefined;
  const { initial: _, ...others } = b;
  return { ...kernel, origins: uniqueOrigins([...first.origins, ...kernel.origins]), engine: { ...others, products: [...a.products, ...b.products], ...(a.initial === undefined ? {} : { initial: a.initial }) } };
}

function samePlaces(a: Access, b: Access, parallel: number): boolean {
  const padded = [a, b].some(({ coordinates }) => coordinates.some((c) => c.padded));
  return !padded && startOf(a) === startOf(b) && Array.from({ length: parallel }, (_, dim) => dim).every((dim) => strideAlong(a, dim) === strideAlong(b, dim));
}
