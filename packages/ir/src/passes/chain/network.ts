/**
 * @file Finds chains: products of factors, written as `dot` and as `mul` with a repeated operand (a diagonal or a scalar), whose
 * intermediate results nothing else uses. An axis of the chain is a number; a factor carries one for each of its own axes. An
 * axis that several factors carry and the result does not is summed over; a diagonal carries the axis that runs past it.
 */
import { elementCount } from "@systole/base";
import { isNode, type Graph, type Node, type Value } from "../../graph.ts";

export interface Factor {
  readonly value: Value;
  readonly axes: readonly number[];
  /** The nodes of the chain as written above this factor, the result's first. */
  readonly path: readonly Node[];
}

/** A bracket around the factors first..last; without parts it is one factor. */
export interface Bracket {
  readonly first: number;
  readonly last: number;
  readonly parts?: readonly [Bracket, Bracket];
}

export interface Chain {
  /** The node that computes the result as written. */
  readonly root: Node;
  readonly out: readonly number[];
  readonly factors: readonly Factor[];
  readonly extents: readonly number[];
  readonly written: Bracket;
}

type Tree = { readonly factor: Factor } | { readonly left: Tree; readonly right: Tree };

interface Facts {
  readonly definitions: ReadonlyMap<Value, Node>;
  /** Used by one operand of one node and no output. */
  readonly single: (value: Value) => boolean;
}

/** Chains of three or more factors with a contraction, from the end of the graph to its start; no node is in two. */
export function findChains(graph: Graph): readonly Chain[] {
  const facts = factsOf(graph);
  const absorbed = new Set<Node>();
  const chains: Chain[] = [];
  for (const root of graph.nodes.toReversed()) {
    if (absorbed.has(root) || !isProduct(root, facts)) continue;
    const chain = chainAt(root, facts);
    for (const { path } of chain.factors) for (const node of path) absorbed.add(node);
    if (chain.factors.length > 2 && chain.factors.some(({ path }) => path.some((node) => node.op === "dot"))) chains.push(chain);
  }
  return chains;
}

function factsOf(graph: Graph): Facts {
  const counts = new Map<Value, number>();
  const definitions = new Map<Value, Node>();
  for (const value of [...graph.outputs.map((output) => output.value), ...graph.outputs.map((output) => output.value), ...graph.nodes.flatMap((node) => node.inputs)]) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  for (const node of graph.nodes) for (const value of node.outputs) definitions.set(value, node);
  return { definitions, single: (value) => counts.get(value) === 1 };
}

function chainAt(root: Node, facts: Facts): Chain {
  const extents: number[] = [...root.outputs[0]!.type.shape];
  const out = extents.map((_, axis) => axis);
  const tree = productTree(root, out, [], { ...facts, extents });
  const mirrored = mirror(tree);
  const turned = transposedCount(factorsOf(mirrored)) < transposedCount(factorsOf(tree)) ? mirrored : tree;
  return { root, out, factors: factorsOf(turned), extents, written: bracket(turned, 0) };
}

interface Growing extends Facts {
  /** By axis of the chain; grows as contracted axes are met. */
  readonly extents: number[];
}

function isProduct(node: Node | undefined, facts: Facts): node is Node {
  if (node?.op === "mul") return repeatedOperands(node, facts) !== undefined;
  // With initial sums it is no product.
  return node?.op === "dot" && node.inputs.length === 2;
}

/** What a `mul` multiplies, by axes of the result: undefined where both operands have all axes, which is no product of matrices. */
function repeatedOperands(node: Node, { definitions }: Facts): readonly { readonly value: Value; readonly axes: readonly number[] }[] | undefined {
  const { shape } = node.outputs[0]!.type;
  const all = shape.map((_, axis) => axis);
  const operands = node.inputs.map((value) => {
    const source = definitions.get(value);
    if (!isNode(source, "broadcast")) return { value, axes: all };
    const { axes } = source.params;
    const repeatsWholeAxes = source.inputs[0]!.type.shape.every((extent, i) => extent === shape[axes[i]!]);
    return repeatsWholeAxes ? { value: source.inputs[0]!, axes } : { value, axes: all };
  });
  const carried = new Set(operands.flatMap(({ axes }) => axes));
  const diagonal = shape.length === 1 || operands.some(({ axes }) => axes.length < shape.length);
  return diagonal && carried.size === shape.length ? operands : undefined;
}

