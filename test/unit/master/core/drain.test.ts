import { describe, expect, test } from "bun:test";
import { applyDraftChunkAdded, applyTailOpened } from "../../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { addCost, decideDecommission, decideTailEnd, noCost } from "../../../../src/master/core/decide-drains.ts";
import {
  beginDrainRound,
  createDrains,
  drainProgress,
  type Drains,
  endDrainRound,
  stepDrainRound,
  stepDrainUnsealed,
} from "../../../../src/master/core/drain.ts";
import type { newMasterState } from "../../../../src/master/core/state.ts";
import { allVolumes, applyVolumeMarked, volumeAt } from "../../../../src/master/core/volumes.ts";
import { draftId, inodeId } from "../../../../src/wire/ids.ts";
import { addSealed, type ChunkWorld, chunkWorld, handleOf, limits, v1 } from "./chunk-world.ts";
import { refusal } from "./core-driver.ts";

/** Volumes that have told all that they hold. */
function reportedWorld(volumes: number): ChunkWorld {
  const world = chunkWorld(volumes);
  for (const volume of allVolumes(world.volumes)) volume.reported = true;
  return world;
}

function addReported(world: ChunkWorld, number: number, on: readonly number[], goal = 3): void {
  addSealed(world, number, on, goal);
  for (const volume of on) noteReplicaFact(world.chunks, handleOf(number), { volume, health: "healthy" });
}

function round(world: ChunkWorld, drains: Drains, meanwhile: () => void = () => undefined): void {
  const begun = beginDrainRound(world, world.nowMs);
  if (begun === undefined) return;
  const middle = Math.ceil(world.chunks.slotEnd / 2);
  stepDrainRound(world, begun, { from: 0, end: middle });
  meanwhile();
  stepDrainRound(world, begun, { from: middle, end: world.chunks.slotEnd });
  world.nowMs += 1_000;
  for (const handle of world.chunks.unsealed) stepDrainUnsealed(world, begun, handle);
  endDrainRound(drains, world, begun, world.nowMs);
}

const progress = (world: ChunkWorld, drains: Drains, volume = 0) => drainProgress(drains, world, { volume, limits });

function drained(world: ChunkWorld, ...volumes: number[]): Drains {
  for (const volume of volumes) applyVolumeMarked(world.volumes, volume, "draining");
  return createDrains();
}

describe("safe to stop", () => {
  test("is a server when every chunk that it holds has its replicas elsewhere", () => {
    const world = reportedWorld(4);
    addReported(world, 1, [0, 1, 2]);
    addReported(world, 2, [1, 2, 3]);
    const drains = drained(world, 0);
    expect(progress(world, drains)).toMatchObject({ safe: false, left: undefined });
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 1, bytes: 10, unsealed: 0 } });
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    expect(progress(world, drains).safe).toBe(false);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ safe: true, left: { chunks: 0, bytes: 0 }, estimateMs: 0 });
  });

  test("are two servers not by each other's replicas", () => {
    const world = reportedWorld(3);
    addReported(world, 1, [0, 1], 1);
    const drains = drained(world, 0, 1);
    round(world, drains);
    expect([progress(world, drains, 0).safe, progress(world, drains, 1).safe]).toEqual([false, false]);
    applyVolumeMarked(world.volumes, 1, "none");
    expect(progress(world, drains, 0).safe).toBe(false);
    round(world, drains);
    expect(progress(world, drains, 0).safe).toBe(true);
  });

  test.each([
    ["a dead server", (world: ChunkWorld) => (volumeAt(world.volumes, 1).liveness = "dead")],
    ["a suspect server", (world: ChunkWorld) => (volumeAt(world.volumes, 1).liveness = "suspect")],
    [
      "a server that has not told yet what it holds",
      (world: ChunkWorld) => (volumeAt(world.volumes, 1).reported = false),
    ],
  ])("is none by the replicas of %s", (_what, happen) => {
    const world = reportedWorld(3);
    addReported(world, 1, [0, 1], 1);
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains).safe).toBe(true);
    happen(world);
    expect(progress(world, drains).safe).toBe(false);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 1 } });
  });

  test("is none while a chunk is written or open there", () => {
    for (const state of ["writing", "open"] as const) {
      const world = reportedWorld(3);
      const chunk = { handle: handleOf(1), version: v1, members: [2, 0], goal: 2 };
      if (state === "writing") applyDraftChunkAdded(world.chunks, { ...chunk, draft: draftId(1) });
      else applyTailOpened(world.chunks, { ...chunk, inode: inodeId(5) });
      const drains = drained(world, 0);
      round(world, drains);
      expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 0, unsealed: 1 } });
      expect(progress(world, drained(world, 1), 1).safe).toBe(false);
    }
  });

  test("is none where an unfinished replica may hold the last copy", () => {
    const world = reportedWorld(2);
    addSealed(world, 1, [0], 1);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "unfinished" });
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 1 } });
  });

  test("is not said by a round that a loss overtook, nor any more once one happened", () => {
    for (const health of ["gone", "corrupt", "stale"] as const) {
      const world = reportedWorld(4);
      addReported(world, 1, [0, 1], 1);
      addReported(world, 2, [2], 1);
      const drains = drained(world, 0);
      // Chunk 1 was seen whole before.
      round(world, drains, () => noteReplicaFact(world.chunks, handleOf(1), { volume: 1, health }));
      expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 0 } });
      round(world, drains);
      expect(progress(world, drains)).toMatchObject({ safe: false, left: { chunks: 1 } });
      noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
      round(world, drains);
      expect(progress(world, drains).safe).toBe(true);
      noteReplicaFact(world.chunks, handleOf(2), { volume: 2, health });
      expect(progress(world, drains).safe).toBe(false);
    }
  });

  test("stays said while the replicas there are deleted", () => {
    const world = reportedWorld(3);
    addReported(world, 1, [0, 1], 1);
    const drains = drained(world, 0);
    round(world, drains);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "gone" });
    expect(progress(world, drains).safe).toBe(true);
  });

  test("is not said before the mark, nor of one that was kept and is drained again", () => {
    const world = reportedWorld(3);
    addReported(world, 1, [0, 1], 1);
    const drains = drained(world, 0);
    round(world, drains, () => {
      applyVolumeMarked(world.volumes, 0, "none");
      applyVolumeMarked(world.volumes, 0, "draining");
    });
    expect(progress(world, drains)).toMatchObject({ safe: false, left: undefined });
  });

  test("is not said in safe mode", () => {
    const world = reportedWorld(2);
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains).safe).toBe(true);
    world.safeMode = true;
    expect(progress(world, drains).safe).toBe(false);
  });
});

