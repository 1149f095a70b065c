/** @file What `systole differentiate` reports by phase, and what `systole inspect` says of parameters. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tensor } from "@systole/systole";
import { describe, expect, it } from "vitest";
import type { Report } from "@systole/report";
import { writeNpy } from "../packages/cli/src/index.ts";
import { writeNpz } from "../packages/cli/src/files/npz.ts";
import { systole, temporaryFolder } from "../packages/cli/test/support.ts";
import { info, modelBytes, node } from "../packages/frontend-onnx/test/support.ts";

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
const numbers = (shape: readonly number[]) => tensor("f32", shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => ((i * 5) % 7) / 4 - 0.75));

const weights = { w: numbers([4, 3]), scale: numbers([3]), shift: numbers([3]), mean: numbers([3]), variance: tensor("f32", [3], [1, 0.5, 2]), last: numbers([3, 2]) };
writeFileSync(path("net.onnx"), modelBytes({
  nodes: [
    node("MatMul", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"]), node("Tanh", ["b"], ["c"]), node("MatMul", ["c", "last"], ["y"]),
  ],
  inputs: [info("x", "f32", [64, 4])], outputs: [info("y", "f32", [64, 2])], initializers: weights,
}));
writeFileSync(path("x.npy"), writeNpy(numbers([64, 4])));
writeFileSync(path("t.npy"), writeNpy(numbers([64, 2])));
writeFileSync(path("v.npz"), writeNpz(new Map(["w", "scale", "shift", "last"].map((name) => [`v/${name}`, weights[name as "w"]]))));

function derive(...more: readonly string[]): { readonly out: string; readonly report: Report } {
  const { code, out, err } = systole("differentiate", path("net.onnx"), "--loss", "squared-error", "--input", path("x.npy"), "--target", path("t.npy"), "--report", path("report.json"), "-o", path("out.npz"), ...more);
  expect(code, err).toBe(0);
  return { out, report: JSON.parse(readFileSync(path("report.json"), "utf8")) as Report };
}

describe("the report of differentiate", () => {
  it("splits layers and residuals by forward, backward and product", () => {
    const { out, report } = derive("--vector", path("v.npz"));
    expect(report.phases.map(({ phase }) => phase)).toEqual(["forward", "backward", "product"]);
    expect(report.layers.every(({ phase }) => phase !== undefined)).toBe(true);
    expect(report.phases.reduce((sum, { cycles }) => sum + cycles, report.outsideCycles)).toBe(report.cycles);
    expect(report.phases.reduce((sum, { macs }) => sum + macs, 0)).toBe(report.macs);
    // Two products forward; weights of both and the activations between them backward; two in the first layer and four in the second in the product.
    const [first, second] = [64 * 4 * 3, 64 * 3 * 2];
    expect(report.phases.map(({ macs }) => macs)).toEqual([first + second, first + 2 * second, 2 * first + 4 * second]);
    expect(report.residuals!.nodes.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.residuals!.bytes);
    expect(report.residuals!.nodes.map(({ operator }) => operator)).toContain("Tanh");
    expect(out).toMatch(/^phase +cycles +share +MAC +traffic$/m);
    expect(out).toMatch(/^backward +[\d,]+ +[\d.]+ % +1,536 +/m);
    expect(out).toMatch(/^residuals: \d+ values of the point, /m);
  });

  it("has no product without a direction", () => {
    expect(derive().report.phases.map(({ phase }) => phase)).toEqual(["forward", "backward"]);
  });

  it("is not split in a forward run", () => {
    expect(systole("run", path("net.onnx"), "--random", "1").out).not.toMatch(/^phase /m);
  });
});

describe("inspect", () => {
  it("says which parameters training may change", () => {
    const text = systole("inspect", path("net.onnx"), "--only", "model").out;
    for (const line of ["parameter w f32[4,3] trainable", "parameter scale f32[3] trainable", "parameter mean f32[3] fixed", "parameter variance f32[3] fixed", "30 numbers in parameters, 24 of them trainable"]) expect(text).toContain(line);
    const { parameters } = JSON.parse(systole("inspect", path("net.onnx"), "--only", "model", "--json").out) as { parameters: { name: string; trainable: boolean }[] };
    expect(parameters.filter(({ trainable }) => !trainable).map(({ name }) => name)).toEqual(["mean", "variance"]);
  });
});
