import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { mutants } from "./list.ts";
import { mutate } from "./mutant.ts";
import { runMutant } from "./run-mutant.ts";

const root = resolve(import.meta.dir, "../../..");

/** They wait for each other. */
const allMs = 900_000;

describe("each rule that is taken out", () => {
  for (const mutant of mutants) {
    test.concurrent(
      `is missed: ${mutant.name} (${mutant.rule})`,
      async () => {
        expect(mutant.killedBy).not.toEqual([]);
        const runs = await runMutant(mutant, mutant.killedBy, "first");
        expect(runs.at(-1)?.noticed, JSON.stringify(runs)).toBeString();
      },
      allMs,
    );
  }
});

describe("the list of mutants", () => {
  test("has each name once", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  test("changes what it names, exactly once", () => {
    for (const mutant of mutants) {
      for (const { file } of mutant.edits) {
        const source = readFileSync(resolve(root, file), "utf8");
        expect(mutate(mutant, file, source)).not.toBe(source);
      }
    }
  });

  test("is refused where a text is not there, or there twice", () => {
    const mutant = { name: "m", rule: "r", edits: [{ file: "f", find: "a", replace: "b" }], killedBy: [] };
    expect(() => mutate(mutant, "f", "x")).toThrow("occurs 0 times");
    expect(() => mutate(mutant, "f", "aa")).toThrow("occurs 2 times");
    expect(mutate(mutant, "f", "xay")).toBe("xby");
  });
});