describe("the progress of a drain", () => {
  test("tells rate and time by what went in the last minute", () => {
    const world = reportedWorld(6);
    for (let number = 1; number <= 6; number++) addReported(world, number, [0], 1);
    const drains = drained(world, 0);
    for (let number = 1; number <= 3; number++) {
      round(world, drains);
      noteReplicaFact(world.chunks, handleOf(number), { volume: 1, health: "healthy" });
    }
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({
      left: { chunks: 3, bytes: 30 },
      bytesPerSecond: 10,
      estimateMs: 3_000,
    });
    for (let second = 0; second < 62; second++) round(world, drains);
    expect(progress(world, drains)).toMatchObject({ bytesPerSecond: 0, estimateMs: undefined });
  });

  test("says why it can't be finished: too few servers, or no space", () => {
    const world = reportedWorld(3);
    addReported(world, 1, [0, 1, 2]);
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains).stuck).toContain("wants 3 replicas, and 2 other servers are live");
    const full = reportedWorld(2);
    addReported(full, 1, [0], 1);
    volumeAt(full.volumes, 1).space = { totalBytes: 1_000, freeBytes: 5, usedBytes: 995 };
    const stuck = drained(full, 0);
    round(full, stuck);
    expect(progress(full, stuck).stuck).toContain(
      "1 of 1 other live server is full, 5 B free in all (s0 holds a replica already; s1 has 5 B free",
    );
  });

  test("is not stuck where all others have stale replicas, which are replaced", () => {
    const world = reportedWorld(4);
    addReported(world, 1, [0]);
    for (const volume of [1, 2, 3]) noteReplicaFact(world.chunks, handleOf(1), { volume, health: "stale" });
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ left: { chunks: 1 }, stuck: undefined });
  });
});

describe("a drain of what no server can give now", () => {
  const gone = (world: ChunkWorld, liveness: "dead" | "retired" = "dead", volume = 0): void => {
    volumeAt(world.volumes, volume).liveness = liveness;
  };

  test.each(["dead", "retired"] as const)(
    "is stuck while its server is %s, whatever else could be moved",
    (liveness) => {
      const world = reportedWorld(5);
      addReported(world, 1, [0], 1);
      addReported(world, 2, [0, 1, 2]);
      const drains = drained(world, 0);
      round(world, drains);
      expect(progress(world, drains).stuck).toBeUndefined();
      gone(world, liveness);
      round(world, drains);
      expect(progress(world, drains).stuck).toBe("chunk 1 has no replica that can be read now");
      volumeAt(world.volumes, 0).liveness = "live";
      expect(progress(world, drains).stuck).toBeUndefined();
    },
  );

  test("is stuck by a tail of which all servers are gone, and by none that can be sealed or ends by itself", () => {
    const world = reportedWorld(4);
    const tail = { version: v1, goal: 2, inode: inodeId(5) };
    applyTailOpened(world.chunks, { ...tail, handle: handleOf(1), members: [0, 1] });
    applyDraftChunkAdded(world.chunks, { ...tail, handle: handleOf(2), members: [0], draft: draftId(1) });
    const drains = drained(world, 0);
    gone(world);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ left: { unsealed: 2 }, stuck: undefined });
    gone(world, "retired", 1);
    round(world, drains);
    expect(progress(world, drains).stuck).toContain("chunk 1 can't be sealed: all of its servers are dead or retired");
    volumeAt(world.volumes, 1).liveness = "live";
    expect(progress(world, drains).stuck).toBeUndefined();
  });

  test("is not while it may come any moment: not heard of since the master's start, or about to be confirmed", () => {
    const world = reportedWorld(3);
    addReported(world, 1, [0], 1);
    addReported(world, 2, [1], 1);
    noteReplicaFact(world.chunks, handleOf(2), { volume: 1, health: "unfinished" });
    Object.assign(volumeAt(world.volumes, 0), { registration: undefined, liveness: "suspect" });
    const drains = drained(world, 0, 1);
    round(world, drains);
    expect(progress(world, drains)).toMatchObject({ left: { chunks: 1 }, stuck: undefined });
    expect(progress(world, drains, 1)).toMatchObject({ left: { chunks: 1 }, stuck: undefined });
  });
});

