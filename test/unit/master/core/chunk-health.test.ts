import { describe, expect, test } from "bun:test";
import { type Health, healthOf, isLostForGood, noCounts } from "../../../../src/master/core/chunk-health.ts";
import { applyTailOpened } from "../../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { createChunkScan, stepScan } from "../../../../src/master/core/chunk-scan.ts";
import { slotOf } from "../../../../src/master/core/chunk-table.ts";
import {
  applyVolumeAdded,
  applyVolumeMarked,
  endWaits,
  expectVolumes,
  isOverdue,
  noteReported,
  tickLiveness,
  volumeAt,
} from "../../../../src/master/core/volumes.ts";
import { inodeId, volumeId } from "../../../../src/wire/ids.ts";
import { addSealed, type ChunkWorld, chunkWorld, handleOf, limits, register, v1 } from "./chunk-world.ts";

function counted(world: ChunkWorld) {
  const scan = createChunkScan();
  stepScan(world, scan, { slotsMax: 1_000, nowMs: 0 });
  return { ...noCounts(), ...scan.finished?.counts, ones: scan.finished?.shortOnes ?? [] };
}

function kill(world: ChunkWorld, ...volumes: number[]): void {
  for (const volume of volumes) volumeAt(world.volumes, volume).liveness = "dead";
}