/** `axes`: those of the chain that the node's result has. */
function productTree(node: Node, axes: readonly number[], above: readonly Node[], g: Growing): Tree {
  const path = [...above, node];
  if (!isNode(node, "dot")) {
    const parts = repeatedOperands(node, g)!.map((operand, i) => ({ ...operand, direct: operand.value === node.inputs[i], chainAxes: operand.axes.map((axis) => axes[axis]!) }));
    const [left, right] = parts.map(({ value, direct, chainAxes }, i) => treeOf(value, chainAxes, path, direct || g.single(node.inputs[i]!), g));
    return join(left!, right!, parts[0]!.chainAxes.filter((axis) => parts[1]!.chainAxes.includes(axis)));
  }
  const { x, w, out, k } = node.params;
  const letters = new Map([...out].map((letter, i) => [letter, axes[i]!]));
  for (const letter of k) letters.set(letter, g.extents.push(node.inputs[0]!.type.shape[x.indexOf(letter)]!) - 1);
  const [left, right] = [x, w].map((labels, i) => treeOf(node.inputs[i]!, [...labels].map((letter) => letters.get(letter)!), path, true, g));
  const common = k === "" ? [...x].filter((letter) => w.includes(letter)) : [...k];
  return join(left!, right!, common.map((letter) => letters.get(letter)!));
}

/** A factor, or the product that computes the value if only this chain uses it (`own`: nothing else uses what lies between). */
function treeOf(value: Value, axes: readonly number[], path: readonly Node[], own: boolean, g: Growing): Tree {
  const node = g.definitions.get(value);
  const mine = own && g.single(value);
  if (isNode(node, "transpose")) {
    const { permutation } = node.params;
    return treeOf(node.inputs[0]!, permutation.map((_, axis) => axes[permutation.indexOf(axis)]!), path, mine, g);
  }
  return mine && isProduct(node, g) ? productTree(node, axes, path, g) : { factor: { value, axes, path } };
}

/** Puts the ends that share an axis next to each other. */
function join(x: Tree, w: Tree, shared: readonly number[]): Tree {
  const orders = [[x, w], [x, mirror(w)], [mirror(x), w], [mirror(x), mirror(w)]] as const;
  const meets = ([left, right]: readonly [Tree, Tree]): boolean => {
    const [a, b] = [factorsOf(left).findLast(({ axes }) => axes.length > 0), factorsOf(right).find(({ axes }) => axes.length > 0)];
    return shared.some((axis) => a?.axes.includes(axis) === true && b?.axes.includes(axis) === true);
  };
  const [left, right] = orders.find(meets) ?? orders[0];
  return { left, right };
}

function mirror(tree: Tree): Tree {
  return "factor" in tree ? tree : { left: mirror(tree.right), right: mirror(tree.left) };
}

function factorsOf(tree: Tree): readonly Factor[] {
  return "factor" in tree ? [tree.factor] : [...factorsOf(tree.left), ...factorsOf(tree.right)];
}

function bracket(tree: Tree, first: number): Bracket {
  if ("factor" in tree) return { first, last: first };
  const left = bracket(tree.left, first);
  const right = bracket(tree.right, left.last + 1);
  return { first, last: right.last, parts: [left, right] };
}

/** A matrix whose columns meet the factor before it, or whose rows meet the one behind. */
export function isTransposed(factors: readonly Factor[], index: number): boolean {
  const { axes } = factors[index]!;
  if (axes.length !== 2) return false;
  const meets = (neighbour: number, side: 0 | 1): boolean => factors[neighbour]?.axes.includes(axes[side]!) === true;
  const straight = Number(meets(index - 1, 0)) + Number(meets(index + 1, 1));
  return Number(meets(index - 1, 1)) + Number(meets(index + 1, 0)) > straight;
}

const transposedCount = (factors: readonly Factor[]): number => factors.filter((_, i) => isTransposed(factors, i)).length;

/** Multiplications that a `dot` or a product of diagonals with these axes takes. */
export function pointsOf(extents: readonly number[], axes: Iterable<number>): number {
  return elementCount([...axes].map((axis) => extents[axis]!));
}
