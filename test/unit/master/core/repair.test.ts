import { describe, expect, test } from "bun:test";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { unreferenceChunk } from "../../../../src/master/core/chunk-apply.ts";
import {
  createChunkScan,
  holderCountAt,
  stepScan,
  wantScan,
  whyShort,
} from "../../../../src/master/core/chunk-scan.ts";
import { slotOf } from "../../../../src/master/core/chunk-table.ts";
import { createRepair } from "../../../../src/master/core/repair.ts";
import type { Repair, RepairCommand } from "../../../../src/master/core/repair.ts";
import { queuedCount } from "../../../../src/master/core/repair-queues.ts";
import { applyVolumeMarked, volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, addVolume, chunkWorld, entry, freshMark, handleOf, reportOf, volumeHex } from "./chunk-world.ts";
import type { ChunkWorld } from "./chunk-world.ts";
import { endClone, planRound, queueNumber } from "./repair-bench.ts";

function scanned(world: ChunkWorld, slotsMax = 1_000) {
  const scan = createChunkScan();
  const short: { handle: number; holders: number }[] = [];
  const surplus: { handle: number; volume: number }[] = [];
  const unreported = new Set<number>();
  const misplaced: number[] = [];
  for (let step = 0; (scan.wanted || scan.running) && step < 100; step++) {
    const found = stepScan(world, scan, { slotsMax, nowMs: world.nowMs });
    short.push(...found.short);
    surplus.push(...found.surplus);
    for (const volume of found.unreported) unreported.add(volume);
    misplaced.push(...found.misplaced);
  }
  return { scan, short, surplus, unreported, misplaced };
}

function kill(world: ChunkWorld, ...volumes: number[]): void {
  for (const volume of volumes) volumeAt(world.volumes, volume).liveness = "dead";
}

function plan(repair: Repair, world: ChunkWorld, streams = 10): RepairCommand[] {
  return planRound(repair, world, { nowMs: world.nowMs, pace: { streams } });
}

