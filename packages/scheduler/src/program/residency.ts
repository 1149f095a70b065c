/**
 * @file What stays in the data cache while a program runs. From the top: pinned tensors, then tensors and constants that save the most external
 * traffic for the bytes they take, then temporaries of graphs, which compete like them, but never live beyond one application and so share
 * their room. The rest, from address 0, is for the buffers of kernels; at least a quarter of the data cache is.
 */
import { bytesOf, elementCount, fail } from "@systole/base";
import type { ProgramTensor } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { touchedBytes } from "../bounds.ts";
import { accessesOf, type ScheduledTensor, type TensorMemory } from "../kernel.ts";
import { firstFit, lifetimesOf, type Fitted, type Lifetime } from "../memoryPlan.ts";
import { align } from "../tiling/operand.ts";
import type { Application, Weighted } from "./application.ts";
import type { Applications } from "./applications.ts";
import type { PlacedProgramTensor } from "./programSchedule.ts";

export interface Residency {
  readonly tensors: readonly PlacedProgramTensor[];
  /** By application, then by the id of the temporary. */
  readonly temporaries: readonly ReadonlyMap<number, { readonly memory: TensorMemory; readonly address: number; readonly bytes: number }>[];
  /** In external memory; with an address in the data cache those that are brought there at the start. */
  readonly constants: readonly { readonly tensor: ScheduledTensor; readonly address: number; readonly bytes: number; readonly cached: number | undefined }[];
  readonly workingBytes: number;
  readonly cachedTemporaryBytes: number;
  readonly externalBytes: number;
}

/** Parts of the data cache that tensors may take, in the order in which they are tried: kernels may need more than a quarter. */
export const residentShares = [3 / 4, 1 / 2, 1 / 4, 0] as const;

/** `share` of the data cache is for tensors; pinned ones may take up to three quarters of it in any case. */
export function planResidency({ tensors, all: applications, constants, pooled, preloader }: Applications, machine: Machine, share: number): Residency {
  const capacity = machine.dataCache.bytes;
  const traffic = trafficOf(applications, pooled);
  const bytes = (tensor: ProgramTensor) => elementCount(tensor.type.shape) * bytesOf(tensor.type.dtype) * (tensor.rows ?? 1);
  const benefit = (tensor: ProgramTensor) => (traffic.get(tensor.name) ?? 0) / Math.max(1, bytes(tensor));
  const room = (tensor: ProgramTensor) => align(Math.max(1, bytes(tensor)));

  const pinned = tensors.filter((t) => t.place === "pinned");
  const pinnedBytes = pinned.reduce((sum, t) => sum + room(t), 0);
  demandRoom("pinned tensors do not fit the data cache", pinnedBytes, Math.floor(capacity * residentShares[0]), machine);
  const budget = Math.max(pinnedBytes, Math.floor(capacity * share));
  const cached = new Map<string | ScheduledTensor, number>();
  let taken = 0;
  const take = (what: string | ScheduledTensor, size: number) => { taken += size; cached.set(what, capacity - taken); };
  pinned.forEach((tensor) => take(tensor.name, room(tensor)));
  const arena = new TemporaryArena(applications);
  const takeIfRoom = (what: string | ScheduledTensor, size: number) => { if (taken + arena.cachedBytes + size <= budget) take(what, size); };
  const candidates: Candidate[] = [
    ...tensors.filter((t) => t.place === "cache" && benefit(t) > 0).map((tensor) => ({ benefit: benefit(tensor), take: () => takeIfRoom(tensor.name, room(tensor)) })),
    ...(preloader === undefined ? [] : constants.map((tensor) => ({ benefit: (traffic.get(tensor) ?? 0) / constantBytes(tensor), take: () => takeIfRoom(tensor, align(constantBytes(tensor))) }))),
    ...arena.temporaries.map((temporary) => ({ benefit: temporary.benefit, take: () => arena.take(temporary, budget - taken) })),
  ];
  for (const candidate of candidates.sort((a, b) => b.benefit - a.benefit)) candidate.take();
  const cachedTemporaryBytes = arena.cachedBytes;
  const workingBytes = Math.floor((capacity - taken - cachedTemporaryBytes) / 64) * 64;
  const plans = arena.plans();

  let externalBytes = 0;
  const allot = (size: number): number => {
    const address = externalBytes;
    externalBytes += align(Math.max(1, size));
    return address;
  };
  const placed = tensors.map((tensor): PlacedProgramTensor => {
    const address = cached.get(tensor.name);
    const memory = address === undefined ? "external" : "cache";
    return { tensor, memory, address: address ?? allot(bytes(tensor)), bytes: bytes(tensor), benefit: benefit(tensor) };
  });
  const placedConstants = constants.map((tensor) => ({ tensor, address: allot(constantBytes(tensor)), bytes: constantBytes(tensor), cached: cached.get(tensor) }));
  const externalTemporaries = allot(Math.max(0, ...plans.map((plan) => plan.externalBytes)));
  demandRoom("the program does not fit the external memory", externalBytes, machine.external.bytes, machine);
  const region = (list: readonly Fitted[], memory: TensorMemory, base: number) => list.map(({ tensor, address, bytes: size }) => [tensor.id, { memory, address: base + address, bytes: size }] as const);
  const temporaries = plans.map((plan) => new Map([...region(plan.cached, "cache", workingBytes), ...region(plan.external, "external", externalTemporaries)]));
  return { tensors: placed, temporaries, constants: placedConstants, workingBytes, cachedTemporaryBytes, externalBytes };
}

