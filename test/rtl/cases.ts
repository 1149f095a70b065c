/** @file Cases for the comparison with RTL: sizes, sequences, and for each kind of interval one in which it is what holds a pass back. */
import { presets, type Machine } from "@systole/isa";
import type { Block, Early } from "./schedule.ts";

export interface Named {
  readonly name: string;
  readonly blocks: readonly Block[];
}

/** Such blocks that one cycle less before `early` leaves wrong numbers. */
export interface Tight extends Named {
  readonly early: Early;
}

type Setting = readonly [weightRowsPerCycle: number, writeToReadCycles: number];

const everySetting: readonly Setting[] = [1, 2].flatMap((weightRows) => [0, 1, 2, 3].map((cycles) => [weightRows, cycles] as const));

/** Arrays and their settings. Simulation takes as long as there are elements, so large arrays have fewer. */
const arrays: readonly (readonly [rows: number, columns: number, settings: readonly Setting[]])[] = [
  [2, 2, everySetting],
  [4, 4, everySetting],
  [4, 8, [[1, 0], [2, 1], [1, 2], [2, 3]]],
  [8, 4, [[2, 0], [1, 1], [2, 2], [1, 3]]],
  [8, 8, [[1, 0], [2, 1], [1, 2], [2, 3]]],
  [16, 16, [[1, 1], [2, 2]]],
];

export const machines: readonly Machine[] = arrays.flatMap(([rows, columns, settings]) => settings.map(([weightRowsPerCycle, writeToReadCycles]) => ({
  ...presets["edge-16"], name: `${rows} x ${columns}, ${weightRowsPerCycle} weight rows a cycle, write to read ${writeToReadCycles}`,
  array: { rows, columns, weightRowsPerCycle, overlap: "shadow" as const }, accumulators: { ...presets["edge-16"].accumulators, writeToReadCycles },
})));

export const dataflows = ["weight-stationary", "output-stationary"] as const;

/** One block alone, and one that goes on with its sums, of every size from less than a tile to several. */
export function sizes({ array: { rows: R, columns: C } }: Machine): Named[] {
  const cases: Named[] = [];
  const small = R * C < 64;
  for (const dataflow of dataflows) {
    for (const rows of small ? [1, R, 2 * R + 3] : [1, R + 3]) {
      for (const columns of small ? [C - 1, C, 2 * C + 1] : [2 * C - 1]) {
        for (const contracted of new Set(small ? [1, R, 2 * R - 2, 2 * R + 1] : [R - 1, 2 * R + 1])) {
          const block: Block = { rows, columns, contracted, dataflow };
          const name = `${rows}x${columns}x${contracted} ${dataflow}`;
          cases.push({ name, blocks: [block] }, { name: `${name}, k split`, blocks: [block, { ...block, contracted: contracted + 1, continues: true }] });
        }
      }
    }
  }
  return cases;
}