describe("how well chunks are kept", () => {
  test("counts of each kind, and their bytes", () => {
    const world = chunkWorld(5);
    addSealed(world, 1, [2, 3, 4]);
    addSealed(world, 2, [0, 2, 3]);
    addSealed(world, 3, [0, 1, 2]);
    addSealed(world, 4, [0, 1], 2);
    kill(world, 0, 1);
    expect(counted(world)).toMatchObject({
      total: 4,
      healthy: 1,
      short: 2,
      atRisk: 1,
      lost: 1,
      away: 1,
      totalBytes: 40,
      shortBytes: 20,
      atRiskBytes: 10,
      lostBytes: 10,
      missingBytes: 30,
    });
    expect(counted(world).ones.map(({ handle }) => Number(handle))).toEqual([4, 3, 2]);
  });

  test("until all volumes that the log knows have told what they hold, nothing is short or lost, and nothing is copied", () => {
    const world = chunkWorld(5);
    for (const [i, members] of [[0, 1, 2], [0, 1], [0]].entries()) addSealed(world, i + 1, members);
    kill(world, 0);
    const told = { healthy: 0, short: 2, atRisk: 1, lost: 1, pending: 0 };
    expect(counted(world)).toMatchObject(told);
    // The master starts anew: server 3 has copies that the log does not tell of.
    for (const index of [1, 2, 3, 4]) volumeAt(world.volumes, index).expected = true;
    expect(counted(world)).toMatchObject({ ...noCounts(), total: 3, totalBytes: 30, pending: 3 });
    expect(counted(world).ones).toEqual([]);
    const step = stepScan(world, createChunkScan(), { slotsMax: 10, nowMs: 0 });
    expect(step.short).toEqual([]);
    for (const index of [1, 2, 4]) noteReported(volumeAt(world.volumes, index));
    expect(counted(world)).toMatchObject({ pending: 3 });
    noteReported(volumeAt(world.volumes, 3));
    expect(counted(world)).toMatchObject(told);
  });

  test("a volume that does not tell is not waited for for ever", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1]);
    const silent = volumeAt(world.volumes, 2);
    silent.expected = true;
    expect(counted(world)).toMatchObject({ short: 0, pending: 1 });
    const at = silent.firstRegisteredMs;
    register(world, 2, "a later incarnation");
    expect([119_999, 120_000, 120_001].map((ms) => endWaits(world.volumes, at + ms, 120_000))).toEqual([
      false,
      true,
      false,
    ]);
    expect(counted(world)).toMatchObject({ short: 1, pending: 0 });
    expect([119_999, 120_000].map((ms) => isOverdue(silent, at + ms, 120_000))).toEqual([false, true]);
    noteReported(silent);
    expect(isOverdue(silent, at + 130_000, 120_000)).toBe(false);
  });

  test("one that registers when it counted as dead already is waited for from then on", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0, 1], 3);
    applyVolumeAdded(world.volumes, { index: 2, volume: volumeId("2".repeat(32)), label: "s2" });
    expectVolumes(world.volumes, world.nowMs);
    for (const index of [0, 1]) noteReported(volumeAt(world.volumes, index));
    world.nowMs += 60_000;
    for (const index of [0, 1]) volumeAt(world.volumes, index).heardMs = world.nowMs;
    tickLiveness(world.volumes, world.nowMs, limits);
    expect(counted(world)).toMatchObject({ short: 1, pending: 0 });
    register(world, 2, "first");
    expect(endWaits(world.volumes, world.nowMs + 1_000, 120_000)).toBe(false);
    expect(counted(world)).toMatchObject({ short: 0, pending: 1 });
    noteReported(volumeAt(world.volumes, 2));
    expect(counted(world)).toMatchObject({ short: 1, pending: 0 });
  });

  test("a volume that is gone is not waited for", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1]);
    volumeAt(world.volumes, 2).expected = true;
    expect(counted(world)).toMatchObject({ short: 0, pending: 1 });
    for (const liveness of ["dead", "retired"] as const) {
      volumeAt(world.volumes, 2).liveness = liveness;
      expect(counted(world)).toMatchObject({ short: 1, pending: 0 });
    }
  });

  test("a lost chunk is away only while a dead server has a good replica of it", () => {
    const world = chunkWorld(4);
    for (const handle of [1, 2, 3, 4]) addSealed(world, handle, [0, 1, 2]);
    kill(world, 0, 1, 2);
    for (const volume of [0, 1, 2]) noteReplicaFact(world.chunks, handleOf(1), { volume, health: "corrupt" });
    noteReplicaFact(world.chunks, handleOf(2), { volume: 0, health: "stale" });
    expect(counted(world)).toMatchObject({ lost: 4, away: 3 });
    volumeAt(world.volumes, 0).liveness = "retired";
    expect(counted(world)).toMatchObject({ lost: 4, away: 3 });
    for (const volume of [1, 2]) volumeAt(world.volumes, volume).liveness = "retired";
    expect(counted(world)).toMatchObject({ lost: 4, away: 0 });
  });

  test("a chunk is lost for good once no server is left that may have it, and all have told", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    for (const index of [0, 1, 2, 3]) volumeAt(world.volumes, index).reported = true;
    const isLost = (): boolean => isLostForGood(world, slotOf(world.chunks, handleOf(1)));
    kill(world, 0, 1, 2);
    expect(isLost()).toBe(false);
    applyVolumeMarked(world.volumes, 0, "forgotten");
    volumeAt(world.volumes, 1).liveness = "retired";
    expect(isLost()).toBe(false);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "corrupt" });
    expect(isLost()).toBe(true);
    // Confirmed as soon as it is told.
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "unfinished" });
    expect(isLost()).toBe(false);
    applyVolumeMarked(world.volumes, 2, "forgotten");
    expect(isLost()).toBe(true);
    world.safeMode = true;
    expect(isLost()).toBe(false);
    world.safeMode = false;
    // It may have a copy that only it knows of.
    volumeAt(world.volumes, 3).reported = false;
    kill(world, 3);
    expect(isLost()).toBe(false);
    volumeAt(world.volumes, 3).liveness = "retired";
    expect(isLost()).toBe(true);
  });

  test("an open chunk is short of the servers of its chain that are gone", () => {
    const world = chunkWorld(4);
    for (const [i, members] of [[0, 1, 2], [1, 2, 3], [0, 2, 3], [3]].entries())
      applyTailOpened(world.chunks, { handle: handleOf(i + 1), version: v1, members, goal: 3, inode: inodeId(2) });
    expect(counted(world)).toMatchObject({ open: 4, unsealedShort: 1, unsealedAtRisk: 1 });
    kill(world, 0, 1);
    expect(counted(world)).toMatchObject({ total: 4, open: 4, short: 0, unsealedShort: 4, unsealedAtRisk: 2 });
  });

  test("the worst are named first, however many there are and in whatever order they come", () => {
    const world = chunkWorld(4);
    for (let i = 1; i <= 150; i++) addSealed(world, i, [0, 2, 3]);
    for (let i = 151; i <= 160; i++) addSealed(world, i, [0, 1, 2]);
    for (let i = 161; i <= 165; i++) addSealed(world, i, [0, 1]);
    kill(world, 0, 1);
    const { ones } = counted(world);
    expect(ones).toHaveLength(100);
    expect(ones.slice(0, 15).map(({ healthy }) => healthy)).toEqual([
      ...Array<number>(5).fill(0),
      ...Array<number>(10).fill(1),
    ]);
    expect(new Set(ones.slice(15).map(({ healthy }) => healthy))).toEqual(new Set([2]));
  });

  test.each<[Health, Partial<ReturnType<typeof noCounts>>]>([
    ["healthy", { healthy: 3, open: 1, sealing: 1 }],
    ["starting", { pending: 1 }],
    ["degraded", { short: 1, pending: 1 }],
    ["degraded", { sealing: 1, unsealedShort: 1 }],
    ["at-risk", { short: 1, atRisk: 1 }],
    ["at-risk", { open: 1, unsealedShort: 1, unsealedAtRisk: 1 }],
    ["lost", { lost: 1, atRisk: 1, short: 1 }],
  ])("%s of %o", (health, counts) => {
    expect(healthOf({ ...noCounts(), ...counts })).toBe(health);
    expect(healthOf(undefined)).toBe("starting");
  });
});
