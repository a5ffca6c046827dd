import { describe, expect, test } from "bun:test";
import { unknownAddress } from "../../../src/master/core/volumes.ts";
import { alarmsOf, describeStatus, isWell, verdictOf } from "../../../cmd/cli/status-text.ts";
import type { ClusterStatus } from "../../../src/client/api.ts";
import { type Health, healthOf, noCounts } from "../../../src/master/core/chunk-health.ts";
import { status } from "../../../src/wire/control/namespace.ts";
import { chunkHandle, chunkVersion } from "../../../src/wire/ids.ts";
import { started } from "../master/cluster-with-puts.ts";

const [usual] = [started(1, 3)].map((cluster) => {
  cluster.simulation.runFor(5_000);
  return cluster.call(status, {});
});

function withCounts(changes: Partial<ReturnType<typeof noCounts>>, others: Partial<ClusterStatus> = {}): ClusterStatus {
  if (usual === undefined) throw new Error("no status");
  const chunks = { ...noCounts(), total: 120, totalBytes: 3_200_000_000, ...changes };
  return { ...usual, warnings: [], chunks, health: healthOf(chunks), ...others };
}

const repairing = { queued: 9, running: 3, done: 7, doneBytes: 448_000_000 };

describe("the first line of status", () => {
  test.each<[string, ClusterStatus]>([
    ["healthy (no chunks yet)", withCounts({ total: 0 }, { bytes: 0 })],
    ["healthy (the first chunks are not counted yet)", withCounts({ total: 0 }, { bytes: 7 })],
    ["healthy: all 120 chunks (3.20 GB) have the replicas wanted", withCounts({ healthy: 118, open: 2 })],
    ["healthy: the only chunk (3.20 GB) has the replicas wanted", withCounts({ total: 1, healthy: 1 })],
    ["starting: 5 of 120 chunks are not reported yet", withCounts({ pending: 5 })],
    [
      "degraded: of 120 chunks (3.20 GB) 12 (640 MB) have fewer replicas than wanted; whole in about 3 min 20 s (640 MB to copy)",
      withCounts(
        { short: 12, shortBytes: 640e6, missingBytes: 640e6 },
        { repair: { ...repairing, estimateMs: 200_000 } },
      ),
    ],
    [
      "AT RISK: of 120 chunks (3.20 GB) 3 (180 MB) have one copy left, 9 (460 MB) have fewer replicas than wanted; 820 MB to copy, no estimate: repair waits: no room",
      withCounts(
        { short: 12, atRisk: 3, shortBytes: 640e6, atRiskBytes: 180e6, missingBytes: 820e6 },
        { repair: { ...repairing, noEstimate: "repair waits: no room" } },
      ),
    ],
    [
      "AT RISK: of 120 chunks (3.20 GB) 1 that is appended to has one server left",
      withCounts({ open: 1, unsealedShort: 1, unsealedAtRisk: 1 }),
    ],
    [
      "LOST: of 120 chunks (3.20 GB) 2 (128 MB) have no replica that can be read, 1 (60.0 MB) has one copy left; the short ones are whole in about 5.0 s (120 MB to copy)",
      withCounts(
        { lost: 2, lostBytes: 128e6, short: 1, atRisk: 1, shortBytes: 60e6, atRiskBytes: 60e6, missingBytes: 120e6 },
        { repair: { ...repairing, estimateMs: 5_000 } },
      ),
    ],
  ])("%s", (line, given) => {
    expect(verdictOf(given)).toBe(line);
  });

  test("never says healthy of what is not", () => {
    for (const key of ["short", "lost", "pending", "unsealedShort"] as const)
      expect(verdictOf(withCounts({ [key]: 1 }))).not.toContain("healthy");
  });
});

