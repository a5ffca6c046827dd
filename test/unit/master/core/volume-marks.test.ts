import { describe, expect, test } from "bun:test";
import { unreferenceChunk } from "../../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { createChunkScan, stepScan } from "../../../../src/master/core/chunk-scan.ts";
import { createGarbage, planDeletes, queueGarbage } from "../../../../src/master/core/garbage.ts";
import { candidateOf, candidatesOf, place, rankForReader } from "../../../../src/master/core/placement.ts";
import { createRepair } from "../../../../src/master/core/repair.ts";
import { queueShort } from "../../../../src/master/core/repair-queues.ts";
import { findServer } from "../../../../src/master/core/server-names.ts";
import { usableBytes } from "../../../../src/master/core/space-sums.ts";
import { allVolumes, applyVolumeMarked, isGone, isUsable, volumeAt } from "../../../../src/master/core/volumes.ts";
import type { LogRecord } from "../../../../src/wire/log-records.ts";
import { addSealed, addVolume, type ChunkWorld, chunkWorld, handleOf, limits, volumeHex } from "./chunk-world.ts";
import { refusal } from "./core-driver.ts";
import { planRound } from "./repair-bench.ts";

type Mark = Extract<LogRecord, { kind: "volume-marked" }>["mark"];

function mark(world: ChunkWorld, index: number, as: Mark): void {
  applyVolumeMarked(world.volumes, index, as);
}

/** A chunk whose replicas the volumes themselves told of. */
function addReported(world: ChunkWorld, number: number, on: readonly number[], goal = 3): void {
  addSealed(world, number, on, goal);
  for (const volume of on) noteReplicaFact(world.chunks, handleOf(number), { volume, health: "healthy" });
}

function scanned(world: ChunkWorld) {
  const scan = createChunkScan();
  return { ...stepScan(world, scan, { slotsMax: 1_000, nowMs: world.nowMs }), counts: scan.finished?.counts };
}

function plan(world: ChunkWorld) {
  const repair = createRepair();
  for (const short of scanned(world).short) queueShort(repair.queues, { ...short, trashed: false }, 0);
  return planRound(repair, world, { nowMs: world.nowMs });
}

const request = {
  replicas: 3,
  minReplicas: 2,
  bytes: 10,
  use: "new" as const,
  from: {},
  excluded: new Set<number>(),
  weights: limits,
  what: "a chunk of /f",
};

describe("a server that is being drained", () => {
  test("gets nothing new, and the refusal says why", () => {
    const world = chunkWorld(4);
    mark(world, 0, "draining");
    expect(place(candidatesOf(world.volumes), request).chosen).not.toContain(0);
    mark(world, 1, "draining");
    mark(world, 2, "draining");
    expect(refusal("TooFewServers", () => place(candidatesOf(world.volumes), request))).toContain("s0 is draining");
    mark(world, 0, "none");
    expect(place(candidatesOf(world.volumes), request).chosen).toEqual([0, 3]);
  });

  test("has no room for what a put may still store", () => {
    const world = chunkWorld(3);
    expect(usableBytes(world.volumes, 1)).toBe(1_500);
    mark(world, 0, "draining");
    expect(usableBytes(world.volumes, 1)).toBe(1_000);
  });

  test("is read after live servers, and before suspect ones", () => {
    const world = chunkWorld(3);
    mark(world, 0, "draining");
    volumeAt(world.volumes, 1).liveness = "suspect";
    const all = allVolumes(world.volumes).map(candidateOf);
    expect(rankForReader(all, {}, 7).map(({ volume }) => volume)).toEqual([2, 0, 1]);
  });

  test("has its replicas copied elsewhere, after all that is short, and the chunk counts as healthy meanwhile", () => {
    const world = chunkWorld(5);
    addReported(world, 1, [0, 1, 2]);
    addReported(world, 2, [1, 2]);
    addReported(world, 3, [0], 1);
    mark(world, 0, "draining");
    const { counts, short } = scanned(world);
    expect(counts).toMatchObject({ healthy: 2, short: 1, lost: 0 });
    expect(short).toEqual([
      { handle: handleOf(1), holders: 3, moving: true },
      { handle: handleOf(2), holders: 2 },
      { handle: handleOf(3), holders: 1, moving: true },
    ]);
    // One clone a server at a time: the short one has the first choice.
    expect(plan(world).map(({ handle }) => Number(handle))).toEqual([2, 1]);
  });

  test("is a source where it has the only copy, and never a target", () => {
    const world = chunkWorld(2);
    addReported(world, 1, [0], 1);
    mark(world, 0, "draining");
    expect(plan(world)).toMatchObject([{ sources: [0], target: 1 }]);
    mark(world, 1, "draining");
    expect(plan(world)).toEqual([]);
  });

  test("does not get a corrupt replica of its own replaced in its place", () => {
    const world = chunkWorld(4);
    addReported(world, 1, [1, 2]);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "corrupt" });
    expect(plan(world)).toMatchObject([{ target: 0 }]);
    mark(world, 0, "draining");
    expect(plan(world)).toMatchObject([{ target: 3 }]);
  });

  test("gives its place in its rack to whom its replica goes", () => {
    const world = chunkWorld(0);
    for (const [index, rack] of ["a", "b", "a", "b"].entries()) addVolume(world, index, { rack });
    addReported(world, 1, [0, 1], 2);
    mark(world, 0, "draining");
    // Volume 3 would be as good, did volume 0 still count.
    volumeAt(world.volumes, 3).space = { totalBytes: 1_000, freeBytes: 900, usedBytes: 100 };
    expect(plan(world)).toMatchObject([{ target: 2 }]);
  });

  test("gives up a replica when the goal is reached without it, and others give none up for its sake", () => {
    const world = chunkWorld(4);
    addReported(world, 1, [0, 1, 2, 3]);
    mark(world, 0, "draining");
    volumeAt(world.volumes, 3).space = { totalBytes: 1_000, freeBytes: 0, usedBytes: 1_000 };
    expect(scanned(world).surplus).toEqual([{ handle: handleOf(1), volume: 0 }]);
    mark(world, 1, "draining");
    expect(scanned(world)).toMatchObject({ surplus: [], short: [{ handle: handleOf(1), moving: true }] });
  });

  test("saves nobody: what was surplus while it counted stays when it counts no more", () => {
    const world = chunkWorld(4);
    addReported(world, 1, [0, 1, 2, 3]);
    const garbage = createGarbage();
    queueGarbage(garbage, { handle: handleOf(1), volume: 3, cause: "surplus" }, { nowMs: world.nowMs, limits });
    mark(world, 0, "draining");
    const at = { volume: 3, max: 10, nowMs: world.nowMs + limits.deleteGraceMs, limits, repair: createRepair() };
    expect(planDeletes(garbage, world, at)).toEqual([]);
  });
});

