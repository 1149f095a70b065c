/**
 * @file Every application of a graph in a program, and every copy. Statements that apply the same graph to the same pieces share one
 * application. Scalars that are operands of graphs stand in a pinned tensor of their own, written before the kernels run.
 */
import { bytesOf, elementCount, fail, internal, type Dtype } from "@systole/base";
import { rowsOf, type Program, type ProgramTensor, type Reference, type Statement } from "@systole/ir";
import type { Machine } from "@systole/isa";
import type { ScheduledTensor } from "../kernel.ts";
import { bindGraph, formCopy, formGraph, type Application, type Formed, type Piece, type Weighted } from "./application.ts";
import { statementWeights } from "./weights.ts";

type Apply = Extract<Statement, { kind: "apply" }>;
type Copy = Extract<Statement, { kind: "copy" }>;

/** A scalar that is an operand of a graph, and its place. */
export interface ScalarOperand {
  readonly scalar: string;
  readonly piece: Piece;
}

const scalarOperands = "(scalar operands)";
const slotBytes = 8;

export class Applications {
  readonly all: Weighted[] = [];
  /** Of the program, then the one for scalar operands if it is needed. */
  readonly tensors: readonly ProgramTensor[];
  readonly constants: readonly ScheduledTensor[];
  /** The routine of the first ASSIGN, if it runs once before everything that is repeated: what stays in the data cache can be brought there. */
  readonly preloader: string | undefined;
  readonly #program: Program;
  readonly #machine: Machine;
  readonly #tensors: ReadonlyMap<string, ProgramTensor>;
  readonly #formed = new Map<string, Formed>();
  readonly #byKey = new Map<string, number>();
  readonly #ofStatement = new Map<Statement, number>();
  readonly #pooled = new Map<ScheduledTensor, ScheduledTensor>();

  constructor(program: Program, machine: Machine) {
    this.#program = program;
    this.#machine = machine;
    this.#tensors = new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
    let slots = 0;
    for (const [statement, weight] of statementWeights(program)) {
      if (statement.kind !== "apply" && statement.kind !== "copy") continue;
      if (statement.kind === "apply") slots = Math.max(slots, this.scalarsOf(statement).length);
      const index = this.#indexOf(statement);
      this.#ofStatement.set(statement, index);
      const known = this.all[index]!;
      this.all[index] = { ...known, weight: known.weight + weight };
    }
    const operands: ProgramTensor = { name: scalarOperands, kind: "state", type: { dtype: "f64", shape: [slots] }, place: "pinned" };
    this.tensors = slots === 0 ? program.tensors : [...program.tensors, operands];
    this.constants = this.#poolConstants();
    const first = program.main.findIndex((step) => "routine" in step);
    const step = program.main[first];
    const repeated = program.main.some((one) => one.kind === "converge" && one.back <= first);
    this.preloader = step?.kind === "assign" && !repeated ? step.routine : undefined;
  }

  /** The number of a statement's application in `all`. */
  of(statement: Apply | Copy): number {
    return this.#ofStatement.get(statement) ?? internal("a statement that stands nowhere in the program");
  }

  /** The constant that has this content. */
  readonly pooled = (constant: ScheduledTensor): ScheduledTensor => this.#pooled.get(constant) ?? internal(`constant ${constant.name} is not pooled`);

  tensor(name: string): ProgramTensor {
    return this.#tensors.get(name) ?? internal(`no tensor ${name}`);
  }

  piece(reference: Reference): Piece {
    const tensor = this.tensor(reference.tensor);
    const { type } = tensor;
    const width = bytesOf(type.dtype);
    const { elements, count } = rowsOf(tensor, reference);
    return {
      tensor: tensor.name, offsetBytes: (reference.offset ?? 0) * width, bytes: elementCount(reference.shape ?? type.shape) * width, dtype: type.dtype,
      ...(reference.row === undefined ? {} : { row: { scalar: reference.row, strideBytes: elements * width, count } }),
    };
  }

  scalarsOf({ graph, inputs }: Apply): readonly ScalarOperand[] {
    return this.#graph(graph).inputs.flatMap(({ name, value }) => {
      const bound = inputs[name];
      return bound !== undefined && "scalar" in bound ? [{ scalar: bound.scalar, dtype: value.type.dtype }] : [];
    }).map(({ scalar, dtype }, slot) => ({ scalar, piece: { tensor: scalarOperands, offsetBytes: slot * slotBytes, bytes: bytesOf(dtype), dtype } }));
  }

  #graph(name: string) {
    return this.#program.graphs.find((graph) => graph.name === name) ?? internal(`no graph ${name}`);
  }

  #indexOf(statement: Apply | Copy): number {
    const [formed, inputs, outputs] = statement.kind === "apply" ? this.#apply(statement) : this.#copy(statement);
    const key = JSON.stringify([formed.name, [...inputs], [...outputs]]);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const index = this.all.length;
    this.all.push({ application: bindGraph(formed, inputs, outputs), weight: 0 });
    this.#byKey.set(key, index);
    return index;
  }

  #apply(statement: Apply): readonly [Formed, Map<string, Piece>, Map<string, Piece>] {
    const graph = this.#graph(statement.graph);
    const scalars = [...this.scalarsOf(statement)];
    const inputs = new Map(graph.inputs.map(({ name }) => {
      const bound = statement.inputs[name] ?? internal(`nothing is bound to input ${name} of ${graph.name}`);
      return [name, "scalar" in bound ? scalars.shift()!.piece : this.piece(bound)];
    }));
    const outputs = new Map(Object.entries(statement.outputs).map(([name, reference]) => [name, this.piece(reference)]));
    const names = new Set(outputs.keys());
    return [this.#form(`${graph.name}(${[...names].sort().join()})`, () => formGraph(graph, names, this.#machine)), inputs, outputs];
  }

  #copy({ from, to }: Copy): readonly [Formed, Map<string, Piece>, Map<string, Piece>] {
    const [source, target] = [this.piece(from), this.piece(to)];
    if (source.dtype !== target.dtype) fail("E0203", `a copy converts nothing: "${from.tensor}" is ${source.dtype}, "${to.tensor}" is ${target.dtype}`);
    const count = source.bytes / bytesOf(source.dtype);
    return [this.#form(`copy ${source.dtype} ${count}`, () => formCopy(source.dtype as Dtype, count)), new Map([["from", source]]), new Map([["to", target]])];
  }

  #form(key: string, make: () => Formed): Formed {
    const known = this.#formed.get(key);
    if (known !== undefined) return known;
    const formed = make();
    this.#formed.set(key, formed);
    return formed;
  }

  /** Constants of the same bytes and element type are one. */
  #poolConstants(): readonly ScheduledTensor[] {
    const byContent = new Map<string, ScheduledTensor[]>();
    const pool: ScheduledTensor[] = [];
    const all = new Set<ScheduledTensor>(this.all.flatMap(({ application }: { application: Application }) => application.constants));
    for (const constant of all) {
      const bytes = constant.data ?? new Uint8Array();
      const key = `${constant.type.dtype} ${bytes.length} ${contentHash(bytes)}`;
      const alike = byContent.get(key) ?? [];
      const same = alike.find(({ data }) => data !== undefined && data.every((byte, i) => byte === bytes[i]));
      if (same === undefined) {
        pool.push(constant);
        byContent.set(key, [...alike, constant]);
      }
      this.#pooled.set(constant, same ?? constant);
    }
    return pool;
  }
}

/** FNV-1a. */
function contentHash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
