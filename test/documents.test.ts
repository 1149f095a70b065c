/** @file Generated documents are what their tables give, and the hand-written ones point at things that exist. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { staleDocuments } from "../scripts/generateDocs.ts";

const root = join(import.meta.dirname, "..");

describe("documents", () => {
  it("are fresh (npm run docs)", () => {
    expect(staleDocuments()).toEqual([]);
  });

  const written = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ...["docs", "docs/decisions"].flatMap((folder) => readdirSync(join(root, folder)).filter((name) => name.endsWith(".md")).map((name) => `${folder}/${name}`))];

  it.each(written)("%s links to files that exist", (document) => {
    const text = readFileSync(join(root, document), "utf8");
    const links = [...text.matchAll(/\]\(([^)#:\s]+)(#[^)]*)?\)/g)].map((match) => match[1]!);
    expect(links.filter((link) => !existsSync(join(root, dirname(document), link)))).toEqual([]);
  });

  it.each(written)("%s names paths that exist", (document) => {
    const text = readFileSync(join(root, document), "utf8");
    const paths = [...text.matchAll(/`((?:packages|scripts|docs|test|bench)\/[A-Za-z0-9_./-]+)`/g)].map((match) => match[1]!);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
