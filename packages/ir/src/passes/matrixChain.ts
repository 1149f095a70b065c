/**
 * @file matrix-chain: products of three or more factors are bracketed so that they take the fewest multiply-accumulates. That changes
 * roundings, so the pass looks at shapes alone, never at a machine, and is in no list that runs by itself: a model's
 * numbers are those of the order in which it is written.
 */
import { pass } from "@systole/base";
import type { Graph, Node, Value } from "../graph.ts";
import { findChains, isTransposed, type Bracket, type Chain } from "./chain/network.ts";
import { cheapestOrder, macsOf, openAxes } from "./chain/order.ts";
import { removeDeadCode } from "./deadCode.ts";
import { rewriteGraph, type Rewriter } from "./rewrite.ts";

export interface ChainReport {
  /** The ONNX node that the result comes from. */
  readonly node: string;
  /** Names of the factors, `%ID` where a value has none; `W'` is transposed, `diag(d)` a diagonal. */
  readonly factors: readonly string[];
  /** The orders, as `((A B) C)`. */
  readonly before: string;
  readonly after: string;
  readonly macsBefore: number;
  readonly macsAfter: number;
}

export interface ReorderedChains {
  /** The given graph itself where no other order is cheaper. */
  readonly graph: Graph;
  /** All chains, in graph order, also those that stay as they are. */
  readonly chains: readonly ChainReport[];
}

export const matrixChain = pass<Graph>("matrix-chain", "Brackets chains of contractions so that they take the fewest multiply-accumulates; changes roundings.", (graph) => reorderChains(graph).graph);

export function reorderChains(graph: Graph): ReorderedChains {
  const plans = findChains(graph).toReversed().map((chain) => ({ chain, ...planOf(chain) }));
  const nameOf = namesIn(graph);
  const chains = plans.map(({ chain, order, macsBefore, macsAfter }): ChainReport => {
    const factors = chain.factors.map((_, i) => factorText(chain, i, nameOf));
    return { node: chain.root.origin.node, factors, before: bracketText(chain.written, factors), after: bracketText(order, factors), macsBefore, macsAfter };
  });
  const changed = new Map(plans.filter(({ macsAfter, macsBefore }) => macsAfter < macsBefore).map((plan) => [plan.chain.root.outputs[0]!, plan]));
  const replaced = new Map<Value, Value>();
  const rewritten = rewriteGraph(graph, (node, r) => {
    const plan = changed.get(node.outputs[0]!);
    if (plan === undefined) return undefined;
    const value = emitChain(plan.chain, plan.order, r, (factor) => replaced.get(factor) ?? factor);
    replaced.set(node.outputs[0]!, value);
    return [value];
  });
  return { graph: rewritten === graph ? graph : removeDeadCode(rewritten), chains };
}

/** The order as written, unless another one is cheaper. */
function planOf(chain: Chain): { readonly order: Bracket; readonly macsBefore: number; readonly macsAfter: number } {
  const macsBefore = macsOf(chain, chain.written);
  const cheapest = cheapestOrder(chain);
  const macsAfter = macsOf(chain, cheapest);
  return macsAfter < macsBefore ? { order: cheapest, macsBefore, macsAfter } : { order: chain.written, macsBefore, macsAfter: macsBefore };
}

interface Labelled {
  readonly value: Value;
  readonly axes: readonly number[];
}

function emitChain(chain: Chain, order: Bracket, r: Rewriter, resolve: (value: Value) => Value): Value {
  const open = openAxes(chain);
  const emit = (bracket: Bracket): Labelled => {
    if (bracket.parts === undefined) {
      const { value, axes } = chain.factors[bracket.first]!;
      return { value: resolve(value), axes };
    }
    const [left, right] = [emit(bracket.parts[0]), emit(bracket.parts[1])];
    return emitProduct(left, right, bracket === order ? chain.out : undefined, open(bracket.first, bracket.last), placeOf(chain, bracket), r);
  };
  return emit(order).value;
}

/** `wanted`: the axes of the result in their order, where that is not free. */
function emitProduct(left: Labelled, right: Labelled, wanted: readonly number[] | undefined, open: readonly number[], place: Node, r: Rewriter): Labelled {
  const k = left.axes.filter((axis) => right.axes.includes(axis) && !open.includes(axis));
  const scaled = k.length === 0 ? emitScaled(left, right, wanted, place, r) : undefined;
  if (scaled !== undefined) return scaled;
  const kept = [...left.axes, ...right.axes.filter((axis) => !left.axes.includes(axis))].filter((axis) => !k.includes(axis));
  const axes = wanted ?? kept;
  const letters = new Map([...new Set([...left.axes, ...right.axes])].map((axis, i) => [axis, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[i]!]));
  const labels = (list: readonly number[]): string => list.map((axis) => letters.get(axis)!).join("");
  const value = r.emit("dot", [left.value, right.value], { x: labels(left.axes), w: labels(right.axes), out: labels(axes), k: labels(k) }, place.origin)[0]!;
  return { value, axes };
}

/** A diagonal or a scalar times something that has all its axes, in the same order: an elementwise product. */
function emitScaled(left: Labelled, right: Labelled, wanted: readonly number[] | undefined, place: Node, r: Rewriter): Labelled | undefined {
  const [large, small] = left.axes.length >= right.axes.length ? [left, right] : [right, left];
  const positions = small.axes.map((axis) => large.axes.indexOf(axis));
  if (!positions.every((position, i) => position > (positions[i - 1] ?? -1))) return undefined;
  if (wanted !== undefined && wanted.some((axis, i) => axis !== large.axes[i])) return undefined;
  const repeat = (one: Labelled): Value => (one === large || positions.length === large.axes.length ? one.value : r.emit("broadcast", [one.value], { shape: large.value.type.shape, axes: positions }, place.origin)[0]!);
  return { value: r.emit("mul", [repeat(left), repeat(right)], {}, place.origin)[0]!, axes: large.axes };
}

/** The smallest part of the chain as written that contains all factors of the bracket: their work belongs to its ONNX node. */
function placeOf(chain: Chain, { first, last }: Bracket): Node {
  const paths = chain.factors.slice(first, last + 1).map(({ path }) => path);
  return paths[0]!.findLast((node, depth) => paths.every((path) => path[depth] === node))!;
}

function bracketText(bracket: Bracket, factors: readonly string[]): string {
  if (bracket.parts === undefined) return factors[bracket.first]!;
  return `(${bracketText(bracket.parts[0], factors)} ${bracketText(bracket.parts[1], factors)})`;
}

function factorText(chain: Chain, index: number, nameOf: (value: Value) => string): string {
  const { value, axes } = chain.factors[index]!;
  const name = nameOf(value);
  if (isTransposed(chain.factors, index)) return `${name}'`;
  if (axes.length !== 1) return name;
  // A vector ends the chain; an axis that goes on at both sides, or into the result, runs past a diagonal.
  const carries = (from: number, to: number): boolean => chain.factors.slice(from, to).some((factor) => factor.axes.includes(axes[0]!));
  const sides = [carries(0, index), carries(index + 1, chain.factors.length), chain.out.includes(axes[0]!)];
  return sides.filter(Boolean).length > 1 ? `diag(${name})` : name;
}

function namesIn(graph: Graph): (value: Value) => string {
  const named = new Map([...graph.inputs, ...graph.parameters].map(({ name, value }) => [value, name]));
  return (value) => named.get(value) ?? value.name ?? `%${value.id}`;
}
