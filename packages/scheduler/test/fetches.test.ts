/** @file What is brought into the data cache ahead of its kernel. */
import { byteCount, tensor } from "@systole/base";
import { GraphBuilder, type Graph, type Value } from "@systole/ir";
import { presets } from "@systole/isa";
import { describe, expect, test } from "vitest";
import { accessesOf, isFetch, readsOf, schedule, verifySchedule, type Schedule } from "../src/index.ts";

/** Dense layers with weights and biases; the weights are constants, the biases inputs. */
function network(widths: readonly number[], batch = 1): Graph {
  const b = new GraphBuilder();
  let value: Value = b.input("x", { dtype: "f32", shape: [batch, widths[0]!] });
  for (let i = 1; i < widths.length; i++) {
    const [from, to] = [widths[i - 1]!, widths[i]!];
    b.setOrigin({ node: `layer${i}`, operator: "Test" });
    const w = b.constant(tensor("f32", [from, to], Array.from({ length: from * to }, (_, k) => ((k * 7919 + i) % 101) / 101)));
    const bias = b.apply("broadcast", [b.input(`b${i}`, { dtype: "f32", shape: [to] })], { shape: [batch, to], axes: [1] });
    value = b.apply("tanh", [b.apply("add", [b.apply("dot", [value, w], { x: "mk", w: "kn", out: "mn", k: "k" }), bias], {})], {});
  }
  b.output("y", value);
  return b.build("network");
}

const fetchesOf = ({ kernels }: Schedule) => kernels.flatMap(({ kernel }, position) => (isFetch(kernel) ? [{ position, from: readsOf(kernel)[0]!.tensor, to: accessesOf(kernel)[1]!.tensor }] : []));

describe("constants and inputs", () => {
  test.each(Object.values(presets).map((machine) => [machine.name, machine] as const))("come at most four kernels before their first reader, which finds them in the data cache: %s", (_, machine) => {
    const scheduled = schedule(network([16, 24, 16, 24, 16, 24, 16, 24]), machine);
    verifySchedule(scheduled, machine);
    const fetches = fetchesOf(scheduled);
    expect(fetches.length).toBeGreaterThan(5);
    for (const { position, to } of fetches) {
      const readers = scheduled.kernels.flatMap(({ kernel }, i) => (readsOf(kernel).some((access) => access.tensor.id === to.id) ? [i] : []));
      const between = scheduled.kernels.slice(position + 1, readers[0]).filter(({ kernel }) => !isFetch(kernel)).length;
      expect(between).toBeGreaterThan(0);
      expect(between).toBeLessThanOrEqual(4);
      for (const reader of readers) expect(readsOf(scheduled.kernels[reader]!.kernel).find((access) => access.tensor.id === to.id)!.tensor.memory).toBe("cache");
    }
  });

  test("that take longer to move than the latency stay outside, as those of the first kernel do", () => {
    const machine = presets["edge-16"];
    const scheduled = schedule(network([16, 24, 200, 24]), machine);
    const most = machine.external.latencyCycles * machine.external.readBytesPerCycle;
    const fetched = new Set(fetchesOf(scheduled).map(({ from }) => from.id));
    for (const t of scheduled.tensors) if (fetched.has(t.id)) expect(byteCount(t.type)).toBeLessThanOrEqual(most);
    const first = scheduled.kernels.find(({ kernel }) => !isFetch(kernel))!.kernel;
    for (const { tensor: t } of readsOf(first)) expect(t.memory ?? "external").toBe("external");
  });

  test("of a batch: only constants", () => {
    const scheduled = schedule(network([16, 24, 16, 24, 16], 8), presets["cloud-128"], { batch: 8 });
    expect(new Set(fetchesOf(scheduled).map(({ from }) => from.kind))).toEqual(new Set(["constant"]));
  });
});
