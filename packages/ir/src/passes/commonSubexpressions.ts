/** @file common-subexpressions: of nodes with the same primitive, operands and parameters only the first stays. */
import { formatType, pass, sameShape, type Tensor } from "@systole/base";
import { bodiesOf, isNode, type Graph, type Node } from "../graph.ts";
import { printNode } from "../text/print.ts";
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
  // Bodies are compared by what they say, and what of them comes from where is no part of that.
  if (bodiesOf(node).length > 0) return printNode({ ...node, outputs: [], origin: { node: "", operator: "" } });
  return JSON.stringify([node.op, node.inputs.map((value) => value.id), node.params]);
}

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** At most this many bytes, evenly spread, enter the checksum; equality is decided on all of them. */
const sampledBytes = 1024;

const checksums = new WeakMap<Tensor, number>();

/** FNV-1a over a sample, kept: constants are as large as the model and the pass runs more than once. */
function checksum(tensor: Tensor): number {
  const known = checksums.get(tensor);
  if (known !== undefined) return known;
  const bytes = bytesOf(tensor);
  // An odd step visits every byte position of an element.
  const step = Math.max(1, Math.floor(bytes.length / sampledBytes)) | 1;
  let hash = 2166136261;
  for (let i = 0; i < bytes.length; i += step) hash = Math.imul(hash ^ bytes[i]!, 16777619);
  checksums.set(tensor, hash);
  return hash;
}

function sameConstant(a: Node, b: Node): boolean {
  if (!isNode(a, "constant") || !isNode(b, "constant")) return true;
  const [x, y] = [a.params.value, b.params.value];
  if (x === y) return true;
  if (!sameShape(x.shape, y.shape)) return false;
  const [p, q] = [bytesOf(x), bytesOf(y)];
  for (let i = 0; i < p.length; i++) if (p[i] !== q[i]) return false;
  return true;
}