describe("what is said between two rounds", () => {
  test("is not that it can't be finished, when the last copy has just come", () => {
    const world = reportedWorld(4);
    addReported(world, 1, [0, 1, 2]);
    const drains = drained(world, 0);
    round(world, drains);
    expect(progress(world, drains).stuck).toBeUndefined();
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    expect(progress(world, drains).stuck).toBeUndefined();
  });
});

describe("forgetting a server", () => {
  test("costs the chunks that nobody else can give back, and those that it leaves short", () => {
    const world = reportedWorld(4);
    addReported(world, 1, [0], 1);
    addReported(world, 2, [0, 1]);
    addReported(world, 3, [0, 1, 2, 3]);
    addReported(world, 4, [0, 1], 1);
    addReported(world, 5, [2], 1);
    applyTailOpened(world.chunks, { handle: handleOf(6), version: v1, members: [0], goal: 1, inode: inodeId(5) });
    applyTailOpened(world.chunks, { handle: handleOf(7), version: v1, members: [0, 1], goal: 2, inode: inodeId(6) });
    volumeAt(world.volumes, 3).liveness = "dead";
    const cost = noCost();
    addCost(world, cost, { volume: 0, from: 0, end: world.chunks.slotEnd });
    expect(cost).toMatchObject({ lost: 2, lostBytes: 10, short: 3 });
    expect(cost.first.map(({ handle }) => Number(handle))).toEqual([1, 6]);
  });

  const world = (): Pick<ReturnType<typeof newMasterState>, "volumes" | "chunks" | "tails"> => {
    const { chunks, volumes } = reportedWorld(3);
    return { chunks, volumes, tails: new Map() };
  };
  const cost = { lost: 2, lostBytes: 20, short: 0, first: [] };
  const forced = { server: "s0", force: true, lostMax: 2 };
  const deadInMs = 20_500;

  test("is refused with the reason unless it is safe, or forced and its cost accepted", () => {
    const state = world();
    const request = { server: "s0", force: false, lostMax: 0 };
    expect(
      refusal("Denied", () => decideDecommission(state, request, { unsafe: "why not", cost: undefined, deadInMs })),
    ).toBe("Cannot forget s0: why not");
    const live = () => decideDecommission(state, forced, { unsafe: "it is not being drained", cost, deadInMs });
    expect(refusal("Denied", live)).toContain("it is live; drain it first, or stop it");
    volumeAt(state.volumes, 0).liveness = "suspect";
    expect(refusal("Denied", live)).toContain("it is suspect; wait until it is dead (21 s), or drain it first");
    volumeAt(state.volumes, 0).liveness = "dead";
    expect(live()).toMatchObject({
      records: [{ kind: "volume-marked", index: 0, mark: "forgotten" }],
      reply: { lost: 2 },
    });
    const more = () => decideDecommission(state, { ...forced, lostMax: 1 }, { unsafe: "it is dead", cost, deadInMs });
    expect(refusal("Denied", more)).toContain("2 chunks would be lost with it, and the loss of 1 was accepted");
    expect(decideDecommission(state, request, { unsafe: undefined, cost: undefined, deadInMs }).reply).toMatchObject({
      lost: 0,
    });
  });

  test("ends the tails of which nobody else has anything, and no others", () => {
    const state = world();
    const open = (number: number, members: number[]): void => {
      applyTailOpened(state.chunks, {
        handle: handleOf(number),
        version: v1,
        members,
        goal: 2,
        inode: inodeId(number),
      });
      state.tails.set(inodeId(number), handleOf(number));
    };
    open(1, [0]);
    open(2, [0, 1]);
    open(3, [0, 2]);
    volumeAt(state.volumes, 0).liveness = "dead";
    applyVolumeMarked(state.volumes, 2, "forgotten");
    const { records: decided } = decideDecommission(state, forced, { unsafe: "it is dead", cost, deadInMs });
    expect(decided).toEqual([{ kind: "volume-marked", index: 0, mark: "forgotten" }]);
    applyVolumeMarked(state.volumes, 0, "forgotten");
    const records = [1, 2, 3].flatMap((number) => decideTailEnd(state, handleOf(number)));
    expect(records.map((record) => [record.kind, "handle" in record ? Number(record.handle) : 0])).toEqual([
      ["seal-begun", 1],
      ["chunk-sealed", 1],
      ["seal-begun", 3],
      ["chunk-sealed", 3],
    ]);
  });
});
