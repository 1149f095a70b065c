/** @file MatMul, Gemm and Einsum as general contractions. */
import { fail } from "@systole/base";
import type { Value } from "@systole/ir";
import type { Emitter } from "../lowering/emitter.ts";
import { broadcastTo, elementwise, product, range, rankOf, reshape, shapeOf, sliceAxis, sum, transpose, withNumber } from "../lowering/values.ts";
import { input, operator, requireRank, type Call, type Operator } from "./operator.ts";

export const matmulOperators: readonly Operator[] = [
  operator("MatMul", (c) => matmul(c.e, input(c, 0), input(c, 1))),
  operator("Gemm", gemm),
  operator("Einsum", einsum),
];

const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A value and one letter per axis. */
interface Labelled {
  readonly value: Value;
  readonly labels: string;
}

/** NumPy's matmul: leading axes are batch axes and broadcast, vectors count as a row and as a column. */
export function matmul(e: Emitter, x: Value, w: Value): Value {
  requireRank(x, 1);
  requireRank(w, 1);
  const xBatch = Math.max(rankOf(x) - 2, 0);
  const wBatch = Math.max(rankOf(w) - 2, 0);
  const batch = Math.max(xBatch, wBatch);
  const letters = alphabet.slice(0, batch);
  const left = { value: x, labels: letters.slice(batch - xBatch) + (rankOf(x) === 1 ? "Z" : "YZ") };
  const right = { value: w, labels: letters.slice(batch - wBatch) + (rankOf(w) === 1 ? "Z" : "ZX") };
  const out = letters + (rankOf(x) === 1 ? "" : "Y") + (rankOf(w) === 1 ? "" : "X");
  return contract(e, left, right, out).value;
}

function gemm(c: Call): Value {
  const [a, b] = [input(c, 0), input(c, 1)];
  requireRank(a, 2, 2);
  requireRank(b, 2, 2);
  const x = c.attributes.flag("transA", false) ? "km" : "mk";
  const w = c.attributes.flag("transB", false) ? "nk" : "kn";
  const alpha = c.attributes.float("alpha", 1);
  const beta = c.attributes.float("beta", 1);
  const bare = c.e.apply("dot", [a, b], { x, w, out: "mn", k: "k" });
  const y = alpha === 1 ? bare : withNumber(c.e, "mul", bare, alpha);
  const bias = c.inputs[2];
  if (bias === undefined || beta === 0) return y;
  const scaled = beta === 1 ? bias : withNumber(c.e, "mul", bias, beta);
  return elementwise(c.e, "add", y, broadcastTo(c.e, scaled, shapeOf(y)));
}

/**
 * Contracts two values to the letters `out` in that order. An axis of extent 1 on one side only is dropped there, which is
 * broadcasting without copies.
 */
function contract(e: Emitter, left: Labelled, right: Labelled, out: string): Labelled {
  const extents = extentsOf([left, right]);
  const x = dropUnits(e, left, right.labels, extents);
  const w = dropUnits(e, right, left.labels, extents);
  const k = [...x.labels].filter((letter) => w.labels.includes(letter) && !out.includes(letter)).join("");
  const present = [...out].filter((letter) => x.labels.includes(letter) || w.labels.includes(letter)).join("");
  const value = k === "" ? outer(e, x, w, present) : e.apply("dot", [x.value, w.value], { x: x.labels, w: w.labels, out: present, k });
  return { value: reshape(e, value, [...out].map((letter) => extents.get(letter)!)), labels: out };
}

/** Nothing is summed: a product with explicit broadcasting. */
function outer(e: Emitter, x: Labelled, w: Labelled, out: string): Value {
  const extents = extentsOf([x, w]);
  const shape = [...out].map((letter) => extents.get(letter)!);
  const spread = (v: Labelled): Value => {
    const ordered = [...out].filter((letter) => v.labels.includes(letter));
    const turned = transpose(e, v.value, ordered.map((letter) => v.labels.indexOf(letter)));
    return broadcastTo(e, reshape(e, turned, [...out].map((letter) => (v.labels.includes(letter) ? extents.get(letter)! : 1))), shape);
  };
  return e.apply("mul", [spread(x), spread(w)], {});
}

function dropUnits(e: Emitter, own: Labelled, otherLabels: string, extents: ReadonlyMap<string, number>): Labelled {
  const shape = shapeOf(own.value);
  const kept = range(shape.length).filter((a) => shape[a] !== 1 || extents.get(own.labels[a]!) === 1 || !otherLabels.includes(own.labels[a]!));
  return { value: reshape(e, own.value, kept.map((a) => shape[a]!)), labels: kept.map((a) => own.labels[a]!).join("") };
}

