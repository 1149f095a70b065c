/** @file The main part that all training programs share: steps S3 to S10 of the device text. S1 and S2 bring the program itself onto the device. */
import { lowerScans, mapGraphs, optimizeTrainable, verifyProgram, type Program, type Step } from "@systole/ir";
import type { ProgramBuilder } from "./language.ts";
import { tensorNames } from "./samples.ts";

const { theta, work, next } = tensorNames;

export const trainingSteps: readonly Step[] = [
  { kind: "load", from: theta, to: work },
  { kind: "assign", routine: "assign" },
  { kind: "load", from: theta, to: work },
  { kind: "estimate", routine: "estimate" },
  { kind: "transfer", routine: "transfer" },
  { kind: "update", routine: "update" },
  { kind: "store", from: next, to: theta },
  { kind: "converge", routine: "judge", back: 2 },
];

/** The program of a builder that has routines assign, estimate, transfer, update and judge; its graphs optimized, recurrences as loops. */
export function trainingProgram(builder: ProgramBuilder, name: string): Program {
  return verifyProgram(lowerScans(mapGraphs(builder.build(name, trainingSteps), (graph) => optimizeTrainable(graph))));
}
