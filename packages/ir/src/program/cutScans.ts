/**
 * @file Cuts a graph at its scans: parts without scans, between them the scans of each level, whose steps are graphs of their own. Part 0 needs no scan, part l
 * needs results of scans of level l - 1. What only repeats or renames elements is done again where it is read and not handed on.
 */
import { GraphBuilder } from "../builder.ts";
import { inlineBody } from "../differentiate/control/call.ts";
import { definitions, isNode, uses, type Graph, type GraphInput, type Node, type Origin, type Parameter, type Value } from "../graph.ts";
import { nextValueId } from "../passes/rewrite.ts";
import { byRole } from "../primitives/scan.ts";

/** Values that a graph reads or gives, by the names that it knows them under. */
export type Named = readonly { readonly name: string; readonly value: Value }[];

export interface CutScan {
  readonly node: Node<"scan">;
  /** The initial values. */
  readonly carries: readonly Value[];
  /** The values whose slices the step takes: what only rearranges inside slices is done in the step. */
  readonly sequences: readonly Value[];
  /** One step. Inputs: what `consts` names, then s0, s1, ... (carries) and x0, ... (slices of sequences); outputs s0, ... and y0, ... */
  readonly step: Graph;
  readonly consts: Named;
}

export interface CutPart {
  /** Its inputs are values of the whole graph; parameters are parameters. */
  readonly graph: Graph;
  readonly reads: Named;
  readonly gives: Named;
  /** The scans that run behind it, in order. */
  readonly scans: readonly CutScan[];
}

export interface CutGraph {
  readonly name: string;
  readonly inputs: readonly GraphInput[];
  /** No two are the same value, all are results of nodes, none is a carry. */
  readonly outputs: Named;
  readonly parts: readonly CutPart[];
  /** The value of which another one is a reshape; values that a scan or a part hands on have no place of their own where they are. */
  readonly root: (value: Value) => Value;
}

const repeated: ReadonlySet<string> = new Set(["constant", "iota", "broadcast", "reshape", "transpose", "slice", "reverse"]);

export function hasScans(graph: Graph): boolean {
  return graph.nodes.some(({ op }) => op === "scan");
}

export function cutScans(graph: Graph): CutGraph {
  return new Cutter(separated(graph)).run();
}

/** Copies, so that every carry begins in a value of its own and outputs are results of nodes that nothing overwrites, each another one. */
function separated(graph: Graph): Graph {
  const defined = definitions(graph);
  const used = uses(graph);
  const outputs = new Set(graph.outputs.map(({ value }) => value));
  const nodes: Node[] = [];
  let id = nextValueId(graph);
  const copied = (value: Value, origin: Origin): Value => {
    const copy: Value = { id: id++, type: value.type };
    nodes.push({ op: "copy", inputs: [value], params: {}, outputs: [copy], origin });
    return copy;
  };
  const isOwn = (value: Value): boolean => ![undefined, "scan"].includes(defined.get(value)?.op) && used.get(value)!.length === 1 && !outputs.has(value);
  const isParameter = (value: Value): boolean => graph.parameters.some((parameter) => parameter.value === value);
  for (const node of graph.nodes) {
    if (!isNode(node, "scan")) {
      nodes.push(node);
      continue;
    }
    const { consts, carries, sequences } = byRole(node.inputs, node.params);
    const inputs = [
      ...consts,
      ...carries.map((value) => (isOwn(value) ? value : copied(value, node.origin))),
      ...sequences.map((value) => (isParameter(value) ? copied(value, node.origin) : value)),
    ];
    nodes.push({ ...node, inputs });
  }
  const seen = new Set<Value>();
  const named = graph.outputs.map(({ name, value }) => {
    const node = defined.get(value);
    const plain = node !== undefined && !seen.has(value) && !(isNode(node, "scan") && node.outputs.indexOf(value) < node.params.carries);
    seen.add(value);
    return { name, value: plain ? value : copied(value, node?.origin ?? { node: name, operator: "" }) };
  });
  return { ...graph, nodes, outputs: named };
}

