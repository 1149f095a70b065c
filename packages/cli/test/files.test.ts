import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { externalReader, writeWhole } from "../src/files/files.ts";
import { fileNames } from "../src/files/tensorFile.ts";
import { temporaryFolder } from "./support.ts";

describe("external data", () => {
  const root = temporaryFolder();
  const folder = join(root, "model");
  mkdirSync(join(folder, "weights"), { recursive: true });
  writeFileSync(join(root, "secret"), "secret");
  writeFileSync(join(folder, "weights", "w.bin"), "0123456789");
  symlinkSync(join(root, "secret"), join(folder, "link"));
  symlinkSync(root, join(folder, "up"));
  const read = externalReader(join(folder, "model.onnx"));

  it("is read from the model's folder and below", () => {
    expect(Buffer.from(read("weights/w.bin", 2, 3)).toString()).toBe("234");
    expect(Buffer.from(read("./weights/w.bin", 8, 100)).toString()).toBe("89");
    expect(read("weights/w.bin", 100, 4)).toHaveLength(0);
  });

  it.each(["../secret", "weights/../../secret", "link", "up/secret", "weights", "nothing"])("is refused at %s", (location) => {
    expect(() => read(location, 0, 6)).toThrow("E0103");
  });
});

describe("writing", () => {
  it("leaves the old file or the new one and nothing else", () => {
    const folder = temporaryFolder();
    const file = join(folder, "a.txt");
    writeWhole(file, "old");
    writeWhole(file, "new");
    expect(readFileSync(file, "utf8")).toBe("new");
    expect(() => writeWhole(join(folder, "no", "b.txt"), "x")).toThrow("E0101");
    mkdirSync(join(folder, "taken"));
    expect(() => writeWhole(join(folder, "taken"), "x")).toThrow("E0101");
    expect(readdirSync(folder).sort()).toEqual(["a.txt", "taken"]);
  });

  it("names files of outputs so that they stay apart and inside their folder", () => {
    expect(fileNames(["y", "../y", "a/b", "a:b", "", "..", "Y"])).toEqual(["y", "__y", "a_b", "a_b-2", "output", "_", "Y-2"]);
  });
});
