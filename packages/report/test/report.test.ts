import { machineHash, presets, submoduleNames, unitNames, type Image, type SubmoduleName, type UnitName } from "@systole/isa";
import { describe, expect, it } from "vitest";
import { buildReport, bytesText, grouped, lossCurve, perfettoTrace, renderGraphs, renderReport, renderRoofline, renderSubmodules, renderTraffic, shortened, type RunLike, type TraceEventLike } from "../src/index.ts";

const machine = presets["edge-16"];

const image: Image = {
  machineName: "edge-16", machineHash: machineHash(machine),
  routines: [
    { name: "main", submodule: "control", instructions: [{ op: "call", routine: 1 }, { op: "halt" }] },
    { name: "conv1", submodule: "basic", kernel: 0, instructions: [{ op: "ret" }] },
  ],
  segments: [], externalBytes: 4096, textAddress: 0, symbols: [],
  debug: {
    model: "small",
    kernels: [
      { name: "conv1", nodes: [{ node: "conv1", operator: "Conv" }, { node: "relu1", operator: "Relu" }], macs: 25_600, predictedCycles: 190, lowerBoundBytes: 5000, tiling: "m:64/64" },
      { name: "pool1", nodes: [{ node: "pool1", operator: "MaxPool" }], macs: 0, predictedCycles: 50, lowerBoundBytes: 900, tiling: "m:8/8" },
    ],
  },
};

const work = { calls: 1, instructions: 10, microOperations: 5, dmaRequests: 2, readBytes: 640, writeBytes: 128, asked: { cycles: 50, readBytes: 1280, writeBytes: 256 } };
const unit = { busy: 100, stalls: { data: 120, idle: 80, fetch: 0 } };

const run: RunLike = {
  cycles: 300, macs: 25_600, units: Object.fromEntries(unitNames.map((name) => [name, unit])) as Record<UnitName, typeof unit>,
  external: { readBytes: 6400, writeBytes: 1280, usedReadBytes: 6000, usedWriteBytes: 1200 },
  instructions: { fetched: 40, executed: 20, macros: 2, cacheMisses: 1, fillBytes: 64 },
  kernels: [
    { cycles: 200, macs: 25_600, readBytes: 6400, writeBytes: 640, boundBy: "load" },
    { cycles: 80, macs: 0, readBytes: 0, writeBytes: 640, boundBy: "vector" },
  ],
  outside: { cycles: 20, macs: 0, readBytes: 0, writeBytes: 0, boundBy: "latency" },
  submodules: { control: 20, gradient: 0, damping: 0, "gauss-newton": 0, "conjugate-gradient": 0, basic: 280 },
  submoduleWork: Object.fromEntries(submoduleNames.map((name) => [name, work])) as Record<SubmoduleName, typeof work>,
  traffic: new Map([["x", { readBytes: 6000, writeBytes: 0 }], ["other", { readBytes: 0, writeBytes: 1200 }]]),
};

const report = buildReport(image, machine, run, { compileMs: 12, runMs: 2, imageBytes: 4000 });

const residuals = { count: 2, bytes: 2048, keptBytes: 1024, nodes: [{ node: "relu1", operator: "Relu", count: 2, bytes: 2048 }] };
const phases = ["forward", "backward"] as const;
const phasedImage: Image = {
  ...image, debug: { ...image.debug, kernels: image.debug.kernels.map((kernel, i) => ({ ...kernel, nodes: kernel.nodes.map((node, k) => ({ ...node, phase: k === 0 ? phases[i]! : "product" })) })) },
};
const phased = buildReport(phasedImage, machine, run, { compileMs: 12, runMs: 2, imageBytes: 4000 }, residuals);

describe("buildReport", () => {
  it("has the fields that the contract names", () => {
    expect(report).toMatchObject({
      schema: "systole.report/1", machine: "edge-16", cycles: 300, macs: 25_600, arrayUtilization: 25_600 / (300 * 256),
      dram: { readBytes: 6400, writeBytes: 1280, lowerBoundBytes: 5900 },
      instructions: { fetched: 40, executed: 20, imageBytes: 4000, textBytes: 48 },
      host: { compileMs: 12, runMs: 2, macsPerSecond: 12_800_000 },
    });
    expect(report.layers[0]).toMatchObject({ name: "conv1", operator: "Conv", macs: 25_600, cycles: 200, predictedCycles: 190, utilization: 0.5, boundBy: "load" });
  });

  it("puts every layer beside its bounds", () => {
    expect(report.layers[0]).toMatchObject({ arrayBoundCycles: 100, memoryBoundCycles: 200, lowerBoundBytes: 5000, readBytes: 6400, writeBytes: 640 });
    expect(report.layers[0]!.roofline).toEqual({ macsPerByte: 25_600 / 7040, attainable: 128, achieved: 128 });
    expect(report.layers[1]!.utilization).toBe(0);
  });

  it("accounts for every cycle", () => {
    expect(report.layers.reduce((sum, layer) => sum + layer.cycles, report.outsideCycles)).toBe(report.cycles);
  });

  it("sums up phases by the main node of each layer", () => {
    expect(report.phases).toEqual([]);
    expect(phased.layers.map(({ phase }) => phase)).toEqual(["forward", "backward"]);
    expect(phased.phases).toEqual([
      { phase: "forward", cycles: 200, macs: 25_600, readBytes: 6400, writeBytes: 640 }, { phase: "backward", cycles: 80, macs: 0, readBytes: 0, writeBytes: 640 },
    ]);
    expect(phased.residuals).toEqual(residuals);
  });

  it("is plain JSON", () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  });
});