/** Nodes of a body are for what their scan is for. */
function withPhase(body: Graph, { phase }: Origin): Graph {
  return phase === undefined ? body : { ...body, nodes: body.nodes.map((node) => ({ ...node, origin: { ...node.origin, phase } })) };
}

/** The node as it works on one slice, where it leaves the slices of a sequence apart. */
function onSlice(node: Node | undefined, length: number): Pick<Node, "op" | "params"> | undefined {
  const inside = (list: readonly number[]): number[] => list.slice(1);
  if (node === undefined || node.inputs[0]?.type.shape[0] !== length || node.outputs[0]!.type.shape[0] !== length) return undefined;
  if (isNode(node, "reshape")) return { op: "reshape", params: { shape: inside(node.params.shape) } };
  if (isNode(node, "transpose")) return node.params.permutation[0] === 0 ? { op: "transpose", params: { permutation: inside(node.params.permutation).map((axis) => axis - 1) } } : undefined;
  if (!isNode(node, "slice") || node.params.strides[0] !== 1) return undefined;
  const { starts, limits, strides } = node.params;
  return { op: "slice", params: { starts: inside(starts), limits: inside(limits), strides: inside(strides) } };
}

class Cutter {
  readonly #graph: Graph;
  readonly #definitions: ReadonlyMap<Value, Node>;
  readonly #parameters: ReadonlyMap<Value, Parameter>;
  readonly #inputNames: ReadonlyMap<Value, string>;
  readonly #levels = new Map<Value, number>();
  /** Values that a part must hand on. */
  readonly #needed = new Set<Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#definitions = definitions(graph);
    this.#parameters = new Map(graph.parameters.map((parameter) => [parameter.value, parameter]));
    this.#inputNames = new Map(graph.inputs.map(({ name, value }) => [value, name]));
    for (const node of graph.nodes) {
      const level = Math.max(0, ...node.inputs.map((value) => this.#level(value))) + (node.op === "scan" ? 1 : 0);
      for (const value of node.outputs) this.#levels.set(value, level);
    }
  }

  run(): CutGraph {
    const { name, inputs, nodes, outputs } = this.#graph;
    const scans = nodes.filter((node) => isNode(node, "scan")).map((node, i) => ({ level: this.#level(node.outputs[0]!) - 1, scan: this.#cutScan(node, `${name}/step${i}`) }));
    for (const { value } of outputs) if (!this.#isStack(this.#root(value))) this.#needed.add(value);
    const last = Math.max(0, ...scans.map(({ level }) => level + 1));
    const parts: CutPart[] = [];
    // What a part reads, earlier ones hand on.
    for (let level = last; level >= 0; level--) parts.unshift(this.#part(level, scans.filter((one) => one.level === level).map(({ scan }) => scan)));
    return { name, inputs, outputs, parts, root: (value) => this.#root(value) };
  }

  #level(value: Value): number {
    return this.#levels.get(value) ?? 0;
  }

  #isOfScan(value: Value): boolean {
    return this.#definitions.get(value)?.op === "scan";
  }

  /** All steps of a result of a scan. */
  #isStack(value: Value): boolean {
    const node = this.#definitions.get(value);
    return isNode(node, "scan") && node.outputs.indexOf(value) >= node.params.carries;
  }

  #root(value: Value): Value {
    const node = this.#definitions.get(value);
    if (node?.op !== "reshape" || this.#needed.has(value)) return value;
    const root = this.#root(node.inputs[0]!);
    const made = this.#definitions.get(root);
    return made === undefined ? (this.#parameters.has(root) ? value : root) : repeated.has(made.op) && !this.#needed.has(root) ? value : root;
  }

  /** A scan or another part reads it. */
  #need(value: Value): void {
    const root = this.#root(value);
    if (this.#definitions.has(root) && !this.#isOfScan(root)) this.#needed.add(root);
  }

  #cutScan(node: Node<"scan">, name: string): CutScan {
    const body = withPhase(node.params.body, node.origin);
    const operands = byRole(node.inputs, node.params);
    const slices = byRole(body.inputs.map(({ value }) => value.type), node.params);
    const b = new GraphBuilder();
    const consts: { name: string; value: Value }[] = [];
    const known = new Map<Value, Value>();
    const made = (value: Value): Value => {
      const before = known.get(value);
      if (before !== undefined) return before;
      const result = this.#inStep(b, value, made, (constant) => {
        const input = this.#freeName(`k${consts.length}`);
        consts.push({ name: input, value: constant });
        this.#need(constant);
        return b.input(input, constant.type);
      });
      known.set(value, result);
      return result;
    };
    const given = operands.consts.map(made);
    const states = slices.carries.map((type, i) => b.input(this.#freeName(`s${i}`), type));
    const sequences: Value[] = [];
    const taken = operands.sequences.map((value) => this.#inSlice(b, value, node.params.length, (sequence) => {
      sequences.push(sequence);
      return b.input(this.#freeName(`x${sequences.length - 1}`), { dtype: sequence.type.dtype, shape: sequence.type.shape.slice(1) });
    }));
    const declared = [...states, ...taken];
    const operandsInside = [...given, ...declared];
    const results = inlineBody(b, body, operandsInside);
    b.setOrigin(node.origin);
    results.forEach((value, i) => {
      const isMoved = operandsInside.includes(value) || results.indexOf(value) < i;
      b.output(i < node.params.carries ? `s${i}` : `y${i - node.params.carries}`, isMoved ? b.apply("copy", [value], {}) : value);
    });
    for (const value of operands.carries) this.#needed.add(value);
    for (const value of sequences) this.#need(value);
    return { node, carries: operands.carries, sequences, step: b.build(name), consts };
  }

  /** The slice of a sequence in the graph of its step. */
  #inSlice(b: GraphBuilder, value: Value, length: number, input: (sequence: Value) => Value): Value {
    const node = this.#definitions.get(value);
    const inner = this.#parameters.has(node?.inputs[0] ?? value) ? undefined : onSlice(node, length);
    if (inner === undefined) return input(value);
    const operand = this.#inSlice(b, node!.inputs[0]!, length, input);
    b.setOrigin(node!.origin);
    return b.apply(inner.op, [operand], inner.params);
  }

  /** A constant of a scan in the graph of its step: made there, a parameter, or an input. */
  #inStep(b: GraphBuilder, value: Value, inputs: (value: Value) => Value, input: (value: Value) => Value): Value {
    const parameter = this.#parameters.get(value);
    if (parameter !== undefined) return b.parameter(parameter.name, parameter.tensor);
    const node = this.#definitions.get(value);
    if (node === undefined || !repeated.has(node.op)) return input(value);
    const operands = node.inputs.map(inputs);
    b.setOrigin(node.origin);
    return b.apply(node.op, operands, node.params);
  }

  /** Parameters keep their names in parts and steps. */
  #freeName(name: string): string {
    return this.#graph.parameters.some((parameter) => parameter.name === name) ? this.#freeName(`${name}'`) : name;
  }

