/** @file Values all of whose elements are one known number. */
import type { Value } from "../graph.ts";
import { isNode } from "../graph.ts";
import type { Rewriter } from "./rewrite.ts";

/** The number, or undefined; looks through movement, which repeats and rearranges only. */
export function splatOf(value: Value, r: Pick<Rewriter, "definition">): number | bigint | undefined {
  const node = r.definition(value);
  if (node === undefined) return undefined;
  if (isNode(node, "constant")) {
    const { data } = node.params.value;
    const first = data[0];
    for (let i = 1; i < data.length; i++) if (!Object.is(data[i], first)) return undefined;
    return first;
  }
  if (node.op === "broadcast" || node.op === "reshape" || node.op === "transpose") return splatOf(node.inputs[0]!, r);
  return undefined;
}

/** Equal as numbers; zeros of different sign are different. */
export function isSplat(value: Value, wanted: number, r: Pick<Rewriter, "definition">): boolean {
  const splat = splatOf(value, r);
  return typeof splat === "bigint" ? splat === BigInt(wanted) : Object.is(splat, wanted);
}
