/** @file The verifier behind linear maps: every node uses linear values linearly, and every result is linear or zero. */
import { fail, withPlace } from "@systole/base";
import { definitions, isNode, type Graph, type Node, type Value } from "../graph.ts";
import { linearityOf } from "../primitives/index.ts";
import { controlRulesOf } from "./control/index.ts";
import type { LinearBodies } from "./control/rules.ts";

/** Returns the values that depend on the named inputs, or stops with E0205. */
export function verifyLinear(graph: Graph, inputs: readonly string[]): ReadonlySet<Value> {
  const linear = new Set<Value>();
  for (const { name, value } of graph.inputs) if (inputs.includes(name)) linear.add(value);
  const defined = definitions(graph);
  const isZero = (value: Value): boolean => {
    const node = defined.get(value);
    if (isNode(node, "constant")) return node.params.value.data.every((element: number | bigint) => Number(element) === 0);
    return node !== undefined && (node.op === "broadcast" || node.op === "reshape" || node.op === "transpose") && isZero(node.inputs[0]!);
  };
  for (const node of graph.nodes) {
    if (!node.inputs.some((value) => linear.has(value))) continue;
    withPlace({ node: node.origin.node, operator: node.origin.operator }, () => verifyNode(node, linear, isZero));
    for (const value of node.outputs) linear.add(value);
  }
  for (const { name, value } of graph.outputs) {
    if (!linear.has(value) && !isZero(value)) fail("E0205", `output "${name}" of "${graph.name}" is neither linear nor zero`);
  }
  return linear;
}

/** Handed to the rules of structured control; bodies are not turned round to be verified. */
const bodies: Pick<LinearBodies, "verify"> = { verify: verifyLinear };

function verifyNode(node: Node, linear: ReadonlySet<Value>, isZero: (value: Value) => boolean): void {
  const operands = node.inputs.flatMap((value, i) => (linear.has(value) ? [i] : []));
  const control = controlRulesOf(node);
  const rule = control === undefined ? linearityOf(node.op, node.params, node.inputs.map((value) => value.type)) : control.linearity(node, operands, bodies);
  if (rule === undefined) fail("E0205", `${node.op} of a linear value is not linear`);
  const wrong = operands.find((i) => !rule.operands.includes(i));
  if (wrong !== undefined) fail("E0205", `${node.op} is not linear in operand ${wrong}`);
  if (rule.kind === "single" && operands.length !== 1) fail("E0205", `${node.op} of ${operands.length} linear values is not linear`);
  if (rule.kind === "single") return;
  const shifted = rule.operands.find((i) => !operands.includes(i) && !isZero(node.inputs[i]!));
  if (shifted !== undefined) fail("E0205", `${node.op} adds operand ${shifted}, which is neither linear nor zero`);
}
