import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeedLine } from "./campaign.ts";
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

/** A small one. */
const traced = 8;

describe("the same seed", () => {
  const once = runScenario("standard", traced);

  test("gives the same run, to the last event", () => {
    const again = runScenario("standard", traced);
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });

  test("gives the same run in another process", async () => {
    const { traceHash } = await runTool(process.execPath, `${import.meta.dir}/../tools/sim.ts`);
    expect(traceHash).toBe(once.traceHash);
  });

  test("gives the same run in a compiled executable", async () => {
    const folder = mkdtempSync(join(tmpdir(), "gfs-sim-"));
    try {
      const executable = join(folder, "sim");
      const source = `${import.meta.dir}/../tools/sim.ts`;
      const flags = ["--compile", "--minify", "--sourcemap", "--outfile", executable];
      const build = Bun.spawn({ cmd: [process.execPath, "build", ...flags, source], stdout: "ignore" });
      expect(await build.exited).toBe(0);
      const { traceHash } = await runTool(executable);
      expect(traceHash).toBe(once.traceHash);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("differs from another seed's, and from itself under other luck", () => {
    expect(runScenario("standard", traced + 1).traceHash).not.toBe(once.traceHash);
    expect(runScenario("standard", traced, { luck: 1 }).traceHash).not.toBe(once.traceHash);
  });
});

async function runTool(...command: readonly string[]): Promise<SeedLine> {
  const child = Bun.spawn({ cmd: [...command, "--seed", String(traced), "--json"], stdout: "pipe" });
  return SeedLine.parse(JSON.parse(await new Response(child.stdout).text()));
}
