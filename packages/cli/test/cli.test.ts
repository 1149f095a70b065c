import { existsSync, mkdirSync, copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeTensor, tensor } from "@systole/systole";
import { describe, expect, it } from "vitest";
import { readNpy, runCli, writeNpy } from "../src/index.ts";
import { mnist, systole, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const zero = tensor("f32", [1, 1, 28, 28], new Float32Array(784));
const image = join(folder, "image.npy");
writeFileSync(image, writeNpy(zero));

describe("exit codes", () => {
  it.each([[[]], [["nonsense"]], [["run"]], [["run", mnist, "--nonsense"]], [["compile", mnist]], [["compile", mnist, "--emit", "wasm"]], [["run", mnist, "--batch", "0"]], [["run", mnist, "--print-after", "nothing"]], [["run", mnist, "--shape", "image"]]])("2 for %j", (words) => {
    const { code, out, err } = systole(...words);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).not.toContain("    at ");
  });

  it.each([
    [["run", "nothing.onnx"], "E0101"], [["run", image], "E0102"], [["run", mnist], "E0204"], [["run", mnist, "--batch", "1"], "E0601"],
    [["run", mnist, "--batch", "1", "--machine", "nothing"], "E0301"], [["run", mnist, "--batch", "2", "--input", image], "E0602"], [["conform", "nothing"], "E0101"],
  ])("1 with a diagnostic for %j", (words, wanted) => {
    const { code, out, err } = systole(...words);
    expect(code).toBe(1);
    expect(out).toBe("");
    expect(err).toMatch(new RegExp(`^error ${wanted}: `));
    expect(err).not.toContain("    at ");
  });

  it("0 for help and version", () => {
    expect(systole("--help").code).toBe(0);
    expect(systole("help", "run").out).toContain("--timing-only");
    expect(systole("--version").out).toBe("0.1.0\n");
  });

  it("70 for a bug of ours, with a stack only where it is asked for", () => {
    const broken = (debug: boolean): { code: number; err: string } => {
      let err = "";
      const code = runCli(["machines"], { out: () => { throw new Error("internal: broken"); }, err: (text) => { err += text; }, isWatched: false, now: () => 0 }, { debug });
      return { code, err };
    };
    expect(broken(false)).toEqual({ code: 70, err: "internal error: internal: broken\n  This is a bug of systole. Please report it with the command and the file; SYSTOLE_DEBUG=1 adds where it happened.\n" });
    expect(broken(true).err).toContain("    at ");
  });
});

