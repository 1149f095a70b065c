/** @file What nothing reads leaves structured control: results, the carries they alone need, operands that the bodies do not read, dead nodes in bodies. */
import { isNode, type Graph, type Node, type Value } from "../graph.ts";
import { byRole } from "../primitives/scan.ts";

type Prune = (body: Graph) => Graph;

/** The same node where nothing leaves. `prune` removes dead nodes of a body. */
export function pruneControl(node: Node, isLive: (value: Value) => boolean, prune: Prune): Node {
  if (isNode(node, "scan")) return pruneScan(node, isLive, prune);
  return isNode(node, "cond") ? pruneCond(node, isLive, prune) : node;
}

function pruneScan(node: Node<"scan">, isLive: (value: Value) => boolean, prune: Prune): Node {
  const { body, consts, carries } = node.params;
  const carriesIn = byRole(body.inputs, node.params).carries;
  // A carry is needed where its last value is, or where something needed reads it in a step.
  const live = new Set(node.outputs.map((_, i) => i).filter((i) => isLive(node.outputs[i]!)));
  for (let before = -1; before < live.size;) {
    before = live.size;
    const read = valuesRead(prune(withOutputs(body, (i) => live.has(i))));
    carriesIn.forEach(({ value }, i) => { if (read.has(value)) live.add(i); });
  }
  const pruned = prune(withOutputs(body, (i) => live.has(i)));
  const read = valuesRead(pruned);
  const stays = (i: number): boolean => (i >= consts && i < consts + carries ? live.has(i - consts) : read.has(body.inputs[i]!.value));
  if (pruned === body && body.inputs.every((_, i) => stays(i))) return node;
  const kept = (from: number, to: number): number => body.inputs.slice(from, to).filter((_, i) => stays(from + i)).length;
  return {
    ...node,
    inputs: node.inputs.filter((_, i) => stays(i)),
    outputs: node.outputs.filter((_, i) => live.has(i)),
    params: { ...node.params, body: { ...pruned, inputs: body.inputs.filter((_, i) => stays(i)) }, consts: kept(0, consts), carries: kept(consts, consts + carries) },
  };
}

function pruneCond(node: Node<"cond">, isLive: (value: Value) => boolean, prune: Prune): Node {
  const live = (i: number): boolean => isLive(node.outputs[i]!);
  const pruned = [node.params.onTrue, node.params.onFalse].map((branch) => prune(withOutputs(branch, live))) as [Graph, Graph];
  const read = pruned.map(valuesRead);
  const stays = (i: number): boolean => pruned.some(({ inputs }, branch) => read[branch]!.has(inputs[i]!.value));
  const [onTrue, onFalse] = pruned.map((branch): Graph => ({ ...branch, inputs: branch.inputs.filter((_, i) => stays(i)) })) as [Graph, Graph];
  if (pruned[0] === node.params.onTrue && pruned[1] === node.params.onFalse && onTrue.inputs.length === node.inputs.length - 1) return node;
  return { ...node, inputs: node.inputs.filter((_, i) => i === 0 || stays(i - 1)), outputs: node.outputs.filter((_, i) => live(i)), params: { onTrue, onFalse } };
}

/** The same graph where all outputs stay. */
function withOutputs(body: Graph, stays: (index: number) => boolean): Graph {
  const outputs = body.outputs.filter((_, i) => stays(i));
  return outputs.length === body.outputs.length ? body : { ...body, outputs };
}

function valuesRead({ nodes, outputs }: Graph): ReadonlySet<Value> {
  return new Set([...nodes.flatMap((node) => node.inputs), ...outputs.map(({ value }) => value)]);
}
