/**
 * @file The array's time against RTL. The device's own clock says when each pass begins; rtl/ runs the passes at these cycles. The numbers must be those
 * of plain integer products, the last sums must come in the cycle that the clock says, and one cycle less before a pass must leave wrong numbers.
 */
import { describe, expect, test } from "vitest";
import { dataflows, machines, sequences, sizes, tight } from "./cases.ts";
import { timed, withEarly } from "./schedule.ts";
import { haveSimulator, simulate } from "./simulator.ts";

const simulator = haveSimulator();
const title = simulator ? "the array against RTL" : "the array against RTL: skipped, install Icarus Verilog (apt-get install iverilog)";

describe.skipIf(!simulator)(title, () => {
  test.concurrent("64 x 64 x 64 with either dataflow: 4118 cycles at 8 x 8, 1070 at 16 x 16", async () => {
    const square = machines.filter(({ array }) => array.rows === array.columns && array.rows >= 8 && array.weightRowsPerCycle === 1);
    const cycles = new Map(await Promise.all(square.map(async (machine) => {
      const cases = dataflows.map((dataflow) => [{ rows: 64, columns: 64, contracted: 64, dataflow }]).map((blocks) => ({ blocks, ...timed(machine, blocks) }));
      return [machine.array.rows, (await simulate(machine, cases)).flatMap(({ complete }) => complete)] as const;
    })));
    expect([cycles.get(8), cycles.get(16)]).toEqual([[4118, 4118], [1070, 1070]]);
  });

  for (const [index, machine] of machines.entries()) {
    const { rows, columns } = machine.array;

    test.concurrent(`${machine.name}: numbers and completions`, async () => {
      const limited = rows * columns > 64 ? 6 : 20;
      const cases = [...sizes(machine), ...sequences(machine, limited, 1000 + index), ...tight(machine)].map(({ name, blocks }) => ({ name, blocks, ...timed(machine, blocks) }));
      const outcomes = await simulate(machine, cases);
      const wrong = cases.flatMap(({ name, complete }, i) => {
        const { wrongSlots, complete: measured } = outcomes[i]!;
        return wrongSlots.length === 0 && measured.every((cycle, block) => cycle === complete[block]) ? [] : [{ name, wrongSlots, measured, claimed: complete }];
      });
      expect(wrong).toEqual([]);
    });

    test.concurrent(`${machine.name}: one cycle less is wrong`, async () => {
      const cases = tight(machine).map(({ name, blocks, early }) => ({ name, blocks, passes: withEarly(timed(machine, blocks).passes, early) }));
      const outcomes = await simulate(machine, cases);
      expect(cases.filter((_, i) => outcomes[i]!.wrongSlots.length === 0).map(({ name }) => name)).toEqual([]);
    });
  }
});
