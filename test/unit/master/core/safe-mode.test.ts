import { describe, expect, test } from "bun:test";
import { beginServing } from "../../../../src/master/core/chunk-apply.ts";
import { createChunkTable } from "../../../../src/master/core/chunk-table.ts";
import { afterSafeMode, createSafeMode, tickSafeMode } from "../../../../src/master/core/safe-mode.ts";
import { volumeAt } from "../../../../src/master/core/volumes.ts";
import { addSealed, chunkWorld, entry, freshMark, limits, reportOf } from "./chunk-world.ts";
import type { ChunkWorld } from "./chunk-world.ts";

/** A master that has just replayed `chunks` sealed chunks on volumes 0 and 1. */
function restarted(chunks: number): ChunkWorld {
  const world = { ...chunkWorld(2), chunks: createChunkTable() };
  world.chunks.handleMark = 1_000_000;
  for (let number = 1; number <= chunks; number++) addSealed(world, number, [0, 1], 2);
  beginServing(world.chunks);
  return world;
}

function report(world: ChunkWorld, volume: number, count: number): void {
  const entries = Array.from({ length: count }, (_, i) => entry(i + 1));
  for (let at = 0; at < count; at += 100)
    reportOf(world, volume, { number: at + 1, entries: entries.slice(at, at + 100), factMark: freshMark(world) });
}

describe("safe mode", () => {
  test.each([
    ["no chunk at all", 0, 0, true],
    ["998 of 1 000 reported", 1_000, 998, false],
    ["999 of 1 000 reported, the share", 1_000, 999, true],
  ])("with %s", (_what, chunks, reported, ends) => {
    const world = restarted(chunks);
    const safeMode = createSafeMode(world.nowMs);
    report(world, 0, reported);
    expect(tickSafeMode(safeMode, world, { nowMs: world.nowMs, limits })).toBe(ends);
    expect(safeMode.active).toBe(!ends);
  });

  test("is over, and what waits for an operator all the same is said", () => {
    const repairing = "repair goes on once all servers have told what they hold, or are dead";
    expect(afterSafeMode({})).toBe(`deletions go on; ${repairing}`);
    const both = { mutations: "it was restored", deletions: "it was restored" };
    expect(afterSafeMode(both)).toBe("changes, repair and deletions wait for `gfs master confirm`");
    expect(afterSafeMode({ deletions: "so many" })).toBe(`deletions wait for \`gfs master confirm\`; ${repairing}`);
    const held = "3 of 5 servers are gone";
    const back = `repair is held back: ${held}; if they won't be back: gfs repair resume`;
    expect(afterSafeMode({ held })).toBe(`deletions go on; ${back}`);
    expect(afterSafeMode({ deletions: "so many", held })).toBe(`deletions wait for \`gfs master confirm\`; ${back}`);
    expect(afterSafeMode({ ...both, held })).toBe(afterSafeMode(both));
  });

  test("a chunk counts once, however many volumes report it", () => {
    const world = restarted(1_000);
    report(world, 0, 500);
    report(world, 1, 500);
    expect(world.chunks.sealedReportedCount).toBe(500);
  });

  test("time alone does not end it; with all volumes reported it does, after safeModeMs and not before", () => {
    const world = restarted(10);
    const safeMode = createSafeMode(0);
    const tick = (nowMs: number) => tickSafeMode(safeMode, world, { nowMs, limits });
    expect(tick(limits.safeModeMs * 100)).toBe(false);
    expect(safeMode.reason).toContain("0 of 10 chunks are reported");
    volumeAt(world.volumes, 0).reported = true;
    expect(tick(limits.safeModeMs)).toBe(false);
    volumeAt(world.volumes, 1).reported = true;
    expect(tick(limits.safeModeMs - 1)).toBe(false);
    expect(tick(limits.safeModeMs)).toBe(true);
    expect(tick(limits.safeModeMs)).toBe(false);
  });

  test("a retired volume is not waited for, a dead one is", () => {
    const world = restarted(10);
    const safeMode = createSafeMode(0);
    volumeAt(world.volumes, 0).reported = true;
    volumeAt(world.volumes, 1).liveness = "dead";
    expect(tickSafeMode(safeMode, world, { nowMs: limits.safeModeMs, limits })).toBe(false);
    volumeAt(world.volumes, 1).liveness = "retired";
    expect(tickSafeMode(safeMode, world, { nowMs: limits.safeModeMs, limits })).toBe(true);
  });
});
