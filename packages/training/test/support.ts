/** @file Runs training programs, and routines by themselves, in the reference interpreter. */
import { allocate, type Tensor } from "@systole/base";
import { GraphBuilder, runProgram, verifyProgram, type InterpretObserver, type Precision, type Program, type ProgramState, type Reference, type Statement, type Value } from "@systole/ir";
import { expect } from "vitest";
import { conjugateGradient, copy, hessianFree, ProgramBuilder, readRecord, recordTensor, storedIterates, Vectors, type ConjugateGradientOptions, type HessianFreeOptions, type Problem, type Profile, type TrainingRecord } from "../src/index.ts";

/** A tensor of type f32 with float64 content: for runs of precision float64. */
export function exact(shape: readonly number[], data: readonly number[]): Tensor {
  return { dtype: "f32", shape, data: Float64Array.from(data) };
}

/** Positive, and nothing beside any number of the problems. */
export const tiny = 1e-300;

/** All samples in each batch, no decay, no preconditioner, no stop but the limit, unless `more` says otherwise. */
export function hessianFreeOf(problem: Problem, profile: Profile, lambda: number, iterations: number, more: Partial<HessianFreeOptions> = {}): Program {
  return hessianFree(problem, { profile, lambda, iterations, cgIterations: 50, gradientBatch: problem.sampleCount, curvatureBatch: problem.sampleCount, weightDecay: 0, preconditioner: undefined, structuralDamping: undefined, seed: 1n, gradientTolerance: 0, progressTolerance: -1, ...more });
}

/** Relative to what is wanted, or absolute below 1. */
export function near(actual: readonly number[], wanted: readonly number[], tolerance = 1e-9): void {
  expect(actual).toHaveLength(wanted.length);
  actual.forEach((x, i) => expect(Math.abs(x - wanted[i]!), `element ${i}: ${x}, wanted ${wanted[i]}`).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(wanted[i]!))));
}

export interface Trained {
  readonly records: readonly TrainingRecord[];
  /** theta behind each outer step. */
  readonly points: readonly (readonly number[])[];
  readonly state: ProgramState;
}

export function train(program: Program, inputs: ReadonlyMap<string, Tensor>, precision: Precision = "float64", observer: InterpretObserver = {}): Trained {
  const records: TrainingRecord[] = [];
  const points: number[][] = [];
  const state = runProgram(program, inputs, {
    precision,
    observer: {
      ...observer,
      judgement: (_, now) => {
        records.push(readRecord(now.read({ tensor: recordTensor }).data as Float64Array));
        points.push(numbers(now, "theta"));
      },
    },
  });
  return { records, points, state };
}

export function numbers(state: ProgramState, tensor: string, row?: number): number[] {
  if (row === undefined) return Array.from(state.read({ tensor }).data as Float64Array);
  state.scalars.set("probe", row);
  return Array.from(state.read({ tensor, row: "probe" }).data as Float64Array);
}

export interface Runnable {
  readonly program: Program;
  readonly inputs: ReadonlyMap<string, Tensor>;
}

/** A program that runs statements once. Vectors of `given` are state tensors that hold these float64 numbers. */
export function unitOf(builder: ProgramBuilder, given: Readonly<Record<string, readonly number[]>>, statements: readonly Statement[]): Runnable {
  const copies = Object.entries(given).map(([name, data]) => {
    builder.tensor({ name: `given.${name}`, kind: "parameter", type: { dtype: "f32", shape: [data.length] }, place: "external" });
    return copy({ tensor: `given.${name}` }, builder.vector(name, data.length));
  });
  builder.routine("unit", "control", [...copies, ...statements]);
  return {
    program: verifyProgram(builder.build("unit", [{ kind: "assign", routine: "unit" }])),
    inputs: new Map(Object.entries(given).map(([name, data]) => [`given.${name}`, exact([data.length], data)])),
  };
}

/** A program that ran once, on whatever. */
export interface Finished {
  readonly scalar: (name: string) => number;
  /** Of a row where the tensor has rows. */
  readonly numbers: (tensor: string, row?: number) => number[];
}

/** How a program is run once. */
export type Runner = (runnable: Runnable) => Finished;

export const inFloat64: Runner = ({ program, inputs }) => {
  const state = runProgram(program, inputs, { precision: "float64", maxStatements: 1_000_000 });
  return { scalar: (name) => state.scalar(name), numbers: (tensor, row) => numbers(state, tensor, row) };
};

export interface System {
  /** A p; `operands` are bound by name. */
  readonly multiply: (b: GraphBuilder, p: Value, operands: Readonly<Record<string, Value>>) => Value;
  readonly operands?: Readonly<Record<string, readonly number[]>>;
  readonly b: readonly number[];
  readonly x0?: readonly number[];
  readonly m?: readonly number[];
}

export interface Solved {
  readonly x: readonly number[];
  readonly steps: number;
  readonly stop: number;
  /** Of x0 and of each step. */
  readonly phi: readonly number[];
  readonly residualNorm: number;
  readonly iterates: readonly (readonly number[])[];
}

/** Conjugate gradients by themselves, on A x = b, as a program. */
export function solverOf({ multiply, operands = {}, b, x0 = b.map(() => 0), m }: System, options: Partial<ConjugateGradientOptions> = {}): Runnable {
  const whole: ConjugateGradientOptions = { iterations: 50, tolerance: 0.0005, storeAt: "geometric", residualTolerance: 0, ...options };
  const builder = new ProgramBuilder();
  const n = b.length;
  const vectors = new Vectors(builder, n);
  const reference = (tensor: string): Reference => ({ tensor });
  const inputs = Object.fromEntries(Object.keys(operands).map((name) => [name, reference(name)]));
  builder.graph("matrix", () => {
    const g = new GraphBuilder();
    const p = g.input("p", { dtype: "f32", shape: [n] });
    const values = Object.fromEntries(Object.entries(operands).map(([name, data]) => [name, g.input(name, { dtype: "f32", shape: [data.length] })]));
    g.output("product", multiply(g, p, values));
    return g.build("matrix");
  });
  const [direction, product] = [builder.vector("direction", n), builder.vector("product", n)];
  const iterates = builder.tensor({ name: "iterates", kind: "state", type: { dtype: "f32", shape: [n] }, rows: storedIterates(whole), place: "external" });
  conjugateGradient(builder, vectors, "solve", { x: reference("x"), gradient: reference("gradient"), direction, product, preconditioner: m === undefined ? undefined : reference("m"), iterates: iterates.tensor }, [
    builder.apply("matrix", { p: direction, ...inputs }, { product }),
  ], whole);
  return unitOf(builder, { x: x0, gradient: b.map((one) => -one), ...operands, ...(m === undefined ? {} : { m }) }, [{ kind: "call", routine: "solve" }]);
}

/** Conjugate gradients to their end. */
export function solve(system: System, options: Partial<ConjugateGradientOptions> = {}, run: Runner = inFloat64): Solved {
  const { scalar, numbers: of } = run(solverOf(system, options));
  const steps = scalar("cgSteps");
  const rows = (tensor: string, count: number): number[][] => Array.from({ length: count }, (_, row) => of(tensor, row));
  return { x: of("x"), steps, stop: scalar("cgStop"), phi: rows("phi.history", steps + 1).flat(), residualNorm: Math.hypot(...of("residual")), iterates: rows("iterates", scalar("stored")) };
}

/** Zeros of a type, for problems whose graphs are looked at and not run. */
export function zerosOf(shape: readonly number[]): Tensor {
  return { dtype: "f32", shape, data: allocate("f32", shape.reduce((product, extent) => product * extent, 1)) };
}
