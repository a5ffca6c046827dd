import { describe, expect, test } from "bun:test";
import { applyLostHandlesAccepted, unreferenceChunk } from "../../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact, replicasOf } from "../../../../src/master/core/chunk-replicas.ts";
import {
  createGarbage,
  deleteDone,
  deleteFailed,
  enoughToReplace,
  planDeletes,
} from "../../../../src/master/core/garbage.ts";
import { createRepair, type Repair } from "../../../../src/master/core/repair.ts";
import {
  confirmDeletions,
  queueGarbage,
  stopDeletions,
  volumesWithGarbage,
} from "../../../../src/master/core/garbage.ts";
import type { Garbage } from "../../../../src/master/core/garbage.ts";
import type { GarbageCause } from "../../../../src/master/core/garbage-queue.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, chunkWorld, entry, freshMark, handleOf, limits, reportOf } from "./chunk-world.ts";
import type { ChunkWorld } from "./chunk-world.ts";
import { planRound, queueNumber } from "./repair-bench.ts";

const grace = limits.deleteGraceMs;

function queue(garbage: Garbage, world: ChunkWorld, found: [number, number, GarbageCause]): void {
  const [number, volume, cause] = found;
  queueGarbage(garbage, { handle: handleOf(number), volume, cause }, { nowMs: world.nowMs, limits });
}

function plan(garbage: Garbage, world: ChunkWorld, volume: number, afterMs = grace) {
  return planBeside(createRepair(), garbage, world, { volume, afterMs });
}

function planBeside(repair: Repair, garbage: Garbage, world: ChunkWorld, of: { volume: number; afterMs: number }) {
  world.nowMs += of.afterMs;
  return planDeletes(garbage, world, { volume: of.volume, nowMs: world.nowMs, limits, max: 1_024, repair });
}

/** All replicas of chunk 1 reported healthy, of volumes `healthy`; volume 3 has a bad one. */
function withBadReplica(healthy: readonly number[], health: "stale" | "corrupt", goal = 3): ChunkWorld {
  const world = chunkWorld(4);
  addSealed(world, 1, healthy, goal);
  const factMark = freshMark(world);
  for (const volume of healthy) reportOf(world, volume, { number: 1, entries: [entry(1)], factMark });
  noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health });
  return world;
}

