import { describe, expect, test } from "bun:test";
import { unreferenceChunk } from "../../../../src/master/core/chunk-apply.ts";
import { noteReplicaFact } from "../../../../src/master/core/chunk-replicas.ts";
import { createRepair, stopUnneeded } from "../../../../src/master/core/repair.ts";
import type { Repair, RepairCommand } from "../../../../src/master/core/repair.ts";
import { noteWaitedFor, queuedCount, queueMisplaced } from "../../../../src/master/core/repair-queues.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";
import { Prng } from "../../../sim/world/prng.ts";
import { addSealed, addVolume, chunkWorld, handleOf } from "./chunk-world.ts";
import type { ChunkWorld } from "./chunk-world.ts";
import { endClone, planRound, queueNumber } from "./repair-bench.ts";

function kill(world: ChunkWorld, ...volumes: number[]): void {
  for (const volume of volumes) volumeAt(world.volumes, volume).liveness = "dead";
}

function plan(repair: Repair, world: ChunkWorld, streams = 10): RepairCommand[] {
  return planRound(repair, world, { nowMs: world.nowMs, pace: { streams } });
}

describe("what goes first", () => {
  /** The handles in the order in which they are begun, one at a time. */
  function order(repair: Repair, world: ChunkWorld): number[] {
    const handles: number[] = [];
    for (;;) {
      const [command] = plan(repair, world, 1);
      if (command === undefined) return handles;
      handles.push(command.handle);
      endClone(repair, world, { command, nowMs: world.nowMs });
    }
  }

  test("copies left, then a client that waits, then the tree before the trash, then racks", () => {
    const world = chunkWorld(0);
    for (const [index, rack] of ["a", "a", "b", "b", "c"].entries()) addVolume(world, index, { rack });
    addSealed(world, 1, [0, 1], 2);
    addSealed(world, 2, [0, 2], 3);
    addSealed(world, 3, [0, 2], 3);
    addSealed(world, 4, [0, 2], 3);
    addSealed(world, 5, [0, 2], 3);
    addSealed(world, 6, [0], 2);
    addSealed(world, 7, [0], 2);
    const repair = createRepair();
    queueMisplaced(repair.queues, handleOf(1));
    queueNumber(repair, 2, 2, true);
    queueNumber(repair, 3, 2);
    noteWaitedFor(repair.queues, handleOf(4), 0);
    for (const number of [4, 5]) queueNumber(repair, number, 2, true);
    // It is in the trash, and somebody reads it all the same: it was queued before.
    noteWaitedFor(repair.queues, handleOf(5), 0);
    queueNumber(repair, 6, 1, true);
    queueNumber(repair, 7, 1);
    expect(order(repair, world)).toEqual([7, 6, 4, 5, 3, 2, 1]);
  });

  test("chunks that can't be helped keep none below them waiting, however many they are", () => {
    const world = chunkWorld(3);
    const repair = createRepair();
    for (let number = 1; number <= 500; number++) {
      addSealed(world, number, [0], 2);
      for (const volume of [1, 2]) noteReplicaFact(world.chunks, handleOf(number), { volume, health: "stale" });
      queueNumber(repair, number, 1);
    }
    addSealed(world, 501, [0, 1], 3);
    queueNumber(repair, 501, 2);
    expect(plan(repair, world).map(({ handle }) => Number(handle))).toEqual([501]);
    expect(repair.blocked).toContain("holds a replica already");
  });

  test("all servers take part: none is given more than twice its share, as source or as target", () => {
    const world = chunkWorld(10);
    const repair = createRepair();
    const random = new Prng("shares");
    for (let number = 1; number <= 600; number++) {
      const first = random.integer(1, 9);
      addSealed(world, number, [0, first, ((first + random.integer(0, 7)) % 9) + 1]);
      queueNumber(repair, number, 2);
    }
    kill(world, 0);
    // The emptiest, and where all would go.
    volumeAt(world.volumes, 9).space = { totalBytes: 1_000_000, freeBytes: 1_000_000, usedBytes: 0 };
    const work = new Map<number, number>();
    let begun = 0;
    for (;;) {
      const commands = planRound(repair, world, { nowMs: world.nowMs, pace: { streamsPerServer: 4 } });
      if (commands.length === 0) break;
      for (const command of commands) {
        begun++;
        for (const volume of [command.sources[0], command.target]) work.set(volume, (work.get(volume) ?? 0) + 1);
        endClone(repair, world, { command, nowMs: world.nowMs });
      }
    }
    expect(begun).toBe(600);
    expect(Math.max(...work.values())).toBeLessThan((2 * 2 * begun) / 9);
    expect(work.size).toBe(9);
  });

  test("the nearest source is taken, unless it was given twice what the others were", () => {
    const world = chunkWorld(0);
    for (const [index, x] of [0, 100, 1].entries()) addVolume(world, index, { location: { x, y: 0 } });
    const repair = createRepair();
    for (let number = 1; number <= 12; number++) {
      addSealed(world, number, [0, 1], 3);
      queueNumber(repair, number, 2);
    }
    const sources: number[] = [];
    for (let i = 0; i < 12; i++) {
      const [command] = plan(repair, world, 1);
      sources.push(command?.sources[0] ?? -1);
      endClone(repair, world, { command: command!, nowMs: world.nowMs });
    }
    expect(sources[0]).toBe(0);
    expect(sources.filter((source) => source === 0).length).toBeGreaterThan(6);
    expect(sources.filter((source) => source === 1).length).toBeGreaterThan(2);
  });
});

describe("a clone that is not needed any more", () => {
  test("is stopped when the server that was away is back, and is no failure of its target", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    addSealed(world, 2, [0, 1, 2]);
    kill(world, 0);
    const repair = createRepair();
    for (const number of [1, 2]) queueNumber(repair, number, 2);
    const [command] = plan(repair, world, 1);
    expect(stopUnneeded(repair, world)).toEqual([]);
    volumeAt(world.volumes, 0).liveness = "live";
    expect(stopUnneeded(repair, world)).toEqual([command!]);
    expect(stopUnneeded(repair, world)).toEqual([]);
    expect(endClone(repair, world, { command: command!, failure: "stopped", nowMs: world.nowMs })).toBe("stopped");
    expect(repair.failures.size).toBe(0);
    // What was only queued is dropped.
    expect(plan(repair, world)).toEqual([]);
    expect(queuedCount(repair.queues)).toBe(0);
    kill(world, 0);
    for (const number of [1, 2]) queueNumber(repair, number, 2);
    expect(plan(repair, world, 1)).toHaveLength(1);
  });

  test("is stopped when its chunk was let go", () => {
    const world = chunkWorld(3);
    addSealed(world, 1, [0], 2);
    const repair = createRepair();
    queueNumber(repair, 1, 1);
    const [command] = plan(repair, world);
    unreferenceChunk(world.chunks, handleOf(1));
    expect(stopUnneeded(repair, world)).toEqual([command!]);
  });

  test("goes on while the chunk is short of it", () => {
    const world = chunkWorld(5);
    addSealed(world, 1, [0, 1, 2, 3], 4);
    kill(world, 0, 1);
    const repair = createRepair();
    queueNumber(repair, 1, 2);
    plan(repair, world);
    volumeAt(world.volumes, 0).liveness = "live";
    expect(stopUnneeded(repair, world)).toEqual([]);
  });
});
