/** @file Reductions over the same points in one kernel: each operand is loaded once for all of them. */
import { limits } from "@systole/isa";
import { uniqueOrigins } from "../form/expression.ts";
import { foldStreams, initialOf, resultStreams, sameAccess, type Engine, type Kernel, type Result, type Source } from "../kernel.ts";

/** Sums and extrema in one order, which neither go on from elsewhere nor keep the points they fold. */
export function mayFold({ engine }: Kernel): boolean {
  return engine.kind === "reduction" && initialOf(engine).length === 0 && engine.folds.every(({ reduction, order }) => joined.has(reduction) && order === engine.folds[0]!.order);
}

const joined: ReadonlySet<string> = new Set(["sum", "prod", "max", "min"]);

/** The host with the folds of `kernel` behind its own; undefined where they are not over the same points, or read too much at once. */
export function withFolds(host: Kernel, kernel: Kernel): Kernel | undefined {
  const [a, b] = [host.engine, kernel.engine];
  if (a.kind !== "reduction" || b.kind !== "reduction" || host.origins[0]?.phase !== kernel.origins[0]?.phase) return undefined;
  const sameDims = host.parallel === kernel.parallel && host.dims.length === kernel.dims.length && host.dims.every(({ extent }, dim) => extent === kernel.dims[dim]!.extent);
  if (!sameDims || a.folds[0]!.order !== b.folds[0]!.order) return undefined;
  const moved = (source: Source): Source => {
    if (source.kind === "engine") return { kind: "engine", index: a.folds.length + source.index };
    return source.kind === "result" ? { kind: "result", index: host.results.length + source.index } : source;
  };
  const results = kernel.results.map((result): Result => {
    const { chain } = result;
    // Without a stage a chain is the first fold's value.
    const own = chain.stages.length > 0 ? chain.stages : [{ operation: "copy" as const, sources: [{ kind: "engine" as const, index: 0 }], operands: chain.dtype, dtype: chain.dtype }];
    return { ...result, chain: { ...chain, stages: own.map((stage) => ({ ...stage, sources: stage.sources.map(moved) })) } };
  });
  const engine: Engine = { kind: "reduction", folds: [...a.folds, ...b.folds] };
  const together: Kernel = { ...host, origins: uniqueOrigins([...host.origins, ...kernel.origins]), engine, results: [...host.results, ...results] };
  return foldStreams(engine).length > limits.streams || resultStreams(together).length > limits.streams ? undefined : together;
}

/** Whether both read something in the same way. */
export function shareStreams({ engine: a }: Kernel, { engine: b }: Kernel): boolean {
  return a.kind === "reduction" && b.kind === "reduction" && foldStreams(a).some((access) => foldStreams(b).some((other) => sameAccess(access, other)));
}
