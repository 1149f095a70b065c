/** @file Views against the primitives: moving a view and reading through it is moving the tensor. */
import { elementCount, tensor, type Tensor } from "@systole/base";
import { evaluatePrimitive, type Params, type PrimitiveName } from "@systole/ir";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ScheduledTensor } from "../src/kernel.ts";
import { broadcastView, isWhole, padView, reshapeView, reverseView, sliceView, transposeView, wholeView, type View } from "../src/view.ts";

/** Reads every point of a view; the fill value is given as low 32 bits of an i32. */
function read(view: View, source: Tensor): number[] {
  const values: number[] = [];
  const count = elementCount(view.shape);
  for (let flat = 0; flat < count; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (let axis = view.shape.length - 1; axis >= 0; axis--) { index[axis] = rest % view.shape[axis]!; rest = Math.floor(rest / view.shape[axis]!); }
    let address = view.base;
    let outside = false;
    for (const c of view.coordinates) {
      const value = c.offset + c.terms.reduce((sum, t) => sum + t.factor * index[t.dim]!, 0);
      if (c.padded) outside ||= value < 0 || value >= c.size;
      else expect(value >= 0 && value < c.size).toBe(true);
      address += value * c.stride;
    }
    values.push(outside ? view.fill | 0 : Number(source.data[address]));
  }
  return values;
}

type Move = { [P in PrimitiveName]: { op: P; params: Params<P>; fill?: number } }[PrimitiveName];

function randomMove(shape: readonly number[], pick: (n: number) => number): Move {
  const rank = shape.length;
  switch (pick(6)) {
    case 0: { const axes = shape.map((_, i) => i); for (let i = rank - 1; i > 0; i--) { const j = pick(i + 1); [axes[i], axes[j]] = [axes[j]!, axes[i]!]; } return { op: "transpose", params: { permutation: axes } }; }
    case 1: return { op: "slice", params: { starts: shape.map((e) => pick(Math.max(1, e - 1))), limits: [...shape], strides: shape.map(() => 1 + pick(2)) } };
    case 2: return { op: "reverse", params: { axes: shape.flatMap((_, i) => (pick(2) === 0 ? [i] : [])) } };
    case 3: return { op: "pad", params: { low: shape.map(() => pick(3)), high: shape.map((e) => pick(3) - (e > 1 ? 1 : 0)), interior: shape.map(() => 0) }, fill: 1 + pick(2) };
    case 4: return { op: "broadcast", params: { shape: [2, ...shape], axes: shape.map((_, i) => i + 1) } };
    default: { const total = elementCount(shape); const a = [1, 2, 3, 4].filter((d) => total % d === 0)[pick(2)] ?? 1; return { op: "reshape", params: { shape: [a, total / a] } }; }
  }
}

function moveView(view: View, move: Move): View | undefined {
  switch (move.op) {
    case "transpose": return transposeView(view, move.params.permutation);
    case "slice": return sliceView(view, move.params.starts, move.params.limits, move.params.strides);
    case "reverse": return reverseView(view, move.params.axes);
    case "pad": return padView(view, move.params.low, move.params.high, move.fill!);
    case "broadcast": return broadcastView(view, move.params.shape, move.params.axes);
    case "reshape": return reshapeView(view, move.params.shape);
    default: throw new Error(move.op);
  }
}

test("a chain of movements on a view reads what the primitives compute", () => {
  let refused = 0;
  let moved = 0;
  fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }), fc.array(fc.integer({ min: 0, max: 1 << 20 }), { minLength: 60, maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (shape, random, steps) => {
    let at = 0;
    const pick = (n: number) => random[at++ % random.length]! % n;
    const source = tensor("i32", shape, Array.from({ length: elementCount(shape) }, (_, i) => i + 10));
    const scheduled: ScheduledTensor = { id: 0, name: "t", kind: "input", type: source };
    let value = source;
    let view: View | undefined = wholeView(scheduled);
    for (let i = 0; i < steps; i++) {
      const move = randomMove(value.shape, pick);
      view = moveView(view, move);
      if (view === undefined) { refused++; return; }
      moved++;
      const operands = move.op === "pad" ? [value, tensor("i32", [], [move.fill!])] : [value];
      value = evaluatePrimitive(move.op, operands, move.params, "device")[0]!;
      expect(view.shape).toEqual(value.shape);
      if (elementCount(view.shape) > 0) expect(read(view, source)).toEqual(Array.from(value.data, Number));
    }
  }), { numRuns: 600, seed: 4 });
  // Most movements are affine; a reshape of something torn apart is not, and says so.
  expect(moved).toBeGreaterThan(3 * refused);
  expect(refused).toBeGreaterThan(0);
});

test("a whole tensor stays whole under any reshape", () => {
  const t: ScheduledTensor = { id: 0, name: "t", kind: "input", type: { dtype: "f32", shape: [2, 3, 4] } };
  expect(isWhole(reshapeView(wholeView(t), [6, 4])!)).toBe(true);
  expect(isWhole(transposeView(wholeView(t), [1, 0, 2]))).toBe(false);
});
