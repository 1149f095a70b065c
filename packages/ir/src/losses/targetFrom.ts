/** @file A loss whose target the network itself computes, from its inputs. */
import { fail } from "@systole/base";
import { GraphBuilder } from "../builder.ts";
import { inline } from "../differentiate/inline.ts";
import type { Graph, Value } from "../graph.ts";
import { removeDeadCode } from "../passes/deadCode.ts";

/** Instead of an input `target` the loss has those inputs of the network that `target`, a value of the network, depends on. E0208 for a target that depends on parameters. */
export function targetFrom(network: Graph, target: Value, loss: Graph): Graph {
  const cone = removeDeadCode({ ...network, outputs: [{ name: "target", value: target }] });
  const used = new Set([...cone.nodes.flatMap((node) => node.inputs), target]);
  const inputs = cone.inputs.filter(({ value }) => used.has(value));
  const moving = cone.parameters.find(({ value }) => used.has(value));
  if (moving !== undefined) fail("E0208", `the target of ${loss.name} depends on parameter "${moving.name}"`, { value: moving.name });
  if (inputs.some(({ name }) => name === "scores")) fail("E0205", `the target of ${loss.name} depends on an input "scores", which is the name of what the loss is taken of`, { value: "scores" });
  const b = new GraphBuilder();
  const scores = b.input("scores", loss.inputs.find(({ name }) => name === "scores")!.value.type);
  const given = new Map(inputs.map(({ name, value }) => [name, b.input(name, value.type)]));
  const made = inline(b, { ...cone, inputs, parameters: [] }, given);
  for (const [name, value] of inline(b, loss, new Map([["scores", scores], ["target", made.get("target")!]]))) b.output(name, value);
  return b.build(loss.name);
}
