/** @file Merges neighbouring dimensions of a kernel that every access walks as one, and drops dimensions of extent 1. */
import { chainsOf, engineReads, initialOf, isScan, outputsOf, resultStreams, type Access, type Chain, type Coordinate, type Engine, type Kernel, type Stage } from "./kernel.ts";
import { mergeAxes } from "./view.ts";

export function collapseKernel(kernel: Kernel): Kernel {
  let current = dropUnitDims(kernel);
  for (let outer = current.dims.length - 2; outer >= 0; outer--) {
    const merged = mergeDims(current, outer);
    if (merged !== undefined) current = merged;
  }
  return current;
}

/** Those that walk through the dimensions one by one, unlike look-ups. */
function walksOf(kernel: Kernel): readonly Access[] {
  const { engine } = kernel;
  const own = engine.kind === "contraction" || engine.kind === "reduction" ? engineReads(engine) : [];
  return [...own, ...resultStreams(kernel), ...outputsOf(kernel)];
}

function indexed(kernel: Kernel, dim: number): boolean {
  return chainsOf(kernel).some((chain) => chain.stages.some((stage) => stage.sources.some((s) => s.kind === "index" && s.dim === dim)));
}

function mergeDims(kernel: Kernel, outer: number): Kernel | undefined {
  const inner = outer + 1;
  if (kernel.engine.kind === "gather" || kernel.engine.kind === "scatter") return undefined;
  if (outer < kernel.parallel !== inner < kernel.parallel) return undefined;
  if (kernel.engine.kind === "contraction" && kernel.engine.classes[outer] !== kernel.engine.classes[inner]) return undefined;
  if (isScan(kernel.engine) && inner >= kernel.parallel) return undefined;
  if (indexed(kernel, outer) || indexed(kernel, inner)) return undefined;
  const innerExtent = kernel.dims[inner]!.extent;
  const merge = (access: Access): Access | undefined => {
    const touches = access.coordinates.some((c) => c.terms.some((t) => t.dim === outer || t.dim === inner));
    return touches ? mergeAxes(access, outer, inner, innerExtent) : access;
  };
  if (walksOf(kernel).some((access) => merge(access) === undefined)) return undefined;
  const dims = kernel.dims.map((d, i) => (i === inner ? { name: `${kernel.dims[outer]!.name}.${d.name}`, extent: d.extent * kernel.dims[outer]!.extent } : d));
  return removeDim(mapAccesses({ ...kernel, dims }, (access) => merge(access)!), outer);
}

function dropUnitDims(kernel: Kernel): Kernel {
  let current = kernel;
  for (let dim = kernel.dims.length - 1; dim >= 0; dim--) {
    const needed = (current.engine.kind === "gather" || current.engine.kind === "scatter") && dim === 0;
    if (current.dims[dim]!.extent === 1 && !needed && !indexed(current, dim)) current = removeDim(mapAccesses(current, (access) => withoutTerms(access, dim)), dim);
  }
  return current;
}

function withoutTerms(access: Access, dim: number): Access {
  let base = access.base;
  const coordinates = access.coordinates.flatMap((c) => {
    const terms = c.terms.filter((t) => t.dim !== dim);
    if (terms.length === 0 && !c.padded) { base += c.offset * c.stride; return []; }
    return [{ ...c, terms }];
  });
  return { ...access, base, coordinates };
}

/** Removes a dimension that no access moves by, and renumbers the rest. */
function removeDim(kernel: Kernel, dim: number): Kernel {
  const renumber = (d: number) => (d > dim ? d - 1 : d);
  const coordinate = (c: Coordinate): Coordinate => ({ ...c, terms: c.terms.map((t) => ({ ...t, dim: renumber(t.dim) })) });
  const mapped = mapAccesses(kernel, (access) => ({ ...access, coordinates: access.coordinates.map(coordinate) }));
  const stage = (s: Stage): Stage => ({ ...s, sources: s.sources.map((source) => (source.kind === "index" ? { kind: "index", dim: renumber(source.dim) } : source)) });
  const chain = (c: Chain): Chain => ({ ...c, stages: c.stages.map(stage) });
  const engine: Engine = mapped.engine.kind === "contraction" ? { ...mapped.engine, classes: mapped.engine.classes.filter((_, i) => i !== dim) }
    : mapped.engine.kind === "reduction" ? { ...mapped.engine, folds: mapped.engine.folds.map((fold) => ({ ...fold, chain: chain(fold.chain) })) }
    : mapped.engine;
  return { ...mapped, engine, results: mapped.results.map((result) => ({ ...result, chain: chain(result.chain) })), dims: kernel.dims.filter((_, i) => i !== dim), parallel: dim < kernel.parallel ? kernel.parallel - 1 : kernel.parallel };
}

export function mapAccesses(kernel: Kernel, map: (access: Access) => Access): Kernel {
  const engine = mapEngine(kernel.engine, map);
  return { ...kernel, engine, results: kernel.results.map(({ chain, output }) => ({ chain: mapStreams(chain, map), ...(output === undefined ? {} : { output: map(output) }) })) };
}

export function mapEngine(engine: Engine, map: (access: Access) => Access): Engine {
  const [initial] = initialOf(engine).map(map);
  const sums = initial === undefined ? {} : { initial };
  switch (engine.kind) {
    case "none": return engine;
    case "contraction": return { ...engine, ...sums, products: engine.products.map(({ x, w }) => ({ x: map(x), w: map(w) })) };
    case "reduction": return { ...engine, ...sums, folds: engine.folds.map((fold) => ({ ...fold, chain: mapStreams(fold.chain, map) })) };
    case "gather": return { ...engine, rows: map(engine.rows), index: map(engine.index) };
    case "scatter": return { ...engine, updates: map(engine.updates), index: map(engine.index) };
  }
}

function mapStreams(chain: Chain, map: (access: Access) => Access): Chain {
  return { ...chain, streams: chain.streams.map(map) };
}
