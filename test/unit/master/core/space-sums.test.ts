import { describe, expect, test } from "bun:test";
import { spaceSums, usableBytes } from "../../../../src/master/core/space-sums.ts";
import { reserveSpace, volumeAt } from "../../../../src/master/core/volumes.ts";
import { draftId } from "../../../../src/wire/ids.ts";
import { addVolume, type ChunkWorld, chunkWorld } from "./chunk-world.ts";

/** A volume as its heartbeat tells it: `limit` of its own, on a disk with so much free. */
function volumeOn(world: ChunkWorld, index: number, fileSystem: string, { diskFree = 500, limit = 1_000 }): void {
  addVolume(world, index);
  const freeBytes = Math.min(diskFree, limit);
  const disk = { fileSystem, totalBytes: 1_000, freeBytes: diskFree };
  volumeAt(world.volumes, index).space = { totalBytes: Math.min(1_000, limit), freeBytes, usedBytes: 70, disk };
}

describe("space of the cluster", () => {
  test.each([
    [[500, 500, 500], 3, 500],
    [[500, 500, 500], 1, 1_500],
    [[900, 100, 100], 2, 200],
    [[900, 100, 100], 3, 100],
    [[500, 500], 3, 0],
    [[300, 200, 100], 2, 300],
  ])("of free space %j a cluster with %i replicas can use %i", (free, replicas, usable) => {
    const world = chunkWorld(0);
    free.forEach((freeBytes, index) => addVolume(world, index, { freeBytes }));
    expect(usableBytes(world.volumes, replicas)).toBe(usable);
  });

  test("of a disk that several volumes share counts once", () => {
    const world = chunkWorld(0);
    for (const index of [0, 1, 2]) volumeOn(world, index, "a", {});
    expect(spaceSums(world.volumes)).toEqual({ totalBytes: 1_000, freeBytes: 500, usedBytes: 210 });
    expect([1, 2, 3, 4].map((replicas) => usableBytes(world.volumes, replicas))).toEqual([500, 250, 166, 0]);
    volumeOn(world, 3, "b", { diskFree: 300 });
    expect(spaceSums(world.volumes)).toEqual({ totalBytes: 2_000, freeBytes: 800, usedBytes: 280 });
    expect([1, 2, 3, 4].map((replicas) => usableBytes(world.volumes, replicas))).toEqual([800, 400, 250, 166]);
  });

  test("of volumes with limits below what their disk has is the sum of the limits", () => {
    const world = chunkWorld(0);
    for (const index of [0, 1]) volumeOn(world, index, "a", { limit: 100 });
    expect(spaceSums(world.volumes)).toEqual({ totalBytes: 200, freeBytes: 200, usedBytes: 140 });
    expect(usableBytes(world.volumes, 2)).toBe(100);
  });

  test("is usable as far as new chunks may fill it, of a disk that is shared as well", () => {
    const world = chunkWorld(0);
    for (const index of [0, 1, 2]) {
      volumeOn(world, index, index === 2 ? "b" : "a", {});
      const volume = volumeAt(world.volumes, index);
      volume.space = { ...volume.space, newBytes: 450 };
    }
    expect(spaceSums(world.volumes).freeBytes).toBe(1_000);
    expect([1, 2, 3].map((replicas) => usableBytes(world.volumes, replicas))).toEqual([900, 450, 225]);
  });

  test("that is promised to drafts is taken off the disk once for each replica", () => {
    const world = chunkWorld(0);
    for (const index of [0, 1, 2]) volumeOn(world, index, "a", {});
    reserveSpace(world.volumes, draftId(1), new Map([0, 1, 2].map((index) => [index, 50])));
    expect(usableBytes(world.volumes, 1)).toBe(350);
  });
});