describe("what is wrong, and what to do", () => {
  const [one, two, three] = usual?.servers ?? [];
  if (one === undefined || two === undefined || three === undefined) throw new Error("too few servers");
  const dead = { ...one, liveness: "dead" as const, silentMs: 125_000 };

  test("names dead servers, and lost chunks that they still have", () => {
    const alarms = alarmsOf(withCounts({ lost: 3, away: 2 }, { servers: [dead, two, three] }));
    expect(alarms).toEqual([
      "2 lost chunks are on dead servers: start them again with their disks",
      "1 lost chunk is on no server that is known: gfs fsck names the files",
      "server server1 is dead, silent for 2 min 5 s: start it again",
    ]);
  });

  test("tells a server from its successor of the same name", () => {
    const alarms = alarmsOf(withCounts({}, { servers: [dead, { ...two, label: dead.label }, three] }));
    const volume = dead.volume.slice(0, 12);
    expect(alarms).toEqual([
      `server server1, volume ${volume} is dead, silent for 2 min 5 s: start it again (if its disk was replaced: gfs decommission ${volume} --force)`,
    ]);
    // Nothing is to be replaced any more where the new disk is in use.
    const retired = { ...dead, liveness: "retired" as const };
    expect(alarmsOf(withCounts({}, { servers: [retired, { ...two, label: dead.label }, three] }))).toEqual([
      `server server1, volume ${volume} is out of service (if its disk was replaced: gfs decommission ${volume} --force)`,
    ]);
    const other = { ...three, liveness: "retired" as const };
    expect(alarmsOf(withCounts({}, { servers: [retired, { ...two, label: dead.label }, other] }))).toEqual([
      `server server1, volume ${volume} is out of service (if its disk was replaced: gfs decommission ${volume} --force)`,
      "server server3 is out of service: replace the disk and start with an empty directory",
    ]);
  });

  test("lost chunks of removed files count until the trash is purged, and it says so", () => {
    const trash = { entries: 1, bytes: 5, storedBytes: 5 };
    const lost = { lost: 2, away: 1 };
    expect(alarmsOf(withCounts(lost, { trash }))).toEqual([
      "1 lost chunk is on dead servers: start them again with their disks; those of removed files count until they are purged: gfs trash purge PATH",
      "1 lost chunk is on no server that is known: gfs fsck names the files; those of removed files count until they are purged: gfs trash purge PATH",
    ]);
    expect(alarmsOf(withCounts(lost)).join()).not.toContain("trash");
  });

  test("names those that are silent, and says it once", () => {
    const silent = { liveness: "suspect" as const, silentMs: 12_000 };
    expect(alarmsOf(withCounts({}, { servers: [{ ...one, ...silent }, two] }))).toEqual([
      "server server1 has been silent for 12 s",
    ]);
    expect(
      alarmsOf(
        withCounts(
          {},
          {
            servers: [
              { ...one, ...silent },
              { ...two, ...silent },
            ],
          },
        ),
      ),
    ).toEqual(["2 servers (server1, server2) have been silent for 12 s"]);
  });

  test("a server that has not registered since the master's start is not silent, and safe mode tells of it", () => {
    const unregistered = { liveness: "suspect" as const, silentMs: 700, control: unknownAddress };
    const servers = [{ ...one, ...unregistered }, two];
    const safeMode = { active: true, reason: "1 of 2 servers has not reported everything yet" };
    expect(alarmsOf(withCounts({}, { servers, safeMode }))).toEqual([`safe mode: ${safeMode.reason}`]);
    expect(alarmsOf(withCounts({}, { servers }))).toEqual([
      "server server1 has not registered since the master's start, 0.7 s ago",
    ]);
  });

  test("says that copies are made only while some are", () => {
    const copying = withCounts({ short: 9 }, { servers: [dead, two, three], repair: repairing });
    expect(alarmsOf(copying)).toEqual([
      "server server1 is dead, silent for 2 min 5 s: start it again; what is short is copied elsewhere meanwhile",
    ]);
  });

  test("tells at length once what repair waits for", () => {
    const waits = "repair waits: no room";
    const given = withCounts({ short: 1 }, { warnings: [waits], repair: { ...repairing, noEstimate: waits } });
    expect(alarmsOf(given)).toEqual([waits]);
    expect(verdictOf(given)).toEndWith("no estimate: repair waits");
  });

  test("that changes are stopped comes first, and all is not well then", () => {
    const stopped = withCounts({ healthy: 120 }, { stopped: { mutations: "an old copy", deletions: "an old copy" } });
    expect(alarmsOf(stopped)).toEqual([
      "changes are stopped: an old copy; if this copy of the master's data is the right one: gfs master confirm",
    ]);
    expect([isWell(stopped), isWell(withCounts({ healthy: 120 }))]).toEqual([false, true]);
    // A client that is gone ends no put then, however long ago that was.
    const puts = { drafts: 2 };
    expect(describeStatus({ ...stopped, ...puts })).toContain(
      "2 puts in progress (none is given up before gfs master confirm)",
    );
    expect(describeStatus(withCounts({}, puts))).toMatch(/2 puts in progress$/m);
    for (const health of ["starting", "degraded", "at-risk", "lost"] as Health[])
      expect(isWell({ ...withCounts({}), health })).toBe(false);
  });
});

test("with 1 000 servers, 100 bad chunks and 64 warnings it stays a screenful, with the worst of each", () => {
  const [one] = usual?.servers ?? [];
  if (one === undefined) throw new Error("no server");
  const servers = Array.from({ length: 1_000 }, (_, i) => ({
    ...one,
    label: `s${i}`,
    liveness: i % 100 === 7 ? ("dead" as const) : i % 50 === 9 ? ("suspect" as const) : ("live" as const),
    fileSystem: `disk ${i % 300}`,
  }));
  const shortChunks = Array.from({ length: 100 }, (_, i) => ({
    handle: chunkHandle(i + 1),
    version: chunkVersion(1),
    path: `/some/${"very ".repeat(50)}long/path/${i}`,
    healthy: i < 3 ? 0 : 1,
    wanted: 3,
    state: "sealed" as const,
    why: "s7 is dead; s9 no longer has it; its replica on s11 is corrupt; ".repeat(5),
  }));
  const warnings = Array.from({ length: 64 }, (_, i) => `something is wrong with ${i} ${"and more ".repeat(40)}`);
  const text = describeStatus(withCounts({ lost: 3, short: 5_000, atRisk: 97 }, { servers, shortChunks, warnings }));
  const lines = text.split("\n");
  expect(lines.length).toBeLessThanOrEqual(40);
  for (const line of lines) expect(line.length).toBeLessThan(300);
  expect(lines[0]).toStartWith("LOST: ");
  expect(text).toContain("! 10 servers (s7, s107, s207, s307, s407 and 5 more) are dead");
  expect(text).toContain("1000 servers: 970 live, 10 dead, 20 suspect");
  expect(text).toContain("and 992 more, none in a worse state: gfs servers");
  expect(text).toContain("and 4998 more: gfs fsck");
});
