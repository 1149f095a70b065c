/** @file Whole networks give the same bits under random legal tilings and on every machine: how a program is cut is never part of its result. */
import { evaluate } from "@systole/ir";
import { compile, run } from "@systole/systole";
import fc from "fast-check";
import { expect, test } from "vitest";
import { smallNetwork, smallNetworkNames } from "./smallNetworks.ts";
import { difference, machines, randomInputs } from "./support.ts";

const size = fc.record({ batch: fc.integer({ min: 1, max: 3 }), side: fc.integer({ min: 6, max: 16 }), channels: fc.integer({ min: 1, max: 4 }), seed: fc.integer({ min: 0, max: 1000 }) });

for (const name of smallNetworkNames) {
  test(`${name}: the best and random tilings on every machine agree with the evaluator in every bit`, () => {
    fc.assert(fc.property(size, fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 3, maxLength: 3 }), (s, seeds) => {
      const bytes = smallNetwork(name, s);
      const { graph } = compile(bytes, machines[0]!).model;
      const inputs = randomInputs(graph, s.seed);
      const expected = evaluate(graph, inputs, "device");
      machines.forEach((machine, k) => {
        for (const options of [{}, { tilingSeed: seeds[k]! }]) {
          const { outputs } = run(compile(bytes, machine, options).image, machine, inputs);
          for (const [output, wanted] of expected) expect(difference(outputs.get(output)!, wanted), `${machine.name} ${JSON.stringify(options)} ${output}`).toBeUndefined();
        }
      });
    }), { numRuns: 8, seed: 11 });
  }, 20_000);
}
