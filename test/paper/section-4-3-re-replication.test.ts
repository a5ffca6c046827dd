import { describe, expect, test } from "bun:test";
import { createRepair } from "../../src/master/core/repair.ts";
import { replicasOf } from "../../src/master/core/chunk-replicas.ts";
import { volumeAt } from "../../src/master/core/volumes.ts";
import { addSealed, chunkWorld, handleOf } from "../unit/master/core/chunk-world.ts";
import { endClone, planRound, queueNumber } from "../unit/master/core/repair-bench.ts";

describe("paper §4.3 re-replication", () => {
  test("a chunk that is farther from its goal goes first: one that lost two replicas before one that lost one", () => {
    const world = chunkWorld(6);
    addSealed(world, 1, [0, 1, 2]);
    addSealed(world, 2, [0, 1, 3]);
    volumeAt(world.volumes, 2).liveness = "dead";
    volumeAt(world.volumes, 3).liveness = "dead";
    volumeAt(world.volumes, 1).liveness = "dead";
    addSealed(world, 3, [0, 4], 3);
    const repair = createRepair();
    queueNumber(repair, 3, 2);
    queueNumber(repair, 1, 1);
    const { nowMs } = world;
    expect(planRound(repair, world, { nowMs, pace: { streams: 1 } }).map(({ handle }) => Number(handle))).toEqual([1]);
  });

  test("the data is cloned directly from an existing valid replica to the new one", () => {
    const world = chunkWorld(4);
    addSealed(world, 1, [0, 1, 2]);
    volumeAt(world.volumes, 2).liveness = "dead";
    const repair = createRepair();
    queueNumber(repair, 1, 2);
    const [command] = planRound(repair, world, { nowMs: world.nowMs });
    expect(command!.target).toBe(3);
    expect(new Set(command!.sources)).toEqual(new Set([0, 1]));
    expect(endClone(repair, world, { command: command!, nowMs: world.nowMs })).toBe("healed");
    expect(replicasOf(world.chunks, handleOf(1))).toContainEqual({ volume: 3, health: "healthy" });
  });

  test("active clones are limited for each chunkserver, so that they don't overwhelm client traffic", () => {
    const world = chunkWorld(5);
    const repair = createRepair();
    for (let number = 1; number <= 10; number++) {
      addSealed(world, number, [0, 1], 3);
      queueNumber(repair, number, 2);
    }
    const commands = planRound(repair, world, { nowMs: world.nowMs });
    const busy = commands.flatMap(({ target, sources }) => [target, sources[0]]);
    expect(new Set(busy).size).toBe(busy.length);
    expect(commands.length).toBe(2);
  });

  test("a clone that failed is tried again later, rather on another server", () => {
    const world = chunkWorld(5);
    addSealed(world, 1, [0, 1], 3);
    const repair = createRepair();
    queueNumber(repair, 1, 2);
    const [first] = planRound(repair, world, { nowMs: world.nowMs });
    endClone(repair, world, { command: first!, failure: "it was full", nowMs: world.nowMs });
    expect(planRound(repair, world, { nowMs: world.nowMs })).toEqual([]);
    const [second] = planRound(repair, world, { nowMs: world.nowMs + 1_000 });
    expect(second!.target).not.toBe(first!.target);
  });
});
