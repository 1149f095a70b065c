/** @file What the clock finds out about an image and does not change from run to run: numbers of slots, bursts of transfers, cycles of the vector unit. */
import type { Machine } from "@systole/isa";
import { SlotNumbers } from "../scoreboard.ts";
import { TrafficCounter } from "./dmaTiming.ts";
import { VectorCost } from "./vectorTiming.ts";

export interface TimingTables {
  readonly slots: SlotNumbers;
  readonly traffic: TrafficCounter;
  readonly vector: VectorCost;
}

export function newTimingTables(machine: Machine): TimingTables {
  return { slots: new SlotNumbers(), traffic: new TrafficCounter(machine.external.burstBytes), vector: new VectorCost(machine) };
}
