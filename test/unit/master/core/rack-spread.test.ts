import { describe, expect, test } from "bun:test";
import { replicasOf } from "../../../../src/master/core/chunk-replicas.ts";
import { createChunkScan, stepScan } from "../../../../src/master/core/chunk-scan.ts";
import { slotOf } from "../../../../src/master/core/chunk-table.ts";
import {
  createGarbage,
  deleteDone,
  planDeletes,
  queueGarbage,
  volumesWithGarbage,
} from "../../../../src/master/core/garbage.ts";
import { crowding, rackTable } from "../../../../src/master/core/rack-spread.ts";
import { createRepair } from "../../../../src/master/core/repair.ts";
import { queueMisplaced, queueShort } from "../../../../src/master/core/repair-queues.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";
import { Prng } from "../../../sim/world/prng.ts";
import {
  addSealed,
  addVolume,
  type ChunkWorld,
  chunkWorld,
  entry,
  freshMark,
  handleOf,
  limits,
  reportOf,
} from "./chunk-world.ts";
import { endClone, planRound } from "./repair-bench.ts";

function inRacks(racks: readonly string[]): ChunkWorld {
  const world = chunkWorld(0);
  for (const [index, rack] of racks.entries()) addVolume(world, index, { rack });
  return world;
}

function allReport(world: ChunkWorld, chunks: number): void {
  const factMark = freshMark(world);
  for (const { index } of world.volumes.byId.values()) {
    const held = Array.from({ length: chunks }, (_, i) => i + 1).filter((number) =>
      replicasOf(world.chunks, handleOf(number)).some(({ volume }) => volume === index),
    );
    reportOf(world, index, { number: 1, entries: held.map((number) => entry(number)), factMark });
  }
}

function crowdingOf(world: ChunkWorld, number: number): number {
  return crowding(world.chunks, slotOf(world.chunks, handleOf(number)), rackTable(world.volumes));
}

const holdersOf = (world: ChunkWorld, number: number): number[] =>
  replicasOf(world.chunks, handleOf(number))
    .map(({ volume }) => volume)
    .toSorted((a, b) => a - b);

/** Scan, repair and deletion until nothing is left to do; clones made. */
function settle(world: ChunkWorld): number {
  const repair = createRepair();
  const garbage = createGarbage();
  let clones = 0;
  for (let round = 0; round < 200; round++) {
    const scan = createChunkScan();
    let busy = false;
    while (scan.wanted || scan.running) {
      const step = stepScan(world, scan, { slotsMax: 100, nowMs: world.nowMs });
      for (const short of step.short) queueShort(repair.queues, { ...short, trashed: false }, world.nowMs);
      for (const handle of step.misplaced) queueMisplaced(repair.queues, handle);
      for (const { handle, volume } of step.surplus) {
        busy = true;
        queueGarbage(garbage, { handle, volume, cause: "surplus" }, { nowMs: world.nowMs, limits });
      }
    }
    const commands = planRound(repair, world, { nowMs: world.nowMs, pace: { streamsPerServer: 100 } });
    for (const command of commands) {
      clones++;
      endClone(repair, world, { command, nowMs: world.nowMs });
    }
    world.nowMs += limits.deleteGraceMs;
    for (const volume of volumesWithGarbage(garbage)) {
      const items = planDeletes(garbage, world, { volume, max: 100, nowMs: world.nowMs, limits, repair });
      deleteDone(garbage, world, { volume, items });
    }
    if (!busy && commands.length === 0) return clones;
  }
  throw new Error("it never comes to rest");
}

describe("racks", () => {
  test("a crowded one gives a replica to one with room: a clone first, and then the crowded one goes", () => {
    const world = inRacks(["a", "a", "a", "b", "c"]);
    addSealed(world, 1, [0, 1, 3]);
    allReport(world, 1);
    expect(crowdingOf(world, 1)).toBe(1);
    expect(settle(world)).toBe(1);
    expect(crowdingOf(world, 1)).toBe(0);
    const held = holdersOf(world, 1);
    expect(held).toHaveLength(3);
    expect(held).toContain(3);
    expect(held).toContain(4);
  });

  test("nothing is copied where no better rack has room", () => {
    const world = inRacks(["a", "a", "a", "b", "c"]);
    addSealed(world, 1, [0, 1, 3]);
    allReport(world, 1);
    volumeAt(world.volumes, 4).space = { totalBytes: 1_000, freeBytes: 0, usedBytes: 1_000 };
    expect(settle(world)).toBe(0);
    expect(holdersOf(world, 1)).toEqual([0, 1, 3]);
  });

  test("a volume that is expected to come is no rack of its own", () => {
    const world = inRacks(["a", "a", "b"]);
    volumeAt(world.volumes, 2).registration = undefined;
    expect(rackTable(world.volumes)).toMatchObject({ count: 1, shared: false });
  });

  test("from whatever placement it comes to rest with as many clones as were missing or crowded, and never goes back", () => {
    const random = new Prng("racks");
    for (let seed = 0; seed < 150; seed++) {
      const racks = Array.from({ length: random.integer(2, 9) }, () => "abcd".charAt(random.integer(0, 3)));
      const world = inRacks(racks);
      for (const volume of world.volumes.byId.values())
        if (random.chance(0.15)) volume.space = { totalBytes: 1_000, freeBytes: 0, usedBytes: 1_000 };
      const chunks = random.integer(1, 6);
      let wanted = 0;
      for (let number = 1; number <= chunks; number++) {
        const goal = random.integer(1, 4);
        const from = random.integer(0, racks.length - 1);
        const count = Math.min(racks.length, random.integer(1, 4));
        const members = Array.from({ length: count }, (_, i) => (from + i) % racks.length);
        addSealed(world, number, members, goal);
        wanted += goal + goal;
      }
      allReport(world, chunks);
      const numbers = Array.from({ length: chunks }, (_, i) => i + 1);
      const before = numbers.map((number) => crowdingOf(world, number));
      expect(settle(world)).toBeLessThanOrEqual(wanted);
      // What has its copies is spread no worse than it was.
      for (const [i, number] of numbers.entries())
        if ((before[i] ?? 0) > 0) expect(crowdingOf(world, number)).toBeLessThanOrEqual(before[i] ?? 0);
      expect(settle(world)).toBe(0);
    }
  });
});
