/**
 * @file Sparse initialisation (Martens 2010): each unit gets few incoming weights, normally distributed, and all others 0; biases are 0. What a unit is, the graph
 * says: elements of a parameter are followed through movement to the contractions that read them, where contracted axes count what comes in and the others
 * count units. A parameter that reaches no contraction and is not added to anything stays as it is.
 */
import { elementCount, functions, randomBits, tensor, type Tensor } from "@systole/base";
import { definitions, evaluatePrimitive, isNode, uses, type Graph, type Node, type Value } from "@systole/ir";

export interface SparseOptions {
  /** Random weights of a unit; 15 when missing. */
  readonly incoming?: number;
  /**
   * As published for recurrent networks: weights are divided by the root of their number, those that read the data are a quarter of that. Otherwise
   * weights of a tanh layer, and those behind one, are halved, and biases of tanh layers are 0.5.
   */
  readonly recurrent?: boolean;
}

/** New values of parameters, by name. The same seed gives the same values on every host. */
export function sparseInitialisation(network: Graph, trained: readonly string[], seed: bigint, { incoming = 15, recurrent = false }: SparseOptions = {}): ReadonlyMap<string, Tensor> {
  const { weights, biases } = new Tracer(network, trained).run();
  const random = new Random(seed);
  const result = new Map<string, Tensor>();
  for (const { name, tensor: old } of network.parameters) {
    if (!trained.includes(name)) continue;
    const units = weights.filter((one) => one.name === name);
    if (units.length > 0) result.set(name, { ...old, data: drawn(old, units, random, incoming, recurrent) });
    else if (biases.has(name)) result.set(name, tensor(old.dtype, old.shape, new Float64Array(elementCount(old.shape)).fill(!recurrent && biases.get(name) === "tanh" ? 0.5 : 0)));
  }
  return result;
}

function drawn(old: Tensor, units: readonly Unit[], random: Random, incoming: number, recurrent: boolean): Tensor["data"] {
  const data = new Float64Array(elementCount(old.shape));
  const taken = new Uint8Array(data.length);
  for (const { elements, activation, source, readsData } of units) {
    const scale = recurrent ? (readsData ? 0.25 : 1) / Math.sqrt(incoming) : (activation === "tanh" ? 0.5 : 1) * (source === "tanh" ? 0.5 : 1);
    // An element that two contractions read belongs to the first.
    const free = elements.filter((element) => taken[element] === 0);
    for (const element of free) taken[element] = 1;
    for (const element of random.chosen(free, incoming)) data[element] = scale * random.normal();
  }
  return tensor(old.dtype, old.shape, data).data;
}

class Random {
  readonly #seed: bigint;
  #count = 0;

  constructor(seed: bigint) {
    this.#seed = seed;
  }

  /** In [0, 1). */
  #uniform(): number {
    return (randomBits(this.#seed, this.#count++) >>> 0) / 4294967296;
  }

  /** Box and Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * functions.log(1 - this.#uniform()));
    return radius * functions.cos(2 * Math.PI * this.#uniform());
  }

  /** `count` of the items, or all, none twice. */
  chosen(items: readonly number[], count: number): number[] {
    const rest = [...items];
    for (let i = 0; i < Math.min(count, rest.length); i++) {
      const j = i + Math.floor(this.#uniform() * (rest.length - i));
      [rest[i], rest[j]] = [rest[j]!, rest[i]!];
    }
    return rest.slice(0, count);
  }
}

/** What one unit of a layer reads. */
interface Unit {
  readonly name: string;
  /** Of the parameter. */
  readonly elements: readonly number[];
  /** The function behind the unit, and the one that made what it reads: names of primitives. */
  readonly activation: string | undefined;
  readonly source: string | undefined;
  readonly readsData: boolean;
}

/** Where the elements of a value come from. */
interface Source {
  /** Parameters; or the data. */
  readonly names: ReadonlySet<string>;
  /** The number of each element among those of all parameters, -1 for others; undefined where nobody needs it. */
  readonly numbers: Tensor | undefined;
}

/** Stands for all inputs of the network. */
const dataName = "";
const movement: ReadonlySet<string> = new Set(["reshape", "transpose", "slice", "reverse", "concat"]);
const identity: ReadonlySet<string> = new Set(["copy", "convert", "stop_gradient"]);
const passing: ReadonlySet<string> = new Set([...movement, ...identity, "broadcast", "add", "sub"]);

class Tracer {
  readonly weights: Unit[] = [];
  /** Parameters that are added to something, and the function behind the sum. */
  readonly biases = new Map<string, string | undefined>();
  readonly #graph: Graph;
  readonly #offsets: readonly { readonly name: string; readonly first: number }[];

  constructor(graph: Graph, trained: readonly string[]) {
    this.#graph = graph;
    let first = 0;
    this.#offsets = graph.parameters.filter(({ name }) => trained.includes(name)).map(({ name, tensor: { shape } }) => {
      const offset = { name, first };
      first += elementCount(shape);
      return offset;
    });
  }

