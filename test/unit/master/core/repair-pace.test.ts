import { describe, expect, test } from "bun:test";
import {
  beginTransfer,
  createRepairPace,
  endTransfer,
  hasRoom,
  mayBegin,
  type PaceLimits,
  rateOfOne,
  workOf,
} from "../../../../src/master/core/repair-pace.ts";
import { unlimited } from "./repair-bench.ts";

const MB = 1_000_000;
const transfer = { source: 1, target: 2, bytes: 64 * MB };

/** Begins as many as may, each lasting as long as its own rate has it last; bytes that were begun in the time. */
function copiedIn(seconds: number, limits: PaceLimits, servers: number, bytes = 64 * MB): number[] {
  const pace = createRepairPace();
  const ends: { atMs: number; transfer: typeof transfer }[] = [];
  const copied = Array.from({ length: servers }, () => 0);
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += 250) {
    for (const end of ends.filter(({ atMs }) => atMs <= nowMs)) {
      endTransfer(pace, end.transfer, { unused: 0, limits, nowMs });
      ends.splice(ends.indexOf(end), 1);
    }
    for (let source = 0; source < servers; source++)
      for (let target = 0; target < servers; target++) {
        const free = [source, target].every((volume) => hasRoom(pace, volume, { limits, nowMs }));
        if (source === target || !free || !mayBegin(pace, limits, nowMs)) continue;
        const one = { source, target, bytes };
        beginTransfer(pace, one, { limits, nowMs });
        for (const volume of [source, target]) copied[volume]! += bytes;
        const rate = rateOfOne(limits);
        ends.push({ atMs: nowMs + (rate === undefined ? 0 : (bytes / rate) * 1_000), transfer: one });
      }
  }
  return copied;
}

describe("the pace of repair", () => {
  test("a server has its share of streams, and the cluster its own", () => {
    const limits = { ...unlimited, streams: 2, streamsPerServer: 1 };
    const pace = createRepairPace();
    beginTransfer(pace, transfer, { limits, nowMs: 0 });
    expect([1, 2, 3].map((volume) => hasRoom(pace, volume, { limits, nowMs: 0 }))).toEqual([false, false, true]);
    expect(mayBegin(pace, limits, 0)).toBe(true);
    beginTransfer(pace, { source: 3, target: 4, bytes: 1 }, { limits, nowMs: 0 });
    expect(mayBegin(pace, limits, 0)).toBe(false);
    endTransfer(pace, transfer, { unused: 0, limits, nowMs: 0 });
    expect(mayBegin(pace, limits, 0)).toBe(true);
    expect(hasRoom(pace, 1, { limits, nowMs: 0 })).toBe(true);
    expect(hasRoom(createRepairPace(), 1, { limits: { ...limits, streamsPerServer: 0 }, nowMs: 0 })).toBe(false);
  });

  test.each([64 * MB, 100_000])("no server copies more than its rate, and nearly that (chunks of %d)", (bytes) => {
    const limits = { ...unlimited, streamsPerServer: 100, serverRate: 20 * MB };
    for (const copied of copiedIn(60, limits, 4, bytes)) {
      expect(copied).toBeLessThanOrEqual(60 * 20 * MB + bytes + 10 * MB);
      if (bytes > MB) expect(copied).toBeGreaterThan(0.85 * 60 * 20 * MB);
    }
  });

  test("the cluster copies no more than its rate, whatever its servers may", () => {
    const limits = { ...unlimited, streamsPerServer: 4, rate: 30 * MB, serverRate: 20 * MB };
    const copied = copiedIn(60, limits, 8).reduce((sum, bytes) => sum + bytes / 2, 0);
    expect(copied).toBeLessThanOrEqual(60 * 30 * MB + 64 * MB + 15 * MB);
    expect(copied).toBeGreaterThan(0.85 * 60 * 30 * MB);
    expect(rateOfOne(limits)).toBe(20 * MB);
    expect(rateOfOne(unlimited)).toBeUndefined();
  });

  test("a limit that is lowered or taken away holds at once", () => {
    const pace = createRepairPace();
    const slow = { ...unlimited, streamsPerServer: 8, serverRate: MB };
    beginTransfer(pace, transfer, { limits: slow, nowMs: 0 });
    expect(hasRoom(pace, 1, { limits: slow, nowMs: 10_000 })).toBe(false);
    expect(hasRoom(pace, 1, { limits: { ...slow, serverRate: 0 }, nowMs: 10_000 })).toBe(true);
    expect(hasRoom(pace, 1, { limits: { ...slow, serverRate: 10 * MB }, nowMs: 10_000 })).toBe(true);
  });

  test("what was paid for a clone that was stopped is given back", () => {
    const limits = { ...unlimited, streamsPerServer: 8, serverRate: MB };
    const pace = createRepairPace();
    beginTransfer(pace, transfer, { limits, nowMs: 0 });
    endTransfer(pace, transfer, { unused: 64 * MB, limits, nowMs: 0 });
    expect(hasRoom(pace, 1, { limits, nowMs: 0 })).toBe(true);
    expect(workOf(pace, 1, 0)).toBe(0);
  });

  test("work done long ago counts less and less", () => {
    const pace = createRepairPace();
    beginTransfer(pace, transfer, { limits: unlimited, nowMs: 0 });
    expect(workOf(pace, 2, 0)).toBe(64 * MB);
    expect(workOf(pace, 2, 60_000)).toBe(32 * MB);
  });
});