describe("a round over the chunk table", () => {
  test("counts healthy, short, lost and pending chunks, and says why one is short", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    addSealed(world, 2, [1, 2, 3]);
    addSealed(world, 3, [0]);
    addSealed(world, 4, [0, 3], 2);
    kill(world, 0);
    noteReplicaFact(world.chunks, handleOf(2), { volume: 3, health: "stale" });
    const { scan, short } = scanned(world, 1);
    expect(scan.finished?.counts).toMatchObject({ total: 4, healthy: 0, short: 3, lost: 1, pending: 0 });
    expect(short).toEqual([
      { handle: handleOf(1), holders: 2 },
      { handle: handleOf(2), holders: 2 },
      { handle: handleOf(4), holders: 1 },
    ]);
    expect(
      scan.finished?.shortOnes.map(
        (one) => [one.handle, one.healthy, one.wanted, one.why] as [number, number, number, string],
      ),
    ).toEqual([
      [3, 0, 3, "s0 is dead"],
      [4, 1, 2, "s0 is dead"],
      [1, 2, 3, "s0 is dead"],
      [2, 2, 3, "its replica on s3 is stale"],
    ]);
    world.safeMode = true;
    expect(scanned(world).scan.finished?.counts).toMatchObject({ lost: 0, short: 0, pending: 4 });
  });

  test("why a chunk is short: a forgotten server only where nothing else is, twins by their volumes", () => {
    const world = chunkWorld(5);
    addSealed(world, 1, [0, 1, 2]);
    const why = (): string => whyShort(world, slotOf(world.chunks, handleOf(1)));
    applyVolumeMarked(world.volumes, 0, "forgotten");
    expect(why()).toBe("s0 is forgotten");
    // Repaired.
    noteReplicaFact(world.chunks, handleOf(1), { volume: 3, health: "healthy" });
    kill(world, 1);
    expect(why()).toBe("s1 is dead");
    volumeAt(world.volumes, 4).label = "s1";
    expect(why()).toBe(`s1 (volume ${volumeHex(1).slice(0, 12)}) is dead`);
    volumeAt(world.volumes, 1).liveness = "live";
    world.chunks.goals.set(slotOf(world.chunks, handleOf(1)), 4);
    expect(why()).toBe("it was made with 3, and 4 are wanted");
  });

  test("a change during a round is followed by another", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    addSealed(world, 2, [0], 1);
    const scan = createChunkScan();
    const step = (): boolean => {
      stepScan(world, scan, { slotsMax: 1, nowMs: 0 });
      return scan.running || scan.wanted;
    };
    expect(step()).toBe(true);
    wantScan(scan);
    expect(step()).toBe(true);
    expect([step(), step(), step()]).toEqual([true, false, false]);
  });

  test("a rack with more than its share of a chunk is misplaced, or thinned where there is one too many", () => {
    const world = chunkWorld(0);
    for (const [index, rack] of ["a", "a", "a", "b"].entries()) addVolume(world, index, { rack });
    addSealed(world, 1, [0, 1, 2]);
    addSealed(world, 2, [0, 1, 3]);
    addSealed(world, 3, [0, 1, 2, 3]);
    const factMark = freshMark(world);
    for (const volume of [0, 1, 2, 3]) {
      const entries = [1, 2, 3].filter((number) => number !== (volume === 3 ? 1 : volume === 2 ? 2 : 0));
      reportOf(world, volume, { number: 1, entries: entries.map((number) => entry(number)), factMark });
    }
    volumeAt(world.volumes, 3).space = { totalBytes: 1_000, freeBytes: 0, usedBytes: 1_000 };
    const { scan, surplus } = scanned(world);
    expect(scan.finished?.counts).toMatchObject({ healthy: 3, misplaced: 1 });
    expect(surplus).toEqual([{ handle: handleOf(3), volume: 2 }]);
  });

  test("a suspect holder counts, and so does one not heard of yet; a dead or retired one does not", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1, 2]);
    const slot = slotOf(world.chunks, handleOf(1));
    volumeAt(world.volumes, 0).liveness = "suspect";
    volumeAt(world.volumes, 1).registration = undefined;
    volumeAt(world.volumes, 1).liveness = "suspect";
    expect(holderCountAt(world, slot)).toBe(3);
    volumeAt(world.volumes, 0).liveness = "retired";
    expect(holderCountAt(world, slot)).toBe(2);
  });

  test("nobody calls a chunk healthy before enough of its holders have registered, nor has it repaired", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1, 2]);
    const { registration } = volumeAt(world.volumes, 1);
    const counts = () => {
      const scan = createChunkScan();
      expect(stepScan(world, scan, { slotsMax: 100, nowMs: 0 }).short).toEqual([]);
      return scan.finished?.counts;
    };
    volumeAt(world.volumes, 1).registration = undefined;
    expect(counts()).toMatchObject({ total: 1, healthy: 0, pending: 1 });
    volumeAt(world.volumes, 1).registration = registration;
    expect(counts()).toMatchObject({ total: 1, healthy: 1, pending: 0 });
  });

  test("of a chunk with too many, those who hold it by the log alone are asked what they have, and of no other", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2, 3], 2);
    addSealed(world, 2, [0, 1, 2], 3);
    expect(scanned(world).unreported).toEqual(new Set([0, 1, 2, 3]));
    volumeAt(world.volumes, 3).liveness = "suspect";
    const factMark = freshMark(world);
    for (const volume of [1, 2]) reportOf(world, volume, { number: 1, entries: [entry(1), entry(2)], factMark });
    expect(scanned(world).unreported).toEqual(new Set([0]));
    reportOf(world, 0, { number: 1, entries: [entry(1), entry(2)], factMark });
    const { unreported, surplus } = scanned(world);
    expect([unreported.size, surplus.length]).toEqual([0, 1]);
  });

  test("surplus are only replicas that live volumes reported, above the goal; the fullest goes first", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2, 3], 3);
    expect(scanned(world).surplus).toEqual([]);
    const factMark = freshMark(world);
    for (const volume of [0, 1, 2, 3]) reportOf(world, volume, { number: 1, entries: [entry(1)], factMark });
    volumeAt(world.volumes, 1).space = { totalBytes: 1_000, freeBytes: 1, usedBytes: 999 };
    expect(scanned(world).surplus).toEqual([{ handle: handleOf(1), volume: 1 }]);
    volumeAt(world.volumes, 0).liveness = "suspect";
    expect(scanned(world).surplus).toEqual([]);
  });
});

