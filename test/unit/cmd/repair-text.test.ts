import { describe, expect, test } from "bun:test";
import { describeRepair } from "../../../cmd/repair.ts";
import { chunkHandle } from "../../../src/wire/ids.ts";

const idle = {
  short: 0,
  oneLeft: 0,
  lost: 0,
  misplaced: 0,
  missingBytes: 0,
  running: [],
  runningCount: 0,
  done: 3,
  doneBytes: 64_000_000,
  rate: 0,
  limits: { streams: 64, streamsPerServer: 2, rate: 0, serverRate: 50_000_000 },
};

describe("gfs repair status", () => {
  test("of a whole cluster is short", () => {
    expect(describeRepair(idle).split("\n")).toEqual([
      "no chunk is short of copies",
      "0 copies under way; 3 done (64.0 MB) since the master's start",
    ]);
  });

  test("says what is short, each copy under way with its rate, and when it will be whole", () => {
    const clone = {
      handle: chunkHandle(7),
      path: "/a",
      source: "s1",
      target: "s2",
      bytes: 64_000_000,
      copied: 32_000_000,
      runningMs: 2_000,
      reason: "short" as const,
    };
    const { copied: _, ...silent } = { ...clone, handle: chunkHandle(8) };
    const text = describeRepair({
      ...idle,
      short: 12,
      oneLeft: 2,
      misplaced: 1,
      missingBytes: 768_000_000,
      running: [clone, silent],
      runningCount: 2,
      rate: 50_000_000,
      estimateMs: 15_000,
    });
    expect(text).toContain("12 chunks short of copies, 2 of them with one left; 768 MB to copy; 1 crowd a rack");
    expect(text).toContain("2 copies under way, 50.0 MB/s lately");
    expect(text).toContain("about 15 s left");
    expect(text).toMatch(/7 +32.0 MB of 64.0 MB +16.0 MB\/s +s1 +s2 +short +\/a/);
    expect(text).toMatch(/8 +\? of 64.0 MB +\? /);
  });

  test("says first why nothing goes on, and what is lost", () => {
    const text = describeRepair({ ...idle, lost: 1, held: "4 of 9 servers were lost at once", blocked: "no room" });
    expect(text.split("\n").slice(0, 2)).toEqual([
      "! held back: 4 of 9 servers were lost at once; if they won't be back: gfs repair resume",
      "! waits: no room",
    ]);
    expect(text).toContain("1 LOST (gfs fsck names their files)");
  });
});
