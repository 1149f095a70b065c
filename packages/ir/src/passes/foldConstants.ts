/**
 * @file fold-constants: nodes on constants are evaluated now, in device numerics. What repeats data is not stored: a
 * broadcast never, and no result of more than 4 times the constants behind it if it is larger than 64 KiB or
 * made from a broadcast.
 */
import { byteCount, pass, InputError, type Tensor } from "@systole/base";
import { isNode, type Graph, type Value } from "../graph.ts";
import { evaluatePrimitive } from "../primitives/index.ts";
import { rewriteGraph } from "./rewrite.ts";

const alwaysFoldedBytes = 65536;
const growth = 4;

/** A value known at compile time, computed when somebody asks. */
interface Known {
  readonly tensor: () => Tensor;
  /** Bytes of the constants it is made of. */
  readonly source: number;
  /** The graph holds a constant with this value. */
  readonly stored: boolean;
}

export const foldConstants = pass<Graph>("fold-constants", "Evaluates nodes on constants in device numerics, unless that stores repeated data.", (graph) => {
  const known = new Map<Value, Known>();
  return rewriteGraph(graph, (node, r) => {
    if (isNode(node, "constant")) {
      const { value } = node.params;
      known.set(node.outputs[0]!, { tensor: () => value, source: byteCount(value), stored: true });
      return undefined;
    }
    const operands = node.inputs.map((value) => known.get(value));
    // A loop may be endless: that belongs to the run.
    if (operands.some((operand) => operand === undefined) || node.op === "while") return undefined;
    const source = operands.reduce((sum, operand) => sum + operand!.source, 0);
    const result = node.outputs.reduce((sum, value) => sum + byteCount(value.type), 0);
    const compute = once(() => evaluatePrimitive(node.op, operands.map((operand) => operand!.tensor()), node.params, "device"));
    const large = result > alwaysFoldedBytes || operands.some((operand) => !operand!.stored);
    if (node.op === "broadcast" || (large && result > growth * source)) {
      node.outputs.forEach((value, i) => known.set(value, { tensor: () => compute()[i]!, source, stored: false }));
      return undefined;
    }
    const tensors = withoutFault(compute);
    // What moves a named constant keeps its name.
    const movedName = node.inputs.length === 1 ? node.inputs[0]!.name : undefined;
    return tensors?.map((value, i) => {
      const folded = r.emit("constant", [], { value }, node.origin, node.outputs[i]!.name ?? movedName)[0]!;
      known.set(folded, { tensor: () => value, source: byteCount(value), stored: true });
      return folded;
    });
  });
});

function once<T>(compute: () => T): () => T {
  let result: { readonly value: T } | undefined;
  return () => (result ??= { value: compute() }).value;
}

/** A fault, such as an index out of range, belongs to the run, not to the compiler. */
function withoutFault<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