describe("plans", () => {
  test("a clone goes from a holder to a volume that does not have the chunk", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    kill(world, 0);
    const repair = createRepair();
    for (const short of scanned(world).short) queueNumber(repair, short.handle, short.holders);
    const [command] = plan(repair, world);
    expect(command).toMatchObject({ handle: 1, version: 1, length: 10, crc: 1, target: 3 });
    expect(command?.sources.toSorted()).toEqual([1, 2]);
    expect(plan(repair, world)).toEqual([]);
    if (command === undefined) throw new Error("no command");
    expect(endClone(repair, world, { command, nowMs: world.nowMs })).toBe("healed");
    expect(scanned(world).short).toEqual([]);
    expect(repair.done).toBe(1);
  });

  test("one copy left goes first", () => {
    const world = chunkWorld(6);
    addSealed(world, 1, [0, 1], 3);
    addSealed(world, 2, [0], 3);
    const repair = createRepair();
    for (const short of scanned(world).short) queueNumber(repair, short.handle, short.holders);
    expect(plan(repair, world, 1)[0]?.handle).toBe(handleOf(2));
  });

  test("a server has at most repairStreamsPerServer clones, as source or target", () => {
    const world = chunkWorld(6);
    for (let number = 1; number <= 20; number++) addSealed(world, number, [0, 1], 3);
    const repair = createRepair();
    for (let number = 1; number <= 20; number++) queueNumber(repair, number, 2);
    const commands = plan(repair, world, 100);
    const busy = commands.flatMap((command) => [command.sources[0] ?? -1, command.target]);
    expect(new Set(busy).size).toBe(busy.length);
    expect(commands).toHaveLength(2);
  });

  test("nothing is planned in safe mode, nor before all servers that the log knows have told, or are dead", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0], 2);
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    world.safeMode = true;
    expect(plan(repair, world)).toEqual([]);
    world.safeMode = false;
    volumeAt(world.volumes, 3).expected = true;
    expect(plan(repair, world)).toEqual([]);
    expect(queuedCount(repair.queues)).toBe(1);
    kill(world, 3);
    expect(plan(repair, world)).toHaveLength(1);
  });

  test("a volume with a stale replica of it is no target, and status says why nothing can be done", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0], 2);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 1, health: "stale" });
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    expect(plan(repair, world)).toEqual([]);
    expect(repair.blocked).toContain("s1 holds a replica already");
  });

  test("nor is it replaced while it may be the last that something could be saved from", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0], 3);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "healthy" });
    noteReplicaFact(world.chunks, handleOf(1), { volume: 1, health: "stale" });
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    expect(plan(repair, world)).toEqual([]);
  });

  test("of two stale replicas one is replaced in its place, where nobody else can take a copy and none may be deleted", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0]);
    for (const volume of [1, 2]) noteReplicaFact(world.chunks, handleOf(1), { volume, health: "stale" });
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    expect(plan(repair, world)[0]?.target).toBe(3);

    const crowded = chunkWorld(3);
    addSealed(crowded, 1, [0]);
    for (const volume of [1, 2]) noteReplicaFact(crowded.chunks, handleOf(1), { volume, health: "stale" });
    const other = createRepair();
    queueNumber(other, 1, 1);
    expect(plan(other, crowded)).toEqual([]);
    expect([...other.unsure]).toEqual([handleOf(1)]);
    noteReplicaFact(crowded.chunks, handleOf(1), { volume: 0, health: "healthy" });
    const [command] = plan(other, crowded);
    expect(command).toMatchObject({ target: 1, sources: [0] });
    endClone(other, crowded, { command: command!, nowMs: 0 });
    // Two are healthy now: the other stale one may be deleted, and its server takes the third copy.
    expect(plan(other, crowded)).toEqual([]);
    noteReplicaFact(crowded.chunks, handleOf(1), { volume: 2, health: "gone" });
    expect(plan(other, crowded)[0]?.target).toBe(2);
  });

  test("nobody is asked to verify where that could not help, or where the bad one may be deleted", () => {
    for (const others of [["healthy", "stale"], ["unfinished", "stale"], ["stale"]] as const) {
      const world = chunkWorld(1 + others.length);
      addSealed(world, 1, [0], 3);
      noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: others.length === 1 ? "named" : "healthy" });
      for (const [i, health] of others.entries()) noteReplicaFact(world.chunks, handleOf(1), { volume: i + 1, health });
      const repair = createRepair();
      queueNumber(repair, 1, 1);
      // Where an unfinished one is left, all of it is there to save from.
      expect(plan(repair, world)).toHaveLength(others[0] === "unfinished" ? 1 : 0);
      expect([...repair.unsure]).toEqual([]);
    }
  });

  test("after a failure it waits, and then rather takes another target", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0], 2);
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    const [first] = plan(repair, world);
    if (first === undefined) throw new Error("no command");
    expect(endClone(repair, world, { command: first, failure: "no answer", nowMs: world.nowMs })).toBe("failed");
    expect(plan(repair, world)).toEqual([]);
    expect(repair.blocked).toContain("no answer");
    world.nowMs += 1_000;
    expect(plan(repair, world)[0]?.target).not.toBe(first.target);
  });

  test("what was made for a chunk that is gone meanwhile is an orphan", () => {
    const world = chunkWorld(2);
    addSealed(world, 1, [0], 2);
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    const [command] = plan(repair, world);
    if (command === undefined) throw new Error("no command");
    unreferenceChunk(world.chunks, handleOf(1));
    expect(endClone(repair, world, { command, nowMs: 0 })).toBe("orphan");
    expect(repair.pace.streams).toBe(0);
  });
});

