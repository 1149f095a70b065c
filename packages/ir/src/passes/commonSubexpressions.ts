/** @file common-subexpressions: of nodes with the same primitive, operands and parameters only the first stays. */
import { formatType, pass, sameShape, type Tensor } from "@systole/base";
import type { Graph, Node } from "../graph.ts";
import { isNode } from "../graph.ts";
import { rewriteGraph } from "./rewrite.ts";

export const commonSubexpressions = pass<Graph>("common-subexpressions", "Computes equal nodes once.", (graph) => {
  const seen = new Map<string, Node[]>();
  return rewriteGraph(graph, (node) => {
    const key = keyOf(node);
    const candidates = seen.get(key) ?? [];
    const first = candidates.find((other) => sameConstant(node, other));
    if (first !== undefined) return first.outputs;
    seen.set(key, [...candidates, node]);
    return undefined;
  });
});

function keyOf(node: Node): string {
  if (isNode(node, "constant")) return `constant ${formatType(node.params.value)} ${checksum(node.params.value)}`;
  return JSON.stringify([node.op, node.inputs.map((value) => value.id), node.params]);
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** FNV-1a; equality is checked on the bytes. */
function checksum(tensor: Tensor): number {
  return bytesOf(tensor).reduce((hash, byte) => Math.imul(hash ^ byte, 16777619), 2166136261);
}

function sameConstant(a: Node, b: Node): boolean {
  if (!isNode(a, "constant") || !isNode(b, "constant")) return true;
  const [x, y] = [a.params.value, b.params.value];
  if (!sameShape(x.shape, y.shape)) return false;
  const other = bytesOf(y);
  return bytesOf(x).every((byte, i) => byte === other[i]);
}