  run(): this {
    const sources = new Map<Value, Source>(this.#graph.inputs.map(({ value }) => [value, { names: new Set([dataName]), numbers: undefined }]));
    for (const { name, first } of this.#offsets) {
      const { value } = this.#graph.parameters.find((parameter) => parameter.name === name)!;
      const data = Int32Array.from({ length: elementCount(value.type.shape) }, (_, i) => first + i);
      sources.set(value, { names: new Set([name]), numbers: { dtype: "i32", shape: value.type.shape, data } });
    }
    this.#trace(this.#graph, sources);
    return this;
  }

  #trace(graph: Graph, sources: Map<Value, Source>): void {
    const surroundings = { readers: uses(graph), makers: definitions(graph) };
    for (const node of graph.nodes) {
      const given = node.inputs.map((value) => sources.get(value));
      if (given.every((source) => source === undefined)) continue;
      if (movement.has(node.op)) sources.set(node.outputs[0]!, moved(node, given));
      else if (identity.has(node.op)) sources.set(node.outputs[0]!, given[0]!);
      else if (node.op === "broadcast") sources.set(node.outputs[0]!, { names: given[0]!.names, numbers: undefined });
      else if (node.op === "add" || node.op === "sub") this.#added(node, given, surroundings);
      else if (isNode(node, "dot") || isNode(node, "conv")) this.#contraction(node, given, surroundings);
      else if (isNode(node, "scan")) {
        const { body, consts, carries } = node.params;
        // What is carried changes from step to step.
        const known = body.inputs.flatMap(({ value }, i): [Value, Source][] => (given[i] === undefined || (i >= consts && i < consts + carries) ? [] : [[value, i < consts ? given[i]! : { ...given[i]!, numbers: undefined }]]));
        this.#trace(body, new Map(known));
      }
    }
  }

  #added(node: Node, given: readonly (Source | undefined)[], surroundings: Surroundings): void {
    const activation = functionBehind(node.outputs[0]!, surroundings);
    for (const name of given.flatMap((source) => [...(source?.names ?? [])])) if (name !== dataName && !this.biases.has(name)) this.biases.set(name, activation);
  }

  #contraction(node: Node<"dot"> | Node<"conv">, given: readonly (Source | undefined)[], surroundings: Surroundings): void {
    given.forEach((source, operand) => {
      if (source?.numbers === undefined) return;
      const other = node.inputs[1 - operand]!;
      const labels = operand === 0 ? node.params.x : node.params.w;
      const common = { activation: functionBehind(node.outputs[0]!, surroundings), source: functionBefore(other, surroundings), readsData: given[1 - operand]?.names.has(dataName) === true };
      for (const numbers of byUnit(source.numbers, labels, node.params.k)) {
        for (const { name, first } of this.#offsets) {
          if (!source.names.has(name)) continue;
          const count = elementCount(this.#graph.parameters.find((parameter) => parameter.name === name)!.tensor.shape);
          const elements = numbers.filter((number) => number >= first && number < first + count).map((number) => number - first);
          if (elements.length > 0) this.weights.push({ name, elements, ...common });
        }
      }
    });
  }
}

interface Surroundings {
  readonly readers: ReadonlyMap<Value, readonly Node[]>;
  readonly makers: ReadonlyMap<Value, Node>;
}

function moved(node: Node, given: readonly (Source | undefined)[]): Source {
  const names = new Set(given.flatMap((source) => [...(source?.names ?? [])]));
  if (given.every((source) => source?.numbers === undefined)) return { names, numbers: undefined };
  const operands = node.inputs.map(({ type: { shape } }, i): Tensor => given[i]?.numbers ?? { dtype: "i32", shape, data: new Int32Array(elementCount(shape)).fill(-1) });
  return { names, numbers: evaluatePrimitive(node.op, operands, node.params, "device")[0]! };
}

/** The numbers that belong together: all labels that are not contracted are the same. */
function byUnit({ data, shape }: Tensor, labels: string, contracted: string): number[][] {
  const units = new Map<number, number[]>();
  for (let i = 0; i < data.length; i++) {
    let unit = 0;
    for (let axis = 0, rest = i, stride = data.length; axis < shape.length; axis++) {
      stride /= shape[axis]!;
      const at = Math.floor(rest / stride);
      rest %= stride;
      if (!contracted.includes(labels[axis]!)) unit = unit * shape[axis]! + at;
    }
    const numbers = units.get(unit);
    if (numbers === undefined) units.set(unit, [Number(data[i])]);
    else numbers.push(Number(data[i]));
  }
  return [...units.values()];
}

/** The first primitive behind a value that does more than to move it and to add to it. */
function functionBehind(value: Value, surroundings: Surroundings): string | undefined {
  const [reader] = surroundings.readers.get(value) ?? [];
  if (reader === undefined) return undefined;
  return passing.has(reader.op) ? functionBehind(reader.outputs[0]!, surroundings) : reader.op;
}

/** The primitive that made a value, but for movement. */
function functionBefore(value: Value, surroundings: Surroundings): string | undefined {
  const maker = surroundings.makers.get(value);
  if (maker === undefined) return undefined;
  return movement.has(maker.op) || identity.has(maker.op) ? functionBefore(maker.inputs[0]!, surroundings) : maker.op;
}