  #part(level: number, scans: readonly CutScan[]): CutPart {
    const given = [...this.#needed].filter((value) => this.#level(value) === level);
    const inside = new Set<Node>();
    const reads = new Map<Value, string>();
    const visit = (value: Value): void => {
      const node = this.#definitions.get(value);
      const earlier = this.#level(value) < level;
      if (node !== undefined && node.op !== "scan" && (!earlier || (repeated.has(node.op) && !this.#needed.has(value)))) {
        if (inside.has(node)) return;
        inside.add(node);
        node.inputs.forEach(visit);
      } else if (!this.#parameters.has(value)) {
        if (node !== undefined && node.op !== "scan") this.#needed.add(value);
        reads.set(value, this.#inputNames.get(value) ?? this.#freeName(`%${value.id}`));
      }
    };
    given.forEach(visit);
    const inputs = [...reads].map(([value, name]) => ({ name, value }));
    const gives = given.map((value) => ({ name: `%${value.id}`, value }));
    const nodes = this.#graph.nodes.filter((node) => inside.has(node));
    const read = new Set(nodes.flatMap((node) => node.inputs));
    return {
      graph: { name: `${this.#graph.name}/part${level}`, inputs, parameters: this.#graph.parameters.filter(({ value }) => read.has(value)), nodes, outputs: gives },
      reads: inputs, gives, scans,
    };
  }
}
