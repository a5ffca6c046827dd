import { describe, expect, test } from "bun:test";
import { reportOf, type SeedResult } from "./run-seed.ts";
import { runScenario } from "./scenarios.ts";
import { keptSeeds } from "./seeds.ts";

const fixedSeeds = Array.from({ length: 12 }, (_, index) => index + 1);
const freshSeeds = 4;

function judge(result: SeedResult, scenario = "standard"): void {
  if (result.violations.length > 0) throw new Error(reportOf(result, scenario));
  expect(result.acknowledged).toBeGreaterThan(0);
}

describe("under simulated faults every promise is kept", () => {
  for (const seed of fixedSeeds) test(`seed ${seed}`, () => judge(runScenario("standard", seed)));

  for (const { seed, scenario, found } of keptSeeds)
    test(`${scenario} seed ${seed}: ${found}`, () => judge(runScenario(scenario, seed), scenario));

  const first = Math.floor(Date.now() / 1000) % 1_000_000_000;
  for (let seed = first; seed < first + freshSeeds; seed++)
    test(`fresh seed ${seed}`, () => judge(runScenario("standard", seed)));
});

describe("the same seed", () => {
  test("gives the same run, to the last event", () => {
    const [once, again] = [runScenario("standard", 1), runScenario("standard", 1)];
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });

  test("gives the same run in another process", async () => {
    const script = `import { runScenario } from "${import.meta.dir}/scenarios.ts"; console.log(runScenario("standard", 2).traceHash)`;
    const child = Bun.spawn({ cmd: [process.execPath, "-e", script], stdout: "pipe" });
    expect((await new Response(child.stdout).text()).trim()).toBe(runScenario("standard", 2).traceHash);
  });

  test("differs from another seed's", () => {
    expect(runScenario("standard", 1).traceHash).not.toBe(runScenario("standard", 2).traceHash);
  });
});
