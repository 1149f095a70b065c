/** @file A program that applies one graph once: inputs and outputs are the host's. */
import type { Graph } from "../graph.ts";
import type { Program, ProgramTensor } from "./program.ts";

/** Tensors of outputs have names of their own, as an output may be called like an input. */
const outputPrefix = "output ";

export function graphProgram(graph: Graph): Program {
  const inputs = graph.inputs.map(({ name, value: { type } }): ProgramTensor => ({ name, kind: "input", type, place: "external" }));
  const outputs = graph.outputs.map(({ name, value: { type } }): ProgramTensor => ({ name: outputPrefix + name, kind: "output", type, place: "external", parts: [{ name, offset: 0, shape: type.shape }] }));
  return {
    name: graph.name, tensors: [...inputs, ...outputs], scalars: [], graphs: [graph],
    routines: [
      // What stays in the data cache is brought there by the first ASSIGN.
      { name: "assign", owner: "control", body: [] },
      { name: "forward", owner: "gradient", body: [{
        kind: "apply", graph: graph.name, inputs: Object.fromEntries(inputs.map(({ name }) => [name, { tensor: name }])), outputs: Object.fromEntries(graph.outputs.map(({ name }) => [name, { tensor: outputPrefix + name }])),
      }] },
    ],
    main: [{ kind: "assign", routine: "assign" }, { kind: "estimate", routine: "forward" }],
  };
}
