/** @file What stays in the data cache between the kernels of a plain graph. */
import { tensor } from "@systole/base";
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { presets, type Machine } from "@systole/isa";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { accessesOf, isFetch, outputsOf, readsOf, schedule, verifySchedule, type Schedule } from "../src/index.ts";

const f32 = (...shape: number[]) => ({ dtype: "f32", shape }) as const;

/** Dense layers with tanh, one behind the other; with `skip` the first result is used again in the end, and what comes between are outputs. */
function layers(batch: number, widths: readonly number[], skip = false): Graph {
  const b = new GraphBuilder();
  let value: Value = b.input("x", f32(batch, widths[0]!));
  let first: Value | undefined;
  for (let i = 1; i < widths.length; i++) {
    b.setOrigin({ node: `layer${i}`, operator: "Test" });
    const w = b.constant(tensor("f32", [widths[i - 1]!, widths[i]!], Array.from({ length: widths[i - 1]! * widths[i]! }, (_, k) => ((k * 7919) % 101) / 101 - 0.5)));
    value = b.apply("tanh", [b.apply("dot", [value, w], { x: "mk", w: "kn", out: "mn", k: "k" })], {});
    if (skip && first !== undefined) b.output(`y${i}`, value);
    first ??= value;
  }
  if (skip) b.output("z", b.apply("neg", [first!], {}));
  b.output("y", value);
  return b.build("layers");
}

const cached = ({ tensors }: Pick<Schedule, "tensors">) => tensors.filter(({ memory }) => memory === "cache");
/** Copies of what lies outside are not meant. */
const made = (scheduled: Schedule) => {
  const fetched = new Set(scheduled.kernels.filter(({ kernel }) => isFetch(kernel)).flatMap(({ kernel }) => outputsOf(kernel).map((output) => output.tensor.id)));
  return cached(scheduled).filter(({ id }) => !fetched.has(id));
};
const layersOf = ({ kernels }: Schedule) => kernels.filter(({ kernel }) => !isFetch(kernel));
const roomOf = ({ kernels, tensors }: Schedule, position: number, machine: Machine) => cached({ tensors }).filter(({ id }) => {
  const touched = kernels.flatMap(({ kernel }, i) => (accessesOf(kernel).some((access) => access.tensor.id === id) ? [i] : []));
  return touched[0]! <= position && position <= touched.at(-1)!;
}).reduce((least, { address }) => Math.min(least, address), machine.dataCache.bytes);
const instructionsOf = ({ kernels }: Schedule) => kernels.map(({ levels, operands }) => `${levels.length} ${operands.length}`).join();

describe("temporaries", () => {
  test.each(Object.values(presets).map((machine) => [machine.name, machine] as const))("of small layers never leave the chip: %s", (_, machine) => {
    const scheduled = schedule(layers(1, [32, 48, 40, 24, 10]), machine);
    expect(made(scheduled).length).toBe(3);
    expect(scheduled.tensors.filter(({ kind, memory }) => kind === "temporary" && memory !== "cache")).toEqual([]);
    expect(layersOf(scheduled).slice(0, -1).every(({ predicted }) => predicted.writeBytes === 0)).toBe(true);
  });

  test("that would cost the kernels their tiles go to external memory", () => {
    const machine = presets["edge-16"];
    const large = schedule(layers(256, [512, 512, 512, 512]), machine);
    expect(made(large)).toEqual([]);
  });

  test("inputs, outputs and constants stay where the host finds them", () => {
    for (const { kind } of cached(schedule(layers(4, [32, 32, 32]), presets["cloud-128"]))) expect(kind).toBe("temporary");
  });

  test("take room only while they live", () => {
    const machine = presets["train-32"];
    const scheduled = schedule(layers(8, Array.from({ length: 20 }, () => 128)), machine);
    const ends = scheduled.kernels.map(({ operands, staging }) => [...operands.map(({ buffer }) => buffer), ...staging].reduce((end, { address, slots, slotBytes }) => Math.max(end, address + slots * slotBytes), 0));
    ends.forEach((end, position) => { expect(end).toBeLessThanOrEqual(roomOf(scheduled, position, machine)); });
    const bytes = made(scheduled).reduce((sum, tensor) => sum + tensor.bytes, 0);
    const lowest = Math.min(...made(scheduled).map(({ address }) => address));
    expect(made(scheduled).length).toBe(18);
    expect(machine.dataCache.bytes - lowest).toBeLessThan(bytes);
  });

  test("do not depend on the batch from 2 to 64", () => {
    for (const machine of Object.values(presets)) {
      const of = (batch: number) => { const scheduled = schedule(layers(batch, [64, 96, 80, 48, 10]), machine, { batch }); return `${cached(scheduled).map(({ name, address }) => `${name}@${address}`).join()} ${instructionsOf(scheduled)}`; };
      expect(new Set([2, 3, 8, 33, 64].map(of)).size).toBe(1);
    }
  });
});

