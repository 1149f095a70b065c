/**
 * @file Programs: a small structured language above graphs, for what has state and takes decisions. A graph is pure; a program
 * applies graphs to named tensors, computes with float64 scalars, and has loops, branches and routines. Each routine belongs to a
 * submodule of the device; the main part is a list of steps, one macro-instruction each.
 *
 * Meaning: statements run one after the other. A tensor has no content before it was written (or loaded, or given): reading it is
 * an error. A graph is applied as a whole: all outputs are computed from what the inputs were before. Comparisons with NaN give 0.
 */
import { elementCount, type Tensor, type TensorType } from "@systole/base";
import type { Graph } from "../graph.ts";

/** The submodules of the data processing module that may own a routine; basic operations have none of their own. */
export type RoutineOwner = "control" | "gradient" | "damping" | "gauss-newton" | "conjugate-gradient";

export const routineOwners: readonly RoutineOwner[] = ["control", "gradient", "damping", "gauss-newton", "conjugate-gradient"];

/** The scalar that a convergence judgement sets: the program goes on while it is 0. */
export const doneScalar = "done";

/** A piece of a tensor that the outside knows by a name of its own, such as one parameter of the vector of all of them. */
export interface TensorPart {
  readonly name: string;
  /** Elements from the start of the tensor. */
  readonly offset: number;
  readonly shape: readonly number[];
}

/**
 * A named tensor that lives as long as the program runs.
 *
 * - `input`: given by the host before the run, never written;
 * - `parameter`: given by the host or by `initial`, read back at the end;
 * - `constant`: `initial`, never written;
 * - `state`: written by the program before it is read;
 * - `record`: as `state`, and the host may look at it while the program runs;
 * - `output`: as `state`, and the host reads it at the end.
 */
export interface ProgramTensor {
  readonly name: string;
  readonly kind: "input" | "parameter" | "constant" | "state" | "record" | "output";
  /** Of one row. */
  readonly type: TensorType;
  /** So many tensors of this type, one behind the other; a reference takes one of them by a scalar. 1 when missing. */
  readonly rows?: number;
  /**
   * `external`: in external memory. `cache`: in the data cache where it fits, else in external memory. `pinned`: in the data cache;
   * elements that scalar statements read or write must be there. Only external tensors have content before the run.
   */
  readonly place: "external" | "cache" | "pinned";
  readonly initial?: Tensor;
  /** What the host calls its pieces; without parts, the tensor goes by its own name. */
  readonly parts?: readonly TensorPart[];
}

/** A tensor, one of its rows, or a contiguous piece of it seen with a shape. Any tensor can be cut into rows: steps of a sequence are rows of one of its pieces. */
export interface Reference {
  readonly tensor: string;
  /** A scalar that holds the number of the row; required where the tensor has rows. */
  readonly row?: string;
  /** Elements from one row to the next; those of the tensor's type when missing. Rows of other sizes than that go through all of the tensor, its own rows included. */
  readonly rowElements?: number;
  /** Elements from the start of the row. */
  readonly offset?: number;
  /** The row's own shape when missing. */
  readonly shape?: readonly number[];
}

export const scalarOperations = { add: 2, sub: 2, mul: 2, div: 2, max: 2, min: 2, sqrt: 1, floor: 1, lt: 2, le: 2, eq: 2 } as const;
export type ScalarOperation = keyof typeof scalarOperations;

/** A number, the name of a scalar, or an operation; lt, le and eq give 1 or 0. */
export type ScalarExpression = number | string | { readonly op: ScalarOperation; readonly args: readonly ScalarExpression[] };

export type Statement =
  /** scalar = expression. */
  | { readonly kind: "set"; readonly target: string; readonly value: ScalarExpression }
  /** The outputs of a graph from its inputs; outputs that are not named are not kept. An input may be a scalar: a float32 or float64 tensor of shape []. */
  | { readonly kind: "apply"; readonly graph: string; readonly inputs: Readonly<Record<string, Reference | { readonly scalar: string }>>; readonly outputs: Readonly<Record<string, Reference>> }
  /** scalar = the first element of a pinned reference. */
  | { readonly kind: "read"; readonly target: string; readonly from: Reference }
  /** The first element of a pinned reference = expression, rounded to its element type. */
  | { readonly kind: "write"; readonly to: Reference; readonly value: ScalarExpression }
  /** scalar = the sum of all elements of a pinned tensor of rank 1, in order from +0, in float64. */
  | { readonly kind: "sum"; readonly target: string; readonly of: Reference }
  /** A copy between two tensors of the same number of bytes; either may be external. */
  | { readonly kind: "copy"; readonly from: Reference; readonly to: Reference }
  | { readonly kind: "call"; readonly routine: string }
  | { readonly kind: "if"; readonly condition: ScalarExpression; readonly then: readonly Statement[]; readonly else: readonly Statement[] }
  /** Runs the body while the condition is not 0; `break` leaves the innermost one. Whoever asks for time without values says how often a loop with a name runs. */
  | { readonly kind: "while"; readonly name?: string; readonly condition: ScalarExpression; readonly body: readonly Statement[] }
  | { readonly kind: "break" };

/** A routine calls routines that stand behind it in the list: there is no recursion. */
export interface ProgramRoutine {
  readonly name: string;
  readonly owner: RoutineOwner;
  readonly body: readonly Statement[];
}

/** One macro-instruction of the main part. */
export type Step =
  /** IO: a whole tensor of external memory to a tensor of the same size, and back. */
  | { readonly kind: "load" | "store"; readonly from: string; readonly to: string }
  | { readonly kind: "assign" | "estimate" | "transfer" | "update"; readonly routine: string }
  /** Runs the routine; goes back to step number `back` unless the scalar `done` is not 0, then the program ends. */
  | { readonly kind: "converge"; readonly routine: string; readonly back: number };

export interface Program {
  readonly name: string;
  readonly tensors: readonly ProgramTensor[];
  /** Float64, without value before they are set. */
  readonly scalars: readonly string[];
  readonly graphs: readonly Graph[];
  readonly routines: readonly ProgramRoutine[];
  readonly main: readonly Step[];
}

/** What a reference with a row goes over: elements from one row to the next, and how many rows there are that do not leave the tensor. */
export function rowsOf({ type, rows }: ProgramTensor, { rowElements, offset, shape }: Reference): { readonly elements: number; readonly count: number } {
  const own = elementCount(type.shape);
  if (rowElements === undefined) return { elements: own, count: rows ?? 1 };
  return { elements: rowElements, count: Math.floor((own * (rows ?? 1) - (offset ?? 0) - elementCount(shape ?? type.shape)) / rowElements) + 1 };
}

/** The program with every graph replaced. */
export function mapGraphs(program: Program, change: (graph: Graph) => Graph): Program {
  return { ...program, graphs: program.graphs.map((graph) => ({ ...change(graph), name: graph.name })) };
}

/** Every statement of a list and of the lists inside it, outermost first. */
export function* walkStatements(statements: readonly Statement[]): Generator<Statement> {
  for (const statement of statements) {
    yield statement;
    if (statement.kind === "if") {
      yield* walkStatements(statement.then);
      yield* walkStatements(statement.else);
    }
    if (statement.kind === "while") yield* walkStatements(statement.body);
  }
}
