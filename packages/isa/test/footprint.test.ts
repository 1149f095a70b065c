import fc from "fast-check";
import { expect, it } from "vitest";
import { presets, resolveImage, verifyImage, type ResolvedGenerator, type ResolvedSpace } from "@systole/isa";
import { codeOf, imageOf } from "./helpers.ts";

const dimension = fc.record({
  extent: fc.integer({ min: 1, max: 4 }), offset: fc.integer({ min: -3, max: 3 }), limit: fc.integer({ min: 0, max: 8 }), mode: fc.constantFrom("cut", "pad"),
  steps: fc.tuple(fc.integer({ min: -3, max: 4 }), fc.integer({ min: -3, max: 4 })), stride: fc.constantFrom(0, 1, 2, 4, 8, -1, -4),
});
const program = fc.record({
  dims: fc.array(dimension, { minLength: 1, maxLength: 3 }), counts: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  first: fc.nat(3), last: fc.nat(3), mode: fc.constantFrom("relative", "absolute"), levels: fc.nat(3), base: fc.integer({ min: -4, max: 40 }),
  ring: fc.tuple(fc.nat(2), fc.nat(2)), slots: fc.integer({ min: 1, max: 3 }), slotBytes: fc.integer({ min: 8, max: 100 }), external: fc.boolean(),
  row: fc.option(fc.record({ stride: fc.integer({ min: -8, max: 20 }), count: fc.integer({ min: 1, max: 4 }) }), { nil: undefined }),
});
type Program = typeof program extends fc.Arbitrary<infer T> ? T : never;

function textOf(p: Program): string {
  return `.routine "main" control
 buf id=b0 memory=${p.external ? "external" : "cache"} slots=${p.slots} base=64 slotBytes=${p.slotBytes}
${p.dims.map((d, k) => ` dim space=p0 index=${k} extent=${d.extent} offset=${d.offset} limit=${d.limit} mode=${d.mode} level=i0 step=${d.steps[0]}\n step space=p0 index=${k} levelA=i1 stepA=${d.steps[1]}`).join("\n")}
 agu id=a0 space=p0 buffer=b0 dtype=u8 mode=${p.mode} levels=${p.levels} base=${p.base}
 stride id=a0 index=0 s0=${p.dims[0]!.stride} s1=${p.dims[1]?.stride ?? 0} s2=${p.dims[2]?.stride ?? 0}
 ring id=a0 levelA=i0 factorA=${p.ring[0]} levelB=i1 factorB=${p.ring[1]}
 ${p.row === undefined ? "" : `base id=a0 register=r5 stride=${p.row.stride} count=${p.row.count}`}
 loop level=i0 count=${p.counts[0]}
 loop level=i1 count=${p.counts[1]}
 ${p.external ? "fill target=a0" : "vec target=a0 streams=1 s0=a0"} first=${p.first} last=${p.last}
 endloop level=i1
 endloop level=i0
 halt`;
}

/** Every place, one by one, by the words of the table of instructions. */
function* places(p: Program, space: ResolvedSpace, g: ResolvedGenerator): Generator<{ slot: number; inSlot: number; coordinates: number[] }> {
  const guard = (mask: number, level: number): boolean => ((mask >> level) & 1) === 1;
  for (let i0 = 0; i0 < p.counts[0]; i0++) {
    for (let i1 = 0; i1 < p.counts[1]; i1++) {
      const i = [i0, i1];
      if (i.some((index, level) => (guard(p.first, level) && index !== 0) || (guard(p.last, level) && index !== p.counts[level]! - 1))) continue;
      const slot = (p.ring[0] * i0 + p.ring[1] * i1) % p.slots;
      const walk = function* (d: number, inSlot: number, coordinates: number[]): Generator<{ slot: number; inSlot: number; coordinates: number[] }> {
        const dim = space.dimensions[d];
        if (dim === undefined) {
          yield { slot, inSlot, coordinates };
          return;
        }
        for (let x = 0; x < dim.extent; x++) {
          const c = dim.offset + dim.steps[0]! * i0 + dim.steps[1]! * i1 + x;
          if (dim.limit > 0 && c >= dim.limit && (dim.mode === "cut" || p.external)) continue;
          if (dim.mode === "pad" && p.external && c < 0) continue;
          const moved = i.reduce((sum, index, level) => sum + (guard(p.levels, level) ? dim.steps[level]! * index : 0), x);
          yield* walk(d + 1, inSlot + g.strides[d]! * (g.mode === "absolute" ? c : moved), [...coordinates, c]);
        }
      };
      for (let row = 0; row < (p.row?.count ?? 1); row++) yield* walk(0, g.base + row * (p.row?.stride ?? 0), []);
    }
  }
}

it("what the verifier accepts stays in its slot, point by point; what one point breaks it refuses", () => {
  let accepted = 0;
  fc.assert(fc.property(program, (p) => {
    const image = imageOf(textOf(p));
    const verdict = codeOf(() => verifyImage(image, presets["edge-16"]));
    expect(["none", "E0403"]).toContain(verdict);
    if (verdict !== "none") return;
    accepted++;
    const [outer] = resolveImage(image).routines[0]!.body.flatMap((step) => (step.kind === "loop" ? [step] : []));
    const [inner] = outer!.body.flatMap((step) => (step.kind === "loop" ? [step] : []));
    const step = inner!.body[0]!;
    if (step.kind !== "fill" && step.kind !== "vector") throw new Error("another instruction");
    for (const { inSlot, coordinates } of places(p, step.space, step.target)) {
      expect(inSlot >= 0 && inSlot < p.slotBytes).toBe(true);
      coordinates.forEach((c, d) => expect(c >= 0 || step.space.dimensions[d]!.mode === "pad").toBe(true));
    }
  }), { numRuns: 4000 });
  expect(accepted).toBeGreaterThan(300);
});

it("without negative steps, in one dimension, the bound is exact", () => {
  const simple = program.filter((p) => p.dims.length === 1 && p.mode === "absolute" && p.dims[0]!.offset >= 0 && p.dims[0]!.steps[0] >= 0 && p.dims[0]!.steps[1] >= 0 && p.slots === 1);
  fc.assert(fc.property(simple, (p) => {
    const image = imageOf(textOf(p));
    const [outer] = resolveImage(image).routines[0]!.body.flatMap((step) => (step.kind === "loop" ? [step] : []));
    const [inner] = outer!.body.flatMap((step) => (step.kind === "loop" ? [step] : []));
    const step = inner!.body[0]!;
    if (step.kind !== "fill" && step.kind !== "vector") throw new Error("another instruction");
    const bad = [...places(p, step.space, step.target)].some(({ inSlot }) => inSlot < 0 || inSlot >= p.slotBytes);
    // A coordinate between the reachable ones may be counted in, never at the ends when every step is 1 or the extent covers the gap.
    fc.pre(p.dims[0]!.limit === 0 || Math.max(...p.dims[0]!.steps) <= p.dims[0]!.extent);
    expect(codeOf(() => verifyImage(image, presets["edge-16"])) !== "none").toBe(bad);
  }), { numRuns: 300 });
});
