/** The healed phase can fail: a state is planted that must not be, and noticed. */
import { describe, expect, test } from "bun:test";
import { quietSchedule } from "./fault-schedule.ts";
import type { SeedResult, SeedSettings, Stage } from "./run-seed.ts";
import { runScenario } from "./scenarios.ts";
import type { WorkloadSettings } from "./workload-settings.ts";
import { noFaults } from "./world/fault-settings.ts";

const plantedMs = 6_900;

function goodDay(settings: SeedSettings): SeedSettings {
  const workload = { ...settings.workload, durationMs: 4_000, operations: 40, abandoned: 0, tree: 0 };
  return { ...settings, faults: noFaults, schedule: quietSchedule, workload, operator: undefined };
}

function runWith(plant: (stage: Stage) => void, change: Partial<WorkloadSettings>): SeedResult {
  return runScenario("standard", 8, {
    change(settings) {
      const day = goodDay(settings);
      return { ...day, workload: { ...day.workload, ...change } };
    },
    script: (stage) => stage.simulation.after(plantedMs, () => plant(stage)),
  });
}

function noticed(plant: (stage: Stage) => void, change: Partial<WorkloadSettings> = {}): string {
  return runWith(plant, change)
    .violations.map(({ promise, what }) => `${promise}: ${what}`)
    .join("\n");
}

describe("a planted state", () => {
  test("is none on a good day", () => {
    expect(noticed(() => {})).toBe("");
  });

  test("is noticed: a file of a chunk that nobody refers to", () => {
    const found = noticed(({ cluster }) => {
      const { files } = cluster.servers[0]!.drive();
      files.makeDirectory("/volume/chunks/ff", 0);
      files.openFile("/volume/chunks/ff/0000000000ffffff", "create", 0);
    });
    expect(found).toContain("/volume/chunks/ff/0000000000ffffff, which nobody refers to");
  });

  test("is noticed: a good replica that its server takes for a bad one", () => {
    const found = noticed(({ cluster }) => {
      cluster.servers[0]?.note("replica.bad", { handle: 7, reason: "corrupt" });
    });
    expect(found).toContain("P5: server1 takes its replica of chunk 7 for corrupt, and nothing harmed its drive");
  });

  test("is noticed: a chunk that is rotten everywhere", () => {
    // Large appends to files that nobody removes: whole chunks in files of their own.
    const onlyAppends = { hotWeight: 1, largeAppends: 1, ranges: 0 };
    const found = noticed(({ cluster }) => {
      for (const server of cluster.servers) {
        const drive = server.drive();
        for (const path of drive.files.filesUnder("/volume/chunks")) drive.corrupt(path, 20);
      }
    }, onlyAppends);
    expect(found).toMatch(/P1: can't be read after all faults were over|P7: not whole/);
  });

  test("is noticed: a master that never answers again", () => {
    const found = noticed(({ cluster, simulation }) => {
      const die = (): void => {
        if (cluster.master.alive) cluster.master.crash({ powerLoss: false });
        simulation.after(500, die);
      };
      die();
    });
    expect(found).toMatch(/P6: the cluster did not answer|P7: not whole/);
  });
});

test("drives that lie about syncs, which is more than is promised, are noticed", () => {
  expect([1, 2, 3, 4].some((seed) => runScenario("lyingDrives", seed).violations.length > 0)).toBe(true);
});
