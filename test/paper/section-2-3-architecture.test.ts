import { describe, expect, test } from "bun:test";
import { defaultLimits } from "../../src/limits.ts";
import {
  applyHandlesReserved,
  beginServing,
  planHandles,
  unreferenceChunk,
} from "../../src/master/core/chunk-apply.ts";
import { candidatesOf, place } from "../../src/master/core/placement.ts";
import { createChunkTable } from "../../src/master/core/chunk-table.ts";
import { decideTailOpen } from "../../src/master/core/tails.ts";
import { chunkHandle, chunkVersion, volumeId } from "../../src/wire/ids.ts";
import { encodeVolumeRecord } from "../../src/wire/volume-records.ts";
import { addSealed, chunkWorld, handleOf } from "../unit/master/core/chunk-world.ts";
import { CoreDriver, mutationId } from "../unit/master/core/core-driver.ts";
import { decideCreateFile } from "../../src/master/core/decide-files.ts";

describe("paper §2.3 architecture", () => {
  test("each chunk has an immutable handle, given by the master at its creation, and never given again", () => {
    const driver = new CoreDriver();
    const { inode } = driver.do(
      decideCreateFile(driver.state, { id: mutationId(), path: "/f", mode: "new" }, driver.now),
    );
    const first = driver.placed();
    driver.log(decideTailOpen(driver.state, inode, first));
    expect(driver.placed().placement.handle).toBe(chunkHandle(first.placement.handle + 1));

    const world = chunkWorld(3);
    addSealed(world, 1, [0, 1, 2]);
    unreferenceChunk(world.chunks, handleOf(1));
    expect(planHandles(world.chunks, 1, 10).handles).toEqual([chunkHandle(2)]);
  });

  test("after a restart handles begin above everything that may have been given out", () => {
    const table = createChunkTable();
    applyHandlesReserved(table, 1_000);
    expect(planHandles(table, 1, 10).handles).toEqual([chunkHandle(1)]);
    beginServing(table);
    expect(planHandles(table, 1, 10)).toEqual({ handles: [chunkHandle(1_001)], reserveUpTo: 1_010 });
  });

  test("a handle has 64 bits on the disk", () => {
    const handle = chunkHandle(Number.MAX_SAFE_INTEGER);
    const record = encodeVolumeRecord({ kind: "removed", handle, wallSeconds: 1 });
    expect(record.toHex()).toContain("fb433fffffffffffff"); // a 64-bit float holds it exactly
    const fixed = encodeVolumeRecord({ kind: "promised", handle, version: chunkVersion(1) });
    expect(fixed.subarray(8, 16).toHex()).toBe("ffffffffffff1f00");
  });

  test("by default there are three replicas, on different chunkservers", () => {
    expect(defaultLimits.replicas).toBe(3);
    const world = chunkWorld(5);
    const { chosen } = place(candidatesOf(world.volumes), {
      replicas: defaultLimits.replicas,
      minReplicas: 2,
      bytes: 1,
      use: "new",
      from: {},
      excluded: new Set(),
      weights: defaultLimits,
      what: "a chunk",
    });
    expect(new Set(chosen).size).toBe(3);
  });

  test("ids of volumes are 128 random bits, not names of hosts", () => {
    expect(() => volumeId("server1.example")).toThrow();
  });
});
