/** @file Parts of the algorithm as programs of their own, and linear systems: what the oracles are asked about, in float64 and on the device. */
import { emit, type GraphBuilder, type Statement, type Value } from "@systole/ir";
import { cgStops, dampingRule, lambdaCell, less, lineSearch, loopWhile, minus, phiHistory, plus, preconditioner, profileNamed, ProgramBuilder, set, times, truncation, Vectors, WeightDecay, write } from "../src/index.ts";
import { unitOf, type Runnable, type System } from "./support.ts";

/** A matrix of the caller's. */
export const dense = (rows: readonly (readonly number[])[]): Pick<System, "multiply" | "operands"> => ({
  operands: { matrix: rows.flat() },
  multiply: (b, p, { matrix }) => b.apply("dot", [emit.reshapeTo(b, matrix!, [rows.length, rows.length]), p], { x: "ij", w: "j", out: "i", k: "j" }),
});
export const diagonal = (d: readonly number[]): Pick<System, "multiply" | "operands"> => ({ operands: { d }, multiply: (b, p, { d: entries }) => emit.mul(b, p, entries!) });
export const ones = (n: number): number[] => new Array<number>(n).fill(1);
const shifted = (b: GraphBuilder, p: Value, by: 1 | -1): Value => b.apply("pad", [p, emit.zeros(b, { dtype: "f32", shape: [] })], { low: [by], high: [-by], interior: [0] });
/** Tridiagonal (-1, 2, -1), plus a number, which float32 would lose half of in the diagonal. */
export const laplacian = (n: number, more: number): Pick<System, "multiply" | "operands"> => ({
  operands: { more: ones(n).map(() => more) },
  multiply: (b, p, { more: diagonalMore }) => emit.add(b, emit.sub(b, emit.sub(b, emit.mul(b, p, emit.numberLike(b, p, 2)), shifted(b, p, 1)), shifted(b, p, -1)), emit.mul(b, p, diagonalMore!)),
});

/** O4: the truncation test on phi_i = -(1 - 0.9^i), at most 100 steps. */
export function decayingPhi(): Runnable {
  const builder = new ProgramBuilder();
  const history = phiHistory(builder, 100);
  return unitOf(builder, {}, [
    set("cgSteps", 0), set("power", 1), set("cgStop", cgStops.limit), write({ ...history, row: "cgSteps" }, 0),
    loopWhile(less("cgSteps", 100), [
      set("cgSteps", plus("cgSteps", 1)), set("power", times("power", 0.9)), set("phi", minus("power", 1)), write({ ...history, row: "cgSteps" }, "phi"),
      ...truncation(history, 0.0005),
    ]),
  ]);
}

/** O9: lambda from 45 on, behind each of these ratios, in tensor `seen`. */
export function lambdas(ratios: readonly number[]): Runnable {
  const builder = new ProgramBuilder();
  dampingRule(builder, lambdaCell(builder));
  const seen = builder.tensor({ name: "seen", kind: "state", type: { dtype: "f64", shape: [ratios.length] }, place: "pinned" });
  return unitOf(builder, {}, [set("lambda", 45), ...ratios.flatMap((rho, i): Statement[] => [set("rho", rho), { kind: "call", routine: "damping.rule" }, write({ ...seen, offset: i, shape: [] }, "lambda")])]);
}

/** O10: f = t^4 at t = 1, where its gradient is 4; `evaluations` counts. */
export function quarticSearch(direction: number): Runnable {
  const builder = new ProgramBuilder();
  const at: Statement[] = [set("t", plus(1, times("rate", direction))), set("value", times(times("t", "t"), times("t", "t"))), set("evaluations", plus("evaluations", 1))];
  lineSearch(builder, profileNamed("martens").lineSearch!, [set("evaluations", 0), set("fSearch", 1), set("slope", 4 * direction), set("rate", 1), ...at], at);
  return unitOf(builder, {}, [{ kind: "call", routine: "line-search" }]);
}

/** O11: the preconditioner of these squares, in tensor `m`. */
export function preconditionerOf(squares: readonly number[], lambda: number): Runnable {
  const builder = new ProgramBuilder();
  const vectors = new Vectors(builder, squares.length);
  const result = builder.vector("m", squares.length);
  preconditioner(builder, vectors, new WeightDecay(vectors, { parts: [], elements: squares.length, decaying: 0 }, 0), { squares: builder.vector("squares", squares.length), result });
  return unitOf(builder, { squares }, [set("lambda", lambda), { kind: "call", routine: "damping.preconditioner" }]);
}
