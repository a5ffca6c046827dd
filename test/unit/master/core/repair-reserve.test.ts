import { expect, test } from "bun:test";
import { createRepair } from "../../../../src/master/core/repair.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, type ChunkWorld, chunkWorld, handleOf } from "./chunk-world.ts";
import { planRound, queueNumber } from "./repair-bench.ts";

/** Every volume has used what new chunks may fill. */
function fullWorld(volumes: number): ChunkWorld {
  const world = chunkWorld(volumes);
  for (let index = 0; index < volumes; index++) {
    const volume = volumeAt(world.volumes, index);
    volume.space = { ...volume.space, newBytes: 0 };
  }
  return world;
}

function planned(world: ChunkWorld, numbers: readonly number[]) {
  const repair = createRepair();
  for (const number of numbers) queueNumber(repair, number, number);
  const commands = planRound(repair, world, { nowMs: world.nowMs, pace: { streams: 10, streamsPerServer: 10 } });
  return { handles: commands.map(({ handle }) => handle), blocked: repair.blocked };
}

test("DESIGN §4.5: what full volumes keep is for chunks with one good replica, not for whatever is a replica short", () => {
  const world = fullWorld(4);
  addSealed(world, 1, [0]);
  addSealed(world, 2, [0, 1]);
  const { handles, blocked } = planned(world, [1, 2]);
  expect(handles).toEqual([handleOf(1)]);
  expect(blocked).toContain("0 B free for new chunks, besides what is kept for repair");
});

test("where there is room for new chunks, there is for all", () => {
  const world = chunkWorld(4);
  addSealed(world, 1, [0]);
  addSealed(world, 2, [0, 1]);
  expect(planned(world, [1, 2]).handles).toEqual([handleOf(1), handleOf(2)]);
});