describe("what may be deleted", () => {
  test("an unreferenced chunk, after the grace and not before", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    unreferenceChunk(world.chunks, handleOf(1));
    const garbage = createGarbage();
    queue(garbage, world, [1, 0, "released"]);
    queue(garbage, world, [1, 0, "released"]);
    expect(garbage.waiting).toBe(1);
    expect(plan(garbage, world, 0, grace - 1)).toEqual([]);
    expect(plan(garbage, world, 0, 1)).toEqual([{ handle: handleOf(1), below: undefined, cause: "released" }]);
    expect(volumesWithGarbage(garbage)).toEqual([]);
  });

  test("never a chunk that the table still has, whatever the queue says", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    const garbage = createGarbage();
    for (const cause of ["released", "unknown", "stale", "corrupt", "surplus"] as const) {
      queue(garbage, world, [1, 0, cause]);
      expect(plan(garbage, world, 0)).toEqual([]);
    }
  });

  test("never a handle above the allocation mark, nor one that the log never gave out, unless it is accepted as a lost log's", () => {
    const world = chunkWorld(1);
    applyLostHandlesAccepted(world.chunks, 999_998);
    const garbage = createGarbage();
    for (const number of [1_000_001, 1_000_000, 999_999, 999_998, 7]) queue(garbage, world, [number, 0, "unknown"]);
    expect(plan(garbage, world, 0).map((item) => Number(item.handle))).toEqual([999_998, 7]);
  });

  test.each([
    [3, 2, 2],
    [2, 2, 1],
    [1, 1, 1],
    [5, 2, 2],
  ])("with goal %i and min_replicas %i a bad replica is kept until %i others are healthy", (goal, min, enough) => {
    expect(enoughToReplace(goal, min)).toBe(enough);
  });

  test.each([
    ["stale", [0, 1], 1],
    ["corrupt", [0, 1, 2], 1],
    ["corrupt", [0, 1], 0],
    ["stale", [0], 0],
  ] as const)("a %s replica with %j healthy elsewhere: %i deletes, at once", (health, healthy, deletes) => {
    const world = withBadReplica(healthy, health);
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, health]);
    const items = plan(garbage, world, 3, 0);
    expect(items).toHaveLength(deletes);
    // Only a stale one is named by its version: it must not have become whole meanwhile.
    for (const item of items) expect(Number(item.below)).toBe(health === "stale" ? 1 : Number.NaN);
  });

  test("a corrupt replica that repair could not replace in its place goes when enough others are healthy", () => {
    const repair = createRepair();
    const failed = { count: 1, retryAtMs: 0, targets: new Set([3]), why: "" };
    repair.failures.set(handleOf(1), failed);
    for (const [healthy, deletes] of [
      [[0], 0],
      [[0, 1], 1],
    ] as const) {
      const world = withBadReplica(healthy, "corrupt");
      const garbage = createGarbage();
      queue(garbage, world, [1, 3, "corrupt"]);
      expect(planBeside(repair, garbage, world, { volume: 3, afterMs: 0 })).toHaveLength(deletes);
    }
  });

  test("a bad replica that may not go yet stays in the queue until it may, or is bad no more", () => {
    const world = withBadReplica([0, 1], "corrupt");
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, "corrupt"]);
    for (let i = 0; i < 3; i++) expect(plan(garbage, world, 3, 1_000)).toEqual([]);
    expect(garbage.waiting).toBe(1);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "healthy" });
    expect(plan(garbage, world, 3, 1_000)).toHaveLength(1);
    queue(garbage, world, [1, 3, "corrupt"]);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    expect(plan(garbage, world, 3, 1_000)).toEqual([]);
    expect(garbage.waiting).toBe(0);
  });

  test("nothing that a clone under way may be replacing is deleted", () => {
    const world = withBadReplica([0, 1, 2], "corrupt");
    const garbage = createGarbage();
    const repair = createRepair();
    queueNumber(repair, 1, 2);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "gone" });
    expect(planRound(repair, world, { nowMs: world.nowMs })).toMatchObject([{ target: 3 }]);
    queue(garbage, world, [1, 3, "corrupt"]);
    expect(planBeside(repair, garbage, world, { volume: 3, afterMs: 0 })).toEqual([]);
    repair.running.clear();
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "healthy" });
    expect(planBeside(repair, garbage, world, { volume: 3, afterMs: 1_000 })).toHaveLength(1);
  });

  test("replicas that nobody reported yet don't count as healthy elsewhere", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "stale" });
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, "stale"]);
    expect(plan(garbage, world, 3)).toEqual([]);
  });

  test("surplus only while the goal is healthy elsewhere", () => {
    const world = withBadReplica([0, 1, 2], "stale");
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, "surplus"]);
    expect(plan(garbage, world, 3)).toHaveLength(1);
    queue(garbage, world, [1, 3, "surplus"]);
    volumeAt(world.volumes, 0).liveness = "suspect";
    expect(plan(garbage, world, 3)).toEqual([]);
  });

  test.each([1, 2])(
    "with goal %i, never two surplus replicas on the word of each other: the last ones stay",
    (goal) => {
      const world = withBadReplica([0, 1, 2].slice(0, goal + 1), "stale", goal);
      const garbage = createGarbage();
      // Chosen in different rounds of the scan, as the volumes filled; due together, once a brake is let go.
      for (const volume of [0, 1]) queue(garbage, world, [1, volume, "surplus"]);
      const items = plan(garbage, world, 0);
      expect(items).toHaveLength(1);
      // The first delete is on its way.
      expect(plan(garbage, world, 1)).toEqual([]);
      deleteFailed(garbage, { volume: 0, items, outcome: "unknown" }, { nowMs: world.nowMs, limits });
      expect([...plan(garbage, world, 0), ...plan(garbage, world, 1)]).toEqual([]);
    },
  );

  test("a confirmed delete leaves the table, a failed one waits again", () => {
    const world = withBadReplica([0, 1, 2], "corrupt");
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, "corrupt"]);
    const items = plan(garbage, world, 3);
    deleteFailed(garbage, { volume: 3, items, outcome: "refused" }, { nowMs: world.nowMs, limits });
    const again = plan(garbage, world, 3);
    expect(again).toEqual(items);
    deleteDone(garbage, world, { volume: 3, items: again });
    expect(replicasOf(world.chunks, handleOf(1)).map((replica) => replica.volume)).toEqual([0, 1, 2]);
    expect(garbage.deleted).toBe(1);
  });
});

