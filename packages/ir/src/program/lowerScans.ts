/**
 * @file lower-scans: a scan in a graph that a program applies becomes a loop of the program. The graph is cut at its scans; what parts hand on to each other
 * and to the steps are tensors of the program. A sequence is a tensor whose rows are slices, a carry is a tensor that the step writes over.
 * Every bit stays.
 */
import { elementCount, internal, type TensorType } from "@systole/base";
import type { Graph, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { cutScans, hasScans, type CutGraph, type CutScan } from "./cutScans.ts";
import type { Program, ProgramTensor, Reference, ScalarExpression, Statement } from "./program.ts";

type Apply = Extract<Statement, { kind: "apply" }>;
type Binding = Apply["inputs"][string];

/** The same program where no graph has a scan. */
export function lowerScans(program: Program): Program {
  return program.graphs.some(hasScans) ? new Lowering(program).run() : program;
}

/** A name that the program does not use itself. */
function freeName(name: string, taken: readonly string[]): string {
  return taken.includes(name) ? freeName(`${name}'`, taken) : name;
}

/** Counts the steps of a scan; scans inside a step count deeper. */
const counterOf = (depth: number): string => `step.${depth}`;

class Lowering {
  readonly #program: Program;
  readonly #tensors: Map<string, ProgramTensor>;
  readonly #scalars: Set<string>;
  readonly #graphs: Map<string, Graph>;
  readonly #cuts = new Map<string, CutGraph>();

  constructor(program: Program) {
    this.#program = program;
    this.#tensors = new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
    this.#scalars = new Set(program.scalars);
    this.#graphs = new Map(program.graphs.map((graph) => [graph.name, graph]));
  }

  run(): Program {
    const routines = this.#program.routines.map((routine) => ({ ...routine, body: this.#statements(routine.body) }));
    const graphs = [...this.#graphs.values()].filter((graph) => !hasScans(graph));
    return { ...this.#program, tensors: [...this.#tensors.values()], scalars: [...this.#scalars], graphs, routines };
  }

  #statements(statements: readonly Statement[]): readonly Statement[] {
    return statements.flatMap((statement): readonly Statement[] => {
      switch (statement.kind) {
        case "if": return [{ ...statement, then: this.#statements(statement.then), else: this.#statements(statement.else) }];
        case "while": return [{ ...statement, body: this.#statements(statement.body) }];
        case "apply": return this.apply(statement, 0);
        default: return [statement];
      }
    });
  }

  /** `depth`: how many scans the statement stands in. */
  apply(statement: Apply, depth: number): readonly Statement[] {
    const graph = this.#graphs.get(statement.graph) ?? internal(`no graph ${statement.graph}`);
    return hasScans(graph) ? new Application(this, this.#cut(graph, Object.keys(statement.outputs)), statement, depth).statements() : [statement];
  }

  /** The graph with the outputs that are wanted, in parts. */
  #cut(graph: Graph, outputs: readonly string[]): CutGraph {
    const wanted = graph.outputs.filter(({ name }) => outputs.includes(name));
    const variant = wanted.length === graph.outputs.length ? graph.name : `${graph.name}(${wanted.map(({ name }) => name).join()})`;
    const known = this.#cuts.get(variant);
    if (known !== undefined) return known;
    const cut = cutScans(removeDeadCode({ ...graph, name: variant, outputs: wanted }));
    for (const part of cut.parts) for (const one of [...(part.gives.length === 0 ? [] : [part.graph]), ...part.scans.map(({ step }) => step)]) this.#graphs.set(one.name, one);
    this.#cuts.set(variant, cut);
    return cut;
  }

  /** A tensor of the graph; applications of one graph share it. */
  tensor(name: string, type: TensorType): Reference {
    const own = freeName(name, this.#program.tensors.map((tensor) => tensor.name));
    this.#tensors.set(own, { name: own, kind: "state", type, place: "cache" });
    return { tensor: own };
  }

  typeOf(name: string): TensorType {
    return this.#tensors.get(name)?.type ?? internal(`no tensor ${name}`);
  }

  scalar(name: string): string {
    const own = freeName(name, this.#program.scalars);
    this.#scalars.add(own);
    return own;
  }
}

/** One application of a graph with scans. */
class Application {
  readonly #lowering: Lowering;
  readonly #cut: CutGraph;
  readonly #statement: Apply;
  readonly #depth: number;
  /** Where values lie that parts and steps read or give; reshapes of them lie there, too. */
  readonly #homes = new Map<Value, Binding>();
  /** Outputs that cannot be written where they belong before all has been read: copied at the end. */
  readonly #late: { readonly from: Value; readonly to: Reference }[] = [];

  constructor(lowering: Lowering, cut: CutGraph, statement: Apply, depth: number) {
    this.#lowering = lowering;
    this.#cut = cut;
    this.#statement = statement;
    this.#depth = depth;
    for (const { name, value } of cut.inputs) {
      const bound = statement.inputs[name];
      if (bound !== undefined) this.#homes.set(value, bound);
    }
    for (const { scans } of cut.parts) for (const scan of scans) scan.carries.forEach((value, i) => this.#homes.set(value, lowering.tensor(`${scan.step.name}.s${i}`, value.type)));
    this.#placeOutputs();
  }

  statements(): readonly Statement[] {
    const result = this.#cut.parts.flatMap((part): readonly Statement[] => {
      const { graph, reads, gives, scans } = part;
      const inputs = Object.fromEntries(reads.map(({ name, value }) => [name, this.#home(value)]));
      const outputs = Object.fromEntries(gives.map(({ name, value }) => [name, this.#reference(value)]));
      const own: Statement[] = gives.length === 0 ? [] : [{ kind: "apply", graph: graph.name, inputs, outputs }];
      return [...own, ...scans.flatMap((scan) => this.#loop(scan))];
    });
    return [...result, ...this.#late.map(({ from, to }): Statement => ({ kind: "copy", from: { ...this.#reference(from), shape: from.type.shape }, to }))];
  }

  // ---- where values lie -----------------------------------------------------------------------------------------------

  /** An output is made in its place unless something that lies there is read later. */
  #placeOutputs(): void {
    const { outputs, root } = this.#cut;
    const positions = this.#positions();
    for (const { name, value } of outputs) {
      const to = this.#statement.outputs[name] ?? internal(`output ${name} of ${this.#cut.name} goes nowhere`);
      const made = root(value);
      const scan = this.#scanOf(made);
      const isStack = scan !== undefined && scan.node.outputs.indexOf(made) >= scan.node.params.carries;
      const free = !this.#homes.has(made) && (scan === undefined || (isStack && this.#rowStep(to, elementCount(made.type.shape.slice(1))) !== undefined));
      if (free && this.#isSafe(name, to, positions.made.get(made)!, positions.lastRead)) this.#homes.set(made, { ...to, shape: made.type.shape });
      else this.#late.push({ from: value, to });
    }
  }

  #scanOf(value: Value): CutScan | undefined {
    return this.#cut.parts.flatMap(({ scans }) => scans).find(({ node }) => node.outputs.includes(value));
  }

  /** Even positions are parts, odd ones the loops behind them: where values are made, and where inputs are read for the last time. */
  #positions(): { readonly made: ReadonlyMap<Value, number>; readonly lastRead: ReadonlyMap<string, number> } {
    const made = new Map<Value, number>();
    const read = new Map<Value, number>();
    this.#cut.parts.forEach(({ reads, gives, scans }, level) => {
      for (const { value } of gives) made.set(value, 2 * level);
      for (const { value } of reads) read.set(value, 2 * level);
      for (const { node, sequences, consts } of scans) {
        for (const value of node.outputs) made.set(value, 2 * level + 1);
        for (const value of [...consts.map((one) => one.value), ...sequences]) read.set(this.#cut.root(value), 2 * level + 1);
      }
    });
    return { made, lastRead: new Map(this.#cut.inputs.flatMap(({ name, value }) => (read.has(value) ? [[name, read.get(value)!] as const] : []))) };
  }

  #isSafe(name: string, to: Reference, made: number, lastRead: ReadonlyMap<string, number>): boolean {
    const inputs = Object.entries(this.#statement.inputs);
    return inputs.every(([input, bound]) => "scalar" in bound || !mayOverlap(bound, to, this.#lowering) || (lastRead.get(input) ?? -1) < made || (lastRead.get(input) === made && made % 2 === 0))
      && Object.entries(this.#statement.outputs).every(([output, other]) => output === name || !mayOverlap(other, to, this.#lowering));
  }

  #home(value: Value): Binding {
    const made = this.#cut.root(value);
    const known = this.#homes.get(made);
    if (known !== undefined) return "scalar" in known || made === value ? known : { ...known, shape: value.type.shape };
    const home = this.#lowering.tensor(`${this.#cut.name}/%${made.id}`, made.type);
    this.#homes.set(made, home);
    return made === value ? home : { ...home, shape: value.type.shape };
  }

  #reference(value: Value): Reference {
    const home = this.#home(value);
    return "scalar" in home ? internal(`a scalar is bound to %${value.id}`) : home;
  }

  // ---- loops ----------------------------------------------------------------------------------------------------------

  #loop({ node, carries: initial, sequences, step, consts }: CutScan): readonly Statement[] {
    const { length, reverse, carries } = node.params;
    if (length === 0) {
      node.outputs.slice(0, carries).forEach((value, i) => this.#homes.set(value, this.#home(initial[i]!)));
      return [];
    }
    const counter = this.#lowering.scalar(counterOf(this.#depth));
    const rows = new Rows(this.#lowering, counter);
    const before: Statement[] = [];
    const inputs = new Map<string, Binding>(consts.map(({ name, value }) => [name, this.#home(value)]));
    const names = step.inputs.slice(consts.length).map(({ name }) => name);
    const types = step.inputs.slice(consts.length).map(({ value }) => value.type);
    const states = initial.map((value) => this.#reference(value));
    states.forEach((state, i) => inputs.set(names[i]!, state));
    sequences.forEach((value, i) => {
      const type = types[carries + i]!;
      const rowElements = elementCount(type.shape);
      const place = this.#reference(value);
      const cuttable = this.#rowStep(place, rowElements) !== undefined;
      const sequence = cuttable ? place : this.#lowering.tensor(`${step.name}.x${i}`, value.type);
      if (!cuttable) before.push({ kind: "copy", from: { ...place, shape: value.type.shape }, to: sequence });
      inputs.set(names[carries + i]!, rows.at(sequence, type, this.#rowStep(sequence, rowElements)!));
    });
    const outputs = Object.fromEntries(node.outputs.flatMap((value, i): [string, Reference][] => {
      if (i < carries) {
        this.#homes.set(value, states[i]!);
        return [[`s${i}`, states[i]!]];
      }
      const type = step.outputs[i]!.value.type;
      const stack = this.#reference(value);
      return [[`y${i - carries}`, rows.at(stack, type, this.#rowStep(stack, elementCount(type.shape)) ?? internal(`the stack of %${value.id} has no rows`))]];
    }));
    const apply = this.#lowering.apply({ kind: "apply", graph: step.name, inputs: Object.fromEntries(inputs), outputs }, this.#depth + 1);
    const [first, more, next]: readonly [number, ScalarExpression, ScalarExpression] = reverse
      ? [length - 1, { op: "le", args: [0, counter] }, { op: "sub", args: [counter, 1] }]
      : [0, { op: "lt", args: [counter, length] }, { op: "add", args: [counter, 1] }];
    return [
      ...before,
      { kind: "set", target: counter, value: first },
      { kind: "while", condition: more, body: [...rows.statements(), ...apply, { kind: "set", target: counter, value: next }] },
    ];
  }

  /** Rows of so many elements between one row of the reference and the next; 0 where it has none, undefined where they do not fit into one. */
  #rowStep(place: Reference, sliceElements: number): number | undefined {
    if (place.row === undefined || sliceElements === 0) return 0;
    const step = (place.rowElements ?? elementCount(this.#lowering.typeOf(place.tensor).shape)) / sliceElements;
    return Number.isInteger(step) ? step : undefined;
  }
}

/** References to the slice of a step, and the scalars that they need: where a sequence lies in a row itself, its slices are rows of rows. */
class Rows {
  readonly #lowering: Lowering;
  readonly #counter: string;
  readonly #sums = new Map<string, { readonly target: string; readonly value: ScalarExpression }>();

  constructor(lowering: Lowering, counter: string) {
    this.#lowering = lowering;
    this.#counter = counter;
  }

  /** `step`: slices in a row of the place. */
  at({ tensor, row, offset }: Reference, { shape }: TensorType, step: number): Reference {
    const rowElements = elementCount(shape);
    const start = offset === undefined ? {} : { offset };
    if (rowElements === 0) return { tensor, ...(row === undefined ? {} : { row }), ...start, shape };
    return { tensor, row: row === undefined ? this.#counter : this.#sum(row, step), rowElements, ...start, shape };
  }

  statements(): readonly Statement[] {
    return [...this.#sums.values()].map(({ target, value }) => ({ kind: "set", target, value }));
  }

  #sum(row: string, step: number): string {
    const key = `${row} ${step}`;
    const known = this.#sums.get(key);
    if (known !== undefined) return known.target;
    const target = this.#lowering.scalar(`${this.#counter}.${this.#sums.size}`);
    this.#sums.set(key, { target, value: { op: "add", args: [{ op: "mul", args: [row, step] }, this.#counter] } });
    return target;
  }
}

/** Rows are not known here: within rows of the same size pieces are compared, else they may lie anywhere. */
function mayOverlap(a: Reference, b: Reference, lowering: Lowering): boolean {
  if (a.tensor !== b.tensor) return false;
  if ((a.row === undefined) !== (b.row === undefined) || a.rowElements !== undefined || b.rowElements !== undefined) return true;
  const { shape } = lowering.typeOf(a.tensor);
  const end = (one: Reference): number => (one.offset ?? 0) + elementCount(one.shape ?? shape);
  return (a.offset ?? 0) < end(b) && (b.offset ?? 0) < end(a);
}