describe("text", () => {
  it("prints a line for each layer and each unit", () => {
    expect(renderReport(report)).toMatchInlineSnapshot(`
      "small on edge-16: 300 cycles, 25,600 MAC, array utilisation 33.3 %
      external memory: 6.3 KiB read, 1.3 KiB written; lower bound of the layers 5.8 KiB
      instructions: 40 fetched, 20 executed; text 48 B, image 3.9 KiB
      host: compiled in 12 ms, ran in 2 ms, 0.01 GMAC/s

      layer  operator  cycles  predicted  array  memory    used  bound by    moved  at least  tiling
      conv1  Conv         200        190    100     200  50.0 %  load      6.9 KiB   4.9 KiB  m:64/64
      pool1  MaxPool       80         50      0      20   0.0 %  vector      640 B     900 B  m:8/8

      unit          busy  lost to
      controller  33.3 %  data 40.0 %, idle 26.7 %
      load        33.3 %  data 40.0 %, idle 26.7 %
      store       33.3 %  data 40.0 %, idle 26.7 %
      array       33.3 %  data 40.0 %, idle 26.7 %
      vector      33.3 %  data 40.0 %, idle 26.7 %
      scalar      33.3 %  data 40.0 %, idle 26.7 %
      "
    `);
    expect(renderRoofline(report)).toContain("128.0 of    128.0 MAC/cycle [####################]");
  });

  it("prints what each phase cost, and the phase of each layer", () => {
    expect(renderReport(phased).split("\n").slice(5, 12).join("\n")).toMatchInlineSnapshot(`
      "phase     cycles   share     MAC  traffic
      forward      200  66.7 %  25,600  6.9 KiB
      backward      80  26.7 %       0    640 B
      residuals: 2 values of the point, 2.0 KiB; as compiled 1.0 KiB lie between the phases

      layer  operator  phase     cycles  predicted  array  memory    used  bound by    moved  at least  tiling
      conv1  Conv      forward      200        190    100     200  50.0 %  load      6.9 KiB   4.9 KiB  m:64/64"
    `);
    expect(renderReport(report)).not.toContain("phase");
  });

  it("writes numbers for people", () => {
    expect([grouped(1234567), grouped(12), bytesText(1536), bytesText(3 * 2 ** 30), shortened("abcdefghij", 6)]).toEqual(["1,234,567", "12", "1.5 KiB", "3.0 GiB", "ab..ij"]);
  });
});

describe("perfettoTrace", () => {
  const events: TraceEventLike[] = [
    { unit: "load", kernel: 0, address: 32, startCycle: 0, endCycle: 10 },
    { unit: "load", kernel: 0, address: 32, startCycle: 5, endCycle: 15 },
    { unit: "load", kernel: 0, address: 32, startCycle: 10, endCycle: 20 },
    { unit: "array", kernel: 0, address: 32, startCycle: 15, endCycle: 30 },
    { unit: "controller", kernel: -1, address: 0, startCycle: 0, endCycle: 1 },
  ];

  it("gives one track per unit and more only where transfers overlap", () => {
    const trace = perfettoTrace(events, image);
    const names = trace.traceEvents.flatMap((event) => (event.name === "thread_name" && event.ph === "M" ? [event.args.name] : []));
    expect(names).toEqual(["controller", "load", "load (2)", "array"]);
    const slices = trace.traceEvents.filter((event) => event.ph === "X");
    for (const a of slices) for (const b of slices) if (a !== b && a.tid === b.tid) expect(a.ts >= b.ts + b.dur || b.ts >= a.ts + a.dur).toBe(true);
  });

  it("names instruction, layer and ONNX nodes", () => {
    const slice = perfettoTrace(events, image).traceEvents.find((event) => event.ph === "X" && event.cat === "array");
    expect(slice).toMatchObject({ name: "ret conv1", ts: 15, dur: 15, args: { address: "0x20", routine: "conv1", layer: "conv1", nodes: "Conv conv1, Relu relu1" } });
  });
});

describe("the report of a training program", () => {
  it("says who worked, and on whose behalf", () => {
    const text = renderSubmodules(report);
    expect(text).toMatch(/^55 conjugate gradient +1 +10 +5 +0 +50 +16\.7 % +1\.5 KiB/m);
    expect(text).toMatch(/^56 basic operations +1 +10 +5 +280 *$/m);
  });

  it("adds up the kernels of a graph, largest first", () => {
    const named = { ...report, layers: report.layers.map((layer, i) => ({ ...layer, name: `product/${i}.x` })) };
    expect(renderGraphs(named)).toMatch(/^product +280 +93\.3 % +25,600 +7\.5 KiB/m);
  });

  it("lists what each external tensor cost", () => {
    expect(renderTraffic(report)).toMatch(/^x +5\.9 KiB +0 B/m);
  });

  it("draws a loss, and leaves out what is no number", () => {
    const svg = lossCurve([2, 1, NaN, 0.5], "loss <of> a & b");
    expect(svg).toContain("loss &lt;of> a &amp; b");
    expect(svg.match(/<circle/g)).toHaveLength(3);
    expect(svg).not.toContain("NaN");
    expect(lossCurve([], "nothing")).not.toContain("NaN");
  });
});
