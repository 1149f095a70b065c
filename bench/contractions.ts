/**
 * @file What derivatives must cost in multiply-adds. A contraction is done once in the forward run; the gradient adds one for every operand that depends on
 * parameters (its cotangent), a product two (its tangent and its cotangent): 3 and 4 in a dense layer, 2 and 2 in the first.
 */
import { elementCount } from "@systole/base";
import { isNode, type Graph, type Node, type Value } from "@systole/ir";

export interface Floors {
  readonly gradient: number;
  /** The product alone. */
  readonly product: number;
}

/** Of a network whose parameters are still parameters. */
export function floorsOf(graph: Graph, parameters: readonly string[]): Floors {
  const moving = new Set<Value>(graph.parameters.filter(({ name }) => parameters.includes(name)).map(({ value }) => value));
  const floors = { gradient: 0, product: 0 };
  for (const node of graph.nodes) {
    const dependent = node.inputs.filter((value) => moving.has(value)).length;
    if (dependent > 0 && node.op !== "stop_gradient") for (const value of node.outputs) moving.add(value);
    const macs = multiplyAdds(node);
    floors.gradient += macs * (1 + dependent);
    floors.product += macs * 2 * dependent;
  }
  return floors;
}

/** The letters and digits of k all stand in the second operand. */
function multiplyAdds(node: Node): number {
  if (!isNode(node, "dot") && !isNode(node, "conv")) return 0;
  const { w, k } = node.params;
  const { shape } = node.inputs[1]!.type;
  return [...k].reduce((product, letter) => product * shape[w.indexOf(letter)]!, elementCount(node.outputs[0]!.type.shape));
}
