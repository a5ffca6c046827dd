import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as apply from "../../../../src/master/core/chunk-apply.ts";
import {
  dropReplica,
  handFactMark,
  putReplica,
  replicasAt,
  replicasOf,
} from "../../../../src/master/core/chunk-replicas.ts";
import { dumpChunks, dumpVolumes, loadChunkPiece } from "../../../../src/master/core/chunk-sections.ts";
import {
  chunkCount,
  chunkOf,
  chunkTableBytes,
  createChunkTable,
  findChunk,
  slotOf,
} from "../../../../src/master/core/chunk-table.ts";
import { HandleSet } from "../../../../src/master/core/handle-set.ts";
import { SectionReader } from "../../../../src/master/core/sections.ts";
import { createVolumeTable } from "../../../../src/master/core/volumes.ts";
import { chunkVersion, draftId, inodeId } from "../../../../src/wire/ids.ts";
import { addSealed, chunkWorld, handleOf, v1 } from "./chunk-world.ts";

const inode = inodeId(5);
const draft = draftId(9);
const v2 = chunkVersion(2);

describe("the life of a chunk", () => {
  test("a put: writing, then sealed and referenced; its members are named holders", () => {
    const { chunks } = chunkWorld(5);
    apply.applyDraftChunkAdded(chunks, { draft, handle: handleOf(1), version: v1, members: [4, 1, 2], goal: 3 });
    expect(chunkOf(chunks, handleOf(1))).toMatchObject({
      state: "writing",
      owner: { kind: "draft", draft },
      references: 0,
    });
    expect(replicasOf(chunks, handleOf(1))).toEqual([]);
    const published = { handle: handleOf(1), version: v1, length: 7, crc: 8, members: [4, 1] };
    apply.applyChunkPublished(chunks, published, { inode });
    expect(chunkOf(chunks, handleOf(1))).toEqual({
      handle: handleOf(1),
      version: v1,
      state: "sealed",
      length: 7,
      crc: 8,
      goal: 3,
      owner: { kind: "inode", inode },
      references: 1,
      members: [4, 1],
    });
    apply.applyDraftChunkDropped(chunks, draft, handleOf(1));
    expect(chunkCount(chunks)).toBe(1);
  });

  test("an append: open, sealing at the fence's version, sealed; the last reference lets it go with all who had it", () => {
    const { chunks } = chunkWorld(5);
    const handle = handleOf(3);
    apply.applyTailOpened(chunks, { inode, handle, version: v1, members: [0, 1, 2], goal: 3 });
    apply.applySealBegun(chunks, handle, v2);
    expect(chunkOf(chunks, handle)).toMatchObject({ state: "sealing", version: 2, members: [0, 1, 2] });
    expect([...chunks.unsealed]).toEqual([handle]);
    apply.applyChunkSealed(chunks, { handle, version: v2, length: 10, crc: 1, members: [0, 2] });
    apply.referenceChunk(chunks, handle);
    apply.unreferenceChunk(chunks, handle);
    putReplica(chunks, slotOf(chunks, handle), { volume: 4, health: "stale", seen: 1 });
    apply.unreferenceChunk(chunks, handle);
    expect(findChunk(chunks, handle)).toBeUndefined();
    expect(apply.takeReleased(chunks, 10)).toEqual([{ handle, volumes: [0, 2, 4] }]);
    expect(chunks.releasedHandles.has(handle)).toBe(true);
    expect([chunks.sealedCount, chunks.replicaTotal, chunks.unsealed.size]).toEqual([0, 0, 0]);
  });

  test("what an ended draft did not publish is let go of, by that draft only", () => {
    const { chunks } = chunkWorld(1);
    apply.applyDraftChunkAdded(chunks, { draft, handle: handleOf(1), version: v1, members: [0], goal: 1 });
    apply.applyDraftChunkDropped(chunks, draftId(8), handleOf(1));
    expect(chunkCount(chunks)).toBe(1);
    apply.applyDraftChunkDropped(chunks, draft, handleOf(1));
    expect(apply.takeReleased(chunks, 10)).toEqual([{ handle: handleOf(1), volumes: [0] }]);
  });

  test("a handle that the log let go of is never taken again", () => {
    const world = chunkWorld(1);
    addSealed(world, 1, [0], 1);
    apply.unreferenceChunk(world.chunks, handleOf(1));
    expect(() => addSealed(world, 1, [0], 1)).toThrow("never reused");
  });

  test("records that can't be are refused", () => {
    const { chunks } = chunkWorld(1);
    apply.applyTailOpened(chunks, { inode, handle: handleOf(1), version: v1, members: [0], goal: 1 });
    expect(() =>
      apply.applyTailOpened(chunks, { inode, handle: handleOf(1), version: v1, members: [0], goal: 1 }),
    ).toThrow("never reused");
    expect(() => apply.applySealBegun(chunks, handleOf(1), v1)).toThrow("does not raise");
    expect(() =>
      apply.applyChunkSealed(chunks, { handle: handleOf(1), version: v1, length: 1, crc: 1, members: [] }),
    ).toThrow("not being sealed");
    expect(() => apply.unreferenceChunk(chunks, handleOf(2))).toThrow("no such chunk");
  });
});

