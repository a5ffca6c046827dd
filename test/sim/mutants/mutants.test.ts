import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { canary } from "./canary.ts";
import { candidates, formatRun, parseRun, readKillers, type Run } from "./killers.ts";
import { mutants } from "./list.ts";
import { type Mutant, mutate } from "./mutant.ts";
import { MutantRunner } from "./run-mutant.ts";
import { switched } from "./switched.ts";

const root = resolve(import.meta.dir, "../../..");
const killers = readKillers();
/** Of each scenario of a mutant that no known run notices any more. */
const freshSeeds = 6;
const runner = new MutantRunner(availableParallelism());
afterAll(() => runner[Symbol.asyncDispose]());

/** They wait for each other. */
const allMs = 900_000;

describe("each rule that is taken out", () => {
  for (const mutant of mutants) {
    test.concurrent(
      `is missed: ${mutant.name} (${mutant.rule})`,
      async () => {
        const runs = [
          ...(killers.get(mutant.name) ?? []),
          ...candidates(mutant.scenarios, { from: 1, count: freshSeeds }),
        ];
        const made = await runner.run(mutant, runs, 1);
        const tried = `${made.map(formatRun).join(", ")} did not notice: bun run sim:mutants --update --only ${mutant.name}`;
        expect(made.at(-1)?.noticed, tried).toBeString();
      },
      allMs,
    );
  }
});

describe("without any mutant", () => {
  const first = new Set([...killers.values()].flatMap(([run]) => (run === undefined ? [] : [formatRun(run)])));
  const shares = Array.from({ length: availableParallelism() }, (): Run[] => []);
  for (const [index, text] of [...first].entries()) shares[index % shares.length]?.push(parseRun(text));
  for (const [index, runs] of shares.entries()) {
    test.concurrent(
      `nothing is noticed where mutants are, part ${index + 1}`,
      async () => {
        const made = await runner.run(undefined, runs, 1);
        expect(made.filter(({ noticed }) => noticed !== undefined)).toEqual([]);
        expect(made).toHaveLength(runs.length);
      },
      allMs,
    );
  }
});

describe("a harness that can fail", () => {
  test.concurrent(
    "notices the canary in any run",
    async () => {
      const runs = candidates(["brief", "squall"], { from: 1, count: 2 });
      const made = await runner.run(canary, runs, runs.length);
      expect(made.map(({ noticed }) => noticed?.split(":", 1)[0])).toEqual(runs.map(() => "P2"));
    },
    allMs,
  );
});

describe("the list of mutants", () => {
  test("has each name once", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  test("changes what it names, exactly once", () => {
    const outdated = mutants.flatMap((mutant) =>
      mutant.edits.flatMap(({ file }) => {
        try {
          const source = readFileSync(resolve(root, file), "utf8");
          return mutate(mutant, file, source) === source ? [`${mutant.name} leaves ${file} as it is`] : [];
        } catch (error) {
          return [String(error)];
        }
      }),
    );
    expect(outdated).toEqual([]);
  });

  test("switches where its edits are, and nowhere else", async () => {
    const source = [
      "function add(a: number): number {",
      '  const text = "}"; // {',
      "  return a + 1;",
      "}",
      "function both(a: number): string {",
      "  return `${add(a)} ${{ a }.a}`;",
      "}",
      "console.log(both(1));",
    ].join("\n");
    const edit = (name: string, find: string, replace: string): Mutant => {
      return { name, rule: "r", edits: [{ file: "f", find, replace }], scenarios: [] };
    };
    const list = [edit("more", "a + 1", "a + 2"), edit("none", "a + 1", "0"), edit("short", " ${{", "${{")];
    const code = switched(list, "f", source);
    const printed = ["", "more", "none", "short", "other"].map((name) => {
      const program = `globalThis.gfsMutant = ${JSON.stringify(name)};\n${code}`;
      return Bun.spawnSync([process.execPath, "--eval", program]).stdout.toString().trim();
    });
    expect(printed).toEqual(["2 1", "3 1", "0 1", "21", "2 1"]);
  });

  test("is refused where a text is not there, or there twice", () => {
    const mutant = { name: "m", rule: "r", edits: [{ file: "f", find: "a", replace: "b" }], scenarios: [] };
    expect(() => mutate(mutant, "f", "x")).toThrow("occurs 0 times");
    expect(() => mutate(mutant, "f", "aa")).toThrow("occurs 2 times");
    expect(mutate(mutant, "f", "xay")).toBe("xby");
  });

  test("has killers of no other mutants", () => {
    const names = new Set(mutants.map(({ name }) => name));
    expect([...killers.keys()].filter((name) => !names.has(name))).toEqual([]);
  });
});
