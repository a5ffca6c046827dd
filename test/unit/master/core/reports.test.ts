import { describe, expect, test } from "bun:test";
import {
  applyLostHandlesAccepted,
  applySealBegun,
  applyTailOpened,
  unreferenceChunk,
} from "../../../../src/master/core/chunk-apply.ts";
import { handFactMark, noteReplicaFact, replicasOf } from "../../../../src/master/core/chunk-replicas.ts";
import {
  createAbsenceScan,
  reportComplete,
  reportSuperseded,
  stepAbsences,
} from "../../../../src/master/core/reports.ts";
import { judgeEntry, pageJob, stepPage, takePage } from "../../../../src/master/core/reports.ts";
import { noteReported, volumeAt } from "../../../../src/master/core/volumes.ts";
import { chunkVersion, inodeId } from "../../../../src/wire/ids.ts";
import { packReport } from "../../../../src/wire/report.ts";
import { addSealed, chunkWorld, entry, freshMark, handleOf, register, reportOf, v1 } from "./chunk-world.ts";
import type { ChunkWorld } from "./chunk-world.ts";

function resolveAbsences(world: ChunkWorld, volume: number) {
  const scan = createAbsenceScan();
  reportComplete(scan, volumeAt(world.volumes, volume));
  return stepAbsences(world.chunks, scan, 1_000);
}

describe("what an entry of a report means", () => {
  const world = chunkWorld(3);
  addSealed(world, 1, [0, 1, 2]);
  addSealed(world, 2, [0]);
  unreferenceChunk(world.chunks, handleOf(2));
  applyTailOpened(world.chunks, { inode: inodeId(2), handle: handleOf(3), version: v1, members: [0, 1], goal: 2 });
  addSealed(world, 4, [0]);
  applyLostHandlesAccepted(world.chunks, 7);
  const slot = world.chunks.index.find(0, 0);
  expect(slot).toBe(-1);
  const mark = freshMark(world);
  const v2 = chunkVersion(2);
  test.each([
    ["equal in version, length and CRC", entry(1), "healthy"],
    ["of another length", entry(1, { length: 9 }), "corrupt"],
    ["of another CRC", entry(1, { crc: 5 }), "corrupt"],
    ["found corrupt by its volume", entry(1, { state: "corrupt" }), "corrupt"],
    [
      "of a lower version",
      entry(1, { dataVersion: chunkVersion(0), state: "fenced", promisedVersion: chunkVersion(0) }),
      "stale",
    ],
    ["fenced with all of it", entry(1, { dataVersion: chunkVersion(0), state: "fenced" }), "unfinished"],
    ["fenced with more than it", entry(1, { dataVersion: chunkVersion(0), state: "fenced", length: 11 }), "unfinished"],
    ["fenced with a part of it", entry(1, { dataVersion: chunkVersion(0), state: "fenced", length: 9 }), "stale"],
    ["left in writing", entry(1, { dataVersion: chunkVersion(0), state: "writing" }), "stale"],
    ["with a promise above ours", entry(1, { promisedVersion: v2 }), "behind"],
    ["with data above ours", entry(1, { promisedVersion: v2, dataVersion: v2 }), "behind"],
    ["of a chunk that the log let go of", entry(2), "released"],
    ["of an open chunk", entry(3, { state: "open" }), "busy"],
    ["of a handle that the log never gave out", entry(77), "behind"],
    ["of a handle of a lost log, as accepted", entry(6), "unknown"],
    ["of the last handle accepted", entry(7), "unknown"],
    ["of the handle after it", entry(8), "behind"],
    ["of a handle above the allocation mark", entry(1_000_001), "behind"],
    ["of a handle at the allocation mark", entry(1_000_000), "behind"],
  ] as const)("a replica %s", (_what, reported, verdict) => {
    expect(judgeEntry(world.chunks, reported, mark)).toBe(verdict);
  });
});

describe("an old report can't undo a newer fact", () => {
  test("a report that began before the commit neither lacks nor contradicts its members", () => {
    const world = chunkWorld(2);
    const before = freshMark(world);
    addSealed(world, 1, [0, 1], 2);
    const { late } = reportOf(world, 0, {
      number: 1,
      entries: [entry(1, { dataVersion: chunkVersion(0), state: "writing" })],
      factMark: before,
    });
    expect(late).toBe(1);
    reportOf(world, 1, { number: 1, entries: [], factMark: before });
    expect(resolveAbsences(world, 1)).toMatchObject({ absent: [], resolved: [1] });
    expect(replicasOf(world.chunks, handleOf(1))).toEqual([
      { volume: 0, health: "named" },
      { volume: 1, health: "named" },
    ]);
  });

  test("what another replica's finish makes late is finished all the same", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0, 1], 2);
    const before = freshMark(world);
    world.nowMs += 1_000;
    freshMark(world);
    const fenced = entry(1, { dataVersion: chunkVersion(0), state: "fenced" });
    // Both were restarted after the seal was logged and before it was confirmed; the report of the second is still on its way when the first is finished.
    reportOf(world, 0, { number: 1, entries: [fenced], factMark: before });
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "healthy" });
    const { findings, late } = reportOf(world, 1, { number: 1, entries: [fenced], factMark: before });
    expect(late).toBe(1);
    expect(findings).toMatchObject([{ kind: "unfinished", handle: handleOf(1) }]);
    // It may have been finished meanwhile: its health is not what the old report says.
    expect(replicasOf(world.chunks, handleOf(1))).toContainEqual({ volume: 1, health: "named" });
  });

  test("a report that began later and lacks it takes the holder away", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0, 1], 2);
    reportOf(world, 1, { number: 1, entries: [], factMark: freshMark(world) });
    expect(resolveAbsences(world, 1)).toEqual({
      absent: [{ handle: handleOf(1), volume: 1 }],
      resolved: [1],
      idle: true,
    });
    expect(replicasOf(world.chunks, handleOf(1))).toEqual([{ volume: 0, health: "named" }]);
  });

  test("a report without a mark is judged by the registration of its volume", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    reportOf(world, 0, { number: 1, entries: [] });
    expect(resolveAbsences(world, 0).absent).toEqual([]);
    world.nowMs += 1_000;
    register(world, 0, "second");
    reportOf(world, 0, { number: 1, entries: [], incarnation: "second" });
    expect(resolveAbsences(world, 0).absent).toHaveLength(1);
  });

  test("a replica found corrupt is not healed by a report from before", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    const before = freshMark(world);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "corrupt" });
    reportOf(world, 0, { number: 1, entries: [entry(1)], factMark: before });
    expect(replicasOf(world.chunks, handleOf(1))).toEqual([{ volume: 0, health: "corrupt" }]);
  });

  test("a replica that one report listed and the next two lack is gone, though the reports' marks come around", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    const volume = volumeAt(world.volumes, 0);
    reportOf(world, 0, { number: 1, entries: [entry(1)], factMark: freshMark(world) });
    expect(resolveAbsences(world, 0).absent).toEqual([]);
    volume.reportsBegun += 253;
    reportOf(world, 0, { number: 2, entries: [], factMark: freshMark(world) });
    expect(resolveAbsences(world, 0).absent).toHaveLength(1);
  });
});

