/** @file The derivative rules of structured control, by name. */
import type { Node } from "../../graph.ts";
import type { PrimitiveName } from "../../primitives/index.ts";
import { condRules } from "./cond.ts";
import type { ControlName, ControlRules } from "./rules.ts";
import { scanRules } from "./scan.ts";
import { whileRules } from "./while.ts";

export const controlRules: { readonly [P in ControlName]: ControlRules<P> } = { scan: scanRules, cond: condRules, while: whileRules };

export function isControl(op: PrimitiveName): op is ControlName {
  return Object.hasOwn(controlRules, op);
}

/** The rules of the node's primitive; undefined where it has no bodies. */
export function controlRulesOf(node: Node): ControlRules<PrimitiveName> | undefined {
  return isControl(node.op) ? (controlRules[node.op] as ControlRules<PrimitiveName>) : undefined;
}