/** Bytes that kernels read and write, by the name of a program tensor or by constant. */
function trafficOf(applications: readonly Weighted[], pooled: Applications["pooled"]): ReadonlyMap<string | ScheduledTensor, number> {
  const traffic = new Map<string | ScheduledTensor, number>();
  forEachAccess(applications, (bytes, { pieces, constants }, id) => {
    const constant = constants.find((tensor) => tensor.id === id);
    const what = constant === undefined ? pieces.get(id)?.tensor : pooled(constant);
    if (what !== undefined) traffic.set(what, (traffic.get(what) ?? 0) + bytes);
  });
  return traffic;
}

function constantBytes({ data }: ScheduledTensor): number {
  return Math.max(1, data?.length ?? 0);
}

function forEachAccess(applications: readonly Weighted[], visit: (weightedBytes: number, application: Application, id: number) => void): void {
  for (const { application, weight } of applications) {
    for (const kernel of application.kernels) {
      for (const access of accessesOf(kernel)) visit(weight * touchedBytes(kernel, access), application, access.tensor.id);
    }
  }
}

/** Something that may go into the data cache, if there is still room for it when its turn comes. */
interface Candidate {
  readonly benefit: number;
  readonly take: () => void;
}

interface Temporary extends Lifetime {
  readonly application: number;
  readonly benefit: number;
}

interface TemporaryPlan {
  readonly cached: readonly Fitted[];
  readonly external: readonly Fitted[];
  readonly externalBytes: number;
}

/** The room that temporaries of all applications share: as large as the one application that needs most. */
class TemporaryArena {
  readonly temporaries: readonly Temporary[];
  cachedBytes = 0;
  readonly #chosen: Temporary[][];

  constructor(applications: readonly Weighted[]) {
    this.#chosen = applications.map(() => []);
    this.temporaries = applications.flatMap((weighted, application) => {
      const traffic = new Map<number, number>();
      forEachAccess([weighted], (bytes, _, id) => traffic.set(id, (traffic.get(id) ?? 0) + bytes));
      const { temporaries, kernels } = weighted.application;
      return lifetimesOf(temporaries, kernels).map((life): Temporary => ({ ...life, application, benefit: (traffic.get(life.tensor.id) ?? 0) / life.bytes }));
    });
  }

  take(temporary: Temporary, capacity: number): void {
    const others = this.#chosen[temporary.application]!;
    const { bytes } = firstFit(firstUsedFirst([...others, temporary]));
    if (bytes > Math.max(capacity, this.cachedBytes)) return;
    others.push(temporary);
    this.cachedBytes = Math.max(this.cachedBytes, bytes);
  }

  plans(): readonly TemporaryPlan[] {
    return this.#chosen.map((chosen, application) => {
      const rest = firstFit(firstUsedFirst(this.temporaries.filter((one) => one.application === application && !chosen.includes(one))));
      return { cached: firstFit(firstUsedFirst(chosen)).placed, external: rest.placed, externalBytes: rest.bytes };
    });
  }
}

/** In the order of their first use: graphs that begin alike then put what they compute in the same places, and share those kernels. */
function firstUsedFirst<T extends Lifetime>(lifetimes: readonly T[]): readonly T[] {
  return [...lifetimes].sort((a, b) => a.first - b.first || a.tensor.id - b.tensor.id);
}

function demandRoom(what: string, required: number, available: number, machine: Machine): void {
  if (required > available) fail("E0302", `${what} of machine "${machine.name}": required ${required}, available ${available}, missing ${required - available} bytes`);
}