describe("pages", () => {
  const page = (report: number, number: number, incarnation = "first") => ({
    incarnation,
    report,
    page: number,
    last: false,
    factMark: 1,
    entries: new Uint8Array(0),
  });

  test("come in order; repeats and those of older reports and incarnations say nothing", () => {
    const world = chunkWorld(1);
    const volume = volumeAt(world.volumes, 0);
    expect(takePage(volume, page(1, 1))).toBe("old");
    expect(takePage(volume, page(1, 0))).toBe("accepted");
    expect(takePage(volume, page(1, 0))).toBe("repeated");
    expect(takePage(volume, page(1, 2))).toBe("old");
    expect(takePage(volume, page(1, 1))).toBe("accepted");
    expect(takePage(volume, page(3, 0))).toBe("accepted");
    expect(takePage(volume, page(2, 0))).toBe("old");
    expect(takePage(volume, page(1, 2))).toBe("old");
    expect(takePage(volume, page(4, 0, "other"))).toBe("old");
  });

  test("absences wait for every page, also where the last one was applied before another", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    const volume = volumeAt(world.volumes, 0);
    const first = { ...page(1, 0), factMark: freshMark(world), entries: packReport([entry(1)]) };
    takePage(volume, first);
    const slow = pageJob(volume, first);
    const last = { ...first, page: 1, last: true, entries: new Uint8Array(0) };
    takePage(volume, last);
    const quick = pageJob(volume, last);
    if (slow === undefined || quick === undefined) throw new Error("no job");
    expect(stepPage(world.chunks, quick, 10).done).toBe(true);
    const scan = createAbsenceScan();
    reportComplete(scan, volume);
    expect(stepAbsences(world.chunks, scan, 10)).toEqual({ absent: [], resolved: [], idle: true });
    expect(stepPage(world.chunks, slow, 10).done).toBe(true);
    expect(stepPage(world.chunks, slow, 10).done).toBe(true);
    expect(stepAbsences(world.chunks, scan, 10)).toEqual({ absent: [], resolved: [0], idle: true });
  });

  test("a good replica that came too late to count, and that nobody else told of, is asked for again before all is told", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0], 1);
    const mark = freshMark(world);
    // A reader met volume 0 without it. Volume 1 has it: balance had moved it there.
    world.nowMs += 1_000;
    handFactMark(world.chunks, world.nowMs);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "corrupt" });
    const volume = volumeAt(world.volumes, 1);
    volume.expected = true;
    expect(reportOf(world, 1, { number: 1, entries: [entry(1)], factMark: mark }).late).toBe(1);
    expect([noteReported(volume), volume.reported, volume.expected, volume.reportWanted]).toEqual([
      false,
      false,
      true,
      true,
    ]);
    reportOf(world, 1, { number: 2, entries: [entry(1)], factMark: freshMark(world) });
    expect(replicasOf(world.chunks, handleOf(1))).toContainEqual({ volume: 1, health: "healthy" });
    expect([noteReported(volume), volume.reported, volume.expected, volume.reportWanted]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    // Later ones tell of what was deleted meanwhile: that is no reason to ask again.
    reportOf(world, 1, { number: 3, entries: [entry(1)], factMark: mark });
    expect(noteReported(volume)).toBe(true);
  });

  test("a superseded report resolves no absences", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    reportOf(world, 0, { number: 1, entries: [], factMark: freshMark(world) });
    const scan = createAbsenceScan();
    reportComplete(scan, volumeAt(world.volumes, 0));
    reportSuperseded(scan, 0);
    expect(stepAbsences(world.chunks, scan, 10)).toEqual({ absent: [], resolved: [], idle: true });
  });
});

test("a chunk that is being sealed is left to its seal", () => {
  const world = chunkWorld(1);
  applyTailOpened(world.chunks, { inode: inodeId(2), handle: handleOf(1), version: v1, members: [0], goal: 1 });
  applySealBegun(world.chunks, handleOf(1), chunkVersion(2));
  const fenced = entry(1, { promisedVersion: chunkVersion(2), dataVersion: chunkVersion(0), state: "fenced" });
  expect(judgeEntry(world.chunks, fenced, freshMark(world))).toBe("busy");
});
