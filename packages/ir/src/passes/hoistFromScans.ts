/** @file hoist-from-scans: what is the same in every step of a scan, and contractions of its sequences, are computed once, in front of it. */
import { pass } from "@systole/base";
import { emitScan, scanCall } from "../differentiate/control/call.ts";
import { hoist } from "../differentiate/control/hoist.ts";
import { isNode, type Graph } from "../graph.ts";
import { rewriteGraph } from "./rewrite.ts";

export const hoistFromScans = pass<Graph>("hoist-from-scans", "Computes what does not depend on the carries of a scan in front of it, contractions for all steps at once.", (graph) =>
  rewriteGraph(graph, (node, r) => {
    if (!isNode(node, "scan")) return undefined;
    const call = scanCall(node);
    const hoisted = hoist(r.emit, call);
    return hoisted === call ? undefined : emitScan(r.emit, hoisted, node.origin);
  }),
);
