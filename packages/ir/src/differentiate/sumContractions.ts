/**
 * @file Sums of contractions of the same form: the second goes on from what the first has made, as if its terms stood behind those of the first. They are the
 * tangent of a layer, W dx + dW x, and the cotangent of a value that several layers read. The device then keeps the sums where it makes them.
 */
import { sameShape } from "@systole/base";
import { isNode, mapBodies, uses, type Graph, type Node, type Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";
import { rewriteGraph } from "../passes/rewrite.ts";

/** For derived graphs: it changes roundings. In bodies too. */
export function sumContractions(graph: Graph): Graph {
  const inside = mapBodies(graph, sumContractions);
  const useCount = new Map([...uses(inside)].map(([value, nodes]): [Value, number] => [value, nodes.length]));
  for (const { value } of inside.outputs) useCount.set(value, (useCount.get(value) ?? 0) + 1);
  const rewritten = rewriteGraph(inside, (node, { definition, emit }) => {
    if (!isNode(node, "add")) return undefined;
    const [first, second] = node.inputs.map((value) => (useCount.get(value) === 1 ? contraction(definition(value)) : undefined));
    if (first === undefined || second?.inputs.length !== 2 || !haveSameForm(first, second)) return undefined;
    const sums = emit(second.op, [...second.inputs, first.outputs[0]!], second.params, second.origin, node.outputs[0]!.name);
    // What was the sum's is the contraction's now.
    useCount.set(sums[0]!, useCount.get(node.outputs[0]!) ?? 0);
    return sums;
  });
  return rewritten === graph ? graph : removeDeadCode(rewritten);
}

function contraction(node: Node | undefined): Node<"dot"> | Node<"conv"> | undefined {
  return isNode(node, "dot") || isNode(node, "conv") ? node : undefined;
}

function haveSameForm(a: Node, b: Node): boolean {
  const sameTypes = [0, 1].every((i) => a.inputs[i]!.type.dtype === b.inputs[i]!.type.dtype && sameShape(a.inputs[i]!.type.shape, b.inputs[i]!.type.shape));
  return a.op === b.op && sameTypes && JSON.stringify(a.params) === JSON.stringify(b.params);
}
