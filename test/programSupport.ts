/** @file Programs on the device against the reference interpreter: every element that the interpreter wrote, wherever it lies. */
import { allocate, bytesOf, type Tensor } from "@systole/base";
import { emitProgram } from "@systole/codegen";
import { Device, type Run } from "@systole/device";
import { GraphBuilder, runProgram, verifyProgram, type Graph, type Program, type Value } from "@systole/ir";
import type { Machine } from "@systole/isa";
import { scheduleProgram, verifyProgramSchedule, type ProgramSchedule } from "@systole/scheduler";
import { machines } from "./support.ts";

export function graphOf(name: string, build: (b: GraphBuilder) => Readonly<Record<string, Value>>): Graph {
  const b = new GraphBuilder();
  b.setOrigin({ node: name, operator: "Test" });
  Object.entries(build(b)).forEach(([output, value]) => b.output(output, value));
  return b.build(name);
}

export interface ProgramRun {
  readonly schedule: ProgramSchedule;
  readonly device: Device;
  readonly run: Run;
  /** Elements of a tensor, all rows, whatever memory it lies in. */
  readonly read: (name: string) => Tensor["data"];
}

export function runOnDevice(program: Program, machine: Machine, inputs: ReadonlyMap<string, Tensor>, tilingSeed?: number): ProgramRun {
  const schedule = scheduleProgram(verifyProgram(program), machine, tilingSeed === undefined ? {} : { tilingSeed });
  verifyProgramSchedule(schedule, machine);
  const device = new Device(emitProgram(schedule, machine), machine);
  const run = device.run(inputs);
  const read = (name: string) => {
    const { tensor, memory, address, bytes } = schedule.tensors.find((placed) => placed.tensor.name === name)!;
    const data = allocate(tensor.type.dtype, bytes / bytesOf(tensor.type.dtype));
    new Uint8Array(data.buffer).set(device.read(memory, address, bytes));
    return data;
  };
  return { schedule, device, run, read };
}

/** On every preset and under random tilings; what differs from the interpreter in a bit. */
export function differencesFromInterpreter(program: Program, inputs: ReadonlyMap<string, Tensor> = new Map(), options: { readonly tilings?: number; readonly on?: readonly Machine[] } = {}): string[] {
  const expected = runProgram(verifyProgram(program), inputs);
  const runs = (options.on ?? machines).flatMap((machine) => [undefined, ...Array.from({ length: options.tilings ?? 2 }, (_, i) => i + 1)].map((tilingSeed) => ({ machine, tilingSeed })));
  return runs.flatMap(({ machine, tilingSeed }) => {
    const { read } = runOnDevice(program, machine, inputs, tilingSeed);
    return program.tensors.flatMap(({ name }) => {
      const { data, written } = expected.storage(name);
      const found = read(name);
      const wrong = data.findIndex((value: number | bigint, i: number) => written[i] === 1 && !Object.is(value, found[i]));
      return wrong < 0 ? [] : [`${machine.name}${tilingSeed === undefined ? "" : ` tiling ${tilingSeed}`} ${name}[${wrong}]: ${found[wrong]}, not ${data[wrong]}`];
    });
  });
}

/** A program that applies a graph once, to copies of its inputs in the data cache; outputs stay there. */
export function programOfGraph(graph: Graph): Program {
  const inputs = graph.inputs.map(({ name, value }) => ({ name, type: value.type }));
  const outputs = graph.outputs.map(({ name, value }) => ({ name, type: value.type }));
  const reference = (prefix: string) => (list: readonly { readonly name: string }[]) => Object.fromEntries(list.map(({ name }) => [name, { tensor: `${prefix}${name}` }]));
  return {
    name: graph.name, scalars: ["done"], graphs: [graph],
    tensors: [
      ...inputs.map(({ name, type }): Program["tensors"][number] => ({ name: `given.${name}`, kind: "input", type, place: "external" })),
      ...inputs.map(({ name, type }): Program["tensors"][number] => ({ name: `in.${name}`, kind: "state", type, place: "cache" })),
      ...outputs.map(({ name, type }): Program["tensors"][number] => ({ name: `out.${name}`, kind: "state", type, place: "cache" })),
    ],
    routines: [
      { name: "estimate", owner: "gradient", body: [{ kind: "apply", graph: graph.name, inputs: reference("in.")(inputs), outputs: reference("out.")(outputs) }] },
      { name: "judge", owner: "control", body: [{ kind: "set", target: "done", value: 1 }] },
    ],
    main: [...inputs.map(({ name }) => ({ kind: "load" as const, from: `given.${name}`, to: `in.${name}` })), { kind: "estimate", routine: "estimate" }, { kind: "converge", routine: "judge", back: 0 }],
  };
}
