/** @file Losses on the command line: inside the model, several, with masks, class weights and ignored classes, for `differentiate` and `train`. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tensor, type Tensor } from "@systole/systole";
import { describe, expect, it } from "vitest";
import { info, modelBytes, node } from "../packages/frontend-onnx/test/support.ts";
import { writeNpy } from "../packages/cli/src/files/npy.ts";
import { readNpz, writeNpz } from "../packages/cli/src/files/npz.ts";
import { systole, temporaryFolder, type Outcome } from "../packages/cli/test/support.ts";

const folder = temporaryFolder();
let files = 0;
const samples = 24;

function fileOf(bytes: Uint8Array, kind: string): string {
  const path = join(folder, `${files++}.${kind}`);
  writeFileSync(path, bytes);
  return path;
}
const npy = (t: Tensor): string => fileOf(writeNpy(t), "npy");
const npz = (data: Readonly<Record<string, Tensor>>): string => fileOf(writeNpz(new Map(Object.entries(data))), "npz");
const wave = (shape: readonly number[], seed: number): Tensor => tensor("f32", shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed + 1.7 * i)));

const initializers = { w1: wave([4, 5], 1), b1: wave([5], 2), w2: wave([5, 3], 3), w3: wave([5, 2], 4) };
const body = [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Tanh", ["a"], ["h"]), node("MatMul", ["h", "w2"], ["z"])];
const outside = fileOf(modelBytes({ nodes: body, inputs: [info("x", "f32", ["N", 4])], outputs: [info("z", "f32", ["N", 3])], initializers }), "onnx");
const inside = fileOf(modelBytes({ nodes: [...body, node("SoftmaxCrossEntropyLoss", ["z", "t"], ["l"], { ignore_index: 1 })], inputs: [info("x", "f32", ["N", 4]), info("t", "i64", ["N"])], outputs: [info("l", "f32", [])], initializers }), "onnx");
const two = fileOf(modelBytes({ nodes: [...body, node("MatMul", ["h", "w3"], ["y"])], inputs: [info("x", "f32", ["N", 4])], outputs: [info("z", "f32", ["N", 3]), info("y", "f32", ["N", 2])], initializers }), "onnx");

const x = wave([samples, 4], 5);
const target = tensor("i64", [samples], Array.from({ length: samples }, (_, i) => (i * 5 + 1) % 3));
const y = wave([samples, 2], 6);
const mask = tensor("f32", [samples], Array.from({ length: samples }, (_, i) => (i % 3 === 0 || i > 17 ? 0 : 1)));

describe("differentiate", () => {
  const out = join(folder, "out.npz");
  const run = (model: string, ...words: readonly string[]): Outcome => systole("differentiate", model, "--batch", `${samples}`, "--input", `x=${npy(x)}`, "-o", out, ...words);
  const results = (model: string, ...words: readonly string[]): Map<string, Tensor> => {
    expect(run(model, ...words)).toMatchObject({ code: 0, err: "" });
    return readNpz(out) as Map<string, Tensor>;
  };
  const expectSame = (got: Map<string, Tensor>, wanted: Map<string, Tensor>): void => {
    for (const name of ["loss", "g/w1", "g/b1", "g/w2"]) got.get(name)!.data.forEach((value: number | bigint, i: number) => expect(Math.abs(Number(value) - Number(wanted.get(name)!.data[i]))).toBeLessThan(1e-6));
  };

  it("--loss model is the loss from outside", () => {
    expectSame(results(inside, "--loss", "model", "--input", `t=${npy(target)}`), results(outside, "--loss", "cross-entropy", "--target", npy(target), "--ignore-index", "1"));
  });

  it("a direction need not move every parameter, and says which it leaves out", () => {
    const common = ["--loss", "cross-entropy", "--target", npy(target)];
    const zeros = { "v/b1": tensor("f32", [5], [0, 0, 0, 0, 0]), "v/w2": tensor("f32", [5, 3], new Array<number>(15).fill(0)), "v/w3": tensor("f32", [5, 2], new Array<number>(10).fill(0)) };
    const whole = results(outside, ...common, "--vector", npz({ "v/w1": wave([4, 5], 7), ...zeros }));
    const part = run(outside, ...common, "--vector", npz({ "v/w1": wave([4, 5], 7) }));
    expect(part.code).toBe(0);
    expect(part.err).toMatch(/note: .* has no v\/b1, v\/w2, v\/w3: zero/);
    for (const [name, value] of readNpz(out)) expect(value.data, name).toEqual(whole.get(name)!.data);
  });

  it("open dimensions follow from the input file, with the same bits as --batch", () => {
    const words = ["--input", `x=${npy(x)}`, "--loss", "cross-entropy", "--target", npy(target)];
    const named = results(outside, ...words.slice(2));
    expect(systole("differentiate", outside, ...words, "-o", out)).toMatchObject({ code: 0, err: "" });
    for (const [name, value] of readNpz(out)) expect(value.data, name).toEqual(named.get(name)!.data);
  });

  it("a damaged direction is refused, not used", () => {
    const path = npz({ "v/w1": wave([4, 5], 7) });
    const bytes = readFileSync(path);
    bytes[Math.floor(bytes.indexOf("descr") + 130)]! ^= 1;
    writeFileSync(path, bytes);
    expect(run(outside, "--loss", "cross-entropy", "--target", npy(target), "--vector", path)).toMatchObject({ code: 1, err: expect.stringMatching(/E0105: not a .npz file, or a damaged one/) });
  });

  it.each([["f32", [Infinity], /element 0 of "v\/b1" is Infinity in float32/], ["f64", [0, -1e300], /element 1 of "v\/b1" is -Infinity in float32/], ["f32", [0, 0, NaN], /element 2 of "v\/b1" is NaN/]] as const)("a direction is finite in float32: %s %j", (dtype, begin, message) => {
    const direction = tensor(dtype, [5], [...begin, 0, 0, 0, 0, 0].slice(0, 5));
    expect(run(outside, "--loss", "cross-entropy", "--target", npy(target), "--vector", npz({ "v/b1": direction }))).toMatchObject({ code: 1, err: expect.stringMatching(message) });
  });

  it("a pattern that freezes nothing is named", () => {
    const outcome = run(outside, "--loss", "cross-entropy", "--target", npy(target), "--freeze", "w1", "--freeze", "none*");
    expect(outcome).toMatchObject({ code: 0, err: expect.stringMatching(/^note: nothing is frozen by "none\*": no parameter has such a name\n$/) });
    expect([...readNpz(out).keys()].filter((name) => name.startsWith("g/"))).toEqual(["g/b1", "g/w2", "g/w3"]);
  });

  it("what is given twice is refused", () => {
    expect(run(outside, "--input", `x=${npy(x)}`, "--loss", "cross-entropy", "--target", npy(target))).toMatchObject({ code: 1, err: expect.stringMatching(/input "x" is given twice/) });
    expect(run(outside, "--loss", "cross-entropy", "--target", npy(target), "--target", npy(target))).toMatchObject({ code: 2, err: expect.stringMatching(/given twice/) });
  });

  it("results take no place of each other or of what is read, and are written together", () => {
    const direction = npz({ "v/w1": wave([4, 5], 7) });
    const given = readFileSync(direction);
    const at = (output: string, ...words: readonly string[]): Outcome => systole("differentiate", outside, "--input", `x=${npy(x)}`, "--loss", "cross-entropy", "--target", npy(target), "--vector", direction, "-o", output, ...words);
    const fresh = join(folder, "fresh.npz");
    expect(at(fresh, "--report", fresh)).toMatchObject({ code: 2, err: expect.stringMatching(/-o and --report are both/) });
    expect(at(direction)).toMatchObject({ code: 2, err: expect.stringMatching(/would overwrite what is read/) });
    expect(at(fresh, "--report", folder)).toMatchObject({ code: 1, err: expect.stringMatching(/E0101/) });
    expect(at(fresh, "--report", join(folder, "none", "r.json"))).toMatchObject({ code: 1, err: expect.stringMatching(/E0101/) });
    expect(readFileSync(direction)).toEqual(given);
    expect(readdirSync(folder).filter((name) => name.includes("fresh"))).toEqual([]);
  });

  it.each([
    [{ "v/w9": wave([4, 5], 7) }, /"v\/w9" is the direction of no parameter/], [{ w1: wave([4, 5], 7) }, /there is no direction of a parameter/], [{ "v/w1": wave([5, 4], 7) }, /"v\/w1" is f32\[5,4\], the parameter f32\[4,5\]/],
  ] as const)("a direction that does not fit is refused: %#", (direction, message) => {
    const refused = run(outside, "--loss", "cross-entropy", "--target", npy(target), "--vector", npz(direction));
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(message);
  });

  it("NaN is refused where it stands: in input, target and direction, not behind a mask", () => {
    const spoilt = (t: Tensor, at: number): Tensor => ({ ...t, data: Float32Array.from(t.data as Float32Array, (value, i) => (i === at ? NaN : value)) });
    const refusal = (given: Tensor, wanted: Tensor, direction: Tensor, ...more: readonly string[]): string =>
      systole("differentiate", outside, "--batch", `${samples}`, "--input", `x=${npy(given)}`, "--loss", "squared-error", "--target", npy(wanted), "--vector", npz({ "v/w1": direction }), ...more, "-o", out).err;
    const [scores, v] = [wave([samples, 3], 8), wave([4, 5], 7)];
    expect(refusal(spoilt(x, 30), scores, v)).toMatch(/E0602: element 30 is NaN, in sample 7\n.*"x"/);
    expect(refusal(spoilt(x, 30), scores, v, "--sample-axis", "x=1")).toMatch(/E0602: element 30 is NaN, in sample 2\n/);
    expect(refusal(x, spoilt(scores, 10), v)).toMatch(/E0602: element 10 is NaN, in sample 3\n.*"target"/);
    expect(refusal(x, scores, spoilt(v, 6))).toMatch(/E0602: element 6 of "v\/w1" is NaN/);
    expect(refusal(x, spoilt(scores, 0), v, "--target-mask", npy(mask))).not.toMatch(/E0602/);
  });

  it("a mask is an ignored class", () => {
    const without = { ...target, data: target.data.map((value: number | bigint, i: number) => (mask.data[i] === 0 ? -100n : value)) as BigInt64Array };
    expectSame(results(outside, "--loss", "z=cross-entropy", "--target", `z=${npy(target)}`, "--target-mask", npy(mask)), results(outside, "--loss", "cross-entropy", "--target", npy(without), "--ignore-index", "-100"));
  });

  it("several losses, each with its target", () => {
    const both = results(two, "--loss", "z=cross-entropy", "--loss", "y=squared-error", "--target", `z=${npy(target)}`, "--target", `y=${npy(y)}`, "--target-mask", `y=${npy(mask)}`);
    const parts = [results(two, "--loss", "z=cross-entropy", "--target", npy(target)), results(two, "--loss", "squared-error", "--loss-output", "y", "--target", npy(y), "--target-mask", npy(mask))];
    for (const name of ["loss", "g/w1", "g/w3"]) both.get(name)!.data.forEach((value: number | bigint, i: number) => expect(Math.abs(Number(value) - Number(parts[0]!.get(name)!.data[i]) - Number(parts[1]!.get(name)!.data[i]))).toBeLessThan(2e-6));
  });

  it("class weights, and the axis of the classes", () => {
    const weights = tensor("f32", [3], [1, 0, 2]);
    const plain = results(outside, "--loss", "cross-entropy", "--class-weights", npy(weights), "--class-axis", "1", "--target", npy(target));
    expect(Number(plain.get("loss")!.data[0])).toBeGreaterThan(0);
    const ignored = results(outside, "--loss", "cross-entropy", "--class-weights", npy(tensor("f32", [3], [1, 7, 2])), "--ignore-index", "1", "--target", npy(target));
    expectSame(plain, ignored);
  });

  it.each([
    [["--loss", "cross-entropy"], 2, /--target FILE is missing/],
    [["--loss", "nothing", "--target", npy(target)], 2, /Allowed choices are .*model/],
    [["--loss", "z=cross-entropy", "--loss", "squared-error", "--target", npy(target)], 2, /--loss OUTPUT=NAME each/],
    [["--loss", "model"], 1, /E0603: no output of the model is made by a loss/],
    [["--loss", "cross-entropy", "--target", npy(target), "--target-mask", npy(tensor("f32", [samples], new Array<number>(samples).fill(0)))], 1, /E0602: no target of cross-entropy takes part/],
    [["--loss", "cross-entropy", "--target", npy(target), "--target-mask", npy(tensor("f32", [samples], new Array<number>(samples).fill(0.5)))], 1, /E0602: element 0 of the mask is 0.5/],
    [["--loss", "cross-entropy", "--target", npy(target), "--class-weights", npy(tensor("f32", [2], [1, 1]))], 1, /E0203: cross-entropy: weights/],
    [["--loss", "cross-entropy", "--target", npy(target), "--class-weights", npy(tensor("f32", [3], [1, -1, 1]))], 1, /E0602: class weights/],
    [["--loss", "squared-error", "--target", npy(wave([samples, 3], 1)), "--ignore-index", "1"], 1, /E0603: --ignore-index is for cross-entropy/],
    [["--loss", "cross-entropy", "--target", `w=${npy(target)}`], 1, /E0603: --target w: which loss is it for\?/],
  ] as const)("%j is refused", (words, code, message) => {
    const outcome = run(outside, ...words);
    expect(outcome.err).toMatch(message);
    expect(outcome.err).not.toContain("    at ");
    expect(outcome.code).toBe(code);
  });
});

describe("train", () => {
  const log = join(folder, "log.jsonl");
  const train = (model: string, data: Readonly<Record<string, Tensor>>, ...words: readonly string[]): Outcome => (
    systole("train", model, "--data", npz(data), "--validation", npz(data), "--iterations", "1", "--cg-iterations", "2", "--no-preconditioner", "--log", log, "-o", join(folder, "trained.onnx"), ...words)
  );
  const first = (model: string, data: Readonly<Record<string, Tensor>>, ...words: readonly string[]): { readonly loss: number; readonly gradientNorm: number; readonly out: string } => {
    const { code, out, err } = train(model, data, ...words);
    expect(code, err).toBe(0);
    return { ...(JSON.parse(readFileSync(log, "utf8").split("\n")[0]!) as { readonly loss: number; readonly gradientNorm: number }), out };
  };
  const close = (a: { readonly loss: number; readonly gradientNorm: number }, b: typeof a): void => {
    expect(a.loss).toBeCloseTo(b.loss, 5);
    expect(a.gradientNorm).toBeCloseTo(b.gradientNorm, 5);
  };
  const sizes = ["4", "8"];

  it("a mask gives the mean over what takes part in all data, however it is cut into micro-batches", () => {
    const kept = Array.from({ length: samples }, (_, i) => i).filter((i) => mask.data[i] === 1);
    const chosen = { x: tensor("f32", [kept.length, 4], kept.flatMap((i) => Array.from(x.data.slice(4 * i, 4 * i + 4) as Float32Array))), target: tensor("i64", [kept.length], kept.map((i) => Number(target.data[i]))) };
    const wanted = first(outside, chosen, "--loss", "cross-entropy");
    for (const size of sizes) {
      const got = first(outside, { x, target, mask }, "--loss", "cross-entropy", "--micro-batch", size);
      close(got, wanted);
      expect(got.out).toMatch(/validation: loss [\d.]+, [\d.]+ % right/);
    }
    close(first(outside, { x, target, keep: mask }, "--loss", "cross-entropy", "--target-mask", "keep", "--micro-batch", "8"), wanted);
  });

  it("so do class weights, an ignored class and a loss inside the model", () => {
    const words = ["--loss", "cross-entropy", "--ignore-index", "1"];
    const whole = first(outside, { x, target }, ...words, "--micro-batch", "24");
    for (const size of sizes) {
      close(first(outside, { x, target }, ...words, "--micro-batch", size), whole);
      const own = first(inside, { x, t: target }, "--loss", "model", "--micro-batch", size);
      close(own, whole);
      expect(own.out).toMatch(/validation: loss [\d.]+, [\d.]+ % right/);
    }
    const weighed = ["--loss", "cross-entropy", "--class-weights", npy(tensor("f32", [3], [1, 0, 2]))];
    close(first(outside, { x, target }, ...weighed, "--micro-batch", "4"), first(outside, { x, target }, ...weighed, "--micro-batch", "24"));
  });

  it("Dropout in training form draws masks by the seed, and none for validation", () => {
    const dropping = fileOf(modelBytes({
      nodes: [...body.slice(0, 2), node("Dropout", ["h", "ratio", "on"], ["d"]), node("MatMul", ["d", "w2"], ["z"])], inputs: [info("x", "f32", ["N", 4])], outputs: [info("z", "f32", ["N", 3])],
      initializers: { w1: initializers.w1, b1: initializers.b1, w2: initializers.w2, ratio: tensor("f32", [], [0.5]), on: tensor("bool", [], [1]) },
    }), "onnx");
    const words = (seed: string): readonly string[] => ["--loss", "cross-entropy", "--micro-batch", "8", "--seed", seed];
    const [one, again, other, plain] = [first(dropping, { x, target }, ...words("1")), first(dropping, { x, target }, ...words("1")), first(dropping, { x, target }, ...words("2")), first(outside, { x, target }, ...words("1"))];
    expect(again.loss).toBe(one.loss);
    expect(new Set([one.loss, other.loss, plain.loss]).size).toBe(3);
    // Masks belong to samples, however they are cut.
    close(first(dropping, { x, target }, "--loss", "cross-entropy", "--micro-batch", "24", "--seed", "1"), one);
    const derive = (...more: readonly string[]) => systole("differentiate", dropping, "--batch", `${samples}`, "--loss", "cross-entropy", "--input", `x=${npy(x)}`, "--target", npy(target), "--seed", "3", ...more, "-o", join(folder, "dropping.npz"));
    const derived = derive("--check", "--sample-axis", "x=0");
    expect([derived.code, derived.err]).toEqual([0, ""]);
    expect(derive("--sample-axis", "x=2").err).toMatch(/E0603: axis 2 of "x" shall count the samples, but is of rank 2/);
    expect(systole("run", dropping, "--batch", "2", "--random", "1").err).toMatch(/E0202: training with ratio 0.5/);
  });

  it("of several losses each has its target and mask", () => {
    const data = { x, "target.z": target, "target.y": y, "mask.y": mask };
    const words = ["--loss", "z=cross-entropy", "--loss", "y=squared-error"];
    const whole = first(two, data, ...words, "--micro-batch", "24");
    close(first(two, data, ...words, "--micro-batch", "6"), whole);
    const parts = [first(two, { x, target }, "--loss", "z=cross-entropy"), first(two, { x, target: y, mask }, "--loss", "y=squared-error")];
    expect(whole.loss).toBeCloseTo(parts[0]!.loss + parts[1]!.loss, 5);
  });

  it.each([
    [{ x, target, mask: tensor("f32", [samples], new Array<number>(samples).fill(0)) }, ["--loss", "cross-entropy"], /E0602: no target of cross-entropy takes part/],
    [{ x, target }, ["--loss", "cross-entropy", "--target-mask", "keep"], /E0601: the data holds no "keep"/],
    [{ x, target, mask: wave([samples, 2], 1) }, ["--loss", "cross-entropy"], /E0203: cross-entropy: a mask of f32\[\d+,2\] for places|E0602: element/],
    [{ x, target }, ["--loss", "model"], /E0601: the data holds "target", which the model does not take/],
    [{ x, target, mask }, ["--loss", "cross-entropy", "--target-mask", "x"], /E0603: --target-mask x: that is an input of the model|E0601/],
  ] as const)("data %# that does not fit is refused", (data, words, message) => {
    const { code, err } = train(outside, data, ...words);
    expect(err).toMatch(message);
    expect(code).toBe(1);
  });
});