/** Blocks of any kind behind each other, in three slots: dataflows change, sums go on with other rows, panels and dataflows, or wait for x. */
export function sequences({ array: { rows: R, columns: C } }: Machine, count: number, seed: number): Named[] {
  let state = seed | 1;
  const below = (limit: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  return Array.from({ length: count }, (_, i) => {
    const size = () => [1 + below(2 * R + 2), 1 + below(2 * C)] as const;
    const held = new Map<number, readonly [rows: number, columns: number]>();
    const blocks = Array.from({ length: 2 + below(7) }, (): Block => {
      const slot = below(3);
      const before = held.get(slot);
      const continues = before !== undefined && below(3) > 0;
      // Mostly the same block again, else a part of it.
      const [rows, columns] = !continues ? size() : below(3) > 0 ? before : [1 + below(before[0]), 1 + below(before[1])];
      if (!continues) held.set(slot, [rows, columns]);
      const late = below(4) === 0 ? { dispatched: below(8 * R), x: below(8 * R) } : {};
      return { rows, columns, contracted: 1 + below(2 * R + 3), dataflow: dataflows[below(2)]!, continues, slot, ...late };
    });
    return { name: `sequence ${i}: ${JSON.stringify(blocks)}`, blocks };
  });
}

/** Every kind of interval; those that cannot hold back a pass on this machine are left out. */
export function tight({ array: { rows: R, columns: C, weightRowsPerCycle }, accumulators: { writeToReadCycles: a } }: Machine): Tight[] {
  const load = Math.ceil(R / weightRowsPerCycle);
  const long = 2 * R + a + 3;
  const ws = (rows: number, columns: number, contracted: number, rest: Partial<Block> = {}): Block => ({ rows, columns, contracted, dataflow: "weight-stationary", ...rest });
  const os = (rows: number, columns: number, contracted: number, rest: Partial<Block> = {}): Block => ({ rows, columns, contracted, dataflow: "output-stationary", ...rest });
  const on = { continues: true } as const;
  const all: (Tight & { readonly when?: boolean })[] = [
    { name: "rows of the pass before still enter", blocks: [ws(long, 2 * C, R)], early: { pass: 1, part: "stream" } },
    { name: "rows of the block before still enter", blocks: [ws(long, C, R), ws(3, C, R, { slot: 1 })], early: { pass: 1, part: "stream" } },
    { name: "weights still enter", blocks: [ws(1, C, R)], early: { pass: 0, part: "stream" } },
    { name: "weights of the next pass still enter", blocks: [ws(1, 2 * C, R)], early: { pass: 1, part: "stream" }, when: load > 1 },
    { name: "the shadow registers still hold the weights of the pass before", blocks: [ws(2, C, R, { x: 3 * R }), ws(2, C, R, { slot: 1 })], early: { pass: 1, part: "load" } },
    { name: "sums of the k tile before are not back", blocks: [ws(1, C, 2 * R)], early: { pass: 1, part: "stream" } },
    { name: "sums of two panels are not back", blocks: [ws(1, 2 * C, 2 * R)], early: { pass: 2, part: "both" }, when: (R + 1 + a) % 2 === 0 && R + 1 + a >= 2 * load },
    { name: "sums of the block before are not back", blocks: [ws(1, C, R), ws(1, C, R, on)], early: { pass: 1, part: "stream" } },
    { name: "sums of a block with more rows are not back", blocks: [ws(2, C, R), ws(1, C, R, on)], early: { pass: 1, part: "stream" }, when: a >= C - 1 },
    { name: "k of the pass before still enters", blocks: [os(R, 2 * C, long)], early: { pass: 1, part: "both" } },
    { name: "sums of the pass before still drain", blocks: [os(R, 2 * C, 1)], early: { pass: 1, part: "both" } },
    { name: "sums of a longer pass still drain", blocks: [os(R, C, long), os(R, C, 2, { slot: 1 })], early: { pass: 1, part: "both" } },
    { name: "preloaded sums still enter", blocks: [os(R, C, 1), os(R, C, long, { slot: 1 }), os(R, C, long, on)], early: { pass: 2, part: "stream" } },
    { name: "preloaded sums enter over the last k", blocks: [os(R, C, 1), os(R, C, 3 * long + C, { slot: 1 }), os(R, C, long, on)], early: { pass: 2, part: "load" } },
    { name: "k of a pass with preloaded sums still enters", blocks: [os(R, 2 * C, 1), os(R, 2 * C, long, on)], early: { pass: 3, part: "both" } },
    { name: "sums of a pass with preloaded sums still drain", blocks: [os(R, 2 * C, 1), os(R, 2 * C, 1, on), os(R, C, 1, { slot: 1 })], early: { pass: 4, part: "both" } },
    { name: "drained sums are not back", blocks: [os(R, C, long), os(R, C, 1, on)], early: { pass: 1, part: "both" }, when: a >= R + C - 3 },
    { name: "drained sums are not back for weight-stationary", blocks: [os(R, C, long), ws(R, C, R, on)], early: { pass: 1, part: "stream" }, when: a >= R + C - 3 + load },
    { name: "weight-stationary sums are not back for a preload", blocks: [ws(1, C, R), os(1, C, 1, on)], early: { pass: 1, part: "both" }, when: a >= C - 2 },
    { name: "weight-stationary sums still leave when the dataflow changes", blocks: [ws(long, C, R), os(R, C, long, { slot: 1 })], early: { pass: 1, part: "both" } },
    { name: "sums still drain when the dataflow changes", blocks: [os(R, C, long), ws(R, C, R, { slot: 1 })], early: { pass: 1, part: "both" } },
  ];
  return all.filter(({ when = true }) => when);
}