describe("handles", () => {
  test("are planned below the mark, or raise it first; none that a lost tail of the log gave out is given again", () => {
    const chunks = createChunkTable();
    expect(apply.planHandles(chunks, 2, 1_000)).toEqual({ handles: [handleOf(1), handleOf(2)], reserveUpTo: 1_000 });
    apply.applyHandlesReserved(chunks, 1_000);
    apply.applyTailOpened(chunks, { inode, handle: handleOf(1), version: v1, members: [0], goal: 1 });
    expect(apply.planHandles(chunks, 1, 1_000)).toEqual({ handles: [handleOf(2)], reserveUpTo: undefined });
    apply.beginServing(chunks);
    expect(apply.planHandles(chunks, 1, 1_000)).toEqual({ handles: [handleOf(1_001)], reserveUpTo: 2_000 });
  });

  test("after a confirmed higher mark none at or below it is given out", () => {
    const { chunks } = chunkWorld(1);
    apply.applyHandlesReserved(chunks, 5_000_000);
    apply.skipReservedHandles(chunks);
    expect(apply.planHandles(chunks, 1, 1_000).handles).toEqual([handleOf(5_000_001)]);
  });

  test("HandleSet is the set of what was added, and its runs give it back", () => {
    const range = fc.record({
      first: fc.integer({ min: 1, max: 200_000 }),
      count: fc.integer({ min: 1, max: 70_000 }),
    });
    fc.assert(
      fc.property(fc.array(range, { maxLength: 4 }), fc.array(fc.integer({ min: 1, max: 300_000 })), (runs, probes) => {
        const set = new HandleSet();
        for (const { first, count } of runs) set.addRun(first, count);
        const copy = new HandleSet();
        for (const [first, count] of set.runs()) copy.addRun(first, count);
        for (const probe of [
          ...probes,
          ...runs.flatMap(({ first, count }) => [first - 1, first, first + count - 1, first + count]),
        ]) {
          const member = runs.some(({ first, count }) => probe >= first && probe < first + count);
          expect(set.has(probe)).toBe(member);
          expect(copy.has(probe)).toBe(member);
        }
      }),
      { numRuns: 50 },
    );
  });
});

test("the fact clock gives no mark that a fact of the same second could carry", () => {
  const world = chunkWorld(1);
  const before = handFactMark(world.chunks, world.nowMs);
  addSealed(world, 1, [0], 1);
  const stamp = world.chunks.stamps.get(slotOf(world.chunks, handleOf(1)));
  expect(stamp).toBeGreaterThan(before);
  expect(handFactMark(world.chunks, world.nowMs + 999)).toBeLessThan(stamp);
  expect(handFactMark(world.chunks, world.nowMs + 1_000)).toBeGreaterThanOrEqual(stamp);
});

test("replicas of a chunk behave as a map from volume to health, beyond four too", () => {
  const change = fc.record({
    volume: fc.nat(12),
    health: fc.constantFrom("named" as const, "healthy" as const, "stale" as const, undefined),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const world = chunkWorld(1);
      addSealed(world, 1, [], 1);
      const slot = slotOf(world.chunks, handleOf(1));
      const model = new Map<number, string>();
      for (const { volume, health } of changes) {
        if (health === undefined) dropReplica(world.chunks, slot, volume);
        else putReplica(world.chunks, slot, { volume, health, seen: 0 });
        if (health === undefined) model.delete(volume);
        else model.set(volume, health);
      }
      const held = new Map<number, string>(replicasAt(world.chunks, slot).map((each) => [each.volume, each.health]));
      expect([...held].toSorted(([a], [b]) => a - b)).toEqual([...model].toSorted(([a], [b]) => a - b));
      expect(world.chunks.replicaTotal).toBe(model.size);
    }),
    { numRuns: 200 },
  );
});

describe("checkpoint sections", () => {
  test("dump and load give back every durable fact, in bytes that follow from the state alone", () => {
    const one = chunkWorld(7);
    for (let number = 1; number <= 50; number++) addSealed(one, number, [0, 1, 2, 3, 4, 5].slice(0, (number % 6) + 1));
    for (let number = 3; number <= 50; number += 3) apply.unreferenceChunk(one.chunks, handleOf(number));
    apply.applyDraftChunkAdded(one.chunks, { draft, handle: handleOf(60), version: v1, members: [6], goal: 2 });
    apply.applyTailOpened(one.chunks, { inode, handle: handleOf(61), version: v1, members: [1, 2], goal: 2 });
    apply.applySealBegun(one.chunks, handleOf(61), v2);

    const pieces = [...dumpVolumes(one.volumes), ...dumpChunks(one.chunks)];
    const chunks = createChunkTable();
    const volumes = createVolumeTable();
    for (const piece of pieces) expect(loadChunkPiece(chunks, volumes, new SectionReader(piece))).toBe(true);
    for (let number = 1; number <= 61; number++)
      expect(findChunk(chunks, handleOf(number))).toEqual(findChunk(one.chunks, handleOf(number)));
    expect([chunks.handleMark, chunks.sealedCount, chunks.unsealed.size]).toEqual([
      1_000_000,
      one.chunks.sealedCount,
      2,
    ]);
    expect(volumes.byIndex.map((volume) => volume?.volume)).toEqual(
      one.volumes.byIndex.map((volume) => volume?.volume),
    );
    expect(replicasOf(chunks, handleOf(1))).toEqual(replicasOf(one.chunks, handleOf(1)));
    // Loaded in another order into other slots: the same bytes.
    expect([...dumpVolumes(volumes), ...dumpChunks(chunks)]).toEqual(pieces);
  });
});

test("a chunk with three replicas costs at most 110 bytes", () => {
  const { chunks } = chunkWorld(3);
  const count = 100_000;
  for (let number = 1; number <= count; number++) {
    const handle = handleOf(number);
    apply.applyTailOpened(chunks, { inode, handle, version: v1, members: [0, 1, 2], goal: 3 });
    apply.applySealBegun(chunks, handle, v2);
    apply.applyChunkSealed(chunks, { handle, version: v2, length: 1, crc: 1, members: [0, 1, 2] });
  }
  // Columns grow by pages of 65 536 entries: the last one is half empty here.
  expect(chunkTableBytes(chunks) / 131_072).toBeLessThan(110);
});
