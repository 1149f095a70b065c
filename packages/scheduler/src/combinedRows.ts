/**
 * @file Outputs made of rows that are combined one after the other, as the gradient of a look-up: each row waits for the one before, with the latency of the memory that
 * the table lies in. With a table of its own such an output may come about in the data cache, to be copied in the end.
 */
import { mapAccesses } from "./collapse.ts";
import { copyKernel } from "./copyKernel.ts";
import { accessesOf, outputsOf, type Kernel, type ScheduledTensor } from "./kernel.ts";

export interface WithTables {
  readonly tensors: readonly ScheduledTensor[];
  readonly kernels: readonly Kernel[];
  /** The new temporaries, one for each such output. */
  readonly tables: readonly ScheduledTensor[];
}

export function withTables(tensors: readonly ScheduledTensor[], kernels: readonly Kernel[]): WithTables {
  const outputs = kernels.filter(({ engine }) => engine.kind === "scatter" && engine.combine !== undefined).flatMap((kernel) => outputsOf(kernel).map(({ tensor }) => tensor).filter(({ kind }) => kind === "output"));
  const tables = new Map([...new Set(outputs)].map((output, i) => [output, { ...output, id: tensors.length + i, name: `${output.name}.rows`, kind: "temporary" as const }]));
  // Behind the last kernel that touches the table it is copied.
  const copied = new Set<ScheduledTensor>();
  const split = kernels.toReversed().flatMap((kernel) => {
    const done = new Set(accessesOf(kernel).map(({ tensor }) => tensor).filter((tensor) => tables.has(tensor) && !copied.has(tensor)));
    for (const tensor of done) copied.add(tensor);
    const copies = [...done].map((tensor) => copyKernel(`${kernel.name}.copy`, tables.get(tensor)!, tensor, kernel.origins));
    return [...copies, mapAccesses(kernel, (access) => ({ ...access, tensor: tables.get(access.tensor) ?? access.tensor }))];
  });
  return { tensors: [...tensors, ...tables.values()], kernels: split.reverse(), tables: [...tables.values()] };
}
