/**
 * @file Kernels on tensors in the data cache without copies: the units address the tensor itself. Not where an access is padded, where it is a
 * table of rows or their numbers, or where the vector unit behind the array would walk across the lanes: there a copy, which transposes at no cost, is better.
 */
import { limits } from "@systole/isa";
import { isPlain, isScan, strideAlong, type Access, type Chain, type Engine, type Kernel } from "./kernel.ts";

/** The kernel with every access direct that can be; undefined where none can. */
export function directForm(kernel: Kernel): Kernel | undefined {
  const { engine, results } = kernel;
  // Loops over single points become dimensions; rows, contracted and columns take one each at least.
  if (engine.kind === "scatter" || kernel.dims.length + 2 > limits.dimensions) return undefined;
  let found = false;
  const mark = (access: Access): Access => {
    if (access.tensor.memory !== "cache" || access.coordinates.some((c) => c.padded)) return access;
    found = true;
    return { ...access, direct: true };
  };
  const streams = (chain: Chain, mayMark: (access: Access) => boolean): Chain => ({ ...chain, streams: chain.streams.map((access) => (mayMark(access) ? mark(access) : access)) });
  const alongLanes = (access: Access) => engine.kind !== "contraction" || kernel.parallel === 0 || [0, 1].includes(strideAlong(access, kernel.parallel - 1));
  const marked: Engine = engine.kind === "contraction" ? { ...engine, products: engine.products.map(({ x, w }) => ({ x: mark(x), w: mark(w) })) }
    : engine.kind === "reduction" ? { ...engine, folds: engine.folds.map((fold) => ({ ...fold, chain: streams(fold.chain, () => true) })) } : engine;
  const writes = mayWriteDirectly(kernel);
  const made = results.map(({ chain, output }) => ({ chain: streams(chain, alongLanes), ...(output === undefined ? {} : { output: writes && alongLanes(output) ? mark(output) : output }) }));
  const result = { ...kernel, engine: marked, results: made };
  return found ? result : undefined;
}

/** A fold that is the result itself would write while it still reads. */
function mayWriteDirectly(kernel: Kernel): boolean {
  return kernel.engine.kind !== "reduction" || (!isScan(kernel.engine) && !isPlain(kernel));
}
