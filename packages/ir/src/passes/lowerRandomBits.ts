/**
 * @file random-bits: Threefry-2x32 as elementwise operations on 32-bit integers, bit for bit `threefry2x32` of base; the counter is the row-major index inside the block of a seed.
 * The vector unit shifts with the sign, so that a rotation masks what comes in from above.
 */
import { elementCount, fail, pass, threefryParity, threefryRotations, threefryRounds } from "@systole/base";
import { isNode, type Graph, type Node, type Value } from "../graph.ts";
import { add, binary, filled, reshapeTo } from "../primitives/emit.ts";
import type { Emit } from "../primitives/primitive.ts";
import { rewriteGraph } from "./rewrite.ts";

/** Of one seed: the second word of a counter stays 0. */
const mostElements = 2 ** 31;

export const lowerRandomBits = pass<Graph>("random-bits", "Writes random bits out as elementwise operations on integers.", (graph) =>
  rewriteGraph(graph, (node, r) => {
    if (!isNode(node, "random_bits")) return undefined;
    const applyAll: Emit["applyAll"] = (op, inputs, params) => r.emit(op, inputs, params, node.origin);
    return [bits({ applyAll, apply: (op, inputs, params) => applyAll(op, inputs, params)[0]!, constant: (value) => applyAll("constant", [], { value })[0]! }, node)];
  }),
);

function bits(b: Emit, { inputs: [seeds], params: { shape }, origin }: Node<"random_bits">): Value {
  const [seedCount, block] = [elementCount(seeds!.type.shape), elementCount(shape.slice(seeds!.type.shape.length))];
  if (block >= mostElements) fail("E0303", `${block} random numbers of one seed`, { node: origin.node, operator: origin.operator }, [`The device makes fewer than ${mostElements}.`]);
  const word = (value: Value): Value => b.apply("convert", [value], { dtype: "i32" });
  const [low, high] = [word(seeds!), word(binary(b, "shr", seeds!, filled(b, seeds!.type, 32)))];
  const keys = [low, high, binary(b, "xor", binary(b, "xor", low, high), filled(b, low.type, threefryParity))].map((key) => b.apply("broadcast", [reshapeTo(b, key, [seedCount])], { shape: [seedCount, block], axes: [0] }));
  let x0 = add(b, b.apply("iota", [], { dtype: "i32", shape: [seedCount, block], axis: 1 }), keys[0]!);
  let x1 = keys[1]!;
  for (let round = 0; round < threefryRounds; round++) {
    x0 = add(b, x0, x1);
    x1 = binary(b, "xor", rotated(b, x1, threefryRotations[round % 8]!), x0);
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    x0 = add(b, x0, keys[injection % 3]!);
    x1 = add(b, add(b, x1, keys[(injection + 1) % 3]!), filled(b, x1.type, injection));
  }
  return reshapeTo(b, x0, shape);
}

function rotated(b: Emit, x: Value, by: number): Value {
  const like = (value: number): Value => filled(b, x.type, value);
  const low = binary(b, "and", binary(b, "shr", x, like(32 - by)), like(2 ** by - 1));
  return binary(b, "or", binary(b, "shl", x, like(by)), low);
}