describe("compile and run", () => {
  const elf = join(folder, "mnist.elf");

  it("writes an image that runs as the model does", () => {
    expect(systole("compile", mnist, "--batch", "1", "-o", elf).out).toContain("mnist.elf");
    const [fromModel, fromImage] = ["model", "image"].map((name) => join(folder, name));
    expect(systole("run", mnist, "--input", image, "--output", fromModel!).code).toBe(0);
    expect(systole("run", elf, "--input", `image=${image}`, "--output", fromImage!).code).toBe(0);
    const [a, b] = [fromModel!, fromImage!].map((name) => readFileSync(join(name, "digits.npy")));
    expect(a).toEqual(b);
    expect(readNpy(a!, "digits.npy")).toMatchObject({ dtype: "f32", shape: [1, 10] });
  });

  it("says which inputs are missing and what they look like", () => {
    expect(systole("run", elf).err).toContain("--input image=FILE with f32[1,1,28,28]");
    expect(systole("run", elf, "--random", "7").out).toContain("output digits f32[1,10]: ");
    expect(systole("run", elf, "--random", "7").out).toBe(systole("run", elf, "--random", "7").out);
  });

  it("refuses an image for another machine", () => {
    const { code, err } = systole("run", elf, "--machine", "train-32", "--random", "1");
    expect([code, err.slice(0, 11)]).toEqual([1, "error E0402"]);
  });

  it("times without values what a full run takes", () => {
    const cycles = (text: string): unknown => (JSON.parse(text) as { cycles: unknown }).cycles;
    const full = systole("run", elf, "--random", "1", "--json");
    const timed = systole("run", elf, "--timing-only", "--assume", "cg=30", "--json");
    expect(cycles(timed.out)).toBe(cycles(full.out));
    expect(timed.err).toContain("no branches");
  });

  it("writes report and trace", () => {
    const [report, trace] = [join(folder, "report.json"), join(folder, "trace.json")];
    systole("run", elf, "--random", "1", "--report", report, "--trace", trace);
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ schema: "systole.report/1", machine: "edge-16", model: "mnist-cnn" });
    const { traceEvents } = JSON.parse(readFileSync(trace, "utf8")) as { traceEvents: { ph: string }[] };
    expect(traceEvents.filter((event) => event.ph === "X").length).toBeGreaterThan(10);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("prints the stages", () => {
    expect(systole("compile", mnist, "--batch", "1", "--emit", "ir").out).toMatch(/^graph "mnist-cnn" {/);
    expect(systole("compile", mnist, "--batch", "1", "--emit", "schedule").out).toContain("kernel ");
    expect(systole("compile", mnist, "--batch", "1", "--emit", "asm").out).toContain('.routine "main" control');
    const file = join(folder, "stage.txt");
    expect(systole("compile", mnist, "--shape", "image=1,1,28,28", "--emit", "ir", "-o", file).out).toBe("");
    expect(existsSync(file)).toBe(true);
  });

  it("shows the passes at work", () => {
    const { err } = systole("compile", mnist, "--batch", "1", "--emit", "asm", "--print-after", "dead-code", "--time-passes", "--verify-each");
    expect(err).toContain("// after dead-code");
    expect(err).toMatch(/fold-constants +0\.00 ms/);
  });
});

describe("inspect", () => {
  it("links code to ONNX nodes, as text and as data", () => {
    const text = systole("inspect", mnist, "--batch", "1").out;
    for (const part of ["input image f32[1,1,28,28]", "parameter conv1.weight", "## Graph", "## Schedule and memory plan", ".text.control.main", '; Conv "conv1"']) expect(text).toContain(part);
    const data = JSON.parse(systole("inspect", mnist, "--batch", "1", "--json").out) as Record<string, unknown>;
    expect(data).toMatchObject({ schema: "systole.inspect/1", kind: "model", opset: 13, model: "mnist-cnn" });
    expect(Object.keys(data)).toEqual(expect.arrayContaining(["graph", "schedule", "image", "routines"]));
  });

  it("shows the ladder of a model, when asked", () => {
    const text = systole("inspect", mnist, "--batch", "1", "--only", "ladder").out;
    expect(text).toContain('ladder of "mnist-cnn": 8 layers');
    expect(text).toMatch(/^8 +fc Gemm +dot add \(2560 macs\)/m);
    expect(systole("inspect", mnist, "--batch", "1").out).not.toContain("ladder");
    const { ladder } = JSON.parse(systole("inspect", mnist, "--batch", "1", "--only", "ladder", "--json").out) as { ladder: { storedBytes: number; layers: { stores: { bytes: number }[] }[] } };
    expect(ladder.layers).toHaveLength(8);
    expect(ladder.layers.flatMap(({ stores }) => stores).reduce((sum, { bytes }) => sum + bytes, 0)).toBe(ladder.storedBytes);
    const elf = join(folder, "ladder.elf");
    systole("compile", mnist, "--batch", "1", "-o", elf);
    expect(systole("inspect", elf, "--only", "ladder")).toMatchObject({ code: 1, out: "", err: expect.stringContaining("error E0603: an image has no ladder") as unknown });
  });

  it("opens images", () => {
    const elf = join(folder, "inspect.elf");
    systole("compile", mnist, "--batch", "1", "-o", elf);
    const text = systole("inspect", elf).out;
    expect(text).toContain("image of \"mnist-cnn\" for edge-16");
    expect(text).toContain("; Conv \"conv1\"");
    expect(JSON.parse(systole("inspect", elf, "--json", "--only", "code").out)).toMatchObject({ kind: "image", routines: expect.any(Array) as unknown });
  });
});

describe("conform", () => {
  const suite = join(folder, "suite");
  const logits = join(folder, "expected");
  systole("run", mnist, "--input", image, "--output", logits);
  const expected = readNpy(readFileSync(join(logits, "digits.npy")), "digits.npy");
  for (const [name, shift] of [["good", 0], ["bad", 1]] as const) {
    const set = join(suite, name, "test_data_set_0");
    mkdirSync(set, { recursive: true });
    copyFileSync(mnist, join(suite, name, "model.onnx"));
    writeFileSync(join(set, "input_0.pb"), encodeTensor(zero, "image"));
    writeFileSync(join(set, "output_0.pb"), encodeTensor({ ...expected, data: (expected.data as Float32Array).map((x) => x + shift) }, "digits"));
  }

  it("fails where a number is wrong", () => {
    const file = join(folder, "conform.json");
    const { code, out } = systole("conform", suite, "--json", file);
    expect(code).toBe(1);
    expect(out).toContain("1 passed, 1 failed, 0 unsupported");
    expect(out).toMatch(/failed +bad: test_data_set_0: output "digits": 10 of 10 elements differ/);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ schema: "systole.conform/1", machine: "edge-16", passed: 1, failed: 1, unsupported: 0, cases: [{ name: "bad" }, { name: "good", outcome: "passed" }] });
  });

  it("passes where all numbers are right, and takes a filter", () => {
    expect(systole("conform", suite, "--filter", "^good$", "--quiet")).toEqual({ code: 0, out: "1 passed, 0 failed, 0 unsupported\n", err: "" });
  });
});

describe("tables", () => {
  it("are data with a schema", () => {
    for (const name of ["machines", "operators", "passes"]) {
      expect(JSON.parse(systole(name, "--json").out)).toMatchObject({ schema: `systole.${name}/1` });
      expect(systole(name).out.split("\n").length).toBeGreaterThan(5);
    }
  });
});

describe("demo", () => {
  it("trains on digits, recognises others, and leaves models, images and reports", () => {
    const left = join(folder, "out");
    const { code, out } = systole("demo", "--samples", "400", "--iterations", "2", "--images", "20", "--output", left);
    expect(code).toBe(0);
    // Two of twenty would be chance.
    expect(Number(/(\d+) of 20 test images recognised/.exec(out)![1])).toBeGreaterThan(10);
    expect(readdirSync(left).sort()).toEqual(["curve.svg", "mnist.elf", "mnist.onnx", "report.json", "trace.json", "training.elf", "training.json", "training.jsonl"]);
  });
});
