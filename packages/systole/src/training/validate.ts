/** @file Loss, and for classes the part that is right, of a network on data it was not trained on; computed by the device. */
import { elementCount, numbersOf, type Tensor } from "@systole/base";
import { emitImage } from "@systole/codegen";
import { Device } from "@systole/device";
import { lossGraph, optimize, verifyGraph, type Graph } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { schedule, verifySchedule } from "@systole/scheduler";
import { hasClassNumbers } from "../lossPieces.ts";
import { arrangeData, buildProblem, type BuiltProblem, type ProblemOptions, type TrainedLoss } from "./build.ts";

export interface Validation {
  readonly samples: number;
  readonly loss: number;
  /** Part of the places that take part whose largest score is that of the target's class; of class numbers only. */
  readonly accuracy?: number;
  /** Device cycles for all samples. */
  readonly cycles: number;
}

/** `bytes`: the trained model. */
export function validate(bytes: Uint8Array, machine: Machine, data: ReadonlyMap<string, Tensor>, options: ProblemOptions): Validation {
  const built = buildProblem(bytes, data, options, {});
  const { problem } = built;
  const graph = optimize(lossGraph(problem.network, problem.pieces));
  verifyGraph(graph);
  const scheduled = schedule(graph, machine, { batch: problem.microBatch });
  verifySchedule(scheduled, machine);
  const device = new Device(emitImage(scheduled, machine), machine);
  const arranged = arrangeData(built, data);
  const batches = problem.sampleCount / problem.microBatch;
  const judged = built.losses.find((one) => hasClassNumbers(one) && one.targetInput !== undefined);
  let [loss, right, places, cycles] = [0, 0, 0, 0];
  for (let batch = 0; batch < batches; batch++) {
    const inputs = microBatch(built, arranged, graph, batch);
    const run = device.run(inputs);
    cycles += run.cycles;
    loss += Number(run.outputs.get("loss")!.data[0]) / batches;
    const hits = judged === undefined ? { right: 0, places: 0 } : hitsOf(judged, run.outputs.get(`y/${judged.output}`)!, inputs);
    right += hits.right;
    places += hits.places;
  }
  return { samples: problem.sampleCount, loss, cycles, ...(places === 0 ? {} : { accuracy: right / places }) };
}

/** The samples of one micro-batch as the graph takes them: sample axes go back to where the model has them. */
function microBatch({ problem }: BuiltProblem, arranged: ReadonlyMap<string, Tensor>, graph: Graph, batch: number): Map<string, Tensor> {
  const taken = problem.samples.filter(({ name }) => graph.inputs.some((input) => input.name === name));
  return new Map(taken.map(({ name, type, axis }) => {
    const whole = arranged.get(name)!;
    const size = whole.data.length / problem.sampleCount;
    const rows = whole.data.subarray(batch * problem.microBatch * size, (batch + 1) * problem.microBatch * size) as Tensor["data"];
    return [name, { dtype: type.dtype, shape: type.shape, data: axis === 0 ? rows : samplesAt(rows, type.shape, axis) }];
  }));
}

function samplesAt(rows: Tensor["data"], shape: readonly number[], axis: number): Tensor["data"] {
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const count = shape[axis]!;
  const result = rows.slice();
  for (let sample = 0; sample < count; sample++) {
    for (let o = 0; o < outer; o++) (result as Float64Array).set((rows as Float64Array).subarray((sample * outer + o) * inner, (sample * outer + o + 1) * inner), (o * count + sample) * inner);
  }
  return result;
}

/** Places whose largest score is that of their class, out of those that take part. */
function hitsOf({ axis, ignoreIndex, targetInput, maskInput }: TrainedLoss, scores: Tensor, inputs: ReadonlyMap<string, Tensor>): { readonly right: number; readonly places: number } {
  const classes = scores.shape[axis]!;
  const inner = elementCount(scores.shape.slice(axis + 1));
  const values = numbersOf(scores);
  const mask = maskInput === undefined ? undefined : inputs.get(maskInput)!;
  const wanted = numbersOf(inputs.get(targetInput!)!);
  let [right, places] = [0, 0];
  wanted.forEach((number, place) => {
    if (number === ignoreIndex || (mask !== undefined && Number(mask.data[Math.floor((place * mask.data.length) / wanted.length)]) === 0)) return;
    const first = Math.floor(place / inner) * classes * inner + (place % inner);
    let best = 0;
    for (let c = 1; c < classes; c++) if (values[first + c * inner]! > values[first + best * inner]!) best = c;
    places++;
    if (best === number) right++;
  });
  return { right, places };
}
