/**
 * @file Outputs that go on from inputs: the sums which make up an output start from what the input holds, so that a sum over many micro-batches is one
 * running sum, whatever pieces it is computed in.
 *
 * An output is taken apart through additions, movement and padding with zeros that nothing else uses. Its contractions, its sums and its additions into rows
 * of zeros follow each other, each from the result of the one before. What else it is made of is added at the end.
 */
import { internal } from "@systole/base";
import { definitions, isNode, uses, type Graph, type GraphInput, type Node, type Origin, type Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { inverse } from "../passes/permutation.ts";
import { nextValueId } from "../passes/rewrite.ts";
import { isSplat } from "../passes/splat.ts";
import { inferTypes, type Params, type PrimitiveName } from "../primitives/index.ts";

/** Elements in other places: how a sum of the terms becomes a part of the output, and the other way round. */
interface Movement {
  readonly forth: (value: Value) => Value;
  readonly back: (value: Value) => Value;
}

/** A term of a sum. */
type Term =
  | { readonly kind: "plain"; readonly value: Value }
  /** A node that may start from a value of its result's type. */
  | { readonly kind: "sum"; readonly node: Node; readonly value: Value }
  | { readonly kind: "moved"; readonly movement: Movement; readonly terms: readonly Term[]; readonly value: Value }
  /** Zeros along `axis` but for low..high. */
  | Window;

interface Window {
  readonly kind: "window";
  readonly axis: number;
  readonly low: number;
  readonly high: number;
  readonly terms: readonly Term[];
  readonly value: Value;
}

/** `from`: for names of outputs, the names of the inputs that they go on from. */
export function continueSums(graph: Graph, from: ReadonlyMap<string, string>): Graph {
  const continued = graph.outputs.filter(({ name }) => from.has(name));
  const rewriting = new Continuation(graph);
  const inputs = continued.map(({ name, value }): GraphInput => ({ name: from.get(name)!, value: rewriting.input(value, from.get(name)!) }));
  const totals = new Map(continued.map(({ name, value }, i) => [name, rewriting.total(rewriting.termsOf(value), inputs[i]!.value, { node: name, operator: "accumulate" })]));
  return removeDeadCode({ ...graph, inputs: [...graph.inputs, ...inputs], nodes: rewriting.nodes(), outputs: graph.outputs.map(({ name, value }) => ({ name, value: totals.get(name) ?? value })) });
}

class Continuation {
  readonly #graph: Graph;
  readonly #defined: ReadonlyMap<Value, Node>;
  readonly #useCount = new Map<Value, number>();
  /** Number of the node of the graph behind which a value can be had; -1 for what is there from the start. */
  readonly #places = new Map<Value, number>();
  /** New nodes, by the place of their results. */
  readonly #added = new Map<number, Node[]>();
  #nextId: number;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.#defined = definitions(graph);
    this.#nextId = nextValueId(graph);
    for (const [value, nodes] of uses(graph)) this.#useCount.set(value, nodes.length);
    for (const { value } of graph.outputs) this.#useCount.set(value, (this.#useCount.get(value) ?? 0) + 1);
    graph.nodes.forEach((node, place) => node.outputs.forEach((value) => this.#places.set(value, place)));
  }

  input({ type }: Value, name: string): Value {
    return { id: this.#nextId++, type, name };
  }

  /** Old and new nodes; as early as their operands allow, so that these need not be kept. */
  nodes(): readonly Node[] {
    return [...(this.#added.get(-1) ?? []), ...this.#graph.nodes.flatMap((node, place) => [node, ...(this.#added.get(place) ?? [])])];
  }

  /** `uses`: how often the value is used as it is here. */
  termsOf(value: Value, uses = 1): readonly Term[] {
    const node = this.#useCount.get(value) === uses ? this.#defined.get(value) : undefined;
    const plain: Term = { kind: "plain", value };
    if (node === undefined) return [plain];
    if (isNode(node, "add")) return node.inputs.flatMap((operand) => this.termsOf(operand));
    // What a contraction goes on from is a term of its own.
    if (this.#isSum(node)) return [...initialSums(node).flatMap((initial) => this.termsOf(initial)), { kind: "sum", node, value }];
    const window = this.#windowOf(node);
    if (window !== undefined) return [{ ...window, terms: this.termsOf(node.inputs[0]!) }];
    const movement = this.#movementOf(node);
    const terms = movement === undefined ? [] : this.termsOf(node.inputs[0]!);
    return movement === undefined || terms.every(({ kind }) => kind === "plain") ? [plain] : [{ kind: "moved", movement, terms, value }];
  }

  /** `initial` plus all terms. */
  total(terms: readonly Term[], initial: Value, origin: Origin): Value {
    const windows = terms.filter((term) => term.kind === "window").sort((a, b) => a.low - b.low);
    const blocks = this.#blocksOf(windows, origin);
    const joins = blocks === undefined && isApart(windows) && windows.some((window) => window.terms.some(({ kind }) => kind !== "plain"));
    const running = [...terms.filter(({ kind }) => kind === "sum" || kind === "moved"), ...(blocks === undefined ? [] : [blocks])].sort((a, b) => this.#place(a) - this.#place(b));
    const plain = terms.filter(({ kind }) => kind === "plain" || (kind === "window" && blocks === undefined && !joins));
    const summed = running.reduce((sum, term) => this.#continued(term, sum, origin), joins ? this.#join(windows, initial, origin) : initial);
    return plain.reduce((sum, { value }) => this.#emit("add", [sum, value], {}, origin), summed);
  }

  #continued(term: Term, sum: Value, origin: Origin): Value {
    if (term.kind === "sum") return this.#emit(term.node.op, withInitial(term.node, sum), term.node.params, term.node.origin);
    if (term.kind !== "moved") return internal(`${term.kind} is no running sum`);
    return term.movement.forth(this.total(term.terms, term.movement.back(sum), origin));
  }

  /** Slices of one value that change places and fill the whole, as those of recurrent weights whose gates are in another order. */
  #blocksOf(windows: readonly Window[], origin: Origin): Term | undefined {
    const slices = windows.flatMap(({ terms, axis }) => {
      const node = terms.length === 1 && terms[0]!.kind === "plain" ? this.#defined.get(terms[0]!.value) : undefined;
      return isNode(node, "slice") && isAlong(node, axis) ? [node] : [];
    });
    const [source, axis] = [slices[0]?.inputs[0], windows[0]?.axis];
    if (source === undefined || axis === undefined || slices.length !== windows.length || slices.some((slice) => slice.inputs[0] !== source)) return undefined;
    const places = windows.map(({ low, high }, i) => ({ low, high, from: slices[i]!.params.starts[axis]!, to: slices[i]!.params.limits[axis]! }));
    const back = [...places].sort((a, b) => a.from - b.from);
    const fills = (bounds: readonly (readonly [number, number])[], extent: number) => bounds.every(([low], i) => low === (i === 0 ? 0 : bounds[i - 1]![1])) && bounds.at(-1)![1] === extent;
    const whole = fills(places.map(({ low, high }) => [low, high]), windows[0]!.value.type.shape[axis]!) && fills(back.map(({ from, to }) => [from, to]), source.type.shape[axis]!);
    if (!whole || windows.some((window) => window.axis !== axis)) return undefined;
    const terms = this.termsOf(source, windows.length);
    if (terms.every(({ kind }) => kind === "plain")) return undefined;
    const joined = (value: Value, bounds: readonly (readonly [number, number])[]) => this.#emit("concat", bounds.map(([low, high]) => this.#piece(value, axis, low, high, origin)), { axis }, origin);
    return { kind: "moved", terms, value: source, movement: { forth: (value) => joined(value, places.map(({ from, to }) => [from, to])), back: (value) => joined(value, back.map(({ low, high }) => [low, high])) } };
  }

  /** The pieces of `initial` go on on their own. */
  #join(windows: readonly Window[], initial: Value, origin: Origin): Value {
    const { axis } = windows[0]!;
    const extent = initial.type.shape[axis]!;
    const piece = (low: number, high: number): readonly Value[] => (low < high ? [this.#piece(initial, axis, low, high, origin)] : []);
    let done = 0;
    const pieces = windows.flatMap(({ low, high, terms }) => {
      const before = piece(done, low);
      done = high;
      return [...before, ...piece(low, high).map((start) => this.total(terms, start, origin))];
    });
    return this.#emit("concat", [...pieces, ...piece(done, extent)], { axis }, origin);
  }

  #piece(value: Value, axis: number, low: number, high: number, origin: Origin): Value {
    const { shape } = value.type;
    return this.#emit("slice", [value], { starts: shape.map((_, a) => (a === axis ? low : 0)), limits: shape.with(axis, high), strides: shape.map(() => 1) }, origin);
  }

  #isSum(node: Node): boolean {
    if (isContraction(node)) return true;
    if (isNode(node, "reduce")) return node.params.kind === "sum" && node.inputs.length === 1;
    return isNode(node, "scatter") && node.params.kind === "add" && this.#isZero(node.inputs[0]!);
  }

  #isZero(value: Value): boolean {
    return isSplat(value, 0, { definition: (one) => this.#defined.get(one) });
  }

  #windowOf(node: Node): Omit<Window, "terms"> | undefined {
    if (!isNode(node, "pad") || !this.#isZero(node.inputs[1]!)) return undefined;
    const { low, high, interior } = node.params;
    const { shape } = node.inputs[0]!.type;
    const axes = shape.map((_, axis) => axis).filter((axis) => low[axis] !== 0 || high[axis] !== 0);
    const [axis] = axes;
    const extending = [...low, ...high].every((amount) => amount >= 0) && interior.every((amount) => amount === 0);
    if (axis === undefined || axes.length > 1 || !extending) return undefined;
    return { kind: "window", axis, low: low[axis]!, high: low[axis]! + shape[axis]!, value: node.outputs[0]! };
  }

  #place({ value }: Term): number {
    return this.#places.get(value) ?? -1;
  }

  #movementOf(node: Node): Movement | undefined {
    const moved = (op: "reshape" | "transpose" | "reverse", params: Params<typeof op>) => (value: Value) => this.#emit(op, [value], params, node.origin);
    if (isNode(node, "transpose")) return { forth: moved("transpose", node.params), back: moved("transpose", { permutation: inverse(node.params.permutation) }) };
    if (isNode(node, "reverse")) return { forth: moved("reverse", node.params), back: moved("reverse", node.params) };
    return isNode(node, "reshape") ? { forth: moved("reshape", node.params), back: moved("reshape", { shape: node.inputs[0]!.type.shape }) } : undefined;
  }

  #emit(op: PrimitiveName, inputs: readonly Value[], params: Params<PrimitiveName>, origin: Origin): Value {
    const [type] = inferTypes(op, inputs.map((value) => value.type), params);
    const value: Value = { id: this.#nextId++, type: type! };
    const place = inputs.reduce((last, input) => Math.max(last, this.#places.get(input) ?? -1), -1);
    this.#places.set(value, place);
    this.#added.set(place, [...(this.#added.get(place) ?? []), { op, inputs, params, outputs: [value], origin }]);
    return value;
  }
}

/** Whether windows that are sorted lie side by side on one axis. */
function isApart(windows: readonly Window[]): boolean {
  return windows.every(({ axis, low }, i) => axis === windows[0]!.axis && (i === 0 || windows[i - 1]!.high <= low));
}

/** Whether whole neighbouring pieces along one axis are taken. */
function isAlong({ inputs, params }: Node<"slice">, axis: number): boolean {
  return inputs[0]!.type.shape.every((extent, a) => params.strides[a] === 1 && (a === axis || (params.starts[a] === 0 && params.limits[a] === extent)));
}

function isContraction({ op }: Node): boolean {
  return op === "dot" || op === "conv";
}

/** What a contraction goes on from already. */
function initialSums(node: Node): readonly Value[] {
  return isContraction(node) ? node.inputs.slice(2) : [];
}

function withInitial(node: Node, initial: Value): readonly Value[] {
  return node.op === "scatter" ? [initial, ...node.inputs.slice(1)] : [...(isContraction(node) ? node.inputs.slice(0, 2) : node.inputs), initial];
}