describe("a server that is forgotten", () => {
  test("is dead for ever, and nowhere to be seen", () => {
    const world = chunkWorld(3);
    mark(world, 0, "forgotten");
    const volume = volumeAt(world.volumes, 0);
    expect([isGone(volume), isUsable(volume), volume.liveness]).toEqual([true, false, "dead"]);
    expect(allVolumes(world.volumes).map(({ index }) => index)).toEqual([1, 2]);
    expect(candidatesOf(world.volumes).map(({ volume: index }) => index)).toEqual([1, 2]);
    expect(() => mark(world, 0, "none")).toThrow("forgotten already");
  });

  test("is never told to delete, and nothing waits for it", () => {
    const world = chunkWorld(2);
    const garbage = createGarbage();
    for (const [number, volume] of [
      [1, 0],
      [2, 0],
      [3, 1],
    ] as const) {
      addSealed(world, number, [volume], 1);
      unreferenceChunk(world.chunks, handleOf(number));
      queueGarbage(garbage, { handle: handleOf(number), volume, cause: "released" }, { nowMs: world.nowMs, limits });
    }
    mark(world, 0, "forgotten");
    const at = { volume: 0, max: 10, nowMs: world.nowMs + limits.deleteGraceMs, limits, repair: createRepair() };
    expect(planDeletes(garbage, world, at)).toEqual([]);
    expect(garbage.waiting).toBe(1);
    expect(planDeletes(garbage, world, { ...at, volume: 1 })).toHaveLength(1);
  });
});

describe("the name of a server", () => {
  const named = (world: ChunkWorld, name: string): number => findServer(world.volumes, name, "drain").index;

  test("is its label, its volume id or a beginning of it, or its address", () => {
    const world = chunkWorld(2);
    addVolume(world, 0xabcd);
    expect(named(world, "s1")).toBe(1);
    expect(named(world, volumeHex(1))).toBe(1);
    expect(named(world, volumeHex(0xabcd).slice(0, 30))).toBe(0xabcd);
    const { registration } = volumeAt(world.volumes, 1);
    volumeAt(world.volumes, 1).registration = registration && { ...registration, control: "10.0.0.9:4371" };
    expect(named(world, "10.0.0.9:4371")).toBe(1);
  });

  test("that nobody or several have is refused with those that there are", () => {
    const world = chunkWorld(2);
    volumeAt(world.volumes, 1).label = "s0";
    expect(refusal("Usage", () => named(world, "s0"))).toContain("2 servers have this name: s0 (volume 000000000000");
    expect(refusal("NotFound", () => named(world, "s9"))).toContain("known: s0 (volume 000000000000");
    // A beginning that several share, and one too short to be meant.
    expect(refusal("Usage", () => named(world, "0000"))).toContain("name one by its volume id");
    expect(refusal("NotFound", () => named(world, "000"))).toContain("no server has this");
    mark(world, 0, "forgotten");
    expect(named(world, "s0")).toBe(1);
  });
});
