/** @file Folds of a stream that arrives in pieces: sums in both orders, products, extremes, their positions, running sums. */
import { blockLength, internal, partialSums, type Dtype, type NumericArray } from "@systole/base";
import type { ReductionName } from "@systole/isa";
import type { Memory } from "../memory.ts";
import { viewAt } from "./chain.ts";

export type FoldName = "sum" | "prod" | "max" | "min";
type Element = number | bigint;

/** One stream at a time: begin, add pieces in order, end. */
export interface Fold {
  /** `from`: the value to continue from. */
  readonly begin: (from: Element | undefined) => void;
  /** `count` adjacent elements at a linear address. */
  readonly add: (address: number, count: number) => void;
  readonly end: () => Element;
}

/** What a sum or a product starts from. */
export function identityOf(operation: "sum" | "prod", dtype: Dtype): Element;
export function identityOf(operation: FoldName, dtype: Dtype): Element;
export function identityOf(operation: FoldName, dtype: Dtype): Element {
  const value = operation === "prod" ? 1 : 0;
  return dtype === "i64" ? BigInt(value) : value;
}

export function newFold(memory: Memory, reduction: ReductionName, dtype: Dtype, blocked: boolean): Fold {
  switch (reduction) {
    case "sum": return blocked && dtype === "f32" ? blockedFold(memory) : blocked && dtype === "f64" ? blockedDoubleFold(memory) : sequentialFold(memory, "sum", dtype);
    case "prod":
    case "max":
    case "min": return sequentialFold(memory, reduction, dtype);
    case "argmax": return positionFold(memory, dtype, 1, false);
    case "argmin": return positionFold(memory, dtype, -1, false);
    case "argmaxlast": return positionFold(memory, dtype, 1, true);
    case "argminlast": return positionFold(memory, dtype, -1, true);
    case "none":
    case "scan":
    case "exclusivescan": return internal(`${reduction} is no fold`);
  }
}

/** Codes of `foldRun` and `foldRuns`. */
export const foldCodes: Readonly<Record<FoldName, number>> = { sum: 0, prod: 1, max: 2, min: 3 };

function sequentialFold(memory: Memory, operation: FoldName, dtype: Dtype): Fold {
  const code = foldCodes[operation];
  const takesFirst = operation === "max" || operation === "min";
  let state: Element | undefined;
  const add = dtype === "f32"
    ? (address: number, count: number): void => {
        if (state === undefined) state = memory.f32[address / 4]!;
        state = memory.kernels.foldRun(code, state as number, address, count);
      }
    : (address: number, count: number): void => {
        state = foldArray(operation, dtype, state, viewAt(memory, dtype, address, count));
      };
  return {
    begin: (from) => (state = from ?? (takesFirst ? undefined : identityOf(operation, dtype))),
    add,
    end: () => state ?? internal("a fold of nothing"),
  };
}

/** Folding an extreme with itself changes nothing, so its first element may be both start and first term. */
function foldArray(operation: FoldName, dtype: Dtype, from: Element | undefined, values: NumericArray): Element {
  let state = from ?? values[0]!;
  if (values instanceof BigInt64Array) {
    for (const value of values) state = bigStep(operation, state as bigint, value);
    return state;
  }
  // A cell of the element type rounds and wraps.
  const cell = values.slice(0, 1) as Float64Array;
  cell[0] = state as number;
  for (let i = 0; i < values.length; i++) cell[0] = numberStep(operation, dtype, cell[0]!, values[i]!);
  return cell[0]!;
}

function numberStep(operation: FoldName, dtype: Dtype, a: number, b: number): number {
  switch (operation) {
    case "sum": return a + b;
    case "prod": return dtype === "f64" || dtype === "f32" ? a * b : Math.imul(a, b);
    case "max": return Math.max(a, b);
    case "min": return Math.min(a, b);
  }
}

function bigStep(operation: FoldName, a: bigint, b: bigint): bigint {
  switch (operation) {
    case "sum": return BigInt.asIntN(64, a + b);
    case "prod": return BigInt.asIntN(64, a * b);
    case "max": return a > b ? a : b;
    case "min": return a < b ? a : b;
  }
}

/** The blocked order of docs/numerics.md; always a whole stream, whose total may go on from a value. */
function blockedFold(memory: Memory): Fold {
  const sums = memory.partialsAddress;
  const clear = (): void => void memory.f32.fill(0, sums / 4, sums / 4 + partialSums);
  let seen = 0;
  let total = 0;
  return {
    begin: (from) => {
      seen = 0;
      total = Number(from ?? 0);
      clear();
    },
    add: (address, count) => {
      let from = address;
      for (let left = count; left > 0; ) {
        if (seen > 0 && seen % blockLength === 0) {
          total += memory.kernels.foldTree(sums, partialSums);
          clear();
        }
        const take = Math.min(left, blockLength - (seen % blockLength));
        memory.kernels.foldPartials(sums, partialSums, seen % partialSums, from, take);
        seen += take;
        from += take * 4;
        left -= take;
      }
    },
    end: () => total + memory.kernels.foldTree(sums, partialSums),
  };
}

function blockedDoubleFold(memory: Memory): Fold {
  const sums = new Float64Array(partialSums);
  let seen = 0;
  let total = 0;
  const closeBlock = (): void => {
    for (let half = partialSums / 2; half >= 1; half /= 2) for (let j = 0; j < half; j++) sums[j]! += sums[j + half]!;
    total += sums[0]!;
    sums.fill(0);
  };
  return {
    begin: (from) => {
      seen = 0;
      total = Number(from ?? 0);
      sums.fill(0);
    },
    add: (address, count) => {
      for (const value of viewAt(memory, "f64", address, count) as Float64Array) {
        if (seen > 0 && seen % blockLength === 0) closeBlock();
        sums[seen++ % partialSums]! += value;
      }
    },
    end: () => {
      closeBlock();
      return total;
    },
  };
}

/** Position of the first (or last) extreme among the reduced points; NaN beats every number. */
function positionFold(memory: Memory, dtype: Dtype, sign: 1 | -1, last: boolean): Fold {
  let best: Element | undefined;
  let at = 0;
  let seen = 0;
  const beats = (value: Element, held: Element): boolean => {
    if (Number.isNaN(held)) return last && Number.isNaN(value);
    if (Number.isNaN(value)) return true;
    return (last && value === held) || (sign > 0 ? value > held : value < held);
  };
  return {
    begin: () => {
      best = undefined;
      seen = 0;
    },
    add: (address, count) => {
      const values = viewAt(memory, dtype, address, count);
      for (let i = 0; i < count; i++) {
        const value = values[i]!;
        if (best === undefined || beats(value, best)) {
          best = value;
          at = seen + i;
        }
      }
      seen += count;
    },
    end: () => at,
  };
}

/** Running sums in place. */
export function newScan(memory: Memory, dtype: Dtype, exclusive: boolean): { readonly begin: () => void; readonly add: (address: number, count: number) => void } {
  let state: Element = 0;
  return {
    begin: () => (state = dtype === "i64" ? 0n : 0),
    add: (address, count) => {
      if (dtype === "f32") {
        state = memory.kernels.scanRun(state as number, address, count, exclusive ? 1 : 0);
        return;
      }
      const values = viewAt(memory, dtype, address, count);
      const cell = values.slice(0, 1);
      cell[0] = state as never;
      for (let i = 0; i < count; i++) {
        const before = cell[0]!;
        cell[0] = (before as number) + (values[i] as number) as never;
        values[i] = (exclusive ? before : cell[0]!) as never;
      }
      state = cell[0]!;
    },
  };
}