describe("brakes", () => {
  function manyUnknown(count: number, chunks: number, cause: GarbageCause = "unknown") {
    const world = chunkWorld(2);
    for (let number = 1; number <= chunks; number++) addSealed(world, number, [0], 1);
    applyLostHandlesAccepted(world.chunks, 100_000);
    const garbage = createGarbage();
    for (let number = 0; number < count; number++) queue(garbage, world, [10_000 + number, 1, cause]);
    return { world, garbage };
  }

  test.each([
    ["1 000 unknown chunks of 0 known", 1_000, 0, false],
    ["1 001 unknown chunks of 0 known", 1_001, 0, true],
    ["1 200 of 6 000, exactly the share", 1_200, 6_000, false],
    ["1 201 of 6 000, above the share", 1_201, 6_000, true],
  ] as const)("%s", (_what, unknown, chunks, stops) => {
    const { world, garbage } = manyUnknown(unknown, chunks);
    expect(plan(garbage, world, 1)).toHaveLength(stops ? 0 : Math.min(unknown, 1_024));
    expect(garbage.stopped !== undefined).toBe(stops);
  });

  test("users' own removals have no share", () => {
    const { world, garbage } = manyUnknown(5_000, 0, "released");
    expect(plan(garbage, world, 1)).toHaveLength(1_024);
  });

  test("confirm lets what was found so far go, and says what it accepted", () => {
    const { world, garbage } = manyUnknown(1_500, 0);
    plan(garbage, world, 1);
    expect(confirmDeletions(garbage)).toContain("1500 chunks");
    expect(plan(garbage, world, 1)).toHaveLength(1_024);
    for (let number = 0; number < 1_001; number++) queue(garbage, world, [50_000 + number, 1, "unknown"]);
    plan(garbage, world, 1);
    expect(garbage.stopped).toBeDefined();
  });

  test("what trickles counts together: deleting in small pieces does not pass the brake", () => {
    const { world, garbage } = manyUnknown(600, 0);
    expect(plan(garbage, world, 1)).toHaveLength(600);
    for (let number = 0; number < 600; number++) queue(garbage, world, [50_000 + number, 1, "unknown"]);
    expect(plan(garbage, world, 1)).toEqual([]);
    expect(garbage.stopped).toBeDefined();
  });

  test("safe mode, a master that is behind, and a dead volume each hold everything", () => {
    const { world, garbage } = manyUnknown(1, 0);
    world.safeMode = true;
    expect(plan(garbage, world, 1)).toEqual([]);
    world.safeMode = false;
    volumeAt(world.volumes, 1).liveness = "dead";
    expect(plan(garbage, world, 1)).toEqual([]);
    volumeAt(world.volumes, 1).liveness = "live";
    stopDeletions(garbage, "a volume knows handle 9");
    expect(plan(garbage, world, 1)).toEqual([]);
    expect(confirmDeletions(garbage)).toBe("a volume knows handle 9");
    expect(plan(garbage, world, 1)).toHaveLength(1);
  });
});

describe("a delete that was sent keeps clones of the same chunk from its volume", () => {
  /** Three healthy replicas, a fourth of volume 3 that it is told to delete, and then volume 0 dies. */
  function deleting(cause: "surplus" | "corrupt") {
    const world = withBadReplica([0, 1, 2], "corrupt");
    if (cause === "surplus") noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    const garbage = createGarbage();
    queue(garbage, world, [1, 3, cause]);
    const items = plan(garbage, world, 3);
    expect(items).toHaveLength(1);
    volumeAt(world.volumes, 0).liveness = "dead";
    const targets = (): number[] => {
      const repair = createRepair();
      queueNumber(repair, 1, 2);
      return planRound(repair, world, { nowMs: world.nowMs, garbage }).map(({ target }) => target);
    };
    return { world, garbage, items, targets };
  }

  test.each(["surplus", "corrupt"] as const)("until the volume has done it (%s)", (cause) => {
    const { world, garbage, items, targets } = deleting(cause);
    expect(targets()).toEqual([]);
    deleteDone(garbage, world, { volume: 3, items });
    expect(targets()).toEqual([3]);
  });

  test.each(["surplus", "corrupt"] as const)("until the volume has refused it (%s)", (cause) => {
    const { world, garbage, items, targets } = deleting(cause);
    deleteFailed(garbage, { volume: 3, items, outcome: "refused" }, { nowMs: world.nowMs, limits });
    expect(targets()).toEqual([3]);
  });

  test("without an answer, until it is looked at again", () => {
    const { world, garbage, items, targets } = deleting("surplus");
    deleteFailed(garbage, { volume: 3, items, outcome: "unknown" }, { nowMs: world.nowMs, limits });
    expect(plan(garbage, world, 3, grace - 1)).toEqual([]);
    expect(targets()).toEqual([]);
    expect(plan(garbage, world, 3, 1)).toEqual([]);
    expect(targets()).toEqual([3]);
  });
});
