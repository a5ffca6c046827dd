import { describe, expect, test } from "bun:test";
import { fileLine, fsckExit, summaryLine } from "../../../cmd/cli/fsck-text.ts";
import { scrubExit } from "../../../cmd/cli/verification.ts";
import type { FsckPage, ScrubOrder } from "../../../src/client/api.ts";

describe("what fsck says", () => {
  const file = { path: "/d/log", bytes: 3, replicas: 1, chunks: 2, problems: 0 };

  test("of a file", () => {
    expect(fileLine(file)).toBe("/d/log: 3 B, 2 chunks, 1 replica wanted: ok");
    expect(fileLine({ ...file, open: true, problems: 2, replicas: 3 })).toBe(
      "/d/log: 3 B as last told (open for append), 2 chunks, 3 replicas wanted: 2 problems",
    );
  });

  test("at last, of all", () => {
    const sums = { files: 2, openFiles: 0, chunks: 3, bytes: 1_500 };
    expect(summaryLine(sums, new Map())).toBe("2 files, 3 chunks, 1.50 kB: all is well");
    expect(summaryLine({ ...sums, openFiles: 1 }, new Map([["short", 2]]))).toBe(
      "2 files, 3 chunks, 1.50 kB as last told (1 open for append): 2 short",
    );
  });

  const read: ScrubOrder = {
    id: "1",
    target: "/",
    state: "done",
    beganMs: 0,
    tookMs: 10,
    files: 1,
    chunks: 2,
    totalReplicas: 6,
    totalBytes: 60,
    healthy: 6,
    corrupt: 0,
    missing: 0,
    unverified: 0,
    bytes: 60,
    repairing: 0,
    lost: 0,
    findings: [],
  };
  type Counts = [kind: FsckPage["problems"][number]["kind"], count: number][];
  test.each<[exit: number, verdict: string, counts: Counts, read: Partial<ScrubOrder>]>([
    [0, "all is well", [], {}],
    [0, "all is well, 1 bad replica replaced", [], { healthy: 5, corrupt: 1 }],
    [0, "all is well, 3 bad replicas replaced", [], { healthy: 3, corrupt: 1, missing: 2 }],
    [9, "1 short, 1 bad replica not replaced yet", [["short", 1]], { healthy: 5, corrupt: 1, repairing: 1 }],
    [9, "1 short", [["short", 1]], {}],
    [9, "2 replicas not read", [], { healthy: 4, unverified: 2 }],
    [9, "the reading was stopped", [], { state: "stopped" }],
    [8, "1 corrupt, 3 bad replicas without a good one left", [["corrupt", 1]], { healthy: 3, corrupt: 3, lost: 3 }],
    [8, "1 bad replica without a good one left", [], { healthy: 5, corrupt: 1, lost: 1 }],
    [8, "1 lost, 1 replica not read", [["lost", 1]], { unverified: 1 }],
  ])("after every byte was read: exit code %i, %s", (exit, verdict, found, order) => {
    const counts = new Map(found);
    const sums = { files: 1, openFiles: 0, chunks: 2, bytes: 20 };
    const verified = { ...read, ...order };
    expect(summaryLine(sums, counts, verified)).toBe(`1 file, 2 chunks, 20 B: ${verdict}`);
    expect(fsckExit(counts, verified)).toBe(exit);
    // What the check alone can't know is the same by either command.
    if (counts.size === 0) expect(scrubExit(verified)).toBe(exit);
  });
});
