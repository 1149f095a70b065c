/**
 * @file Constants and inputs that come into the data cache ahead of the kernels that read them. Each kernel would wait a latency of external memory for its own: it is
 * dispatched when the one before has done most of its work. A fetch stands some kernels earlier and keeps only the load unit busy.
 */
import { mapAccesses } from "./collapse.ts";
import { copyKernel } from "./copyKernel.ts";
import { readsOf, type Kernel, type ScheduledTensor } from "./kernel.ts";

/** Kernels between a fetch and the first reader: about as far as the queues let the controller run ahead. */
const ahead = 4;

export interface WithFetches {
  readonly tensors: readonly ScheduledTensor[];
  readonly kernels: readonly Kernel[];
  /** What is read, and what it is a copy of. */
  readonly copies: ReadonlyMap<ScheduledTensor, ScheduledTensor>;
}

/** `isWanted` chooses among constants and inputs. */
export function withFetches(tensors: readonly ScheduledTensor[], kernels: readonly Kernel[], isWanted: (tensor: ScheduledTensor) => boolean): WithFetches {
  const copies = new Map<ScheduledTensor, ScheduledTensor>();
  const before = new Map<number, Kernel[]>();
  // Nothing comes before the first kernel.
  const atOnce = new Set(kernels.slice(0, 1).flatMap((kernel) => readsOf(kernel).map(({ tensor }) => tensor)));
  kernels.forEach((kernel, position) => {
    for (const { tensor } of readsOf(kernel)) {
      if ((tensor.kind !== "constant" && tensor.kind !== "input") || copies.has(tensor) || atOnce.has(tensor) || !isWanted(tensor)) continue;
      const { data: _, ...known } = tensor;
      const copy: ScheduledTensor = { ...known, id: tensors.length + copies.size, kind: "temporary" };
      copies.set(tensor, copy);
      const place = Math.max(0, position - ahead);
      before.set(place, [...(before.get(place) ?? []), copyKernel(`fetch.${tensor.name}`, tensor, copy, kernel.origins)]);
    }
  });
  const fetched = kernels.flatMap((kernel, position) => [...(before.get(position) ?? []), mapAccesses(kernel, (access) => ({ ...access, tensor: copies.get(access.tensor) ?? access.tensor }))]);
  return { tensors: [...tensors, ...copies.values()], kernels: fetched, copies: new Map([...copies].map(([tensor, copy]) => [copy, tensor])) };
}
