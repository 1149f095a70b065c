/** @file A kernel that copies a tensor. */
import { elementCount } from "@systole/base";
import { collapseKernel } from "./collapse.ts";
import { accessOf } from "./form/access.ts";
import type { Kernel, ScheduledTensor } from "./kernel.ts";
import { wholeView } from "./view.ts";

/** Element by element, between tensors of the same type; the work of `origins` where it is somebody's. */
export function copyKernel(name: string, from: ScheduledTensor, to: ScheduledTensor, origins: Kernel["origins"] = [{ node: name, operator: "" }]): Kernel {
  const count = elementCount(from.type.shape);
  const access = (tensor: ScheduledTensor) => accessOf(wholeView(tensor, [count]));
  return collapseKernel({
    name, origins, dims: [{ name: "i", extent: count }], parallel: 1, engine: { kind: "none" },
    results: [{ chain: { streams: [access(from)], stages: [], dtype: from.type.dtype }, output: access(to) }],
  });
}