describe("a corrupt replica where every server has one", () => {
  function withCorrupt(): { world: ChunkWorld; repair: Repair } {
    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1, 2]);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 2, health: "corrupt" });
    const repair = createRepair();
    queueNumber(repair, 1, 2);
    return { world, repair };
  }
  const verified = (world: ChunkWorld) => {
    for (const volume of [0, 1]) noteReplicaFact(world.chunks, handleOf(1), { volume, health: "healthy" });
  };

  test("is not touched before the others are verified, which is asked for", () => {
    const { world, repair } = withCorrupt();
    expect(plan(repair, world)).toEqual([]);
    expect([...repair.unsure]).toEqual([handleOf(1)]);
    verified(world);
    expect(plan(repair, world)).toHaveLength(1);
    expect(repair.unsure.size).toBe(0);
  });

  test("is replaced in its place, and healthy then", () => {
    const { world, repair } = withCorrupt();
    verified(world);
    const [command] = plan(repair, world);
    expect(command).toMatchObject({ handle: handleOf(1), target: 2 });
    expect(command?.sources.toSorted()).toEqual([0, 1]);
    endClone(repair, world, { command: command!, nowMs: 0 });
    expect(holderCountAt(world, slotOf(world.chunks, handleOf(1)))).toBe(3);
  });

  test("is replaced by the only healthy one, where a stale one is left to save from", () => {
    const { world, repair } = withCorrupt();
    noteReplicaFact(world.chunks, handleOf(1), { volume: 1, health: "stale" });
    expect(plan(repair, world)).toEqual([]);
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "healthy" });
    expect(plan(repair, world)[0]).toMatchObject({ target: 2, sources: [0] });
  });

  test("is given another server where its own could not take the copy", () => {
    const { world, repair } = withCorrupt();
    verified(world);
    const [command] = plan(repair, world);
    endClone(repair, world, { command: command!, failure: "no", nowMs: 0 });
    world.nowMs += 10_000;
    expect(plan(repair, world)).toEqual([]);
    addVolume(world, 3);
    expect(plan(repair, world)[0]?.target).toBe(3);
  });

  test("is tried once more where its server failed to take the copy, and nobody else can", () => {
    const { world, repair } = withCorrupt();
    noteReplicaFact(world.chunks, handleOf(1), { volume: 1, health: "corrupt" });
    noteReplicaFact(world.chunks, handleOf(1), { volume: 0, health: "healthy" });
    for (const target of [1, 2, 1, 2, 1]) {
      const [command] = plan(repair, world);
      expect(command?.target).toBe(target);
      endClone(repair, world, { command: command!, failure: "no", nowMs: world.nowMs });
      world.nowMs += 60_000;
    }
  });

  test("with another server at hand the copy goes there without waiting for anybody's word", () => {
    const { world, repair } = withCorrupt();
    addVolume(world, 3);
    expect(plan(repair, world)[0]?.target).toBe(3);
    expect(repair.unsure.size).toBe(0);
  });
});
