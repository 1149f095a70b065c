/**
 * @file Joins kernels that work at the same points. Elementwise work on what another kernel makes becomes a further result of that kernel: a chain that begins
 * with the one of the value it needs, if that is short enough, or reads the value from its tile. So the value is not read back, and is neither stored nor made
 * where nobody else needs it. Where other operands come about only later, or the points are not the same ones, the work keeps a kernel of its own. Reductions over the
 * same points become further folds of one kernel.
 */
import { limits, type Machine } from "@systole/isa";
import { uniqueOrigins } from "../form/expression.ts";
import { startOf } from "../inPlace.ts";
import { chainsOf, readsOf, resultStreams, strideAlong, type Access, type Chain, type Kernel, type Result, type ScheduledTensor, type Source } from "../kernel.ts";
import { ChainWriter } from "./chainWriter.ts";
import { KernelOrder, type Host } from "./kernelOrder.ts";
import { isQuicker, type Quickest } from "./quickest.ts";
import { shareStreams, withFolds } from "./withFolds.ts";
import { roughCycles } from "./roughCost.ts";

/** `canonical` gives the kernel by which to decide. */
export function joinKernels(kernels: readonly Kernel[], machine: Machine, quickest: Quickest, canonical: (kernel: Kernel) => Kernel = (kernel) => kernel): Kernel[] {
  const order = new KernelOrder();
  const cycles = (kernel: Kernel) => roughCycles(canonical(kernel), machine);
  for (const kernel of kernels) {
    const join = order.hostsOf(kernel).map((host) => ({ host, together: kernel.engine.kind === "none" ? bestResult(host, kernel, cycles, machine) : foldedTogether(host.kernel, kernel, quickest, machine) })).find(({ together }) => together !== undefined);
    if (join === undefined) order.append(kernel);
    else order.replace(join.host, join.together!, kernel);
  }
  const joined = order.kernels();
  const read = new Set(joined.flatMap((kernel) => readsOf(kernel).map(({ tensor }) => tensor)));
  return joined.map((kernel) => withoutIdle(kernel, read));
}

/** Undefined where two kernels take less: each kernel has the latency of the vector unit, and where they follow each other the second one waits for the first. */
function bestResult({ kernel: host, follows }: Host, kernel: Kernel, cycles: (kernel: Kernel) => number, { vector }: Machine): Kernel | undefined {
  const apart = cycles(host) + cycles(kernel) + (follows ? 2 : 1) * vector.latencyCycles;
  const ways = ["again", "read"] as const;
  const [best] = ways.flatMap((way) => withResult(host, kernel, way) ?? []).map((together) => ({ together, cycles: cycles(together) })).sort((a, b) => a.cycles - b.cycles);
  return best === undefined || best.cycles > apart ? undefined : best.together;
}

/** Undefined where two kernels take less. Folds of other things gain no more than a latency: only those that take not much longer are worth it. */
function foldedTogether(host: Kernel, kernel: Kernel, quickest: Quickest, { external }: Machine): Kernel | undefined {
  const together = withFolds(host, kernel);
  if (together === undefined || !isQuicker(together, [host, kernel], quickest)) return undefined;
  return shareStreams(host, kernel) || quickest(together)! < fewLatencies * external.latencyCycles ? together : undefined;
}

const fewLatencies = 4;

