import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
const doc = readFileSync(join(root, "docs/PAPER.md"), "utf8");
const words = [...doc.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");

describe("docs/PAPER.md", () => {
  test("names every test of this folder", () => {
    const tests = readdirSync(import.meta.dir).filter((name) => /^(?:section-.*|whole-cluster)\.test\.ts$/.test(name));
    expect(tests.map((name) => name.replace(".test.ts", "")).filter((name) => !words.includes(name))).toEqual([]);
  });

  test("names only files that there are", () => {
    const folders = ["", "src/master/", "src/chunkserver/", "test/paper/"];
    const paths = words.filter((word) =>
      /^(?:(?:section-[a-z0-9-]+|whole-cluster)|[a-z-]+(?:\/[a-z0-9.-]+)*\.ts|(?:src|test)\/[a-z0-9./-]+)$/.test(word),
    );
    expect(paths.length).toBeGreaterThan(40);
    const missing = paths.filter(
      (path) =>
        !folders.some((folder) => [path, `${path}.test.ts`].some((name) => existsSync(join(root, folder, name)))),
    );
    expect(missing).toEqual([]);
  });

  test("has every section of the paper", () => {
    for (const section of [
      "2.1",
      "2.2",
      "2.3",
      "2.4",
      "2.5",
      "2.6",
      "2.7",
      "3.1",
      "3.2",
      "3.3",
      "3.4",
      "4.1",
      "4.2",
      "4.3",
      "4.4",
      "4.5",
    ])
      expect(doc).toMatch(new RegExp(`^### ${section.replace(".", "\\.")} `, "m"));
    for (const section of ["5.1.1", "5.1.2", "5.1.3", "5.2", "5.3"]) expect(doc).toContain(`| ${section} `);
  });
});