function extentsOf(values: readonly Labelled[]): Map<string, number> {
  const extents = new Map<string, number>();
  for (const { value, labels } of values) {
    shapeOf(value).forEach((extent, axis) => {
      const known = extents.get(labels[axis]!) ?? 1;
      if (known !== 1 && extent !== 1 && known !== extent) {
        fail("E0203", `shapes ${values.map((v) => `[${shapeOf(v.value).join(",")}]`).join(" and ")} do not fit: ${known} against ${extent}`);
      }
      extents.set(labels[axis]!, known === 1 ? extent : known);
    });
  }
  return extents;
}

function einsum(c: Call): Value {
  const { e } = c;
  const equation = c.attributes.string("equation", "").replace(/\s/g, "");
  const bad = (why: string): never => c.attributes.refuse("equation", `is "${equation}": ${why}`, "letters and `...`, one term per input");
  const [terms, given, more] = equation.split("->");
  const inputs = terms!.split(",");
  if (more !== undefined || inputs.length !== c.inputs.length) bad("the count of terms is wrong");
  const used = new Set([...equation].filter((letter) => alphabet.includes(letter)));
  const spare = [...alphabet].filter((letter) => !used.has(letter));
  const widest = Math.max(0, ...inputs.map((term, i) => (term.includes("...") ? rankOf(input(c, i)) - (term.length - 3) : 0)));
  const dots = spare.slice(0, widest).join("");
  const expand = (term: string, rank: number): string => {
    const labels = term.replace("...", dots.slice(dots.length - Math.max(rank - (term.length - 3), 0)));
    if ([...labels].some((letter) => !alphabet.includes(letter))) bad(`the term "${term}"`);
    return labels;
  };
  const operands = inputs.map((term, i) => {
    const value = input(c, i);
    const labels = expand(term, rankOf(value));
    if (labels.length !== rankOf(value)) bad(`the term "${term}" for an input of rank ${rankOf(value)}`);
    return diagonal(e, { value, labels });
  });
  const counts = (letter: string): number => [...terms!].filter((other) => other === letter).length;
  const implicit = (): string => dots + [...used].filter((letter) => counts(letter) === 1).sort().join("");
  const out = given === undefined ? implicit() : given.replace("...", dots);
  if (new Set(out).size !== out.length || [...out].some((letter) => !operands.some((v) => v.labels.includes(letter)))) bad("the result");
  return chain(e, operands, out);
}

/** Contracts from left to right; a letter is summed as soon as nobody needs it any more. */
function chain(e: Emitter, operands: readonly Labelled[], out: string): Value {
  const extents = extentsOf(operands);
  const [first, ...others] = operands;
  let left = sumAway(e, first!, others, out);
  others.forEach((other, i) => {
    const later = others.slice(i + 1);
    const right = sumAway(e, other, [left, ...later], out);
    const needed = (letter: string): boolean => out.includes(letter) || later.some((v) => v.labels.includes(letter));
    const letters = [...new Set(left.labels + right.labels)].filter(needed);
    const result = i === others.length - 1 ? [...out].filter((letter) => letters.includes(letter)) : letters;
    left = contract(e, left, right, result.join(""));
  });
  const turned = transpose(e, left.value, [...out].map((letter) => left.labels.indexOf(letter)));
  return broadcastTo(e, turned, [...out].map((letter) => extents.get(letter)!));
}

function sumAway(e: Emitter, own: Labelled, others: readonly Labelled[], out: string): Labelled {
  const alone = range(own.labels.length).filter((a) => !out.includes(own.labels[a]!) && !others.some((v) => v.labels.includes(own.labels[a]!)));
  return { value: sum(e, own.value, alone), labels: [...own.labels].filter((_, a) => !alone.includes(a)).join("") };
}

/** A letter that stands twice takes the diagonal: every (n+1)-th element of the two axes as one. */
function diagonal(e: Emitter, own: Labelled): Labelled {
  const second = [...own.labels].findIndex((letter, a) => own.labels.indexOf(letter) !== a);
  if (second < 0) return own;
  const first = own.labels.indexOf(own.labels[second]!);
  const shape = shapeOf(own.value);
  const extent = shape[first]!;
  if (shape[second] !== extent) fail("E0203", `a diagonal of [${shape.join(",")}]`);
  const rest = range(shape.length).filter((a) => a !== first && a !== second);
  const flat = reshape(e, transpose(e, own.value, [...rest, first, second]), [...rest.map((a) => shape[a]!), product([extent, extent])]);
  const value = sliceAxis(e, flat, rest.length, 0, extent * extent, extent + 1);
  return diagonal(e, { value, labels: rest.map((a) => own.labels[a]!).join("") + own.labels[first]! });
}