/** The host with the results of `kernel` behind its own, which make what they need of the host's results again or read it from its tile; undefined where that cannot be. */
function withResult(host: Kernel, kernel: Kernel, way: "again" | "read"): Kernel | undefined {
  if (host.origins[0]?.phase !== kernel.origins[0]?.phase) return undefined;
  const madeAs = (access: Access) => host.results.findIndex(({ output }) => output?.tensor === access.tensor);
  const maps = resultStreams(kernel).flatMap((access) => (madeAs(access) < 0 ? [] : [samePoints(host, host.results[madeAs(access)]!.output!, kernel, access)]));
  const [map] = maps;
  if (map === undefined || maps.some((other) => other === undefined || other.join() !== map.join())) return undefined;
  const results = kernel.results.map(({ chain, output }): Result | undefined => {
    const joined = joinedChain(chain, map, (writer, access) => {
      const index = madeAs(access);
      return index < 0 ? undefined : way === "read" ? { kind: "result", index } : writer.inline(host.results[index]!.chain);
    });
    return joined && { chain: joined, ...(output === undefined ? {} : { output: moved(output, map) }) };
  });
  if (!results.every((result) => result !== undefined)) return undefined;
  // Copies belong to nobody where somebody else is at work too.
  const ofNodes = host.origins[0]?.operator === "" ? [...kernel.origins, ...host.origins] : [...host.origins, ...kernel.origins];
  const together = { ...host, origins: uniqueOrigins(ofNodes), results: [...host.results, ...results] };
  return resultStreams(together).length > limits.streams ? undefined : together;
}

/** For each dimension of `kernel` that of the host along which its access moves as the host's output does; undefined where they are not the same points. */
function samePoints(host: Kernel, made: Access, kernel: Kernel, read: Access): readonly number[] | undefined {
  const plain = ({ coordinates }: Access) => coordinates.every(({ padded }) => !padded);
  if (!plain(made) || !plain(read) || startOf(made) !== startOf(read)) return undefined;
  const walked = host.dims.flatMap(({ extent }, dim) => (dim < host.parallel && extent > 1 ? [{ dim, extent, stride: strideAlong(made, dim) }] : []));
  const map = kernel.dims.map(({ extent }, dim) => (extent === 1 ? -1 : walked.find((one) => one.extent === extent && one.stride === strideAlong(read, dim))?.dim));
  const moving = map.filter((dim) => dim !== -1);
  if (moving.length !== walked.length || new Set(moving).size !== walked.length || moving.includes(undefined)) return undefined;
  const indexed = kernel.dims.some((_, dim) => map[dim] === -1 && chainsOf(kernel).some(({ stages }) => stages.some(({ sources }) => sources.some((source) => source.kind === "index" && source.dim === dim))));
  return indexed || walked.some(({ stride }) => stride === 0) ? undefined : map as number[];
}

function moved(access: Access, map: readonly number[]): Access {
  return { ...access, coordinates: access.coordinates.map((c) => ({ ...c, terms: c.terms.flatMap((term) => (map[term.dim] === -1 ? [] : [{ ...term, dim: map[term.dim]! }])) })) };
}

/** At the host's points; what the host makes comes from `madeSource`. */
function joinedChain(chain: Chain, map: readonly number[], madeSource: (writer: ChainWriter, access: Access) => Source | undefined): Chain | undefined {
  const writer = new ChainWriter();
  writer.append(chain, (access) => madeSource(writer, access) ?? writer.stream(moved(access, map)), (dim) => map[dim]!);
  return writer.chain(chain.dtype);
}

/** Temporaries that nobody reads need no place; without a place and without a reader in the kernel they are not made. */
function withoutIdle(kernel: Kernel, read: ReadonlySet<ScheduledTensor>): Kernel {
  if (kernel.results.length === 1) return kernel;
  const stored = kernel.results.map((result): Result => (result.output?.tensor.kind === "temporary" && !read.has(result.output.tensor) ? { chain: result.chain } : result));
  const isRead = (index: number) => stored.some(({ chain }) => chain.stages.some(({ sources }) => sources.some((s) => s.kind === "result" && s.index === index)));
  const kept = stored.filter(({ output }, index) => output !== undefined || isRead(index));
  const renumbered = (s: Source): Source => (s.kind === "result" ? { kind: "result", index: kept.indexOf(stored[s.index]!) } : s);
  return { ...kernel, results: kept.map((result) => ({ ...result, chain: { ...result.chain, stages: result.chain.stages.map((stage) => ({ ...stage, sources: stage.sources.map(renumbered) })) } })) };
}