test("whatever the sizes and the tiles, nothing overlaps and nothing leaves its memory", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 2, maxLength: 7 });
  const cacheBytes = fc.integer({ min: 1, max: 24 }).map((n) => n * 4096);
  fc.assert(fc.property(sizes, fc.integer({ min: 1, max: 40 }), cacheBytes, fc.option(fc.nat(1000), { nil: undefined }), (widths, batch, bytes, tilingSeed) => {
    const machine: Machine = { ...presets["edge-16"], dataCache: { ...presets["edge-16"].dataCache, bytes } };
    const scheduled = schedule(layers(batch, widths, true), machine, { batch, ...(tilingSeed === undefined ? {} : { tilingSeed }) });
    verifySchedule(scheduled, machine);
    // A tensor in the data cache is written before it is read, inside the graph.
    for (const t of cached(scheduled)) {
      const writer = scheduled.kernels.findIndex(({ kernel }) => outputsOf(kernel).some(({ tensor }) => tensor.id === t.id));
      const reader = scheduled.kernels.findIndex(({ kernel }) => readsOf(kernel).some((access) => access.tensor.id === t.id));
      expect(writer).toBeGreaterThanOrEqual(0);
      expect(reader).toBeGreaterThan(writer);
    }
  }), { numRuns: 50, seed: 4 });
});

test("random tiles of kernels that touch nothing of it leave it alone too", () => {
  const machine: Machine = { ...presets["edge-16"], dataCache: { ...presets["edge-16"].dataCache, bytes: 65536 } };
  for (let tilingSeed = 0; tilingSeed < 30; tilingSeed++) verifySchedule(schedule(layers(30, [90, 64, 96, 90, 112, 80], true), machine, { tilingSeed }), machine);
});

describe("rows that are combined", () => {
  /** The gradient of a look-up: rows of updates added to rows of zeros. */
  const gradient = (rows: number, width: number, count: number): Graph => {
    const b = new GraphBuilder();
    b.setOrigin({ node: "rows", operator: "Test" });
    const zeros = b.apply("broadcast", [b.constant(tensor("f32", [], [0]))], { shape: [rows, width], axes: [] });
    b.output("g", b.apply("scatter", [zeros, b.input("index", { dtype: "i32", shape: [count] }), b.input("updates", f32(count, width))], { kind: "add" }));
    return b.build("gradient");
  };

  test("come about in the data cache and are copied to the output where they fit", () => {
    const scheduled = schedule(gradient(50, 32, 24), presets["edge-16"]);
    expect(made(scheduled).map(({ name }) => name)).toEqual(["g.rows"]);
    expect(outputsOf(scheduled.kernels.at(-1)!.kernel)[0]!.tensor.name).toBe("g");
  });

  test("are combined in the output itself where they do not", () => {
    const scheduled = schedule(gradient(5000, 64, 24), presets["edge-16"]);
    expect(made(scheduled)).toEqual([]);
    expect(layersOf(scheduled).map(({ kernel }) => outputsOf(kernel)[0]!.tensor.name)).toEqual(["g", "g"]);
  });
});
